// The pooled attention matrix of the head that the attention view shows (GGML_ACT_FLAG_MATRIX).

#include "scores.h"
#include "stages.h"

namespace ggml_act_cpu {

// A[r, k] of every key of one row, from the row's log-sum-exp
static void row_probabilities(const act & a, int64_t e, int64_t r, float lse, float * keys, float * A) {
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
                const float M = a.learned ? m + rest : 1.0f;
                scale_rest = M/(M - m + weight*m);
                scale_sink = weight*scale_rest;
            } else if (rest >= GGML_ACT_MIN_REST) {
                scale_rest = gain(weight, a.learned ? m + rest : 1.0f, m, rest);
                scale_sink = weight;
            }
        }
        sink = a.sinks(e);
        for (int64_t i = 0; i < a.n_kv; i++) {
            const bool is_sink = sink != end && *sink == i;
            sink += is_sink;
            const int64_t x = pos[i] - a.p.column0;
            // what the row cannot see is missing, not zero
            if (pos[i] < 0 || x < 0 || x/a.p.pool >= columns || a.mask_at(a.stream(e), r, i) == -INFINITY) {
                continue;
            }
            const int64_t cell  = y*columns + x/a.p.pool;
            const float   value = A[i]*(is_sink ? scale_sink : scale_rest);
            before[cell] = std::isnan(before[cell]) ? A[i]  : std::max(before[cell], A[i]);
            after [cell] = std::isnan(after [cell]) ? value : std::max(after [cell], value);
        }
    }
}

} // namespace ggml_act_cpu
