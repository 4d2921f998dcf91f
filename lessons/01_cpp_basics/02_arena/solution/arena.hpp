// A bump allocator: blocks of memory from which objects are cut one after the other, and which are all freed at once.
#pragma once

#include "blocks.hpp"

#include <cstddef>
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

    // @gap
    ~Arena() { release(); }

    // Two owners of one block would give it back twice. Copying the bytes would not help: what was handed out points into
    // the old ones.
    Arena(const Arena &) = delete;
    Arena &operator=(const Arena &) = delete;

    // std::exchange takes the value and leaves another one behind: the source must let go of everything, its place in
    // the block as well.
    Arena(Arena &&other) noexcept
        : block_bytes_(other.block_bytes_),
          first_(std::exchange(other.first_, nullptr)),
          current_(std::exchange(other.current_, nullptr)),
          cursor_(std::exchange(other.cursor_, nullptr)),
          end_(std::exchange(other.end_, nullptr)),
          used_(std::exchange(other.used_, 0)),
          held_(std::exchange(other.held_, 0)) {}

    // First out of `other`, then exchanged: `moved` ends here and gives our old blocks back. With other == *this its
    // blocks go out and come back in.
    Arena &operator=(Arena &&other) noexcept {
        Arena moved(std::move(other));
        swap(moved);
        return *this;
    }
    //| // TODO: what happens at the end of an arena, when it is copied, when it is moved? An arena that was moved from is
    //| // empty and can be used again; one that is assigned to gives back what it held; `a = std::move(a)` changes nothing.
    // @end

    // `bytes` bytes at a multiple of `align`, a power of two up to 4096: no other living request has one of them.
    // Throws std::bad_alloc when take_block does, or when no block could be that large; the arena is then as it was.
    // No bytes: any pointer.
    void *allocate(std::size_t bytes, std::size_t align) {
        // @gap
        // The address is rounded up, not its distance from the block's start: a block begins at any multiple of 16.
        std::size_t padding = padding_to(align);
        std::size_t room = static_cast<std::size_t>(end_ - cursor_);
        // Not `cursor_ + padding + bytes > end_`: that sum may wrap round, and padding is part of what must fit.
        if (padding > room || bytes > room - padding) {
            next_block(bytes, align);
            padding = padding_to(align);
        }
        std::byte *place = cursor_ + padding;
        cursor_ = place + bytes;
        used_ += bytes;
        return place;
        //| // TODO: from the block in use where the request fits, else from another one.
        //| return nullptr;
        // @end
    }

    // One new T, made from `args`. Nobody will call its destructor, so T must not need one.
    template <typename T, typename... Args>
    T *create(Args &&...args) {
        static_assert(std::is_trivially_destructible_v<T>, "an arena calls no destructors");
        // @gap
        void *place = allocate(sizeof(T), alignof(T));
        return ::new (place) T{std::forward<Args>(args)...};  // begins the life of a T there, and takes no memory
        //| // TODO: placement new.
        //| return nullptr;
        // @end
    }

    // `count` new T's side by side, each of them T{}: zero for numbers, whatever lay there before.
    template <typename T>
    std::span<T> array(std::size_t count) {
        static_assert(std::is_trivially_destructible_v<T>, "an arena calls no destructors");
        // @gap
        if (count > std::numeric_limits<std::size_t>::max() / sizeof(T)) {
            throw std::bad_alloc();  // count * sizeof(T) would wrap round and be small
        }
        T *first = static_cast<T *>(allocate(count * sizeof(T), alignof(T)));
        std::uninitialized_value_construct_n(first, count);
        return {first, count};
        //| // TODO
        //| return {};
        // @end
    }

    // Everything handed out is dead. The blocks stay, and the next requests are cut from them.
    void reset() noexcept {
        // @gap
        used_ = 0;
        if (first_ != nullptr) {
            open(first_);
        }
        //| // TODO
        // @end
    }

    // The bytes handed out since the last reset, as asked for: without what aligning them cost.
    std::size_t used() const noexcept {
        // @gap
        return used_;
        //| return 0; // TODO
        // @end
    }

    // The bytes of all blocks held, in use or not.
    std::size_t held() const noexcept {
        // @gap
        return held_;
        //| return 0; // TODO
        // @end
    }

  private:
    std::size_t block_bytes_;
    // @gap
    // Stands at the start of its block: the list of blocks needs no memory of its own, so growing it can't fail.
    struct Block {
        Block *next;
        std::size_t bytes;  // as taken, with this header
    };

    Block *first_ = nullptr;
    Block *current_ = nullptr;     // those after it are kept from before a reset
    std::byte *cursor_ = nullptr;  // the first free byte of current_
    std::byte *end_ = nullptr;     // one past its last
    std::size_t used_ = 0;
    std::size_t held_ = 0;

    // Bytes from cursor_ to the next multiple of align: what is missing to it, in the low bits of the negated address.
    std::size_t padding_to(std::size_t align) const noexcept {
        return (0 - reinterpret_cast<std::uintptr_t>(cursor_)) & (align - 1);
    }

    void open(Block *block) noexcept {
        current_ = block;
        cursor_ = reinterpret_cast<std::byte *>(block + 1);  // behind the header
        end_ = reinterpret_cast<std::byte *>(block) + block->bytes;
    }

    // Opens a block with room for the request: one that is kept, else a new one. Until take_block has returned nothing
    // of the arena is changed. Kept out of allocate, whose usual way is a dozen instructions and gets inlined.
    void next_block(std::size_t bytes, std::size_t align) {
        const std::size_t extra = sizeof(Block) + align - 1;
        if (bytes > std::numeric_limits<std::size_t>::max() - extra) {
            throw std::bad_alloc();
        }
        Block **link = current_ == nullptr ? &first_ : &current_->next;
        while (*link != nullptr && (*link)->bytes < bytes + extra) {
            link = &(*link)->next;  // too small for this one; after the next reset it is used again
        }
        if (*link == nullptr) {
            const std::size_t size = bytes + extra > block_bytes_ ? bytes + extra : block_bytes_;
            *link = ::new (take_block(size)) Block{nullptr, size};
            held_ += size;
        }
        open(*link);
    }

    void release() noexcept {
        while (first_ != nullptr) {
            Block *block = first_;
            first_ = block->next;  // read before the block is gone
            give_block(block, block->bytes);
        }
    }

    void swap(Arena &other) noexcept {
        std::swap(block_bytes_, other.block_bytes_);
        std::swap(first_, other.first_);
        std::swap(current_, other.current_);
        std::swap(cursor_, other.cursor_);
        std::swap(end_, other.end_);
        std::swap(used_, other.used_);
        std::swap(held_, other.held_);
    }
    //| // TODO: what does an arena have to remember?
    // @end
};
