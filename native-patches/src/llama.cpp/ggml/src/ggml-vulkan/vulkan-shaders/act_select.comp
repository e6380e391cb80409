#version 450

// Stage 3 of GGML_OP_ACT: running sums, column means, candidates above the limit, the lowest position exempt, list of sinks. With FEW rows
// also stage 2, from the stored scores. One workgroup per entry; a thread keeps to its own stretch of keys.

#include "act.glsl"

#define THREADS ACT_SELECT_THREADS
layout (local_size_x = THREADS, local_size_y = 1, local_size_z = 1) in;

shared int  lowest[THREADS];
shared int  lowest_cell[THREADS];
shared uint counts[THREADS];

#ifdef FEW
#define MAX_ROWS ACT_FEW_ROWS
shared float lse[MAX_ROWS];
#endif

float segment_sum(uint e, uint i) {
#ifdef FEW
    float sum = 0.0;
    for (uint r = 0; r < p.n_rows; r++) {
        const float s = scratch[p.scores_at + (e*p.n_rows + r)*p.n_kv + i];
        sum += IS_OPEN(s) ? exp(s - lse[r]) : 0.0;
    }
    scratch[p.sums_at + e*p.n_kv + i] = sum;
    return sum;
#else
    return scratch[p.sums_at + e*p.n_kv + i];
#endif
}

bool is_candidate(uint e, uint slot, uint seen_at, bool row, float limit, uint i) {
    const float total = row ? scratch[p.sums_at + e*p.n_kv + i] : uintBitsToFloat(state[slot + i]);
    const int seen = keys[seen_at + i];
    return seen > 0 && total > 0.0 && total/float(seen) > limit;
}

// lowest[0], lowest_cell[0] = the lowest position of all threads and its cell
void reduce_lowest(uint t, int position, int cell) {
    lowest[t]      = position;
    lowest_cell[t] = cell;
    barrier();
    for (uint n = THREADS/2; n > 0; n /= 2) {
        if (t < n && lowest[t + n] < lowest[t]) {
            lowest[t]      = lowest[t + n];
            lowest_cell[t] = lowest_cell[t + n];
        }
        barrier();
    }
}

void main() {
    const uint e      = gl_WorkGroupID.x;
    const uint t      = gl_LocalInvocationIndex;
    const uint slot   = entry_slot(e);
    const int  flags  = entry_flags(e);
    const uint table  = uint(entry_stream(e))*ACT_KEYS_ROWS*p.n_kv;
    const uint cells  = n_cells();
    const uint at_exempt = slot + cells;
    const uint at_count  = slot + cells + 1;
    const uint at_sinks  = slot + cells + 2;

    const uint stretch = (p.n_kv + THREADS - 1)/THREADS;
    const uint begin   = min(p.n_kv, t*stretch);
    const uint end     = min(p.n_kv, begin + stretch);

    int position = 0x7FFFFFFF;
    int cell     = -1;

    if ((flags & ACT_FLAG_INITIAL) != 0) {
        for (uint i = begin; i < end; i++) {
            const int at = keys[table + ACT_KEYS_POSITION*p.n_kv + i];
            if (at >= 0 && at < position) {
                position = at;
                cell     = int(i);
            }
        }
        reduce_lowest(t, position, cell);
        if (t == 0) {
            state[at_exempt] = 0xFFFFFFFFu;
            state[at_count]  = lowest_cell[0] < 0 ? 0 : 1;
            state[at_sinks]  = uint(lowest_cell[0]);
        }
        return;
    }

#ifdef FEW
    if (t < p.n_rows) {
        lse[t] = row_lse(e, t);
    }
    barrier();
#endif

    const bool  row     = (flags & ACT_FLAG_ROW) != 0;
    const bool  fresh   = (flags & ACT_FLAG_FRESH) != 0;
    const float limit   = entry_limit(e);
    const uint  seen_at = table + (row ? ACT_KEYS_SEGMENT : ACT_KEYS_COUNT)*p.n_kv;

    uint n = 0;
    for (uint i = begin; i < end; i++) {
        const float sum = segment_sum(e, i);
        state[slot + i] = floatBitsToUint(fresh ? sum : uintBitsToFloat(state[slot + i]) + sum);
        if (is_candidate(e, slot, seen_at, row, limit, i)) {
            n++;
            const int at = keys[table + ACT_KEYS_POSITION*p.n_kv + i];
            if (at < position) {
                position = at;
                cell     = int(i);
            }
        }
    }
    if (fresh) {
        for (uint i = p.n_kv + t; i < cells; i += THREADS) {
            state[slot + i] = 0;
        }
    }
    reduce_lowest(t, position, cell);
    const int exempt = lowest_cell[0];

    // how many candidates the threads before this one have
    counts[t] = n;
    barrier();
    for (uint step = 1; step < THREADS; step *= 2) {
        const uint other = t >= step ? counts[t - step] : 0;
        barrier();
        counts[t] += other;
        barrier();
    }
    uint at = counts[t] - n;
    if (exempt >= 0 && uint(exempt) < begin) {
        at--;
    }
    for (uint i = begin; i < end; i++) {
        if (int(i) != exempt && is_candidate(e, slot, seen_at, row, limit, i)) {
            state[at_sinks + at++] = i;
        }
    }
    if (t == 0) {
        state[at_exempt] = uint(exempt);
        state[at_count]  = counts[THREADS - 1] - (exempt >= 0 ? 1 : 0);
    }
}
