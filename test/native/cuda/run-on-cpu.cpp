// Runs an op with the CUDA kernels on the CPU.

#include "cuda-on-cpu.h"
#include "op.h"

#include "act-kernels.cuh"
#include "act-args.h"

int main() {
    ggml_tensor * node = read_op();
    need(ggml_act_takes(node), "the backend refuses the op");

    const ggml_act_plan plan(node);
    std::vector<float> scratch(plan.scratch(plan.n_entries), NAN); // nothing may count on what was there
    const act_args a = act_args_of(plan, scratch.data());

    const dim3 scores_grid(a.n_splits, plan.blocks, plan.n_entries);
    const dim3 correct_grid((a.n_rows + ACT_CORRECT_ROWS - 1)/ACT_CORRECT_ROWS, 1, plan.n_entries);
    if (plan.few) {
        launch(act_scores<true, act_tile_few>, scores_grid, act_tile_few::THREADS, a);
        launch(act_select<true>, plan.n_entries, ACT_SELECT_THREADS, a);
        launch(act_correct<true>, correct_grid, ACT_CORRECT_THREADS, a);
    } else {
        launch(act_scores<false, act_tile_blocks>, scores_grid, act_tile_blocks::THREADS, a);
        launch(act_sums, dim3(plan.tiles, 1, plan.n_entries), act_tile_blocks::THREADS, a);
        launch(act_select<false>, plan.n_entries, ACT_SELECT_THREADS, a);
        launch(act_correct<false>, correct_grid, ACT_CORRECT_THREADS, a);
    }
    write_result(node);
    return 0;
}
