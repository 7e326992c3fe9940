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
  Value(double value) : kind_(ValueKind::real) { number_.real = value; }
  Value(std::complex<double> value)
      : kind_(ValueKind::complex),
        shared_(std::make_shared<std::complex<double>>(value)) {}
  Value(const Dims& value)
      : kind_(ValueKind::integers), shared_(std::make_shared<Dims>(value)) {}
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

  const Tensor& tensor() const { return tensor_; }
  Tensor& tensor() { return tensor_; }
  const std::vector<Tensor>& tensors() const {
    return *static_cast<const std::vector<Tensor>*>(shared_.get());
  }
  bool boolean() const { return number_.integer != 0; }
  int64_t integer() const {
    return kind_ == ValueKind::real ? static_cast<int64_t>(number_.real) : number_.integer;
  }
  double real() const {
    return kind_ == ValueKind::real ? number_.real : static_cast<double>(number_.integer);
  }
  std::complex<double> complex() const {
    if (kind_ == ValueKind::complex)
      return *static_cast<const std::complex<double>*>(shared_.get());
    return real();
  }
  const Dims& integers() const { return *static_cast<const Dims*>(shared_.get()); }
  DType dtype() const { return static_cast<DType>(number_.integer); }
  Device device() const {
    return {static_cast<DeviceType>(number_.integer >> 8),
            static_cast<int8_t>(number_.integer & 0xFF)};
  }
  const std::string& text() const { return *static_cast<const std::string*>(shared_.get()); }

 private:
  ValueKind kind_ = ValueKind::none;
  union {
    int64_t integer = 0;
    double real;
  } number_;
  Tensor tensor_;
  std::shared_ptr<void> shared_;
};

}  // namespace samara
