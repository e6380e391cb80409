#pragma once

// C[M x N] += A[M x K] * B[K x N] in float32 with any strides: A[i][k] = a[i*a_row + k*a_column], B and C with rows of ldb and ldc floats.
// ggml's simd_gemm wants all three dense and A not transposed.

#include "simd-mappings.h"

#include <cstdint>

namespace act_gemm {

#if defined(GGML_SIMD) && !defined(__ARM_FEATURE_SVE) && !defined(__riscv_v_intrinsic)

template <int RM, int RN>
inline void kernel(int64_t K, const float * a, int64_t a_row, int64_t a_column, const float * b, int64_t ldb, float * c, int64_t ldc) {
    GGML_F32_VEC sum[RM][RN];
    for (int i = 0; i < RM; i++) {
        for (int j = 0; j < RN; j++) {
            sum[i][j] = GGML_F32_VEC_LOAD(c + i*ldc + j*GGML_F32_EPR);
        }
    }
    for (int64_t k = 0; k < K; k++) {
        GGML_F32_VEC row[RN];
        for (int j = 0; j < RN; j++) {
            row[j] = GGML_F32_VEC_LOAD(b + k*ldb + j*GGML_F32_EPR);
#if defined(__GNUC__) && defined(__AVX512F__)
            asm("" : "+v"(row[j])); // else GCC loads it again for every row of A
#endif
        }
        for (int i = 0; i < RM; i++) {
            const GGML_F32_VEC x = GGML_F32_VEC_SET1(a[i*a_row + k*a_column]);
            for (int j = 0; j < RN; j++) {
                sum[i][j] = GGML_F32_VEC_FMA(sum[i][j], row[j], x);
            }
        }
    }
    for (int i = 0; i < RM; i++) {
        for (int j = 0; j < RN; j++) {
            GGML_F32_VEC_STORE(c + i*ldc + j*GGML_F32_EPR, sum[i][j]);
        }
    }
}

template <int RM>
inline void rows(int64_t N, int64_t K, const float * a, int64_t a_row, int64_t a_column, const float * b, int64_t ldb, float * c, int64_t ldc) {
#if defined(__AVX512F__) || defined(__ARM_NEON)
    constexpr int WIDE = 4;
#else
    constexpr int WIDE = 2;
#endif
    int64_t j = 0;
    for (; j + WIDE*GGML_F32_EPR <= N; j += WIDE*GGML_F32_EPR) {
        kernel<RM, WIDE>(K, a, a_row, a_column, b + j, ldb, c + j, ldc);
    }
    for (; j + GGML_F32_EPR <= N; j += GGML_F32_EPR) {
        kernel<RM, 1>(K, a, a_row, a_column, b + j, ldb, c + j, ldc);
    }
    for (; j < N; j++) {
        for (int i = 0; i < RM; i++) {
            float sum = c[i*ldc + j];
            for (int64_t k = 0; k < K; k++) {
                sum += a[i*a_row + k*a_column]*b[k*ldb + j];
            }
            c[i*ldc + j] = sum;
        }
    }
}

inline void run(int64_t M, int64_t N, int64_t K, const float * a, int64_t a_row, int64_t a_column, const float * b, int64_t ldb, float * c, int64_t ldc) {
#if defined(__AVX512F__)
    constexpr int TALL = 6; // 24 sums and 4 loads in 32 registers
#else
    constexpr int TALL = 4;
#endif
    int64_t i = 0;
    for (; i + TALL <= M; i += TALL) {
        rows<TALL>(N, K, a + i*a_row, a_row, a_column, b, ldb, c + i*ldc, ldc);
    }
    for (; i + 2 <= M; i += 2) {
        rows<2>(N, K, a + i*a_row, a_row, a_column, b, ldb, c + i*ldc, ldc);
    }
    for (; i < M; i++) {
        rows<1>(N, K, a + i*a_row, a_row, a_column, b, ldb, c + i*ldc, ldc);
    }
}

#else

inline void run(int64_t M, int64_t N, int64_t K, const float * a, int64_t a_row, int64_t a_column, const float * b, int64_t ldb, float * c, int64_t ldc) {
    for (int64_t i = 0; i < M; i++) {
        for (int64_t k = 0; k < K; k++) {
            const float x = a[i*a_row + k*a_column];
            for (int64_t j = 0; j < N; j++) {
                c[i*ldc + j] += x*b[k*ldb + j];
            }
        }
    }
}

#endif

} // namespace act_gemm
