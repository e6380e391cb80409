#include "ggml-vulkan-common.h"

#include "ggml-vulkan-act.h"
#include "ggml-act-plan.h"

#include "vulkan-shaders/act_numbers.glsl"

#include <cstdlib>

static_assert(ACT_ENTRY_STREAM == GGML_ACT_ENTRY_STREAM && ACT_ENTRY_HEAD == GGML_ACT_ENTRY_HEAD && ACT_ENTRY_SLOT == GGML_ACT_ENTRY_SLOT &&
    ACT_ENTRY_FLAGS == GGML_ACT_ENTRY_FLAGS && ACT_ENTRY_WEIGHT == GGML_ACT_ENTRY_WEIGHT && ACT_ENTRY_LIMIT == GGML_ACT_ENTRY_LIMIT &&
    ACT_ENTRY_SIZE == GGML_ACT_ENTRY_SIZE, "entries differ from ggml-act.h");
static_assert(ACT_FLAG_FRESH == GGML_ACT_FLAG_FRESH && ACT_FLAG_ROW == GGML_ACT_FLAG_ROW && ACT_FLAG_INITIAL == GGML_ACT_FLAG_INITIAL &&
    ACT_FLAG_WATCH == GGML_ACT_FLAG_WATCH, "flags differ from ggml-act.h");
static_assert(ACT_KEYS_POSITION == GGML_ACT_KEYS_POSITION && ACT_KEYS_COUNT == GGML_ACT_KEYS_COUNT &&
    ACT_KEYS_SEGMENT == GGML_ACT_KEYS_SEGMENT && ACT_KEYS_ROWS == GGML_ACT_KEYS_ROWS, "the table of keys differs from ggml-act.h");
static_assert(GGML_ACT_STATE_EXEMPT(8) == 8 && GGML_ACT_STATE_COUNT(8) == 9 && GGML_ACT_STATE_SINKS(8) == 10, "the state differs from ggml-act.h");
static_assert((int) ACT_TYPE_F32 == GGML_TYPE_F32 && (int) ACT_TYPE_F16 == GGML_TYPE_F16 && (int) ACT_TYPE_Q4_0 == GGML_TYPE_Q4_0 &&
    (int) ACT_TYPE_Q8_0 == GGML_TYPE_Q8_0, "types differ from ggml.h");
static_assert((float) ACT_MIN_REST == GGML_ACT_MIN_REST && (float) ACT_DIRECT_REST == GGML_ACT_DIRECT_REST, "limits differ from ggml-act.h");
static_assert(ACT_TILE_KEYS == GGML_ACT_TILE_KEYS && ACT_TILE_ROWS == GGML_ACT_TILE_ROWS && ACT_FEW_ROWS == GGML_ACT_FEW_ROWS &&
    ACT_MAX_D == GGML_ACT_MAX_D, "the shaders differ from ggml-act-plan.h");

namespace {

// The shaders read keys and values as float32 or as 16-bit words, of which blocks of quantised types have a whole number.
size_t unit_of(const ggml_tensor * t) { return t->type == GGML_TYPE_F32 ? sizeof(float) : sizeof(uint16_t); }

size_t scratch_bytes(const ggml_act_plan & plan) { return sizeof(float)*plan.scratch(plan.n_entries); }

} // namespace

bool ggml_vk_act_supported(const vk_device & device, const ggml_tensor * op) {
    const auto & limit = device->properties.limits;

    // lets tests see what a device without the op does
    static const bool disabled = getenv("GGML_VK_DISABLE_ACT") != nullptr;

    return !disabled && ggml_act_takes(op) &&
        op->src[6]->ne[1] <= limit.maxComputeWorkGroupCount[2] && scratch_bytes(ggml_act_plan(op)) <= limit.maxStorageBufferRange &&
        ACT_SELECT_THREADS <= limit.maxComputeWorkGroupInvocations && ACT_SELECT_THREADS <= limit.maxComputeWorkGroupSize[0];
}

