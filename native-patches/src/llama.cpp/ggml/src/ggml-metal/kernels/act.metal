// Kernels of GGML_OP_ACT (ggml-act.h says what is computed). Compiled behind ggml-metal-act-impl.h into a library of their own
// (ggml-metal-act.cpp), so that no error here can take ggml-metal's kernels down. Written and tested without a Mac: never run on one.
//
// Grids depend on shapes alone; entries, counts and flags are read on the device. No addition is atomic, so results do not change from run to
// run. Metal compiles with fast mathematics: exponentials and the like are asked for by their precise names, and no result rests on an infinity.

#include <metal_stdlib>

using namespace metal;

// ggml-metal's loader takes a warning for an error.
#pragma clang diagnostic ignored "-Weverything"

// Score of a key that a row does not see; comparisons use half of it.
#define ACT_CLOSED (-1e38f)

#define ACT_UNROLL(x) _Pragma("clang loop unroll(full)") for (x)

static inline bool act_is_open(float s) { return s > 0.5f*ACT_CLOSED; }

static inline void act_barrier() { threadgroup_barrier(mem_flags::mem_threadgroup); }

// Element d of a row that begins at x; `stride` bytes lie between plain elements. A block of q8_0 is a scale and 32 bytes, one of q4_0 a scale
// and 16 bytes: low nibbles, then high ones.
static inline float act_read(device const char * x, int type, int d, int64_t stride) {
    switch (type) {
        case ACT_TYPE_F32:
            return *(device const float *) (x + d*stride);
        case ACT_TYPE_F16:
            return (float) *(device const half *) (x + d*stride);
        case ACT_TYPE_Q8_0: {
            device const char * block = x + (d/32)*34;
            return (float) *(device const half *) block*(float) ((device const int8_t *) block)[2 + d%32];
        }
        default: {
            device const char * block = x + (d/32)*18;
            const int j    = d%32;
            const int pair = ((device const uint8_t *) block)[2 + j%16];
            return (float) *(device const half *) block*(float) ((j < 16 ? pair & 15 : pair >> 4) - 8);
        }
    }
}

// One entry of a node.
struct act_node {
    constant ggml_metal_kargs_act & a;
    device const char    * q;
    device const char    * k;
    device const char    * v;
    device const char    * mask;
    device const int32_t * keys;
    device const int32_t * entry;
    device int32_t       * state;
    device float         * scratch; // [entry][row][split][2]: maximum and sum of exponentials; then scores, then sums
    device float         * o;
    int e; // of this round

    int64_t stream()    const { return entry[ACT_ENTRY_STREAM]; }
    int64_t head()      const { return entry[ACT_ENTRY_HEAD]; }
    bool    flag(int f) const { return (entry[ACT_ENTRY_FLAGS] & f) != 0; }
    float   real(int i) const { return as_type<float>(entry[i]); }

    int cells() const { return (a.state_width - 2)/2; }
    device int32_t       * slot()         const { return state + (int64_t) entry[ACT_ENTRY_SLOT]*a.state_width; }
    device int32_t       * found()        const { return slot() + cells(); } // exempt cell, number of sinks, sinks
    device const int32_t * table(int row) const { return keys + (stream()*ACT_KEYS_ROWS + row)*a.n_kv; }

    device const float * q_row(int r) const { return (device const float *) (q + r*a.q_row + head()*a.q_head + stream()*a.q_stream); }
    device const char  * k_row(int i) const { return k + i*a.k_row + head()/a.group*a.k_head + stream()*a.k_stream; }
    device const char  * v_row(int i) const { return v + i*a.v_row + head()/a.group*a.v_head + stream()*a.v_stream; }
    device float       * o_row(int r) const { return o + ((stream()*a.n_rows + r)*a.n_head + head())*a.dv; }

    float key  (device const char * row, int d) const { return act_read(row, a.type_k, d, a.type_k == ACT_TYPE_F32 ? 4 : 2); }
    float value(device const char * row, int d) const { return act_read(row, a.type_v, d, a.v_value); }

