#pragma once

#include "ggml.h"

#ifdef __cplusplus
extern "C" {
#endif

struct ggml_compute_params;

// Bytes of work buffer for one GGML_OP_ACT node: O(keys) per entry and thread.
size_t ggml_act_work_size(const struct ggml_tensor * dst, int n_threads);

void ggml_compute_forward_act(const struct ggml_compute_params * params, struct ggml_tensor * dst);

#ifdef __cplusplus
}
#endif
