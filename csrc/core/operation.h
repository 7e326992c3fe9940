// Operations and the one path on which every call travels.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/inline_list.h"
#include "core/tensor.h"
#include "core/value.h"

namespace samara {

class Operation;
struct Node;

// One call under way. `forward` reads the arguments, checks them and pushes its outputs.
struct Call {
  Call(const Operation& called, std::span<Value> arguments)
      : operation(called), values(arguments) {}

  const Operation& operation;
  std::span<Value> values;
  // A gradient will flow, so `forward` pushes onto `saved` what only backward needs.
  bool records = false;
  // The in-place form's target; `forward` may write there directly when dtype and shape agree.
  Tensor destination;
  uint32_t destination_version = 0;  // before the write
  InlineList<Tensor, 2> outputs;
  InlineList<Tensor, 2> saved;

  std::string_view name() const;
  const Value& operator[](int i) const {
    if (static_cast<size_t>(i) >= values.size()) [[unlikely]]
      too_few();
    return values[static_cast<size_t>(i)];
  }
  bool has(int i) const { return !(*this)[i].is_none(); }
  // The tensor at position i; fails when it is not one.
  const Tensor& tensor(int i) const;
  // An undefined tensor for None.
  Tensor optional_tensor(int i) const { return has(i) ? tensor(i) : Tensor(); }
  int64_t integer(int i) const { return (*this)[i].integer(); }
  double real(int i) const { return (*this)[i].real(); }
  bool boolean(int i) const { return (*this)[i].boolean(); }
  void output(Tensor tensor) { outputs.push_back(std::move(tensor)); }

 private:
  [[noreturn, gnu::cold]] void too_few() const;
};

// What `backward` sees: the call's arguments, outputs and saved tensors, and the gradients.
struct BackwardCall {
  Node& node;
  std::span<const Tensor> output_gradients;  // undefined where none arrived
  std::span<Tensor> input_gradients;         // one per edge

  const Value& operator[](int i) const;
  const Tensor& tensor(int i) const;
  Tensor optional_tensor(int i) const;
  // With gradients on, part of the graph; only shape and dtype unless the operation saves outputs.
  Tensor output(int i = 0) const;
  const Tensor& saved(int i) const;
  const Tensor& gradient(int i = 0) const { return output_gradients[static_cast<size_t>(i)]; }
  // Whether argument i (or, in a list of tensors, its element k) takes part in the gradient.
  bool needs(int i, int k = 0) const;
  void set(int i, Tensor gradient) { set(i, 0, std::move(gradient)); }
  void set(int i, int k, Tensor gradient);
};

// A built-in operation's C++ side. Bit i of `saved_inputs`: backward reads argument i's values.
struct NativeOperation {
  std::string_view name;
  void (*forward)(Call&) = nullptr;
  void (*backward)(BackwardCall&) = nullptr;
  uint32_t saved_inputs = 0;
  // Bit i, of the first two: only the gradient of the other one reads argument i, as in a product,
  // so that it is saved only where that gradient is wanted.
  uint32_t saved_for_other = 0;
  bool saves_outputs = false;
  // The output shows the first argument's memory.
  bool is_view = false;
  // `backward` is written with NativeCall alone, so running it with gradients on records itself
  // and no Python rule is needed for second order.
  bool backward_records = false;
  // Specific to the family, e.g. the functor of a pointwise operation.
  const void* details = nullptr;
};

void register_native(const NativeOperation& native);
// Null when there is none of that name.
const NativeOperation* find_native(std::string_view name);
std::vector<std::string> native_names();

// Registers while the library is loaded: `const Register softmax_operation({...});`
struct Register {
  explicit Register(const NativeOperation& native) { register_native(native); }
};

enum class ParameterType : uint8_t {
  tensor,  // also a number
  tensors,
  boolean,
  integer,
  real,
  number,    // bool, int, float or complex
  integers,  // one int or a sequence of ints
  dtype,
  device,
  text,
  integers_or_text,  // a word such as "same" in place of integers
};

struct Parameter {
  std::string name;
  ParameterType type = ParameterType::tensor;
  bool optional = false;  // accepts None
  bool required = true;   // no default
  bool keyword_only = false;
  Value fallback;  // the default
};

// One operation as users see it: a name, a signature and the native implementation behind it.
class Operation {
 public:
  std::string name;
  std::vector<Parameter> parameters;
  const NativeOperation* native = nullptr;
  bool in_place = false;
  // The Python gradient rule, a borrowed PyObject kept alive by the record; null when there is
  // none.
  void* python_rule = nullptr;
};

inline std::string_view Call::name() const { return operation.name; }

// Sees every call of its thread. `before` may replace arguments; `after` sees the outputs.
class Observer {
 public:
  virtual ~Observer() = default;
  // False for one that was stopped on another thread: the next call takes it off the stack.
  virtual bool active() const { return true; }
  virtual void before(const Operation& operation, std::span<Value> values) = 0;
  virtual void after(const Operation& operation, std::span<Value> values,
                     std::span<Tensor> outputs) = 0;
};

using Observers = std::vector<std::shared_ptr<Observer>>;

struct ThreadState {
  bool grad_enabled = true;
  int backward_depth = 0;          // backward passes under way on this thread
  Observers* observers = nullptr;  // null when the stack is empty, and while an observer runs
  Observers* paused = nullptr;     // the stack while an observer runs
};
inline ThreadState& thread_state() {
  [[gnu::tls_model("initial-exec")]] static thread_local constinit ThreadState state;
  return state;
}
// The stack of the calling thread; an observer that is not on it is not removed.
void push_observer(std::shared_ptr<Observer> observer);
void pop_observer(const Observer* observer);

using Outputs = InlineList<Tensor, 2>;

// The call path: observers, forward, tape.
void invoke(const Operation& operation, std::span<Value> values, Outputs& outputs);

// A native operation called from C++ through the same path, so that it is recorded when gradients
// are on: `static const NativeCall reshape("reshape"); reshape(x, shape);`
class NativeCall {
 public:
  static constexpr bool kInPlace = true;
  explicit NativeCall(std::string name, bool in_place = false) {
    operation_.name = std::move(name);
    operation_.in_place = in_place;
  }
  template <class... Arguments>
  Tensor operator()(Arguments&&... arguments) const {
    Value values[] = {Value(std::forward<Arguments>(arguments))...};
    return run(values);
  }

 private:
  Tensor run(std::span<Value> values) const;
  mutable Operation operation_;  // the native part is looked up at the first call
};

class GradMode {
 public:
  explicit GradMode(bool enabled) : previous_(thread_state().grad_enabled) {
    thread_state().grad_enabled = enabled;
  }
  ~GradMode() { thread_state().grad_enabled = previous_; }
  GradMode(const GradMode&) = delete;
  GradMode& operator=(const GradMode&) = delete;

 private:
  bool previous_;
};

}  // namespace samara
