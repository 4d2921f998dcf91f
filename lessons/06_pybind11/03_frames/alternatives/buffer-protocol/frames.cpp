// A Clip lends its memory by the buffer protocol; NumPy makes the arrays, and the base of all is the Python object.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <memory>
#include <string_view>

#include "clip.h"

namespace py = pybind11;

namespace {

std::unique_ptr<Clip> make_clip(py::bytes file) {
    char *start = nullptr;
    Py_ssize_t length = 0;
    if (PyBytes_AsStringAndSize(file.ptr(), &start, &length) != 0) throw py::error_already_set();
    return std::unique_ptr<Clip>(new Clip(std::string_view(start, static_cast<std::size_t>(length))));
}

py::buffer_info describe(Clip &clip) {
    return py::buffer_info(clip.data(), 1, py::format_descriptor<std::uint8_t>::format(), 4,
                           {clip.count, clip.height, clip.width, std::ptrdiff_t(3)},
                           {clip.frame_bytes, clip.row_bytes, std::ptrdiff_t(3), std::ptrdiff_t(1)});
}

py::array as_array(const py::object &clip) {
    auto array = py::array::ensure(clip);
    if (!array) throw py::error_already_set();
    return array;
}

}  // namespace

PYBIND11_MODULE(frames, m) {
    auto clip = py::class_<Clip>(m, "Clip", py::buffer_protocol());
    clip.def_buffer(&describe);
    clip.def(py::init(&make_clip), py::arg("file"));
    clip.def("__len__", [](const Clip &self) { return self.count; });
    clip.def_property_readonly("frames", &as_array);
    clip.def(
        "frame",
        [](const py::object &self, py::ssize_t index) -> py::array {
            return as_array(self)[py::int_(index)];  // an IndexError of NumPy's where there is none
        },
        py::arg("index"));

    m.def("alive", [] { return Clip::alive.load(); });
    m.def(
        "decode", [](py::bytes file) { return as_array(py::cast(make_clip(file))); }, py::arg("file"));
}
