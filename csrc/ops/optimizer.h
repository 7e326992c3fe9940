// Optimizers: one call updates every parameter of a group.
//
// The equations stand in src/samara/optim/*.py; the same are in optimizer_simd.cpp.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "core/tensor.h"

namespace samara {

enum class OptimizerRule : uint8_t { sgd, adam, rmsprop, adagrad };

// The settings of a group; each rule reads those it knows.
struct OptimizerSettings {
  double lr = 0;
  double momentum = 0;
  double dampening = 0;
  double beta1 = 0;
  double beta2 = 0;
  double alpha = 0;
  double eps = 0;
  double weight_decay = 0;
  double lr_decay = 0;
  double initial = 0;  // the value the first state tensor starts with
  bool nesterov = false;
  bool amsgrad = false;
  bool centered = false;
  bool decoupled = false;
  bool maximize = false;
};

// Each variant of a rule is a kernel of its own, so that no loop carries a branch.
enum class OptimizerKernel : uint8_t {
  sgd,
  sgd_momentum,
  sgd_nesterov,
  adam,
  adam_amsgrad,
  rmsprop,
  rmsprop_momentum,
  rmsprop_centered,
  rmsprop_centered_momentum,
  adagrad,
};
inline constexpr int kOptimizerKernels = 10;
inline constexpr int kOptimizerStates = 3;

// What a kernel needs for one parameter at one step.
struct OptimizerConstants {
  double rate;       // what the direction is multiplied by before it is subtracted
  double sign;       // -1 to ascend
  double l2;         // times the parameter, added to the gradient
  double keep;       // times the parameter, before the direction is subtracted
  double first;      // how much of the first running mean is kept ...
  double first_new;  // ... and how much of the gradient comes in
  double second;     // the same for the second one
  double second_new;
  double momentum;
  double root_scale;  // times the root of the second running mean
  double eps;
};

// One parameter, or a part of it: contiguous arrays of n elements. State is float32 for half
// precision and of the parameter's dtype otherwise.
struct OptimizerArrays {
  void* parameter;
  const void* gradient;
  std::array<void*, kOptimizerStates> state;
  int64_t n;
};

using OptimizerUpdate = void (*)(const OptimizerArrays& arrays,
                                 const OptimizerConstants& constants);

struct OptimizerDtypeKernels {
  OptimizerUpdate update[kOptimizerKernels];
  bool (*all_finite)(const void* values, int64_t n);
};

struct OptimizerKernels {
  OptimizerDtypeKernels float16;
  OptimizerDtypeKernels bfloat16;
  OptimizerDtypeKernels float32;
  OptimizerDtypeKernels float64;
};
namespace baseline {
extern const OptimizerKernels optimizer_kernels;
}
namespace v3 {
extern const OptimizerKernels optimizer_kernels;
}
namespace v4 {
extern const OptimizerKernels optimizer_kernels;
}

// Whether FusedOptimizer can update this tensor: a real floating dtype in memory the CPU reaches.
bool optimizer_supports(const Tensor& parameter);

OptimizerRule optimizer_rule(std::string_view name);

class FusedOptimizer {
 public:
  FusedOptimizer(OptimizerRule rule, std::vector<Tensor> parameters);

  void configure(const OptimizerSettings& settings) { settings_ = settings; }

  // Applies one step and gives -1; or changes nothing and gives the index of the first parameter
  // whose gradient is not finite. Parameters without a gradient stay as they are.
  int64_t step();
  int64_t first_nonfinite();
  void apply();
  void zero_grad(bool set_to_none);

  int64_t size() const { return static_cast<int64_t>(slots_.size()); }
  // Elements of all parameters together.
  int64_t elements() const { return elements_; }
  int64_t steps(int64_t index) const { return slots_.at(static_cast<size_t>(index)).steps; }
  const Tensor& state(int64_t index, int which) const {
    return slots_.at(static_cast<size_t>(index)).state[static_cast<size_t>(which)];
  }
  // Takes copies; an undefined tensor stands for a state that does not exist.
  void set_state(int64_t index, int64_t steps, const std::vector<Tensor>& state);

 private:
  struct Slot {
    Tensor parameter;
    std::array<Tensor, kOptimizerStates> state;
    int64_t steps = 0;
    const OptimizerDtypeKernels* kernels = nullptr;
  };
  // A parameter that has a gradient, ready for the kernel.
  struct Work {
    Slot* slot;
    int64_t index;
    Tensor gradient;
    OptimizerArrays arrays;
    OptimizerConstants constants;
    OptimizerUpdate update;
    Tensor contiguous_parameter;  // when the parameter itself is not contiguous
  };
  struct Tile {
    int32_t work;
    int64_t begin;
    int64_t length;
  };

  void collect();
  void cut_into_tiles();
  int64_t search_nonfinite() const;
  void prepare(Work& work);
  void finish(Work& work);
  void update_all();
  OptimizerKernel kernel_of(const Slot& slot) const;
  OptimizerConstants constants_of(const Slot& slot) const;
  void make_state(Slot& slot, int which, double value);

  OptimizerRule rule_;
  OptimizerSettings settings_;
  std::vector<Slot> slots_;
  std::vector<Work> work_;
  std::vector<Tile> tiles_;
  int64_t elements_ = 0;
};

}  // namespace samara
