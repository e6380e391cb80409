#version 450

// Stage 2 of GGML_OP_ACT for many rows: column sums of the probabilities. Each key belongs to one workgroup, so no addition is atomic and
// results do not change from run to run. Workgroups: (tile of keys, 1, entry).

#include "act.glsl"

#define TILE_ROWS ACT_TILE_ROWS
#define MK 4
#include "act_tile.glsl"

shared float lse[TILE_ROWS];

void main() {
    const uint k0 = gl_WorkGroupID.x*ACT_TILE_KEYS;
    const uint e  = gl_WorkGroupID.z;
    const uint t  = gl_LocalInvocationIndex;
    const uint x  = t%TX;
    const uint y  = t/TX;

    if ((entry_flags(e) & ACT_FLAG_INITIAL) != 0) {
        return;
    }
    const float slope = slope_of(uint(entry_head(e)));

    float column[MK];
    [[unroll]] for (uint j = 0; j < MK; j++) {
        column[j] = 0.0;
    }
    for (uint r0 = 0; r0 < p.n_rows; r0 += TILE_ROWS) {
        if (!tile_scores(e, slope, r0, k0)) {
            continue;
        }
        if (t < TILE_ROWS) {
            lse[t] = r0 + t < p.n_rows ? row_lse(e, r0 + t) : -CLOSED;
        }
        barrier();
        [[unroll]] for (uint i = 0; i < MR; i++) {
            [[unroll]] for (uint j = 0; j < MK; j++) {
                const float s = tile_score[i*MK + j];
                column[j] += IS_OPEN(s) ? exp(s - lse[y*MR + i]) : 0.0;
            }
        }
    }

    barrier();
    [[unroll]] for (uint j = 0; j < MK; j++) {
        k_tile[y*ACT_TILE_KEYS + x + j*TX] = column[j];
    }
    barrier();
    if (t < ACT_TILE_KEYS && k0 + t < p.n_kv) {
        float sum = 0.0;
        for (uint i = 0; i < TY; i++) {
            sum += k_tile[i*ACT_TILE_KEYS + t];
        }
        scratch[p.sums_at + e*p.n_kv + k0 + t] = sum;
    }
}
