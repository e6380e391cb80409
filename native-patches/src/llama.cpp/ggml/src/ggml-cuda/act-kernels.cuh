#pragma once

// Kernels of GGML_OP_ACT (ggml-act.h says what is computed). Grids depend on shapes alone: entries, counts and flags are read on the device, so
// a CUDA graph may be captured and the host is never waited for. No addition is atomic: results do not change from run to run.
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

// Stage 1: maximum and sum of exponentials of every row over a split of the keys; with few rows the scores too.
// Grid: (split, block of rows, entry).
template <bool few, typename tile_t>
static __global__ void __launch_bounds__(tile_t::THREADS) act_scores(const act_args a) {
    __shared__ typename tile_t::shared mem;

    const int split = blockIdx.x;
    const int r0    = blockIdx.y*tile_t::ROWS;
    const int e     = blockIdx.z;
    const int t     = threadIdx.x;
    const int x     = t%tile_t::TX;
    const int y     = t/tile_t::TX;
    const float slope = act_slope(a, act_head(a, e));

    tile_t tile;
    float top[tile_t::MR], total[tile_t::MR];
#pragma unroll
    for (int i = 0; i < tile_t::MR; i++) {
        top[i]   = ACT_CLOSED;
        total[i] = 0.0f;
    }

    const int end = min(a.n_kv, (split + 1)*a.split_keys);
    for (int k0 = split*a.split_keys; k0 < end; k0 += GGML_ACT_TILE_KEYS) {
        const bool open = tile.compute(a, mem, e, slope, r0, k0);
#pragma unroll
        for (int i = 0; i < tile_t::MR; i++) {
#pragma unroll
            for (int j = 0; j < GGML_ACT_TILE_KEYS/tile_t::TX; j++) {
                const float s = open ? tile.score[i][j] : ACT_CLOSED;
                if (few) {
                    const int r = r0 + y*tile_t::MR + i, key = k0 + x + j*tile_t::TX;
                    if (r < a.n_rows && key < a.n_kv) {
                        a.scratch[a.scores_at + ((int64_t) e*a.n_rows + r)*a.n_kv + key] = s;
                    }
                }
                if (act_is_open(s)) {
                    if (s > top[i]) {
                        total[i] *= expf(top[i] - s);
                        top[i] = s;
                    }
                    total[i] += expf(s - top[i]);
                }
            }
        }
    }

    // across the threads that share the rows, through the tile's memory
    __syncthreads();
#pragma unroll
    for (int i = 0; i < tile_t::MR; i++) {
        const int row = y*tile_t::MR + i;
        mem.k[row*tile_t::TX + x] = top[i];
        mem.k[(tile_t::ROWS + row)*tile_t::TX + x] = total[i];
    }
    __syncthreads();
    if (t < tile_t::ROWS && r0 + t < a.n_rows) {
        float row_top = ACT_CLOSED;
        for (int i = 0; i < tile_t::TX; i++) {
            row_top = fmaxf(row_top, mem.k[t*tile_t::TX + i]);
        }
        float row_total = 0.0f;
        for (int i = 0; i < tile_t::TX; i++) {
            row_total += mem.k[(tile_t::ROWS + t)*tile_t::TX + i]*expf(mem.k[t*tile_t::TX + i] - row_top);
        }
        float * out = act_split(a, e, r0 + t, split);
        out[0] = row_top;
        out[1] = row_total;
    }
}

