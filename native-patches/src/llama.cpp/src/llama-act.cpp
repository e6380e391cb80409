#include "llama-act.h"

#include "llama-context.h"
#include "llama-graph.h"
#include "llama-kv-cache.h"
#include "llama-kv-cache-iswa.h"
#include "llama-model.h"

#include "ggml-act.h"
#include "ggml-cpp.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <set>
#include <stdexcept>

namespace {

// A head of a sequence whose statistics are kept, and the row of its layer's state tensor where they are.
struct act_entry {
    int32_t head;
    int32_t slot;
    bool    calibrated; // else watched only
};

struct act_sequence {
    llama_act_config config;

    bool      fresh = true; // the next rows begin a prefill
    llama_pos start = 0;    // first row of the last prefill
    llama_pos last  = -1;   // last row so far

    bool watched = false;
    std::map<int32_t, std::vector<act_entry>> layers; // by head
    std::set<int32_t> built; // layers that have the op in the last graph
};

// Running sums and sink lists of one layer: rows of GGML_ACT_STATE_WIDTH(n_cells), handed out as slots.
struct act_layer {
    ggml_context_ptr        ctx;
    ggml_backend_buffer_ptr buffer;
    ggml_tensor           * state = nullptr;
    std::vector<bool>       used;
};

} // namespace

struct llama_act {
    const llama_model & model;
    llama_memory_i    * memory;

    std::map<llama_seq_id, act_sequence> sequences;
    std::map<int32_t, act_layer>         layers;

    bool watch = false;

    llama_act_window        window;
    ggml_context_ptr        window_ctx;
    ggml_backend_buffer_ptr window_buffer;
    ggml_tensor           * window_tensor = nullptr;

    llama_act(const llama_model & model, llama_memory_i * memory) : model(model), memory(memory) {}

    // The cache of a layer; null where the context's memory is of another kind.
    const llama_kv_cache * cache(int il) const {
        if (const auto * kv = dynamic_cast<const llama_kv_cache *>(memory)) {
            return kv;
        }
        if (const auto * kv = dynamic_cast<const llama_kv_cache_iswa *>(memory)) {
            return model.hparams.is_swa(il) ? kv->get_swa() : kv->get_base();
        }
        return nullptr;
    }

    int32_t new_slot(int32_t il) {
        act_layer & layer = layers[il];
        const auto  at    = std::find(layer.used.begin(), layer.used.end(), false);
        const auto  slot  = at - layer.used.begin();
        if (at == layer.used.end()) {
            resize(il, layer, std::max<size_t>(4, 2*layer.used.size()));
        }
        layer.used[slot] = true;
        return slot;
    }

    // What is in the slots moves along.
    void resize(int32_t il, act_layer & layer, size_t n) {
        const auto * kv = cache(il);

        act_layer next;
        next.ctx.reset(ggml_init({ ggml_tensor_overhead(), nullptr, true }));
        next.state = ggml_new_tensor_2d(next.ctx.get(), GGML_TYPE_F32, GGML_ACT_STATE_WIDTH(kv->get_size()), n);
        ggml_format_name(next.state, "act_state_l%d", il);
        next.buffer.reset(ggml_backend_alloc_ctx_tensors_from_buft(next.ctx.get(), state_buffer_type(il)));
        if (!next.buffer) {
            throw std::runtime_error("no memory for the running statistics of ACT");
        }
        ggml_backend_buffer_clear(next.buffer.get(), 0);

        if (layer.state) {
            std::vector<uint8_t> data(ggml_nbytes(layer.state));
            ggml_backend_tensor_get(layer.state, data.data(), 0, data.size());
            ggml_backend_tensor_set(next.state, data.data(), 0, data.size());
        }
        next.used = layer.used;
        next.used.resize(n, false);
        layer = std::move(next);
    }

    // Layers whose keys lie on a device that lacks the op (or lacks it for these operands): their op runs on the CPU.
    std::set<int32_t> on_cpu;

    // The state lies where the op runs.
    ggml_backend_buffer_type_t state_buffer_type(int32_t il) const {
        return on_cpu.count(il) ? ggml_backend_cpu_buffer_type() : ggml_backend_buffer_get_type(cache(il)->get_k_storage(il)->buffer);
    }

