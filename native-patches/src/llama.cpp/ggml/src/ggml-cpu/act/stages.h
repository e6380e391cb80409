#pragma once

// The stages of GGML_OP_ACT on the CPU (ggml-act.h says what each computes), one file each.

#include "layout.h"
#include "operands.h"
#include "vectors.h"

struct ggml_compute_params;

namespace ggml_act_cpu {

// All stages for up to FEW_ROWS rows a stream (decode): the threads share the keys, then each takes whole heads. few.cpp
void run_few(const act & a, const layout & at, float * work, const ggml_compute_params * params);

// All stages for more rows (prefill): a thread takes (key/value group, block of rows) items; the group's keys are transposed once into tiles, so
// that Q*K^T is a GEMM whose result stays in cache for the softmax and the sums. blocks.cpp
void run_blocks(const act & a, const layout & at, float * work, const ggml_compute_params * params);

// Stage 3 for an entry; `sums` [n_kv] are this segment's column sums. select.cpp
void select_sinks(const act & a, int64_t e, const float * sums);

// Whether stage 4 changes this entry's rows. correct.cpp
bool corrects(const act & a, int64_t e);

// What the keys outside the sinks are multiplied with. M: all keys' mass, m: the sinks', rest: the others'. Negative where sinks that are strengthened would take more
// than the others have.
float gain(float weight, float M, float m, float rest);

// Stage 4 for rows [r0, r0 + rows), from the sinks' sums in own.acc; lse[r] by row, mass[i] by row of the block.
// Returns whether it overwrote own.keys and own.values.
bool correct_rows(const act & a, int64_t e, int64_t r0, int64_t rows, const float * lse, const float * mass, const buffers & own);

// The pooled probabilities of the entry flagged MATRIX, before and after. buffer: TILE*dk + n_kv floats. matrix.cpp
void write_matrix(const act & a, int64_t e, const float * lse, float * buffer, int ith, int nth);

} // namespace ggml_act_cpu
