#pragma once

// An op as test/native/on-cpu.ts writes it to standard input, and its results on standard output.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "ggml.h"
#include "ggml-act.h"

inline void need(bool fine, const char * what) {
    if (!fine) {
        fprintf(stderr, "%s\n", what);
        exit(1);
    }
}

template <typename T>
T read() {
    T x;
    need(fread(&x, sizeof(x), 1, stdin) == 1, "the input ends early");
    return x;
}

// [count] values, float32 or int32; a tensor of another type is made from float32. A permuted tensor, whose heads lie side by side, gets
// [streams][heads][n][d] as others do.
inline void fill(ggml_tensor * t) {
    const int32_t count = read<int32_t>();
    need(count == ggml_nelements(t), "an array has the wrong length");
    std::vector<float> values(count);
    need(fread(values.data(), sizeof(float), count, stdin) == (size_t) count, "the input ends early");
    if (t->op == GGML_OP_PERMUTE) {
        const std::vector<float> from = values;
        const int64_t d = t->ne[0], n = t->ne[1], h = t->ne[2];
        for (int64_t row = 0; row < ggml_nrows(t); row++) {
            const int64_t i = row%n, head = row/n%h, stream = row/n/h;
            std::copy(from.begin() + row*d, from.begin() + (row + 1)*d, values.begin() + ((stream*n + i)*h + head)*d);
        }
        t = t->view_src;
    }
    if (t->type == GGML_TYPE_F32 || t->type == GGML_TYPE_I32) {
        memcpy(t->data, values.data(), ggml_nbytes(t));
    } else {
        ggml_quantize_chunk(t->type, values.data(), t->data, 0, ggml_nrows(t), t->ne[0], nullptr);
    }
}

inline ggml_tensor * read_op() {
    const int32_t rows = read<int32_t>(), keys = read<int32_t>(), streams = read<int32_t>(), heads = read<int32_t>(), kv_heads = read<int32_t>();
    const int32_t dk = read<int32_t>(), dv = read<int32_t>(), transposed = read<int32_t>(), interleaved = read<int32_t>(), n_entries = read<int32_t>(), slots = read<int32_t>();
    const int32_t width = read<int32_t>();
    const ggml_type type_k = (ggml_type) read<int32_t>(), type_v = (ggml_type) read<int32_t>(), type_mask = (ggml_type) read<int32_t>();

    ggml_act_params params = {};
    params.scale    = read<float>();
    params.max_bias = read<float>();
    params.softcap  = read<float>();
    params.n_head   = heads;
    params.n_rows   = rows;
    params.pool     = 1;

    ggml_context * c = ggml_init({ (size_t) 1 << 30, nullptr, false });
    ggml_tensor * o = ggml_new_tensor_2d(c, GGML_TYPE_F32, dv*heads, rows*streams);
    const auto by_head = [&](ggml_type type, int64_t d, int64_t n, int64_t h) {
        return interleaved ? ggml_permute(c, ggml_new_tensor_4d(c, type, d, h, n, streams), 0, 2, 1, 3) : ggml_new_tensor_4d(c, type, d, n, h, streams);
    };
    ggml_tensor * q = by_head(GGML_TYPE_F32, dk, rows, heads);
    ggml_tensor * k = by_head(type_k, dk, keys, kv_heads);
    ggml_tensor * v = transposed ? ggml_new_tensor_4d(c, type_v, keys, dv, kv_heads, streams) : by_head(type_v, dv, keys, kv_heads);
    ggml_tensor * mask    = ggml_new_tensor_4d(c, type_mask, keys, rows, 1, streams);
    ggml_tensor * table   = ggml_new_tensor_3d(c, GGML_TYPE_I32, keys, GGML_ACT_KEYS_ROWS, streams);
    ggml_tensor * entries = ggml_new_tensor_2d(c, GGML_TYPE_I32, GGML_ACT_ENTRY_SIZE, n_entries);
    ggml_tensor * state   = ggml_new_tensor_2d(c, GGML_TYPE_F32, width, slots);
    for (ggml_tensor * t : { o, q, k, v, mask, table, entries, state }) {
        fill(t);
    }
    return ggml_act(c, o, q, k, transposed ? ggml_transpose(c, v) : v, mask, table, entries, state, nullptr, &params);
}

inline void write_result(const ggml_tensor * node) {
    for (const ggml_tensor * t : { node->src[0], node->src[7] }) {
        need(fwrite(t->data, 1, ggml_nbytes(t), stdout) == ggml_nbytes(t), "the output cannot be written");
    }
}
