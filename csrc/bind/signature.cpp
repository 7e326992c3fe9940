#include "bind/signature.h"

#include <array>
#include <charconv>
#include <utility>

namespace samara::bind {
namespace {

constexpr std::array<std::pair<std::string_view, ParameterType>, 11> type_names = {{
    {"Tensor", ParameterType::tensor},
    {"Tensor[]", ParameterType::tensors},
    {"bool", ParameterType::boolean},
    {"int", ParameterType::integer},
    {"float", ParameterType::real},
    {"number", ParameterType::number},
    {"ints", ParameterType::integers},
    {"dtype", ParameterType::dtype},
    {"device", ParameterType::device},
    {"str", ParameterType::text},
    {"ints|str", ParameterType::integers_or_text},
}};

std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

[[noreturn]] void bad_signature(std::string_view signature, std::string_view part) {
  fail(ErrorKind::argument, "operation: the signature '", signature, "' cannot be read at '", part,
       "'. Expected e.g. \"softmax(x, axis: int = -1)\". Fix: correct the signature.");
}

Value parse_default(std::string_view signature, std::string_view text, ParameterType type) {
  if (text.empty()) bad_signature(signature, signature);
  if (text == "None") return Value();
  if (text == "True") return Value(true);
  if (text == "False") return Value(false);
  if (text.size() >= 2 && (text.front() == '\'' || text.front() == '"'))
    return Value(std::string(text.substr(1, text.size() - 2)));
  if (text == "inf") return Value(__builtin_inf());
  if (text == "-inf") return Value(-__builtin_inf());
  if (text.front() == '(') {
    Dims dims;
    std::string_view rest = text.substr(1, text.size() - 2);
    while (!(rest = trim(rest)).empty()) {
      int64_t item = 0;
      const auto end = std::from_chars(rest.data(), rest.data() + rest.size(), item).ptr;
      if (end == rest.data()) bad_signature(signature, rest);
      dims.push_back(item);
      rest.remove_prefix(static_cast<size_t>(end - rest.data()));
      rest = trim(rest);
      if (!rest.empty() && rest.front() == ',') rest.remove_prefix(1);
    }
    return Value(dims);
  }
  const bool is_whole = text.find_first_of(".e") == std::string_view::npos;
  if (is_whole) {
    int64_t whole = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), whole).ptr ==
        text.data() + text.size()) {
      if (type == ParameterType::integers || type == ParameterType::integers_or_text)
        return Value(Dims{whole});
      if (type == ParameterType::real) return Value(static_cast<double>(whole));
      return Value(whole);
    }
  }
  double real = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), real).ptr !=
      text.data() + text.size())
    bad_signature(signature, text);
  return Value(real);
}

Parameter parse_parameter(std::string_view signature, std::string_view text) {
  Parameter parameter;
  const size_t equals = text.find('=');
  std::string_view declared = trim(text.substr(0, equals));
  std::string_view type = "Tensor";
  if (const size_t colon = declared.find(':'); colon != std::string_view::npos) {
    type = trim(declared.substr(colon + 1));
    declared = trim(declared.substr(0, colon));
  }
  parameter.name = declared;
  if (type.ends_with('?')) {
    parameter.optional = true;
    type.remove_suffix(1);
  }
  bool known = false;
  for (const auto& [name, value] : type_names) {
    if (name != type) continue;
    parameter.type = value;
    known = true;
  }
  if (!known || parameter.name.empty()) bad_signature(signature, text);
  if (equals != std::string_view::npos) {
    parameter.required = false;
    parameter.fallback = parse_default(signature, trim(text.substr(equals + 1)), parameter.type);
    if (parameter.fallback.is_none()) parameter.optional = true;
  }
  return parameter;
}

}  // namespace

void parse_signature(std::string_view signature, Operation& operation) {
  const size_t open = signature.find('(');
  const size_t close = signature.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos)
    bad_signature(signature, signature);
  operation.name = trim(signature.substr(0, open));
  std::string_view rest = signature.substr(open + 1, close - open - 1);
  bool keyword_only = false;
  while (!(rest = trim(rest)).empty()) {
    size_t end = 0;
    int depth = 0;
    for (; end < rest.size(); ++end) {
      if (rest[end] == '(') ++depth;
      if (rest[end] == ')') --depth;
      if (rest[end] == ',' && depth == 0) break;
    }
    const std::string_view part = trim(rest.substr(0, end));
    rest.remove_prefix(std::min(rest.size(), end + 1));
    if (part == "*") {
      keyword_only = true;
      continue;
    }
    operation.parameters.push_back(parse_parameter(signature, part));
    operation.parameters.back().keyword_only = keyword_only;
  }
}

}  // namespace samara::bind
