#include "cpu/onednn_convolution.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <list>
#include <mutex>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cpu/onednn_common.h"

namespace samara::onednn {

class Convolution {
 public:
  Primitive primitive;
  PrimitiveDescription description;
  Description plain;  // the weights, or their gradient, in row-major order
  std::int64_t order = 0;
  std::size_t weight_bytes = 0, scratch_bytes = 0;
  std::int64_t multiplications = 0;
  Pass pass = Pass::forward;
  std::string_view name;

  const_dnnl_memory_desc_t query(dnnl_query_t what, int index = 0) const {
    return dnnl_primitive_desc_query_md(description.get(), what, index);
  }
  const_dnnl_memory_desc_t weights() const {
    return pass == Pass::weight_gradient ? query(dnnl_query_diff_weights_md)
                                         : query(dnnl_query_weights_md);
  }
};

namespace {

using Sizes = std::vector<dnnl_dim_t>;

// --- orders of weights ---

// Every order met, numbered from 1. There are a few dozen at most.
class Orders {
 public:
  std::int64_t number_of(const_dnnl_memory_desc_t order) {
    const std::lock_guard lock(mutex_);
    std::int64_t number = 0;
    for (const Description& known : known_)
      if (++number; dnnl_memory_desc_equal(known.get(), order)) return number;
    if (dnnl_memory_desc_clone(known_.emplace_back().out(), order) != dnnl_success) return 0;
    return number + 1;
  }
  // The list only grows, and its elements stay where they are.
  const_dnnl_memory_desc_t at(std::int64_t number) {
    const std::lock_guard lock(mutex_);
    auto it = known_.begin();
    std::advance(it, number - 1);
    return it->get();
  }

