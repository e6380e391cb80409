#pragma once

// A GPU's block of threads (a threadgroup, in Metal's words) on a CPU: coroutines that take turns between barriers. This checks what kernels
// compute and that every barrier is reached by all threads; it says nothing about speed or about a real GPU's memory.

#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <vector>

// A block whose threads all run up to the next barrier before any passes it, in alternating order: a read that a barrier should have
// guarded sees the wrong value in one of the two.
class block {
public:
    block(int n, std::function<void(int)> kernel) : kernel(std::move(kernel)), threads(n) {
        for (auto & t : threads) {
            t.stack.reset(new char[STACK]);
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

    static void barrier() { swapcontext(&current->threads[current->active].context, &current->scheduler); }

    // which thread of the block runs
    static int thread() { return current->active; }

private:
    static constexpr size_t STACK = 64*1024;

    struct coroutine {
        ucontext_t              context;
        std::unique_ptr<char[]> stack;
        bool                    done = false;
    };

    static void start() {
        current->kernel(current->active);
        current->threads[current->active].done = true;
    }

    static inline block * current = nullptr;

    std::function<void(int)> kernel;
    std::vector<coroutine>   threads;
    ucontext_t               scheduler;
    int                      active = 0;
};

struct grid_size {
    int x, y, z;
};

// Blocks in reverse order: none may count on another. `before` learns which block comes next.
template <typename Before>
void run_grid(block & one, grid_size grid, Before before) {
    for (int z = grid.z - 1; z >= 0; z--) {
        for (int y = grid.y - 1; y >= 0; y--) {
            for (int x = grid.x - 1; x >= 0; x--) {
                before(x, y, z);
                one.run();
            }
        }
    }
}
