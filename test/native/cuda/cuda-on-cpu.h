#pragma once

// Just enough of CUDA to run act-kernels.cuh on a CPU: the threads of a block are coroutines that take turns between barriers. This checks
// what the kernels compute and that every barrier is reached by all threads; it says nothing about speed or about a real GPU's memory.

#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "ggml.h"

#define GGML_COMMON_DECL_C
#include "ggml-common.h"

#define __global__
#define __device__
#define __forceinline__ inline
#define __shared__ static // one block runs at a time
#define __launch_bounds__(n)
#define __syncthreads() block::current->barrier()

using half = ggml_half;
using std::min;

inline float __half2float(half x) { return ggml_fp16_to_fp32(x); }
inline float __int_as_float(int32_t x) {
    float y;
    memcpy(&y, &x, sizeof(y));
    return y;
}

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

inline dim3 threadIdx, blockIdx;

// A block whose threads all run up to the next barrier before any passes it, in alternating order: a read that a barrier should have
// guarded sees the wrong value in one of the two.
class block {
public:
    static inline block * current = nullptr;

    block(int n, std::function<void()> kernel) : kernel(std::move(kernel)), threads(n) {
        for (auto & t : threads) {
            if (!t.stack) {
                t.stack.reset(new char[STACK]);
            }
        }
    }

    void run() {
        current = this;
        for (auto & t : threads) {
            getcontext(&t.context);
            t.context.uc_stack.ss_sp   = t.stack.get();
            t.context.uc_stack.ss_size = STACK;
            t.context.uc_link          = &scheduler;
            makecontext(&t.context, start, 0);
            t.done = false;
        }
        const int n = threads.size();
        for (bool forwards = true;; forwards = !forwards) {
            int waiting = 0;
            for (int i = 0; i < n; i++) {
                active = forwards ? i : n - 1 - i;
                threadIdx.x = active;
                if (!threads[active].done) {
                    swapcontext(&scheduler, &threads[active].context);
                    waiting += !threads[active].done;
                }
            }
            if (waiting == 0) {
                return;
            }
            if (waiting != n) {
                fprintf(stderr, "%d of %d threads reached a barrier\n", waiting, n);
                exit(1);
            }
        }
    }

    void barrier() { swapcontext(&threads[active].context, &scheduler); }

private:
    static constexpr size_t STACK = 64*1024;

    struct thread {
        ucontext_t              context;
        std::unique_ptr<char[]> stack;
        bool                    done = false;
    };

    static void start() {
        current->kernel();
        current->threads[current->active].done = true;
    }

    std::function<void()> kernel;
    std::vector<thread>   threads;
    ucontext_t            scheduler;
    int                   active = 0;
};

// kernel<<<grid, threads>>>(args), blocks in reverse order: none may count on another
template <typename Kernel, typename Args>
void launch(Kernel kernel, dim3 grid, int threads, const Args & args) {
    block one(threads, [&] { kernel(args); });
    for (int z = grid.z - 1; z >= 0; z--) {
        for (int y = grid.y - 1; y >= 0; y--) {
            for (int x = grid.x - 1; x >= 0; x--) {
                blockIdx = dim3(x, y, z);
                one.run();
            }
        }
    }
}