    device float * split (int r, int s) const { return scratch + (((int64_t) e*a.n_rows + r)*a.n_splits + s)*2; }
    device float * scores(int r)        const { return scratch + a.scores_at + ((int64_t) e*a.n_rows + r)*a.n_kv; }
    device float * sums  ()             const { return scratch + a.sums_at + (int64_t) e*a.n_kv; }

    float slope() const {
        if (a.slope0 == 0.0f) {
            return 1.0f;
        }
        const int h = (int) head();
        return h < a.slope_heads ? precise::pow(a.slope0, (float) (h + 1)) : precise::pow(a.slope1, (float) (2*(h - a.slope_heads) + 1));
    }

    // What is added to the score of key i in row r: the mask times the slope, or ACT_CLOSED.
    float bias(float slope, int r, int i) const {
        if (r >= a.n_rows || i >= a.n_kv || table(ACT_KEYS_POSITION)[i] < 0) {
            return ACT_CLOSED;
        }
        device const char * row = mask + r*a.mask_row + stream()*a.mask_stream;
        if (a.type_mask == ACT_TYPE_F16) {
            const ushort bits = ((device const ushort *) row)[i];
            return bits == 0xFC00 ? ACT_CLOSED : slope*(float) as_type<half>(bits);
        }
        const uint bits = ((device const uint *) row)[i];
        return bits == 0xFF800000 ? ACT_CLOSED : slope*as_type<float>(bits);
    }

    float capped(float s) const { return a.softcap == 0.0f ? s : a.softcap*precise::tanh(s/a.softcap); }

    // Log-sum-exp of a row over all splits; a row that sees nothing gets one that makes every probability 0.
    float lse(int r) const {
        float top   = ACT_CLOSED;
        float total = 0.0f;
        for (int s = 0; s < a.n_splits; s++) {
            device const float * other = split(r, s);
            const float both = max(top, other[0]);
            total = total*precise::exp(top - both) + other[1]*precise::exp(other[0] - both);
            top   = both;
        }
        return total > 0.0f ? top + precise::log(total) : -ACT_CLOSED;
    }
};

// Scores of 4*TY rows and 64 keys, through threadgroup memory; a thread computes four rows and MK keys: keys x, x + TX, ...
template <int TY, int MK>
struct act_tile {
    enum { MR = 4, ROWS = MR*TY, TX = ACT_TILE_KEYS/MK, THREADS = TX*TY };

    float score[MR][MK]; // ACT_CLOSED where the row does not see the key

