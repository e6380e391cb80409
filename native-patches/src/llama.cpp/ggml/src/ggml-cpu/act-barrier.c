#include "act-barrier.h"

#ifdef __linux__

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
static inline void relax(void) { _mm_pause(); }
#elif defined(__aarch64__)
static inline void relax(void) { __asm__ volatile("yield" ::: "memory"); }
#else
static inline void relax(void) {}
#endif

// Rounds of waiting before a thread sleeps: as many as cover the differences between threads that have a core each (tens of microseconds), down to
// a few where waiting has not paid lately. One wait in PROBE is as patient as can be, to see when it pays again.
enum { MOST = 4000, LEAST = 32, PROBE = 32 };

static _Thread_local int patience = MOST;
static _Thread_local int waits;

static atomic_int sleepers; // of all barriers in the process: an early wake-up does no harm

void ggml_act_barrier(atomic_int * arrived, atomic_int * passed, int n_threads) {
    const int before = atomic_load_explicit(passed, memory_order_relaxed);

    if (atomic_fetch_add(arrived, 1) == n_threads - 1) {
        atomic_store_explicit(arrived, 0, memory_order_relaxed);
        atomic_fetch_add(passed, 1);
        // Whoever is not counted yet will find `passed` changed and not sleep.
        if (atomic_load(&sleepers) > 0) {
            syscall(SYS_futex, passed, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
        }
        return;
    }

    waits = (waits + 1) % PROBE;
    const int limit = waits == 0 ? MOST : patience;
    for (int i = 0; i < limit; i++) {
        if (atomic_load_explicit(passed, memory_order_acquire) != before) {
            patience = limit < MOST/2 ? 2*limit : MOST;
            return;
        }
        relax();
    }
    patience = patience > 2*LEAST ? patience/2 : LEAST;

    atomic_fetch_add(&sleepers, 1);
    while (atomic_load(passed) == before) {
        syscall(SYS_futex, passed, FUTEX_WAIT_PRIVATE, before, NULL, NULL, 0);
    }
    atomic_fetch_sub(&sleepers, 1);
}

#endif
