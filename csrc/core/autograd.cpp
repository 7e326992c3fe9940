#include "core/autograd.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <unordered_set>

namespace samara {
namespace {

std::atomic<uint64_t> next_sequence{1};

uint64_t take_sequence() { return next_sequence.fetch_add(1, std::memory_order_relaxed); }

// The sequence is given once the edges stand: they may put nodes of their own on the tape.
NodeRef new_node(const Operation& operation) {
  Node* node = new (Recycler<Node>::allocate()) Node;
  node->operation = &operation;
  return NodeRef(node);
}

SavedTensor save(const Tensor& x) {
  static_cast<void>(x.address());  // fails for a shape without data
  x.impl()->storage->saved_for_backward.store(true, std::memory_order_relaxed);
  return {x, x.version(), x.impl()->exchanges};
}

void destroy_now(Node* node) {
  node->~Node();
  Recycler<Node>::release(node);
}

Edge edge_of(const Tensor& x);

const Operation& internal_operation(const char* name) {
  Operation* operation = new Operation;  // lives as long as the process: nodes point to it
  operation->name = name;
  operation->native = find_native(name);
  return *operation;
}

const Operation& as_strided_operation() {
  static const Operation& operation = internal_operation("as_strided");
  return operation;
}
const Operation& set_view_operation() {
  static const Operation& operation = internal_operation("set_view");
  return operation;
}

// The node through which a view reads its base's newest history.
NodeRef view_node(const Tensor& view, const Tensor& base) {
  if (!(view.impl()->storage == base.impl()->storage))
    fail(ErrorKind::gradient,
         "backward: the memory under the base of a view was exchanged (base.data = ...). Expected "
         "a view of the base as it is. Fix: take the view again after the exchange.");
  NodeRef node = new_node(as_strided_operation());
  node->edges.emplace_back(edge_of(base));
  node->values.emplace_back(shape_only(base));
  node->values.emplace_back(view.shape());
  node->values.emplace_back(view.strides());
  node->values.emplace_back(view.offset() - base.offset());
  node->sequence = take_sequence();
  return node;
}

void require_contiguous_base(const Tensor& base, std::string_view place) {
  if (base.is_contiguous()) return;
  fail(ErrorKind::gradient, place,
       ": an in-place edit through a view of a tensor that is itself not contiguous cannot be "
       "differentiated. Expected a contiguous base. Fix: edit a copy, x.clone().");
}

Edge edge_of(const Tensor& x) {
  AutogradMeta* meta = x.impl()->autograd;
  if (meta && meta->view.base) {
    const Tensor& base = meta->view.base;
    const uint32_t generation = autograd_meta(base).generation;
    if (generation != meta->view.generation) {
      require_contiguous_base(base, "backward");
      meta->grad_fn = view_node(x, base);
      meta->output = 0;
      meta->view.generation = generation;
    }
  }
  if (meta && meta->grad_fn) return {meta->grad_fn, meta->output, Tensor()};
  // For a leaf the output's place says with which memory it was recorded.
  return {nullptr, static_cast<int>(x.impl()->exchanges), x};
}

void add_edge(Node& node, const Tensor& x) {
  if (x.requires_grad())
    node.edges.emplace_back(edge_of(x));
  else
    node.edges.emplace_back();
}

// What an in-place call has overwritten is saved as it was before: reading it is then an error.
SavedTensor save_argument(const Call& call, const Tensor& x) {
  SavedTensor saved = save(x);
  const Tensor& target = call.destination;
  if (target && target.impl()->storage == x.impl()->storage)
    saved.version = call.destination_version;
  return saved;
}

void keep_argument(Node& node, const Call& call, size_t i) {
  const Value& value = call.values[i];
  const bool saved = reads_argument(call, i);
  if (value.is_tensor()) {
    const Tensor& x = value.tensor();
    const Edge& edge = node.edges[node.edges.size() - 1];
    if (saved) {
      node.checked.emplace_back(save_argument(call, x));
      node.values.emplace_back(x);
    } else if (edge.leaf) {
      node.values.emplace_back(x);  // the edge keeps it alive anyway
    } else {
      node.values.emplace_back(shape_only(x));
    }
    return;
  }
  if (value.kind() != ValueKind::tensors) {
    node.values.emplace_back(value);
    return;
  }
  std::vector<Tensor> kept;
  for (const Tensor& x : value.tensors()) {
    if (saved) node.checked.emplace_back(save_argument(call, x));
    kept.push_back(saved ? x : shape_only(x));
  }
  node.values.emplace_back(std::move(kept));
}

NodeRef make_node(Call& call) {
  NodeRef node = new_node(call.operation);
  for (size_t i = 0; i < call.values.size(); ++i) {
    const Value& value = call.values[i];
    if (value.is_tensor()) add_edge(*node, value.tensor());
    if (value.kind() == ValueKind::tensors)
      for (const Tensor& x : value.tensors()) add_edge(*node, x);
    keep_argument(*node, call, i);
  }
  for (const Tensor& x : call.saved) node->saved.emplace_back(save(x));
  node->sequence = take_sequence();
  return node;
}

void keep_outputs(Node& node, std::span<const Tensor> outputs) {
  const bool saved = node.operation->native->saves_outputs;
  if (!saved && outputs.size() == 1) return;
  for (const Tensor& output : outputs) {
    if (saved)
      node.outputs.emplace_back(save(alias(output)));
    else
      node.outputs.emplace_back(SavedTensor{shape_only(output), 0, 0});
  }
}

void attach(const Tensor& output, const NodeRef& node, int index) {
  AutogradMeta& meta = autograd_meta(output);
  meta.grad_fn = node;
  meta.output = index;
  output.impl()->requires_grad = true;
}

}  // namespace

Node::~Node() {
  if (!hooks) return;
  python_hooks().clear(*hooks);
  delete hooks;
}

bool Node::enter() {
  if (!(readers_.fetch_add(1, std::memory_order_acquire) & kReleased)) return true;
  readers_.fetch_sub(1, std::memory_order_relaxed);
  return false;
}

void Node::leave(bool release) {
  if (release) readers_.fetch_or(kReleased, std::memory_order_relaxed);
  if (readers_.fetch_sub(1, std::memory_order_acq_rel) != (kReleased | 1u)) return;
  values.clear();
  checked.clear();
  saved.clear();
  outputs.clear();
  // Hooks will not run again. One that refers to its own tensor would keep both alive for ever.
  if (hooks) python_hooks().clear(*hooks);
}

// Freed by a loop: a chain of a million operations must not become a recursion of that depth. The
// list runs through `sequence`, which nobody reads any more.
void Node::destroy(Node* node) {
  static thread_local Node* pending = nullptr;
  static thread_local bool running = false;
  if (running) {
    node->sequence = reinterpret_cast<uintptr_t>(std::exchange(pending, node));
    return;
  }
  running = true;
  destroy_now(node);
  while (pending) {
    Node* next = pending;
    pending = reinterpret_cast<Node*>(static_cast<uintptr_t>(next->sequence));
    destroy_now(next);
  }
  running = false;
}

AutogradMeta& autograd_meta(const Tensor& x) {
  // Two threads may ask at once for a tensor that has none yet.
  std::atomic_ref<AutogradMeta*> place(x.impl()->autograd);
  AutogradMeta* meta = place.load(std::memory_order_acquire);
  if (meta) return *meta;
  AutogradMeta* fresh = new (Recycler<AutogradMeta>::allocate()) AutogradMeta;
  if (place.compare_exchange_strong(meta, fresh, std::memory_order_acq_rel)) return *fresh;
  fresh->~AutogradMeta();
  Recycler<AutogradMeta>::release(fresh);
  return *meta;
}

namespace {

// Guards all tensors' `grad` for the few instructions that copy or exchange the pointer.
class GradLock {
 public:
  GradLock() {
    while (taken().test_and_set(std::memory_order_acquire)) std::this_thread::yield();
  }
  ~GradLock() { taken().clear(std::memory_order_release); }
  GradLock(const GradLock&) = delete;
  GradLock& operator=(const GradLock&) = delete;

