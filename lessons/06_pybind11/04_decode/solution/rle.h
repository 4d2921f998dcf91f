// Masks as COCO stores them: run lengths in printable characters. Given; touches no Python.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <vector>

namespace rle {

// The number that begins at text[at]: 5 bits a character, the lowest first, 32 is "one more", the last bit is the sign.
inline std::int64_t next_number(std::string_view text, std::size_t &at) {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 40; shift += 5) {
        if (at == text.size()) throw std::invalid_argument("the last number is cut off");
        const unsigned digit = static_cast<unsigned char>(text[at++]) - 48u;
        if (digit > 63) throw std::invalid_argument("a character that no number has");
        value |= std::uint64_t{digit & 31} << shift;
        if (digit & 32) continue;
        if (digit & 16) value |= ~std::uint64_t{0} << (shift + 5);
        return static_cast<std::int64_t>(value);
    }
    throw std::invalid_argument("a number of more than 40 bits");
}

// Writes the mask of `text` to out[0:pixels], zeros and ones in turn; returns the number of ones. From the fourth on, a run
// is stored as the difference to the one before the last. Throws std::invalid_argument where the text is malformed.
// `runs` is room for the lengths: what is in it before does not matter. Not to be used by two threads at a time.
inline std::int64_t decode(std::string_view text, std::vector<std::int64_t> &runs, std::uint8_t *out,
                           std::int64_t pixels) {
    runs.clear();
    std::int64_t place = 0, ones = 0;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t known = runs.size();
        runs.push_back(next_number(text, at) + (known > 2 ? runs[known - 2] : 0));
        const std::int64_t length = runs.back();
        if (length < 0 || length > pixels - place) throw std::invalid_argument("a run outside the mask");
        std::memset(out + place, static_cast<int>(known % 2), static_cast<std::size_t>(length));
        place += length;
        ones += known % 2 ? length : 0;
    }
    if (place != pixels) throw std::invalid_argument("the runs end too early");
    return ones;
}

}  // namespace rle
