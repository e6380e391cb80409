#pragma once

// Every node of the op that a run computes, compared with the mathematics of ggml-act.h in double precision.

#include "model.h"

#include "../src/llama-act.h"
#include "../src/llama-context.h"
#include "../src/llama-model.h"
#include "ggml-act.h"

#include <map>
#include <set>

struct checker {
    int         nodes = 0, heads = 0, changed = 0, ties = 0;
    double      worst = 0.0;   // difference of a head's output, relative to the largest value of the node
    bool        whole = false; // the segment is the whole prefill: sinks are computed here as well
    float       beta  = 0.0f;
    std::string fault;

    // values of a tensor as float32, by the element's place
    struct values {
        const ggml_tensor  * t;
        std::vector<uint8_t> data;

        explicit values(const ggml_tensor * t) : t(t), data(ggml_nbytes(t)) { ggml_backend_tensor_get(t, data.data(), 0, data.size()); }

        std::vector<float> row(int64_t i1, int64_t i2, int64_t i3) const {
            const uint8_t * x = data.data() + i1*t->nb[1] + i2*t->nb[2] + i3*t->nb[3];
            std::vector<float> out(t->ne[0]);
            if (t->nb[0] != ggml_type_size(t->type)) {
                for (int64_t i = 0; i < t->ne[0]; i++) {
                    out[i] = t->type == GGML_TYPE_F16 ? ggml_fp16_to_fp32(*(const ggml_fp16_t *) (x + i*t->nb[0])) : *(const float *) (x + i*t->nb[0]);
                }
            } else if (t->type == GGML_TYPE_F32) {
                memcpy(out.data(), x, out.size()*sizeof(float));
            } else {
                ggml_get_type_traits(t->type)->to_float(x, out.data(), out.size());
            }
            return out;
        }
    };

    void node(const ggml_tensor * op) {
        ggml_act_params p;
        memcpy(&p, op->op_params, sizeof(p));
        const values o(op), q(op->src[1]), k(op->src[2]), v(op->src[3]), mask(op->src[4]), keys(op->src[5]), entries(op->src[6]), state(op->src[7]);
        const std::vector<float> learned = op->src[9] ? values(op->src[9]).row(0, 0, 0) : std::vector<float>();

        const int64_t n_kv = k.t->ne[1], dv = v.t->ne[0], n_cells = (state.t->ne[0] - 2)/2;
        nodes++;
        double largest = 0.0, difference = 0.0;
        for (int64_t e = 0; e < entries.t->ne[1]; e++) {
            const int32_t * entry  = (const int32_t *) entries.data.data() + e*GGML_ACT_ENTRY_SIZE;
            const int       head   = entry[GGML_ACT_ENTRY_HEAD], s = entry[GGML_ACT_ENTRY_STREAM], kv = head/(p.n_head/k.t->ne[2]);
            const int32_t * pos    = (const int32_t *) keys.data.data() + s*GGML_ACT_KEYS_ROWS*n_kv;
            const float     slope  = slope_of(p, head);
            heads++;

            std::vector<std::vector<float>> K(n_kv), V(n_kv);
            for (int64_t i = 0; i < n_kv; i++) {
                K[i] = k.row(i, kv, s);
                V[i] = v.row(i, kv, s);
            }
            std::vector<std::vector<double>> A(p.n_rows, std::vector<double>(n_kv));
            std::vector<double> sums(n_kv), seen(n_kv);
            int64_t visible = 0;
            for (int64_t r = 0; r < p.n_rows; r++) {
                const auto m = mask.row(r, 0, s), Q = q.row(r, head, s);
                double top = learned.empty() ? -INFINITY : learned[head];
                for (int64_t i = 0; i < n_kv; i++) {
                    double x = 0.0;
                    for (size_t d = 0; d < Q.size(); d++) {
                        x += (double) Q[d]*K[i][d];
                    }
                    x *= p.scale;
                    x = p.softcap != 0.0f ? p.softcap*tanh(x/p.softcap) : x;
                    A[r][i] = m[i] == -INFINITY ? -INFINITY : x + slope*m[i];
                    top = std::max(top, A[r][i]);
                }
                double total = learned.empty() ? 0.0 : exp(learned[head] - top);
                for (int64_t i = 0; i < n_kv; i++) {
                    total += A[r][i] = exp(A[r][i] - top);
                }
                visible = 0;
                for (int64_t i = 0; i < n_kv; i++) {
                    A[r][i] /= total;
                    sums[i] += A[r][i];
                    seen[i] += m[i] != -INFINITY;
                    visible += m[i] != -INFINITY;
                }
            }

            const int32_t * row   = (const int32_t *) (state.data.data() + entry[GGML_ACT_ENTRY_SLOT]*state.t->nb[1]);
            const int32_t   count = row[GGML_ACT_STATE_COUNT(n_cells)];
            std::set<int64_t> sinks(row + GGML_ACT_STATE_SINKS(n_cells), row + GGML_ACT_STATE_SINKS(n_cells) + count);
            for (const int64_t i : sinks) {
                if (i >= n_kv || pos[i] < 0 || seen[i] == 0) {
                    fault = "a sink that no row sees";
                    return;
                }
            }
            if (whole && !sinks_are_right(sinks, sums, seen, pos, visible)) {
                return;
            }
            changed += !sinks.empty();
            for (int64_t r = 0; r < p.n_rows; r++) {
                double m = 0.0, rest = 0.0;
                for (int64_t i = 0; i < n_kv; i++) {
                    (sinks.count(i) ? m : rest) += A[r][i];
                }
                const double gain = rest < GGML_ACT_MIN_REST ? 1.0 : 1.0 + (1.0 - beta)*m/rest;
                const double keep = rest < GGML_ACT_MIN_REST ? 1.0 : beta;
                for (int64_t d = 0; d < dv; d++) {
                    double x = 0.0;
                    for (int64_t i = 0; i < n_kv; i++) {
                        x += A[r][i] == 0.0 ? 0.0 : A[r][i]*(sinks.count(i) ? keep : gain)*V[i][d];
                    }
                    const double is = ((const float *) o.data.data())[((s*p.n_rows + r)*p.n_head + head)*dv + d];
                    if (!std::isfinite(is)) {
                        fault = "a value that is no number";
                        return;
                    }
                    largest    = std::max(largest, fabs(x));
                    difference = std::max(difference, fabs(x - is));
                }
            }
        }
        worst = std::max(worst, largest > 0.0 ? difference/largest : difference);
    }

private:
    static float slope_of(const ggml_act_params & p, uint32_t head) {
        if (p.max_bias <= 0.0f) {
            return 1.0f;
        }
        const uint32_t n = 1u << (uint32_t) floor(log2(p.n_head));
        return head < n ? powf(powf(2.0f, -p.max_bias/n), head + 1) : powf(powf(2.0f, -p.max_bias/2.0f/n), 2*(head - n) + 1);
    }

