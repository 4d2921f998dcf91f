// Causal attention over a sliding window with soft-capped scores, on the GPU: a warp a row, a tile of 32 rows a step.
#include "swa.h"

#include <cuda_runtime.h>

constexpr int WARP = 32;
constexpr int WARPS = 8;    // rows of a block, one a warp
constexpr int TILE = WARP;  // rows that a block looks at in one step, one a lane
static_assert(WARPS <= TILE, "a block's first tile must hold a key for each of its queries");
constexpr unsigned FULL_WARP = 0xffffffffu;

// 32 rows of DIM numbers in shared memory. Lanes read one column of it, row by row: with rows of DIM they would all meet
// in one bank, with DIM + 1 each has its own.
template <int DIM>
using Tile = float[TILE][DIM + 1];

// Where a block works: rows start .. start + WARPS - 1 of a head, of which the last may be past the end. `row` is the
// number of the head's first row among all, `dense` that of its first element.
struct Place {
    int start;
    int64_t row, dense;
};

static __device__ Place place(const Attention &all) {
    const unsigned blocks = (all.n + WARPS - 1) / WARPS;  // of one head
    const int64_t head = blockIdx.x / blocks;
    return {static_cast<int>(blockIdx.x % blocks) * WARPS, head * all.n, head * all.n * all.d};
}

static __device__ float warp_sum(float value) {
    for (int offset = WARP / 2; offset > 0; offset /= 2) value += __shfl_xor_sync(FULL_WARP, value, offset);
    return value;
}

static __device__ float warp_max(float value) {
    for (int offset = WARP / 2; offset > 0; offset /= 2)
        value = fmaxf(value, __shfl_xor_sync(FULL_WARP, value, offset));
    return value;
}

// Row i of n x d numbers, by the lanes of one warp; zeros past the end of the matrix and of the row.
template <int DIM>
static __device__ void load_row(float *to, const float *rows, int i, int n, int d) {
    for (int c = threadIdx.x % WARP; c < DIM; c += WARP) {
        to[c] = i < n && c < d ? rows[static_cast<int64_t>(i) * d + c] : 0.0f;
    }
}

// Rows first .. first + TILE - 1, by all warps of the block. Only a barrier tells that the other warps are done.
template <int DIM>
static __device__ void load_tile(Tile<DIM> &tile, const float *rows, int first, int n, int d) {
    for (int t = threadIdx.x / WARP; t < TILE; t += WARPS) load_row<DIM>(tile[t], rows, first + t, n, d);
}

// The other way: a lane holds the dims lane, lane + 32, ... of row i.
template <int DIM>
static __device__ void store_row(float *rows, const float (&sums)[DIM / WARP], float factor, int i, int n, int d) {
    for (int r = 0; r < DIM / WARP; ++r) {
        const int c = threadIdx.x % WARP + r * WARP;
        if (i < n && c < d) rows[static_cast<int64_t>(i) * d + c] = sums[r] * factor;
    }
}

template <int DIM>
static __device__ float dot(const float *a, const float *b) {
    float sum = 0.0f;
#pragma unroll 32
    for (int c = 0; c < DIM; ++c) sum += a[c] * b[c];
    return sum;
}

// sums += weight of lane t * row t, for all t. A lane adds up its own dims, so the weights go round by shuffle.
template <int DIM>
static __device__ void add_rows(float (&sums)[DIM / WARP], float weight, const Tile<DIM> &tile) {
#pragma unroll 8
    for (int t = 0; t < TILE; ++t) {
        const float factor = __shfl_sync(FULL_WARP, weight, t);
        for (int r = 0; r < DIM / WARP; ++r) sums[r] += factor * tile[t][threadIdx.x % WARP + r * WARP];
    }
}

static __device__ float scale_of(const Attention &all) {
    return rsqrtf(static_cast<float>(all.d));
}

// The first key that query i sees.
static __device__ int first_key(const Attention &all, int i) {
    // @gap
    return max(0, i - all.window + 1);
    //| return i;  // TODO: this sees the key of its own only
    // @end
}

static __device__ bool sees(const Attention &all, int i, int j) {
    return j >= first_key(all, i) && j <= i;
}

// tanh(scale * q . k / cap). cap times that is the score.
template <int DIM>
static __device__ float squash(const Attention &all, const float *q, const float *k) {
    // @gap
    return tanhf(scale_of(all) / all.cap * dot<DIM>(q, k));
    //| return 0.0f * dot<DIM>(q, k);  // TODO
    // @end
}

