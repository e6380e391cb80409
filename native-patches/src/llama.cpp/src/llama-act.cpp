#include "llama-act.h"

#include "llama-act-state.h"

#include "llama-context.h"
#include "llama-kv-cache.h"
#include "llama-model.h"

#include "ggml-act.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

namespace {

llama_act * act_of(llama_context * ctx, bool create = true) {
    auto & cparams = ctx->get_cparams_mutable();
    if (!cparams.act && create) {
        cparams.act = std::make_shared<llama_act>(*ctx);
    }
    return cparams.act.get();
}

// Graphs built before a change of topology must not be used again.
void changed(llama_context * ctx) {
    ctx->get_cparams_mutable().act_version++;
}

} // namespace

std::string llama_act_unsupported(const llama_model * model) {
    const auto & hparams = model->hparams;
    const std::string arch = model->arch_name();
    const auto refuse = [&](const std::string & why) { return "Models of architecture '" + arch + "' cannot be calibrated: " + why; };

    if (llama_model_is_recurrent(model)) {
        return refuse("they have recurrent layers alone, which have no attention heads.");
    }
    if (llama_model_has_encoder(model) || llama_model_is_diffusion(model) || !hparams.causal_attn) {
        return refuse("their attention is not causal.");
    }
    return "";
}

void llama_act_set(llama_context * ctx, llama_seq_id id, const llama_act_config * config) {
    const auto & model   = ctx->get_model();
    const auto & hparams = model.hparams;
    const auto & cparams = ctx->get_cparams();

    if (id < 0 || (uint32_t) id >= cparams.n_seq_max) {
        throw std::invalid_argument("there is no sequence " + std::to_string(id));
    }
    if (!config && !act_of(ctx, false)) {
        return;
    }
    if (config) {
        const std::string reason = llama_act_unsupported(&model);
        if (!reason.empty()) {
            throw std::invalid_argument(reason);
        }
        if (cparams.kv_unified && cparams.n_seq_max > 1) {
            throw std::invalid_argument("calibration needs one key/value stream per sequence (kv_unified off)");
        }
        if (!act_of(ctx)->any()) {
            throw std::invalid_argument("Models of architecture '" + model.arch_name() + "' cannot be calibrated: their key/value cache is of another kind.");
        }
        for (const auto & [layer, head] : config->heads) {
            if (layer < 0 || (uint32_t) layer >= hparams.n_layer() || head < 0 || (uint32_t) head >= hparams.n_head(layer)) {
                throw std::invalid_argument("the model has no head (" + std::to_string(layer) + ", " + std::to_string(head) + ")");
            }
            if (!act_of(ctx)->cache(layer)) {
                throw std::invalid_argument("layer " + std::to_string(layer) + " of the model has no attention to calibrate");
            }
        }
        if (!config->weights.empty() && config->weights.size() != config->heads.size()) {
            throw std::invalid_argument("there must be one beta for each head");
        }
        const auto bad = [](float weight) { return !std::isfinite(weight) || weight < 0.0f; };
        if (bad(config->weight) || std::any_of(config->weights.begin(), config->weights.end(), bad) || !std::isfinite(config->threshold)) {
            throw std::invalid_argument("beta and threshold must be finite numbers, beta not negative");
        }
    }

    llama_act * act = act_of(ctx);
    if (config) {
        std::set<int32_t> layers;
        for (const auto & [layer, head] : config->heads) {
            layers.insert(layer);
        }
        const std::string reason = act->refused(layers);
        if (!reason.empty()) {
            throw std::invalid_argument(reason);
        }
    }
    changed(ctx); // first: whatever happens below, no graph of before may be used again
    act_sequence & seq = act->sequences[id];
    const llama_act_config before = seq.config;
    act->clear(seq);
    if (!config || config->heads.empty()) {
        act->sequences.erase(id);
        return;
    }
    try {
        seq.config = *config;
        act->add_calibrated(seq);
    } catch (...) { // no memory: what was set before stays, in the slots that it had; its sums start anew
        act->clear(seq);
        seq.config = before;
        act->add_calibrated(seq);
        if (before.heads.empty()) {
            act->sequences.erase(id);
        }
        throw;
    }
}

