// ACT in the graph: the op behind attention, and its inputs.

#include "llama-act-state.h"

#include "llama-act-gradient.h"

#include "llama-graph.h"
#include "llama-kv-cache.h"

#include "ggml-act.h"

#include <algorithm>
#include <cstring>
#include <limits>

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
            forget_replaced(ubatch, il, fresh);
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
    std::map<const llama_kv_cache *, std::vector<int32_t>> visible; // N by stream: keys that the last of its rows sees

    // first and last position of a sequence's rows in this ubatch
    std::pair<llama_pos, llama_pos> rows(const llama_ubatch * ubatch, llama_seq_id id) const {
        const size_t s = std::find(streams.begin(), streams.end(), id) - streams.begin();
        return { ubatch->pos[s*n_rows], ubatch->pos[(s + 1)*n_rows - 1] };
    }

    void set_keys(const llama_ubatch * ubatch, const llama_kv_cache * cache, ggml_tensor * tensor) {
        const int64_t n_kv = tensor->ne[0];
        auto & seen = visible[cache];
        seen.assign(streams.size(), 0);
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
                position[i] = -1;
                if (cells.is_empty(i) || !cells.seq_has(i, streams[s])) {
                    continue;
                }
                const llama_pos p   = cells.pos_get(i);
                const llama_pos end = std::min(last, act->last_row(cache, p));
                if (end >= std::max(p, first)) { // else no row of this segment sees it
                    position[i] = p;
                    count   [i] = end - std::max(p, start) + 1;
                    segment [i] = end - std::max(p, first) + 1;
                }
                seen[s] += p <= last && end == last;
            }
        }
        ggml_backend_tensor_set(tensor, data.data(), 0, data.size()*sizeof(int32_t));
    }

    // A cache of a sliding window puts new keys into the cells of keys that no row sees any more: their sums start anew.
    void forget_replaced(const llama_ubatch * ubatch, int32_t il, const std::set<llama_seq_id> & fresh) const {
        const llama_kv_cache * cache = act->cache(il);
        ggml_tensor * state = act->layers[il].state;
        for (const llama_seq_id id : streams) {
            const act_sequence * seq = act->find(id);
            const auto list = seq ? seq->layers.find(il) : std::map<int32_t, std::vector<act_entry>>::const_iterator();
            if (!seq || list == seq->layers.end() || fresh.count(id) || act->last_row(cache, 0) == std::numeric_limits<llama_pos>::max()) {
                continue;
            }
            const auto & cells = cache->get_cells(id);
            const llama_pos first = rows(ubatch, id).first;
            const uint32_t  n     = std::min<uint32_t>(cells.size(), (state->ne[0] - 2)/2);
            const auto is_new = [&](uint32_t i) { return !cells.is_empty(i) && cells.seq_has(i, id) && cells.pos_get(i) >= first; };
            for (uint32_t i = 0, end; i < n; i = end) {
                for (end = i; end < n && is_new(end); end++) {}
                for (const auto & e : list->second) {
                    if (end > i) {
                        ggml_backend_tensor_memset(state, 0, e.slot*state->nb[1] + i*sizeof(float), (end - i)*sizeof(float));
                    }
                }
                end = std::max(end, i + 1);
            }
        }
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
            const float limit = config.relative ? config.threshold/visible.at(act->cache(il))[s] : config.threshold;
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
};

// The backend of the graph that computes on a device; nullptr: none, so it cannot run there.
ggml_backend_t backend_of(ggml_backend_sched_t sched, ggml_backend_dev_t dev) {
    for (int i = 0; i < ggml_backend_sched_get_n_backends(sched); i++) {
        ggml_backend_t backend = ggml_backend_sched_get_backend(sched, i);
        if (ggml_backend_get_device(backend) == dev) {
            return backend;
        }
    }
    return nullptr;
}

// Whether every op of the graph runs in the CPU's memory, so that nothing need be said about where.
bool all_on_cpu(ggml_backend_sched_t sched) {
    for (int i = 0; i < ggml_backend_sched_get_n_backends(sched); i++) {
        ggml_backend_dev_t dev = ggml_backend_get_device(ggml_backend_sched_get_backend(sched, i));
        const auto type = dev ? ggml_backend_dev_type(dev) : GGML_BACKEND_DEVICE_TYPE_CPU;
        if (type != GGML_BACKEND_DEVICE_TYPE_CPU && type != GGML_BACKEND_DEVICE_TYPE_ACCEL) {
            return false;
        }
    }
    return true;
}

// Whether the op that computes o (behind views) can run on a device.
bool computes(ggml_backend_dev_t dev, const ggml_tensor * o) {
    while (o->op == GGML_OP_VIEW || o->op == GGML_OP_RESHAPE || o->op == GGML_OP_PERMUTE || o->op == GGML_OP_TRANSPOSE) {
        o = o->src[0];
    }
    return ggml_backend_dev_supports_op(dev, o);
}

const ggml_tensor * behind_views(const ggml_tensor * t) {
    while (t->op == GGML_OP_RESHAPE || t->op == GGML_OP_VIEW || t->op == GGML_OP_PERMUTE || t->op == GGML_OP_TRANSPOSE || t->op == GGML_OP_CONT) {
        t = t->src[0];
    }
    return t;
}

bool has_no_source_from(const ggml_tensor * t, int first) {
    return std::all_of(t->src + first, t->src + GGML_MAX_SRC, [](const ggml_tensor * src) { return src == nullptr; });
}

