// ACT in the graph: the op behind attention, and its inputs.

#include "llama-act-state.h"

#include "llama-act-gradient.h"

#include "llama-graph.h"
#include "llama-kv-cache.h"

#include "ggml-act.h"

#include <algorithm>
#include <cstring>

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
                memcpy(entry + GGML_ACT_ENTRY_WEIGHT, &e.weight, sizeof(float));
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

// The device that holds the layer's keys, if it has the op for these operands.
bool device_takes(const llama_act & act, int32_t il, const ggml_tensor * node) {
    ggml_backend_buffer_type_t buft = ggml_backend_buffer_get_type(act.cache(il)->get_k_storage(il)->buffer);
    ggml_backend_dev_t         dev  = ggml_backend_buft_get_device(buft);
    return dev == nullptr || ggml_backend_dev_supports_op(dev, node);
}

} // namespace

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
    if (graph.cparams.act_gradient) {
        llama_act_gradient_note(*graph.cparams.act_gradient, cur, il);
    }
    for (act_sequence * seq : here) {
        seq->built.insert(il);
    }
    return cur;
}
