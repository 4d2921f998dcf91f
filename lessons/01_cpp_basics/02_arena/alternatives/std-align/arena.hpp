// A bump allocator: blocks of memory from which objects are cut one after the other, and which are all freed at once.
#pragma once

#include "blocks.hpp"

#include <cstddef>
#include <algorithm>
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

    Arena(Arena &&other) noexcept : block_bytes_(other.block_bytes_), s_(std::exchange(other.s_, State())) {}
    Arena &operator=(Arena other) noexcept {
        std::swap(block_bytes_, other.block_bytes_);
        std::swap(s_, other.s_);
        return *this;
    }
    ~Arena() = default;

    // `bytes` bytes at a multiple of `align`, a power of two up to 4096: no other living request has one of them.
    // Throws std::bad_alloc when take_block does, or when no block could be that large; the arena is then as it was.
    // No bytes: any pointer.
    void *allocate(std::size_t bytes, std::size_t align) {
        if (bytes == 0) return nullptr;
        void *p = s_.free;
        if (p == nullptr || std::align(align, bytes, p, s_.room) == nullptr) {
            if (bytes > std::numeric_limits<std::size_t>::max() - align) throw std::bad_alloc{};
            grow(bytes + align);
            p = s_.free;
            std::align(align, bytes, p, s_.room);
        }
        s_.free = static_cast<char *>(p) + bytes;
        s_.room -= bytes;
        s_.used += bytes;
        return p;
    }

    // One new T, made from `args`. Nobody will call its destructor, so T must not need one.
    template <typename T, typename... Args>
    requires std::is_trivially_destructible_v<T> T *create(Args &&...args) {
        return std::construct_at(static_cast<T *>(allocate(sizeof(T), alignof(T))), std::forward<Args>(args)...);
    }

    // `count` new T's side by side, each of them T{}: zero for numbers, whatever lay there before.
    template <typename T>
    requires std::is_trivially_destructible_v<T> std::span<T> array(std::size_t count) {
        std::size_t bytes;
        if (__builtin_mul_overflow(count, sizeof(T), &bytes)) throw std::bad_alloc{};
        auto *p = static_cast<T *>(allocate(bytes, alignof(T)));
        std::fill_n(p, count, T{});
        return {p, count};
    }

    // Everything handed out is dead. The blocks stay, and the next requests are cut from them.
    void reset() noexcept {
        // keep the largest block only
        s_.used = 0;
        if (s_.head == nullptr) return;
        Owner best = std::move(s_.head);
        Owner rest = std::move(best->next);
        while (rest) {
            Owner next = std::move(rest->next);
            if (rest->size > best->size) std::swap(best, rest);
            rest = std::move(next);
        }
        s_.head = std::move(best);
        s_.held = s_.head->size;
        open();
    }

    // The bytes handed out since the last reset, as asked for: without what aligning them cost.
    std::size_t used() const noexcept { return s_.used; }

    // The bytes of all blocks held, in use or not.
    std::size_t held() const noexcept { return s_.held; }

  private:
    std::size_t block_bytes_;
    struct Node;
    struct Deleter {
        void operator()(Node *node) const noexcept;
    };
    using Owner = std::unique_ptr<Node, Deleter>;
    struct Node {
        Owner next;
        std::size_t size;
    };
    struct State {
        Owner head;
        void *free = nullptr;
        std::size_t room = 0, used = 0, held = 0;
    } s_;

    void open() noexcept {
        s_.free = s_.head.get() + 1;
        s_.room = s_.head->size - sizeof(Node);
    }
    void grow(std::size_t least) {
        if (least > std::numeric_limits<std::size_t>::max() - sizeof(Node)) throw std::bad_alloc{};
        const std::size_t size = std::max({least + sizeof(Node), block_bytes_, s_.held});
        void *memory = take_block(size);
        s_.head = Owner(::new (memory) Node{std::move(s_.head), size});
        s_.held += size;
        open();
    }
};

inline void Arena::Deleter::operator()(Node *node) const noexcept {
    const std::size_t size = node->size;
    Owner next = std::move(node->next);
    node->~Node();
    give_block(node, size);
}
