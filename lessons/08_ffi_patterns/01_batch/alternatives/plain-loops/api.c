#include <stddef.h>
#include <stdint.h>

#define FNV_BASIS UINT32_C(2166136261)
#define FNV_PRIME UINT32_C(16777619)

static uint32_t hash_range(const char *at, const char *end) {
    uint32_t h = FNV_BASIS;
    while (at != end) {
        h ^= (uint32_t)(uint8_t)*at++;
        h *= FNV_PRIME;
    }
    return h;
}

void hash_batch(const char *text, const int64_t *offsets, size_t count, uint32_t rows, uint32_t *out) {
    while (count-- > 0) {
        *out++ = hash_range(text + offsets[0], text + offsets[1]) % rows;
        ++offsets;
    }
}

uint32_t hash_token(const char *text, size_t length, uint32_t rows) {
    return hash_range(text, text + length) % rows;
}
