#pragma once

// ACT, Attention Calibration Technique (Yu et al., ICML 2024), as one op behind any attention kernel.
//
// With A[r,k] the softmax probabilities of a row, o = sum_k A[r,k] v_k what attention returned, S the sinks
// of a head and m = sum over S of A[r,s]:
//
//     calibrated o = r*o + (w - r) * sum over S of A[r,s] v_s,      r = (1 - w*m) / (1 - m)
//
// so attention itself stays as it is (FlashAttention included) and no n x n matrix exists.
//
//     stage 1  per (head, row): scores q*k, maximum, log-sum-exp
//     stage 2  column sums of the probabilities, added to the running sums
//     stage 3  per head: column means, candidates above the limit, the lowest position exempt, list of sinks
//     stage 4  per (head, row): m and sum A*v over the list, correction of o in place

#include "ggml.h"

#ifdef __cplusplus
extern "C" {
#endif

// One calibrated (stream, head) pair: a column of the `entries` tensor, I32 [GGML_ACT_ENTRY_SIZE, n_entries].
// Entries are sorted by stream, then head.
enum ggml_act_entry_field {
    GGML_ACT_ENTRY_STREAM = 0, // index of the stream inside this ubatch
    GGML_ACT_ENTRY_HEAD   = 1, // query head
    GGML_ACT_ENTRY_SLOT   = 2, // row of `state`
    GGML_ACT_ENTRY_FLAGS  = 3, // GGML_ACT_FLAG_*
    GGML_ACT_ENTRY_WEIGHT = 4, // float bits: what a sink keeps of its attention (beta)
    GGML_ACT_ENTRY_LIMIT  = 5, // float bits: a key whose column mean exceeds this is a candidate
    GGML_ACT_ENTRY_ROW0   = 6, // position of the stream's first row in this segment
    GGML_ACT_ENTRY_UNUSED = 7,
    GGML_ACT_ENTRY_SIZE   = 8,
};

enum ggml_act_flag {
    GGML_ACT_FLAG_FRESH   = 1, // a prefill begins: the sums start from zero
    GGML_ACT_FLAG_ROW     = 2, // "row" statistics: means over this segment's rows alone
    GGML_ACT_FLAG_INITIAL = 4, // S = {lowest position} (ZeroTuning), no statistics
    GGML_ACT_FLAG_WATCH   = 8, // statistics and sinks only, o stays as it is
    GGML_ACT_FLAG_MATRIX  = 16, // write this head's probabilities to `matrix`
};

// Rows of the `keys` tensor, I32 [n_kv, GGML_ACT_KEYS_ROWS, n_stream].
enum ggml_act_keys_row {
    GGML_ACT_KEYS_POSITION = 0, // position of the key in its sequence, -1 where the cell holds none
    GGML_ACT_KEYS_COUNT    = 1, // rows since the prefill began that see the key, this segment's included
    GGML_ACT_KEYS_SEGMENT  = 2, // rows of this segment that see the key
    GGML_ACT_KEYS_ROWS     = 3,
};

// A row of `state`, F32 [GGML_ACT_STATE_WIDTH(n), n_slots], n = cells of a stream:
// n sums | exempt cell or -1 | number of sinks | n cells of sinks, ascending by cell (the last three as I32 bits)
#define GGML_ACT_STATE_WIDTH(n)  (2*(n) + 2)
#define GGML_ACT_STATE_EXEMPT(n) (n)
#define GGML_ACT_STATE_COUNT(n)  ((n) + 1)
#define GGML_ACT_STATE_SINKS(n)  ((n) + 2)

struct ggml_act_params {
    float   scale;
    float   max_bias; // ALiBi
    float   softcap;  // 0 = none
    int32_t n_head;
    int32_t n_rows;   // rows per stream
    int32_t pool;     // matrix: keys and rows per pooled cell
    int32_t row0;     // matrix: position of the first pooled row
    int32_t column0;  // matrix: position of the first pooled column
};

// o       F32 [d_v*n_head, n_rows*n_stream], contiguous; corrected in place
// q       F32 [d_k, n_rows, n_head, n_stream]
// k       any [d_k, n_kv, n_head_kv, n_stream]
// v       any [d_v, n_kv, n_head_kv, n_stream], may be transposed (f16, f32)
// mask    F16 or F32 [n_kv, >= n_rows, 1, n_stream]
// matrix  F32 [columns, rows, 2] or NULL: probabilities before and after, max-pooled, for the entry flagged MATRIX
// Returns a view of o.
GGML_API struct ggml_tensor * ggml_act(
        struct ggml_context          * ctx,
        struct ggml_tensor           * o,
        struct ggml_tensor           * q,
        struct ggml_tensor           * k,
        struct ggml_tensor           * v,
        struct ggml_tensor           * mask,
        struct ggml_tensor           * keys,
        struct ggml_tensor           * entries,
        struct ggml_tensor           * state,
        struct ggml_tensor           * matrix,
        const struct ggml_act_params * params);

// Learned sinks of the model's softmax, F32 [n_head] (ggml_soft_max_add_sinks): A[r,k] = exp(s_k)/(Z + exp(sink)), so a row's keys have
// the mass M < 1 and r = (M - w*m)/(M - m). NULL: none. For the CPU alone.
GGML_API void ggml_act_add_sinks(struct ggml_tensor * act, struct ggml_tensor * sinks);

// Rows whose mass outside the sinks is below this are left unchanged: nobody is there to receive what the sinks give.
#define GGML_ACT_MIN_REST 1e-9f
// Where 1 - m is smaller, the error of float32 may grow past 1e-6 (it is divided by 1 - m): the rest is summed directly. A backend that is
// more exact may have a smaller limit of its own.
#define GGML_ACT_DIRECT_REST (1.0f/4.0f)

#ifdef __cplusplus
}
#endif
