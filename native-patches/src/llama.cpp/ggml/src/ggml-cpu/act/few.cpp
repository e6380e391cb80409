// All stages for few rows (decode).

#include "scores.h"
#include "stages.h"

namespace ggml_act_cpu {

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
            top   = finite(a.learned_top(e, top));
            total = a.learned_total(e, top);
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

} // namespace ggml_act_cpu
