// Typed errors. Each kind becomes one Python exception class (see src/samara/errors.py).
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

namespace samara {

enum class ErrorKind {
  shape,
  dtype,
  argument,
  device,
  gradient,
  index,
  memory,
  not_implemented,
  linear_algebra,
  missing_library,
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

// A Python exception is already set in the interpreter; unwinds C++ frames up to the binding.
class PythonError : public std::exception {
 public:
  const char* what() const noexcept override { return "a Python exception is set"; }
};

template <class... Parts>
std::string concat_text(Parts&&... parts) {
  std::ostringstream text;
  (text << ... << std::forward<Parts>(parts));
  return text.str();
}

template <class... Parts>
[[noreturn, gnu::noinline, gnu::cold]] void fail(ErrorKind kind, Parts&&... parts) {
  throw Error(kind, concat_text(std::forward<Parts>(parts)...));
}

}  // namespace samara
