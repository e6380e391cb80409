#include "common.cuh"

void ggml_cuda_op_act(ggml_backend_cuda_context & ctx, ggml_tensor * dst);
bool ggml_cuda_act_supported(const ggml_tensor * dst);
