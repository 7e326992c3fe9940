// One argument of an operation: a tensor, a list of tensors, a number, axes, a dtype, ...
#pragma once

#include <complex>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace samara {

enum class ValueKind : uint8_t {
  none,
  tensor,
  tensors,
  boolean,
  integer,
  real,
  complex,
  integers,
  dtype,
  device,
  text,
};

class Value {
 public:
  Value() = default;
  Value(Tensor tensor) : kind_(ValueKind::tensor), tensor_(std::move(tensor)) {}
  Value(bool value) : kind_(ValueKind::boolean) { number_.integer = value; }
  Value(int value) : Value(static_cast<int64_t>(value)) {}
  Value(int64_t value) : kind_(ValueKind::integer) { number_.integer = value; }
  // An integer of 2^63 or more is kept as its 64 bits.
  static Value from_unsigned(uint64_t value) {
    Value made(static_cast<int64_t>(value));
    made.beyond_int64_ = value >> 63 != 0;
    return made;
  }
  Value(double value) : kind_(ValueKind::real) { number_.real = value; }
  Value(std::complex<double> value)
      : kind_(ValueKind::complex), shared_(std::make_shared<std::complex<double>>(value)) {}
  Value(const Dims& value) : kind_(ValueKind::integers), shared_(std::make_shared<Dims>(value)) {}
  Value(DType value) : kind_(ValueKind::dtype) { number_.integer = static_cast<int64_t>(value); }
  Value(Device value) : kind_(ValueKind::device) {
    number_.integer = static_cast<int64_t>(value.type) << 8 | value.index;
  }
  Value(std::vector<Tensor> value)
      : kind_(ValueKind::tensors),
        shared_(std::make_shared<std::vector<Tensor>>(std::move(value))) {}
  Value(std::string value)
      : kind_(ValueKind::text), shared_(std::make_shared<std::string>(std::move(value))) {}
  Value(const char*) = delete;

  ValueKind kind() const { return kind_; }
  bool is_none() const { return kind_ == ValueKind::none; }
  bool is_tensor() const { return kind_ == ValueKind::tensor; }
  bool is_number() const { return kind_ >= ValueKind::boolean && kind_ <= ValueKind::complex; }

  const Tensor& tensor() const {
    require(ValueKind::tensor);
    return tensor_;
  }
  Tensor& tensor() {
    require(ValueKind::tensor);
    return tensor_;
  }
  const std::vector<Tensor>& tensors() const {
    return shared<std::vector<Tensor>>(ValueKind::tensors);
  }
  bool boolean() const { return number_.integer != 0; }
  // A real outside the range of 64 bits saturates, NaN is 0. The bits of a number `beyond_int64`.
  int64_t integer() const {
    if (kind_ != ValueKind::real) return number_.integer;
    if (number_.real >= 0x1p63) return INT64_MAX;
    return number_.real >= -0x1p63 ? static_cast<int64_t>(number_.real)
                                   : (number_.real < 0 ? INT64_MIN : 0);
  }
  bool beyond_int64() const { return beyond_int64_; }
  double real() const {
    if (kind_ == ValueKind::real) return number_.real;
    return beyond_int64_ ? static_cast<double>(static_cast<uint64_t>(number_.integer))
                         : static_cast<double>(number_.integer);
  }
  std::complex<double> complex() const {
    if (kind_ == ValueKind::complex) return shared<std::complex<double>>(ValueKind::complex);
    return real();
  }
  const Dims& integers() const { return shared<Dims>(ValueKind::integers); }
  DType dtype() const { return static_cast<DType>(number_.integer); }
  Device device() const {
    return {static_cast<DeviceType>(number_.integer >> 8),
            static_cast<int8_t>(number_.integer & 0xFF)};
  }
  const std::string& text() const { return shared<std::string>(ValueKind::text); }

 private:
  // A signature that does not fit its native operation is an error, never a wild read.
  void require(ValueKind expected) const {
    if (kind_ != expected) [[unlikely]]
      wrong_kind(kind_, expected);
  }
  [[noreturn, gnu::noinline, gnu::cold]] static void wrong_kind(ValueKind kind,
                                                                ValueKind expected) {
    fail(ErrorKind::dtype, "operation: an argument of kind ", static_cast<int>(kind),
         " stands where kind ", static_cast<int>(expected),
         " is read. Expected the parameters of the native operation. Fix: correct the signature.");
  }
  template <class T>
  const T& shared(ValueKind expected) const {
    require(expected);
    return *static_cast<const T*>(shared_.get());
  }

  ValueKind kind_ = ValueKind::none;
  bool beyond_int64_ = false;
  union {
    int64_t integer = 0;
    double real;
  } number_;
  Tensor tensor_;
  std::shared_ptr<void> shared_;
};

}  // namespace samara