void ggml_vk_act(ggml_backend_vk_context * ctx, vk_context & subctx, ggml_tensor * dst) {
    const ggml_tensor * q       = dst->src[1];
    const ggml_tensor * k       = dst->src[2];
    const ggml_tensor * v       = dst->src[3];
    const ggml_tensor * mask    = dst->src[4];
    const ggml_tensor * keys    = dst->src[5];
    const ggml_tensor * entries = dst->src[6];
    const ggml_tensor * state   = dst->src[7];

    const ggml_act_plan  plan(dst);
    const ggml_act_units unit = { sizeof(float), unit_of(k), unit_of(v), ggml_type_size(mask->type) };

    vk_op_act_push_constants pc = {};
    plan.fill(pc, plan.n_entries, unit);
    pc.types = k->type | v->type << 8 | mask->type << 16;
    pc.q_at  = get_misalign_bytes(ctx, q)/unit.q;
    pc.k_at  = get_misalign_bytes(ctx, k)/unit.k;
    pc.v_at  = get_misalign_bytes(ctx, v)/unit.v;

    if (ctx->prealloc_size_split_k < scratch_bytes(plan)) {
        ctx->prealloc_size_split_k = scratch_bytes(plan);
        ggml_vk_preallocate_buffers(ctx, subctx);
    }

    const bool  few     = plan.few;
    vk_pipeline scores  = ctx->device->pipeline_act_scores[few];
    vk_pipeline sums    = ctx->device->pipeline_act_sums;
    vk_pipeline select  = ctx->device->pipeline_act_select[few];
    vk_pipeline correct = ctx->device->pipeline_act_correct[few];
    ggml_pipeline_request_descriptor_sets(ctx, scores, 1);
    if (!few) {
        ggml_pipeline_request_descriptor_sets(ctx, sums, 1);
    }
    ggml_pipeline_request_descriptor_sets(ctx, select, 1);
    ggml_pipeline_request_descriptor_sets(ctx, correct, 1);

    const vk_subbuffer buffers[VK_ACT_BUFFERS] = {
        ggml_vk_tensor_subbuffer(ctx, q, true),
        ggml_vk_tensor_subbuffer(ctx, k, true),
        ggml_vk_tensor_subbuffer(ctx, v, true),
        ggml_vk_tensor_subbuffer(ctx, mask),
        ggml_vk_tensor_subbuffer(ctx, keys),
        ggml_vk_tensor_subbuffer(ctx, entries),
        ggml_vk_tensor_subbuffer(ctx, state),
        ggml_vk_subbuffer(ctx, ctx->prealloc_split_k, 0),
        ggml_vk_tensor_subbuffer(ctx, dst),
    };
    const auto dispatch = [&](vk_pipeline & pipeline, std::array<uint32_t, 3> workgroups) {
        ggml_vk_dispatch_pipeline(ctx, subctx, pipeline,
            { buffers[0], buffers[1], buffers[2], buffers[3], buffers[4], buffers[5], buffers[6], buffers[7], buffers[8] }, pc, workgroups);
    };

    if (ctx->prealloc_split_k_need_sync) {
        ggml_vk_sync_buffers(ctx, subctx);
    }
    dispatch(scores, { plan.n_splits, plan.blocks, plan.n_entries });
    ggml_vk_sync_buffers(ctx, subctx);
    if (!few) {
        dispatch(sums, { plan.tiles, 1, plan.n_entries });
        ggml_vk_sync_buffers(ctx, subctx);
    }
    dispatch(select, { plan.n_entries, 1, 1 });
    ggml_vk_sync_buffers(ctx, subctx);
    dispatch(correct, { CEIL_DIV(plan.n_rows, ACT_CORRECT_ROWS), 1, plan.n_entries });
    ctx->prealloc_split_k_need_sync = true;
}