// scores, capped or not
bool are_scores(const ggml_tensor * t, const ggml_tensor * k, bool capped) {
    if (capped) {
        for (const ggml_op op : { GGML_OP_SCALE, GGML_OP_UNARY, GGML_OP_SCALE }) {
            if (t->op != op || (op == GGML_OP_UNARY && ggml_get_unary_op(t) != GGML_UNARY_OP_TANH)) {
                return false;
            }
            t = t->src[0];
        }
    }
    return t->op == GGML_OP_MUL_MAT && t->src[0] == k;
}

// What attention was, read from its graph: only what is known here is calibrated, so that a term which llama.cpp adds one day is refused.
struct softmax {
    bool          known = false;
    ggml_tensor * sinks = nullptr; // learned

    softmax(const ggml_tensor * o, const ggml_tensor * k, const ggml_tensor * mask, bool capped) {
        const ggml_tensor * t = behind_views(o);
        if (t->op == GGML_OP_FLASH_ATTN_EXT) {
            const bool all_keys = t->op_params[4] == 0; // ggml_flash_attn_ext_set_n_kv_max
            known = t->src[1] == k && t->src[3] == mask && has_no_source_from(t, 5) && all_keys;
            sinks = t->src[4];
        } else if (t->op == GGML_OP_MUL_MAT && t->src[1]->op == GGML_OP_SOFT_MAX) {
            t     = t->src[1];
            known = are_scores(t->src[0], k, capped) && t->src[1] == mask && has_no_source_from(t, 3);
            sinks = t->src[2];
        }
        known = known && mask && mask->ne[2] == 1;
    }
};

} // namespace

ggml_tensor * llama_act_build_latent(
        const llm_graph_context & graph,
        ggml_tensor * o, ggml_tensor * q, ggml_tensor * k, ggml_tensor * v, ggml_tensor * mask,
        bool v_trans, float scale, int il) {
    const bool heads_inside = o->op == GGML_OP_FLASH_ATTN_EXT;
    ggml_tensor * in  = heads_inside ? o : ggml_cont(graph.ctx0, ggml_permute(graph.ctx0, o, 0, 2, 1, 3));
    ggml_tensor * out = llama_act_build(graph, in, q, k, v, mask, v_trans, scale, il);
    if (out == in) {
        return o; // the graph stays what it was
    }
    return heads_inside ? out : ggml_cont(graph.ctx0, ggml_permute(graph.ctx0, out, 0, 2, 1, 3));
}

ggml_tensor * llama_act_build(
        const llm_graph_context & graph,
        ggml_tensor * o, ggml_tensor * q, ggml_tensor * k, ggml_tensor * v, ggml_tensor * mask,
        bool v_trans, float scale, int il) {
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
    if (n_entries == 0 || !act->cache(il)) {
        return o;
    }
    const softmax attention(o, k, mask, graph.hparams.attn_soft_cap);
    if (!attention.known) {
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
                seq->why.clear();
            }
        }
    }

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

    const auto known = input->keys.find(act->cache(il));
    ggml_tensor * keys = known != input->keys.end() ? known->second :
        ggml_new_tensor_3d(graph.ctx0, GGML_TYPE_I32, k->ne[1], GGML_ACT_KEYS_ROWS, n_stream);
    ggml_tensor * entries = ggml_new_tensor_2d(graph.ctx0, GGML_TYPE_I32, GGML_ACT_ENTRY_SIZE, n_entries);

    const auto node = [&] {
        ggml_tensor * state  = act->layers[il].state;
        ggml_tensor * result = ggml_act(graph.ctx0, o, q, k, v, mask, keys, entries, state, windowed ? act->window_tensor : nullptr, &params);
        ggml_act_add_sinks(result, attention.sinks);
        return result;
    };
    // Where the op runs; null: everything is in the CPU's memory.
    ggml_backend_t backend = nullptr;
    try {
        act->reserve_cells(il, k->ne[1]);
        if (!all_on_cpu(graph.sched)) {
            ggml_backend_dev_t dev = act->device(il);
            backend = dev ? backend_of(graph.sched, dev) : nullptr;
            if (dev && !(backend && ggml_backend_dev_supports_op(dev, node()))) {
                act->set_on_cpu(il, true);
            }
            if (!dev || act->on_cpu.count(il)) {
                backend = graph.backend_cpu;
            }
        }
    } catch (const std::exception & e) {
        for (act_sequence * seq : here) {
            seq->why = e.what();
        }
        return o;
    }
    if (known == input->keys.end()) {
        ggml_set_input(keys);
        ggml_set_name(keys, "act_keys");
        input->keys[act->cache(il)] = keys;
    }
    ggml_set_input(entries);
    ggml_format_name(entries, "act_entries_l%d", il);
    input->entries[il] = entries;

    // The op runs where its state lies, which the scheduler must not choose: a copy of the state would take what the op writes, and be dropped.
    // It writes o in place, so o must lie there as well.
    if (backend && (backend == graph.backend_cpu || !computes(act->device(il), o))) {
        o = ggml_cont(graph.ctx0, o);
        ggml_backend_sched_set_tensor_backend(graph.sched, o, backend);
    }
    ggml_tensor * cur = node();
    if (backend) {
        ggml_backend_sched_set_tensor_backend(graph.sched, cur, backend);
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
