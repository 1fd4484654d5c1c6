// SPDX-License-Identifier: Apache-2.0
// The few kinds of error the core throws; core/bindings/errors.cc maps each to one Python class.
#pragma once

#include <stdexcept>
#include <string>

namespace vl {

enum class ErrorKind { kShape, kParameter, kCapacity, kFormat, kInternal };

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const noexcept { return kind_; }

 private:
  ErrorKind kind_;
};

// Thrown when the caller asked a running kernel to stop (Ctrl-C). Carries no message of its own.
class Interrupted : public std::exception {
 public:
  const char* what() const noexcept override { return "interrupted"; }
};

}  // namespace vl
