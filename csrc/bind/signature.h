// Parses an operation's signature, e.g. "softmax(x, axis: int = -1)", once at import.
#pragma once

#include <string_view>

#include "core/operation.h"

namespace samara::bind {

// Fills name and parameters. Types: Tensor (also where none is written), Tensor[], bool, int,
// float, number, ints, dtype, device, str; a trailing ? accepts None; `*` starts keyword-only.
void parse_signature(std::string_view signature, Operation& operation);

}  // namespace samara::bind
