#pragma once

// What the kernels of GGML_OP_ACT are told, how they read it, and the scores of a tile of rows and keys.
//
// Needs half, __half2float, block_q4_0 and block_q8_0; nothing else of ggml-cuda, so that test/native/cuda can run the kernels on a CPU.

#include "ggml-act-plan.h"

#define ACT_STEP            32 // elements of a head per pass through shared memory
#define ACT_SELECT_THREADS  256
#define ACT_CORRECT_ROWS    4
#define ACT_CORRECT_SINKS   32
#define ACT_CORRECT_THREADS (ACT_CORRECT_ROWS*ACT_CORRECT_SINKS)

// Score of a key that a row does not see.
#define ACT_CLOSED (-1e38f)

struct act_args {
    const char    * q;
    const char    * k;
    const char    * v;
    const char    * mask;
    const int32_t * keys;
    const int32_t * entries;
    int32_t       * state;
    float         * scratch; // [entry][row][split][2]: maximum and sum of exponentials; then scores, then sums
    float         * o;

    ggml_type type_k, type_v, type_mask;

    int n_kv, n_rows, n_head, group, dk, dv, state_width;
    int n_splits, split_keys;

    int64_t scores_at; // scores [entry][row][n_kv], few rows only
    int64_t sums_at;   // this segment's column sums [entry][n_kv]

    float scale, softcap, slope0, slope1;
    int   slope_heads;

    int64_t q_row, q_head, q_stream; // strides in bytes
    int64_t k_row, k_head, k_stream;
    int64_t v_value, v_row, v_head, v_stream;
    int64_t mask_row, mask_stream;
};

static __device__ __forceinline__ bool act_is_open(float s) { return s > 0.5f*ACT_CLOSED; }

static __device__ __forceinline__ const int32_t * act_entry(const act_args & a, int e) { return a.entries + e*GGML_ACT_ENTRY_SIZE; }
static __device__ __forceinline__ int act_stream(const act_args & a, int e) { return act_entry(a, e)[GGML_ACT_ENTRY_STREAM]; }
static __device__ __forceinline__ int act_head  (const act_args & a, int e) { return act_entry(a, e)[GGML_ACT_ENTRY_HEAD]; }
static __device__ __forceinline__ int act_flags (const act_args & a, int e) { return act_entry(a, e)[GGML_ACT_ENTRY_FLAGS]; }

static __device__ __forceinline__ float act_real(const act_args & a, int e, int field) { return __int_as_float(act_entry(a, e)[field]); }

static __device__ __forceinline__ int     act_cells(const act_args & a) { return (a.state_width - 2)/2; }
static __device__ __forceinline__ int32_t * act_slot(const act_args & a, int e) {
    return a.state + (int64_t) act_entry(a, e)[GGML_ACT_ENTRY_SLOT]*a.state_width;
}

static __device__ __forceinline__ const int32_t * act_table(const act_args & a, int e, int row) {
    return a.keys + ((int64_t) act_stream(a, e)*GGML_ACT_KEYS_ROWS + row)*a.n_kv;
}

static __device__ __forceinline__ const float * act_q(const act_args & a, int e, int r) {
    return (const float *) (a.q + r*a.q_row + act_head(a, e)*a.q_head + act_stream(a, e)*a.q_stream);
}
static __device__ __forceinline__ const char * act_k(const act_args & a, int e) {
    return a.k + act_head(a, e)/a.group*a.k_head + act_stream(a, e)*a.k_stream;
}
static __device__ __forceinline__ const char * act_v(const act_args & a, int e) {
    return a.v + act_head(a, e)/a.group*a.v_head + act_stream(a, e)*a.v_stream;
}
static __device__ __forceinline__ float * act_o(const act_args & a, int e, int r) {
    return a.o + (((int64_t) act_stream(a, e)*a.n_rows + r)*a.n_head + act_head(a, e))*a.dv;
}

// Element d of a row that begins at x; `stride` bytes lie between plain elements.
static __device__ __forceinline__ float act_read(const char * x, ggml_type type, int d, int64_t stride) {
    switch (type) {
        case GGML_TYPE_F32:
            return *(const float *) (x + d*stride);
        case GGML_TYPE_F16:
            return __half2float(*(const half *) (x + d*stride));
        case GGML_TYPE_Q8_0: {
            const block_q8_0 * block = (const block_q8_0 *) x + d/QK8_0;
            return __half2float(block->d)*block->qs[d%QK8_0];
        }
        default: { // GGML_TYPE_Q4_0: low nibbles, then high ones
            const block_q4_0 * block = (const block_q4_0 *) x + d/QK4_0;
            const int          j     = d%QK4_0;
            const int          pair  = block->qs[j%(QK4_0/2)];
            return __half2float(block->d)*((j < QK4_0/2 ? pair & 15 : pair >> 4) - 8);
        }
    }
}

static __device__ __forceinline__ float act_read_key(const act_args & a, const char * x, int d) {
    return act_read(x, a.type_k, d, a.type_k == GGML_TYPE_F32 ? sizeof(float) : sizeof(half));
}
static __device__ __forceinline__ float act_read_value(const act_args & a, const char * x, int d) {
    return act_read(x, a.type_v, d, a.v_value);
}

static __device__ __forceinline__ float act_slope(const act_args & a, int head) {
    if (a.slope0 == 0.0f) {
        return 1.0f;
    }
    return head < a.slope_heads ? powf(a.slope0, head + 1) : powf(a.slope1, 2*(head - a.slope_heads) + 1);
}

