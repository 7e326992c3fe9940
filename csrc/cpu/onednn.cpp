#include "cpu/onednn.h"

#include <array>
#include <map>
#include <memory>
#include <string>

#include "cpu/onednn_common.h"

namespace samara::onednn {
namespace {

// A bfloat16 product of one shape, ready to run.
struct Bf16Product {
  Primitive primitive;
  Memory a, b, c;

  bool run(const std::uint16_t* from_a, const std::uint16_t* from_b, float* to) const {
    // The handles are not const in oneDNN's interface; sources are only read.
    dnnl_memory_set_data_handle(a.get(), const_cast<std::uint16_t*>(from_a));
    dnnl_memory_set_data_handle(b.get(), const_cast<std::uint16_t*>(from_b));
    dnnl_memory_set_data_handle(c.get(), to);
    const std::array<dnnl_exec_arg_t, 3> arguments{
        {{DNNL_ARG_SRC, a.get()}, {DNNL_ARG_WEIGHTS, b.get()}, {DNNL_ARG_DST, c.get()}}};
    return dnnl_primitive_execute(primitive.get(), stream(), arguments.size(), arguments.data()) ==
               dnnl_success &&
           dnnl_stream_wait(stream()) == dnnl_success;
  }
};

bool describe(Description& to, int64_t rows, int64_t columns, dnnl_data_type_t type,
              bool transposed, int64_t ld) {
  const dnnl_dims_t sizes = {rows, columns};
  const dnnl_dims_t strides = {transposed ? 1 : ld, transposed ? ld : 1};
  return dnnl_memory_desc_create_with_strides(to.out(), 2, sizes, type, strides) == dnnl_success;
}

// {trans_a, trans_b, m, n, k, lda, ldb, ldc}
using Shape = std::array<int64_t, 8>;

std::unique_ptr<Bf16Product> make_bf16_product(const Shape& shape) {
  const auto [trans_a, trans_b, m, n, k, lda, ldb, ldc] = shape;
  Description a, b, c;
  PrimitiveDescription description;
  auto product = std::make_unique<Bf16Product>();
  const bool made =
      describe(a, m, k, dnnl_bf16, trans_a != 0, lda) &&
      describe(b, k, n, dnnl_bf16, trans_b != 0, ldb) && describe(c, m, n, dnnl_f32, false, ldc) &&
      dnnl_matmul_primitive_desc_create(description.out(), engine(), a.get(), b.get(), nullptr,
                                        c.get(), nullptr) == dnnl_success &&
      dnnl_primitive_create(product->primitive.out(), description.get()) == dnnl_success &&
      dnnl_memory_create(product->a.out(), a.get(), engine(), DNNL_MEMORY_NONE) == dnnl_success &&
      dnnl_memory_create(product->b.out(), b.get(), engine(), DNNL_MEMORY_NONE) == dnnl_success &&
      dnnl_memory_create(product->c.out(), c.get(), engine(), DNNL_MEMORY_NONE) == dnnl_success;
  return made ? std::move(product) : nullptr;
}

// Making a primitive costs far more than running a small one, so each thread keeps those it made.
const Bf16Product* cached_bf16_product(const Shape& shape) {
  constexpr std::size_t most = 256;
  thread_local std::map<Shape, std::unique_ptr<Bf16Product>> cache;
  const auto found = cache.find(shape);
  if (found != cache.end()) return found->second.get();
  if (cache.size() >= most) cache.clear();
  return cache.emplace(shape, make_bf16_product(shape)).first->second.get();
}

}  // namespace

void use_one_thread() { omp_set_num_threads(1); }

bool sgemm(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, float alpha, const float* a,
           int64_t lda, const float* b, int64_t ldb, float beta, float* c, int64_t ldc) {
  const ForkGate gate;
  const OneThread one;
  const Shelter shelter(m * n * k);
  return dnnl_sgemm(trans_a ? 'T' : 'N', trans_b ? 'T' : 'N', m, n, k, alpha, a, lda, b, ldb, beta,
                    c, ldc) == dnnl_success;
}

bool has_bf16_gemm() {
  static const bool native = (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core_bf16) ==
                             dnnl_cpu_isa_avx512_core_bf16;
  return native;
}

bool bf16_gemm(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, const std::uint16_t* a,
               int64_t lda, const std::uint16_t* b, int64_t ldb, float* c, int64_t ldc) {
  const ForkGate gate;
  const OneThread one;
  const Shelter shelter(m * n * k);
  const Bf16Product* const product =
      cached_bf16_product({trans_a, trans_b, m, n, k, lda, ldb, ldc});
  return product != nullptr && product->run(a, b, c);
}

const char* version() {
  static const std::string text = [] {
    const dnnl_version_t* const v = dnnl_version();
    return std::to_string(v->major) + "." + std::to_string(v->minor) + "." +
           std::to_string(v->patch);
  }();
  return text.c_str();
}

}  // namespace samara::onednn
