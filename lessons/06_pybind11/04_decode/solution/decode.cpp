// Batches of segmentation masks. While masks are decoded, other Python threads run.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "rle.h"

namespace py = pybind11;

// Decodes masks of one size, and counts what it has decoded. Several threads may use one decoder.
class Decoder {
  public:
    Decoder(py::ssize_t height, py::ssize_t width) : height_(height), width_(width) {
        if (height < 1 || width < 1 || height > 1 << 15 || width > 1 << 15) {
            throw py::value_error("height and width must be in 1..32768");
        }
    }

    // decode(texts, progress=None): uint8 (masks, width, height), column by column as COCO has it.
    py::array_t<std::uint8_t> decode(const py::list &texts, const py::object &progress) {
        const py::ssize_t pixels = height_ * width_, count = static_cast<py::ssize_t>(texts.size());
        // @gap
        // First all that needs the GIL. The list may change while others run, so the bytes get references of our own.
        std::vector<py::bytes> kept;
        std::vector<std::string_view> views;
        kept.reserve(texts.size());
        for (const py::handle text : texts) {
            if (!py::isinstance<py::bytes>(text)) throw py::type_error("every text must be bytes");
            kept.push_back(py::reinterpret_borrow<py::bytes>(text));
            views.emplace_back(kept.back());
        }
        py::array_t<std::uint8_t> masks({count, width_, height_});
        std::uint8_t *out = masks.mutable_data();
        const bool told = !progress.is_none();
        {
            const py::gil_scoped_release released;  // no Python object is touched in this block
            std::vector<std::int64_t> runs;         // each call has its own: two threads may be here
            for (py::ssize_t i = 0; i < count; ++i) {
                note(decode_one(views[i], runs, out + i * pixels, i));
                if (told && ((i + 1) % EVERY == 0 || i + 1 == count)) {
                    const py::gil_scoped_acquire held;  // no lock is held here: who has it never waits for the GIL
                    progress(i + 1, count);
                }
            }
        }
        return masks;
        //| // TODO: other Python threads must be able to run while masks are decoded. But what may then no longer be done,
        //| // what may others do meanwhile, and who may call this at the same time?
        //| py::array_t<std::uint8_t> masks({count, width_, height_});
        //| std::vector<std::int64_t> runs;
        //| for (py::ssize_t i = 0; i < count; ++i) {
        //|     if (!py::isinstance<py::bytes>(texts[i])) throw py::type_error("every text must be bytes");
        //|     const std::string_view text = py::reinterpret_borrow<py::bytes>(texts[i]);
        //|     note(decode_one(text, runs, masks.mutable_data() + i * pixels, i));
        //|     if (!progress.is_none() && ((i + 1) % EVERY == 0 || i + 1 == count)) progress(i + 1, count);
        //| }
        //| return masks;
        // @end
    }

    // stats(): (masks decoded, ones in them) of all calls so far, the running ones too.
    py::tuple stats() {
        // @gap
        std::int64_t masks, ones;
        {
            const std::lock_guard<std::mutex> locked(mutex_);
            masks = masks_, ones = ones_;
        }
        return py::make_tuple(masks, ones);
        //| return py::make_tuple(masks_, ones_);
        // @end
    }

  private:
    static constexpr py::ssize_t EVERY = 64;  // masks between two calls of `progress`

    // One mask, as rle::decode; an error says which mask.
    std::int64_t decode_one(std::string_view text, std::vector<std::int64_t> &runs, std::uint8_t *out,
                            py::ssize_t index) const {
        try {
            return rle::decode(text, runs, out, height_ * width_);
        } catch (const std::invalid_argument &error) {
            throw std::invalid_argument("mask " + std::to_string(index) + ": " + error.what());
        }
    }

    // Counts a mask.
    void note(std::int64_t ones) {
        // @gap
        const std::lock_guard<std::mutex> locked(mutex_);
        ++masks_;
        ones_ += ones;
        //| ++masks_;
        //| ones_ += ones;
        // @end
    }

    py::ssize_t height_, width_;
    std::mutex mutex_;  // for the two below
    std::int64_t masks_ = 0, ones_ = 0;
};

PYBIND11_MODULE(decode, m) {
    m.doc() = "Segmentation masks, decoded in batches.";
    py::class_<Decoder>(m, "Decoder")
        .def(py::init<py::ssize_t, py::ssize_t>(), py::arg("height"), py::arg("width"))
        .def("decode", &Decoder::decode, py::arg("texts"), py::arg("progress") = py::none(),
             "Masks of a list of bytes, uint8 (masks, width, height). Calls progress(done, masks) now and then.")
        .def("stats", &Decoder::stats, "(masks decoded, ones in them) so far.");
}
