// The walk over the tape: from the roots down, each node once, in the reverse order of recording.
#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "core/autograd.h"

namespace samara {
namespace {

const NativeCall add("add");
const NativeCall add_in_place("add", NativeCall::kInPlace);
const NativeCall sum_to("sum_to");
const NativeCall cast("astype");
const NativeCall zeros_like("zeros_like");
const NativeCall clone("clone");

struct NodeWork {
  Node* node;
  bool needed = false;    // a gradient that is wanted lies behind it
  bool captured = false;  // one of its outputs is wanted
  InlineList<Tensor, 1> outputs;
};

struct LeafWork {
  Tensor leaf;
  Tensor sum;
  bool hooked = false;
};

// Keeps the values that a node saved for as long as its rule runs.
class Reading {
 public:
  Reading(Node& node, bool release) : node_(node), release_(release) {
    if (node.enter()) return;
    fail(ErrorKind::gradient, "backward: the graph through '", node.operation->name,
         "' was freed by an earlier backward. Expected a graph that still holds its saved "
         "tensors. Fix: run the forward pass again, or pass retain_graph=True the first time.");
  }
  ~Reading() { node_.leave(release_ && done_); }
  void done() { done_ = true; }
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;

 private:
  Node& node_;
  const bool release_;
  bool done_ = false;
};

struct Depth {
  Depth() { ++thread_state().backward_depth; }
  ~Depth() { --thread_state().backward_depth; }
};

class Walk {
 public:
  Walk(std::span<const Tensor> inputs, const BackwardOptions& options)
      : options_(options), inputs_(inputs) {}

  std::vector<Tensor> run(std::span<const Tensor> roots, std::span<const Tensor> gradients) {
    GradMode mode(options_.create_graph);
    const Depth depth;
    // A hook may change the roots' history while the walk goes on: their edges keep the nodes
    // alive.
    std::vector<Edge> root_edges;
    for (const Tensor& root : roots) root_edges.push_back(edge_for(root));
    for (const Edge& edge : root_edges) visit(edge);
    collect();
    for (const Tensor& input : inputs_) input_edges_.push_back(edge_for(input));
    results_.resize(inputs_.size());
    mark_needed();
    for (size_t i = 0; i < roots.size(); ++i) deliver(root_edges[i], gradients[i]);
    for (NodeWork* work : order_) step(*work);
    for (size_t i = 0; i < input_edges_.size(); ++i) {
      if (!input_edges_[i].leaf) continue;
      const auto found = leaves_.find(input_edges_[i].leaf.impl());
      if (found != leaves_.end()) results_[i] = run_hooks(found->second);
    }
    if (options_.accumulate)
      for (TensorImpl* leaf : leaf_order_) accumulate_into_leaf(leaves_[leaf]);
    return std::move(results_);
  }

 private:
  static Edge edge_for(const Tensor& x) {
    if (NodeRef node = grad_fn(x)) return {node, x.impl()->autograd->output, Tensor()};
    return {nullptr, 0, x};
  }

  void visit(const Edge& edge) {
    if (!edge.node) return;
    const auto [found, fresh] = works_.try_emplace(edge.node.get());
    if (!fresh) return;
    found->second.node = edge.node.get();
    stack_.push_back(&found->second);
  }

  void collect() {
    while (!stack_.empty()) {
      NodeWork* work = stack_.back();
      stack_.pop_back();
      order_.push_back(work);
      for (const Edge& edge : work->node->edges) visit(edge);
    }
    std::sort(order_.begin(), order_.end(), [](const NodeWork* a, const NodeWork* b) {
      return a->node->sequence > b->node->sequence;
    });
  }

  // Nodes that lead to none of the inputs are left alone: their values stay, and may be gone.
  void mark_needed() {
    std::unordered_set<const void*> wanted;
    for (const Edge& edge : input_edges_) {
      if (edge.leaf) wanted.insert(edge.leaf.impl());
      const auto found = works_.find(edge.node.get());
      if (found != works_.end()) found->second.captured = true;
    }
    // From the oldest on, so that a node's own edges are known already.
    for (auto it = order_.rbegin(); it != order_.rend(); ++it) {
      NodeWork& work = **it;
      work.needed = options_.accumulate;
      for (const Edge& edge : work.node->edges) {
        if (work.needed) break;
        if (edge.leaf) work.needed = wanted.contains(edge.leaf.impl());
        if (!edge.node) continue;
        const NodeWork& target = works_.find(edge.node.get())->second;
        work.needed = target.needed || target.captured;
      }
    }
  }