 private:
  static std::atomic_flag& taken() {
    static std::atomic_flag flag;
    // A child of fork must not inherit the flag as another thread of the parent had set it.
    static const int installed = pthread_atfork(nullptr, nullptr, [] { flag.clear(); });
    static_cast<void>(installed);
    return flag;
  }
};

}  // namespace

Tensor load_grad(const Tensor& x) {
  const AutogradMeta* meta = x.impl()->autograd;
  if (!meta) return {};
  const GradLock lock;
  return meta->grad;
}

Tensor exchange_grad(const Tensor& x, Tensor grad) {
  if (!grad && !x.impl()->autograd) return {};
  AutogradMeta& meta = autograd_meta(x);
  const GradLock lock;
  return std::exchange(meta.grad, std::move(grad));
}

bool place_grad(const Tensor& x, const Tensor& grad) {
  AutogradMeta& meta = autograd_meta(x);
  const GradLock lock;
  if (meta.grad) return false;
  meta.grad = grad;
  return true;
}

void exchange_data(const Tensor& x, const Tensor& source) {
  TensorImpl& target = *x.impl();
  // x.data -= y assigns the memory that is there already.
  if (target.storage == source.impl()->storage && target.dtype == source.dtype() &&
      target.offset == source.offset() && target.shape == source.shape() &&
      target.strides == source.strides())
    return;
  if (thread_state().backward_depth > 0)
    fail(ErrorKind::gradient,
         "data: the memory of a tensor cannot be exchanged while backward runs, from a hook or an "
         "observer. Expected an exchange outside of it. Fix: write the values with x.copy_(y).");
  const AutogradMeta* meta = target.autograd;
  if (meta && (meta->grad_fn || meta->view.base))
    fail(ErrorKind::gradient,
         "data: the memory under a view or under the result of an operation cannot be exchanged. "
         "Expected a leaf. Fix: write the values with x.copy_(y), or use x.detach().");
  if (target.requires_grad && !is_inexact(source.dtype()))
    fail(ErrorKind::dtype, "data: a tensor that requires grad was given ", name(source.dtype()),
         " memory. Expected a floating-point or complex dtype. Fix: convert the values first.");
  if (const Tensor grad = load_grad(x);
      grad && !(grad.shape() == source.shape() && grad.dtype() == source.dtype() &&
                grad.device() == source.device()))
    fail(ErrorKind::shape, "data: memory of shape ", source.shape(), " and dtype ",
         name(source.dtype()), " does not fit the tensor's grad of shape ", grad.shape(),
         " and dtype ", name(grad.dtype()),
         ". Expected the same shape, dtype and device. Fix: set x.grad = None first.");
  static_cast<void>(source.address());
  const TensorImpl& from = *source.impl();
  target.storage = from.storage;
  target.shape = from.shape;
  target.strides = from.strides;
  target.offset = from.offset;
  target.elements = from.elements;
  target.dtype = from.dtype;
  target.device = from.device;
  target.contiguous = from.contiguous;
  ++target.exchanges;
}

void become_view(const Tensor& x, const Tensor& view, std::string_view place) {
  TensorImpl& target = *x.impl();
  const TensorImpl& from = *view.impl();
  if (!(target.storage == from.storage) || target.dtype != from.dtype)
    fail(
        ErrorKind::argument, place, ": another shape of ", target.shape,
        " needs a copy of its memory. Expected a view of the tensor. Fix: use the form without _.");
  if (x.requires_grad() && is_leaf(x) && (thread_state().grad_enabled || load_grad(x)))
    fail(
        ErrorKind::gradient, place,
        ": a leaf that requires grad is given another shape. Expected a result of an operation, or "
        "a leaf without grad under samara.no_grad(). Fix: use the form without _.");
  if (x.requires_grad() && !is_leaf(x) && !thread_state().grad_enabled)
    fail(ErrorKind::gradient, place,
         ": a tensor in a graph is given another shape while nothing is recorded. Expected it "
         "outside of no_grad. Fix: use x.detach(), or the form without _.");
  if (x.requires_grad() && !is_leaf(x)) {
    const AutogradMeta& source = autograd_meta(view);
    AutogradMeta& meta = autograd_meta(x);
    meta.grad_fn = source.grad_fn;
    meta.output = source.output;
    if (meta.view.base) meta.view.generation = autograd_meta(meta.view.base).generation;
  } else if (x.requires_grad()) {
    ++target.exchanges;  // graphs that were recorded with the former shape are stale
  }
  target.shape = from.shape;
  target.strides = from.strides;
  target.offset = from.offset;
  target.elements = from.elements;
  target.contiguous = from.contiguous;
  // Saved for a backward pass, it has another shape now: as wrong to read as other values.
  if (target.storage && !target.storage->read_only) mark_written(x, place);
}

void detach_in_place(const Tensor& x) {
  AutogradMeta* meta = x.impl()->autograd;
  if (meta && meta->view.base && x.requires_grad())
    fail(ErrorKind::gradient,
         "detach_: a view cannot leave the graph of its base. Expected a tensor with memory of its "
         "own. Fix: use x.detach().");
  if (meta) {
    meta->grad_fn = {};
    meta->output = 0;
    ++meta->generation;
  }
  x.impl()->requires_grad = false;
}

void release_autograd(TensorImpl* impl) {
  AutogradMeta* meta = std::exchange(impl->autograd, nullptr);
  for (const Hook& hook : meta->hooks) python_hooks().drop(hook.function);
  meta->~AutogradMeta();
  Recycler<AutogradMeta>::release(meta);
}

bool is_leaf(const Tensor& x) { return !grad_fn(x); }

NodeRef grad_fn(const Tensor& x) {
  const AutogradMeta* meta = x.impl()->autograd;
  if (!meta) return {};
  if (meta->view.base && x.requires_grad()) return edge_of(x).node;
  return meta->grad_fn;
}

void set_requires_grad(const Tensor& x, bool requires_grad) {
  if (requires_grad && !is_inexact(x.dtype()))
    fail(ErrorKind::dtype, "requires_grad: a tensor of dtype ", name(x.dtype()),
         " has no gradient. Expected a floating-point or complex dtype. Fix: convert it first, "
         "e.g. x.to(samara.float32).");
  if (!requires_grad && !is_leaf(x))
    fail(ErrorKind::gradient,
         "requires_grad: only a leaf can stop requiring a gradient, and this tensor is the result "
         "of '",
         grad_fn(x)->operation->name, "'. Expected a leaf. Fix: use x.detach().");
  x.impl()->requires_grad = requires_grad;
}

Tensor detach(const Tensor& x) { return alias(x); }

bool any_requires_grad(std::span<const Value> values) {
  for (const Value& value : values) {
    if (value.is_tensor() && value.tensor().requires_grad()) return true;
    if (value.kind() == ValueKind::tensors)
      for (const Tensor& x : value.tensors())
        if (x.requires_grad()) return true;
  }
  return false;
}

bool reads_argument(const Call& call, size_t i) {
  const NativeOperation& native = *call.operation.native;
  if (!(native.saved_inputs >> i & 1u)) return false;
  if (!(native.saved_for_other >> i & 1u)) return true;
  const Value& other = call.values[1 - i];
  return other.is_tensor() && other.tensor().requires_grad();
}

void record(Call& call) {
  bool any_inexact = false;
  for (const Tensor& output : call.outputs) any_inexact |= is_inexact(output.dtype());
  if (!any_inexact) return;
  NodeRef node = make_node(call);
  keep_outputs(*node, call.outputs.span());
  for (int i = 0; i < call.outputs.size(); ++i)
    if (is_inexact(call.outputs[i].dtype())) attach(call.outputs[i], node, i);
}

void link_view(const Tensor& view, const Tensor& base) {
  const AutogradMeta* base_meta = base.impl()->autograd;
  const Tensor& root = base_meta && base_meta->view.base ? base_meta->view.base : base;
  // A reshape that had to copy shows nobody's memory.
  if (view.impl() == root.impl() || !(view.impl()->storage == root.impl()->storage)) return;
  ViewOf& link = autograd_meta(view).view;
  link.base = root;
  link.generation = autograd_meta(root).generation;
}

void check_in_place(const Operation& operation, const Tensor& target, bool records) {
  if (has_internal_overlap(target))
    fail(ErrorKind::argument, operation.name,
         ": the target is an expanded view, several of its elements share one place in memory. "
         "Expected a tensor with memory of its own. Fix: write to x.clone().");
  if (target.impl()->storage && target.impl()->storage->read_only)
    mark_written(target, operation.name);
  if (!records || !thread_state().grad_enabled) return;
  if (target.impl()->unrecorded_view)
    fail(
        ErrorKind::gradient, operation.name,
        ": a view that was made under no_grad is edited while gradients are recorded, and its base "
        "would not know. Expected both inside or both outside of no_grad. Fix: take the view "
        "outside, or edit it inside.");
  const AutogradMeta* meta = target.impl()->autograd;
  const bool is_view = meta && meta->view.base;
  const Tensor& root = is_view ? meta->view.base : target;
  if (root.requires_grad() && is_leaf(root))
    fail(ErrorKind::gradient, operation.name, ": ",
         is_view ? "a view of a leaf that requires grad" : "a leaf that requires grad",
         " is edited in place while gradients are recorded. Expected an edit outside the graph. "
         "Fix: wrap it in `with samara.no_grad():`, or use the out-of-place form.");
  if (!is_inexact(target.dtype()))
    fail(ErrorKind::dtype, operation.name, ": a result that requires grad is written into a ",
         name(target.dtype()),
         " tensor. Expected a floating-point target. Fix: convert the target first.");
  if (is_view) require_contiguous_base(root, operation.name);
}

void rebase_history(Call& call, const Tensor& target) {
  NodeRef node = make_node(call);
  keep_outputs(*node, std::span<const Tensor>(&target, 1));
  AutogradMeta& meta = autograd_meta(target);
  const Tensor base = meta.view.base;
  if (!base) {
    attach(target, node, 0);
    ++meta.generation;
    return;
  }
  NodeRef write = new_node(set_view_operation());
  if (base.requires_grad())
    write->edges.emplace_back(edge_of(base));
  else
    write->edges.emplace_back();
  write->edges.emplace_back(Edge{node, 0, Tensor()});
  write->values.emplace_back(shape_only(base));
  write->values.emplace_back(shape_only(target));
  write->values.emplace_back(target.shape());
  write->values.emplace_back(target.strides());
  write->values.emplace_back(target.offset() - base.offset());
  write->sequence = take_sequence();
  attach(base, write, 0);
  const uint32_t generation = ++autograd_meta(base).generation;
  attach(target, view_node(target, base), 0);
  meta.view.generation = generation;
}

// --- what backward functions see ---------------------------------------------------------------

namespace {

int edge_index(const Node& node, int argument) {
  int index = 0;
  for (int i = 0; i < argument; ++i) {
    const Value& value = node.values[i];
    if (value.is_tensor()) ++index;
    if (value.kind() == ValueKind::tensors) index += static_cast<int>(value.tensors().size());
  }
  return index;
}

}  // namespace

const Value& BackwardCall::operator[](int i) const { return node.values[i]; }
const Tensor& BackwardCall::tensor(int i) const { return node.values[i].tensor(); }
Tensor BackwardCall::optional_tensor(int i) const {
  return node.values[i].is_tensor() ? node.values[i].tensor() : Tensor();
}
Tensor BackwardCall::output(int i) const {
  const Tensor& kept = node.outputs[i].tensor;
  const bool attaches = kept.impl()->storage && is_inexact(kept.dtype());
  if (!thread_state().grad_enabled || !attaches) return kept;
  // A node must not own a tensor that owns the node, so each call gets its own.
  const Tensor attached = alias(kept);
  attach(attached, NodeRef(&node), i);
  return attached;
}
const Tensor& BackwardCall::saved(int i) const { return node.saved[i].tensor; }
bool BackwardCall::needs(int i, int k) const {
  const ValueKind kind = node.values[i].kind();
  if (kind != ValueKind::tensor && kind != ValueKind::tensors) return false;
  return node.edges[edge_index(node, i) + k].valid();
}
void BackwardCall::set(int i, int k, Tensor gradient) {
  input_gradients[static_cast<size_t>(edge_index(node, i) + k)] = std::move(gradient);
}

PythonHooks& python_hooks() {
  static PythonHooks hooks;
  return hooks;
}

std::vector<Tensor> graph_leaves(const Tensor& root) {
  std::vector<Tensor> leaves;
  std::unordered_set<const void*> seen;
  std::vector<Node*> stack;
  const Edge first = edge_of(root);
  const auto visit = [&](const Edge& edge) {
    if (edge.leaf && edge.leaf.requires_grad() && seen.insert(edge.leaf.impl()).second)
      leaves.push_back(edge.leaf);
    if (edge.node && seen.insert(edge.node.get()).second) stack.push_back(edge.node.get());
  };
  visit(first);
  while (!stack.empty()) {
    Node* node = stack.back();
    stack.pop_back();
    for (const Edge& edge : node->edges) visit(edge);
  }
  return leaves;
}

}  // namespace samara
