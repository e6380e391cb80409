#include "llama-act-state.h"

#include "llama-context.h"
#include "llama-kv-cache-iswa.h"
#include "llama-memory-hybrid-iswa.h"
#include "llama-memory-hybrid.h"

#include "ggml-act.h"

#include <algorithm>
#include <limits>
#include <stdexcept>

namespace {

// A cache that holds some of the layers only (hybrid models, a cache for windows) says so by an exception.
const llama_kv_cache * holding(const llama_kv_cache * cache, int il) {
    try {
        cache->get_k_storage(il);
        return cache;
    } catch (const std::out_of_range &) {
        return nullptr;
    }
}

// The caches that attention's keys lie in: without and with a sliding window.
std::pair<const llama_kv_cache *, const llama_kv_cache *> caches(llama_memory_i * memory) {
    const llama_kv_cache_iswa * windows = dynamic_cast<llama_kv_cache_iswa *>(memory);
    if (const auto * hybrid = dynamic_cast<llama_memory_hybrid_iswa *>(memory)) {
        windows = hybrid->get_mem_attn();
    }
    if (windows) {
        return { windows->get_base(), windows->get_swa() };
    }
    if (const auto * hybrid = dynamic_cast<llama_memory_hybrid *>(memory)) {
        return { hybrid->get_mem_attn(), nullptr };
    }
    return { dynamic_cast<llama_kv_cache *>(memory), nullptr };
}

} // namespace

llama_act::llama_act(llama_context & ctx) : ctx(ctx), model(ctx.get_model()), memory(ctx.get_memory()) {}

const llama_kv_cache * llama_act::cache(int il) const {
    const auto [base, swa] = caches(memory);
    const auto * kv = swa && model.hparams.is_swa(il) ? swa : base;
    return kv ? holding(kv, il) : nullptr;
}

bool llama_act::any() const {
    for (uint32_t il = 0; il < model.hparams.n_layer(); il++) {
        if (model.hparams.n_head(il) > 0 && cache(il)) {
            return true;
        }
    }
    return false;
}

llama_pos llama_act::last_row(const llama_kv_cache * cache, llama_pos p) const {
    const auto    & hparams = model.hparams;
    const llama_pos window  = hparams.n_swa;
    if (window > 0 && cache == caches(memory).second) {
        switch (hparams.swa_type) {
            case LLAMA_SWA_TYPE_STANDARD:  return p + window - 1;
            case LLAMA_SWA_TYPE_CHUNKED:   return p/window*window + window - 1;
            case LLAMA_SWA_TYPE_SYMMETRIC: return p + window/2;
            case LLAMA_SWA_TYPE_NONE:      break;
        }
    }
    return std::numeric_limits<llama_pos>::max();
}

ggml_backend_dev_t llama_act::device(int32_t il) const {
    ggml_backend_buffer_type_t buft = ggml_backend_buffer_get_type(cache(il)->get_k_storage(il)->buffer);
    ggml_backend_dev_t         dev  = ggml_backend_buft_get_device(buft);
    const bool host = ggml_backend_buft_is_host(buft) || dev == nullptr || ggml_backend_dev_type(dev) == GGML_BACKEND_DEVICE_TYPE_CPU;
    return host ? nullptr : dev;
}

