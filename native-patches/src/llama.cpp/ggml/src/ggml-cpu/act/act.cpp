// GGML_OP_ACT on the CPU: where ggml calls it.

#include "act.h"

#include "stages.h"

using namespace ggml_act_cpu;

size_t ggml_act_work_size(const struct ggml_tensor * dst, int n_threads) {
    return (layout(act(dst), n_threads).total + 16)*sizeof(float);
}

void ggml_compute_forward_act(const struct ggml_compute_params * params, struct ggml_tensor * dst) {
    const act    a(dst);
    const layout at(a, params->nth);

    float * work = (float *) (((uintptr_t) params->wdata + 63)/64*64);
    GGML_ASSERT(params->wsize >= ggml_act_work_size(dst, params->nth));

    if (a.n_rows <= FEW_ROWS) {
        run_few(a, at, work, params);
    } else {
        run_blocks(a, at, work, params);
    }

    if (a.matrix != nullptr) {
        for (int64_t e = 0; e < a.n_entries; e++) {
            if (a.flags(e) & GGML_ACT_FLAG_MATRIX) {
                ggml_barrier(params->threadpool); // the log-sum-exps and sinks of all threads
                write_matrix(a, e, work + at.lse + e*a.n_rows, work + at.scratch + params->ith*at.thread_size, params->ith, params->nth);
            }
        }
    }
}
