#pragma once

// Kernels of GGML_OP_ACT (ggml-act.h says what is computed). Grids depend on shapes alone: entries, counts and flags are read on the device, so
// a CUDA graph may be captured and the host is never waited for. No addition is atomic: results do not change from run to run.

#include "act-tile.cuh"
#include "act-correct.cuh"

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
