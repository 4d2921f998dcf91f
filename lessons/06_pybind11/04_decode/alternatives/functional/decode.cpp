// The list is frozen into a tuple, progress is a std::function (which takes the GIL by itself), readers share the mutex.
#include <pybind11/functional.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <functional>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "rle.h"

namespace py = pybind11;

using Progress = std::function<void(py::ssize_t, py::ssize_t)>;

class Decoder {
  public:
    Decoder(py::ssize_t height, py::ssize_t width) : height(height), width(width) {
        const auto fits = [](py::ssize_t size) { return 0 < size && size <= 1 << 15; };
        if (!fits(height) || !fits(width)) throw std::invalid_argument("height or width out of range");
    }

    py::array_t<std::uint8_t> decode(const py::list &list, const Progress &progress) {
        const py::tuple texts(list);  // holds its items, and nobody else can change it
        const std::vector<std::string_view> views = look_into(texts);
        py::array_t<std::uint8_t> masks({static_cast<py::ssize_t>(views.size()), width, height});
        decode_all(views, masks.mutable_data(), progress);
        return masks;
    }

    std::tuple<std::int64_t, std::int64_t> stats() const {
        std::shared_lock lock(mutex);
        return {masks, ones};
    }

  private:
    static std::vector<std::string_view> look_into(const py::tuple &texts) {
        std::vector<std::string_view> views;
        for (py::handle text : texts) {
            char *data;
            Py_ssize_t size;
            if (PyBytes_AsStringAndSize(text.ptr(), &data, &size) < 0) throw py::error_already_set();
            views.emplace_back(data, size);
        }
        return views;
    }

    void decode_all(const std::vector<std::string_view> &views, std::uint8_t *out, const Progress &progress) {
        py::gil_scoped_release release;
        const py::ssize_t total = static_cast<py::ssize_t>(views.size()), pixels = width * height;
        std::vector<std::int64_t> room;
        py::ssize_t done = 0;
        for (const std::string_view view : views) {
            std::int64_t found;
            try {
                found = rle::decode(view, room, out + done * pixels, pixels);
            } catch (const std::invalid_argument &error) {
                throw std::invalid_argument("mask " + std::to_string(done) + ": " + error.what());
            }
            count(found);
            ++done;
            if (progress && (done % 64 == 0 || done == total)) progress(done, total);
        }
    }

    void count(std::int64_t found) {
        std::unique_lock lock(mutex);
        masks += 1;
        ones += found;
    }

    py::ssize_t height, width;
    mutable std::shared_mutex mutex;
    std::int64_t masks{}, ones{};
};

PYBIND11_MODULE(decode, module) {
    py::class_<Decoder>(module, "Decoder")
        .def(py::init<py::ssize_t, py::ssize_t>(), py::arg("height"), py::arg("width"))
        .def("stats", &Decoder::stats)
        .def("decode", &Decoder::decode, py::arg("texts"), py::arg("progress") = nullptr);
}
