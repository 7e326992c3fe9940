// Options given by name: an unknown name is answered with the closest one and the whole list.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace samara {

// How many letters must be inserted, removed or exchanged to get from a to b (Levenshtein, 1966).
inline int edit_distance(std::string_view a, std::string_view b) {
  std::vector<int> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = static_cast<int>(j);
  for (size_t i = 0; i < a.size(); ++i) {
    int diagonal = row[0];
    row[0] = static_cast<int>(i) + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const int exchanged = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({exchanged, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

// The position of `name` among `names`; `what` is its parameter, e.g. "mode".
template <size_t kCount>
size_t choose(std::string_view place, std::string_view what, std::string_view name,
              const std::string_view (&names)[kCount]) {
  for (size_t i = 0; i < kCount; ++i)
    if (names[i] == name) return i;
  std::string list;
  std::string_view closest = names[0];
  for (std::string_view one : names) {
    list += concat_text(list.empty() ? "'" : ", '", one, "'");
    if (edit_distance(name, one) < edit_distance(name, closest)) closest = one;
  }
  fail(ErrorKind::argument, place, ": ", what, " is '", name, "'. Expected one of ", list,
       ". Fix: did you mean '", closest, "'?");
}

}  // namespace samara
