#pragma once

// Fills act_args from a GGML_OP_ACT node and says how large the grids are; from shapes alone.

#include <algorithm>
#include <cmath>
#include <cstring>

struct act_plan {
    act_args args;
    bool     few;
    int      n_entries, blocks, tiles;
    size_t   scratch; // floats; the caller sets args.scratch
};

static inline act_plan act_plan_of(const ggml_tensor * dst) {
    // so many blocks keep a large GPU busy; more parts of a row only cost additions
    constexpr int ENOUGH_BLOCKS = 512;

    const ggml_tensor * q       = dst->src[1];
    const ggml_tensor * k       = dst->src[2];
    const ggml_tensor * v       = dst->src[3];
    const ggml_tensor * mask    = dst->src[4];
    const ggml_tensor * entries = dst->src[6];
    const ggml_tensor * state   = dst->src[7];

    ggml_act_params params;
    memcpy(&params, dst->op_params, sizeof(params));

    act_plan plan = {};
    plan.few       = params.n_rows <= ACT_FEW_ROWS;
    plan.n_entries = entries->ne[1];
    plan.blocks    = plan.few ? 1 : (params.n_rows + ACT_TILE_ROWS - 1)/ACT_TILE_ROWS;
    plan.tiles     = (k->ne[1] + ACT_TILE_KEYS - 1)/ACT_TILE_KEYS;

    act_args & a = plan.args;
    a.q       = (const char *) q->data;
    a.k       = (const char *) k->data;
    a.v       = (const char *) v->data;
    a.mask    = (const char *) mask->data;
    a.keys    = (const int32_t *) dst->src[5]->data;
    a.entries = (const int32_t *) entries->data;
    a.state   = (int32_t *) state->data;
    a.o       = (float *) dst->data;

    a.type_k    = k->type;
    a.type_v    = v->type;
    a.type_mask = mask->type;

    a.n_kv        = k->ne[1];
    a.n_rows      = params.n_rows;
    a.n_head      = params.n_head;
    a.group       = params.n_head/k->ne[2];
    a.dk          = k->ne[0];
    a.dv          = v->ne[0];
    a.state_width = state->ne[0];

    const int wanted = std::min({ plan.tiles, plan.few ? 64 : 16, std::max(1, ENOUGH_BLOCKS/(plan.n_entries*plan.blocks)) });
    a.split_keys = (plan.tiles + wanted - 1)/wanted*ACT_TILE_KEYS;
    a.n_splits   = (a.n_kv + a.split_keys - 1)/a.split_keys;

    a.scores_at  = (int64_t) 2*plan.n_entries*a.n_rows*a.n_splits;
    a.sums_at    = a.scores_at + (plan.few ? (int64_t) plan.n_entries*a.n_rows*a.n_kv : 0);
    plan.scratch = a.sums_at + (int64_t) plan.n_entries*a.n_kv;

    const int n_log2 = 1 << (int) floor(log2(params.n_head));
    a.scale       = params.scale;
    a.softcap     = params.softcap;
    a.slope0      = params.max_bias > 0.0f ? powf(2.0f, -params.max_bias/n_log2)      : 0.0f;
    a.slope1      = params.max_bias > 0.0f ? powf(2.0f, -params.max_bias/2.0f/n_log2) : 0.0f;
    a.slope_heads = n_log2;

    a.q_row       = q->nb[1];
    a.q_head      = q->nb[2];
    a.q_stream    = q->nb[3];
    a.k_row       = k->nb[1];
    a.k_head      = k->nb[2];
    a.k_stream    = k->nb[3];
    a.v_value     = v->nb[0];
    a.v_row       = v->nb[1];
    a.v_head      = v->nb[2];
    a.v_stream    = v->nb[3];
    a.mask_row    = mask->nb[1];
    a.mask_stream = mask->nb[3];
    return plan;
}

static inline bool act_takes(const ggml_tensor * dst) {
    const ggml_tensor * k = dst->src[2];
    const ggml_tensor * v = dst->src[3];
    const auto takes_type = [](const ggml_tensor * t) {
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
    };
    return dst->src[8] == nullptr && // the pooled matrix is the CPU's
        takes_type(k) && k->nb[0] == ggml_type_size(k->type) && k->ne[0] <= ACT_MAX_D &&
        takes_type(v) && v->ne[0] <= ACT_MAX_D &&
        dst->src[4]->nb[0] == ggml_type_size(dst->src[4]->type) &&
        dst->src[6]->ne[1] <= 65535; // the grid's z
}