    void move_to_cpu(int32_t il) {
        on_cpu.insert(il);
        resize(il, layers[il], layers[il].used.size());
    }

    void add(act_sequence & seq, int32_t il, int32_t head, bool calibrated) {
        auto & list = seq.layers[il];
        auto   at   = std::lower_bound(list.begin(), list.end(), head, [](const act_entry & e, int32_t h) { return e.head < h; });
        if (at != list.end() && at->head == head) {
            at->calibrated = at->calibrated || calibrated;
        } else {
            list.insert(at, { head, new_slot(il), calibrated });
        }
    }

    void clear(act_sequence & seq) {
        for (auto & [il, list] : seq.layers) {
            for (const auto & entry : list) {
                layers[il].used[entry.slot] = false;
            }
        }
        seq.layers.clear();
        seq.built.clear();
        seq.watched = false;
        seq.fresh   = true;
    }

    // While watching, every head of every layer has an entry.
    act_sequence * find(llama_seq_id id) {
        if (watch) {
            act_sequence & seq = sequences[id];
            if (!seq.watched) {
                for (uint32_t il = 0; il < model.hparams.n_layer(); il++) {
                    for (uint32_t h = 0; h < model.hparams.n_head(il); h++) {
                        add(seq, il, h, false);
                    }
                }
                seq.watched = true;
                seq.fresh   = true;
            }
            return &seq;
        }
        const auto it = sequences.find(id);
        return it == sequences.end() ? nullptr : &it->second;
    }

    // Takes back what watching added.
    void unwatch() {
        for (auto & [id, seq] : sequences) {
            const llama_act_config config = seq.config;
            if (seq.watched) {
                clear(seq);
                for (const auto & [il, head] : config.heads) {
                    add(seq, il, head, true);
                }
            }
        }
    }
};

namespace {

// Keys and entries of one ubatch, for all its layers.
class llm_graph_input_act : public llm_graph_input_i {
public:
    explicit llm_graph_input_act(llama_act * act) : act(act) {}

    void set_input(const llama_ubatch * ubatch) override {
        // a prefill begins with the first rows after it was announced
        std::set<llama_seq_id> fresh;
        for (const llama_seq_id id : streams) {
            act_sequence * seq = act->find(id);
            if (!seq) {
                continue;
            }
            const auto [first, last] = rows(ubatch, id);
            if (seq->fresh) {
                seq->start = first;
                seq->fresh = false;
                fresh.insert(id);
            }
            seq->last = last;
        }
        for (auto & [cache, tensor] : keys) {
            set_keys(ubatch, cache, tensor);
        }
        for (auto & [il, tensor] : entries) {
            set_entries(ubatch, il, tensor, fresh);
        }
    }

    // Topology depends on the head sets alone, whose version allow_reuse compares; n_kv is the attention input's to check.
    bool can_reuse(const llm_graph_params & params) override {
        return params.cparams.act.get() == act;
    }

    llama_act                * act;
    std::vector<llama_seq_id>  streams;
    int64_t                    n_rows = 0;

    std::map<const llama_kv_cache *, ggml_tensor *> keys;
    std::map<int32_t, ggml_tensor *>                entries;

private:
    // first and last position of a sequence's rows in this ubatch
    std::pair<llama_pos, llama_pos> rows(const llama_ubatch * ubatch, llama_seq_id id) const {
        const size_t s = std::find(streams.begin(), streams.end(), id) - streams.begin();
        return { ubatch->pos[s*n_rows], ubatch->pos[(s + 1)*n_rows - 1] };
    }

