// Arguments from Python, checked: what the bindings of mas_fast._engine share.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>

namespace mas {

namespace py = pybind11;

using Tokens = py::array_t<int32_t, py::array::c_style>;

inline std::string shape_text(const py::array& array) {
  std::string text = "[";
  for (py::ssize_t i = 0; i < array.ndim(); ++i)
    text += (i ? ", " : "") + std::to_string(array.shape(i));
  return text + "]";
}

// What the core can read; a caller's array may have any strides, and begin at any byte.
inline constexpr int kReadable = py::array::c_style | py::detail::npy_api::NPY_ARRAY_ALIGNED_;

// `object` as a readable array of exactly this type and rank, copied if need be. Other types are
// refused, since a silent conversion would hide a caller's mistake.
template <class T>
py::array_t<T, kReadable> array_of(const py::object& object, const char* name, int rank,
                                   const char* shape) {
  if (!py::isinstance<py::array>(object))
    throw py::type_error(std::string(name) + ": found " +
                         std::string(py::str(py::type::of(object))) + ", expected a numpy array");
  const auto array = py::reinterpret_borrow<py::array>(object);
  if (!array.dtype().equal(py::dtype::of<T>()))
    throw py::value_error(std::string(name) + ": found dtype " +
                          std::string(py::str(array.dtype())) + ", expected " +
                          std::string(py::str(py::dtype::of<T>())));
  if (array.ndim() != rank)
    throw py::value_error(std::string(name) + ": found shape " + shape_text(array) + ", expected " +
                          shape);
  return py::array_t<T, kReadable>::ensure(array);
}

// An int in [low, high]. pybind11 would answer one that does not fit 64 bits with a message about
// types.
inline int64_t checked_int(const py::handle& value, const std::string& name, int64_t low,
                           int64_t high) {
  if (!py::isinstance<py::int_>(value))
    throw py::type_error(name + ": found " + std::string(py::repr(value)) + ", expected an int");
  int overflow = 0;
  const int64_t number = PyLong_AsLongLongAndOverflow(value.ptr(), &overflow);
  if (overflow || number < low || number > high)
    throw py::value_error(name + ": found " + std::string(py::repr(value)) + ", expected " +
                          std::to_string(low) + " to " + std::to_string(high));
  return number;
}

inline uint64_t seed_from(const py::handle& value) {
  if (!py::isinstance<py::int_>(value))
    throw py::type_error("seed: found " + std::string(py::repr(value)) + ", expected an int");
  const uint64_t seed = PyLong_AsUnsignedLongLong(value.ptr());
  if (PyErr_Occurred()) {
    PyErr_Clear();
    throw py::value_error("seed: found " + std::string(py::repr(value)) +
                          ", expected 0 to 18446744073709551615");
  }
  return seed;
}

inline constexpr int64_t kMostIndex = UINT32_MAX, kMostInt = INT32_MAX, kMostThreads = 1024;

}  // namespace mas
