#pragma once

// GGML_OP_ACT on Vulkan (ggml-act.h says what is computed; vulkan-shaders/act*.comp compute it).

#include <cstdint>

// Layout of act.glsl's push constants.
struct vk_op_act_push_constants {
    uint32_t n_kv, n_rows, n_head, group, dk, dv, state_width, types;
    uint32_t n_splits, split_keys, scores_at, sums_at;
    float    scale, softcap, slope0, slope1;
    uint32_t slope_heads;
    uint32_t q_at, q_row, q_head, q_stream;
    uint32_t k_at, k_row, k_head, k_stream;
    uint32_t v_at, v_value, v_row, v_head, v_stream;
    uint32_t mask_row, mask_stream;
};

static_assert(sizeof(vk_op_act_push_constants) <= 128, "every Vulkan device has 128 bytes of push constants");

#define VK_ACT_BUFFERS 9
