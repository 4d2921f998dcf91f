// Texts are copied, each stretch between two calls of progress lets go of the GIL, and a spin lock guards the counts.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "rle.h"

namespace py = pybind11;

class Counts {
  public:
    void add(std::int64_t ones) {
        acquire();
        ++masks_;
        ones_ += ones;
        release();
    }

    std::pair<std::int64_t, std::int64_t> get() {
        acquire();
        auto both = std::make_pair(masks_, ones_);
        release();
        return both;
    }

  private:
    void acquire() {
        while (busy_.test_and_set(std::memory_order_acquire)) {
            std::this_thread::yield();
        }
    }
    void release() { busy_.clear(std::memory_order_release); }

    std::atomic_flag busy_ = ATOMIC_FLAG_INIT;
    std::int64_t masks_ = 0;
    std::int64_t ones_ = 0;
};

class Decoder {
  public:
    Decoder(int height, int width) : height_(height), width_(width) {
        for (int size : {height, width}) {
            if (size < 1 || size > 32768) {
                throw py::value_error("a mask has 1 to 32768 rows and columns");
            }
        }
    }

    py::array decode(py::list texts, py::object progress) {
        std::vector<std::string> copies;
        for (std::size_t i = 0; i < texts.size(); ++i) {
            py::object text = texts[i];
            if (!PyBytes_Check(text.ptr())) {
                throw py::type_error("text " + std::to_string(i) + " is not bytes");
            }
            copies.push_back(text.cast<std::string>());
        }
        std::size_t total = copies.size();
        py::array_t<std::uint8_t> masks(std::vector<py::ssize_t>{static_cast<py::ssize_t>(total), width_, height_});
        std::uint8_t *to = masks.mutable_data();
        for (std::size_t done = 0; done < total;) {
            std::size_t stop = std::min(total, done + 64);
            std::string complaint = stretch(copies, done, stop, to);
            if (!complaint.empty()) {
                throw py::value_error(complaint);
            }
            done = stop;
            if (!progress.is_none()) {
                progress(done, total);
            }
        }
        return masks;
    }

    py::object stats() {
        auto both = counts_.get();
        return py::cast(both);
    }

  private:
    // Decodes copies[first:stop] without the GIL; what is wrong with one of them, or nothing.
    std::string stretch(const std::vector<std::string> &copies, std::size_t first, std::size_t stop, std::uint8_t *to) {
        py::gil_scoped_release others_may_run;
        std::size_t pixels = static_cast<std::size_t>(height_) * static_cast<std::size_t>(width_);
        std::vector<std::int64_t> runs;
        for (std::size_t i = first; i < stop; ++i) {
            try {
                counts_.add(rle::decode(copies[i], runs, to + i * pixels, static_cast<std::int64_t>(pixels)));
            } catch (const std::exception &error) {
                return "mask " + std::to_string(i) + ": " + error.what();
            }
        }
        return {};
    }

    const py::ssize_t height_, width_;
    Counts counts_;
};

PYBIND11_MODULE(decode, m) {
    py::class_<Decoder> decoder(m, "Decoder");
    decoder.def(py::init<int, int>(), py::arg("height"), py::arg("width"));
    decoder.def("decode", &Decoder::decode, py::arg("texts"), py::arg("progress") = py::none());
    decoder.def("stats", &Decoder::stats);
}
