#define GGML_COMMON_DECL_C
#include "ggml-common.h"

#include "act-mul-mat.h"
#include "ggml-impl.h"
#include "simd-mappings.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#include <immintrin.h>

// A tile's ROWS x COLS sums are in registers, eight lanes each: 16 rows and columns fit into AVX-512's, eight into AVX2's.
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512VNNI__)
#define ACT_VNNI 1
enum { COLS = 2 };
#else
enum { COLS = 1 };
#endif

// What is unpacked lies on the stack (370 KB): no row is longer than MAX_BLOCKS blocks.
enum { ROWS = 8, GROUP = 64, MAX_BLOCKS = 448 };

// ROWS rows of weights, a byte each.
struct weights {
    uint8_t q[MAX_BLOCKS][ROWS][QK4_1];
    float   d[MAX_BLOCKS][ROWS];
    float   m[MAX_BLOCKS][ROWS];
};

// Up to GROUP columns of activations: the values stay where they are, the scales become floats.
struct activations {
    const block_q8_1 * col[GROUP];
    float              d[MAX_BLOCKS][GROUP];
    float              s[MAX_BLOCKS][GROUP];
};

// Where there are fewer rows or columns than a tile has, the last one is taken again, and what comes of it dropped.


static inline void unpack_weights(struct weights * w, int64_t nb, const char * x, size_t x_stride, int64_t rows) {
    const __m256i low = _mm256_set1_epi8(0xF);
    for (int r = 0; r < ROWS; r++) {
        const block_q4_1 * row = (const block_q4_1 *) (x + (r < rows ? r : rows - 1) * x_stride);
        for (int64_t b = 0; b < nb; b++) {
            const __m128i bytes = _mm_loadu_si128((const __m128i *) row[b].qs);
            const __m256i both  = _mm256_set_m128i(_mm_srli_epi16(bytes, 4), bytes);
            _mm256_storeu_si256((__m256i *) w->q[b][r], _mm256_and_si256(both, low));
            w->d[b][r] = GGML_CPU_FP16_TO_FP32(row[b].d);
            w->m[b][r] = GGML_CPU_FP16_TO_FP32(row[b].m);
        }
    }
}


static inline void unpack_scales(struct activations * v, int64_t nb, const char * y, size_t y_stride, int64_t cols) {
    for (int c = 0; c < GROUP; c++) {
        v->col[c] = (const block_q8_1 *) (y + (c < cols ? c : cols - 1) * y_stride);
        if (c >= cols + COLS - 1) {
            continue; // no tile reaches so far
        }
        for (int64_t b = 0; b < nb; b++) {
            v->d[b][c] = GGML_CPU_FP16_TO_FP32(v->col[c][b].d);
            v->s[b][c] = GGML_CPU_FP16_TO_FP32(v->col[c][b].s);
        }
    }
}

// a * b + sum, in one rounding or two as the compiler does it with ggml_vec_dot_q4_1_q8_1's plain C
static inline __m256 add_product(__m256 a, __m256 b, __m256 sum) {
#if defined(_MSC_VER) && !defined(__clang__)
    return _mm256_add_ps(_mm256_mul_ps(a, b), sum);
#else
    return _mm256_fmadd_ps(a, b, sum);
#endif
}

// One tile: sums[c][r] for the columns c0 and on. Eight lanes belong to a pair of row and column. Their order and every rounding are those of
// ggml_vec_dot_q4_1_q8_1, also where the lanes are added up: i + 4 to i, then 2 to 0 and 3 to 1, then both.
#ifdef ACT_VNNI

// acc[i] holds rows 2 i and 2 i + 1. Returns a row's sum in the row's lane.
static inline __m256 add_lanes(const __m512 acc[ROWS / 2]) {
    __m512 four[2]; // rows 0 to 3 and 4 to 7, four lanes each
    for (int i = 0; i < 2; i++) {
        const __m512 low  = _mm512_shuffle_f32x4(acc[2 * i], acc[2 * i + 1], 0x88);
        const __m512 high = _mm512_shuffle_f32x4(acc[2 * i], acc[2 * i + 1], 0xDD);
        four[i] = _mm512_add_ps(low, high);
    }
    const __m512 two = _mm512_add_ps(_mm512_unpacklo_ps(four[0], four[1]), _mm512_unpackhi_ps(four[0], four[1]));
    const __m512 sum = _mm512_add_ps(two, _mm512_permute_ps(two, 0x4E));
    const __m512i rows = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 0, 0, 0, 0, 0, 0, 0, 0);
    return _mm512_castps512_ps256(_mm512_permutexvar_ps(rows, sum));
}