// What is added to the score of key i in row r: the mask times the slope, or ACT_CLOSED.
static __device__ __forceinline__ float act_bias(const act_args & a, int e, float slope, int r, int i) {
    if (r >= a.n_rows || i >= a.n_kv || act_table(a, e, GGML_ACT_KEYS_POSITION)[i] < 0) {
        return ACT_CLOSED;
    }
    const char * row = a.mask + r*a.mask_row + act_stream(a, e)*a.mask_stream;
    const float  m   = a.type_mask == GGML_TYPE_F16 ? __half2float(((const half *) row)[i]) : ((const float *) row)[i];
    return act_is_open(m) ? slope*m : ACT_CLOSED;
}

static __device__ __forceinline__ float act_capped(const act_args & a, float s) {
    return a.softcap == 0.0f ? s : a.softcap*tanhf(s/a.softcap);
}

static __device__ __forceinline__ float * act_split(const act_args & a, int e, int r, int split) {
    return a.scratch + (((int64_t) e*a.n_rows + r)*a.n_splits + split)*2;
}

// Log-sum-exp of a row over all splits; a row that sees nothing gets one that makes every probability 0.
static __device__ float act_lse(const act_args & a, int e, int r) {
    float top   = ACT_CLOSED;
    float total = 0.0f;
    for (int s = 0; s < a.n_splits; s++) {
        const float * other = act_split(a, e, r, s);
        const float   both  = fmaxf(top, other[0]);
        total = total*expf(top - both) + other[1]*expf(other[0] - both);
        top   = both;
    }
    return total > 0.0f ? top + logf(total) : -ACT_CLOSED;
}

// Scores of 4*TY rows and 64 keys of one entry, through shared memory; a thread computes four rows and MK keys: keys x, x + TX, ...
template <int TY, int MK>
struct act_tile {
    static constexpr int MR      = 4;
    static constexpr int ROWS    = MR*TY;
    static constexpr int TX      = GGML_ACT_TILE_KEYS/MK;
    static constexpr int THREADS = TX*TY;

    struct shared {
        float q[ROWS*(ACT_STEP + 1)];
        float k[ACT_STEP*(GGML_ACT_TILE_KEYS + 1)]; // reused by the reductions
        int   any_open;
    };

    float score[MR][MK]; // ACT_CLOSED where the row does not see the key

    // false: no row sees any of the keys. All threads of the block must call it.
    __device__ bool compute(const act_args & a, shared & mem, int e, float slope, int r0, int k0) {
        const int t = threadIdx.x;
        const int x = t%TX;
        const int y = t/TX;

        __syncthreads();
        if (t == 0) {
            mem.any_open = 0;
        }
        __syncthreads();
        float bias[MR][MK];
        bool open = false;
#pragma unroll
        for (int i = 0; i < MR; i++) {
#pragma unroll
            for (int j = 0; j < MK; j++) {
                bias [i][j] = act_bias(a, e, slope, r0 + y*MR + i, k0 + x + j*TX);
                score[i][j] = 0.0f;
                open = open || act_is_open(bias[i][j]);
            }
        }
        if (open) {
            mem.any_open = 1;
        }
        __syncthreads();
        if (!mem.any_open) {
            return false;
        }

        const char * keys = act_k(a, e);
        for (int d0 = 0; d0 < a.dk; d0 += ACT_STEP) {
            for (int n = t; n < ROWS*ACT_STEP; n += THREADS) {
                const int r = n/ACT_STEP, d = n%ACT_STEP;
                mem.q[r*(ACT_STEP + 1) + d] = r0 + r < a.n_rows && d0 + d < a.dk ? act_q(a, e, r0 + r)[d0 + d] : 0.0f;
            }
            for (int n = t; n < GGML_ACT_TILE_KEYS*ACT_STEP; n += THREADS) {
                const int i = n/ACT_STEP, d = n%ACT_STEP;
                mem.k[d*(GGML_ACT_TILE_KEYS + 1) + i] =
                    k0 + i < a.n_kv && d0 + d < a.dk ? act_read_key(a, keys + (k0 + i)*a.k_row, d0 + d) : 0.0f;
            }
            __syncthreads();
#pragma unroll 8
            for (int d = 0; d < ACT_STEP; d++) {
                float k_part[MK];
#pragma unroll
                for (int j = 0; j < MK; j++) {
                    k_part[j] = mem.k[d*(GGML_ACT_TILE_KEYS + 1) + x + j*TX];
                }
#pragma unroll
                for (int i = 0; i < MR; i++) {
                    const float q_part = mem.q[(y*MR + i)*(ACT_STEP + 1) + d];
#pragma unroll
                    for (int j = 0; j < MK; j++) {
                        score[i][j] = fmaf(q_part, k_part[j], score[i][j]);
                    }
                }
            }
            __syncthreads();
        }
#pragma unroll
        for (int i = 0; i < MR; i++) {
#pragma unroll
            for (int j = 0; j < MK; j++) {
                score[i][j] = act_is_open(bias[i][j]) ? act_capped(a, score[i][j]*a.scale) + bias[i][j] : ACT_CLOSED;
            }
        }
        return true;
    }
};

using act_tile_few    = act_tile<1, 1>;
using act_tile_blocks = act_tile<GGML_ACT_TILE_ROWS/4, 4>;
