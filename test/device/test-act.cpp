// GGML_OP_ACT on every device that ggml finds, in the manner of ggml's test-backend-ops: each case against float64 and twice on the device
// (bitwise equal); with --large also the sizes of real models, against the CPU, with the time beside that of the layer's own K.Q^T.
//
//   test-act [--large] [--only TEXT] [--json FILE]

#include "act-world.h"

#include "ggml-act.h"
#include "ggml-backend.h"
#include "ggml-cpp.h"
#include "ggml-cpu.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <thread>

namespace {

struct outcome {
    std::vector<float> o, state;
    double ms = 0; // of one call; 0: not measured
};

double best_time(ggml_backend_t backend, ggml_cgraph * graph, int times) {
    double best = INFINITY;
    for (int i = 0; i < times; i++) {
        const auto begin = std::chrono::steady_clock::now();
        ggml_backend_graph_compute(backend, graph);
        ggml_backend_synchronize(backend);
        best = std::min(best, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count());
    }
    return best;
}

// `values` [streams][heads][n][d]; a permuted tensor (heads of a token side by side) gets them in its own order.
void put(ggml_tensor * t, const void * values, size_t count) {
    std::vector<float> moved;
    if (t->op == GGML_OP_PERMUTE) {
        const float * from = (const float *) values;
        const int64_t d = t->ne[0], n = t->ne[1], h = t->ne[2];
        moved.resize(count);
        for (int64_t row = 0; row < ggml_nrows(t); row++) {
            const int64_t i = row%n, head = row/n%h, stream = row/n/h;
            std::copy(from + row*d, from + (row + 1)*d, moved.data() + ((stream*n + i)*h + head)*d);
        }
        values = moved.data();
        t = t->view_src;
    }
    GGML_ASSERT((int64_t) count == ggml_nelements(t));
    if (t->type == GGML_TYPE_F32 || t->type == GGML_TYPE_I32) {
        ggml_backend_tensor_set(t, values, 0, ggml_nbytes(t));
        return;
    }
    std::vector<uint8_t> bytes(ggml_nbytes(t));
    ggml_quantize_chunk(t->type, (const float *) values, bytes.data(), 0, ggml_nrows(t), t->ne[0], nullptr);
    ggml_backend_tensor_set(t, bytes.data(), 0, bytes.size());
}

template <typename T> void put(ggml_tensor * t, const std::vector<T> & values) { put(t, values.data(), values.size()); }

// false: the device does not take the op
bool run(ggml_backend_t backend, const act_case & c, const act_world & world, const act_call & call, const std::vector<float> & state, int times, outcome & out) {
    ggml_context_ptr owner(ggml_init({ 32*ggml_tensor_overhead() + ggml_graph_overhead(), nullptr, true }));
    ggml_context * ctx = owner.get();
    const auto by_head = [&](ggml_type type, int64_t d, int64_t n, int64_t h) {
        return c.cache_like ? ggml_permute(ctx, ggml_new_tensor_4d(ctx, type, d, h, n, c.streams), 0, 2, 1, 3) : ggml_new_tensor_4d(ctx, type, d, n, h, c.streams);
    };
    ggml_tensor * o = ggml_new_tensor_2d(ctx, GGML_TYPE_F32, (int64_t) c.dv*c.heads, (int64_t) call.rows*c.streams);
    ggml_tensor * q = by_head(GGML_TYPE_F32, c.dk, call.rows, c.heads);
    ggml_tensor * k = by_head(c.type_k, c.dk, c.keys, c.heads_kv);
    ggml_tensor * v = c.transposed ? ggml_new_tensor_4d(ctx, c.type_v, c.keys, c.dv, c.heads_kv, c.streams) : by_head(c.type_v, c.dv, c.keys, c.heads_kv);
    ggml_tensor * mask    = ggml_new_tensor_4d(ctx, GGML_TYPE_F16, c.keys, call.rows, 1, c.streams);
    ggml_tensor * table   = ggml_new_tensor_3d(ctx, GGML_TYPE_I32, c.keys, GGML_ACT_KEYS_ROWS, c.streams);
    ggml_tensor * entries = ggml_new_tensor_2d(ctx, GGML_TYPE_I32, GGML_ACT_ENTRY_SIZE, call.entries.size()/GGML_ACT_ENTRY_SIZE);
    ggml_tensor * slots   = ggml_new_tensor_2d(ctx, GGML_TYPE_F32, GGML_ACT_STATE_WIDTH(c.keys + c.spare), world.slots());

    ggml_act_params params = {};
    params.scale   = 1/std::sqrt((float) c.dk);
    params.softcap = c.softcap;
    params.n_head  = c.heads;
    params.n_rows  = call.rows;
    params.pool    = 1;
    ggml_tensor * node = ggml_act(ctx, o, q, k, c.transposed ? ggml_transpose(ctx, v) : v, mask, table, entries, slots, nullptr, &params);
    if (!ggml_backend_supports_op(backend, node)) {
        return false;
    }
    ggml_cgraph * graph = ggml_new_graph(ctx);
    ggml_build_forward_expand(graph, node);
    ggml_backend_buffer_ptr buffer(ggml_backend_alloc_ctx_tensors(ctx, backend));
    if (!buffer) {
        return false;
    }
    put(o, call.o);
    put(q, call.q);
    put(k, world.k);
    if (c.transposed) {
        std::vector<float> turned(world.v.size());
        for (size_t i = 0; i < turned.size(); i++) { // [group][key][d] -> [group][d][key]
            const size_t d = i%c.dv, key = i/c.dv%c.keys, group = i/c.dv/c.keys;
            turned[(group*c.dv + d)*c.keys + key] = world.v[i];
        }
        put(v, turned);
    } else {
        put(v, world.v);
    }
    put(mask, call.mask);
    put(table, call.table);
    put(entries, call.entries);
    put(slots, state);
    if (ggml_backend_graph_compute(backend, graph) != GGML_STATUS_SUCCESS) {
        return false;
    }
    out.o.resize(ggml_nelements(o));
    out.state.resize(ggml_nelements(slots));
    ggml_backend_tensor_get(o, out.o.data(), 0, ggml_nbytes(o));
    ggml_backend_tensor_get(slots, out.state.data(), 0, ggml_nbytes(slots));
    out.ms = times > 0 ? best_time(backend, graph, times) : 0;
    return true;
}

// The scores of all heads by ggml's own product: what the layer's attention has to compute anyway.
double time_of_scores(ggml_backend_t backend, const act_case & c, int rows) {
    ggml_context_ptr ctx(ggml_init({ 8*ggml_tensor_overhead() + ggml_graph_overhead(), nullptr, true }));
    ggml_tensor * k = ggml_new_tensor_4d(ctx.get(), c.type_k, c.dk, c.keys, c.heads_kv, c.streams);
    ggml_tensor * q = ggml_new_tensor_4d(ctx.get(), GGML_TYPE_F32, c.dk, rows, c.heads, c.streams);
    ggml_cgraph * graph = ggml_new_graph(ctx.get());
    ggml_build_forward_expand(graph, ggml_mul_mat(ctx.get(), k, q));
    ggml_backend_buffer_ptr buffer(ggml_backend_alloc_ctx_tensors(ctx.get(), backend));
    if (!buffer) {
        return 0;
    }
    ggml_backend_buffer_clear(buffer.get(), 0);
    return best_time(backend, graph, 10);
}

int32_t bits(float x) {
    int32_t i;
    memcpy(&i, &x, sizeof(i));
    return i;
}

// What is wrong, or "". The bounds are those of test/native/op-check.ts: a float32 dot product of d terms that comes to s is off by about
// |s|*sqrt(d)/2*2^-23, exponentials by a few units in the last place; a gain multiplies what attention's rounding left.
std::string compare(const act_case & c, const act_call & call, const outcome & got, double & error) {
    const double unit = std::ldexp(1.0, -23);
    const double relative = (call.largest_score*(2 + std::sqrt((double) c.dk)/2) + 16)*unit;
    const double bound = 2*(relative*call.largest_gain + (call.direct ? c.keys*unit/4 : 0))*(c.type_v == GGML_TYPE_F32 || c.type_v == GGML_TYPE_F16 ? 2 : 4);
    const int    cells = c.keys + c.spare, n_entries = call.corrected.size();
    char text[200];

    for (int e = 0; e < n_entries; e++) {
        const float * slot = got.state.data() + (size_t) e*GGML_ACT_STATE_WIDTH(cells);
        for (size_t key = 0; key < call.sums[e].size() && c.rule != rule_kind::initial; key++) {
            if (!(std::fabs(slot[key] - call.sums[e][key]) <= relative*std::max(1.0, call.sums[e][key]))) {
                snprintf(text, sizeof(text), "entry %d, key %zu: sum %g, not %g", e, key, slot[key], call.sums[e][key]);
                return text;
            }
        }
        const int32_t count = bits(slot[GGML_ACT_STATE_COUNT(cells)]);
        bool same = bits(slot[GGML_ACT_STATE_EXEMPT(cells)]) == call.exempt[e] && count == (int32_t) call.sinks[e].size();
        for (int32_t i = 0; same && i < count; i++) {
            same = bits(slot[GGML_ACT_STATE_SINKS(cells) + i]) == call.sinks[e][i];
        }
        if (!same) {
            snprintf(text, sizeof(text), "entry %d: other sinks (%d, exempt %d; not %zu, exempt %d)", e, count, bits(slot[GGML_ACT_STATE_EXEMPT(cells)]),
                call.sinks[e].size(), call.exempt[e]);
            return text;
        }
    }
    const int per_stream = (c.heads + c.every - 1)/c.every;
    for (size_t i = 0; i < got.o.size(); i++) {
        const int  head = i/c.dv%c.heads, stream = i/c.dv/c.heads/call.rows;
        const bool corrected = head%c.every == 0 && call.corrected[stream*per_stream + head/c.every];
        const double off = std::fabs(got.o[i] - call.expected[i]);
        if (corrected ? !(off <= bound) : got.o[i] != call.o[i]) {
            snprintf(text, sizeof(text), "head %d, value %zu: %g, not %g (%s)", head, i, got.o[i], call.expected[i], corrected ? "bound exceeded" : "not to be changed");
            return text;
        }
        error = std::max(error, corrected ? off/bound : 0);
    }
    return "";
}

struct device {
    ggml_backend_dev_t dev;
    ggml_backend_ptr   backend;
    int passed = 0, failed = 0, refused = 0;
};

std::string quoted(const std::string & text) {
    std::string out = "\"";
    for (const char x : text) {
        out += x == '"' || x == '\\' ? std::string("\\") + x : (unsigned char) x < 32 ? " " : std::string(1, x);
    }
    return out + "\"";
}

} // namespace

