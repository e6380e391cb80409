#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// dst[c][r] = sum over k of x[r][k] * y[c][k], for weights x in Q4_1 and activations y in Q8_1: what ggml_vec_dot_q4_1_q8_1 computes for every
// pair, equal to it bit by bit, but with a weight unpacked once for all columns.
//
// n: length of a row, a multiple of 32. x: rows rows, x_stride bytes apart. y: cols columns, y_stride bytes apart.
// dst: column c begins dst_stride * c bytes on, its rows are contiguous floats.
// Returns false, and computes nothing, where this CPU, the length or so few columns have no such form.
bool ggml_act_mul_mat_q4_1(int64_t n,
        float * dst, size_t dst_stride,
        const void * x, size_t x_stride, int64_t rows,
        const void * y, size_t y_stride, int64_t cols);

#ifdef __cplusplus
}
#endif
