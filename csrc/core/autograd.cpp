#include "core/autograd.h"

#include <algorithm>
#include <atomic>
#include <unordered_set>

namespace samara {
namespace {

std::atomic<uint64_t> next_sequence{1};

NodeRef new_node(const Operation& operation) {
  Node* node = new (Recycler<Node>::allocate()) Node;
  node->operation = &operation;
  node->sequence = next_sequence.fetch_add(1, std::memory_order_relaxed);
  return NodeRef(node);
}

SavedTensor save(const Tensor& x) {
  x.impl()->storage->saved_for_backward.store(true, std::memory_order_relaxed);
  return {x, x.version()};
}

// Nodes that the current thread is freeing; a list, since a chain of a million operations must not
// become a recursion of that depth.
thread_local std::vector<Node*>* pending_destruction = nullptr;

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
  NodeRef node = new_node(as_strided_operation());
  node->edges.emplace_back(edge_of(base));
  node->values.emplace_back(shape_only(base));
  node->values.emplace_back(view.shape());
  node->values.emplace_back(view.strides());
  node->values.emplace_back(view.offset() - base.offset());
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
  return {nullptr, 0, x};
}

void add_edge(Node& node, const Tensor& x) {
  if (x.requires_grad())
    node.edges.emplace_back(edge_of(x));
  else
    node.edges.emplace_back();
}

void keep_argument(Node& node, const Value& value, bool saved) {
  if (value.is_tensor()) {
    const Tensor& x = value.tensor();
    const Edge& edge = node.edges[node.edges.size() - 1];
    if (saved) {
      node.checked.emplace_back(save(x));
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
    if (saved) node.checked.emplace_back(save(x));
    kept.push_back(saved ? x : shape_only(x));
  }
  node.values.emplace_back(std::move(kept));
}

NodeRef make_node(Call& call) {
  NodeRef node = new_node(call.operation);
  const NativeOperation& native = *call.operation.native;
  for (size_t i = 0; i < call.values.size(); ++i) {
    const Value& value = call.values[i];
    if (value.is_tensor()) add_edge(*node, value.tensor());
    if (value.kind() == ValueKind::tensors)
      for (const Tensor& x : value.tensors()) add_edge(*node, x);
    keep_argument(*node, value, native.saved_inputs >> i & 1u);
  }
  for (const Tensor& x : call.saved) node->saved.emplace_back(save(x));
  return node;
}

void keep_outputs(Node& node, std::span<const Tensor> outputs) {
  const bool saved = node.operation->native->saves_outputs;
  if (!saved && outputs.size() == 1) return;
  for (const Tensor& output : outputs) {
    if (saved)
      node.outputs.emplace_back(save(alias(output)));
    else
      node.outputs.emplace_back(SavedTensor{shape_only(output), 0});
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
  for (const auto& [output, hook] : *hooks) python_hooks().drop(hook);
  delete hooks;
}

void Node::release_saved() {
  values.clear();
  checked.clear();
  saved.clear();
  outputs.clear();
  released = true;
}

void Node::destroy(Node* node) {
  if (pending_destruction) {
    pending_destruction->push_back(node);
    return;
  }
  std::vector<Node*> pending;
  pending_destruction = &pending;
  destroy_now(node);
  while (!pending.empty()) {
    Node* next = pending.back();
    pending.pop_back();
    destroy_now(next);
  }
  pending_destruction = nullptr;
}

AutogradMeta& autograd_meta(const Tensor& x) {
  TensorImpl* impl = x.impl();
  if (!impl->autograd) impl->autograd = new (Recycler<AutogradMeta>::allocate()) AutogradMeta;
  return *impl->autograd;
}

void release_autograd(TensorImpl* impl) {
  AutogradMeta* meta = std::exchange(impl->autograd, nullptr);
  for (void* hook : meta->hooks) python_hooks().drop(hook);
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
