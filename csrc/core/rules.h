// Gradient rules in Python for natives that C++ calls itself (NativeCall), so that those calls can
// be differentiated twice like anybody's.
#pragma once

#include <string_view>

namespace samara {

class Operation;

// `operation` has a rule and lives as long as the process. The first one of a native counts.
void set_rule(std::string_view native, const Operation& operation);
// Null when there is none.
const Operation* find_rule(std::string_view native);

}  // namespace samara
