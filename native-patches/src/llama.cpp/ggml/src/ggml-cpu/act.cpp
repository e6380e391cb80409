// GGML_OP_ACT on the CPU; ggml-act.h says what is computed and in which stages.
//
// Two forms of the same stages:
//   blocks  (prefill)  a thread takes (key/value group, block of rows) items; the group's keys are transposed once
//                      into tiles so that Q*K^T is a GEMM whose result stays in cache for the softmax and the sums
//   few     (decode)   up to FEW_ROWS rows: the threads share the keys, then each takes whole heads

#include "act.h"

#include "ggml-act-plan.h"
#include "ggml-cpu-impl.h"
#include "ggml-cpu.h"
#include "ggml-impl.h"
#include "simd-gemm.h"
#include "vec.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

namespace {

constexpr int TILE     = 64; // keys per tile
constexpr int ROWS     = 32; // rows per block
constexpr int LANES    = 16; // maxima that a row of a block keeps side by side
constexpr int FEW_ROWS = 4;

// Half of GGML_ACT_DIRECT_REST: here a row's mass on the sinks comes from the very scores that its total was summed from.
constexpr float DIRECT_REST = GGML_ACT_DIRECT_REST/2;

struct act {
    const ggml_tensor * q;
    const ggml_tensor * k;
    const ggml_tensor * v;
    const ggml_tensor * mask;
    const int32_t     * keys;
    const int32_t     * entries;
    ggml_tensor       * state;
    ggml_tensor       * matrix;
    float             * o;

    ggml_act_params p;
    ggml_act_alibi  alibi;

    int64_t dk, dv, n_kv, n_cells, n_head, group, n_rows, n_entries, n_stream, n_tiles;

    explicit act(const ggml_tensor * dst) :
            q(dst->src[1]), k(dst->src[2]), v(dst->src[3]), mask(dst->src[4]),
            keys((const int32_t *) dst->src[5]->data), entries((const int32_t *) dst->src[6]->data),
            state(dst->src[7]), matrix(dst->src[8]), o((float *) dst->data),
            p(ggml_act_params_of(dst)), alibi(p) {
        dk        = q->ne[0];
        dv        = v->ne[0];
        n_kv      = k->ne[1];
        n_cells   = (state->ne[0] - 2)/2;
        n_head    = p.n_head;
        group     = n_head/k->ne[2];
        n_rows    = p.n_rows;
        n_entries = dst->src[6]->ne[1];
        n_stream  = q->ne[3];
        n_tiles   = (n_kv + TILE - 1)/TILE;
    }

    const int32_t * entry(int64_t e) const { return entries + e*GGML_ACT_ENTRY_SIZE; }

    int stream (int64_t e) const { return entry(e)[GGML_ACT_ENTRY_STREAM]; }
    int head   (int64_t e) const { return entry(e)[GGML_ACT_ENTRY_HEAD]; }
    int flags  (int64_t e) const { return entry(e)[GGML_ACT_ENTRY_FLAGS]; }
    int kv_head(int64_t e) const { return head(e)/group; }

    float real(int64_t e, int field) const {
        float x;
        memcpy(&x, entry(e) + field, sizeof(x));
        return x;
    }

    float * slot(int64_t e) const {
        return (float *) ((char *) state->data + entry(e)[GGML_ACT_ENTRY_SLOT]*state->nb[1]);
    }
    int32_t & exempt(int64_t e) const { return *((int32_t *) slot(e) + GGML_ACT_STATE_EXEMPT(n_cells)); }
    int32_t & count (int64_t e) const { return *((int32_t *) slot(e) + GGML_ACT_STATE_COUNT (n_cells)); }
    int32_t * sinks (int64_t e) const { return   (int32_t *) slot(e) + GGML_ACT_STATE_SINKS (n_cells);  }

    const int32_t * keys_row(int stream, ggml_act_keys_row row) const {
        return keys + (stream*GGML_ACT_KEYS_ROWS + row)*n_kv;
    }

    const float * q_row(int64_t e, int64_t r) const {
        return (const float *) ((const char *) q->data + r*q->nb[1] + head(e)*q->nb[2] + stream(e)*q->nb[3]);
    }
    float * o_row(int64_t e, int64_t r) const {
        return o + ((stream(e)*n_rows + r)*n_head + head(e))*dv;
    }

    const char * mask_row(int stream, int64_t r) const {
        return (const char *) mask->data + r*mask->nb[1] + stream*mask->nb[3];
    }

    // mask values of keys [k0, k0 + n) of a row, as float32
    void read_mask(int stream, int64_t r, int64_t k0, int64_t n, float * out) const {
        const char * row = mask_row(stream, r);
        if (mask->type == GGML_TYPE_F16) {
            ggml_cpu_fp16_to_fp32((const ggml_fp16_t *) row + k0, out, n);
        } else {
            memcpy(out, (const float *) row + k0, n*sizeof(float));
        }
    }

    float mask_at(int stream, int64_t r, int64_t i) const {
        const char * row = mask_row(stream, r);
        return mask->type == GGML_TYPE_F16 ? GGML_CPU_FP16_TO_FP32(((const ggml_fp16_t *) row)[i]) : ((const float *) row)[i];
    }

