// resize() for numpy arrays, as a function of the module mas_fast._engine.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cmath>
#include <string>

#include "core/resize.h"

namespace py = pybind11;

namespace mas {
namespace {

constexpr int kMost = 1 << 24;

[[noreturn]] void refuse(const std::string& name, const py::object& value,
                         const std::string& expected) {
  throw py::value_error("resize: found " + name + " " + std::string(py::str(value)) +
                        ", expected " + expected);
}

py::array_t<uint8_t> resize_array(const py::array& pixels, int height, int width,
                                  const std::tuple<double, double, double, double>& box,
                                  const std::string& isa) {
  if (!pixels.dtype().equal(py::dtype::of<uint8_t>()) || pixels.ndim() != 3 ||
      pixels.shape(2) != 3 || pixels.size() == 0 || pixels.shape(0) > kMost ||
      pixels.shape(1) > kMost)
    refuse(std::string(py::str(pixels.dtype())), pixels.attr("shape"), "uint8 [height, width, 3]");
  if (pixels.strides(2) != 1 || pixels.strides(1) != 3)
    refuse("strides", pixels.attr("strides"), "pixels of a row one after the other");
  if (height < 1 || width < 1 || height > kMost || width > kMost)
    refuse("the size", py::make_tuple(height, width), "1 to " + std::to_string(kMost));
  const Picture picture{static_cast<const uint8_t*>(pixels.data()), pixels.strides(0),
                        int(pixels.shape(0)), int(pixels.shape(1))};
  const auto [top, left, rows, columns] = box;
  if (!(top >= 0 && left >= 0 && rows > 0 && columns > 0 && top + rows <= picture.height &&
        left + columns <= picture.width))
    refuse("the box", py::cast(box), "(top, left, height, width) within the picture");
  const Isa chosen = choose_isa(isa);
  py::array_t<uint8_t> out({height, width, 3});
  uint8_t* to = out.mutable_data();
  {
    py::gil_scoped_release release;
    resize(picture, {top, left, rows, columns}, height, width, to, chosen);
  }
  return out;
}

}  // namespace

void bind_resize(py::module_& module) {
  module.def("resize", &resize_array, py::arg("pixels"), py::arg("height"), py::arg("width"),
             py::arg("box"), py::kw_only(), py::arg("isa") = "",
             "An antialiased cubic resize of a box (top, left, height, width; floats) of uint8 "
             "[H, W, 3]: uint8 [height, width, 3].");
}

}  // namespace mas