void llama_act_begin(llama_context * ctx, llama_seq_id id) {
    if (llama_act * act = act_of(ctx, false)) {
        const auto it = act->sequences.find(id);
        if (it != act->sequences.end()) {
            it->second.fresh = true;
        }
    }
}

void llama_act_watch(llama_context * ctx, bool on) {
    if (!on && !act_of(ctx, false)) {
        return;
    }
    llama_act * act = act_of(ctx);
    if (on == act->watch) {
        return;
    }
    if (on) {
        const std::string reason = llama_act_unsupported(&ctx->get_model());
        if (!reason.empty() || !act->any()) {
            throw std::invalid_argument(!reason.empty() ? reason :
                "Models of architecture '" + ctx->get_model().arch_name() + "' cannot be calibrated: their key/value cache is of another kind.");
        }
        std::set<int32_t> layers;
        for (uint32_t il = 0; il < ctx->get_model().hparams.n_layer(); il++) {
            if (act->cache(il)) {
                layers.insert(il);
            }
        }
        const std::string refused = act->refused(layers);
        if (!refused.empty()) {
            throw std::invalid_argument(refused);
        }
    } else {
        act->unwatch();
    }
    act->watch = on;
    changed(ctx);
}

void llama_act_set_window(llama_context * ctx, const llama_act_window & window) {
    llama_act * act = act_of(ctx);
    ctx->synchronize();
    act->set_on_cpu(act->window.layer, false); // perhaps it was for the window only: the next graph asks the device again
    act->window        = window;
    act->window_tensor = nullptr;
    act->window_buffer.reset();
    act->window_ctx.reset();
    if (window.layer >= 0) {
        const auto cells = [&](int32_t n) { return (n + window.pool - 1)/window.pool; };
        act->window_ctx.reset(ggml_init({ ggml_tensor_overhead(), nullptr, true }));
        act->window_tensor = ggml_new_tensor_3d(act->window_ctx.get(), GGML_TYPE_F32, cells(window.columns), cells(window.rows), 2);
        act->window_buffer.reset(ggml_backend_alloc_ctx_tensors_from_buft(act->window_ctx.get(), ggml_backend_cpu_buffer_type()));
        if (!act->window_buffer) {
            throw std::runtime_error("no memory for the attention matrix");
        }
        float * data = (float *) act->window_tensor->data;
        std::fill(data, data + ggml_nelements(act->window_tensor), std::numeric_limits<float>::quiet_NaN());
    }
    changed(ctx);
}

std::vector<float> llama_act_get_window(llama_context * ctx) {
    const llama_act * act = act_of(ctx, false);
    if (!act || !act->window_tensor) {
        return {};
    }
    const float * data = (const float *) act->window_tensor->data;
    return std::vector<float>(data, data + ggml_nelements(act->window_tensor));
}

std::vector<llama_act_sinks> llama_act_get_sinks(llama_context * ctx, llama_seq_id id) {
    std::vector<llama_act_sinks> result;
    llama_act * act = act_of(ctx, false);
    const auto  it  = act ? act->sequences.find(id) : std::map<llama_seq_id, act_sequence>::iterator();
    if (!act || it == act->sequences.end() || it->second.last < 0) {
        return result;
    }
    ctx->synchronize();
    for (const auto & [il, list] : it->second.layers) {
        const auto   & cells   = act->cache(il)->get_cells(id);
        const auto   & layer   = act->layers[il];
        const int64_t  n_cells = layer.n_cells();
        for (const auto & e : list) {
            std::vector<int32_t> row(n_cells + 2);
            const size_t at = e.slot*layer.state->nb[1] + GGML_ACT_STATE_EXEMPT(n_cells)*sizeof(float);
            ggml_backend_tensor_get(layer.state, row.data(), at, 2*sizeof(int32_t));
            const int32_t count = row[1];
            if (count > 0) {
                ggml_backend_tensor_get(layer.state, row.data() + 2, at + 2*sizeof(int32_t), count*sizeof(int32_t));
            }
            llama_act_sinks sinks = { il, e.head, row[0] < 0 ? -1 : cells.pos_get(row[0]), {} };
            for (int32_t i = 0; i < count; i++) {
                sinks.positions.push_back(cells.pos_get(row[2 + i]));
            }
            std::sort(sinks.positions.begin(), sinks.positions.end());
            result.push_back(std::move(sinks));
        }
    }
    return result;
}