  static void accumulate(Tensor& sum, const Tensor& gradient) {
    sum = sum ? add(sum, gradient) : gradient;
  }

  void deliver(const Edge& edge, const Tensor& gradient) {
    if (!gradient) return;
    if (edge.node) {
      NodeWork& work = works_.find(edge.node.get())->second;
      if (!work.needed && !work.captured) return;
      if (work.outputs.size() <= edge.output) work.outputs.resize(edge.output + 1);
      accumulate(work.outputs[edge.output], gradient);
      return;
    }
    if (!edge.leaf || !edge.leaf.requires_grad()) return;
    const auto [found, fresh] = leaves_.try_emplace(edge.leaf.impl());
    if (fresh) {
      found->second.leaf = edge.leaf;
      leaf_order_.push_back(edge.leaf.impl());
    }
    accumulate(found->second.sum, gradient);
  }

  [[noreturn, gnu::cold]] static void exchanged(const Node& node, const Tensor& x) {
    fail(ErrorKind::gradient, "backward: the memory under a tensor of shape ", x.shape(), " that '",
         node.operation->name,
         "' took was exchanged after the forward pass (x.data = ...). Expected the tensor of the "
         "forward pass. Fix: exchange it before the forward pass or after backward.");
  }

  static void check_version(const Node& node, const SavedTensor& saved) {
    if (!saved.tensor.impl()->storage) return;
    if (saved.tensor.impl()->exchanges != saved.exchanges) exchanged(node, saved.tensor);
    if (saved.tensor.version() == saved.version) return;
    const std::string* line = saved.tensor.impl()->storage->last_write.load();
    fail(ErrorKind::gradient, "backward: a tensor of shape ", saved.tensor.shape(), " and dtype ",
         name(saved.tensor.dtype()), " that '", node.operation->name,
         "' needs for its gradient was changed in place after the forward pass",
         line ? " at " + *line : std::string(), " (version ", saved.tensor.version(),
         ", saved at version ", saved.version,
         "). Expected the values of the forward pass. Fix: use the out-of-place operation, or "
         "edit x.clone().");
  }

  void check(const Node& node) {
    for (const Edge& edge : node.edges)
      if (edge.leaf && static_cast<int>(edge.leaf.impl()->exchanges) != edge.output)
        exchanged(node, edge.leaf);
    for (const SavedTensor& saved : node.checked) check_version(node, saved);
    for (const SavedTensor& saved : node.saved) check_version(node, saved);
    for (const SavedTensor& saved : node.outputs) check_version(node, saved);
  }

  void differentiate(BackwardCall& call) {
    const Operation& operation = *call.node.operation;
    const NativeOperation* native = operation.native;
    const bool native_can =
        native && native->backward && (!options_.create_graph || native->backward_records);
    if (native_can) {
      native->backward(call);
      return;
    }
    // Recorded only to end the history of what an in-place call overwrote.
    if (!operation.python_rule && !(native && native->backward)) return;
    if (!operation.python_rule)
      fail(ErrorKind::gradient, "backward: '", operation.name,
           "' has no rule for gradients of gradients. Expected create_graph=False. Fix: leave "
           "create_graph out, or write the operation with others that have one.");
    python_hooks().call_rule(call);
  }

  // A rule may return the gradient of a broadcast or promoted argument in the result's form.
  Tensor conform(const Node& node, int edge, Tensor gradient) {
    if (!gradient) return gradient;
    const Tensor& like = input_like(node, edge);
    if (!like) return gradient;
    static_cast<void>(gradient.address());  // fails for a shape without data
    if (!(gradient.device() == like.device()))
      fail(ErrorKind::device, "backward: the gradient of '", node.operation->name, "' is on '",
           to_text(gradient.device()), "' for an argument on '", to_text(like.device()),
           "'. Expected one device. Fix: move the gradient with x.to(device).");
    if (!(gradient.shape() == like.shape())) gradient = sum_to(gradient, like.shape());
    if (gradient.dtype() != like.dtype()) gradient = cast(gradient, like.dtype());
    return gradient;
  }

  static const Tensor& input_like(const Node& node, int edge) {
    static const Tensor none;
    for (const Value& value : node.values) {
      if (value.is_tensor() && edge-- == 0) return value.tensor();
      if (value.kind() != ValueKind::tensors) continue;
      const int count = static_cast<int>(value.tensors().size());
      if (edge < count) return value.tensors()[static_cast<size_t>(edge)];
      edge -= count;
    }
    return none;
  }

