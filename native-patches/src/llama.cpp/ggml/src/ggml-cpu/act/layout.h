#pragma once

// The work buffer of one node, and what a thread keeps in it.

#include "operands.h"

namespace ggml_act_cpu {

// Work buffer, in floats. Made from shapes alone, since the graph is planned before the entries are known.
struct layout {
    size_t lse;      // [entry][row]
    size_t partial;  // blocks: column sums [thread][entry of the thread][n_kv]; few: probabilities [entry][row][n_kv]
    size_t parts;    // few: maximum and total of a thread's keys, [thread][entry][row][2]
    size_t scratch;  // [thread][thread_size]
    size_t thread_size;
    size_t total;
    int64_t per_thread_entries;

    layout(const act & a, int nth) {
        const bool    few      = a.n_rows <= FEW_ROWS;
        const int64_t rows     = few ? FEW_ROWS : ROWS;
        const int64_t n_groups = std::min(a.n_entries, a.k->ne[2]*a.n_stream); // at most
        per_thread_entries = std::min(a.n_entries, ((n_groups + nth - 1)/nth + 1)*a.group);

        const size_t common = a.n_entries + 1 + TILE*a.dk + TILE*a.dv + 2*rows*a.dv + a.n_kv;
        const size_t blocks = a.n_tiles*a.dk*TILE + a.n_tiles*ROWS*TILE + ROWS*a.dk + nth + 1 + a.n_tiles;

        lse         = 0;
        partial     = pad(a.n_entries*a.n_rows);
        parts       = partial + pad(few ? a.n_entries*a.n_rows*a.n_kv : nth*per_thread_entries*a.n_kv);
        scratch     = parts + pad(few ? 2*nth*a.n_entries*a.n_rows : 0);
        thread_size = pad(few ? common : common + blocks);
        total       = scratch + nth*thread_size;
    }

    static size_t pad(size_t n) { return (n + 31)/16*16; } // a cache line apart
};

// What both forms need; the head of a thread's scratch.
struct buffers {
    float   * keys;   // [TILE][dk]
    float   * sums;   // [n_kv]; behind `keys`, where write_matrix wants its row
    float   * values; // [TILE][dv]
    float   * acc;    // [rows][dv]
    float   * other;  // [rows][dv]
    int32_t * groups; // [n_entries + 1]
    float   * more;

    buffers(const act & a, float * scratch, int64_t rows) {
        keys   = scratch;
        sums   = keys + TILE*a.dk;
        values = sums + a.n_kv;
        acc    = values + TILE*a.dv;
        other  = acc + rows*a.dv;
        groups = (int32_t *) (other + rows*a.dv);
        more   = (float *) (groups + a.n_entries + 1);
    }
};

} // namespace ggml_act_cpu
