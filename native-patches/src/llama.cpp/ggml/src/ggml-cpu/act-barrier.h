#pragma once

// The barrier between two ops of a graph, on Linux. OpenMP's spins for milliseconds, which is fine as long as every thread has a core of its own;
// beside another busy program the one that waits then takes the core that the one it waits for needs. This one spins while that pays, else it sleeps.

#ifdef __linux__

#ifdef __cplusplus
#error "included by C only"
#endif

#include <stdatomic.h>

// Returns when n_threads have called it. `arrived` and `passed` belong to these threads, are 0 before the first call and nobody else's to change.
void ggml_act_barrier(atomic_int * arrived, atomic_int * passed, int n_threads);

#endif
