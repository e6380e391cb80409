// Stage 3: sums -> column means -> sinks.

#include "stages.h"

namespace ggml_act_cpu {

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

} // namespace ggml_act_cpu
