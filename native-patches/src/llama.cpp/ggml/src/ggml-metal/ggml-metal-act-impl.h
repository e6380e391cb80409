#ifndef GGML_METAL_ACT_IMPL_H
#define GGML_METAL_ACT_IMPL_H

// What the Metal kernels of GGML_OP_ACT (kernels/act.metal) and their host (ggml-metal-act.cpp) share. Metal reads this file too.

// Metal cannot read ggml-act.h: its numbers again, which the host compares.
#define ACT_ENTRY_STREAM  0
#define ACT_ENTRY_HEAD    1
#define ACT_ENTRY_SLOT    2
#define ACT_ENTRY_FLAGS   3
#define ACT_ENTRY_WEIGHT  4
#define ACT_ENTRY_LIMIT   5
#define ACT_ENTRY_SIZE    8

#define ACT_FLAG_FRESH    1
#define ACT_FLAG_ROW      2
#define ACT_FLAG_INITIAL  4
#define ACT_FLAG_WATCH    8

#define ACT_KEYS_POSITION 0
#define ACT_KEYS_COUNT    1
#define ACT_KEYS_SEGMENT  2
#define ACT_KEYS_ROWS     3

#define ACT_TYPE_F32  0
#define ACT_TYPE_F16  1
#define ACT_TYPE_Q4_0 2
#define ACT_TYPE_Q8_0 8

#define ACT_MAX_D     256
#define ACT_TILE_KEYS 64
#define ACT_TILE_ROWS 32
#define ACT_STEP      32 // elements of a head per pass through threadgroup memory
#define ACT_FEW_ROWS  4  // up to here scores are stored, not computed twice

#define ACT_SCORES_THREADS     128
#define ACT_SCORES_THREADS_FEW 64
#define ACT_SELECT_THREADS     256
#define ACT_CORRECT_ROWS       4
#define ACT_CORRECT_SINKS      32
#define ACT_CORRECT_THREADS    (ACT_CORRECT_ROWS*ACT_CORRECT_SINKS)

// Threadgroup memory in floats: a tile of rows and one of keys, a flag, a log-sum-exp per row; lists of select; rows, masses and
// probabilities of correct.
#define ACT_TILE_Q(rows)        ((rows)*(ACT_STEP + 1))
#define ACT_TILE_K              (ACT_STEP*(ACT_TILE_KEYS + 1))
#define ACT_SCORES_MEMORY(rows) (ACT_TILE_Q(rows) + ACT_TILE_K + 1 + (rows))
#define ACT_SELECT_MEMORY       (3*ACT_SELECT_THREADS + ACT_FEW_ROWS)
#define ACT_CORRECT_MEMORY      (ACT_CORRECT_ROWS*(ACT_MAX_D + 2) + 2*ACT_CORRECT_THREADS)

typedef struct {
    int64_t  q_row, q_head, q_stream; // strides in bytes
    int64_t  k_row, k_head, k_stream;
    int64_t  v_value, v_row, v_head, v_stream;
    int64_t  mask_row, mask_stream;
    int64_t  scores_at;   // in scratch: scores [entry][row][n_kv], few rows only
    int64_t  sums_at;     // in scratch: this segment's column sums [entry][n_kv]
    int32_t  type_k, type_v, type_mask;
    int32_t  n_kv, n_rows, n_head;
    int32_t  group;       // query heads per key/value head
    int32_t  dk, dv;
    int32_t  state_width; // floats per slot
    int32_t  entry0;      // the first entry of this round
    int32_t  n_splits;    // parts of the keys whose maxima and sums of exponentials are computed apart
    int32_t  split_keys;
    int32_t  slope_heads; // ALiBi
    float    slope0;      // 0: none
    float    slope1;
    float    scale;
    float    softcap;
    float    min_rest;    // GGML_ACT_MIN_REST
    float    direct_rest; // GGML_ACT_DIRECT_REST
} ggml_metal_kargs_act;

#endif