    // false: no row sees any of the keys. All threads of the threadgroup must call it.
    bool compute(thread const act_node & n, threadgroup float * mem, int t, float slope, int r0, int k0) {
        threadgroup float * q_tile   = mem;
        threadgroup float * k_tile   = mem + ACT_TILE_Q(ROWS);
        threadgroup int   * any_open = (threadgroup int *) (mem + ACT_TILE_Q(ROWS) + ACT_TILE_K);
        const int x = t%TX;
        const int y = t/TX;

        act_barrier();
        if (t == 0) {
            *any_open = 0;
        }
        act_barrier();
        float bias[MR][MK];
        bool open = false;
        ACT_UNROLL(int i = 0; i < MR; i++) {
            ACT_UNROLL(int j = 0; j < MK; j++) {
                bias [i][j] = n.bias(slope, r0 + y*MR + i, k0 + x + j*TX);
                score[i][j] = 0.0f;
                open = open || act_is_open(bias[i][j]);
            }
        }
        if (open) {
            *any_open = 1;
        }
        act_barrier();
        if (*any_open == 0) {
            return false;
        }

        for (int d0 = 0; d0 < n.a.dk; d0 += ACT_STEP) {
            for (int m = t; m < ROWS*ACT_STEP; m += THREADS) {
                const int r = m/ACT_STEP, d = m%ACT_STEP;
                q_tile[r*(ACT_STEP + 1) + d] = r0 + r < n.a.n_rows && d0 + d < n.a.dk ? n.q_row(r0 + r)[d0 + d] : 0.0f;
            }
            for (int m = t; m < ACT_TILE_KEYS*ACT_STEP; m += THREADS) {
                const int i = m/ACT_STEP, d = m%ACT_STEP;
                k_tile[d*(ACT_TILE_KEYS + 1) + i] = k0 + i < n.a.n_kv && d0 + d < n.a.dk ? n.key(n.k_row(k0 + i), d0 + d) : 0.0f;
            }
            act_barrier();
            for (int d = 0; d < ACT_STEP; d++) {
                float k_part[MK];
                ACT_UNROLL(int j = 0; j < MK; j++) {
                    k_part[j] = k_tile[d*(ACT_TILE_KEYS + 1) + x + j*TX];
                }
                ACT_UNROLL(int i = 0; i < MR; i++) {
                    const float q_part = q_tile[(y*MR + i)*(ACT_STEP + 1) + d];
                    ACT_UNROLL(int j = 0; j < MK; j++) {
                        score[i][j] = fma(q_part, k_part[j], score[i][j]);
                    }
                }
            }
            act_barrier();
        }
        ACT_UNROLL(int i = 0; i < MR; i++) {
            ACT_UNROLL(int j = 0; j < MK; j++) {
                score[i][j] = act_is_open(bias[i][j]) ? n.capped(score[i][j]*n.a.scale) + bias[i][j] : ACT_CLOSED;
            }
        }
        return true;
    }
};

// Stage 1: maximum and sum of exponentials of every row over a split of the keys; with few rows the scores too.
// Grid: (split, block of rows, entry).
template <bool few, int TY, int MK>
static inline void act_scores(thread const act_node & n, threadgroup float * mem, uint3 group, int t) {
    typedef act_tile<TY, MK> tile_t;
    const int MR = tile_t::MR, ROWS = tile_t::ROWS, TX = tile_t::TX;

    const int split = group.x;
    const int r0    = group.y*ROWS;
    const int x     = t%TX;
    const int y     = t/TX;
    const float slope = n.slope();

    tile_t tile;
    float top[tile_t::MR], total[tile_t::MR];
    ACT_UNROLL(int i = 0; i < MR; i++) {
        top[i]   = ACT_CLOSED;
        total[i] = 0.0f;
    }

    const int end = min(n.a.n_kv, (split + 1)*n.a.split_keys);
    for (int k0 = split*n.a.split_keys; k0 < end; k0 += ACT_TILE_KEYS) {
        const bool open = tile.compute(n, mem, t, slope, r0, k0);
        ACT_UNROLL(int i = 0; i < MR; i++) {
            ACT_UNROLL(int j = 0; j < MK; j++) {
                const float s = open ? tile.score[i][j] : ACT_CLOSED;
                const int r = r0 + y*MR + i, key = k0 + x + j*TX;
                if (few && r < n.a.n_rows && key < n.a.n_kv) {
                    n.scores(r)[key] = s;
                }
                if (act_is_open(s)) {
                    if (s > top[i]) {
                        total[i] *= precise::exp(top[i] - s);
                        top[i] = s;
                    }
                    total[i] += precise::exp(s - top[i]);
                }
            }
        }
    }

    // across the threads that share the rows, through the tile's memory
    threadgroup float * tops   = mem + ACT_TILE_Q(ROWS);
    threadgroup float * totals = tops + ROWS*TX;
    act_barrier();
    ACT_UNROLL(int i = 0; i < MR; i++) {
        tops  [(y*MR + i)*TX + x] = top[i];
        totals[(y*MR + i)*TX + x] = total[i];
    }
    act_barrier();
    if (t < ROWS && r0 + t < n.a.n_rows) {
        float row_top = ACT_CLOSED;
        for (int i = 0; i < TX; i++) {
            row_top = max(row_top, tops[t*TX + i]);
        }
        float row_total = 0.0f;
        for (int i = 0; i < TX; i++) {
            row_total += totals[t*TX + i]*precise::exp(tops[t*TX + i] - row_top);
        }
        device float * out = n.split(r0 + t, split);
        out[0] = row_top;
        out[1] = row_total;
    }
}

