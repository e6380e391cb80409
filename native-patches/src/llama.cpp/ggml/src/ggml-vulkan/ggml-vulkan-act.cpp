#include "ggml-vulkan-common.h"

#include "ggml-vulkan-act.h"
#include "ggml-act.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

namespace {

constexpr uint32_t TILE_KEYS    = 64;
constexpr uint32_t TILE_ROWS    = 32;
constexpr uint32_t FEW_ROWS     = 4;   // up to here scores are stored, not computed twice
constexpr uint32_t CORRECT_ROWS = 4;
constexpr uint32_t THREADS      = 256; // of the largest workgroup
constexpr uint32_t MAX_D        = 256;

// so many workgroups keep a large GPU busy; more parts of a row only cost additions
constexpr uint32_t ENOUGH_WORKGROUPS = 512;
constexpr uint32_t MAX_SPLITS        = 16;
constexpr uint32_t MAX_SPLITS_FEW    = 64;

bool takes_type(ggml_type type, int64_t d) {
    switch (type) {
        case GGML_TYPE_F32:
        case GGML_TYPE_F16:
            return true;
        case GGML_TYPE_Q4_0:
        case GGML_TYPE_Q8_0:
            return d % ggml_blck_size(type) == 0;
        default:
            return false;
    }
}

// The shaders read keys and values as float32 or as 16-bit words, of which blocks of quantised types have a whole number.
uint32_t units(ggml_type type, size_t bytes) {
    return bytes/(type == GGML_TYPE_F32 ? sizeof(float) : sizeof(uint16_t));
}

// Bytes of scratch that no plan for these shapes exceeds.
uint64_t scratch_bound(const ggml_tensor * op) {
    const uint64_t n_kv = op->src[2]->ne[1], n_rows = op->src[1]->ne[1], n_entries = op->src[6]->ne[1];
    return sizeof(float)*n_entries*(n_rows <= FEW_ROWS ? n_rows*(2*MAX_SPLITS_FEW + n_kv) + n_kv : n_rows*2*MAX_SPLITS + n_kv);
}

} // namespace

bool ggml_vk_act_supported(const vk_device & device, const ggml_tensor * op) {
    const ggml_tensor * k     = op->src[2];
    const ggml_tensor * v     = op->src[3];
    const auto        & limit = device->properties.limits;

    // lets tests see what a device without the op does
    static const bool disabled = getenv("GGML_VK_DISABLE_ACT") != nullptr;

    const bool plain_values = v->nb[0] == ggml_type_size(v->type);
    return !disabled && op->src[8] == nullptr && // the pooled matrix is the CPU's
        takes_type(k->type, k->ne[0]) && k->nb[0] == ggml_type_size(k->type) && k->ne[0] <= MAX_D &&
        takes_type(v->type, v->ne[0]) && (plain_values || !ggml_is_quantized(v->type)) && v->ne[0] <= MAX_D &&
        op->src[4]->nb[0] == ggml_type_size(op->src[4]->type) &&
        op->src[6]->ne[1] <= limit.maxComputeWorkGroupCount[2] && scratch_bound(op) <= limit.maxStorageBufferRange &&
        THREADS <= limit.maxComputeWorkGroupInvocations && THREADS <= limit.maxComputeWorkGroupSize[0];
}

void ggml_vk_act(ggml_backend_vk_context * ctx, vk_context & subctx, ggml_tensor * dst) {
    const ggml_tensor * q       = dst->src[1];
    const ggml_tensor * k       = dst->src[2];
    const ggml_tensor * v       = dst->src[3];
    const ggml_tensor * mask    = dst->src[4];
    const ggml_tensor * keys    = dst->src[5];
    const ggml_tensor * entries = dst->src[6];
    const ggml_tensor * state   = dst->src[7];

    ggml_act_params params;
    memcpy(&params, dst->op_params, sizeof(params));

    const uint32_t n_kv      = k->ne[1];
    const uint32_t n_rows    = params.n_rows;
    const uint32_t n_entries = entries->ne[1];
    const bool     few       = n_rows <= FEW_ROWS;
    const uint32_t blocks    = few ? 1 : CEIL_DIV(n_rows, TILE_ROWS);
    const uint32_t tiles     = CEIL_DIV(n_kv, TILE_KEYS);

    const uint32_t wanted     = std::min({ tiles, few ? MAX_SPLITS_FEW : MAX_SPLITS, std::max(1u, ENOUGH_WORKGROUPS/(n_entries*blocks)) });
    const uint32_t split_keys = CEIL_DIV(tiles, wanted)*TILE_KEYS;
    const uint32_t n_splits   = CEIL_DIV(n_kv, split_keys);

    const uint32_t n_log2 = 1u << (uint32_t) floor(log2(params.n_head));

    vk_op_act_push_constants pc = {};
    pc.n_kv        = n_kv;
    pc.n_rows      = n_rows;
    pc.n_head      = params.n_head;
    pc.group       = params.n_head/k->ne[2];
    pc.dk          = k->ne[0];
    pc.dv          = v->ne[0];
    pc.state_width = state->ne[0];
    pc.types       = k->type | v->type << 8 | mask->type << 16;
    pc.n_splits    = n_splits;
    pc.split_keys  = split_keys;
    pc.scores_at   = 2*n_entries*n_rows*n_splits;
    pc.sums_at     = pc.scores_at + (few ? n_entries*n_rows*n_kv : 0);
    pc.scale       = params.scale;
    pc.softcap     = params.softcap;
    pc.slope0      = params.max_bias > 0.0f ? powf(2.0f, -params.max_bias/n_log2)      : 0.0f;
    pc.slope1      = params.max_bias > 0.0f ? powf(2.0f, -params.max_bias/2.0f/n_log2) : 0.0f;
    pc.slope_heads = n_log2;
    pc.q_at        = get_misalign_bytes(ctx, q)/sizeof(float);
    pc.q_row       = q->nb[1]/sizeof(float);
    pc.q_head      = q->nb[2]/sizeof(float);
    pc.q_stream    = q->nb[3]/sizeof(float);
    pc.k_at        = units(k->type, get_misalign_bytes(ctx, k));
    pc.k_row       = units(k->type, k->nb[1]);
    pc.k_head      = units(k->type, k->nb[2]);
    pc.k_stream    = units(k->type, k->nb[3]);
    pc.v_at        = units(v->type, get_misalign_bytes(ctx, v));
    pc.v_value     = units(v->type, v->nb[0]);
    pc.v_row       = units(v->type, v->nb[1]);
    pc.v_head      = units(v->type, v->nb[2]);
    pc.v_stream    = units(v->type, v->nb[3]);
    pc.mask_row    = mask->nb[1]/ggml_type_size(mask->type);
    pc.mask_stream = mask->nb[3]/ggml_type_size(mask->type);

    const size_t scratch_size = sizeof(float)*((size_t) pc.sums_at + (size_t) n_entries*n_kv);
    if (ctx->prealloc_size_split_k < scratch_size) {
        ctx->prealloc_size_split_k = scratch_size;
        ggml_vk_preallocate_buffers(ctx, subctx);
    }

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
    dispatch(scores, { n_splits, blocks, n_entries });
    ggml_vk_sync_buffers(ctx, subctx);
    if (!few) {
        dispatch(sums, { tiles, 1, n_entries });
        ggml_vk_sync_buffers(ctx, subctx);
    }
    dispatch(select, { n_entries, 1, 1 });
    ggml_vk_sync_buffers(ctx, subctx);
    dispatch(correct, { CEIL_DIV(n_rows, CORRECT_ROWS), 1, n_entries });
    ctx->prealloc_split_k_need_sync = true;
}
