#pragma once

// The operands of one GGML_OP_ACT node, and how its rows are read. Private to ggml-cpu/act.

#include "ggml-act-plan.h"
#include "ggml-cpu-impl.h"
#include "ggml-cpu.h"
#include "ggml-impl.h"
#include "simd-mappings.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace ggml_act_cpu {

constexpr int TILE     = 64; // keys per tile
constexpr int ROWS     = 32; // rows per block
constexpr int LANES    = 16; // maxima that a row of a block keeps side by side
constexpr int FEW_ROWS = 4;

struct act {
    const ggml_tensor * q;
    const ggml_tensor * k;
    const ggml_tensor * v;
    const ggml_tensor * mask;
    const int32_t     * keys;
    const int32_t     * entries;
    ggml_tensor       * state;
    ggml_tensor       * matrix;
    float             * o;
    const float       * learned; // sinks of the model's own softmax by head, or null

    ggml_act_params p;
    ggml_act_alibi  alibi;

    int64_t dk, dv, n_kv, n_cells, n_head, group, n_rows, n_entries, n_stream, n_tiles;

    explicit act(const ggml_tensor * dst) :
            q(dst->src[1]), k(dst->src[2]), v(dst->src[3]), mask(dst->src[4]),
            keys((const int32_t *) dst->src[5]->data), entries((const int32_t *) dst->src[6]->data),
            state(dst->src[7]), matrix(dst->src[8]), o((float *) dst->data),
            learned(dst->src[9] ? (const float *) dst->src[9]->data : nullptr),
            p(ggml_act_params_of(dst)), alibi(p) {
        dk        = q->ne[0];
        dv        = v->ne[0];
        n_kv      = k->ne[1];
        n_cells   = (state->ne[0] - 2)/2;
        n_head    = p.n_head;
        group     = n_head/k->ne[2];
        n_rows    = p.n_rows;
        n_entries = dst->src[6]->ne[1];
        n_stream  = q->ne[3];
        n_tiles   = (n_kv + TILE - 1)/TILE;
    }

    const int32_t * entry(int64_t e) const { return entries + e*GGML_ACT_ENTRY_SIZE; }

    int stream (int64_t e) const { return entry(e)[GGML_ACT_ENTRY_STREAM]; }
    int head   (int64_t e) const { return entry(e)[GGML_ACT_ENTRY_HEAD]; }
    int flags  (int64_t e) const { return entry(e)[GGML_ACT_ENTRY_FLAGS]; }
    int kv_head(int64_t e) const { return head(e)/group; }

    float real(int64_t e, int field) const {
        float x;
        memcpy(&x, entry(e) + field, sizeof(x));
        return x;
    }

    float * slot(int64_t e) const {
        return (float *) ((char *) state->data + entry(e)[GGML_ACT_ENTRY_SLOT]*state->nb[1]);
    }
    int32_t & exempt(int64_t e) const { return *((int32_t *) slot(e) + GGML_ACT_STATE_EXEMPT(n_cells)); }
    int32_t & count (int64_t e) const { return *((int32_t *) slot(e) + GGML_ACT_STATE_COUNT (n_cells)); }
    int32_t * sinks (int64_t e) const { return   (int32_t *) slot(e) + GGML_ACT_STATE_SINKS (n_cells);  }

    const int32_t * keys_row(int stream, ggml_act_keys_row row) const {
        return keys + (stream*GGML_ACT_KEYS_ROWS + row)*n_kv;
    }

    const float * q_row(int64_t e, int64_t r) const {
        return (const float *) ((const char *) q->data + r*q->nb[1] + head(e)*q->nb[2] + stream(e)*q->nb[3]);
    }
    float * o_row(int64_t e, int64_t r) const {
        return o + ((stream(e)*n_rows + r)*n_head + head(e))*dv;
    }

    const char * mask_row(int stream, int64_t r) const {
        return (const char *) mask->data + r*mask->nb[1] + stream*mask->nb[3];
    }

