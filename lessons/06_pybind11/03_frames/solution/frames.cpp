// Frames of a decoded clip as NumPy arrays: no pixel is copied, and every array keeps alive what it looks at.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <memory>
#include <string_view>

#include "clip.h"

namespace py = pybind11;

// The memory of a whole clip as an array (count, height, width, 3). `owner` is what keeps the clip alive.
static py::array all_frames(Clip &clip, const py::handle &owner) {
    // @gap
    return py::array_t<std::uint8_t>({clip.count, clip.height, clip.width, std::ptrdiff_t{3}},
                                     {clip.frame_bytes, clip.row_bytes, std::ptrdiff_t{3}, std::ptrdiff_t{1}},
                                     clip.data(), owner);
    //| // TODO: an array of the clip's memory: py::array_t<std::uint8_t>(shape, strides in bytes, pointer, base).
    //| (void)owner;
    //| return py::array_t<std::uint8_t>({clip.count, clip.height, clip.width, std::ptrdiff_t{3}});
    // @end
}

// decode(file): all frames of a file. No Clip is visible in Python: the array owns it.
static py::array decode(const py::bytes &file) {
    // @gap
    auto clip = std::make_unique<Clip>(std::string_view(file));
    // A capsule is a Python object around a pointer, with a function to call at its end.
    const py::capsule owner(clip.get(), [](void *pointer) { delete static_cast<Clip *>(pointer); });
    return all_frames(*clip.release(), owner);
    //| // TODO: nobody but the array knows the clip, so the array's base must end it: py::capsule(pointer, destructor).
    //| Clip clip{std::string_view(file)};
    //| return py::array_t<std::uint8_t>({clip.count, clip.height, clip.width, std::ptrdiff_t{3}});
    // @end
}

// clip.frames: all frames of a Clip object.
static py::array frames(const py::object &self) {
    // @gap
    return all_frames(self.cast<Clip &>(), self);
    //| return all_frames(self.cast<Clip &>(), py::none());  // TODO: who keeps the clip alive?
    // @end
}

// clip.frame(i): one frame (height, width, 3); i may count from the end. IndexError where there is none.
static py::array frame(const py::object &self, std::ptrdiff_t index) {
    // @gap
    Clip &clip = self.cast<Clip &>();
    if (index < 0) index += clip.count;
    if (index < 0 || index >= clip.count) throw py::index_error("the clip has no such frame");
    return py::array_t<std::uint8_t>({clip.height, clip.width, std::ptrdiff_t{3}},
                                     {clip.row_bytes, std::ptrdiff_t{3}, std::ptrdiff_t{1}},
                                     clip.data() + index * clip.frame_bytes, self);
    //| // TODO
    //| (void)index;
    //| return frames(self);
    // @end
}

PYBIND11_MODULE(frames, m) {
    m.doc() = "Decoded frames without copies.";
    py::class_<Clip>(m, "Clip")
        .def(py::init([](const py::bytes &file) { return std::make_unique<Clip>(std::string_view(file)); }),
             py::arg("file"))
        .def("__len__", [](const Clip &clip) { return clip.count; })
        .def_property_readonly("frames", &frames, "All frames, (count, height, width, 3).")
        .def("frame", &frame, py::arg("index"), "One frame, (height, width, 3).");
    m.def("decode", &decode, py::arg("file"), "All frames of a file, (count, height, width, 3).");
    m.def("alive", [] { return Clip::alive.load(); }, "How many clips there are in memory.");
}
