#include "ggml-act.h"

#include "ggml-impl.h"

#include <string.h>

struct ggml_tensor * ggml_act(
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
        const struct ggml_act_params * params) {
    const int64_t n_kv = k->ne[1];

    GGML_ASSERT(o->type == GGML_TYPE_F32 && ggml_is_contiguous(o));
    GGML_ASSERT(q->type == GGML_TYPE_F32 && q->nb[0] == sizeof(float));
    GGML_ASSERT(q->ne[0] == k->ne[0] && q->ne[1] == params->n_rows && q->ne[2] == params->n_head);
    GGML_ASSERT(params->n_head % k->ne[2] == 0 && v->ne[2] == k->ne[2]);
    GGML_ASSERT(q->ne[3] == k->ne[3] && v->ne[3] == k->ne[3]);
    GGML_ASSERT(v->ne[1] == n_kv);
    GGML_ASSERT(ggml_nelements(o) == v->ne[0]*params->n_head*params->n_rows*q->ne[3]);
    GGML_ASSERT(mask->type == GGML_TYPE_F16 || mask->type == GGML_TYPE_F32);
    GGML_ASSERT(mask->ne[0] == n_kv && mask->ne[1] >= params->n_rows && mask->ne[2] == 1 && mask->ne[3] == q->ne[3]);
    GGML_ASSERT(keys->type == GGML_TYPE_I32 && keys->ne[0] == n_kv && keys->ne[1] == GGML_ACT_KEYS_ROWS && keys->ne[2] == q->ne[3]);
    GGML_ASSERT(entries->type == GGML_TYPE_I32 && entries->ne[0] == GGML_ACT_ENTRY_SIZE);
    GGML_ASSERT(state->type == GGML_TYPE_F32 && ggml_is_contiguous(state) && state->ne[0] >= GGML_ACT_STATE_WIDTH(n_kv));
    GGML_ASSERT(matrix == NULL || (matrix->type == GGML_TYPE_F32 && ggml_is_contiguous(matrix) && matrix->ne[2] == 2 && params->pool > 0));

    struct ggml_tensor * result = ggml_view_tensor(ctx, o);

    ggml_set_op_params(result, params, sizeof(*params));

    result->op     = GGML_OP_ACT;
    result->src[0] = o;
    result->src[1] = q;
    result->src[2] = k;
    result->src[3] = v;
    result->src[4] = mask;
    result->src[5] = keys;
    result->src[6] = entries;
    result->src[7] = state;
    result->src[8] = matrix;

    return result;
}

void ggml_act_add_sinks(struct ggml_tensor * act, struct ggml_tensor * sinks) {
    if (sinks == NULL) {
        return;
    }
    GGML_ASSERT(act->op == GGML_OP_ACT && sinks->type == GGML_TYPE_F32);
    GGML_ASSERT(sinks->ne[0] == act->src[1]->ne[2] && ggml_nelements(sinks) == sinks->ne[0] && ggml_is_contiguous(sinks));

    act->src[9] = sinks;
}
