#include "llama-act-state.h"

#include "llama-kv-cache-iswa.h"

#include "ggml-act.h"

#include <algorithm>
#include <stdexcept>

const llama_kv_cache * llama_act::cache(int il) const {
    if (const auto * kv = dynamic_cast<const llama_kv_cache *>(memory)) {
        return kv;
    }
    if (const auto * kv = dynamic_cast<const llama_kv_cache_iswa *>(memory)) {
        return model.hparams.is_swa(il) ? kv->get_swa() : kv->get_base();
    }
    return nullptr;
}

int32_t llama_act::new_slot(int32_t il) {
    act_layer & layer = layers[il];
    const auto  at    = std::find(layer.used.begin(), layer.used.end(), false);
    const auto  slot  = at - layer.used.begin();
    if (at == layer.used.end()) {
        resize(il, layer, std::max<size_t>(4, 2*layer.used.size()));
    }
    layer.used[slot] = true;
    return slot;
}

void llama_act::resize(int32_t il, act_layer & layer, size_t n) {
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

// The state lies where the op runs.
ggml_backend_buffer_type_t llama_act::state_buffer_type(int32_t il) const {
    return on_cpu.count(il) ? ggml_backend_cpu_buffer_type() : ggml_backend_buffer_get_type(cache(il)->get_k_storage(il)->buffer);
}

void llama_act::move_to_cpu(int32_t il) {
    on_cpu.insert(il);
    resize(il, layers[il], layers[il].used.size());
}

void llama_act::add(act_sequence & seq, int32_t il, int32_t head, bool calibrated, float weight) {
    auto & list = seq.layers[il];
    auto   at   = std::lower_bound(list.begin(), list.end(), head, [](const act_entry & e, int32_t h) { return e.head < h; });
    if (at != list.end() && at->head == head) {
        if (calibrated) {
            at->calibrated = true;
            at->weight     = weight;
        }
    } else {
        list.insert(at, { head, new_slot(il), calibrated, weight });
    }
}

void llama_act::add_calibrated(act_sequence & seq) {
    const llama_act_config & config = seq.config;
    for (size_t i = 0; i < config.heads.size(); i++) {
        add(seq, config.heads[i].first, config.heads[i].second, true, config.weights.empty() ? config.weight : config.weights[i]);
    }
}

void llama_act::clear(act_sequence & seq) {
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

act_sequence * llama_act::find(llama_seq_id id) {
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

void llama_act::unwatch() {
    for (auto & [id, seq] : sequences) {
        if (seq.watched) {
            clear(seq);
            add_calibrated(seq);
        }
    }
}