llama_act_capture llama_act_get_capture(llama_context * ctx, llama_seq_id id) {
    const auto & hparams = ctx->get_model().hparams;
    llama_act_capture result = { (int32_t) hparams.n_layer(), (int32_t) hparams.n_head(0), 0, {} };

    llama_act * act = act_of(ctx, false);
    const auto  it  = act ? act->sequences.find(id) : std::map<llama_seq_id, act_sequence>::iterator();
    if (!act || it == act->sequences.end() || it->second.last < 0) {
        return result;
    }
    ctx->synchronize();
    const act_sequence & seq = it->second;
    for (int32_t il = 0; il < result.n_layer; il++) {
        result.n_head = std::max(result.n_head, (int32_t) hparams.n_head(il));
    }
    result.n_keys = seq.last + 1;
    result.means.assign((size_t) result.n_layer*result.n_head*result.n_keys, 0.0f);

    for (const auto & [il, list] : seq.layers) {
        const auto  & cells   = act->cache(il)->get_cells(id);
        const auto  & layer   = act->layers[il];
        const int64_t n_cells = layer.n_cells();
        std::vector<float> sums(n_cells);
        for (const auto & e : list) {
            ggml_backend_tensor_get(layer.state, sums.data(), e.slot*layer.state->nb[1], n_cells*sizeof(float));
            float * means = result.means.data() + ((size_t) il*result.n_head + e.head)*result.n_keys;
            for (int64_t i = 0; i < n_cells; i++) {
                if (!cells.is_empty(i) && cells.seq_has(i, id) && cells.pos_get(i) <= seq.last) {
                    const llama_pos p = cells.pos_get(i);
                    const llama_pos seen = std::min(seq.last, act->last_row(act->cache(il), p)) - std::max(p, seq.start) + 1;
                    means[p] = seen > 0 ? sums[i]/seen : 0.0f;
                }
            }
        }
    }
    return result;
}

void llama_act_set_first_layer(llama_context * ctx, uint32_t layer) {
    ctx->get_cparams_mutable().act_first_layer = layer;
}

bool llama_act_can_restart(const llama_model * model) {
    return model->arch == LLM_ARCH_LLAMA || model->arch == LLM_ARCH_QWEN2 || model->arch == LLM_ARCH_QWEN3;
}

size_t llama_act_state_size(llama_context * ctx) {
    size_t size = 0;
    if (const llama_act * act = act_of(ctx, false)) {
        for (const auto & [il, layer] : act->layers) {
            size += layer.buffer ? ggml_backend_buffer_get_size(layer.buffer.get()) : 0;
        }
    }
    return size;
}

std::string llama_act_missed(llama_context * ctx, llama_seq_id id) {
    llama_act * act = act_of(ctx, false);
    const auto  it  = act ? act->sequences.find(id) : std::map<llama_seq_id, act_sequence>::iterator();
    if (!act || it == act->sequences.end()) {
        return "";
    }
    for (const auto & [il, list] : it->second.layers) {
        if ((uint32_t) il >= ctx->get_cparams().act_first_layer && !it->second.built.count(il)) {
            return !it->second.why.empty() ? it->second.why : "Models of architecture '" + ctx->get_model().arch_name() + "' cannot be calibrated: layer " +
                std::to_string(il) + " computes its attention in another way.";
        }
    }
    return "";
}
