#pragma once

#include "act-kernels.cuh"
#include "ggml-act-plan.h"

static inline act_args act_args_of(const ggml_act_plan & plan, float * scratch) {
    const ggml_tensor * op = plan.op;

    act_args a = {};
    plan.fill(a, plan.n_entries, {});
    a.q       = (const char *) op->src[1]->data;
    a.k       = (const char *) op->src[2]->data;
    a.v       = (const char *) op->src[3]->data;
    a.mask    = (const char *) op->src[4]->data;
    a.keys    = (const int32_t *) op->src[5]->data;
    a.entries = (const int32_t *) op->src[6]->data;
    a.state   = (int32_t *) op->src[7]->data;
    a.scratch = scratch;
    a.o       = (float *) op->data;

    a.type_k    = op->src[2]->type;
    a.type_v    = op->src[3]->type;
    a.type_mask = op->src[4]->type;
    return a;
}
