#pragma once

#include "ggml-metal-device.h"

#ifdef __cplusplus
extern "C" {
#endif

// GGML_OP_ACT on a Metal device. Its kernels are a library of their own, compiled when a graph first asks for the op: where that fails, only
// the op is refused.
bool ggml_metal_act_supported(ggml_metal_device_t dev, const struct ggml_tensor * op);
void ggml_metal_act_encode   (ggml_metal_device_t dev, ggml_metal_encoder_t enc, const struct ggml_tensor * op);
void ggml_metal_act_free     (ggml_metal_device_t dev);

#ifdef __cplusplus
}
#endif