    void set_keys(const llama_ubatch * ubatch, const llama_kv_cache * cache, ggml_tensor * tensor) const {
        const int64_t n_kv = tensor->ne[0];
        std::vector<int32_t> data(ggml_nelements(tensor), 0);

        for (size_t s = 0; s < streams.size(); s++) {
            const auto & cells = cache->get_cells(streams[s]);
            const auto [first, last] = rows(ubatch, streams[s]);
            const act_sequence * seq = act->find(streams[s]);
            const llama_pos start = seq ? seq->start : first;

            int32_t * position = data.data() + s*GGML_ACT_KEYS_ROWS*n_kv;
            int32_t * count    = position + n_kv;
            int32_t * segment  = count + n_kv;
            for (int64_t i = 0; i < n_kv; i++) {
                if (cells.is_empty(i) || !cells.seq_has(i, streams[s]) || cells.pos_get(i) > last) {
                    position[i] = -1;
                    continue;
                }
                const llama_pos p = cells.pos_get(i);
                position[i] = p;
                count   [i] = last - std::max(p, start) + 1;
                segment [i] = last - std::max(p, first) + 1;
            }
        }
        ggml_backend_tensor_set(tensor, data.data(), 0, data.size()*sizeof(int32_t));
    }

    void set_entries(const llama_ubatch * ubatch, int32_t il, ggml_tensor * tensor, const std::set<llama_seq_id> & fresh) const {
        std::vector<int32_t> data(ggml_nelements(tensor), 0);
        int32_t * entry = data.data();

        for (size_t s = 0; s < streams.size(); s++) {
            const act_sequence * seq = act->find(streams[s]);
            const auto list = seq ? seq->layers.find(il) : std::map<int32_t, std::vector<act_entry>>::const_iterator();
            if (!seq || list == seq->layers.end()) {
                continue;
            }
            const auto & config = seq->config;
            const auto [first, last] = rows(ubatch, streams[s]);
            const float limit = config.relative ? config.threshold/visible(ubatch, il, streams[s]) : config.threshold;
            for (const auto & e : list->second) {
                const bool seen = act->window.layer == il && act->window.head == e.head && s == 0;
                const int32_t flags =
                    (fresh.count(streams[s])         ? GGML_ACT_FLAG_FRESH   : 0) |
                    (config.row && e.calibrated      ? GGML_ACT_FLAG_ROW     : 0) |
                    (config.initial && e.calibrated  ? GGML_ACT_FLAG_INITIAL : 0) |
                    (e.calibrated                    ? 0 : GGML_ACT_FLAG_WATCH) |
                    (seen                            ? GGML_ACT_FLAG_MATRIX  : 0);

                entry[GGML_ACT_ENTRY_STREAM] = s;
                entry[GGML_ACT_ENTRY_HEAD]   = e.head;
                entry[GGML_ACT_ENTRY_SLOT]   = e.slot;
                entry[GGML_ACT_ENTRY_FLAGS]  = flags;
                memcpy(entry + GGML_ACT_ENTRY_WEIGHT, &config.weight, sizeof(float));
                memcpy(entry + GGML_ACT_ENTRY_LIMIT,  &limit,         sizeof(float));
                entry[GGML_ACT_ENTRY_ROW0]   = first;
                entry += GGML_ACT_ENTRY_SIZE;
            }
        }
        ggml_backend_tensor_set(tensor, data.data(), 0, data.size()*sizeof(int32_t));
    }

    // N: keys that the last row of a sequence sees
    int32_t visible(const llama_ubatch * ubatch, int32_t il, llama_seq_id id) const {
        const auto & cells = act->cache(il)->get_cells(id);
        const llama_pos last = rows(ubatch, id).second;
        int32_t n = 0;
        for (uint32_t i = 0; i < cells.size(); i++) {
            n += !cells.is_empty(i) && cells.seq_has(i, id) && cells.pos_get(i) <= last;
        }
        return n;
    }
};

llama_act * act_of(llama_context * ctx, bool create = true) {
    auto & cparams = ctx->get_cparams_mutable();
    if (!cparams.act && create) {
        cparams.act = std::make_shared<llama_act>(ctx->get_model(), ctx->get_memory());
    }
    return cparams.act.get();
}

// Graphs built before a change of topology must not be used again.
void changed(llama_context * ctx) {
    ctx->get_cparams_mutable().act_version++;
}

// The device that holds the layer's keys, if it has the op for these operands.
bool device_takes(const llama_act & act, int32_t il, const ggml_tensor * node) {
    ggml_backend_buffer_type_t buft = ggml_backend_buffer_get_type(act.cache(il)->get_k_storage(il)->buffer);
    ggml_backend_dev_t         dev  = ggml_backend_buft_get_device(buft);
    return dev == nullptr || ggml_backend_dev_supports_op(dev, node);
}

} // namespace