// Stage 2 for many rows: column sums of the probabilities; each key belongs to one block. Grid: (tile of keys, 1, entry).
static __global__ void __launch_bounds__(act_tile_blocks::THREADS) act_sums(const act_args a) {
    using tile_t = act_tile_blocks;
    constexpr int MK = GGML_ACT_TILE_KEYS/tile_t::TX;

    __shared__ tile_t::shared mem;
    __shared__ float lse[tile_t::ROWS];

    const int k0 = blockIdx.x*GGML_ACT_TILE_KEYS;
    const int e  = blockIdx.z;
    const int t  = threadIdx.x;
    const int x  = t%tile_t::TX;
    const int y  = t/tile_t::TX;

    if (act_flags(a, e) & GGML_ACT_FLAG_INITIAL) {
        return;
    }
    const float slope = act_slope(a, act_head(a, e));

    tile_t tile;
    float column[MK] = {};
    for (int r0 = 0; r0 < a.n_rows; r0 += tile_t::ROWS) {
        if (!tile.compute(a, mem, e, slope, r0, k0)) {
            continue;
        }
        if (t < tile_t::ROWS) {
            lse[t] = r0 + t < a.n_rows ? act_lse(a, e, r0 + t) : -ACT_CLOSED;
        }
        __syncthreads();
#pragma unroll
        for (int i = 0; i < tile_t::MR; i++) {
#pragma unroll
            for (int j = 0; j < MK; j++) {
                column[j] += act_is_open(tile.score[i][j]) ? expf(tile.score[i][j] - lse[y*tile_t::MR + i]) : 0.0f;
            }
        }
    }

    __syncthreads();
#pragma unroll
    for (int j = 0; j < MK; j++) {
        mem.k[y*GGML_ACT_TILE_KEYS + x + j*tile_t::TX] = column[j];
    }
    __syncthreads();
    if (t < GGML_ACT_TILE_KEYS && k0 + t < a.n_kv) {
        float sum = 0.0f;
        for (int i = 0; i < tile_t::THREADS/tile_t::TX; i++) {
            sum += mem.k[i*GGML_ACT_TILE_KEYS + t];
        }
        a.scratch[a.sums_at + (int64_t) e*a.n_kv + k0 + t] = sum;
    }
}

struct act_lowest {
    int position[ACT_SELECT_THREADS];
    int cell    [ACT_SELECT_THREADS];
};

// mem.position[0], mem.cell[0] = the lowest position of all threads and its cell
static __device__ void act_reduce_lowest(act_lowest & mem, int position, int cell) {
    const int t = threadIdx.x;
    mem.position[t] = position;
    mem.cell    [t] = cell;
    __syncthreads();
    for (int n = ACT_SELECT_THREADS/2; n > 0; n /= 2) {
        if (t < n && mem.position[t + n] < mem.position[t]) {
            mem.position[t] = mem.position[t + n];
            mem.cell    [t] = mem.cell    [t + n];
        }
        __syncthreads();
    }
}

// Stage 3: running sums, column means, candidates above the limit, the lowest position exempt, list of sinks; with few rows also stage 2, from
// the stored scores. One block per entry; a thread keeps to its own stretch of keys.
template <bool few>
static __global__ void __launch_bounds__(ACT_SELECT_THREADS) act_select(const act_args a) {
    __shared__ act_lowest mem;
    __shared__ int   counts[ACT_SELECT_THREADS];
    __shared__ float lse[GGML_ACT_FEW_ROWS];

    const int e     = blockIdx.x;
    const int t     = threadIdx.x;
    const int flags = act_flags(a, e);
    const int cells = act_cells(a);

    int32_t       * slot     = act_slot(a, e);
    float         * running  = (float *) slot;
    int32_t       * sinks    = slot + GGML_ACT_STATE_SINKS(cells);
    const int32_t * position = act_table(a, e, GGML_ACT_KEYS_POSITION);

    const int stretch = (a.n_kv + ACT_SELECT_THREADS - 1)/ACT_SELECT_THREADS;
    const int begin   = min(a.n_kv, t*stretch);
    const int end     = min(a.n_kv, begin + stretch);

    int lowest = 0x7FFFFFFF, cell = -1;

    if (flags & GGML_ACT_FLAG_INITIAL) {
        for (int i = begin; i < end; i++) {
            if (position[i] >= 0 && position[i] < lowest) {
                lowest = position[i];
                cell   = i;
            }
        }
        act_reduce_lowest(mem, lowest, cell);
        if (t == 0) {
            slot[GGML_ACT_STATE_EXEMPT(cells)] = -1;
            slot[GGML_ACT_STATE_COUNT (cells)] = mem.cell[0] < 0 ? 0 : 1;
            sinks[0] = mem.cell[0];
        }
        return;
    }

    if (few) {
        if (t < a.n_rows) {
            lse[t] = act_lse(a, e, t);
        }
        __syncthreads();
    }

    const bool      row     = flags & GGML_ACT_FLAG_ROW;
    const bool      fresh   = flags & GGML_ACT_FLAG_FRESH;
    const float     limit   = act_real(a, e, GGML_ACT_ENTRY_LIMIT);
    const int32_t * seen    = act_table(a, e, row ? GGML_ACT_KEYS_SEGMENT : GGML_ACT_KEYS_COUNT);
    float         * segment = a.scratch + a.sums_at + (int64_t) e*a.n_kv;
    const float   * total   = row ? segment : running;

    const auto is_candidate = [&](int i) {
        return seen[i] > 0 && total[i] > 0.0f && total[i]/seen[i] > limit;
    };

    int n = 0;
    for (int i = begin; i < end; i++) {
        if (few) {
            float sum = 0.0f;
            for (int r = 0; r < a.n_rows; r++) {
                const float s = a.scratch[a.scores_at + ((int64_t) e*a.n_rows + r)*a.n_kv + i];
                sum += act_is_open(s) ? expf(s - lse[r]) : 0.0f;
            }
            segment[i] = sum;
        }
        running[i] = fresh ? segment[i] : running[i] + segment[i];
        if (is_candidate(i)) {
            n++;
            if (position[i] < lowest) {
                lowest = position[i];
                cell   = i;
            }
        }
    }
    if (fresh) {
        for (int i = a.n_kv + t; i < cells; i += ACT_SELECT_THREADS) {
            running[i] = 0.0f;
        }
    }
    act_reduce_lowest(mem, lowest, cell);
    const int exempt = mem.cell[0];

    // how many candidates the threads before this one have
    counts[t] = n;
    __syncthreads();
    for (int step = 1; step < ACT_SELECT_THREADS; step *= 2) {
        const int other = t >= step ? counts[t - step] : 0;
        __syncthreads();
        counts[t] += other;
        __syncthreads();
    }
    int at = counts[t] - n - (exempt >= 0 && exempt < begin ? 1 : 0);
    for (int i = begin; i < end; i++) {
        if (i != exempt && is_candidate(i)) {
            sinks[at++] = i;
        }
    }
    if (t == 0) {
        slot[GGML_ACT_STATE_EXEMPT(cells)] = exempt;
        slot[GGML_ACT_STATE_COUNT (cells)] = counts[ACT_SELECT_THREADS - 1] - (exempt >= 0 ? 1 : 0);
    }
}

