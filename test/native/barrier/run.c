// Threads meet at ggml_act_barrier again and again, some of them late, and each looks whether all others have come as far as itself.
// Prints a JSON object: meetings, and how often somebody was not there yet.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "act-barrier.h"

enum { MOST_THREADS = 8, MEETINGS = 4000 };

static atomic_int arrived, passed;
static int        n_threads;
static int        at[MOST_THREADS]; // no atomics: the barrier itself makes the others' writes visible, or a sanitizer complains
static atomic_int missing;

static void delay(long nanoseconds) {
    const struct timespec time = { 0, nanoseconds };
    nanosleep(&time, NULL);
}

static void * run(void * argument) {
    const int me   = (int) (long) argument;
    unsigned  seed = 42u + me;
    for (int meeting = 1; meeting <= MEETINGS; meeting++) {
        seed = seed*1664525u + 1013904223u;
        if (seed >> 26 == 0) {
            delay(300000); // one in 64: long enough that the others sleep
        }
        at[me] = meeting;
        ggml_act_barrier(&arrived, &passed, n_threads);
        for (int other = 0; other < n_threads; other++) {
            if (at[other] != meeting) {
                atomic_fetch_add(&missing, 1);
            }
        }
        ggml_act_barrier(&arrived, &passed, n_threads);
    }
    return NULL;
}

int main(void) {
    long meetings = 0;
    for (n_threads = 2; n_threads <= MOST_THREADS; n_threads++) {
        pthread_t threads[MOST_THREADS];
        for (long i = 0; i < n_threads; i++) {
            if (pthread_create(&threads[i], NULL, run, (void *) i) != 0) {
                abort();
            }
        }
        for (int i = 0; i < n_threads; i++) {
            pthread_join(threads[i], NULL);
        }
        meetings += MEETINGS;
    }
    printf("{\"meetings\": %ld, \"missing\": %d, \"arrived\": %d}\n", meetings, atomic_load(&missing), atomic_load(&arrived));
    return 0;
}
