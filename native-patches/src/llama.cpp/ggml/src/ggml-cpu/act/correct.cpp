// Stage 4: the correction of rows of o, in place.

#include "scores.h"
#include "stages.h"

namespace ggml_act_cpu {

// Half of GGML_ACT_DIRECT_REST: here a row's mass on the sinks comes from the very scores that its total was summed from.
static constexpr float DIRECT_REST = GGML_ACT_DIRECT_REST/2;

bool corrects(const act & a, int64_t e) {
    return a.count(e) > 0 && !(a.flags(e) & GGML_ACT_FLAG_WATCH) && a.real(e, GGML_ACT_ENTRY_WEIGHT) != 1.0f;
}

float gain(float weight, float M, float m, float rest) {
    return (M - weight*m)/rest;
}

// One row: `acc` = sum over the sinks of A*v, `m` their mass, `M` that of all keys
static void correct_row(const act & a, int64_t e, int64_t r, float M, float m, const float * acc) {
    const float weight  = a.real(e, GGML_ACT_ENTRY_WEIGHT);
    const bool  initial = a.flags(e) & GGML_ACT_FLAG_INITIAL;
    const float scale   = initial ? M/(M - m + weight*m) : gain(weight, M, m, M - m);
    const float sink    = initial ? scale*(weight - 1.0f) : weight - scale;
    float     * o       = a.o_row(e, r);

    for (int64_t d = 0; d < a.dv; d++) {
        o[d] = scale*o[d] + sink*acc[d];
    }
}

// Nearly all mass on the sinks: M - m has lost its digits, so the other keys are summed themselves.
static bool is_direct(const act & a, int64_t e, float M, float m) {
    return !(a.flags(e) & GGML_ACT_FLAG_INITIAL) && M - m < DIRECT_REST;
}

// The direct ones of these rows: `rows` of them, r[i] with mass[r[i] - r0], own.acc[r[i] - r0] and lse[r[i]]
static void correct_direct(const act & a, int64_t e, int64_t r0, const int64_t * r, int64_t rows, const float * lse, const float * mass, const buffers & own) {
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
        if (rest[i] < GGML_ACT_MIN_REST) {
            continue; // the row stays as it is
        }
        const float m     = mass[r[i] - r0];
        const float scale = gain(weight, a.learned ? m + rest[i] : 1.0f, m, rest[i]);
        const float * sum = own.acc + (r[i] - r0)*a.dv;
        float * o = a.o_row(e, r[i]);
        for (int64_t d = 0; d < a.dv; d++) {
            o[d] = scale*own.other[i*a.dv + d] + weight*sum[d];
        }
    }
}

bool correct_rows(const act & a, int64_t e, int64_t r0, int64_t rows, const float * lse, const float * mass, const buffers & own) {
    int64_t direct[ROWS], n_direct = 0;
    for (int64_t i = 0; i < rows; i++) {
        if (mass[i] > 0.0f) {
            const float M = a.mass_of_keys(e, lse[r0 + i]);
            if (is_direct(a, e, M, mass[i])) {
                direct[n_direct++] = r0 + i;
            } else {
                correct_row(a, e, r0 + i, M, mass[i], own.acc + i*a.dv);
            }
        }
    }
    if (n_direct > 0) {
        correct_direct(a, e, r0, direct, n_direct, lse, mass, own);
    }
    return n_direct > 0;
}

} // namespace ggml_act_cpu
