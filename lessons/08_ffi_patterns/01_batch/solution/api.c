/* The C side of feature hashing: token -> row of an embedding table. No Python.h: any language can call this. */
#include <stddef.h>
#include <stdint.h>

/* Given: FNV-1a, 32 bits (http://www.isthe.com/chongo/tech/comp/fnv/). */
static uint32_t
fnv1a(const char *text, size_t length)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ (unsigned char)text[i]) * 16777619u;
    }
    return hash;
}

/* Given: the row of one token of `length` bytes. One token a call is what the benchmark compares you with. */
uint32_t
hash_token(const char *text, size_t length, uint32_t rows)
{
    return fnv1a(text, length) % rows;
}

/* The rows of `count` tokens, packed end to end: token i is the bytes text[offsets[i]] to text[offsets[i + 1] - 1].
 * offsets has count + 1 entries, out has room for count. */
void
hash_batch(const char *text, const int64_t *offsets, size_t count, uint32_t rows, uint32_t *out)
{
    // @gap
    for (size_t i = 0; i < count; i++) {
        out[i] = fnv1a(text + offsets[i], (size_t)(offsets[i + 1] - offsets[i])) % rows;
    }
    //| /* TODO: one row for each token. */
    //| (void)text, (void)offsets, (void)rows;
    //| for (size_t i = 0; i < count; i++) {
    //|     out[i] = 0;
    //| }
    // @end
}
