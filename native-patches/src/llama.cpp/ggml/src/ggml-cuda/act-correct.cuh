#pragma once

// Stage 4 of GGML_OP_ACT.

#include "act-tile.cuh"

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
        if (rest >= GGML_ACT_MIN_REST) {
            const float scale = (1.0f - weight*m)/rest;
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
