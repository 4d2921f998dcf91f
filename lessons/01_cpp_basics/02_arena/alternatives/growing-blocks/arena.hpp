// A bump allocator: blocks of memory from which objects are cut one after the other, and which are all freed at once.
#pragma once

#include "blocks.hpp"

#include <cstddef>
#include <algorithm>
#include <vector>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

// Owns its blocks. They all come from take_block and go back through give_block, each once. An arena can be moved and not
// copied. What it has handed out stays valid until reset(), or until the arena ends or is assigned to; a move takes it along.
class Arena {
  public:
    // Takes no block yet. Later blocks have `block_bytes` bytes, more where a request needs more. Any number will do.
    explicit Arena(std::size_t block_bytes) noexcept : block_bytes_(block_bytes) {}

    ~Arena() {
        for (const Piece &piece : pieces_) give_block(piece.start, piece.size);
    }
    Arena(const Arena &) = delete;
    Arena &operator=(const Arena &) = delete;
    Arena(Arena &&o) noexcept : block_bytes_(o.block_bytes_) { steal(o); }
    Arena &operator=(Arena &&o) noexcept {
        if (this == &o) return *this;
        for (const Piece &piece : pieces_) give_block(piece.start, piece.size);
        block_bytes_ = o.block_bytes_;
        steal(o);
        return *this;
    }

    // `bytes` bytes at a multiple of `align`, a power of two up to 4096: no other living request has one of them.
    // Throws std::bad_alloc when take_block does, or when no block could be that large; the arena is then as it was.
    // No bytes: any pointer.
    void *allocate(std::size_t bytes, std::size_t align) {
        if (now_ < pieces_.size()) {
            if (void *p = fit(now_, bytes, align)) return p;
        }
        for (std::size_t i = now_ + 1; i < pieces_.size(); i++) {
            std::size_t keep = offset_;
            offset_ = 0;
            if (void *p = fit(i, bytes, align)) {
                now_ = i;
                return p;
            }
            offset_ = keep;
        }
        if (bytes > SIZE_MAX / 2) throw std::bad_alloc();
        std::size_t size = std::max(block_bytes_, bytes + align);
        if (!pieces_.empty()) size = std::max(size, std::min<std::size_t>(pieces_.back().size * 2, 1 << 20));
        pieces_.reserve(pieces_.size() + 1);
        pieces_.push_back({static_cast<char *>(take_block(size)), size});
        now_ = pieces_.size() - 1;
        offset_ = 0;
        total_ += size;
        return fit(now_, bytes, align);
    }

    // One new T, made from `args`. Nobody will call its destructor, so T must not need one.
    template <typename T, typename... Args>
    requires std::is_trivially_destructible_v<T> T *create(Args &&...args) {
        T *p = (T *)allocate(sizeof(T), alignof(T));
        return new (p) T{args...};
    }

    // `count` new T's side by side, each of them T{}: zero for numbers, whatever lay there before.
    template <typename T>
    requires std::is_trivially_destructible_v<T> std::span<T> array(std::size_t count) {
        if (count == 0) return {};
        if (count > SIZE_MAX / sizeof(T)) throw std::bad_array_new_length();
        T *p = (T *)allocate(count * sizeof(T), alignof(T));
        for (std::size_t i = 0; i < count; i++) new (p + i) T();
        return std::span<T>(p, count);
    }

    // Everything handed out is dead. The blocks stay, and the next requests are cut from them.
    void reset() noexcept {
        now_ = 0;
        offset_ = 0;
        sum_ = 0;
    }

    // The bytes handed out since the last reset, as asked for: without what aligning them cost.
    std::size_t used() const noexcept { return sum_; }

    // The bytes of all blocks held, in use or not.
    std::size_t held() const noexcept { return total_; }

  private:
    std::size_t block_bytes_;
    struct Piece {
        char *start;
        std::size_t size;
    };
    std::vector<Piece> pieces_;
    std::size_t now_ = 0, offset_ = 0, sum_ = 0, total_ = 0;

    void *fit(std::size_t i, std::size_t bytes, std::size_t align) {
        std::uintptr_t base = (std::uintptr_t)pieces_[i].start;
        std::uintptr_t at = (base + offset_ + align - 1) / align * align;
        if (at - base > pieces_[i].size || pieces_[i].size - (at - base) < bytes) return nullptr;
        offset_ = at - base + bytes;
        sum_ += bytes;
        return pieces_[i].start + (at - base);
    }
    void steal(Arena &o) {
        pieces_ = std::move(o.pieces_);
        o.pieces_.clear();
        now_ = o.now_;
        offset_ = o.offset_;
        sum_ = o.sum_;
        total_ = o.total_;
        o.now_ = o.offset_ = o.sum_ = o.total_ = 0;
    }
};
