// A part of the graph whose inner values are computed again in backward.
//
// checkpoint(inputs, outputs, token): the outputs, computed before outside of the graph, as
// functions of the inputs; the rule that the token names belongs to Python.
#include "core/autograd.h"
#include "core/operation.h"

namespace samara {
namespace {

void checkpoint_forward(Call& call) {
  for (const Tensor& value : call[1].tensors()) call.output(detach(value));
}

const Register checkpoint_registered({.name = "checkpoint",
                                      .forward = checkpoint_forward,
                                      .saved_inputs = 0b1});

}  // namespace
}  // namespace samara