    static void read_row(const ggml_tensor * t, int64_t i, int head, int stream, float * out) {
        const char * x = (const char *) t->data + i*t->nb[1] + head*t->nb[2] + stream*t->nb[3];
        const int64_t n = t->ne[0];

        if (t->nb[0] != ggml_type_size(t->type)) { // transposed values
            for (int64_t j = 0; j < n; j++) {
                const char * xj = x + j*t->nb[0];
                out[j] = t->type == GGML_TYPE_F16 ? GGML_CPU_FP16_TO_FP32(*(const ggml_fp16_t *) xj) : *(const float *) xj;
            }
        } else if (t->type == GGML_TYPE_F32) {
            memcpy(out, x, n*sizeof(float));
        } else if (t->type == GGML_TYPE_F16) {
            ggml_cpu_fp16_to_fp32((const ggml_fp16_t *) x, out, n);
        } else {
            ggml_get_type_traits(t->type)->to_float(x, out, n);
        }
    }

    const char * key_data(int64_t e, int64_t i) const {
        return (const char *) k->data + i*k->nb[1] + kv_head(e)*k->nb[2] + stream(e)*k->nb[3];
    }

    void read_key  (int64_t e, int64_t i, float * out) const { read_row(k, i, kv_head(e), stream(e), out); }
    void read_value(int64_t e, int64_t i, float * out) const { read_row(v, i, kv_head(e), stream(e), out); }

    float slope(int64_t e) const {
        const uint32_t h = head(e);
        if (alibi.base0 == 0.0f) {
            return 1.0f;
        }
        return h < alibi.heads ? powf(alibi.base0, h + 1) : powf(alibi.base1, 2*(h - alibi.heads) + 1);
    }

    void cap(float * s, int64_t n) const {
        if (p.softcap != 0.0f) {
            for (int64_t i = 0; i < n; i++) {
                s[i] = p.softcap*tanhf(s[i]/p.softcap);
            }
        }
    }

    // keys of a stream; cells behind the last used one are of no interest
    int64_t used(int stream) const {
        const int32_t * pos = keys_row(stream, GGML_ACT_KEYS_POSITION);
        int64_t n = n_kv;
        while (n > 0 && pos[n - 1] < 0) {
            n--;
        }
        return n;
    }