// Of a warp: out_i = sum of softmax(score)_j * v_j and lse_i = log(sum of e^score_j) for query i = start + its number.
template <int DIM>
static __global__ void attend(Attention all, float *out, float *lse) {
    __shared__ Tile<DIM> keys, values;
    __shared__ float query[WARPS][DIM];
    const Place at = place(all);
    const int n = all.n, d = all.d, warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const int i = at.start + warp, last = min(n, at.start + WARPS) - 1;
    load_row<DIM>(query[warp], all.q + at.dense, i, n, d);
    float largest = -INFINITY, sum = 0.0f, sums[DIM / WARP] = {};
    // Every warp makes every step, also one that sees none of its keys: all must come to the barriers.
    for (int first = first_key(all, at.start); first <= last; first += TILE) {
        // @gap
        __syncthreads();  // nobody reads the last tile any more
        load_tile<DIM>(keys, all.k + at.dense, first, n, d);
        load_tile<DIM>(values, all.v + at.dense, first, n, d);
        __syncthreads();  // all rows are there
        const int j = first + lane;
        const float score = sees(all, i, j) ? all.cap * squash<DIM>(all, query[warp], keys[lane]) : -INFINITY;
        const float larger = fmaxf(largest, warp_max(score));
        // What was summed up so far is relative to the old maximum. The first tile has a key for each of the block's
        // queries, so `larger` is finite from there on.
        const float shrink = expf(largest - larger), p = expf(score - larger);
        sum = sum * shrink + warp_sum(p);
        for (float &each : sums) each *= shrink;
        add_rows<DIM>(sums, p, values);
        largest = larger;
        //| // TODO: both tiles between two barriers, a score a lane, then the running maximum, the sum and the sums.
        //| load_tile<DIM>(keys, all.k + at.dense, first, n, d);
        //| load_tile<DIM>(values, all.v + at.dense, first, n, d);
        //| const float p = sees(all, i, first + lane) ? squash<DIM>(all, query[warp], keys[lane]) : 0.0f;
        //| largest = warp_max(largest);
        //| sum += warp_sum(p);
        //| add_rows<DIM>(sums, p, values);
        // @end
    }
    store_row<DIM>(out + at.dense, sums, 1.0f / sum, i, n, d);
    if (i < n && lane == 0) lse[at.row + i] = largest + logf(sum);
}

// What reaches scale * q . k through softmax and tanh, given the probability p, s = tanh and dp = grad . v.
static __device__ float through_score(float p, float s, float dp, float mean) {
    // @gap
    return p * (dp - mean) * (1.0f - s * s);
    //| return 0.0f * (p + s + dp + mean);  // TODO
    // @end
}

// Of a warp: dq of query i, and mean_i = grad_i . out_i, which `contribute_keys` reads.
template <int DIM>
static __global__ void contribute_query(Attention all, const float *grad, const float *out, const float *lse,
                                        float *mean, float *dq) {
    __shared__ Tile<DIM> keys, values;
    __shared__ float query[WARPS][DIM], grads[WARPS][DIM];
    const Place at = place(all);
    const int n = all.n, d = all.d, warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const int i = at.start + warp, last = min(n, at.start + WARPS) - 1;
    load_row<DIM>(query[warp], all.q + at.dense, i, n, d);
    load_row<DIM>(grads[warp], grad + at.dense, i, n, d);
    float share = 0.0f;
    for (int c = lane; i < n && c < d; c += WARP)
        share += grads[warp][c] * out[at.dense + static_cast<int64_t>(i) * d + c];
    const float average = warp_sum(share), sum = i < n ? lse[at.row + i] : 0.0f;
    if (i < n && lane == 0) mean[at.row + i] = average;
    float sums[DIM / WARP] = {};
    for (int first = first_key(all, at.start); first <= last; first += TILE) {
        // @gap
        __syncthreads();
        load_tile<DIM>(keys, all.k + at.dense, first, n, d);
        load_tile<DIM>(values, all.v + at.dense, first, n, d);
        __syncthreads();
        float reached = 0.0f;
        if (sees(all, i, first + lane)) {
            const float s = squash<DIM>(all, query[warp], keys[lane]);
            reached = through_score(expf(all.cap * s - sum), s, dot<DIM>(grads[warp], values[lane]), average);
        }
        add_rows<DIM>(sums, reached, keys);
        //| // TODO: as in `attend`, with the probability from lse; then the keys, weighted by what reaches their score.
        //| load_tile<DIM>(keys, all.k + at.dense, first, n, d);
        //| load_tile<DIM>(values, all.v + at.dense, first, n, d);
        //| add_rows<DIM>(sums, 0.0f * (average + sum), keys);
        // @end
    }
    store_row<DIM>(dq + at.dense, sums, scale_of(all), i, n, d);
}