#ifdef __GNUC__
__attribute__((noinline)) // GCC 12 runs out of registers where it is inlined
#endif
static void tile(float sums[COLS][ROWS], int64_t nb, const struct weights * w, const struct activations * v, int64_t c0) {
    const block_q8_1 * y[COLS];
    __m512  acc[COLS][ROWS / 2];
    __m256  offset[COLS];
    __m512i copy[ROWS / 2]; // spreads the scales of rows 2 r and 2 r + 1 over their lanes
    for (int r = 0; r < ROWS / 2; r++) {
        copy[r] = _mm512_inserti64x4(_mm512_set1_epi32(2 * r), _mm256_set1_epi32(2 * r + 1), 1);
    }
    for (int c = 0; c < COLS; c++) {
        y[c]      = v->col[c0 + c];
        offset[c] = _mm256_setzero_ps();
        for (int r = 0; r < ROWS / 2; r++) {
            acc[c][r] = _mm512_setzero_ps();
        }
    }
    for (int64_t b = 0; b < nb; b++) {
        for (int c = 0; c < COLS; c++) {
            const __m512i q = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *) y[c][b].qs));
            const __m512  d = _mm512_castps256_ps512(_mm256_mul_ps(_mm256_loadu_ps(w->d[b]), _mm256_set1_ps(v->d[b][c0 + c])));
            for (int r = 0; r < ROWS / 2; r++) {
                const __m512i xy = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_loadu_si512(w->q[b][2 * r]), q);
                acc[c][r] = _mm512_fmadd_ps(_mm512_permutexvar_ps(copy[r], d), _mm512_cvtepi32_ps(xy), acc[c][r]);
            }
            offset[c] = add_product(_mm256_loadu_ps(w->m[b]), _mm256_set1_ps(v->s[b][c0 + c]), offset[c]);
        }
    }
    for (int c = 0; c < COLS; c++) {
        _mm256_storeu_ps(sums[c], _mm256_add_ps(add_lanes(acc[c]), offset[c]));
    }
}

#else

// acc[r] holds row r. Returns a row's sum in the row's lane.
static inline __m256 add_lanes(const __m256 acc[ROWS]) {
    __m256 four[4]; // rows i and i + 4, four lanes each
    for (int i = 0; i < 4; i++) {
        const __m256 low  = _mm256_permute2f128_ps(acc[i], acc[i + 4], 0x20);
        const __m256 high = _mm256_permute2f128_ps(acc[i], acc[i + 4], 0x31);
        four[i] = _mm256_add_ps(low, high);
    }
    __m256 two[2];
    for (int i = 0; i < 2; i++) {
        two[i] = _mm256_add_ps(_mm256_unpacklo_ps(four[2 * i], four[2 * i + 1]), _mm256_unpackhi_ps(four[2 * i], four[2 * i + 1]));
    }
    return _mm256_add_ps(_mm256_shuffle_ps(two[0], two[1], 0x44), _mm256_shuffle_ps(two[0], two[1], 0xEE));
}

static inline void tile(float sums[COLS][ROWS], int64_t nb, const struct weights * w, const struct activations * v, int64_t c0) {
    __m256 acc[ROWS];
    __m256 offset = _mm256_setzero_ps();
    for (int r = 0; r < ROWS; r++) {
        acc[r] = _mm256_setzero_ps();
    }
    for (int64_t b = 0; b < nb; b++) {
        const __m256i y = _mm256_loadu_si256((const __m256i *) v->col[c0][b].qs);
        float d[ROWS];
        _mm256_storeu_ps(d, _mm256_mul_ps(_mm256_loadu_ps(w->d[b]), _mm256_set1_ps(v->d[b][c0])));
        for (int r = 0; r < ROWS; r++) {
            const __m256i x = _mm256_loadu_si256((const __m256i *) w->q[b][r]);
#ifdef __AVXVNNI__
            const __m256i xy = _mm256_dpbusd_avx_epi32(_mm256_setzero_si256(), x, y);
#else
            // weights are below 16, so the 16-bit sums of two products do not saturate
            const __m256i xy = _mm256_madd_epi16(_mm256_set1_epi16(1), _mm256_maddubs_epi16(x, y));
#endif
            acc[r] = _mm256_fmadd_ps(_mm256_set1_ps(d[r]), _mm256_cvtepi32_ps(xy), acc[r]);
        }
        offset = add_product(_mm256_loadu_ps(w->m[b]), _mm256_set1_ps(v->s[b][c0]), offset);
    }
    _mm256_storeu_ps(sums[0], _mm256_add_ps(add_lanes(acc), offset));
}

#endif

bool ggml_act_mul_mat_q4_1(int64_t n,
        float * dst, size_t dst_stride,
        const void * x, size_t x_stride, int64_t rows,
        const void * y, size_t y_stride, int64_t cols) {
    const int64_t nb = n / QK4_1;
    if (nb > MAX_BLOCKS || cols < 2) {
        return false;
    }
    struct weights     w;
    struct activations v;
    for (int64_t c0 = 0; c0 < cols; c0 += GROUP) {
        const int64_t n_cols = MIN(cols - c0, GROUP);
        unpack_scales(&v, nb, (const char *) y + c0 * y_stride, y_stride, n_cols);
        for (int64_t r0 = 0; r0 < rows; r0 += ROWS) {
            const int64_t n_rows = MIN(rows - r0, ROWS);
            unpack_weights(&w, nb, (const char *) x + r0 * x_stride, x_stride, n_rows);
            for (int64_t c = 0; c < n_cols; c += COLS) {
                float sums[COLS][ROWS];
                tile(sums, nb, &w, &v, c);
                for (int64_t i = 0; i < MIN(n_cols - c, COLS); i++) {
                    float * to = (float *) ((char *) dst + (c0 + c + i) * dst_stride) + r0;
                    memcpy(to, sums[i], n_rows * sizeof(float));
                }
            }
        }
    }
    return true;
}

#else

bool ggml_act_mul_mat_q4_1(int64_t n,
        float * dst, size_t dst_stride,
        const void * x, size_t x_stride, int64_t rows,
        const void * y, size_t y_stride, int64_t cols) {
    (void) n, (void) dst, (void) dst_stride, (void) x, (void) x_stride, (void) rows, (void) y, (void) y_stride, (void) cols;
    return false;
}

#endif