std::string llama_act_unsupported(const llama_model * model, uint32_t n_ctx_seq) {
    const auto & hparams = model->hparams;
    const std::string arch = model->arch_name();
    const auto refuse = [&](const std::string & why) { return "Models of architecture '" + arch + "' cannot be calibrated: " + why; };

    if (llama_model_is_recurrent(model) || llama_model_is_hybrid(model)) {
        return refuse("they have recurrent layers, which have no attention heads.");
    }
    if (llama_model_has_encoder(model) || llama_model_is_diffusion(model) || !hparams.causal_attn) {
        return refuse("their attention is not causal.");
    }
    if (hparams.is_mla()) {
        return refuse("they use multi-head latent attention.");
    }
    switch (model->arch) {
        case LLM_ARCH_GROK:
        case LLM_ARCH_OPENAI_MOE:
            return refuse("their attention adds terms to the softmax that the calibration does not know.");
        default:
            break;
    }
    if (hparams.swa_type != LLAMA_SWA_TYPE_NONE && (n_ctx_seq == 0 || n_ctx_seq > hparams.n_swa)) {
        return refuse("they use a sliding attention window of " + std::to_string(hparams.n_swa) +
            " tokens; load the model with a context of at most that size.");
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
        const std::string reason = llama_act_unsupported(&model, cparams.n_ctx_seq);
        if (!reason.empty()) {
            throw std::invalid_argument(reason);
        }
        if (cparams.kv_unified && cparams.n_seq_max > 1) {
            throw std::invalid_argument("calibration needs one key/value stream per sequence (kv_unified off)");
        }
        if (!act_of(ctx)->cache(0)) {
            throw std::invalid_argument("Models of architecture '" + model.arch_name() + "' cannot be calibrated: their key/value cache is of another kind.");
        }
        for (const auto & [layer, head] : config->heads) {
            if (layer < 0 || (uint32_t) layer >= hparams.n_layer() || head < 0 || (uint32_t) head >= hparams.n_head(layer)) {
                throw std::invalid_argument("the model has no head (" + std::to_string(layer) + ", " + std::to_string(head) + ")");
            }
        }
        if (!std::isfinite(config->weight) || config->weight < 0.0f || !std::isfinite(config->threshold)) {
            throw std::invalid_argument("beta and threshold must be finite numbers, beta not negative");
        }
    }

    llama_act * act = act_of(ctx);
    act->clear(act->sequences[id]);
    if (!config || config->heads.empty()) {
        act->sequences.erase(id);
    } else {
        act_sequence & seq = act->sequences[id];
        seq.config = *config;
        for (const auto & [layer, head] : config->heads) {
            act->add(seq, layer, head, true);
        }
    }
    changed(ctx);
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
        const std::string reason = llama_act_unsupported(&ctx->get_model(), ctx->get_cparams().n_ctx_seq);
        if (!reason.empty() || !act->cache(0)) {
            throw std::invalid_argument(reason.empty() ? "this model's key/value cache cannot be watched" : reason);
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
    if (act->on_cpu.erase(act->window.layer) > 0) { // perhaps only for the window: the next graph asks the device again
        act->resize(act->window.layer, act->layers[act->window.layer], act->layers[act->window.layer].used.size());
    }
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
        const int64_t  n_cells = (layer.state->ne[0] - 2)/2;
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
        const int64_t n_cells = (layer.state->ne[0] - 2)/2;
        std::vector<float> sums(n_cells);
        for (const auto & e : list) {
            ggml_backend_tensor_get(layer.state, sums.data(), e.slot*layer.state->nb[1], n_cells*sizeof(float));
            float * means = result.means.data() + ((size_t) il*result.n_head + e.head)*result.n_keys;
            for (int64_t i = 0; i < n_cells; i++) {
                if (!cells.is_empty(i) && cells.seq_has(i, id) && cells.pos_get(i) <= seq.last) {
                    const llama_pos p = cells.pos_get(i);
                    means[p] = sums[i]/(seq.last - std::max(p, seq.start) + 1);
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
            return "Models of architecture '" + ctx->get_model().arch_name() + "' cannot be calibrated: layer " +
                std::to_string(il) + " computes its attention in another way.";
        }
    }
    return "";
}

ggml_tensor * llama_act_build(
        const llm_graph_context & graph,
        ggml_tensor * o, ggml_tensor * q, ggml_tensor * k, ggml_tensor * v, ggml_tensor * mask,
        bool v_trans, bool plain, float scale, int il) {
    llama_act * act = graph.cparams.act.get();
    const llama_ubatch & ubatch = graph.ubatch;
    // a graph that is only measured (reserve) has no sequences
    if (!act || !ubatch.seq_id || !ubatch.seq_id[0]) {
        return o;
    }
    const int64_t n_stream = k->ne[3];
    const int64_t n_rows   = q->ne[1];

    std::vector<llama_seq_id>   streams(n_stream);
    std::vector<act_sequence *> here; // sequences with an entry in this layer
    int64_t n_entries = 0;
    for (int64_t s = 0; s < n_stream; s++) {
        streams[s] = ubatch.seq_id[s*n_rows][0];
        act_sequence * seq = act->find(streams[s]);
        if (seq && seq->layers.count(il)) {
            n_entries += seq->layers[il].size();
            here.push_back(seq);
        }
    }
    if (n_entries == 0 || !plain || !act->cache(il)) {
        return o;
    }

    if (v_trans) {
        v = ggml_transpose(graph.ctx0, v);
    }

    // one input for all layers of the graph
    llm_graph_input_act * input = nullptr;
    for (const auto & other : graph.res->inputs) {
        if (auto * found = dynamic_cast<llm_graph_input_act *>(other.get())) {
            input = found;
        }
    }
    if (!input) {
        auto created = std::make_unique<llm_graph_input_act>(act);
        created->streams = streams;
        created->n_rows  = n_rows;
        input = (llm_graph_input_act *) graph.res->add_input(std::move(created));
        for (const llama_seq_id id : streams) {
            if (act_sequence * seq = act->find(id)) {
                seq->built.clear();
            }
        }
    }

    ggml_tensor *& keys = input->keys[act->cache(il)];
    if (!keys) {
        keys = ggml_new_tensor_3d(graph.ctx0, GGML_TYPE_I32, k->ne[1], GGML_ACT_KEYS_ROWS, n_stream);
        ggml_set_input(keys);
        ggml_set_name(keys, "act_keys");
    }
    ggml_tensor * entries = ggml_new_tensor_2d(graph.ctx0, GGML_TYPE_I32, GGML_ACT_ENTRY_SIZE, n_entries);
    ggml_set_input(entries);
    ggml_format_name(entries, "act_entries_l%d", il);
    input->entries[il] = entries;

    const bool windowed = act->window_tensor && act->window.layer == il;

    ggml_act_params params = {};
    params.scale    = scale;
    params.max_bias = graph.hparams.f_max_alibi_bias;
    params.softcap  = graph.hparams.attn_soft_cap ? graph.hparams.f_attn_logit_softcapping : 0.0f;
    params.n_head   = q->ne[2];
    params.n_rows   = n_rows;
    params.pool     = windowed ? act->window.pool    : 1;
    params.row0     = windowed ? act->window.row0    : 0;
    params.column0  = windowed ? act->window.column0 : 0;

    const auto node = [&](ggml_tensor * from) {
        return ggml_act(graph.ctx0, from, q, k, v, mask, keys, entries, act->layers[il].state, windowed ? act->window_tensor : nullptr, &params);
    };

    ggml_tensor * cur = node(o);
    if (!act->on_cpu.count(il) && !device_takes(*act, il, cur)) {
        act->move_to_cpu(il);
    }
    if (act->on_cpu.count(il)) {
        // the op writes in place, so what it writes must lie where it runs
        ggml_tensor * copy = ggml_cont(graph.ctx0, o);
        ggml_backend_sched_set_tensor_backend(graph.sched, copy, graph.backend_cpu);
        cur = node(copy);
        ggml_backend_sched_set_tensor_backend(graph.sched, cur, graph.backend_cpu);
    }
    graph.cb(cur, "act", il);
    for (act_sequence * seq : here) {
        seq->built.insert(il);
    }
    return cur;
}