std::string llama_act::refused(const std::set<int32_t> & layers) const {
    // A device without the op sends a layer's whole keys and values to the CPU for every token: beyond this, that takes longer than the token.
    constexpr size_t MOST_PER_TOKEN = 64*1024*1024;

    size_t bytes = 0;
    std::string slow;
    for (const int32_t il : layers) {
        ggml_backend_dev_t dev = device(il);
        if (dev == nullptr) {
            continue;
        }
        const std::string name = ggml_backend_dev_description(dev);
        if (ggml_backend_dev_type(dev) == GGML_BACKEND_DEVICE_TYPE_META) {
            return "Calibration does not work with a model whose layers are divided among devices (tensor split): choose another split mode.";
        }
        // It says yes to every op, and a server that was not built from our sources has none with this number.
        if (std::string(ggml_backend_reg_name(ggml_backend_dev_backend_reg(dev))).rfind("RPC", 0) == 0) {
            return "Calibration does not work on another computer (llama.cpp's RPC): load the model without it.";
        }
        if (!takes_plain(il, dev)) {
            const auto * kv = cache(il);
            bytes += kv->get_size()*(ggml_row_size(kv->type_k(), model.hparams.n_embd_k_gqa(il)) + ggml_row_size(kv->type_v(), model.hparams.n_embd_v_gqa(il)));
            slow = name;
        }
    }
    if (bytes > MOST_PER_TOKEN) {
        return "Calibration cannot run on " + slow + ", and to run it on the CPU " + std::to_string(bytes/1024/1024) +
            " MB of keys and values would go there for every token: load the model with a smaller context, with fewer calibrated layers, or on the CPU.";
    }
    return "";
}

bool llama_act::takes_plain(int32_t il, ggml_backend_dev_t dev) const {
    const auto    * kv     = cache(il);
    const auto    & hp     = model.hparams;
    const int64_t   n      = 256, heads = hp.n_head(il), heads_kv = hp.n_head_kv(il), dk = hp.n_embd_head_k(il), dv = hp.n_embd_head_v(il);
    ggml_context_ptr ctx(ggml_init({ 16*ggml_tensor_overhead(), nullptr, true }));
    const auto tensor = [&](ggml_type type, int64_t a, int64_t b, int64_t c) { return ggml_new_tensor_4d(ctx.get(), type, a, b, c, 1); };

    ggml_act_params params = {};
    params.n_head = heads;
    params.n_rows = 1;
    params.pool   = 1;
    const ggml_tensor * node = ggml_act(ctx.get(), tensor(GGML_TYPE_F32, dv*heads, 1, 1), tensor(GGML_TYPE_F32, dk, 1, heads),
        tensor(kv->type_k(), dk, n, heads_kv), tensor(kv->type_v(), dv, n, heads_kv), tensor(GGML_TYPE_F16, n, 1, 1),
        tensor(GGML_TYPE_I32, n, GGML_ACT_KEYS_ROWS, 1), tensor(GGML_TYPE_I32, GGML_ACT_ENTRY_SIZE, heads, 1),
        tensor(GGML_TYPE_F32, GGML_ACT_STATE_WIDTH(n), heads, 1), nullptr, &params);
    return ggml_backend_dev_supports_op(dev, node);
}

void llama_act::resize(int32_t il, size_t n_slots, int64_t n_cells) {
    act_layer & layer = layers[il];

    act_layer next;
    next.used = layer.used;
    next.used.resize(n_slots, false);
    next.ctx.reset(ggml_init({ ggml_tensor_overhead(), nullptr, true }));
    next.state = ggml_new_tensor_2d(next.ctx.get(), GGML_TYPE_F32, GGML_ACT_STATE_WIDTH(n_cells), n_slots);
    ggml_format_name(next.state, "act_state_l%d", il);

    // the state lies where the op runs
    ggml_backend_buffer_type_t buft =
        on_cpu.count(il) ? ggml_backend_cpu_buffer_type() : ggml_backend_buffer_get_type(cache(il)->get_k_storage(il)->buffer);
    next.buffer.reset(ggml_backend_alloc_ctx_tensors_from_buft(next.ctx.get(), buft));
    if (!next.buffer) {
        throw std::runtime_error("There is no memory for the running sums of the calibration (" + std::to_string(ggml_nbytes(next.state)/1024) + " KB a layer).");
    }
    ggml_backend_buffer_clear(next.buffer.get(), 0);

    if (layer.state) {
        ctx.synchronize(); // a graph that writes the old one may be at work
        const int64_t before = layer.n_cells();
        std::vector<int32_t> from(layer.state->ne[0]*layer.state->ne[1]);
        std::vector<int32_t> to(next.state->ne[0]*next.state->ne[1], 0);
        ggml_backend_tensor_get(layer.state, from.data(), 0, from.size()*sizeof(int32_t));
        for (size_t s = 0; s < std::min(layer.used.size(), n_slots); s++) {
            const int32_t * x = from.data() + s*layer.state->ne[0];
            int32_t       * y = to.data() + s*next.state->ne[0];
            std::copy(x, x + before, y);
            std::copy(x + GGML_ACT_STATE_EXEMPT(before), x + GGML_ACT_STATE_WIDTH(before), y + GGML_ACT_STATE_EXEMPT(n_cells));
        }
        ggml_backend_tensor_set(next.state, to.data(), 0, to.size()*sizeof(int32_t));
    }
    layer = std::move(next);
}

