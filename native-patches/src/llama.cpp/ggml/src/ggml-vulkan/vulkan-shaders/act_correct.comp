#version 450

// Stage 4 of GGML_OP_ACT: per row the sinks' mass and their sum of A*v, then the correction of o in place. Where nearly all mass lies on the
// sinks, 1 - m has lost its digits and the other keys are summed themselves. Workgroups: (block of ROWS rows, 1, entry).

#include "act.glsl"

#define ROWS    ACT_CORRECT_ROWS
#define SINKS   32
#define THREADS (ROWS*SINKS)
#define MAX_D   ACT_MAX_D
#define MV      (MAX_D/THREADS) // values per thread

layout (local_size_x = THREADS, local_size_y = 1, local_size_z = 1) in;

shared float q_rows[ROWS*MAX_D];
shared float lse[ROWS];
shared float mass[ROWS];
shared float A[THREADS];
shared float sums[THREADS];

// A[r0 + row, i]
float probability(uint e, float slope, uint r0, uint row, uint i) {
#ifdef FEW
    const float s = scratch[p.scores_at + (e*p.n_rows + r0 + row)*p.n_kv + i];
    return IS_OPEN(s) ? exp(s - lse[row]) : 0.0;
#else
    const float bias = bias_of(e, slope, r0 + row, i);
    if (!IS_OPEN(bias)) {
        return 0.0;
    }
    const uint at = k_head_at(e) + i*p.k_row;
    float s = 0.0;
    for (uint d = 0; d < p.dk; d++) {
        s = fma(q_rows[row*MAX_D + d], read_key(at, d), s);
    }
    return exp(capped(s*p.scale) + bias - lse[row]);
#endif
}

bool is_sink(uint at_sinks, uint count, uint cell) {
    uint low = 0, high = count;
    while (low < high) {
        const uint middle = (low + high)/2;
        const uint sink = state[at_sinks + middle];
        if (sink == cell) {
            return true;
        }
        if (sink < cell) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return false;
}

void main() {
    const uint r0   = gl_WorkGroupID.x*ROWS;
    const uint e    = gl_WorkGroupID.z;
    const uint t    = gl_LocalInvocationIndex;

    const uint  at_sinks = entry_slot(e) + n_cells() + 2;
    const uint  count    = state[at_sinks - 1];
    const int   flags    = entry_flags(e);
    const float weight   = entry_weight(e);
    if (count == 0 || (flags & ACT_FLAG_WATCH) != 0 || weight == 1.0) {
        return;
    }
    const uint  rows   = min(ROWS, p.n_rows - r0);
    const float slope  = slope_of(uint(entry_head(e)));
    const uint  v_base = v_head_at(e);
    const uint  table  = (uint(entry_stream(e))*ACT_KEYS_ROWS + ACT_KEYS_POSITION)*p.n_kv;

    for (uint n = t; n < rows*MAX_D; n += THREADS) {
        const uint row = n/MAX_D, d = n%MAX_D;
        q_rows[n] = d < p.dk ? q[q_row_at(e, r0 + row) + d] : 0.0;
    }
    if (t < rows) {
        lse[t] = row_lse(e, r0 + t);
    }
    if (t < ROWS) {
        mass[t] = 0.0;
    }

    float acc[ROWS*MV];
    [[unroll]] for (uint n = 0; n < ROWS*MV; n++) {
        acc[n] = 0.0;
    }
    for (uint c0 = 0; c0 < count; c0 += SINKS) {
        const uint n   = min(SINKS, count - c0);
        const uint row = t/SINKS, j = t%SINKS;
        barrier();
        A[t] = row < rows && j < n ? probability(e, slope, r0, row, state[at_sinks + c0 + j]) : 0.0;
        barrier();
        if (t < ROWS) {
            for (uint i = 0; i < n; i++) {
                mass[t] += A[t*SINKS + i];
            }
        }
        [[unroll]] for (uint m = 0; m < MV; m++) {
            const uint d = t + m*THREADS;
            if (d < p.dv) {
                for (uint i = 0; i < n; i++) {
                    const float v = read_value(v_base + state[at_sinks + c0 + i]*p.v_row, d);
                    [[unroll]] for (uint r = 0; r < ROWS; r++) {
                        acc[r*MV + m] = fma(A[r*SINKS + i], v, acc[r*MV + m]);
                    }
                }
            }
        }
    }
    barrier();

    [[unroll]] for (uint row = 0; row < ROWS; row++) {
        const float m = mass[row];
        if (row >= rows || m <= 0.0) {
            continue;
        }
        const uint at = o_row_at(e, r0 + row);

        if ((flags & ACT_FLAG_INITIAL) != 0 || 1.0 - m >= ACT_DIRECT_REST) {
            const bool  initial = (flags & ACT_FLAG_INITIAL) != 0;
            const float scale   = initial ? 1.0/(1.0 - m + weight*m) : (1.0 - weight*m)/(1.0 - m);
            const float part    = initial ? scale*(weight - 1.0) : weight - scale;
            [[unroll]] for (uint n = 0; n < MV; n++) {
                const uint d = t + n*THREADS;
                if (d < p.dv) {
                    o[at + d] = scale*o[at + d] + part*acc[row*MV + n];
                }
            }
            continue;
        }

        float other[MV];
        [[unroll]] for (uint n = 0; n < MV; n++) {
            other[n] = 0.0;
        }
        float rest = 0.0;
        for (uint k0 = 0; k0 < p.n_kv; k0 += THREADS) {
            const uint i = k0 + t;
            float a = 0.0;
            if (i < p.n_kv && keys[table + i] >= 0 && !is_sink(at_sinks, count, i)) {
                a = probability(e, slope, r0, row, i);
            }
            barrier();
            A[t] = a;
            barrier();
            rest += a;
            const uint n_keys = min(THREADS, p.n_kv - k0);
            [[unroll]] for (uint n = 0; n < MV; n++) {
                const uint d = t + n*THREADS;
                if (d < p.dv) {
                    for (uint j = 0; j < n_keys; j++) {
                        if (A[j] > 0.0) {
                            other[n] = fma(A[j], read_value(v_base + (k0 + j)*p.v_row, d), other[n]);
                        }
                    }
                }
            }
        }
        sums[t] = rest;
        barrier();
        for (uint n = THREADS/2; n > 0; n /= 2) {
            if (t < n) {
                sums[t] += sums[t + n];
            }
            barrier();
        }
        rest = sums[0];
        barrier();
        if (rest >= ACT_MIN_REST) {
            const float scale = (1.0 - weight*m)/rest;
            [[unroll]] for (uint n = 0; n < MV; n++) {
                const uint d = t + n*THREADS;
                if (d < p.dv) {
                    o[at + d] = scale*other[n] + weight*acc[row*MV + n];
                }
            }
        }
    }
}
