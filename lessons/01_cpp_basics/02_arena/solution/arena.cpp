// Given: the functions that Python calls, the source of blocks, and the chains of tokens that the benchmark builds.
#include "arena.hpp"

#include <cstdint>
#include <cstdlib>
#include <memory_resource>
#include <vector>

// A token of a document as a tokenizer keeps it while it works: it knows the one before it. 16 bytes.
struct Token {
    const Token *previous;
    std::int32_t id;
    std::int32_t length;
};

using Take = void *(*)(std::size_t);
using Give = void (*)(void *, std::size_t);
static Take other_take = nullptr;
static Give other_give = nullptr;

void *take_block(std::size_t bytes) {
    void *block = other_take != nullptr ? other_take(bytes) : std::malloc(bytes);
    if (block == nullptr) {
        throw std::bad_alloc();
    }
    return block;
}

void give_block(void *block, std::size_t bytes) noexcept {
    other_give != nullptr ? other_give(block, bytes) : std::free(block);
}

// What the compiler makes of the class. A template, so that what an Arena can't do need not compile.
template <typename A>
struct Traits {
    static A *copy(const A *from) {
        if constexpr (std::is_copy_constructible_v<A>) {
            return new A(*from);
        }
        return nullptr;
    }

    static bool assign(A *to, const A *from) {
        if constexpr (std::is_copy_assignable_v<A>) {
            *to = *from;
        }
        return std::is_copy_assignable_v<A>;
    }
};

// The tokens of a document as a chain, and from its end back: what a tokenizer does for every sentence.
template <typename Make>
const Token *chain(const std::int32_t *ids, std::int64_t count, Make make) {
    const Token *last = nullptr;
    for (std::int64_t i = 0; i < count; i++) {
        last = make(last, ids[i], static_cast<std::int32_t>(i & 7) + 1);
    }
    return last;
}

static std::int64_t walked(const Token *token) {
    std::int64_t sum = 0;
    for (; token != nullptr; token = token->previous) {
        sum += std::int64_t{token->id} * token->length;
    }
    return sum;
}

// Exceptions may not leave a C function: here each becomes a null pointer.
template <typename Ask>
static void *or_null(Ask ask) {
    try {
        return ask();
    } catch (const std::bad_alloc &) {
        return nullptr;
    }
}

extern "C" {

void arena_source(Take take, Give give) {
    other_take = take;
    other_give = give;
}

Arena *arena_open(std::size_t block_bytes) {
    return new Arena(block_bytes);
}

void arena_close(Arena *arena) {
    delete arena;
}

void *arena_allocate(Arena *arena, std::size_t bytes, std::size_t align) {
    return or_null([&] { return arena->allocate(bytes, align); });
}

void *arena_token(Arena *arena, const Token *previous, std::int32_t id, std::int32_t length) {
    return or_null([&] { return arena->create<Token>(previous, id, length); });
}

void *arena_byte(Arena *arena, std::uint8_t value) {
    return or_null([&] { return arena->create<std::uint8_t>(value); });
}

// `*size` gets the span's own length. -1: an exception.
void *arena_array(Arena *arena, std::size_t count, std::int64_t *size) {
    *size = -1;
    return or_null([&] {
        const std::span<std::int64_t> made = arena->array<std::int64_t>(count);
        *size = static_cast<std::int64_t>(made.size());
        return made.data();
    });
}

void arena_reset(Arena *arena) {
    arena->reset();
}

std::size_t arena_used(const Arena *arena) {
    return arena->used();
}

std::size_t arena_held(const Arena *arena) {
    return arena->held();
}

Arena *arena_moved(Arena *from) {
    return new Arena(std::move(*from));
}

void arena_assign(Arena *to, Arena *from) {
    *to = std::move(*from);
}

Arena *arena_copied(const Arena *from) {
    return Traits<Arena>::copy(from);
}

bool arena_copy_assigned(Arena *to, const Arena *from) {
    return Traits<Arena>::assign(to, from);
}

bool arena_moves_without_exceptions() {
    return std::is_nothrow_move_constructible_v<Arena> && std::is_nothrow_move_assignable_v<Arena>;
}

// The benchmark: `docs` documents of lengths[d] ids, `batch` of them alive at a time.
std::int64_t tokens_in_arena(const std::int32_t *ids, const std::int64_t *lengths, std::int64_t docs,
                             std::int64_t batch) {
    Arena arena(1 << 16);
    std::vector<const Token *> last(static_cast<std::size_t>(batch));
    std::int64_t sum = 0;
    for (std::int64_t d = 0; d < docs; d += batch) {
        const std::int64_t n = d + batch < docs ? batch : docs - d;
        for (std::int64_t k = 0; k < n; ids += lengths[d + k], k++) {
            last[k] = chain(ids, lengths[d + k], [&](const Token *previous, std::int32_t id, std::int32_t length) {
                return arena.create<Token>(previous, id, length);
            });
        }
        for (std::int64_t k = 0; k < n; k++) {
            sum += walked(last[k]);
        }
        arena.reset();
    }
    return sum;
}

// The baseline: each token from new, and each deleted.
std::int64_t tokens_by_new(const std::int32_t *ids, const std::int64_t *lengths, std::int64_t docs,
                           std::int64_t batch) {
    std::vector<const Token *> last(static_cast<std::size_t>(batch));
    std::int64_t sum = 0;
    for (std::int64_t d = 0; d < docs; d += batch) {
        const std::int64_t n = d + batch < docs ? batch : docs - d;
        for (std::int64_t k = 0; k < n; ids += lengths[d + k], k++) {
            last[k] = chain(ids, lengths[d + k], [](const Token *previous, std::int32_t id, std::int32_t length) {
                return new Token{previous, id, length};
            });
        }
        for (std::int64_t k = 0; k < n; k++) {
            sum += walked(last[k]);
            for (const Token *token = last[k]; token != nullptr;) {
                const Token *previous = token->previous;
                delete token;
                token = previous;
            }
        }
    }
    return sum;
}

// What the standard library offers. Its release() gives the blocks back, and every token costs a virtual call.
std::int64_t tokens_by_pmr(const std::int32_t *ids, const std::int64_t *lengths, std::int64_t docs,
                           std::int64_t batch) {
    std::pmr::monotonic_buffer_resource arena(1 << 16);
    std::vector<const Token *> last(static_cast<std::size_t>(batch));
    std::int64_t sum = 0;
    for (std::int64_t d = 0; d < docs; d += batch) {
        const std::int64_t n = d + batch < docs ? batch : docs - d;
        for (std::int64_t k = 0; k < n; ids += lengths[d + k], k++) {
            last[k] = chain(ids, lengths[d + k], [&](const Token *previous, std::int32_t id, std::int32_t length) {
                return ::new (arena.allocate(sizeof(Token), alignof(Token))) Token{previous, id, length};
            });
        }
        for (std::int64_t k = 0; k < n; k++) {
            sum += walked(last[k]);
        }
        arena.release();
    }
    return sum;
}
}
