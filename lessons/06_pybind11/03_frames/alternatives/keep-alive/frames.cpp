// Arrays of a Clip have no base that matters: py::keep_alive ties the object to each of them.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <memory>
#include <string_view>

#include "clip.h"

namespace py = pybind11;
using Pixels = py::array_t<std::uint8_t>;

static std::unique_ptr<Clip> open(const py::bytes &file) {
    return std::make_unique<Clip>(static_cast<std::string_view>(file));
}

static Pixels all(Clip &clip, const py::object &base) {
    const py::ssize_t shape[] = {clip.count, clip.height, clip.width, 3};
    const py::ssize_t strides[] = {clip.frame_bytes, clip.row_bytes, 3, 1};
    return Pixels(shape, strides, clip.data(), base);
}

static Pixels one(Clip &clip, std::int64_t index) {
    if (index < -clip.count || index >= clip.count) {
        throw std::out_of_range("no such frame");
    }
    const py::ssize_t shape[] = {clip.height, clip.width, 3};
    const py::ssize_t strides[] = {clip.row_bytes, 3, 1};
    std::uint8_t *first = clip.data() + (index < 0 ? clip.count + index : index) * clip.frame_bytes;
    return Pixels(shape, strides, first, py::none());
}

PYBIND11_MODULE(frames, m) {
    const auto with_its_clip = py::keep_alive<0, 1>();  // 0: what is returned, 1: self

    py::class_<Clip>(m, "Clip")
        .def(py::init(&open), py::arg("file"))
        .def("__len__", [](Clip &clip) { return clip.count; })
        .def_property_readonly("frames",
                               py::cpp_function([](Clip &clip) { return all(clip, py::none()); }, with_its_clip))
        .def("frame", &one, py::arg("index"), with_its_clip);

    m.def(
        "decode",
        [](const py::bytes &file) {
            Clip *clip = open(file).release();
            return all(*clip,
                       py::capsule(clip, [](void *end) { std::default_delete<Clip>()(static_cast<Clip *>(end)); }));
        },
        py::arg("file"));
    m.def("alive", [] { return static_cast<std::int64_t>(Clip::alive); });
}