    // entries [start[g], start[g + 1]) share keys and values; returns the number of such groups
    int64_t groups(int32_t * start) const {
        int64_t n = 0;
        for (int64_t e = 0; e < n_entries; e++) {
            if (e == 0 || stream(e) != stream(e - 1) || kv_head(e) != kv_head(e - 1)) {
                start[n++] = e;
            }
        }
        start[n] = n_entries;
        return n;
    }
};

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
float max_of(const float * x, int64_t n) {
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
float finite(float top) { return top == -INFINITY ? 0.0f : top; }
float log_sum_exp(float top, float total) { return total > 0.0f ? top + logf(total) : INFINITY; }
float inverse_of(float total) { return total > 0.0f ? 1.0f/total : 0.0f; }

// What the mask does to a tile of rows and keys.
enum tile_kind : uint8_t { TILE_OPEN, TILE_CLOSED, TILE_MIXED };

tile_kind classify(const act & a, int stream, int64_t r0, int64_t rows, int64_t k0, int64_t n) {
    if (n < TILE) {
        return TILE_MIXED;
    }
    bool open = true, closed = true;
    for (int64_t r = r0; r < r0 + rows && (open || closed); r++) {
        const char * row = a.mask_row(stream, r);
        if (a.mask->type == GGML_TYPE_F16) {
            const uint16_t * x = (const uint16_t *) row + k0;
            uint16_t any = 0, same = 0;
            for (int j = 0; j < TILE; j++) {
                any  |= x[j];
                same |= x[j] ^ 0xFC00; // -inf
            }
            open   = open   && any  == 0;
            closed = closed && same == 0;
        } else {
            const float * x = (const float *) row + k0;
            for (int j = 0; j < TILE; j++) {
                open   = open   && x[j] == 0.0f;
                closed = closed && x[j] == -INFINITY;
            }
        }
    }
    return open ? TILE_OPEN : closed ? TILE_CLOSED : TILE_MIXED;
}

// keys [k0, k0 + n) as they lie, as float32 [n][dk]
void load_keys(const act & a, int64_t e, int64_t k0, int64_t n, float * out) {
    for (int64_t j = 0; j < n; j++) {
        a.read_key(e, k0 + j, out + j*a.dk);
    }
}

// products q*k -> scores: scaled, capped and masked
void finish_scores(const act & a, int64_t n, const float * mask, float slope, float * s) {
    for (int64_t j = 0; j < n; j++) {
        s[j] *= a.p.scale;
    }
    a.cap(s, n);
    for (int64_t j = 0; j < n; j++) {
        s[j] = mask[j] == -INFINITY ? -INFINITY : s[j] + slope*mask[j]; // whatever lies in a free cell
    }
}

// scores of one row with n keys of load_keys
void tile_scores(const act & a, const float * q, const float * keys, int64_t n, const float * mask, float slope, float * out) {
    for (int64_t j = 0; j < n; j++) {
        out[j] = dot(q, keys + j*a.dk, a.dk);
    }
    finish_scores(a, n, mask, slope, out);
}

template <int H>
void products_f16(const act & a, int64_t e, const float * const * q, int64_t k0, int64_t n, float * const * out) {
    const char * first = a.key_data(e, k0);
    for (int64_t j = 0; j < n; j++) {
        float s[H];
        dot_queries<H>(q, (const ggml_fp16_t *) (first + j*a.k->nb[1]), a.dk, s);
        for (int h = 0; h < H; h++) {
            out[h][k0 + j] = s[h];
        }
    }
}

// scores of all rows of a group's heads with keys [k0, k0 + n), n <= TILE; `out` [entry - e0][row][n_kv], `mask` [row][TILE]
void group_scores(const act & a, int64_t e0, int64_t e1, int64_t k0, int64_t n, const float * mask, float * keys, float * out) {
    const int64_t R = a.n_rows;
    if (a.k->type != GGML_TYPE_F16 || a.dk % F16_STEP != 0) {
        load_keys(a, e0, k0, n, keys);
        for (int64_t i = 0; i < (e1 - e0)*R; i++) {
            tile_scores(a, a.q_row(e0 + i/R, i % R), keys, n, mask + i % R*TILE, a.slope(e0 + i/R), out + i*a.n_kv + k0);
        }
        return;
    }
    for (int64_t i0 = 0; i0 < (e1 - e0)*R; i0 += QUERIES) {
        const int64_t H = std::min<int64_t>(QUERIES, (e1 - e0)*R - i0);
        const float * q[QUERIES];
        float * s[QUERIES];
        for (int64_t h = 0; h < H; h++) {
            q[h] = a.q_row(e0 + (i0 + h)/R, (i0 + h) % R);
            s[h] = out + (i0 + h)*a.n_kv;
        }
        switch (H) {
            case 1: products_f16<1>(a, e0, q, k0, n, s); break;
            case 2: products_f16<2>(a, e0, q, k0, n, s); break;
            case 3: products_f16<3>(a, e0, q, k0, n, s); break;
            case 4: products_f16<4>(a, e0, q, k0, n, s); break;
        }
        for (int64_t h = 0; h < H; h++) {
            finish_scores(a, n, mask + (i0 + h) % R*TILE, a.slope(e0 + (i0 + h)/R), s[h] + k0);
        }
    }
}

// A[r, k] of every key of one row, from the row's log-sum-exp
void row_probabilities(const act & a, int64_t e, int64_t r, float lse, float * keys, float * A) {
    const float slope = a.slope(e);
    for (int64_t k0 = 0; k0 < a.n_kv; k0 += TILE) {
        const int64_t n = std::min<int64_t>(TILE, a.n_kv - k0);
        float mask[TILE];
        a.read_mask(a.stream(e), r, k0, n, mask);
        load_keys(a, e, k0, n, keys);
        tile_scores(a, a.q_row(e, r), keys, n, mask, slope, A + k0);
        ggml_vec_soft_max_f32(n, A + k0, A + k0, lse);
    }
}

// n keys (at most `width`, at most TILE) -> [dk][width]; columns beyond n are zero
template <typename Index>
void transpose_keys(const act & a, int64_t e, Index index, int64_t n, int64_t width, float * rows, float * out) {
    for (int64_t j = 0; j < n; j++) {
        a.read_key(e, index(j), rows + j*a.dk);
    }
    std::fill(rows + n*a.dk, rows + width*a.dk, 0.0f);
    for (int64_t d = 0; d < a.dk; d += 8) {
        const int64_t d1 = std::min<int64_t>(d + 8, a.dk);
        for (int64_t j = 0; j < width; j++) {
            for (int64_t i = d; i < d1; i++) {
                out[i*width + j] = rows[j*a.dk + i];
            }
        }
    }
}

// rows of q, times the scale; rows beyond n are zero
void load_queries(const act & a, int64_t e, int64_t r0, int64_t n, float * out) {
    for (int64_t r = 0; r < n; r++) {
        const float * x = a.q_row(e, r0 + r);
        for (int64_t d = 0; d < a.dk; d++) {
            out[r*a.dk + d] = x[d]*a.p.scale;
        }
    }
    std::fill(out + n*a.dk, out + ROWS*a.dk, 0.0f);
}

// out [rows][TILE] = queries [rows][dk] * keys [dk][TILE]; rows up to the next multiple of four are computed as well
void block_scores(const act & a, const float * queries, int64_t rows, const float * keys, float * out) {
#if defined(__AVX512F__)
    // Four rows and all keys of a tile: 16 sums in registers. The sums are those of simd_gemm, in its order.
    static_assert(TILE == 64, "four vectors of keys");
    for (int64_t r = 0; r < rows; r += 4) {
        __m512 sum[4][4];
        for (int i = 0; i < 4; i++) {
            for (int j = 0; j < 4; j++) {
                sum[i][j] = _mm512_setzero_ps();
            }
        }
        for (int64_t d = 0; d < a.dk; d++) {
            __m512 key[4];
            for (int j = 0; j < 4; j++) {
                key[j] = _mm512_loadu_ps(keys + d*TILE + 16*j);
#if defined(__GNUC__)
                asm("" : "+v"(key[j])); // else GCC loads it again for every row, and loads become what takes the time
#endif
            }
            for (int i = 0; i < 4; i++) {
                const __m512 q = _mm512_set1_ps(queries[(r + i)*a.dk + d]);
                for (int j = 0; j < 4; j++) {
                    sum[i][j] = _mm512_fmadd_ps(key[j], q, sum[i][j]);
                }
            }
        }
        for (int i = 0; i < 4; i++) {
            for (int j = 0; j < 4; j++) {
                _mm512_storeu_ps(out + (r + i)*TILE + 16*j, sum[i][j]);
            }
        }
    }
#else
    memset(out, 0, ROWS*TILE*sizeof(float));
    simd_gemm(out, queries, keys, (rows + 3)/4*4, a.dk, TILE);
#endif
}

// One row of a tile: scores -> exp(score - top). What belongs to the row's total is added to its lanes, which stay apart until the row is complete.
void exp_into(double * lane, float * s, float top) {
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

// stage 3: sums -> column means -> sinks. `sums` are this segment's column sums.
void select_sinks(const act & a, int64_t e, const float * sums) {
    float         * state = a.slot(e);
    const int       flags = a.flags(e);
    const int32_t * pos   = a.keys_row(a.stream(e), GGML_ACT_KEYS_POSITION);
    int32_t       * list  = a.sinks(e);

    int32_t lowest = INT32_MAX, exempt = -1, n = 0;

    if (flags & GGML_ACT_FLAG_INITIAL) {
        for (int64_t i = 0; i < a.n_kv; i++) {
            if (pos[i] >= 0 && pos[i] < lowest) {
                lowest  = pos[i];
                list[0] = i;
                n       = 1;
            }
        }
        a.exempt(e) = -1;
        a.count (e) = n;
        return;
    }

    if (flags & GGML_ACT_FLAG_FRESH) {
        memcpy(state, sums, a.n_kv*sizeof(float));
        std::fill(state + a.n_kv, state + a.n_cells, 0.0f);
    } else {
        ggml_vec_acc_f32(a.n_kv, state, sums);
    }

    const bool      row   = flags & GGML_ACT_FLAG_ROW;
    const float   * total = row ? sums : state;
    const int32_t * seen  = a.keys_row(a.stream(e), row ? GGML_ACT_KEYS_SEGMENT : GGML_ACT_KEYS_COUNT);
    const float     limit = a.real(e, GGML_ACT_ENTRY_LIMIT);

    // few keys come near the limit: tiles without one are passed over by a comparison that vectorises
    const float near = limit*0.999f;
    for (int64_t k0 = 0; k0 < a.n_kv; k0 += TILE) {
        const int64_t k1 = std::min<int64_t>(a.n_kv, k0 + TILE);
        int32_t any = 0;
        for (int64_t i = k0; i < k1; i++) {
            any |= total[i] > near*seen[i];
        }
        for (int64_t i = k0; any && i < k1; i++) {
            if (seen[i] > 0 && total[i]/seen[i] > limit) {
                list[n++] = i;
                if (pos[i] < lowest) {
                    lowest = pos[i];
                    exempt = i;
                }
            }
        }
    }
    if (exempt >= 0) {
        n = std::remove(list, list + n, exempt) - list;
    }
    a.exempt(e) = exempt;
    a.count (e) = n;
}

bool corrects(const act & a, int64_t e) {
    return a.count(e) > 0 && !(a.flags(e) & GGML_ACT_FLAG_WATCH) && a.real(e, GGML_ACT_ENTRY_WEIGHT) != 1.0f;
}

// What the keys outside the sinks are multiplied with; 0 where the row stays as it is.
float gain(float weight, float m, float rest) {
    return rest < GGML_ACT_MIN_REST ? 0.0f : (1.0f - weight*m)/rest;
}

// stage 4 for one row: `acc` = sum over the sinks of A*v, `m` their mass
void correct_row(const act & a, int64_t e, int64_t r, float m, const float * acc) {
    const float weight  = a.real(e, GGML_ACT_ENTRY_WEIGHT);
    const bool  initial = a.flags(e) & GGML_ACT_FLAG_INITIAL;
    const float scale   = initial ? 1.0f/(1.0f - m + weight*m) : gain(weight, m, 1.0f - m);
    const float sink    = initial ? scale*(weight - 1.0f) : weight - scale;
    float     * o       = a.o_row(e, r);

    for (int64_t d = 0; d < a.dv; d++) {
        o[d] = scale*o[d] + sink*acc[d];
    }
}

// Nearly all mass on the sinks: 1 - m has lost its digits, so the other keys are summed themselves.
bool is_direct(const act & a, int64_t e, float m) {
    return !(a.flags(e) & GGML_ACT_FLAG_INITIAL) && 1.0f - m < DIRECT_REST;
}

// The one head whose probabilities somebody looks at: pooled by maximum, before and after.
void write_matrix(const act & a, int64_t e, const float * lse, float * buffer, int ith, int nth) {
    float * before = (float *) a.matrix->data;
    float * after  = before + a.matrix->ne[0]*a.matrix->ne[1];

    const int64_t   columns = a.matrix->ne[0];
    const float     weight  = a.real(e, GGML_ACT_ENTRY_WEIGHT);
    const bool      initial = a.flags(e) & GGML_ACT_FLAG_INITIAL;
    const int       row0    = a.entry(e)[GGML_ACT_ENTRY_ROW0];
    const int32_t * pos     = a.keys_row(a.stream(e), GGML_ACT_KEYS_POSITION);

    float * keys_tile = buffer;
    float * A         = buffer + TILE*a.dk;

    for (int64_t r = 0; r < a.n_rows; r++) {
        const int64_t at = row0 + r - a.p.row0;
        const int64_t y  = at/a.p.pool;
        if (at < 0 || y >= a.matrix->ne[1] || y % nth != ith) { // a pooled row belongs to one thread
            continue;
        }
        row_probabilities(a, e, r, lse[r], keys_tile, A);

        float m = 0.0f, rest = 0.0f;
        const int32_t * sink = a.sinks(e);
        const int32_t * end  = sink + a.count(e);
        for (int64_t i = 0; i < a.n_kv; i++) {
            const bool is_sink = sink != end && *sink == i;
            (is_sink ? m : rest) += A[i];
            sink += is_sink;
        }
        float scale_sink = 1.0f, scale_rest = 1.0f;
        if (corrects(a, e)) {
            if (initial) {
                scale_rest = 1.0f/(1.0f - m + weight*m);
                scale_sink = weight*scale_rest;
            } else if (rest >= GGML_ACT_MIN_REST) {
                scale_rest = gain(weight, m, rest);
                scale_sink = weight;
            }
        }
        sink = a.sinks(e);
        for (int64_t i = 0; i < a.n_kv; i++) {
            const bool is_sink = sink != end && *sink == i;
            sink += is_sink;
            const int64_t x = pos[i] - a.p.column0;
            if (pos[i] < 0 || pos[i] > row0 + r || x < 0 || x/a.p.pool >= columns) {
                continue;
            }
            const int64_t cell  = y*columns + x/a.p.pool;
            const float   value = A[i]*(is_sink ? scale_sink : scale_rest);
            before[cell] = std::isnan(before[cell]) ? A[i]  : std::max(before[cell], A[i]);
            after [cell] = std::isnan(after [cell]) ? value : std::max(after [cell], value);
        }
    }
}

// Work buffer, in floats. Made from shapes alone, since the graph is planned before the entries are known.
struct layout {
    size_t lse;      // [entry][row]
    size_t partial;  // blocks: column sums [thread][entry of the thread][n_kv]; few: probabilities [entry][row][n_kv]
    size_t parts;    // few: maximum and total of a thread's keys, [thread][entry][row][2]
    size_t scratch;  // [thread][thread_size]
    size_t thread_size;
    size_t total;
    int64_t per_thread_entries;

    layout(const act & a, int nth) {
        const bool    few      = a.n_rows <= FEW_ROWS;
        const int64_t rows     = few ? FEW_ROWS : ROWS;
        const int64_t n_groups = std::min(a.n_entries, a.k->ne[2]*a.n_stream); // at most
        per_thread_entries = std::min(a.n_entries, ((n_groups + nth - 1)/nth + 1)*a.group);

        const size_t common = a.n_entries + 1 + TILE*a.dk + TILE*a.dv + 2*rows*a.dv + a.n_kv;
        const size_t blocks = a.n_tiles*a.dk*TILE + a.n_tiles*ROWS*TILE + ROWS*a.dk + nth + 1 + a.n_tiles;

        lse         = 0;
        partial     = pad(a.n_entries*a.n_rows);
        parts       = partial + pad(few ? a.n_entries*a.n_rows*a.n_kv : nth*per_thread_entries*a.n_kv);
        scratch     = parts + pad(few ? 2*nth*a.n_entries*a.n_rows : 0);
        thread_size = pad(few ? common : common + blocks);
        total       = scratch + nth*thread_size;
    }

    static size_t pad(size_t n) { return (n + 31)/16*16; } // a cache line apart
};

// What both forms need; the head of a thread's scratch.
struct buffers {
    float   * keys;   // [TILE][dk]
    float   * sums;   // [n_kv]; behind `keys`, where write_matrix wants its row
    float   * values; // [TILE][dv]
    float   * acc;    // [rows][dv]
    float   * other;  // [rows][dv]
    int32_t * groups; // [n_entries + 1]
    float   * more;

    buffers(const act & a, float * scratch, int64_t rows) {
        keys   = scratch;
        sums   = keys + TILE*a.dk;
        values = sums + a.n_kv;
        acc    = values + TILE*a.dv;
        other  = acc + rows*a.dv;
        groups = (int32_t *) (other + rows*a.dv);
        more   = (float *) (groups + a.n_entries + 1);
    }
};

// stage 4 for the direct ones of these rows: `rows` of them, r[i] with mass[r[i] - r0], own.acc[r[i] - r0] and lse[r[i]]
void correct_direct(const act & a, int64_t e, int64_t r0, const int64_t * r, int64_t rows, const float * lse, const float * mass, const buffers & own) {
    const int       stream = a.stream(e);
    const float     slope  = a.slope(e);
    const float     weight = a.real(e, GGML_ACT_ENTRY_WEIGHT);
    const int32_t * sink   = a.sinks(e);
    const int32_t * end    = sink + a.count(e);

    float rest[ROWS] = {};
    std::fill(own.other, own.other + rows*a.dv, 0.0f);

    for (int64_t k0 = 0; k0 < a.n_kv; k0 += TILE) {
        const int64_t n = std::min<int64_t>(TILE, a.n_kv - k0);
        const int32_t * next = sink;
        while (next != end && *next < k0 + n) {
            next++;
        }
        bool loaded = false;
        for (int64_t i = 0; i < rows; i++) {
            float mask[TILE], s[TILE];
            a.read_mask(stream, r[i], k0, n, mask);
            if (max_of(mask, n) == -INFINITY) {
                continue;
            }
            if (!loaded) {
                load_keys(a, e, k0, n, own.keys);
                for (int64_t j = 0; j < n; j++) {
                    a.read_value(e, k0 + j, own.values + j*a.dv);
                }
                loaded = true;
            }
            tile_scores(a, a.q_row(e, r[i]), own.keys, n, mask, slope, s);
            ggml_vec_soft_max_f32(n, s, s, lse[r[i]]);
            for (const int32_t * at = sink; at != next; at++) {
                s[*at - k0] = 0.0f;
            }
            for (int64_t j = 0; j < n; j++) {
                if (s[j] > 0.0f) {
                    rest[i] += s[j];
                    ggml_vec_mad_f32(a.dv, own.other + i*a.dv, own.values + j*a.dv, s[j]);
                }
            }
        }
        sink = next;
    }
    for (int64_t i = 0; i < rows; i++) {
        const float scale = gain(weight, mass[r[i] - r0], rest[i]);
        const float * sum = own.acc + (r[i] - r0)*a.dv;
        float * o = a.o_row(e, r[i]);
        for (int64_t d = 0; scale > 0.0f && d < a.dv; d++) {
            o[d] = scale*own.other[i*a.dv + d] + weight*sum[d];
        }
    }
}

// stage 4 for rows [r0, r0 + rows), from the sinks' sums in own.acc; lse[r] by row, mass[i] by row of the block
// Returns whether correct_direct overwrote own.keys and own.values.
bool correct_rows(const act & a, int64_t e, int64_t r0, int64_t rows, const float * lse, const float * mass, const buffers & own) {
    int64_t direct[ROWS], n_direct = 0;
    for (int64_t i = 0; i < rows; i++) {
        if (mass[i] > 0.0f) {
            if (is_direct(a, e, mass[i])) {
                direct[n_direct++] = r0 + i;
            } else {
                correct_row(a, e, r0 + i, mass[i], own.acc + i*a.dv);
            }
        }
    }
    if (n_direct > 0) {
        correct_direct(a, e, r0, direct, n_direct, lse, mass, own);
    }
    return n_direct > 0;
}

void run_few(const act & a, const layout & at, float * work, const ggml_compute_params * params) {
    const int ith = params->ith, nth = params->nth;
    const int64_t R = a.n_rows;

    float * lse    = work + at.lse;
    float * scores = work + at.partial; // [entry][row][n_kv]
    float * parts  = work + at.parts;

    const buffers own(a, work + at.scratch + ith*at.thread_size, FEW_ROWS);
    const int64_t n_groups = a.groups(own.groups);

    const auto first_key = [&](int64_t n, int thread) { return std::min(n, (n + TILE - 1)/TILE*thread/nth*TILE); };

    // stage 1: the threads share the keys; each leaves exp(score - its own maximum)
    for (int64_t g = 0; g < n_groups; g++) {
        const int64_t e0 = own.groups[g], e1 = own.groups[g + 1];
        const int64_t n  = a.used(a.stream(e0));
        const int64_t k0 = first_key(n, ith), k1 = first_key(n, ith + 1);

        for (int64_t k = k0; k < k1; k += TILE) {
            const int64_t m = std::min<int64_t>(TILE, k1 - k);
            float mask[FEW_ROWS][TILE];
            for (int64_t r = 0; r < R; r++) {
                a.read_mask(a.stream(e0), r, k, m, mask[r]);
            }
            group_scores(a, e0, e1, k, m, mask[0], own.keys, scores + e0*R*a.n_kv);
        }
        for (int64_t er = e0*R; er < e1*R; er++) {
            float * s    = scores + er*a.n_kv;
            float * part = parts + 2*(ith*a.n_entries*R + er);
            part[0] = max_of(s + k0, k1 - k0);
            part[1] = ggml_vec_soft_max_f32(k1 - k0, s + k0, s + k0, finite(part[0]));
        }
    }

    ggml_barrier(params->threadpool);

    // the rest: each thread takes whole heads
    for (int64_t e = ith; e < a.n_entries; e += nth) {
        const int64_t n = a.used(a.stream(e));
        float * A = scores + e*R*a.n_kv;

        for (int64_t r = 0; r < R; r++) {
            const auto part = [&](int t) { return parts + 2*((t*a.n_entries + e)*R + r); };
            float top = -INFINITY, total = 0.0f;
            for (int t = 0; t < nth; t++) {
                top = std::max(top, part(t)[0]);
            }
            top = finite(top);
            for (int t = 0; t < nth; t++) {
                total += part(t)[1]*expf(part(t)[0] - top);
            }
            lse[e*R + r] = log_sum_exp(top, total);
            for (int t = 0; t < nth; t++) {
                const int64_t k0 = first_key(n, t), k1 = first_key(n, t + 1);
                ggml_vec_scale_f32(k1 - k0, A + r*a.n_kv + k0, expf(part(t)[0] - top)*inverse_of(total));
            }
            std::fill(A + r*a.n_kv + n, A + (r + 1)*a.n_kv, 0.0f);
        }
        memcpy(own.sums, A, a.n_kv*sizeof(float));
        for (int64_t r = 1; r < R; r++) {
            ggml_vec_acc_f32(n, own.sums, A + r*a.n_kv);
        }

        select_sinks(a, e, own.sums);
        if (!corrects(a, e)) {
            continue;
        }
        float mass[FEW_ROWS] = {};
        std::fill(own.acc, own.acc + R*a.dv, 0.0f);
        for (int32_t i = 0; i < a.count(e); i++) {
            const int32_t cell = a.sinks(e)[i];
            a.read_value(e, cell, own.values);
            for (int64_t r = 0; r < R; r++) {
                mass[r] += A[r*a.n_kv + cell];
                ggml_vec_mad_f32(a.dv, own.acc + r*a.dv, own.values, A[r*a.n_kv + cell]);
            }
        }
        correct_rows(a, e, 0, R, lse + e*R, mass, own);
    }
}

void run_blocks(const act & a, const layout & at, float * work, const ggml_compute_params * params) {
    const int ith = params->ith, nth = params->nth;

    float * lse     = work + at.lse;
    float * partial = work + at.partial;

    const buffers own(a, work + at.scratch + ith*at.thread_size, ROWS);
    float * tiles   = own.more;                     // [tile][dk][TILE]
    float * scores  = tiles + a.n_tiles*a.dk*TILE;  // [tile][ROWS][TILE]
    float * queries = scores + a.n_tiles*ROWS*TILE; // [ROWS][dk]
    int32_t * first_item = (int32_t *) (queries + ROWS*a.dk); // [nth + 1]
    uint8_t * kind  = (uint8_t *) (first_item + nth + 1); // [tile]

    // An item is a block of rows of a group; thread t takes the items [first_item[t], first_item[t + 1]). Rows see
    // earlier keys only, so a block costs about as much as the last of its rows sees.
    const int64_t n_groups = a.groups(own.groups);
    const int64_t blocks   = (a.n_rows + ROWS - 1)/ROWS;
    const auto    cost     = [&](int64_t b) { return std::max<int64_t>(a.n_kv - (blocks - b)*ROWS, 0) + ROWS; };

    int64_t group_cost = 0;
    for (int64_t b = 0; b < blocks; b++) {
        group_cost += cost(b);
    }
    for (int64_t t = 0, item = 0, before = 0; t <= nth; t++) {
        for (; before < n_groups*group_cost*t/nth; item++) {
            before += cost(item % blocks);
        }
        first_item[t] = item;
    }
    const int64_t first = first_item[ith], last = first_item[ith + 1];

    // stages 1 and 2
    {
        float       * sums = partial + ith*at.per_thread_entries*a.n_kv;
        const int64_t base = own.groups[first/blocks];
        std::fill(sums, sums + at.per_thread_entries*a.n_kv, 0.0f);

        for (int64_t g = first/blocks; g*blocks < last; g++) {
            const int64_t e0     = own.groups[g], e1 = own.groups[g + 1];
            const int     stream = a.stream(e0);
            const int64_t n_tiles = (a.used(stream) + TILE - 1)/TILE;

            int64_t ready = 0; // tiles of this group transposed so far

            for (int64_t b = std::max<int64_t>(0, first - g*blocks); b < std::min(blocks, last - g*blocks); b++) {
                const int64_t r0   = b*ROWS;
                const int64_t rows = std::min<int64_t>(ROWS, a.n_rows - r0);

                int64_t end = 0;
                for (int64_t t = 0; t < n_tiles; t++) {
                    kind[t] = classify(a, stream, r0, rows, t*TILE, std::min<int64_t>(TILE, a.n_kv - t*TILE));
                    end = kind[t] == TILE_CLOSED ? end : t + 1;
                }
                for (; ready < end; ready++) {
                    const int64_t k0 = ready*TILE;
                    transpose_keys(a, e0, [k0](int64_t j) { return k0 + j; }, std::min<int64_t>(TILE, a.n_kv - k0), TILE, own.keys, tiles + ready*a.dk*TILE);
                }

                for (int64_t e = e0; e < e1; e++) {
                    const float slope = a.slope(e);
                    load_queries(a, e, r0, rows, queries);

                    float lanes[ROWS][LANES];
                    std::fill(lanes[0], lanes[0] + ROWS*LANES, -INFINITY);

                    for (int64_t t = 0; t < end; t++) {
                        if (kind[t] == TILE_CLOSED) {
                            continue;
                        }
                        float * s = scores + t*ROWS*TILE;
                        block_scores(a, queries, rows, tiles + t*a.dk*TILE, s);
                        a.cap(s, rows*TILE);
                        if (kind[t] == TILE_MIXED) {
                            const int64_t k0 = t*TILE, m = std::min<int64_t>(TILE, a.n_kv - k0);
                            for (int64_t r = 0; r < rows; r++) {
                                float mask[TILE];
                                std::fill(mask, mask + TILE, -INFINITY);
                                a.read_mask(stream, r0 + r, k0, m, mask);
                                for (int64_t j = 0; j < TILE; j++) {
                                    s[r*TILE + j] += slope*mask[j];
                                }
                            }
                        }
                        for (int64_t r = 0; r < rows; r++) {
                            max_into(lanes[r], s + r*TILE, TILE);
                        }
                    }

                    float top[ROWS], inverse[ROWS];
                    for (int64_t r = 0; r < rows; r++) {
                        top[r] = finite(max_of(lanes[r], LANES));
                    }
                    double totals[ROWS][LANES] = {};
                    for (int64_t t = 0; t < end; t++) {
                        if (kind[t] != TILE_CLOSED) {
                            for (int64_t r = 0; r < rows; r++) {
                                exp_into(totals[r], scores + (t*ROWS + r)*TILE, top[r]);
                            }
                        }
                    }
                    for (int64_t r = 0; r < rows; r++) {
                        const float total = std::accumulate(totals[r], totals[r] + LANES, 0.0);
                        lse[e*a.n_rows + r0 + r] = log_sum_exp(top[r], total);
                        inverse[r] = inverse_of(total);
                    }
                    if (a.flags(e) & GGML_ACT_FLAG_INITIAL) {
                        continue;
                    }
                    // inverse x scores, one row times a tile, is the column sum
                    float * column = sums + (e - base)*a.n_kv;
                    for (int64_t t = 0; t < end; t++) {
                        if (kind[t] == TILE_CLOSED) {
                            continue;
                        }
                        float sum[TILE] = {};
                        simd_gemm(sum, inverse, scores + t*ROWS*TILE, 1, rows, TILE);
                        ggml_vec_acc_f32(std::min<int64_t>(TILE, a.n_kv - t*TILE), column + t*TILE, sum);
                    }
                }
            }
        }
    }

    ggml_barrier(params->threadpool);

    // stage 3
    for (int64_t e = ith; e < a.n_entries; e += nth) {
        std::fill(own.sums, own.sums + a.n_kv, 0.0f);
        for (int t = 0; t < nth; t++) {
            const int64_t base = own.groups[first_item[t]/blocks];
            if (e >= base && e < base + at.per_thread_entries) {
                ggml_vec_acc_f32(a.n_kv, own.sums, partial + (t*at.per_thread_entries + e - base)*a.n_kv);
            }
        }
        select_sinks(a, e, own.sums);
    }

    ggml_barrier(params->threadpool);

    // stage 4: the threads share the rows of every head
    for (int64_t e = 0; e < a.n_entries; e++) {
        if (!corrects(a, e)) {
            continue;
        }
        const int       stream = a.stream(e);
        const int32_t * list   = a.sinks(e);
        const int64_t   count  = a.count(e);
        const float     slope  = a.slope(e);

        // Sinks are few: a narrow tile, whose scores the same product sums in the same order as in stage 1.
        const auto width = [&](int64_t c0) { return std::min<int64_t>(TILE, (count - c0 + 15)/16*16); };
        const auto load_values = [&](int64_t c0) {
            for (int64_t j = 0; j < std::min<int64_t>(TILE, count - c0); j++) {
                a.read_value(e, list[c0 + j], own.values + j*a.dv);
            }
        };
        const auto load = [&](int64_t c0) {
            transpose_keys(a, e, [&](int64_t j) { return list[c0 + j]; }, std::min<int64_t>(TILE, count - c0), width(c0), own.keys, tiles);
            load_values(c0);
        };
        if (count <= TILE) {
            load(0);
        }
        for (int64_t b = blocks*ith/nth; b < blocks*(ith + 1)/nth; b++) {
            const int64_t r0   = b*ROWS;
            const int64_t rows = std::min<int64_t>(ROWS, a.n_rows - r0);
            const int64_t M    = (rows + 3)/4*4;

            float mass[ROWS] = {};
            load_queries(a, e, r0, rows, queries);
            std::fill(own.acc, own.acc + M*a.dv, 0.0f);

            for (int64_t c0 = 0; c0 < count; c0 += TILE) {
                const int64_t n = std::min<int64_t>(TILE, count - c0), w = width(c0);
                if (count > TILE) {
                    load(c0);
                }
                memset(scores, 0, M*w*sizeof(float));
                simd_gemm(scores, queries, tiles, M, a.dk, w);
                a.cap(scores, rows*w);

                float * A = scores; // [M][n], in the place of [M][w]
                for (int64_t r = 0; r < rows; r++) {
                    const float shift = lse[e*a.n_rows + r0 + r];
                    for (int64_t j = 0; j < n; j++) {
                        // expf itself: what is divided by 1 - m later deserves the last digit
                        A[r*n + j] = expf(scores[r*w + j] + slope*a.mask_at(stream, r0 + r, list[c0 + j]) - shift);
                        mass[r] += A[r*n + j];
                    }
                }
                std::fill(A + rows*n, A + M*n, 0.0f);
                simd_gemm(own.acc, A, own.values, M, n, a.dv);
            }
            if (correct_rows(a, e, r0, rows, lse + e*a.n_rows, mass, own) && count <= TILE) {
                load_values(0);
            }
        }
    }
}

} // namespace

size_t ggml_act_work_size(const struct ggml_tensor * dst, int n_threads) {
    return (layout(act(dst), n_threads).total + 16)*sizeof(float);
}

void ggml_compute_forward_act(const struct ggml_compute_params * params, struct ggml_tensor * dst) {
    const act    a(dst);
    const layout at(a, params->nth);

    float * work = (float *) (((uintptr_t) params->wdata + 63)/64*64);
    GGML_ASSERT(params->wsize >= ggml_act_work_size(dst, params->nth));

    if (a.n_rows <= FEW_ROWS) {
        run_few(a, at, work, params);
    } else {
        run_blocks(a, at, work, params);
    }

    if (a.matrix != nullptr) {
        for (int64_t e = 0; e < a.n_entries; e++) {
            if (a.flags(e) & GGML_ACT_FLAG_MATRIX) {
                ggml_barrier(params->threadpool); // the log-sum-exps and sinks of all threads
                write_matrix(a, e, work + at.lse + e*a.n_rows, work + at.scratch + params->ith*at.thread_size, params->ith, params->nth);
            }
        }
    }
}
