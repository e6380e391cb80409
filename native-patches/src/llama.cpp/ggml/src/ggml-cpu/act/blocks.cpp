// All stages for blocks of rows (prefill).

#include "scores.h"
#include "stages.h"

#include "simd-gemm.h"

#include <numeric>

namespace ggml_act_cpu {

void run_blocks(const act & a, const layout & at, float * work, const ggml_compute_params * params) {
    const int ith = params->ith, nth = params->nth;

    float * lse     = work + at.lse;
    float * partial = work + at.partial;

    const buffers own(a, work + at.scratch + ith*at.thread_size, ROWS);
    float * tiles   = own.more;                     // [tile][dk][TILE]
    float * scores  = tiles + a.n_tiles*a.dk*TILE;  // [tile][ROWS][TILE]
    float * queries = scores + a.n_tiles*ROWS*TILE; // [ROWS][dk]
    int32_t * first_item = (int32_t *) (queries + ROWS*a.dk); // [nth + 1]
    uint8_t * kind  = (uint8_t *) (first_item + nth + 1); // [tile]

    // An item is a block of rows of a group; thread t takes the items [first_item[t], first_item[t + 1]). Rows see
    // earlier keys only, so a block costs about as much as the last of its rows sees.
    const int64_t n_groups = a.groups(own.groups);
    const int64_t blocks   = (a.n_rows + ROWS - 1)/ROWS;
    const auto    cost     = [&](int64_t b) { return std::max<int64_t>(a.n_kv - (blocks - b)*ROWS, 0) + ROWS; };

    int64_t group_cost = 0;
    for (int64_t b = 0; b < blocks; b++) {
        group_cost += cost(b);
    }
    for (int64_t t = 0, item = 0, before = 0; t <= nth; t++) {
        for (; before < n_groups*group_cost*t/nth; item++) {
            before += cost(item % blocks);
        }
        first_item[t] = item;
    }
    const int64_t first = first_item[ith], last = first_item[ith + 1];

    // stages 1 and 2
    {
        float       * sums = partial + ith*at.per_thread_entries*a.n_kv;
        const int64_t base = own.groups[first/blocks];
        std::fill(sums, sums + at.per_thread_entries*a.n_kv, 0.0f);

        for (int64_t g = first/blocks; g*blocks < last; g++) {
            const int64_t e0     = own.groups[g], e1 = own.groups[g + 1];
            const int     stream = a.stream(e0);
            const int64_t n_tiles = (a.used(stream) + TILE - 1)/TILE;

            int64_t ready = 0; // tiles of this group transposed so far

            for (int64_t b = std::max<int64_t>(0, first - g*blocks); b < std::min(blocks, last - g*blocks); b++) {
                const int64_t r0   = b*ROWS;
                const int64_t rows = std::min<int64_t>(ROWS, a.n_rows - r0);

                int64_t end = 0;
                for (int64_t t = 0; t < n_tiles; t++) {
                    kind[t] = classify(a, stream, r0, rows, t*TILE, std::min<int64_t>(TILE, a.n_kv - t*TILE));
                    end = kind[t] == TILE_CLOSED ? end : t + 1;
                }
                for (; ready < end; ready++) {
                    const int64_t k0 = ready*TILE;
                    transpose_keys(a, e0, [k0](int64_t j) { return k0 + j; }, std::min<int64_t>(TILE, a.n_kv - k0), TILE, own.keys, tiles + ready*a.dk*TILE);
                }

                for (int64_t e = e0; e < e1; e++) {
                    const float slope = a.slope(e);
                    load_queries(a, e, r0, rows, queries);

                    float lanes[ROWS][LANES];
                    std::fill(lanes[0], lanes[0] + ROWS*LANES, -INFINITY);

                    for (int64_t t = 0; t < end; t++) {
                        if (kind[t] == TILE_CLOSED) {
                            continue;
                        }
                        float * s = scores + t*ROWS*TILE;
                        block_scores(a, queries, rows, tiles + t*a.dk*TILE, s);
                        a.cap(s, rows*TILE);
                        if (kind[t] == TILE_MIXED) {
                            const int64_t k0 = t*TILE, m = std::min<int64_t>(TILE, a.n_kv - k0);
                            for (int64_t r = 0; r < rows; r++) {
                                float mask[TILE];
                                std::fill(mask, mask + TILE, -INFINITY);
                                a.read_mask(stream, r0 + r, k0, m, mask);
                                for (int64_t j = 0; j < TILE; j++) {
                                    s[r*TILE + j] += slope*mask[j];
                                }
                            }
                        }
                        for (int64_t r = 0; r < rows; r++) {
                            max_into(lanes[r], s + r*TILE, TILE);
                        }
                    }

                    float top[ROWS], inverse[ROWS];
                    for (int64_t r = 0; r < rows; r++) {
                        top[r] = finite(a.learned_top(e, max_of(lanes[r], LANES)));
                    }
                    double totals[ROWS][LANES] = {};
                    for (int64_t t = 0; t < end; t++) {
                        if (kind[t] != TILE_CLOSED) {
                            for (int64_t r = 0; r < rows; r++) {
                                exp_into(totals[r], scores + (t*ROWS + r)*TILE, top[r]);
                            }
                        }
                    }
                    for (int64_t r = 0; r < rows; r++) {
                        const float total = std::accumulate(totals[r], totals[r] + LANES, (double) a.learned_total(e, top[r]));
                        lse[e*a.n_rows + r0 + r] = log_sum_exp(top[r], total);
                        inverse[r] = inverse_of(total);
                    }
                    if (a.flags(e) & GGML_ACT_FLAG_INITIAL) {
                        continue;
                    }
                    // inverse x scores, one row times a tile, is the column sum
                    float * column = sums + (e - base)*a.n_kv;
                    for (int64_t t = 0; t < end; t++) {
                        if (kind[t] == TILE_CLOSED) {
                            continue;
                        }
                        float sum[TILE] = {};
                        simd_gemm(sum, inverse, scores + t*ROWS*TILE, 1, rows, TILE);
                        ggml_vec_acc_f32(std::min<int64_t>(TILE, a.n_kv - t*TILE), column + t*TILE, sum);
                    }
                }
            }
        }
    }

    ggml_barrier(params->threadpool);

    // stage 3
    for (int64_t e = ith; e < a.n_entries; e += nth) {
        std::fill(own.sums, own.sums + a.n_kv, 0.0f);
        for (int t = 0; t < nth; t++) {
            const int64_t base = own.groups[first_item[t]/blocks];
            if (e >= base && e < base + at.per_thread_entries) {
                ggml_vec_acc_f32(a.n_kv, own.sums, partial + (t*at.per_thread_entries + e - base)*a.n_kv);
            }
        }
        select_sinks(a, e, own.sums);
    }

    ggml_barrier(params->threadpool);

    // stage 4: the threads share the rows of every head
    for (int64_t e = 0; e < a.n_entries; e++) {
        if (!corrects(a, e)) {
            continue;
        }
        const int       stream = a.stream(e);
        const int32_t * list   = a.sinks(e);
        const int64_t   count  = a.count(e);
        const float     slope  = a.slope(e);

        // Sinks are few: a narrow tile, whose scores the same product sums in the same order as in stage 1.
        const auto width = [&](int64_t c0) { return std::min<int64_t>(TILE, (count - c0 + 15)/16*16); };
        const auto load_values = [&](int64_t c0) {
            for (int64_t j = 0; j < std::min<int64_t>(TILE, count - c0); j++) {
                a.read_value(e, list[c0 + j], own.values + j*a.dv);
            }
        };
        const auto load = [&](int64_t c0) {
            transpose_keys(a, e, [&](int64_t j) { return list[c0 + j]; }, std::min<int64_t>(TILE, count - c0), width(c0), own.keys, tiles);
            load_values(c0);
        };
        if (count <= TILE) {
            load(0);
        }
        for (int64_t b = blocks*ith/nth; b < blocks*(ith + 1)/nth; b++) {
            const int64_t r0   = b*ROWS;
            const int64_t rows = std::min<int64_t>(ROWS, a.n_rows - r0);
            const int64_t M    = (rows + 3)/4*4;

            float mass[ROWS] = {};
            load_queries(a, e, r0, rows, queries);
            std::fill(own.acc, own.acc + M*a.dv, 0.0f);

            for (int64_t c0 = 0; c0 < count; c0 += TILE) {
                const int64_t n = std::min<int64_t>(TILE, count - c0), w = width(c0);
                if (count > TILE) {
                    load(c0);
                }
                memset(scores, 0, M*w*sizeof(float));
                simd_gemm(scores, queries, tiles, M, a.dk, w);
                a.cap(scores, rows*w);

                float * A = scores; // [M][n], in the place of [M][w]
                for (int64_t r = 0; r < rows; r++) {
                    const float shift = lse[e*a.n_rows + r0 + r];
                    for (int64_t j = 0; j < n; j++) {
                        // expf itself: what is divided by 1 - m later deserves the last digit
                        A[r*n + j] = expf(scores[r*w + j] + slope*a.mask_at(stream, r0 + r, list[c0 + j]) - shift);
                        mass[r] += A[r*n + j];
                    }
                }
                std::fill(A + rows*n, A + M*n, 0.0f);
                simd_gemm(own.acc, A, own.values, M, n, a.dv);
            }
            if (correct_rows(a, e, r0, rows, lse + e*a.n_rows, mass, own) && count <= TILE) {
                load_values(0);
            }
        }
    }
}

} // namespace ggml_act_cpu