    // Above 1/N is a candidate, the lowest position stays, the others are sinks. Means at the limit may fall to either side.
    bool sinks_are_right(const std::set<int64_t> & sinks, const std::vector<double> & sums, const std::vector<double> & seen, const int32_t * pos, int64_t visible) {
        const double limit = 1.0/visible;
        std::set<int64_t> expected;
        int64_t lowest = -1;
        for (int64_t i = 0; i < (int64_t) sums.size(); i++) {
            const double mean = seen[i] > 0 ? sums[i]/seen[i] : 0.0;
            if (fabs(mean - limit) < 1e-4*limit) {
                ties++;
                return true;
            }
            if (mean > limit) {
                expected.insert(i);
                lowest = lowest < 0 || pos[i] < pos[lowest] ? i : lowest;
            }
        }
        expected.erase(lowest);
        if (sinks != expected) {
            fault = std::to_string(sinks.size()) + " sinks instead of " + std::to_string(expected.size());
        }
        return sinks == expected;
    }
};

static bool on_node(ggml_tensor * t, bool ask, void * user) {
    if (t->op != GGML_OP_ACT) {
        return !ask;
    }
    if (!ask) {
        ((checker *) user)->node(t);
    }
    return true;
}

// All heads of all layers that have attention; empty where there are none.
static std::vector<std::pair<int32_t, int32_t>> all_heads(llama_context * ctx) {
    const auto & hparams = ctx->get_model().hparams;
    std::vector<std::pair<int32_t, int32_t>> heads;
    llama_act_config one;
    for (int32_t il = 0; il < (int32_t) hparams.n_layer(); il++) {
        for (int32_t h = 0; h < (int32_t) hparams.n_head(il); h++) {
            one.heads = { { il, h } };
            try {
                llama_act_set(ctx, 0, &one);
                heads.push_back({ il, h });
            } catch (const std::invalid_argument &) {
            }
        }
    }
    llama_act_set(ctx, 0, nullptr);
    return heads;
}

// Column means of a prefill in pieces of `step` rows.
static llama_act_capture watched(llama_model * model, const cache & c, uint32_t step) {
    llama_context_ptr ctx = make_context(model, c, 1, nullptr, nullptr);
    llama_act_watch(ctx.get(), true);
    for (uint32_t i = 0; i < TOKENS; i += step) {
        decode(ctx.get(), i, std::min(TOKENS, i + step), 1, 0);
    }
    return llama_act_get_capture(ctx.get(), 0);
}