  void step(NodeWork& work) {
    Node& node = *work.node;
    if (work.outputs.empty()) return;
    if (!work.needed) {
      for (int i = 0; i < work.outputs.size(); ++i)
        capture(node, i, run_node_hooks(node, i, std::move(work.outputs[i])));
      return;
    }
    Reading reading(node, !options_.retain_graph && !options_.create_graph);
    // Several outputs: those nobody used contribute zeros.
    if (node.outputs.size() > 1) work.outputs.resize(node.outputs.size());
    InlineList<bool, 2> filled;
    for (int i = 0; i < work.outputs.size(); ++i) {
      filled.push_back(!work.outputs[i]);
      if (filled[i] && node.outputs.size() > 1 && is_inexact(node.outputs[i].tensor.dtype()))
        work.outputs[i] = zeros_like(node.outputs[i].tensor);
    }
    InlineList<Tensor, 2> gradients;
    for (int i = 0; i < work.outputs.size(); ++i) {
      gradients.push_back(run_node_hooks(node, i, std::move(work.outputs[i])));
      if (work.captured && !filled[i]) capture(node, i, gradients[i]);
    }
    work.outputs.clear();
    check(node);  // after the hooks, which may edit tensors
    InlineList<Tensor, 4> results;
    results.resize(node.edges.size());
    BackwardCall call{node, gradients.span(), results.span()};
    differentiate(call);
    for (int i = 0; i < node.edges.size(); ++i) {
      if (!node.edges[i].valid()) continue;
      deliver(node.edges[i], conform(node, i, std::move(results[i])));
    }
    reading.done();
  }

  // What hooks made of the gradient of a node's output goes to those who asked for it.
  void capture(const Node& node, int output, const Tensor& gradient) {
    for (size_t i = 0; i < input_edges_.size(); ++i)
      if (input_edges_[i].node.get() == &node && input_edges_[i].output == output)
        results_[i] = gradient;
  }

  static Tensor run_node_hooks(const Node& node, int output, Tensor gradient) {
    if (!node.hooks || !gradient) return gradient;
    return python_hooks().call_hooks(*node.hooks, output, std::move(gradient));
  }

  Tensor run_hooks(LeafWork& work) {
    const AutogradMeta* meta = work.leaf.impl()->autograd;
    if (meta && !meta->hooks.empty() && !work.hooked) {
      work.sum = python_hooks().call_hooks(meta->hooks, 0, std::move(work.sum));
      work.hooked = true;
    }
    return work.sum;
  }

  void accumulate_into_leaf(LeafWork& work) {
    Tensor gradient = run_hooks(work);
    work.sum = Tensor();
    // Several threads may add to one leaf: each takes the sum away, adds to it and puts it back.
    for (bool owned = options_.create_graph;; owned = true) {
      if (const Tensor sum = exchange_grad(work.leaf, Tensor())) {
        try {
          gradient = options_.create_graph ? add(sum, gradient) : add_in_place(sum, gradient);
        } catch (...) {
          place_grad(work.leaf, sum);
          throw;
        }
      } else if (!owned) {
        // Another holder of the same tensor must not see later accumulation.
        const bool shared = gradient.impl()->reference_count() > 1 ||
                            gradient.impl()->storage->reference_count() > 1;
        if (shared || !gradient.is_contiguous()) gradient = clone(gradient);
      }
      if (place_grad(work.leaf, gradient)) return;
    }
  }

  const BackwardOptions& options_;
  std::span<const Tensor> inputs_;
  std::vector<Edge> input_edges_;
  std::vector<Tensor> results_;
  std::unordered_map<Node*, NodeWork> works_;
  std::unordered_map<TensorImpl*, LeafWork> leaves_;
  std::vector<TensorImpl*> leaf_order_;
  std::vector<NodeWork*> stack_;
  std::vector<NodeWork*> order_;
};

}  // namespace

std::vector<Tensor> run_backward(std::span<const Tensor> roots, std::span<const Tensor> gradients,
                                 std::span<const Tensor> inputs, const BackwardOptions& options) {
  for (const Tensor& root : roots)
    if (!root.requires_grad())
      fail(ErrorKind::gradient,
           "backward: the tensor does not require grad and is not the result of an operation on "
           "one that does. Expected a loss computed from parameters. Fix: check that the inputs "
           "have requires_grad=True and that the loss is not computed under no_grad or from "
           "detached tensors.");
  Walk walk(inputs, options);
  return walk.run(roots, gradients);
}

}  // namespace samara
