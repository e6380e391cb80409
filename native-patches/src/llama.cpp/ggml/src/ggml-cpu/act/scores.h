#pragma once

// Stage 1: scores of rows with keys, as they lie (few rows) or transposed into tiles (blocks of rows).

#include "vectors.h"

namespace ggml_act_cpu {

// What the mask does to a tile of rows and keys.
enum tile_kind : uint8_t { TILE_OPEN, TILE_CLOSED, TILE_MIXED };

// n < TILE (the end of the keys) is mixed.
tile_kind classify(const act & a, int stream, int64_t r0, int64_t rows, int64_t k0, int64_t n);

// keys [k0, k0 + n) as they lie, as float32 [n][dk]
void load_keys(const act & a, int64_t e, int64_t k0, int64_t n, float * out);

// scores of one row with n keys of load_keys
void tile_scores(const act & a, const float * q, const float * keys, int64_t n, const float * mask, float slope, float * out);

// scores of all rows of a group's heads with keys [k0, k0 + n), n <= TILE; `out` [entry - e0][row][n_kv], `mask` [row][TILE]
void group_scores(const act & a, int64_t e0, int64_t e1, int64_t k0, int64_t n, const float * mask, float * keys, float * out);

// n keys (at most `width`, at most TILE) -> [dk][width]; columns beyond n are zero
template <typename Index>
void transpose_keys(const act & a, int64_t e, Index index, int64_t n, int64_t width, float * rows, float * out) {
    for (int64_t j = 0; j < n; j++) {
        a.read_key(e, index(j), rows + j*a.dk);
    }
    std::fill(rows + n*a.dk, rows + width*a.dk, 0.0f);
    for (int64_t d = 0; d < a.dk; d += 8) {
        const int64_t d1 = std::min<int64_t>(d + 8, a.dk);
        for (int64_t j = 0; j < width; j++) {
            for (int64_t i = d; i < d1; i++) {
                out[i*width + j] = rows[j*a.dk + i];
            }
        }
    }
}

// rows of q, times the scale; rows beyond n are zero
void load_queries(const act & a, int64_t e, int64_t r0, int64_t n, float * out);

// out [rows][TILE] = queries [rows][dk] * keys [dk][TILE]; rows up to the next multiple of four are computed as well
void block_scores(const act & a, const float * queries, int64_t rows, const float * keys, float * out);

} // namespace ggml_act_cpu
