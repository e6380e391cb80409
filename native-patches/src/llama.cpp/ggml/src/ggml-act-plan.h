#pragma once

// What the forms of GGML_OP_ACT share on their hosts (ggml-act.h says what is computed): ALiBi's slopes, and for GPUs which tensors their kernels
// take, how the work is divided and what the kernels are told. All from shapes and parameters: entries are read on the device.

#include "ggml-act.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

// What the kernels of every GPU are written for.
#define GGML_ACT_TILE_KEYS 64
#define GGML_ACT_TILE_ROWS 32
#define GGML_ACT_FEW_ROWS  4   // up to here scores are stored, not computed twice
#define GGML_ACT_MAX_D     256

static inline ggml_act_params ggml_act_params_of(const ggml_tensor * op) {
    ggml_act_params params;
    memcpy(&params, op->op_params, sizeof(params));
    return params;
}

// ALiBi as in ggml_flash_attn_ext: head h has the slope base0^(h + 1), from `heads` on base1^(2*(h - heads) + 1). Bases of 0: every slope is 1.
struct ggml_act_alibi {
    uint32_t heads;
    float    base0, base1;

    explicit ggml_act_alibi(const ggml_act_params & p) :
        heads(1u << (uint32_t) floor(log2(p.n_head))),
        base0(p.max_bias > 0.0f ? powf(2.0f, -p.max_bias/heads)      : 0.0f),
        base1(p.max_bias > 0.0f ? powf(2.0f, -p.max_bias/2.0f/heads) : 0.0f) {}
};

static inline bool ggml_act_takes_type(const ggml_tensor * t) {
    switch (t->type) {
        case GGML_TYPE_F32:
        case GGML_TYPE_F16:
            return true;
        case GGML_TYPE_Q4_0:
        case GGML_TYPE_Q8_0:
            return t->ne[0] % ggml_blck_size(t->type) == 0 && t->nb[0] == ggml_type_size(t->type);
        default:
            return false;
    }
}

static inline bool ggml_act_takes(const ggml_tensor * op) {
    const ggml_tensor * k    = op->src[2];
    const ggml_tensor * v    = op->src[3];
    const ggml_tensor * mask = op->src[4];

    return op->src[8] == nullptr && op->src[9] == nullptr && // the pooled matrix and learned sinks are the CPU's
        ggml_act_takes_type(k) && k->nb[0] == ggml_type_size(k->type) && k->ne[0] <= GGML_ACT_MAX_D &&
        ggml_act_takes_type(v) && v->ne[0] <= GGML_ACT_MAX_D &&
        mask->nb[0] == ggml_type_size(mask->type);
}

// What strides count, in bytes.
struct ggml_act_units {
    size_t q = 1, k = 1, v = 1, mask = 1;
};

struct ggml_act_plan {
    const ggml_tensor * op;
    ggml_act_params     params;

    uint32_t n_kv, n_rows, n_entries;
    bool     few;                  // few rows
    uint32_t blocks, tiles;        // of rows, of keys
    uint32_t n_splits, split_keys; // parts of the keys whose maxima and sums of exponentials are computed apart

    explicit ggml_act_plan(const ggml_tensor * op) : op(op), params(ggml_act_params_of(op)) {
        // so many workgroups keep a large GPU busy; more parts of a row only cost additions
        constexpr uint32_t ENOUGH_WORKGROUPS = 512;

        n_kv      = op->src[2]->ne[1];
        n_rows    = params.n_rows;
        n_entries = op->src[6]->ne[1];
        few       = n_rows <= GGML_ACT_FEW_ROWS;
        blocks    = few ? 1 : (n_rows + GGML_ACT_TILE_ROWS - 1)/GGML_ACT_TILE_ROWS;
        tiles     = (n_kv + GGML_ACT_TILE_KEYS - 1)/GGML_ACT_TILE_KEYS;

        const uint32_t wanted = std::min({ tiles, few ? 64u : 16u, std::max(1u, ENOUGH_WORKGROUPS/(n_entries*blocks)) });
        split_keys = (tiles + wanted - 1)/wanted*GGML_ACT_TILE_KEYS;
        n_splits   = (n_kv + split_keys - 1)/split_keys;
    }

    // Scratch memory of n entries, in floats: maximum and sum of exponentials [entry][row][split][2] | scores [entry][row][n_kv], few rows only |
    // this segment's column sums [entry][n_kv]
    uint64_t scores_at(uint64_t n) const { return n*2*n_rows*n_splits; }
    uint64_t sums_at  (uint64_t n) const { return scores_at(n) + (few ? n*n_rows*n_kv : 0); }
    uint64_t scratch  (uint64_t n) const { return sums_at(n) + n*n_kv; }

    // What kernels are told, whose names for it are the same everywhere; n entries at once are in scratch memory.
    template <typename Args>
    void fill(Args & a, uint32_t n, const ggml_act_units & unit) const {
        const ggml_tensor * q    = op->src[1];
        const ggml_tensor * k    = op->src[2];
        const ggml_tensor * v    = op->src[3];
        const ggml_tensor * mask = op->src[4];

        a.n_kv        = n_kv;
        a.n_rows      = n_rows;
        a.n_head      = params.n_head;
        a.group       = params.n_head/k->ne[2];
        a.dk          = k->ne[0];
        a.dv          = v->ne[0];
        a.state_width = op->src[7]->ne[0];
        a.n_splits    = n_splits;
        a.split_keys  = split_keys;
        a.scores_at   = scores_at(n);
        a.sums_at     = sums_at(n);

        const ggml_act_alibi alibi(params);
        a.scale       = params.scale;
        a.softcap     = params.softcap;
        a.slope0      = alibi.base0;
        a.slope1      = alibi.base1;
        a.slope_heads = alibi.heads;

        a.q_row       = q->nb[1]/unit.q;
        a.q_head      = q->nb[2]/unit.q;
        a.q_stream    = q->nb[3]/unit.q;
        a.k_row       = k->nb[1]/unit.k;
        a.k_head      = k->nb[2]/unit.k;
        a.k_stream    = k->nb[3]/unit.k;
        a.v_value     = v->nb[0]/unit.v;
        a.v_row       = v->nb[1]/unit.v;
        a.v_head      = v->nb[2]/unit.v;
        a.v_stream    = v->nb[3]/unit.v;
        a.mask_row    = mask->nb[1]/unit.mask;
        a.mask_stream = mask->nb[3]/unit.mask;
    }
};
