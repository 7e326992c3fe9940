// Reverse-mode differentiation: the tape's nodes and the walk over them.
#pragma once

#include <atomic>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/inline_list.h"
#include "core/operation.h"
#include "core/tensor.h"
#include "core/value.h"

namespace samara {

struct Node;
using NodeRef = Reference<Node>;

// Where a tensor's gradient goes: to an output of a node, or into a leaf's `grad`.
struct Edge {
  NodeRef node;
  int output = 0;
  Tensor leaf;
  bool valid() const { return node || leaf; }
};

struct SavedTensor {
  Tensor tensor;
  uint32_t version = 0;    // of the memory
  uint32_t exchanges = 0;  // of the memory for other memory
};

// A Python callable, owned, that runs on the gradient of output `output` of a node (0 of a leaf).
struct Hook {
  int output;
  void* function;
};
using Hooks = std::vector<Hook>;

// One recorded call. Arguments that backward does not read are kept as shapes without memory.
struct Node : ReferenceCounted {
  const Operation* operation = nullptr;
  uint64_t sequence = 0;      // larger than that of every node it depends on
  InlineList<Edge, 3> edges;  // one per tensor argument, lists flattened
  InlineList<Value, 4> values;
  InlineList<SavedTensor, 2> checked;  // argument tensors whose version must not change
  InlineList<SavedTensor, 2> saved;
  InlineList<SavedTensor, 1> outputs;
  // Gradient hooks of tensors that are outputs of this node; read and changed with Python's lock.
  Hooks* hooks = nullptr;

  ~Node();
  // Backward passes that read the saved values now; several threads, or a hook that starts another
  // pass, may be inside. False when the values are gone. The last one to leave frees them.
  bool enter();
  void leave(bool release);
  static void destroy(Node* node);

 private:
  static constexpr uint32_t kReleased = uint32_t{1} << 31;
  std::atomic<uint32_t> readers_{0};
};

// A view remembers its base, so that writing through it reaches the base's history.
struct ViewOf {
  Tensor base;
  uint32_t generation = 0;
};

struct AutogradMeta {
  NodeRef grad_fn;
  int output = 0;
  Tensor grad;
  ViewOf view;
  uint32_t generation = 0;  // how often in-place operations replaced the history
  Hooks hooks;
};

AutogradMeta& autograd_meta(const Tensor& x);
// x.grad, which backward passes of several threads may be changing.
Tensor load_grad(const Tensor& x);
// Sets x.grad and returns the old one.
Tensor exchange_grad(const Tensor& x, Tensor grad);
// Sets x.grad unless there is one already; false when there is.
bool place_grad(const Tensor& x, const Tensor& grad);
// x shows the memory of `source` from now on: x.data = source.
void exchange_data(const Tensor& x, const Tensor& source);
// x takes the shape and the history of `view`, which shows x's memory: x.unsqueeze_(0).
void become_view(const Tensor& x, const Tensor& view, std::string_view place);
// x leaves its graph: x.detach_().
void detach_in_place(const Tensor& x);
void release_autograd(TensorImpl* impl);
bool is_leaf(const Tensor& x);
NodeRef grad_fn(const Tensor& x);
// Fails for dtypes that have no gradient.
void set_requires_grad(const Tensor& x, bool requires_grad);
// The same memory outside the graph.
Tensor detach(const Tensor& x);

// True when one of the arguments asks for a gradient.
bool any_requires_grad(std::span<const Value> values);
// Whether backward will read the values of argument i of a call that is recorded.
bool reads_argument(const Call& call, size_t i);
// Puts a call on the tape and makes its outputs require grad.
void record(Call& call);
// Remembers that `view` shows `base`'s memory.
void link_view(const Tensor& view, const Tensor& base);
// Checks an in-place call before it runs, and replaces the target's history after it.
void check_in_place(const Operation& operation, const Tensor& target, bool records);
void rebase_history(Call& call, const Tensor& target);

struct BackwardOptions {
  bool retain_graph = false;
  bool create_graph = false;
  // Accumulate into the leaves' `grad` (backward) rather than return gradients (grad).
  bool accumulate = true;
};

// Gradients of the roots with respect to `inputs` (undefined where unreached). With `accumulate`
// the leaves' `grad` is updated and the result is empty.
std::vector<Tensor> run_backward(std::span<const Tensor> roots, std::span<const Tensor> gradients,
                                 std::span<const Tensor> inputs, const BackwardOptions& options);

// All leaves that require grad in the graph of `root`.
std::vector<Tensor> graph_leaves(const Tensor& root);

// Calls a node's Python rule and the Python gradient hooks; installed by the binding.
struct PythonHooks {
  void (*call_rule)(BackwardCall& call) = nullptr;
  Tensor (*call_hooks)(const Hooks& hooks, int output, Tensor gradient) = nullptr;
  void (*drop)(void* object) = nullptr;
  void (*clear)(Hooks& hooks) = nullptr;
  // Lives as long as the process.
  const std::string* (*current_line)() = nullptr;
};
PythonHooks& python_hooks();

}  // namespace samara