// A[r0 + row, i]
template <bool few>
static __device__ float act_probability(
        const act_args & a, const float * q_rows, const float * lse, int e, float slope, int r0, int row, int i) {
    if (few) {
        const float s = a.scratch[a.scores_at + ((int64_t) e*a.n_rows + r0 + row)*a.n_kv + i];
        return act_is_open(s) ? expf(s - lse[row]) : 0.0f;
    }
    const float bias = act_bias(a, e, slope, r0 + row, i);
    if (!act_is_open(bias)) {
        return 0.0f;
    }
    const char * key = act_k(a, e) + i*a.k_row;
    float s = 0.0f;
    for (int d = 0; d < a.dk; d++) {
        s = fmaf(q_rows[row*GGML_ACT_MAX_D + d], act_read_key(a, key, d), s);
    }
    return expf(act_capped(a, s*a.scale) + bias - lse[row]);
}

static __device__ __forceinline__ bool act_is_sink(const int32_t * sinks, int count, int cell) {
    int low = 0, high = count;
    while (low < high) {
        const int middle = (low + high)/2;
        if (sinks[middle] == cell) {
            return true;
        }
        if (sinks[middle] < cell) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return false;
}

// Stage 4: per row the sinks' mass and their sum of A*v, then the correction of o in place. Where nearly all mass lies on the sinks, 1 - m has
// lost its digits and the other keys are summed themselves. Grid: (block of rows, 1, entry).
template <bool few>
static __global__ void __launch_bounds__(ACT_CORRECT_THREADS) act_correct(const act_args a) {
    constexpr int ROWS    = ACT_CORRECT_ROWS;
    constexpr int SINKS   = ACT_CORRECT_SINKS;
    constexpr int THREADS = ACT_CORRECT_THREADS;
    constexpr int MV      = GGML_ACT_MAX_D/THREADS; // values per thread

    __shared__ float q_rows[ROWS*GGML_ACT_MAX_D];
    __shared__ float lse [ROWS];
    __shared__ float mass[ROWS];
    __shared__ float A   [THREADS];
    __shared__ float sums[THREADS];

    const int r0 = blockIdx.x*ROWS;
    const int e  = blockIdx.z;
    const int t  = threadIdx.x;

    const int       cells  = act_cells(a);
    const int32_t * slot   = act_slot(a, e);
    const int32_t * sinks  = slot + GGML_ACT_STATE_SINKS(cells);
    const int       count  = slot[GGML_ACT_STATE_COUNT(cells)];
    const int       flags  = act_flags(a, e);
    const float     weight = act_real(a, e, GGML_ACT_ENTRY_WEIGHT);
    if (count == 0 || (flags & GGML_ACT_FLAG_WATCH) || weight == 1.0f) {
        return;
    }
    const int       rows     = min(ROWS, a.n_rows - r0);
    const float     slope    = act_slope(a, act_head(a, e));
    const char    * values   = act_v(a, e);
    const int32_t * position = act_table(a, e, GGML_ACT_KEYS_POSITION);

    for (int n = t; n < rows*GGML_ACT_MAX_D; n += THREADS) {
        const int row = n/GGML_ACT_MAX_D, d = n%GGML_ACT_MAX_D;
        q_rows[n] = d < a.dk ? act_q(a, e, r0 + row)[d] : 0.0f;
    }
    if (t < rows) {
        lse[t] = act_lse(a, e, r0 + t);
    }
    if (t < ROWS) {
        mass[t] = 0.0f;
    }

    float acc[ROWS][MV] = {};
    for (int c0 = 0; c0 < count; c0 += SINKS) {
        const int n   = min(SINKS, count - c0);
        const int row = t/SINKS, j = t%SINKS;
        __syncthreads();
        A[t] = row < rows && j < n ? act_probability<few>(a, q_rows, lse, e, slope, r0, row, sinks[c0 + j]) : 0.0f;
        __syncthreads();
        if (t < ROWS) {
            for (int i = 0; i < n; i++) {
                mass[t] += A[t*SINKS + i];
            }
        }
#pragma unroll
        for (int m = 0; m < MV; m++) {
            const int d = t + m*THREADS;
            if (d < a.dv) {
                for (int i = 0; i < n; i++) {
                    const float v = act_read_value(a, values + sinks[c0 + i]*a.v_row, d);
#pragma unroll
                    for (int r = 0; r < ROWS; r++) {
                        acc[r][m] = fmaf(A[r*SINKS + i], v, acc[r][m]);
                    }
                }
            }
        }
    }
    __syncthreads();

#pragma unroll
    for (int row = 0; row < ROWS; row++) {
        const float m = mass[row];
        if (row >= rows || m <= 0.0f) {
            continue;
        }
        float * o = act_o(a, e, r0 + row);

        const bool initial = flags & GGML_ACT_FLAG_INITIAL;
        if (initial || 1.0f - m >= GGML_ACT_DIRECT_REST) {
            const float scale = initial ? 1.0f/(1.0f - m + weight*m) : (1.0f - weight*m)/(1.0f - m);
            const float part  = initial ? scale*(weight - 1.0f) : weight - scale;
#pragma unroll
            for (int n = 0; n < MV; n++) {
                const int d = t + n*THREADS;
                if (d < a.dv) {
                    o[d] = scale*o[d] + part*acc[row][n];
                }
            }
            continue;
        }

        float other[MV] = {};
        float rest = 0.0f;
        for (int k0 = 0; k0 < a.n_kv; k0 += THREADS) {
            const int i = k0 + t;
            float p = 0.0f;
            if (i < a.n_kv && position[i] >= 0 && !act_is_sink(sinks, count, i)) {
                p = act_probability<few>(a, q_rows, lse, e, slope, r0, row, i);
            }
            __syncthreads();
            A[t] = p;
            __syncthreads();
            rest += p;
            const int n_keys = min(THREADS, a.n_kv - k0);
#pragma unroll
            for (int n = 0; n < MV; n++) {
                const int d = t + n*THREADS;
                if (d < a.dv) {
                    for (int j = 0; j < n_keys; j++) {
                        if (A[j] > 0.0f) {
                            other[n] = fmaf(A[j], act_read_value(a, values + (k0 + j)*a.v_row, d), other[n]);
                        }
                    }
                }
            }
        }
        sums[t] = rest;
        __syncthreads();
        for (int n = THREADS/2; n > 0; n /= 2) {
            if (t < n) {
                sums[t] += sums[t + n];
            }
            __syncthreads();
        }
        rest = sums[0];
        __syncthreads();
        const float scale = rest < GGML_ACT_MIN_REST ? 0.0f : (1.0f - weight*m)/rest;
        if (scale > 0.0f) {
#pragma unroll
            for (int n = 0; n < MV; n++) {
                const int d = t + n*THREADS;
                if (d < a.dv) {
                    o[d] = scale*other[n] + weight*acc[row][n];
                }
            }
        }
    }
}