// Stage 2 for many rows: column sums of the probabilities; each key belongs to one threadgroup. Grid: (tile of keys, 1, entry).
static inline void act_sums(thread const act_node & n, threadgroup float * mem, uint3 group, int t) {
    typedef act_tile<ACT_TILE_ROWS/4, 4> tile_t;
    const int MR = tile_t::MR, ROWS = tile_t::ROWS, TX = tile_t::TX, TY = tile_t::THREADS/tile_t::TX, MK = ACT_TILE_KEYS/tile_t::TX;

    const int k0 = group.x*ACT_TILE_KEYS;
    const int x  = t%TX;
    const int y  = t/TX;
    threadgroup float * k_tile = mem + ACT_TILE_Q(ROWS);
    threadgroup float * lse    = k_tile + ACT_TILE_K + 1;

    if (n.flag(ACT_FLAG_INITIAL)) {
        return;
    }
    const float slope = n.slope();

    tile_t tile;
    float column[ACT_TILE_KEYS/tile_t::TX];
    ACT_UNROLL(int j = 0; j < MK; j++) {
        column[j] = 0.0f;
    }
    for (int r0 = 0; r0 < n.a.n_rows; r0 += ROWS) {
        if (!tile.compute(n, mem, t, slope, r0, k0)) {
            continue;
        }
        if (t < ROWS) {
            lse[t] = r0 + t < n.a.n_rows ? n.lse(r0 + t) : -ACT_CLOSED;
        }
        act_barrier();
        ACT_UNROLL(int i = 0; i < MR; i++) {
            ACT_UNROLL(int j = 0; j < MK; j++) {
                column[j] += act_is_open(tile.score[i][j]) ? precise::exp(tile.score[i][j] - lse[y*MR + i]) : 0.0f;
            }
        }
    }

    act_barrier();
    ACT_UNROLL(int j = 0; j < MK; j++) {
        k_tile[y*ACT_TILE_KEYS + x + j*TX] = column[j];
    }
    act_barrier();
    if (t < ACT_TILE_KEYS && k0 + t < n.a.n_kv) {
        float sum = 0.0f;
        for (int i = 0; i < TY; i++) {
            sum += k_tile[i*ACT_TILE_KEYS + t];
        }
        n.sums()[k0 + t] = sum;
    }
}

// positions[0], cells[0] = the lowest position of all threads and its cell
static inline void act_reduce_lowest(threadgroup int * positions, threadgroup int * cells, int t, int position, int cell) {
    positions[t] = position;
    cells    [t] = cell;
    act_barrier();
    for (int n = ACT_SELECT_THREADS/2; n > 0; n /= 2) {
        if (t < n && positions[t + n] < positions[t]) {
            positions[t] = positions[t + n];
            cells    [t] = cells    [t + n];
        }
        act_barrier();
    }
}

static inline bool act_is_candidate(device const float * total, device const int32_t * seen, float limit, int i) {
    return seen[i] > 0 && total[i] > 0.0f && total[i]/(float) seen[i] > limit;
}

