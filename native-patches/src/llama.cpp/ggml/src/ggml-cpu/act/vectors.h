#pragma once

// Vector operations on rows of float32 and of f16 keys.

#include "operands.h"

#include "vec.h"

namespace ggml_act_cpu {

inline float dot(const float * GGML_RESTRICT a, const float * GGML_RESTRICT b, int64_t n) {
#if defined(GGML_SIMD) && !defined(__ARM_FEATURE_SVE) && !defined(__riscv_v_intrinsic)
    if (n % GGML_F32_STEP == 0) { // in place: a call costs as much as a head of 64
        GGML_F32_VEC sum[GGML_F32_ARR];
        for (int j = 0; j < GGML_F32_ARR; j++) {
            sum[j] = GGML_F32_VEC_ZERO;
        }
        for (int64_t i = 0; i < n; i += GGML_F32_STEP) {
            for (int j = 0; j < GGML_F32_ARR; j++) {
                sum[j] = GGML_F32_VEC_FMA(sum[j], GGML_F32_VEC_LOAD(b + i + j*GGML_F32_EPR), GGML_F32_VEC_LOAD(a + i + j*GGML_F32_EPR));
            }
        }
        float s;
        GGML_F32_VEC_REDUCE(s, sum);
        return s;
    }
#endif
    float s;
    ggml_vec_dot_f32(n, &s, 0, a, 0, b, 0, 1);
    return s;
}

#if defined(GGML_SIMD) && !defined(__ARM_FEATURE_SVE) && !defined(__riscv_v_intrinsic)
#if GGML_F32_EPR == 16 && defined(GGML_F32Cx16_LOAD)
#define ACT_LOAD_F16(x) GGML_F32Cx16_LOAD(x)
#elif GGML_F32_EPR == 8 && defined(GGML_F32Cx8_LOAD)
#define ACT_LOAD_F16(x) GGML_F32Cx8_LOAD(x)
#elif GGML_F32_EPR == 4 && defined(GGML_F32Cx4_LOAD)
#define ACT_LOAD_F16(x) GGML_F32Cx4_LOAD(x)
#endif
#endif

// Several queries with one key in f16, which is converted once, as it is loaded: while generating, that is half the work.
constexpr int QUERIES = 4;
#if defined(ACT_LOAD_F16)
constexpr int64_t F16_STEP = GGML_F32_STEP;

template <int H>
inline void dot_queries(const float * const * q, const ggml_fp16_t * k, int64_t n, float * out) {
    GGML_F32_VEC sum[H][GGML_F32_ARR];
    for (int h = 0; h < H; h++) {
        for (int j = 0; j < GGML_F32_ARR; j++) {
            sum[h][j] = GGML_F32_VEC_ZERO;
        }
    }
    for (int64_t i = 0; i < n; i += GGML_F32_STEP) {
        for (int j = 0; j < GGML_F32_ARR; j++) {
            const GGML_F32_VEC x = ACT_LOAD_F16(k + i + j*GGML_F32_EPR);
            for (int h = 0; h < H; h++) {
                sum[h][j] = GGML_F32_VEC_FMA(sum[h][j], x, GGML_F32_VEC_LOAD(q[h] + i + j*GGML_F32_EPR));
            }
        }
    }
    for (int h = 0; h < H; h++) {
        GGML_F32_VEC_REDUCE(out[h], sum[h]);
    }
}
#else
constexpr int64_t F16_STEP = INT64_MAX;

template <int H>
inline void dot_queries(const float * const *, const ggml_fp16_t *, int64_t, float *) { GGML_ABORT("no f16 loads"); }
#endif

// 16 independent maxima, so that the compiler may use vector registers
inline float max_of(const float * x, int64_t n) {
    float lane[16];
    std::fill(lane, lane + 16, -INFINITY);
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        for (int j = 0; j < 16; j++) {
            lane[j] = x[i + j] > lane[j] ? x[i + j] : lane[j];
        }
    }
    float result = -INFINITY;
    for (; i < n; i++) {
        result = std::max(result, x[i]);
    }
    for (int j = 0; j < 16; j++) {
        result = std::max(result, lane[j]);
    }
    return result;
}

// The maxima of x[j], x[j + LANES] and so on, and of what is there, stay apart until the row is complete.
inline void max_into(float * GGML_RESTRICT lane, const float * GGML_RESTRICT x, int64_t n) {
    for (int64_t i = 0; i < n; i += LANES) {
        for (int j = 0; j < LANES; j++) {
            lane[j] = x[i + j] > lane[j] ? x[i + j] : lane[j];
        }
    }
}

// A row that sees no key at all (padding) has maximum -inf: its probabilities are 0, not NaN.
inline float finite(float top) { return top == -INFINITY ? 0.0f : top; }
inline float log_sum_exp(float top, float total) { return total > 0.0f ? top + logf(total) : INFINITY; }
inline float inverse_of(float total) { return total > 0.0f ? 1.0f/total : 0.0f; }

// One row of a tile: scores -> exp(score - top). What belongs to the row's total is added to its lanes, which stay apart until the row is complete.
inline void exp_into(double * lane, float * s, float top) {
#if defined(__AVX512F__) && defined(__AVX512DQ__)
    __m512d low = _mm512_loadu_pd(lane), high = _mm512_loadu_pd(lane + 8);
    for (int j = 0; j < TILE; j += LANES) {
        const __m512 e = ggml_v_expf(_mm512_sub_ps(_mm512_loadu_ps(s + j), _mm512_set1_ps(top)));
        _mm512_storeu_ps(s + j, e);
        low  = _mm512_add_pd(low, _mm512_cvtps_pd(_mm512_castps512_ps256(e)));
        high = _mm512_add_pd(high, _mm512_cvtps_pd(_mm512_extractf32x8_ps(e, 1)));
    }
    _mm512_storeu_pd(lane, low);
    _mm512_storeu_pd(lane + 8, high);
#else
    lane[0] += ggml_vec_soft_max_f32(TILE, s, s, top);
#endif
}

} // namespace ggml_act_cpu
