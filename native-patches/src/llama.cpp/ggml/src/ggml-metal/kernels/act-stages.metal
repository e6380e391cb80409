// The stages of GGML_OP_ACT, behind act-tile.metal.

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