 private:
  std::mutex mutex_;
  std::list<Description> known_;
};

// --- making a kernel ---

Sizes last_axes(const Sizes3& sizes, std::int64_t spatial, std::int64_t less = 0) {
  Sizes kept;
  for (std::int64_t axis = 3 - spatial; axis < 3; ++axis)
    kept.push_back(sizes[static_cast<std::size_t>(axis)] - less);
  return kept;
}

// [images, channels, *sizes] with the channels innermost.
bool describe_image(Description& to, std::int64_t images, std::int64_t channels, const Sizes& sizes,
                    dnnl_data_type_t type) {
  Sizes dims{images, channels};
  dims.insert(dims.end(), sizes.begin(), sizes.end());
  Sizes strides(dims.size(), 1);
  dnnl_dim_t step = channels;
  for (std::size_t axis = dims.size() - 1; axis >= 2; --axis) {
    strides[axis] = step;
    step *= dims[axis];
  }
  strides[0] = step;
  return dnnl_memory_desc_create_with_strides(to.out(), static_cast<int>(dims.size()), dims.data(),
                                              type, strides.data()) == dnnl_success;
}

struct Descriptions {
  Description x, weight, bias, y, plain;
  Sizes stride, dilation, begin, end;
};

bool describe(const ConvolutionRequest& request, Orders& orders, Descriptions& made) {
  const ConvolutionShape& s = request.shape;
  const dnnl_data_type_t type = request.bfloat16 ? dnnl_bf16 : dnnl_f32;
  const dnnl_data_type_t weight_type = request.pass == Pass::weight_gradient ? dnnl_f32 : type;
  Sizes dims;
  if (s.groups > 1) dims.push_back(s.groups);
  dims.push_back(s.group_out());
  dims.push_back(s.group_in());
  for (const dnnl_dim_t size : last_axes(s.kernel, s.spatial)) dims.push_back(size);
  const int rank = static_cast<int>(dims.size());
  Sizes strides(dims.size(), 1);
  for (std::size_t axis = dims.size() - 1; axis > 0; --axis)
    strides[axis - 1] = strides[axis] * dims[axis];
  const dnnl_dim_t out_channels = s.out_channels;
  made.stride = last_axes(s.stride, s.spatial);
  made.dilation = last_axes(s.dilation, s.spatial, 1);
  made.begin = last_axes(s.begin, s.spatial);
  made.end = last_axes(s.end, s.spatial);
  const bool weights =
      request.weight_order != 0
          ? dnnl_memory_desc_clone(made.weight.out(), orders.at(request.weight_order)) ==
                dnnl_success
          : dnnl_memory_desc_create_with_tag(made.weight.out(), rank, dims.data(), weight_type,
                                             dnnl_format_tag_any) == dnnl_success;
  return weights &&
         dnnl_memory_desc_create_with_strides(made.plain.out(), rank, dims.data(), weight_type,
                                              strides.data()) == dnnl_success &&
         dnnl_memory_desc_create_with_tag(made.bias.out(), 1, &out_channels, dnnl_f32, dnnl_a) ==
             dnnl_success &&
         describe_image(made.x, s.images, s.in_channels, last_axes(s.in, s.spatial), type) &&
         describe_image(made.y, s.images, s.out_channels, last_axes(s.out, s.spatial), type);
}

bool set_attributes(const ConvolutionRequest& request, const Descriptions& descriptions,
                    Attributes& attributes) {
  if (dnnl_primitive_attr_create(attributes.out()) != dnnl_success ||
      dnnl_primitive_attr_set_scratchpad_mode(attributes.get(), dnnl_scratchpad_mode_user) !=
          dnnl_success)
    return false;
  if (!request.residual && !request.relu) return true;
  const float limit = std::bit_cast<float>(static_cast<std::int32_t>(request.limit));
  PostOperations after;
  return dnnl_post_ops_create(after.out()) == dnnl_success &&
         (!request.residual || dnnl_post_ops_append_binary(after.get(), dnnl_binary_add,
                                                           descriptions.y.get()) == dnnl_success) &&
         (!request.relu ||
          dnnl_post_ops_append_eltwise(after.get(),
                                       std::isinf(limit) ? dnnl_eltwise_relu : dnnl_eltwise_clip,
                                       0.0f, std::isinf(limit) ? 0.0f : limit) == dnnl_success) &&
         dnnl_primitive_attr_set_post_ops(attributes.get(), after.get()) == dnnl_success;
}

bool describe_primitive(const ConvolutionRequest& request, const Descriptions& d,
                        const_dnnl_primitive_attr_t attributes, PrimitiveDescription& made) {
  const auto forward = [&](PrimitiveDescription& to, const_dnnl_memory_desc_t weight,
                           dnnl_prop_kind_t kind) {
    return dnnl_convolution_forward_primitive_desc_create(
               to.out(), engine(), kind, dnnl_convolution_direct, d.x.get(), weight,
               request.bias ? d.bias.get() : nullptr, d.y.get(), d.stride.data(), d.dilation.data(),
               d.begin.data(), d.end.data(), attributes) == dnnl_success;
  };
  if (request.pass == Pass::forward) return forward(made, d.weight.get(), dnnl_forward_inference);
  // Backward kernels ask for a forward one as a hint, with weights in any order.
  PrimitiveDescription hint;
  ConvolutionRequest hinted = request;
  hinted.pass = Pass::forward;
  hinted.weight_order = 0;
  Descriptions h;
  static Orders none;
  if (!describe(hinted, none, h)) return false;
  if (dnnl_convolution_forward_primitive_desc_create(
          hint.out(), engine(), dnnl_forward_training, dnnl_convolution_direct, h.x.get(),
          h.weight.get(), nullptr, h.y.get(), h.stride.data(), h.dilation.data(), h.begin.data(),
          h.end.data(), nullptr) != dnnl_success)
    return false;
  if (request.pass == Pass::input_gradient)
    return dnnl_convolution_backward_data_primitive_desc_create(
               made.out(), engine(), dnnl_convolution_direct, d.x.get(), d.weight.get(), d.y.get(),
               d.stride.data(), d.dilation.data(), d.begin.data(), d.end.data(), hint.get(),
               attributes) == dnnl_success;
  return dnnl_convolution_backward_weights_primitive_desc_create(
             made.out(), engine(), dnnl_convolution_direct, d.x.get(), d.weight.get(), nullptr,
             d.y.get(), d.stride.data(), d.dilation.data(), d.begin.data(), d.end.data(),
             hint.get(), attributes) == dnnl_success;
}

ConvolutionRef make_convolution(const ConvolutionRequest& request, Orders& orders) {
  Descriptions descriptions;
  Attributes attributes;
  auto made = std::make_shared<Convolution>();
  if (!describe(request, orders, descriptions) ||
      !set_attributes(request, descriptions, attributes) ||
      !describe_primitive(request, descriptions, attributes.get(), made->description))
    return nullptr;
  const char* name = "";
  dnnl_primitive_desc_query(made->description.get(), dnnl_query_impl_info_str, 0, &name);
  made->name = name;
  // The reference kernels are far slower than a matrix product of copied windows.
  if (made->name.starts_with("ref") ||
      dnnl_primitive_create(made->primitive.out(), made->description.get()) != dnnl_success)
    return nullptr;
  made->pass = request.pass;
  made->multiplications = request.shape.multiplications();
  made->order = orders.number_of(made->weights());
  made->weight_bytes = dnnl_memory_desc_get_size(made->weights());
  made->scratch_bytes = dnnl_memory_desc_get_size(made->query(dnnl_query_scratchpad_md));
  std::swap(*made->plain.out(), *descriptions.plain.out());
  return made->order == 0 ? nullptr : ConvolutionRef(std::move(made));
}

// --- the kernels in use ---

struct HashRequest {
  std::size_t operator()(const ConvolutionRequest& request) const {
    static_assert(sizeof(ConvolutionRequest) % sizeof(std::uint64_t) == 0);
    std::array<std::uint64_t, sizeof(ConvolutionRequest) / sizeof(std::uint64_t)> words;
    std::memcpy(words.data(), &request, sizeof request);
    std::uint64_t hash = 0;
    for (const std::uint64_t word : words)
      hash = (hash ^ word) * 0x9e3779b97f4a7c15u + (hash >> 29);
    return hash;
  }
};

class Kernels {
 public:
  ConvolutionRef find(const ConvolutionRequest& request) {
    {
      const std::lock_guard lock(mutex_);
      const auto known = places_.find(request);
      if (known != places_.end()) {
        latest_.splice(latest_.begin(), latest_, known->second);
        return known->second->second;
      }
    }
    ConvolutionRef made = make_convolution(request, orders_);
    const std::lock_guard lock(mutex_);
    const auto [place, fresh] = places_.try_emplace(request);
    if (!fresh) return place->second->second;  // another thread was faster
    latest_.emplace_front(request, made);
    place->second = latest_.begin();
    if (latest_.size() > most) {
      places_.erase(latest_.back().first);
      latest_.pop_back();
    }
    return made;
  }

