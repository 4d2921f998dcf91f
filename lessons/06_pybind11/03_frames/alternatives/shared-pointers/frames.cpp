// Everybody holds the clip by a shared_ptr: the Python object, and the capsule of each array.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <memory>
#include <string>
#include <vector>

#include "clip.h"

namespace py = pybind11;

using ClipPtr = std::shared_ptr<Clip>;

static ClipPtr read(const std::string &file) {
    return std::make_shared<Clip>(file);
}

static py::capsule share(const ClipPtr &clip) {
    auto copy = std::make_unique<ClipPtr>(clip);
    py::capsule capsule(copy.get(), "clip",
                        [](PyObject *self) { delete static_cast<ClipPtr *>(PyCapsule_GetPointer(self, "clip")); });
    copy.release();
    return capsule;
}

// The pixels from `first` on; `sizes` and `strides` without the last dimension, which is that of the colours.
static py::array view(const ClipPtr &clip, uint8_t *first, std::vector<py::ssize_t> sizes,
                      std::vector<py::ssize_t> strides) {
    sizes.push_back(3);
    strides.push_back(1);
    return py::array(py::dtype::of<uint8_t>(), sizes, strides, first, share(clip));
}

static py::array whole(const ClipPtr &clip) {
    return view(clip, clip->data(), {clip->count, clip->height, clip->width}, {clip->frame_bytes, clip->row_bytes, 3});
}

static py::array single(const ClipPtr &clip, py::ssize_t index) {
    const py::ssize_t place = index < 0 ? index + clip->count : index;
    if (place < 0 || place >= clip->count) {
        throw py::index_error("frame " + std::to_string(index) + " of " + std::to_string(clip->count));
    }
    return view(clip, clip->data() + place * clip->frame_bytes, {clip->height, clip->width}, {clip->row_bytes, 3});
}

static std::string bytes_of(const py::bytes &file) {
    return file;
}

PYBIND11_MODULE(frames, m) {
    m.def("alive", []() -> int64_t { return Clip::alive; });
    m.def(
        "decode", [](const py::bytes &file) { return whole(read(bytes_of(file))); }, py::arg("file"));

    py::class_<Clip, ClipPtr>(m, "Clip")
        .def(py::init([](const py::bytes &file) { return read(bytes_of(file)); }), py::arg("file"))
        .def("frame", &single, py::arg("index"))
        .def("__len__", [](const Clip &self) { return self.count; })
        .def_property_readonly("frames", &whole);
}
