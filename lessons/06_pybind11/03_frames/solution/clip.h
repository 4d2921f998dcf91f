// A decoded clip, as decoders hand it over: rows lie further apart than they are long. Given; touches no Python.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <vector>

// `count` frames of `height` rows of `width` pixels of three bytes. Pixel (f, y, x) begins at data() + f * frame_bytes +
// y * row_bytes + x * 3. Row lengths are rounded up to 64 bytes, for the vector instructions of the decoder.
class Clip {
  public:
    // File: "FRM1", count, height and width as 32-bit little-endian numbers, then runs: how often (1-255), red, green, blue.
    // Throws std::invalid_argument where it is malformed.
    explicit Clip(std::string_view file) {
        if (file.size() < 16 || file.substr(0, 4) != "FRM1") throw std::invalid_argument("this is no FRM1 file");
        count = number(file, 4), height = number(file, 8), width = number(file, 12);
        if ((count | height | width) >> 14) throw std::invalid_argument("a clip of more than 16,383 in one direction");
        row_bytes = (width * 3 + 63) / 64 * 64;
        frame_bytes = row_bytes * height;
        bytes_.resize(std::max<std::size_t>(count * frame_bytes, 64), 0xEE);
        fill(file.substr(16));
        ++alive;
    }
    Clip(const Clip &) = delete;
    Clip &operator=(const Clip &) = delete;
    ~Clip() { --alive; }

    std::uint8_t *data() { return bytes_.data(); }

    std::ptrdiff_t count, height, width, row_bytes, frame_bytes;
    inline static std::atomic<std::int64_t> alive{0};  // how many clips there are

  private:
    static std::ptrdiff_t number(std::string_view file, std::size_t at) {
        std::uint32_t value;
        std::memcpy(&value, file.data() + at, sizeof value);
        return value;
    }

    void fill(std::string_view runs) {
        std::size_t at = 0;
        int left = 0;
        for (std::ptrdiff_t row = 0; row < count * height; ++row) {
            std::uint8_t *pixel = data() + row * row_bytes;
            for (std::ptrdiff_t x = 0; x < width; ++x, pixel += 3, --left) {
                if (left == 0) {
                    if (at + 4 > runs.size() || runs[at] == 0) throw std::invalid_argument("the runs end too early");
                    left = static_cast<std::uint8_t>(runs[at]), at += 4;
                }
                std::memcpy(pixel, runs.data() + at - 3, 3);
            }
        }
        if (left != 0 || at != runs.size()) throw std::invalid_argument("there are more runs than pixels");
    }

    std::vector<std::uint8_t> bytes_;
};