 private:
  static constexpr std::size_t most = 1024;
  using List = std::list<std::pair<ConvolutionRequest, ConvolutionRef>>;
  std::mutex mutex_;
  List latest_;  // the latest used first
  std::unordered_map<ConvolutionRequest, List::iterator, HashRequest> places_;
  Orders orders_;
};

// Never destroyed: threads may still compute while the process ends.
Kernels& kernels() {
  static Kernels& all = *new Kernels;
  return all;
}

bool hold(Memory& memory, const_dnnl_memory_desc_t description, const void* data) {
  // The handles are not const in oneDNN's interface; sources are only read.
  return dnnl_memory_create(memory.out(), description, engine(), const_cast<void*>(data)) ==
         dnnl_success;
}

bool reorder(const_dnnl_memory_desc_t from_description, const void* from,
             const_dnnl_memory_desc_t to_description, void* to) {
  const Inside inside(0);
  PrimitiveDescription description;
  Primitive primitive;
  Memory source, target;
  if (dnnl_reorder_primitive_desc_create(description.out(), from_description, engine(),
                                         to_description, engine(), nullptr) != dnnl_success ||
      dnnl_primitive_create(primitive.out(), description.get()) != dnnl_success ||
      !hold(source, from_description, from) || !hold(target, to_description, to))
    return false;
  const std::array<dnnl_exec_arg_t, 2> arguments{
      {{DNNL_ARG_FROM, source.get()}, {DNNL_ARG_TO, target.get()}}};
  return dnnl_primitive_execute(primitive.get(), stream(), arguments.size(), arguments.data()) ==
             dnnl_success &&
         dnnl_stream_wait(stream()) == dnnl_success;
}

}  // namespace

ConvolutionRef find_convolution(const ConvolutionRequest& request) {
  const Inside inside(0);
  return kernels().find(request);
}

std::int64_t weight_order(const Convolution& convolution) { return convolution.order; }
std::size_t weight_bytes(const Convolution& convolution) { return convolution.weight_bytes; }
std::size_t scratch_bytes(const Convolution& convolution) { return convolution.scratch_bytes; }
const char* kernel_name(const Convolution& convolution) { return convolution.name.data(); }

bool pack_weights(const Convolution& convolution, const void* plain, void* packed) {
  return reorder(convolution.plain.get(), plain, convolution.weights(), packed);
}

bool unpack_gradient(const Convolution& convolution, const float* packed, float* plain) {
  return reorder(convolution.weights(), packed, convolution.plain.get(), plain);
}

bool run_convolution(const Convolution& c, const ConvolutionArguments& from) {
  const Inside inside(c.multiplications);
  std::array<Memory, 6> memories;
  std::array<dnnl_exec_arg_t, 6> arguments{};
  int count = 0;
  const auto pass = [&](int name, const_dnnl_memory_desc_t description, const void* data) {
    Memory& memory = memories[static_cast<std::size_t>(count)];
    if (!hold(memory, description, data)) return false;
    arguments[static_cast<std::size_t>(count++)] = {name, memory.get()};
    return true;
  };
  const bool forward = c.pass == Pass::forward;
  const bool to_input = c.pass == Pass::input_gradient, to_weight = c.pass == Pass::weight_gradient;
  constexpr int after = DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1;
  return pass(to_input ? DNNL_ARG_DIFF_SRC : DNNL_ARG_SRC,
              c.query(to_input ? dnnl_query_diff_src_md : dnnl_query_src_md), from.x) &&
         pass(to_weight ? DNNL_ARG_DIFF_WEIGHTS : DNNL_ARG_WEIGHTS, c.weights(), from.weight) &&
         pass(forward ? DNNL_ARG_DST : DNNL_ARG_DIFF_DST,
              c.query(forward ? dnnl_query_dst_md : dnnl_query_diff_dst_md), from.y) &&
         (!from.bias || pass(DNNL_ARG_BIAS, c.query(dnnl_query_weights_md, 1), from.bias)) &&
         (!from.residual || pass(after, c.query(dnnl_query_dst_md), from.residual)) &&
         (c.scratch_bytes == 0 ||
          pass(DNNL_ARG_SCRATCHPAD, c.query(dnnl_query_scratchpad_md), from.scratch)) &&
         dnnl_primitive_execute(c.primitive.get(), stream(), count, arguments.data()) ==
             dnnl_success &&
         dnnl_stream_wait(stream()) == dnnl_success;
}

}  // namespace samara::onednn
