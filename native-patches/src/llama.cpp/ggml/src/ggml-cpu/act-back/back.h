#pragma once

#include "ggml-act-back.h"

#ifdef __cplusplus
extern "C" {
#endif

// The function of that name, or NULL.
void * ggml_act_back_function(const char * name);

void ggml_act_back_mul_mat   (struct ggml_tensor * dst, int ith, int nth, void * userdata);
void ggml_act_back_exact     (struct ggml_tensor * dst, int ith, int nth, void * userdata);
void ggml_act_back_activation(struct ggml_tensor * dst, int ith, int nth, void * userdata);
void ggml_act_back_attention (struct ggml_tensor * dst, int ith, int nth, void * userdata);

#ifdef __cplusplus
}
#endif