    // mask values of keys [k0, k0 + n) of a row, as float32
    void read_mask(int stream, int64_t r, int64_t k0, int64_t n, float * out) const {
        const char * row = mask_row(stream, r);
        if (mask->type == GGML_TYPE_F16) {
            ggml_cpu_fp16_to_fp32((const ggml_fp16_t *) row + k0, out, n);
        } else {
            memcpy(out, (const float *) row + k0, n*sizeof(float));
        }
    }

    float mask_at(int stream, int64_t r, int64_t i) const {
        const char * row = mask_row(stream, r);
        return mask->type == GGML_TYPE_F16 ? GGML_CPU_FP16_TO_FP32(((const ggml_fp16_t *) row)[i]) : ((const float *) row)[i];
    }

    static void read_row(const ggml_tensor * t, int64_t i, int head, int stream, float * out) {
        const char * x = (const char *) t->data + i*t->nb[1] + head*t->nb[2] + stream*t->nb[3];
        const int64_t n = t->ne[0];

        if (t->nb[0] != ggml_type_size(t->type)) { // transposed values
            for (int64_t j = 0; j < n; j++) {
                const char * xj = x + j*t->nb[0];
                out[j] = t->type == GGML_TYPE_F16 ? GGML_CPU_FP16_TO_FP32(*(const ggml_fp16_t *) xj) : *(const float *) xj;
            }
        } else if (t->type == GGML_TYPE_F32) {
            memcpy(out, x, n*sizeof(float));
        } else if (t->type == GGML_TYPE_F16) {
            ggml_cpu_fp16_to_fp32((const ggml_fp16_t *) x, out, n);
        } else {
            ggml_get_type_traits(t->type)->to_float(x, out, n);
        }
    }

    const char * key_data(int64_t e, int64_t i) const {
        return (const char *) k->data + i*k->nb[1] + kv_head(e)*k->nb[2] + stream(e)*k->nb[3];
    }

    void read_key  (int64_t e, int64_t i, float * out) const { read_row(k, i, kv_head(e), stream(e), out); }
    void read_value(int64_t e, int64_t i, float * out) const { read_row(v, i, kv_head(e), stream(e), out); }

    float slope(int64_t e) const {
        const uint32_t h = head(e);
        if (alibi.base0 == 0.0f) {
            return 1.0f;
        }
        return h < alibi.heads ? powf(alibi.base0, h + 1) : powf(alibi.base1, 2*(h - alibi.heads) + 1);
    }

    // What a learned sink adds to a row's maximum and total
    float learned_top  (int64_t e, float top) const { return learned ? std::max(top, learned[head(e)]) : top; }
    float learned_total(int64_t e, float top) const { return learned ? expf(learned[head(e)] - top) : 0.0f; }

    // M: mass of a row's keys, from its log-sum-exp
    float mass_of_keys(int64_t e, float lse) const { return learned ? 1.0f - expf(learned[head(e)] - lse) : 1.0f; }

    void cap(float * s, int64_t n) const {
        if (p.softcap != 0.0f) {
            for (int64_t i = 0; i < n; i++) {
                s[i] = p.softcap*tanhf(s[i]/p.softcap);
            }
        }
    }

    // keys of a stream; cells behind the last used one are of no interest
    int64_t used(int stream) const {
        const int32_t * pos = keys_row(stream, GGML_ACT_KEYS_POSITION);
        int64_t n = n_kv;
        while (n > 0 && pos[n - 1] < 0) {
            n--;
        }
        return n;
    }

    // entries [start[g], start[g + 1]) share keys and values; returns the number of such groups
    int64_t groups(int32_t * start) const {
        int64_t n = 0;
        for (int64_t e = 0; e < n_entries; e++) {
            if (e == 0 || stream(e) != stream(e - 1) || kv_head(e) != kv_head(e - 1)) {
                start[n++] = e;
            }
        }
        start[n] = n_entries;
        return n;
    }
};

} // namespace ggml_act_cpu
