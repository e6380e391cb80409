#version 450

// Stage 1 of GGML_OP_ACT: maximum and sum of exponentials of every row over a split of the keys; with FEW rows the scores too.
// Workgroups: (split, block of rows, entry).

#include "act.glsl"

#ifdef FEW
#define TILE_ROWS ACT_FEW_ROWS
#define MK 1
#else
#define TILE_ROWS ACT_TILE_ROWS
#define MK 4
#endif

#include "act_tile.glsl"

void main() {
    const uint split = gl_WorkGroupID.x;
    const uint r0    = gl_WorkGroupID.y*TILE_ROWS;
    const uint e     = gl_WorkGroupID.z;
    const uint t     = gl_LocalInvocationIndex;
    const uint x     = t%TX;
    const uint y     = t/TX;
    const float slope = slope_of(uint(entry_head(e)));

    float top[MR];
    float total[MR];
    [[unroll]] for (uint i = 0; i < MR; i++) {
        top[i]   = CLOSED;
        total[i] = 0.0;
    }

    const uint end = min(p.n_kv, (split + 1)*p.split_keys);
    for (uint k0 = split*p.split_keys; k0 < end; k0 += ACT_TILE_KEYS) {
        const bool open = tile_scores(e, slope, r0, k0);
        [[unroll]] for (uint i = 0; i < MR; i++) {
            [[unroll]] for (uint j = 0; j < MK; j++) {
                const float s = open ? tile_score[i*MK + j] : CLOSED;
#ifdef FEW
                const uint r = r0 + y*MR + i, key = k0 + x + j*TX;
                if (r < p.n_rows && key < p.n_kv) {
                    scratch[p.scores_at + (e*p.n_rows + r)*p.n_kv + key] = s;
                }
#endif
                if (IS_OPEN(s)) {
                    if (s > top[i]) {
                        total[i] *= exp(top[i] - s);
                        top[i] = s;
                    }
                    total[i] += exp(s - top[i]);
                }
            }
        }
    }

    // across the threads that share the rows, through the tile's memory
    barrier();
    [[unroll]] for (uint i = 0; i < MR; i++) {
        const uint row = y*MR + i;
        k_tile[row*TX + x] = top[i];
        k_tile[(TILE_ROWS + row)*TX + x] = total[i];
    }
    barrier();
    if (t < TILE_ROWS && r0 + t < p.n_rows) {
        float row_top = CLOSED;
        for (uint i = 0; i < TX; i++) {
            row_top = max(row_top, k_tile[t*TX + i]);
        }
        float row_total = 0.0;
        for (uint i = 0; i < TX; i++) {
            row_total += k_tile[(TILE_ROWS + t)*TX + i]*exp(k_tile[t*TX + i] - row_top);
        }
        const uint at = split_at(e, r0 + t, split);
        scratch[at]     = row_top;
        scratch[at + 1] = row_total;
    }
}
