// Reads ops from standard input (test/native/op-cuda.test.ts writes them), runs the CUDA kernels on the CPU and writes o and the state.

#include "cuda-on-cpu.h"

#include "act-kernels.cuh"
#include "act-plan.h"

static void need(bool fine, const char * what) {
    if (!fine) {
        fprintf(stderr, "%s\n", what);
        exit(1);
    }
}

template <typename T>
static T read() {
    T x;
    need(fread(&x, sizeof(x), 1, stdin) == 1, "the input ends early");
    return x;
}

// [count] values, float32 or int32; a tensor of another type is made from float32
static void fill(ggml_tensor * t) {
    const int32_t count = read<int32_t>();
    need(count == ggml_nelements(t), "an array has the wrong length");
    std::vector<float> values(count);
    need(fread(values.data(), sizeof(float), count, stdin) == (size_t) count, "the input ends early");
    if (t->type == GGML_TYPE_F32 || t->type == GGML_TYPE_I32) {
        memcpy(t->data, values.data(), ggml_nbytes(t));
    } else {
        ggml_quantize_chunk(t->type, values.data(), t->data, 0, ggml_nrows(t), t->ne[0], nullptr);
    }
}

static void write(const ggml_tensor * t) {
    need(fwrite(t->data, 1, ggml_nbytes(t), stdout) == ggml_nbytes(t), "the output cannot be written");
}

int main() {
    const int32_t rows = read<int32_t>(), keys = read<int32_t>(), streams = read<int32_t>(), heads = read<int32_t>(), kv_heads = read<int32_t>();
    const int32_t dk = read<int32_t>(), dv = read<int32_t>(), transposed = read<int32_t>(), n_entries = read<int32_t>(), slots = read<int32_t>();
    const int32_t width = read<int32_t>();
    const ggml_type type_k = (ggml_type) read<int32_t>(), type_v = (ggml_type) read<int32_t>(), type_mask = (ggml_type) read<int32_t>();

    ggml_act_params params = {};
    params.scale    = read<float>();
    params.max_bias = read<float>();
    params.softcap  = read<float>();
    params.n_head   = heads;
    params.n_rows   = rows;
    params.pool     = 1;

    ggml_context * c = ggml_init({ (size_t) 1 << 30, nullptr, false });
    ggml_tensor * o = ggml_new_tensor_2d(c, GGML_TYPE_F32, dv*heads, rows*streams);
    ggml_tensor * q = ggml_new_tensor_4d(c, GGML_TYPE_F32, dk, rows, heads, streams);
    ggml_tensor * k = ggml_new_tensor_4d(c, type_k, dk, keys, kv_heads, streams);
    ggml_tensor * v = ggml_new_tensor_4d(c, type_v, transposed ? keys : dv, transposed ? dv : keys, kv_heads, streams);
    ggml_tensor * mask    = ggml_new_tensor_4d(c, type_mask, keys, rows, 1, streams);
    ggml_tensor * table   = ggml_new_tensor_3d(c, GGML_TYPE_I32, keys, GGML_ACT_KEYS_ROWS, streams);
    ggml_tensor * entries = ggml_new_tensor_2d(c, GGML_TYPE_I32, GGML_ACT_ENTRY_SIZE, n_entries);
    ggml_tensor * state   = ggml_new_tensor_2d(c, GGML_TYPE_F32, width, slots);
    for (ggml_tensor * t : { o, q, k, v, mask, table, entries, state }) {
        fill(t);
    }

    ggml_tensor * node = ggml_act(c, o, q, k, transposed ? ggml_transpose(c, v) : v, mask, table, entries, state, nullptr, &params);
    need(act_takes(node), "the backend refuses the op");

    act_plan plan = act_plan_of(node);
    act_args & a  = plan.args;
    std::vector<float> scratch(plan.scratch, NAN); // nothing may count on what was there
    a.scratch = scratch.data();

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
    write(o);
    write(state);
    return 0;
}