int main(int argc, char ** argv) {
    bool large = false;
    std::string only, json;
    for (int i = 1; i < argc; i++) {
        const std::string arg = argv[i];
        if (arg == "--large") {
            large = true;
        } else if (arg == "--only" && i + 1 < argc) {
            only = argv[++i];
        } else if (arg == "--json" && i + 1 < argc) {
            json = argv[++i];
        } else {
            fprintf(stderr, "usage: test-act [--large] [--only TEXT] [--json FILE]\n");
            return 2;
        }
    }
    ggml_backend_load_all();
    std::vector<device> devices;
    for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
        ggml_backend_dev_t dev = ggml_backend_dev_get(i);
        if (ggml_backend_dev_type(dev) == GGML_BACKEND_DEVICE_TYPE_ACCEL) {
            continue; // has no memory of its own, and few ops
        }
        devices.push_back({ dev, ggml_backend_ptr(ggml_backend_dev_init(dev, nullptr)) });
        auto * set_threads = (ggml_backend_set_n_threads_t) ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(dev), "ggml_backend_set_n_threads");
        if (set_threads) {
            set_threads(devices.back().backend.get(), std::max(1u, std::thread::hardware_concurrency()));
        }
        printf("%s: %s\n", ggml_backend_dev_name(dev), ggml_backend_dev_description(dev));
    }
    std::stable_partition(devices.begin(), devices.end(), [](const device & d) { return ggml_backend_dev_type(d.dev) == GGML_BACKEND_DEVICE_TYPE_CPU; });

    std::string rows_json;
    for (const act_case & c : act_cases(large)) {
        if (c.name.find(only) == std::string::npos) {
            continue;
        }
        outcome on_cpu;
        for (device & d : devices) {
            const bool cpu = ggml_backend_dev_type(d.dev) == GGML_BACKEND_DEVICE_TYPE_CPU;
            if (c.timing && cpu && devices.size() == 1 && c.rows[0] > 1 && c.keys > 2048) {
                continue; // nothing to compare with, and long
            }
            act_world world(c, 7);
            std::vector<float> state = world.state();
            std::string wrong;
            double error = 0, ms = 0, scores = 0;
            bool taken = true;
            for (size_t i = 0; i < c.rows.size() && taken && wrong.empty(); i++) {
                const act_call call = world.next();
                outcome first, second;
                taken = run(d.backend.get(), c, world, call, state, c.timing && !cpu ? 10 : 0, first);
                if (!taken) {
                    break;
                }
                if (!c.timing) {
                    wrong = compare(c, call, first, error);
                } else if (cpu) {
                    on_cpu = first;
                } else {
                    ms = first.ms;
                    scores = time_of_scores(d.backend.get(), c, call.rows);
                    for (size_t j = 0; j < first.o.size(); j++) {
                        error = std::max(error, std::fabs((double) first.o[j] - on_cpu.o[j]));
                    }
                    wrong = error <= 5e-3 ? "" : "differs from the CPU by " + std::to_string(error);
                }
                if (wrong.empty() && !cpu && run(d.backend.get(), c, world, call, state, 0, second) &&
                        (memcmp(first.o.data(), second.o.data(), first.o.size()*sizeof(float)) || memcmp(first.state.data(), second.state.data(), first.state.size()*sizeof(float)))) {
                    wrong = "two runs differ";
                }
                state = first.state;
            }
            (taken ? wrong.empty() ? d.passed : d.failed : d.refused)++;
            const char * said = taken ? wrong.empty() ? "ok" : "FAIL" : "not taken";
            if (c.timing || !wrong.empty() || !taken) {
                printf("%-9s %-44s %s", ggml_backend_dev_name(d.dev), c.name.c_str(), said);
                if (ms > 0) {
                    printf("  %.3f ms, K.Q^T of all heads %.3f ms (%.2f times)", ms, scores, ms/std::max(scores, 1e-9));
                }
                printf(wrong.empty() ? "\n" : "\n          %s\n", wrong.c_str());
            }
            fflush(stdout);
            char numbers[160];
            snprintf(numbers, sizeof(numbers), "\"error\": %g, \"ms\": %g, \"scoresMs\": %g", error, ms, scores);
            rows_json += std::string(rows_json.empty() ? "" : ",\n") + "    {\"device\": " + quoted(ggml_backend_dev_name(d.dev)) + ", \"case\": " + quoted(c.name) +
                ", \"result\": " + quoted(said) + ", \"wrong\": " + quoted(wrong) + ", " + numbers + "}";
        }
    }
    int failed = 0;
    for (const device & d : devices) {
        printf("%s: %d passed, %d failed, %d not taken\n", ggml_backend_dev_name(d.dev), d.passed, d.failed, d.refused);
        failed += d.failed;
    }
    if (!json.empty()) {
        FILE * file = fopen(json.c_str(), "w");
        if (!file) {
            fprintf(stderr, "%s cannot be written\n", json.c_str());
            return 2;
        }
        fprintf(file, "{\n  \"devices\": [");
        for (size_t i = 0; i < devices.size(); i++) {
            fprintf(file, "%s%s", i ? ", " : "", quoted(ggml_backend_dev_description(devices[i].dev)).c_str());
        }
        fprintf(file, "],\n  \"cases\": [\n%s\n  ]\n}\n", rows_json.c_str());
        fclose(file);
    }
    return failed > 0;
}
