#include "scores.h"

#include "simd-gemm.h"

namespace ggml_act_cpu {

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

void load_keys(const act & a, int64_t e, int64_t k0, int64_t n, float * out) {
    for (int64_t j = 0; j < n; j++) {
        a.read_key(e, k0 + j, out + j*a.dk);
    }
}

// products q*k -> scores: scaled, capped and masked
static void finish_scores(const act & a, int64_t n, const float * mask, float slope, float * s) {
    for (int64_t j = 0; j < n; j++) {
        s[j] *= a.p.scale;
    }
    a.cap(s, n);
    for (int64_t j = 0; j < n; j++) {
        s[j] = mask[j] == -INFINITY ? -INFINITY : s[j] + slope*mask[j]; // whatever lies in a free cell
    }
}

void tile_scores(const act & a, const float * q, const float * keys, int64_t n, const float * mask, float slope, float * out) {
    for (int64_t j = 0; j < n; j++) {
        out[j] = dot(q, keys + j*a.dk, a.dk);
    }
    finish_scores(a, n, mask, slope, out);
}

template <int H>
static void products_f16(const act & a, int64_t e, const float * const * q, int64_t k0, int64_t n, float * const * out) {
    const char * first = a.key_data(e, k0);
    for (int64_t j = 0; j < n; j++) {
        float s[H];
        dot_queries<H>(q, (const ggml_fp16_t *) (first + j*a.k->nb[1]), a.dk, s);
        for (int h = 0; h < H; h++) {
            out[h][k0 + j] = s[h];
        }
    }
}

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

void load_queries(const act & a, int64_t e, int64_t r0, int64_t n, float * out) {
    for (int64_t r = 0; r < n; r++) {
        const float * x = a.q_row(e, r0 + r);
        for (int64_t d = 0; d < a.dk; d++) {
            out[r*a.dk + d] = x[d]*a.p.scale;
        }
    }
    std::fill(out + n*a.dk, out + ROWS*a.dk, 0.0f);
}

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

} // namespace ggml_act_cpu