void llama_act::reserve_cells(int32_t il, int64_t n_cells) {
    const int64_t now = layers[il].n_cells();
    if (n_cells > now) {
        resize(il, layers[il].used.size(), std::max(n_cells, std::min<int64_t>(2*now, cache(il)->get_size())));
    }
}

void llama_act::set_on_cpu(int32_t il, bool on) {
    if (on == (on_cpu.count(il) > 0)) {
        return;
    }
    const auto before = on_cpu;
    if (on) {
        on_cpu.insert(il);
    } else {
        on_cpu.erase(il);
    }
    try {
        if (layers[il].state) {
            resize(il, layers[il].used.size(), layers[il].n_cells());
        }
    } catch (...) {
        on_cpu = before;
        throw;
    }
}

// Where a head is in its layer's list, or belongs.
static std::vector<act_entry>::iterator place(act_sequence & seq, int32_t il, int32_t head) {
    auto & list = seq.layers[il];
    return std::lower_bound(list.begin(), list.end(), head, [](const act_entry & e, int32_t h) { return e.head < h; });
}

void llama_act::add(act_sequence & seq, const std::vector<std::pair<int32_t, int32_t>> & heads) {
    constexpr int64_t FIRST_CELLS = 256; // what llama.cpp rounds the keys of a graph up to

    std::map<int32_t, std::set<int32_t>> fresh;
    for (const auto & [il, head] : heads) {
        const auto at = place(seq, il, head);
        if (at == seq.layers[il].end() || at->head != head) {
            fresh[il].insert(head);
        }
    }
    for (const auto & [il, list] : fresh) {
        act_layer & layer = layers[il];
        const size_t taken = std::count(layer.used.begin(), layer.used.end(), true);
        if (taken + list.size() > layer.used.size()) {
            resize(il, taken + list.size(), layer.state ? layer.n_cells() : std::min<int64_t>(FIRST_CELLS, cache(il)->get_size()));
        }
        for (const int32_t head : list) {
            const auto slot = std::find(layer.used.begin(), layer.used.end(), false) - layer.used.begin();
            seq.layers[il].insert(place(seq, il, head), { head, (int32_t) slot, false, 1.0f });
            layer.used[slot] = true;
        }
    }
}

void llama_act::add_calibrated(act_sequence & seq) {
    const llama_act_config & config = seq.config;
    add(seq, config.heads);
    for (size_t i = 0; i < config.heads.size(); i++) {
        const auto at = place(seq, config.heads[i].first, config.heads[i].second);
        at->calibrated = true;
        at->weight     = config.weights.empty() ? config.weight : config.weights[i];
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
    seq.why.clear();
    seq.watched = false;
    seq.fresh   = true;
}

act_sequence * llama_act::find(llama_seq_id id) {
    if (watch) {
        act_sequence & seq = sequences[id];
        if (!seq.watched) {
            std::vector<std::pair<int32_t, int32_t>> heads;
            for (uint32_t il = 0; il < model.hparams.n_layer(); il++) {
                for (uint32_t h = 0; cache(il) && h < model.hparams.n_head(il); h++) {
                    heads.emplace_back(il, h);
                }
            }
            add(seq, heads);
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