// Stage 3: running sums, column means, candidates above the limit, the lowest position exempt, list of sinks; with few rows also stage 2, from
// the stored scores. One threadgroup per entry; a thread keeps to its own stretch of keys.
template <bool few>
static inline void act_select(thread const act_node & n, threadgroup float * mem, int t) {
    threadgroup int   * positions = (threadgroup int *) mem;
    threadgroup int   * lowest    = positions + ACT_SELECT_THREADS;
    threadgroup int   * counts    = lowest + ACT_SELECT_THREADS;
    threadgroup float * lse       = mem + 3*ACT_SELECT_THREADS;

    const int cells = n.cells();
    device int32_t       * exempt   = n.found();
    device int32_t       * count    = n.found() + 1;
    device int32_t       * sinks    = n.found() + 2;
    device float         * running  = (device float *) n.slot();
    device const int32_t * position = n.table(ACT_KEYS_POSITION);

    const int stretch = (n.a.n_kv + ACT_SELECT_THREADS - 1)/ACT_SELECT_THREADS;
    const int begin   = min(n.a.n_kv, t*stretch);
    const int end     = min(n.a.n_kv, begin + stretch);

    int first = 0x7FFFFFFF, cell = -1;

    if (n.flag(ACT_FLAG_INITIAL)) {
        for (int i = begin; i < end; i++) {
            if (position[i] >= 0 && position[i] < first) {
                first = position[i];
                cell  = i;
            }
        }
        act_reduce_lowest(positions, lowest, t, first, cell);
        if (t == 0) {
            *exempt  = -1;
            *count   = lowest[0] < 0 ? 0 : 1;
            sinks[0] = lowest[0];
        }
        return;
    }

    if (few) {
        if (t < n.a.n_rows) {
            lse[t] = n.lse(t);
        }
        act_barrier();
    }

    const bool  row   = n.flag(ACT_FLAG_ROW);
    const bool  fresh = n.flag(ACT_FLAG_FRESH);
    const float limit = n.real(ACT_ENTRY_LIMIT);
    device const int32_t * seen    = n.table(row ? ACT_KEYS_SEGMENT : ACT_KEYS_COUNT);
    device float         * segment = n.sums();
    device const float   * total   = row ? segment : running;

    int found = 0;
    for (int i = begin; i < end; i++) {
        if (few) {
            float sum = 0.0f;
            for (int r = 0; r < n.a.n_rows; r++) {
                const float s = n.scores(r)[i];
                sum += act_is_open(s) ? precise::exp(s - lse[r]) : 0.0f;
            }
            segment[i] = sum;
        }
        running[i] = fresh ? segment[i] : running[i] + segment[i];
        if (act_is_candidate(total, seen, limit, i)) {
            found++;
            if (position[i] < first) {
                first = position[i];
                cell  = i;
            }
        }
    }
    if (fresh) {
        for (int i = n.a.n_kv + t; i < cells; i += ACT_SELECT_THREADS) {
            running[i] = 0.0f;
        }
    }
    act_reduce_lowest(positions, lowest, t, first, cell);
    const int spared = lowest[0];

    // how many candidates the threads before this one have
    counts[t] = found;
    act_barrier();
    for (int step = 1; step < ACT_SELECT_THREADS; step *= 2) {
        const int other = t >= step ? counts[t - step] : 0;
        act_barrier();
        counts[t] += other;
        act_barrier();
    }
    int at = counts[t] - found - (spared >= 0 && spared < begin ? 1 : 0);
    for (int i = begin; i < end; i++) {
        if (i != spared && act_is_candidate(total, seen, limit, i)) {
            sinks[at++] = i;
        }
    }
    if (t == 0) {
        *exempt = spared;
        *count  = counts[ACT_SELECT_THREADS - 1] - (spared >= 0 ? 1 : 0);
    }
}

// A[r0 + row, i]
template <bool few>
static inline float act_probability(
        thread const act_node & n, threadgroup const float * q_rows, threadgroup const float * lse, float slope, int r0, int row, int i) {
    if (few) {
        const float s = n.scores(r0 + row)[i];
        return act_is_open(s) ? precise::exp(s - lse[row]) : 0.0f;
    }
    const float bias = n.bias(slope, r0 + row, i);
    if (!act_is_open(bias)) {
        return 0.0f;
    }
    device const char * key = n.k_row(i);
    float s = 0.0f;
    for (int d = 0; d < n.a.dk; d++) {
        s = fma(q_rows[row*ACT_MAX_D + d], n.key(key, d), s);
    }
    return precise::exp(n.capped(s*n.a.scale) + bias - lse[row]);
}

