#include "core/operation.h"

#include <algorithm>
#include <map>
#include <mutex>

#include "core/autograd.h"
#include "core/rules.h"

namespace samara {
namespace {

std::map<std::string_view, NativeOperation>& natives() {
  static std::map<std::string_view, NativeOperation> table;
  return table;
}

class ObserverPause {
 public:
  ObserverPause() { thread_state().paused = std::exchange(thread_state().observers, nullptr); }
  ~ObserverPause() {
    Observers* stack = std::exchange(thread_state().paused, nullptr);
    if (stack && stack->empty()) delete std::exchange(stack, nullptr);
    thread_state().observers = stack;
  }
  ObserverPause(const ObserverPause&) = delete;
  ObserverPause& operator=(const ObserverPause&) = delete;
};

void check_devices(const Operation& operation, std::span<const Value> values) {
  const Tensor* first = nullptr;
  const auto check = [&](const Tensor& x) {
    if (!first) {
      first = &x;
      return;
    }
    if (x.device() == first->device()) return;
    fail(ErrorKind::device, operation.name, ": tensors are on '", to_text(first->device()),
         "' and '", to_text(x.device()),
         "'. Expected all on one device. Fix: move one of them with x.to(device).");
  };
  for (const Value& value : values) {
    if (value.is_tensor()) check(value.tensor());
    if (value.kind() == ValueKind::tensors)
      for (const Tensor& x : value.tensors()) check(x);
  }
}

// Whether the target of an in-place call is another one of its arguments as well: x.mul_(x).
bool is_again(std::span<const Value> values, const Tensor& target) {
  return std::any_of(values.begin() + 1, values.end(), [&](const Value& value) {
    return value.is_tensor() && value.tensor().impl() == target.impl();
  });
}

void run(const Operation& operation, std::span<Value> values, Outputs& outputs) {
  check_devices(operation, values);
  ThreadState& state = thread_state();
  const NativeOperation& native = *operation.native;
  Call call(operation, values);
  call.records =
      state.grad_enabled && any_requires_grad(values) && (native.backward || operation.python_rule);
  if (operation.in_place) {
    const Tensor target = values[0].tensor();
    check_in_place(operation, target, call.records || target.requires_grad());
    call.destination = target;
    call.destination_version = target.version();
    // Without a gradient, as floor is, the history of what is overwritten ends here.
    call.records = call.records || (state.grad_enabled && target.requires_grad());
    // What backward reads must outlive the write; the copy is recorded, for second derivatives.
    static const NativeCall clone("clone");
    if (call.records && (reads_argument(call, 0) || is_again(values, target))) {
      const Tensor before = clone(target);
      for (Value& value : values)
        if (value.is_tensor() && value.tensor().impl() == target.impl()) value = Value(before);
    }
    native.forward(call);
    // Kernels write into another tensor when the target's dtype or aliasing demands it.
    if (call.outputs[0].impl() != target.impl()) {
      GradMode unrecorded(false);
      static const NativeCall copy("copy", NativeCall::kInPlace);
      copy(target, call.outputs[0]);
    }
    mark_written(target, operation.name);
    if (call.records) rebase_history(call, target);
    outputs.push_back(target);
    return;
  }
  native.forward(call);
  if (native.is_view && state.grad_enabled) {
    for (const Tensor& view : call.outputs) link_view(view, values[0].tensor());
  } else if (native.is_view) {
    const Tensor& base = values[0].tensor();
    if (base.requires_grad() || base.impl()->unrecorded_view)
      for (const Tensor& view : call.outputs)
        view.impl()->unrecorded_view = view.impl()->storage == base.impl()->storage;
  }
  if (call.records) record(call);
  for (Tensor& output : call.outputs) outputs.push_back(std::move(output));
}

[[gnu::noinline]] void run_observed(const Operation& operation, std::span<Value> values,
                                    Outputs& outputs) {
  Observers*& stack = thread_state().observers;
  const Observers observers = *stack;
  std::erase_if(*stack, [](const auto& observer) { return !observer->active(); });
  if (stack->empty()) {
    delete std::exchange(stack, nullptr);
    return run(operation, values, outputs);
  }
  // An observer's own operations are not observed.
  ObserverPause pause;
  for (const auto& observer : observers) observer->before(operation, values);
  run(operation, values, outputs);
  for (auto it = observers.rbegin(); it != observers.rend(); ++it)
    (*it)->after(operation, values, outputs.span());
}

}  // namespace

void register_native(const NativeOperation& native) { natives()[native.name] = native; }

const NativeOperation* find_native(std::string_view name) {
  const auto found = natives().find(name);
  return found == natives().end() ? nullptr : &found->second;
}

std::vector<std::string> native_names() {
  std::vector<std::string> names;
  for (const auto& [name, native] : natives()) names.emplace_back(name);
  return names;
}

void Call::too_few() const {
  fail(ErrorKind::argument, name(), ": called with ", values.size(),
       " arguments, and the native operation reads more. Expected the parameters of the native "
       "operation. Fix: correct the signature.");
}

const Tensor& Call::tensor(int i) const {
  const Value& value = (*this)[i];
  if (!value.is_tensor())
    fail(ErrorKind::dtype, name(), ": argument '",
         operation.parameters[static_cast<size_t>(i)].name,
         "' is not a tensor. Expected a tensor. Fix: wrap it with samara.asarray(...).");
  return value.tensor();
}

namespace {

Observers*& stack_of(ThreadState& state) { return state.paused ? state.paused : state.observers; }

}  // namespace

void push_observer(std::shared_ptr<Observer> observer) {
  Observers*& stack = stack_of(thread_state());
  if (!stack) stack = new Observers;
  stack->push_back(std::move(observer));
}

void pop_observer(const Observer* observer) {
  ThreadState& state = thread_state();
  Observers*& stack = stack_of(state);
  if (!stack) return;
  const auto found = std::find_if(stack->rbegin(), stack->rend(),
                                  [&](const auto& known) { return known.get() == observer; });
  if (found == stack->rend()) return;
  const std::shared_ptr<Observer> last = *found;  // its end may run Python
  stack->erase(std::next(found).base());
  if (stack->empty() && !state.paused) delete std::exchange(stack, nullptr);
}

void invoke(const Operation& operation, std::span<Value> values, Outputs& outputs) {
  if (thread_state().observers) [[unlikely]]
    return run_observed(operation, values, outputs);
  run(operation, values, outputs);
}

namespace {

std::mutex rules_mutex;

std::map<std::string, const Operation*, std::less<>>& rules() {
  static std::map<std::string, const Operation*, std::less<>> table;
  return table;
}

}  // namespace

void set_rule(std::string_view native, const Operation& operation) {
  const std::lock_guard lock(rules_mutex);
  rules().emplace(native, &operation);
}

const Operation* find_rule(std::string_view native) {
  const std::lock_guard lock(rules_mutex);
  const auto found = rules().find(native);
  return found == rules().end() ? nullptr : found->second;
}

Tensor NativeCall::run(std::span<Value> values) const {
  if (!operation_.native) {
    operation_.native = find_native(operation_.name);
    if (!operation_.native)
      fail(ErrorKind::not_implemented, operation_.name, ": no native operation has this name.");
  }
  // A call that will be recorded is one of the operation with the rule.
  const NativeOperation& native = *operation_.native;
  if (native.backward && !native.backward_records && !operation_.in_place &&
      thread_state().grad_enabled && any_requires_grad(values)) {
    if (const Operation* known = find_rule(operation_.name)) {
      Outputs outputs;
      invoke(*known, values, outputs);
      return outputs[0];
    }
  }
  Outputs outputs;
  invoke(operation_, values, outputs);
  return outputs[0];
}

}  // namespace samara
