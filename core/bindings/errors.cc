// SPDX-License-Identifier: Apache-2.0
// The one table from core errors to Python classes.
#include "base/errors.h"

#include <new>

#include "base/scratch.h"
#include "bindings/bindings.h"

namespace nb = nanobind;

namespace vl {
namespace {

const char* python_class(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kShape: return "ShapeError";
    case ErrorKind::kParameter: return "ParameterError";
    case ErrorKind::kCapacity: return "CapacityError";
    case ErrorKind::kFormat: return "FormatError";
    case ErrorKind::kInternal: break;
  }
  return "InternalError";
}

void translate(const std::exception_ptr& pointer, void*) {
  try {
    std::rethrow_exception(pointer);
  } catch (const Error& error) {
    const nb::object type =
        nb::module_::import_("vectorloom.errors").attr(python_class(error.kind()));
    PyErr_SetString(type.ptr(), error.what());
  } catch (const Interrupted&) {
    // The signal handler has already set KeyboardInterrupt; keep it.
    if (!PyErr_Occurred()) PyErr_SetNone(PyExc_KeyboardInterrupt);
  } catch (const FileError& error) {
    // With three values OSError becomes the subclass of the code, and its message has the folder.
    PyObject* values = Py_BuildValue("(iss)", error.code(), error.what(), error.folder().c_str());
    if (values == nullptr) return;
    PyErr_SetObject(PyExc_OSError, values);
    Py_DECREF(values);
  } catch (const std::bad_alloc&) {
    const nb::object type = nb::module_::import_("vectorloom.errors").attr("CapacityError");
    PyErr_SetString(
        type.ptr(),
        "the system refused the memory this job needs; see vectorloom.estimate for its size, "
        "then use fewer rows, a smaller dtype or a memory_limit");
  }
}

}  // namespace

void bind_errors(nb::module_&) { nb::register_exception_translator(translate); }

}  // namespace vl