// llama.cpp itself aborts while it shifts quantised latent keys, and a cache for windows that has no layer.
static bool can_shift(const llama_model * model, const cache & c) {
    return !(model->hparams.is_mla() && ggml_is_quantized(c.type)) && model->arch != LLM_ARCH_LFM2 && model->arch != LLM_ARCH_LFM2MOE;
}

// The fields of a line: status and what was seen.
static std::string check(llama_model * model, const cache & c) {
    std::string refused = llama_act_unsupported(model);
    checker seen;
    std::set<int32_t> layers;
    bool shifted = false;
    const auto expect = [&](bool ok, const std::string & what) {
        if (seen.fault.empty() && !ok) {
            seen.fault = what;
        }
    };

    for (const uint32_t sequences : { 1u, 2u }) {
        if (!refused.empty() || !seen.fault.empty()) {
            break;
        }
        llama_context_ptr ctx = make_context(model, c, sequences, &seen, on_node);
        llama_act_config config;
        config.relative  = true;
        config.threshold = 1.0f;
        config.weight    = seen.beta = sequences == 1 ? 0.4f : 1.5f;
        try {
            config.heads = all_heads(ctx.get());
            if (config.heads.empty()) {
                llama_act_watch(ctx.get(), true); // says why
                refused = "no layer has attention heads";
                break;
            }
        } catch (const std::invalid_argument & error) {
            refused = error.what();
            break;
        }
        for (const auto & [il, h] : config.heads) {
            layers.insert(il);
        }
        for (uint32_t s = 0; s < sequences; s++) {
            llama_act_set(ctx.get(), s, &config);
            llama_act_begin(ctx.get(), s);
        }
        seen.whole = true;
        decode(ctx.get(), 0, TOKENS, sequences, 0);
        seen.whole = false;
        refused = llama_act_missed(ctx.get(), 0);
        if (!refused.empty()) {
            break;
        }
        decode(ctx.get(), TOKENS, TOKENS + 40, sequences, 0); // a piece more, beyond the windows
        for (uint32_t i = 0; i < STEPS; i++) {
            decode(ctx.get(), TOKENS + 40 + i, TOKENS + 41 + i, sequences, 0);
        }
        llama_memory_t memory = llama_get_memory(ctx.get());
        const uint32_t end = TOKENS + 40 + STEPS;
        if (can_shift(model, c) && llama_memory_can_shift(memory) && llama_memory_seq_rm(memory, 0, 8, 24)) {
            llama_memory_seq_add(memory, 0, 24, -1, -16);
            decode(ctx.get(), end, end + 8, 1, 0, end - 16);
            shifted = true;
        }
    }
    if (!refused.empty()) {
        return "\"status\":\"refused\",\"why\":" + quoted(refused);
    }
    expect(seen.nodes > 0, "no calibration in the graph");
    // f16 caches: attention itself multiplies in f16, and FlashAttention sums a row's values in f16 where there are few rows
    const double limit = c.type == GGML_TYPE_F32 ? 1e-3 : 2e-2;
    expect(seen.worst < limit, "head outputs differ by " + std::to_string(seen.worst));
    expect(seen.changed > 0, "no head has sinks");
    if (seen.fault.empty()) {
        const auto whole = watched(model, c, TOKENS), pieces = watched(model, c, 13);
        double apart = whole.means.size() == pieces.means.size() ? 0.0 : INFINITY;
        for (size_t i = 0; i < whole.means.size() && i < pieces.means.size(); i++) {
            if (whole.means[i] > 0.0f && pieces.means[i] > 0.0f) { // a window's cache keeps fewer keys of a prefill in pieces
                apart = std::max<double>(apart, fabs(whole.means[i] - pieces.means[i]));
            }
        }
        expect(apart < (c.type == GGML_TYPE_F32 ? 1e-3 : 3e-2), "column means of a prefill in pieces differ by " + std::to_string(apart));
    }
    std::string numbers;
    for (const int32_t il : layers) {
        numbers += (numbers.empty() ? "" : ",") + std::to_string(il);
    }
    return "\"status\":\"" + std::string(seen.fault.empty() ? "calibrated" : "wrong") + "\"" + (seen.fault.empty() ? "" : ",\"why\":" + quoted(seen.fault)) +
        ",\"layers\":[" + numbers + "],\"nodes\":" + std::to_string(seen.nodes) + ",\"heads\":" + std::to_string(seen.heads) +
        ",\"sinks\":" + std::to_string(seen.changed) + ",\"ties\":" + std::to_string(seen.ties) + ",\"shifted\":" + (shifted ? "true" : "false") +
        ",\"difference\":" + std::to_string(seen.worst);
}
