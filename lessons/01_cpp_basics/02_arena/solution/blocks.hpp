// Given: where an arena's memory comes from. In your library it is the heap; the checks put a source of their own here,
// which keeps books. A serving system would put huge pages here, or memory that the GPU can read (cudaHostAlloc).
#pragma once

#include <cstddef>

// `bytes` bytes at an address that is a multiple of 16, and often of no more. They hold garbage. Throws std::bad_alloc
// when there are none: then nothing was taken.
void *take_block(std::size_t bytes);

// Gives a block back: the pointer and the number of bytes of take_block. Every block exactly once.
void give_block(void *block, std::size_t bytes) noexcept;
