#include "act.cuh"

#include "act-kernels.cuh"
#include "act-args.h"

#include <cstdlib>

void ggml_cuda_op_act(ggml_backend_cuda_context & ctx, ggml_tensor * dst) {
    const ggml_act_plan plan(dst);
    ggml_cuda_pool_alloc<float> scratch(ctx.pool(), plan.scratch(plan.n_entries));
    const act_args a = act_args_of(plan, scratch.get());

    cudaStream_t stream = ctx.stream();
    const dim3 correct_grid((a.n_rows + ACT_CORRECT_ROWS - 1)/ACT_CORRECT_ROWS, 1, plan.n_entries);
    const dim3 scores_grid(a.n_splits, plan.blocks, plan.n_entries);

    if (plan.few) {
        act_scores<true, act_tile_few><<<scores_grid, act_tile_few::THREADS, 0, stream>>>(a);
        act_select<true><<<plan.n_entries, ACT_SELECT_THREADS, 0, stream>>>(a);
        act_correct<true><<<correct_grid, ACT_CORRECT_THREADS, 0, stream>>>(a);
    } else {
        act_scores<false, act_tile_blocks><<<scores_grid, act_tile_blocks::THREADS, 0, stream>>>(a);
        act_sums<<<dim3(plan.tiles, 1, plan.n_entries), act_tile_blocks::THREADS, 0, stream>>>(a);
        act_select<false><<<plan.n_entries, ACT_SELECT_THREADS, 0, stream>>>(a);
        act_correct<false><<<correct_grid, ACT_CORRECT_THREADS, 0, stream>>>(a);
    }
    CUDA_CHECK(cudaGetLastError());
}

bool ggml_cuda_act_supported(const ggml_tensor * dst) {
    static const bool disabled = getenv("GGML_CUDA_DISABLE_ACT") != nullptr;
    return !disabled && ggml_act_takes(dst) && dst->src[6]->ne[1] <= 65535; // the grid's z
}