// Of a warp: dk and dv of key j. It goes over the queries that see j, one a lane: nobody else writes row j, so nothing
// has to be added atomically.
template <int DIM>
static __global__ void contribute_keys(Attention all, const float *grad, const float *lse, const float *mean, float *dk,
                                       float *dv) {
    __shared__ Tile<DIM> queries, grads;
    __shared__ float key[WARPS][DIM], value[WARPS][DIM];
    const Place at = place(all);
    const int n = all.n, d = all.d, warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const int j = at.start + warp, last = min(n, at.start + WARPS + all.window - 1) - 1;
    load_row<DIM>(key[warp], all.k + at.dense, j, n, d);
    load_row<DIM>(value[warp], all.v + at.dense, j, n, d);
    float for_key[DIM / WARP] = {}, for_value[DIM / WARP] = {};
    for (int first = at.start; first <= last; first += TILE) {
        // @gap
        __syncthreads();
        load_tile<DIM>(queries, all.q + at.dense, first, n, d);
        load_tile<DIM>(grads, grad + at.dense, first, n, d);
        __syncthreads();
        const int i = first + lane;
        float p = 0.0f, reached = 0.0f;
        if (i < n && sees(all, i, j)) {
            const float s = squash<DIM>(all, queries[lane], key[warp]);
            p = expf(all.cap * s - lse[at.row + i]);
            reached = through_score(p, s, dot<DIM>(grads[lane], value[warp]), mean[at.row + i]);
        }
        add_rows<DIM>(for_key, reached, queries);
        add_rows<DIM>(for_value, p, grads);
        //| // TODO: as in `contribute_query`, with the roles of queries and keys exchanged.
        //| load_tile<DIM>(queries, all.q + at.dense, first, n, d);
        //| load_tile<DIM>(grads, grad + at.dense, first, n, d);
        //| add_rows<DIM>(for_key, 0.0f * lane, queries);
        //| add_rows<DIM>(for_value, 0.0f * lane, grads);
        // @end
    }
    store_row<DIM>(dk + at.dense, for_key, scale_of(all), j, n, d);
    store_row<DIM>(dv + at.dense, for_value, 1.0f, j, n, d);
}

// A block for each WARPS rows of each head.
static int64_t blocks_of(const Attention &all) {
    return all.heads * ((all.n + WARPS - 1) / WARPS);
}

extern "C" cudaError_t swa_forward_launch(const Attention *all, float *out, float *lse, cudaStream_t stream) {
    // @gap
    const unsigned blocks = blocks_of(*all);
    if (blocks == 0) return cudaSuccess;  // a grid of no blocks is an invalid launch
    const auto kernel = all->d <= 64 ? attend<64> : attend<128>;
    kernel<<<blocks, WARPS * WARP, 0, stream>>>(*all, out, lse);
    return cudaGetLastError();  // a launch that fails says so here and nowhere else
    //| // TODO: `attend` on `stream`, with <128> for wide heads; what went wrong; there may be no rows.
    //| attend<64><<<1, WARPS * WARP>>>(*all, out, lse);
    //| return blocks_of(*all) < 0 ? cudaErrorUnknown : cudaSuccess;
    // @end
}

extern "C" cudaError_t swa_backward_launch(const Attention *all, const float *grad, const float *out, const float *lse,
                                           float *mean, float *dq, float *dk, float *dv, cudaStream_t stream) {
    // @gap
    const unsigned blocks = blocks_of(*all), threads = WARPS * WARP;
    if (blocks == 0) return cudaSuccess;
    const auto for_query = all->d <= 64 ? contribute_query<64> : contribute_query<128>;
    for_query<<<blocks, threads, 0, stream>>>(*all, grad, out, lse, mean, dq);
    const cudaError_t error = cudaGetLastError();
    if (error != cudaSuccess) return error;
    // On one stream the second kernel waits for the first, which writes `mean`.
    const auto for_keys = all->d <= 64 ? contribute_keys<64> : contribute_keys<128>;
    for_keys<<<blocks, threads, 0, stream>>>(*all, grad, lse, mean, dk, dv);
    return cudaGetLastError();
    //| // TODO: `contribute_query`, then `contribute_keys`, which reads `mean`.
    //| contribute_query<64><<<1, WARPS * WARP>>>(*all, grad, out, lse, mean, dq);
    //| contribute_keys<64><<<1, WARPS * WARP>>>(*all, grad, lse, mean, dk, dv);
    //| return cudaSuccess;
    // @end
}