static inline bool act_is_sink(device const int32_t * sinks, int count, int cell) {
    int low = 0, high = count;
    while (low < high) {
        const int middle = (low + high)/2;
        if (sinks[middle] == cell) {
            return true;
        }
        if (sinks[middle] < cell) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return false;
}

// Stage 4: per row the sinks' mass and their sum of A*v, then the correction of o in place. Where nearly all mass lies on the sinks, 1 - m has
// lost its digits and the other keys are summed themselves. Grid: (block of rows, 1, entry).
template <bool few>
static inline void act_correct(thread const act_node & n, threadgroup float * mem, uint3 group, int t) {
    enum { ROWS = ACT_CORRECT_ROWS, SINKS = ACT_CORRECT_SINKS, THREADS = ACT_CORRECT_THREADS, MV = ACT_MAX_D/THREADS }; // MV values per thread

    threadgroup float * q_rows = mem;
    threadgroup float * lse    = q_rows + ROWS*ACT_MAX_D;
    threadgroup float * mass   = lse + ROWS;
    threadgroup float * A      = mass + ROWS;
    threadgroup float * parts  = A + THREADS;

    const int r0 = group.x*ROWS;

    device const int32_t * sinks  = n.found() + 2;
    const int              count  = n.found()[1];
    const bool             initial = n.flag(ACT_FLAG_INITIAL);
    const float            weight = n.real(ACT_ENTRY_WEIGHT);
    if (count == 0 || n.flag(ACT_FLAG_WATCH) || weight == 1.0f) {
        return;
    }
    const int   rows  = min((int) ROWS, n.a.n_rows - r0);
    const float slope = n.slope();
    device const int32_t * position = n.table(ACT_KEYS_POSITION);

    for (int m = t; m < rows*ACT_MAX_D; m += THREADS) {
        const int row = m/ACT_MAX_D, d = m%ACT_MAX_D;
        q_rows[m] = d < n.a.dk ? n.q_row(r0 + row)[d] : 0.0f;
    }
    if (t < rows) {
        lse[t] = n.lse(r0 + t);
    }
    if (t < ROWS) {
        mass[t] = 0.0f;
    }

    float acc[ROWS][MV];
    ACT_UNROLL(int r = 0; r < ROWS; r++) {
        ACT_UNROLL(int m = 0; m < MV; m++) {
            acc[r][m] = 0.0f;
        }
    }
    for (int c0 = 0; c0 < count; c0 += SINKS) {
        const int here = min((int) SINKS, count - c0);
        const int row = t/SINKS, j = t%SINKS;
        act_barrier();
        A[t] = row < rows && j < here ? act_probability<few>(n, q_rows, lse, slope, r0, row, sinks[c0 + j]) : 0.0f;
        act_barrier();
        if (t < ROWS) {
            for (int i = 0; i < here; i++) {
                mass[t] += A[t*SINKS + i];
            }
        }
        ACT_UNROLL(int m = 0; m < MV; m++) {
            const int d = t + m*THREADS;
            if (d < n.a.dv) {
                for (int i = 0; i < here; i++) {
                    const float v = n.value(n.v_row(sinks[c0 + i]), d);
                    ACT_UNROLL(int r = 0; r < ROWS; r++) {
                        acc[r][m] = fma(A[r*SINKS + i], v, acc[r][m]);
                    }
                }
            }
        }
    }
    act_barrier();

    ACT_UNROLL(int row = 0; row < ROWS; row++) {
        const float m = mass[row];
        if (row >= rows || m <= 0.0f) {
            continue;
        }
        device float * o = n.o_row(r0 + row);

        if (initial || 1.0f - m >= n.a.direct_rest) {
            const float scale = initial ? 1.0f/(1.0f - m + weight*m) : (1.0f - weight*m)/(1.0f - m);
            const float part  = initial ? scale*(weight - 1.0f) : weight - scale;
            ACT_UNROLL(int i = 0; i < MV; i++) {
                const int d = t + i*THREADS;
                if (d < n.a.dv) {
                    o[d] = scale*o[d] + part*acc[row][i];
                }
            }
            continue;
        }

        float other[MV];
        ACT_UNROLL(int i = 0; i < MV; i++) {
            other[i] = 0.0f;
        }
        float rest = 0.0f;
        for (int k0 = 0; k0 < n.a.n_kv; k0 += THREADS) {
            const int i = k0 + t;
            float p = 0.0f;
            if (i < n.a.n_kv && position[i] >= 0 && !act_is_sink(sinks, count, i)) {
                p = act_probability<few>(n, q_rows, lse, slope, r0, row, i);
            }
            act_barrier();
            A[t] = p;
            act_barrier();
            rest += p;
            const int here = min((int) THREADS, n.a.n_kv - k0);
            ACT_UNROLL(int m = 0; m < MV; m++) {
                const int d = t + m*THREADS;
                if (d < n.a.dv) {
                    for (int j = 0; j < here; j++) {
                        if (A[j] > 0.0f) {
                            other[m] = fma(A[j], n.value(n.v_row(k0 + j), d), other[m]);
                        }
                    }
                }
            }
        }
        parts[t] = rest;
        act_barrier();
        for (int step = THREADS/2; step > 0; step /= 2) {
            if (t < step) {
                parts[t] += parts[t + step];
            }
            act_barrier();
        }
        rest = parts[0];
        act_barrier();
        if (rest >= n.a.min_rest) {
            const float scale = (1.0f - weight*m)/rest;
            ACT_UNROLL(int i = 0; i < MV; i++) {
                const int d = t + i*THREADS;
                if (d < n.a.dv) {
                    o[d] = scale*other[i] + weight*acc[row][i];
                }
            }
        }
    }
}

#ifndef ACT_MEMORY // test/native/metal has another
#define ACT_MEMORY [[threadgroup(0)]]
#endif

#define ACT_OPERANDS \
    constant ggml_metal_kargs_act & args    [[buffer(0)]], \
    device const char             * q       [[buffer(1)]], \
    device const char             * k       [[buffer(2)]], \
    device const char             * v       [[buffer(3)]], \
    device const char             * mask    [[buffer(4)]], \
    device const int32_t          * keys    [[buffer(5)]], \
    device const int32_t          * entries [[buffer(6)]], \
    device int32_t                * state   [[buffer(7)]], \
    device float                  * scratch [[buffer(8)]], \
    device float                  * o       [[buffer(9)]], \
    threadgroup float             * mem     ACT_MEMORY, \
    uint3                           group   [[threadgroup_position_in_grid]], \
    uint                            t       [[thread_index_in_threadgroup]]

#define ACT_NODE(name) \
    const act_node name = { \
        args, q, k, v, mask, keys, entries + (args.entry0 + (int) group.z)*ACT_ENTRY_SIZE, state, scratch, o, (int) group.z \
    }

kernel void kernel_act_scores(ACT_OPERANDS) {
    ACT_NODE(n);
    act_scores<false, ACT_TILE_ROWS/4, 4>(n, mem, group, t);
}

kernel void kernel_act_scores_few(ACT_OPERANDS) {
    ACT_NODE(n);
    act_scores<true, 1, 1>(n, mem, group, t);
}

kernel void kernel_act_sums(ACT_OPERANDS) {
    ACT_NODE(n);
    act_sums(n, mem, group, t);
}

kernel void kernel_act_select(ACT_OPERANDS) {
    ACT_NODE(n);
    act_select<false>(n, mem, t);
}

kernel void kernel_act_select_few(ACT_OPERANDS) {
    ACT_NODE(n);
    act_select<true>(n, mem, t);
}

kernel void kernel_act_correct(ACT_OPERANDS) {
    ACT_NODE(n);
    act_correct<false>(n, mem, group, t);
}

kernel void kernel_act_correct_few(ACT_OPERANDS) {
    ACT_NODE(n);
    act_correct<true>(n, mem, group, t);
}
