#pragma once

// What llama-act.cpp (its interface) and llama-act-graph.cpp (its graph) share: head sets by sequence, running sums by layer.

#include "llama-act.h"

#include "llama-kv-cache.h"
#include "llama-model.h"

#include "ggml-cpp.h"

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

// A head of a sequence whose statistics are kept, and the row of its layer's state tensor where they are.
struct act_entry {
    int32_t head;
    int32_t slot;
    bool    calibrated; // else watched only
    float   weight;
};

struct act_sequence {
    llama_act_config config;

    bool      fresh = true; // the next rows begin a prefill
    llama_pos start = 0;    // first row of the last prefill
    llama_pos last  = -1;   // last row so far

    bool watched = false;
    std::map<int32_t, std::vector<act_entry>> layers; // by head
    std::set<int32_t> built; // layers that have the op in the last graph
    std::string       why;   // a sentence, where a layer has none for another reason than its attention
};

// Running sums and sink lists of one layer: rows of GGML_ACT_STATE_WIDTH(n_cells), handed out as slots. Both grow by need.
struct act_layer {
    ggml_context_ptr        ctx;
    ggml_backend_buffer_ptr buffer;
    ggml_tensor           * state = nullptr;
    std::vector<bool>       used;

    int64_t n_cells() const { return state ? (state->ne[0] - 2)/2 : 0; }
};

struct llama_act {
    llama_context     & ctx;
    const llama_model & model;
    llama_memory_i    * memory;

    std::map<llama_seq_id, act_sequence> sequences;
    std::map<int32_t, act_layer>         layers;

    bool watch = false;

    llama_act_window        window;
    ggml_context_ptr        window_ctx;
    ggml_backend_buffer_ptr window_buffer;
    ggml_tensor           * window_tensor = nullptr;

    // Layers whose keys lie on a device that lacks the op (or lacks it for these operands): their op runs on the CPU.
    std::set<int32_t> on_cpu;

    explicit llama_act(llama_context & ctx);

    // The cache of a layer's keys; null where the layer has none (recurrent), or the context's memory is of another kind.
    const llama_kv_cache * cache(int il) const;

    // Whether any layer can be calibrated.
    bool any() const;

    // The last position whose row sees the key at position p in this cache: a sliding window ends.
    llama_pos last_row(const llama_kv_cache * cache, llama_pos p) const;

    // The device that holds a layer's keys; null: the CPU's memory.
    ggml_backend_dev_t device(int32_t il) const;

    // Why these layers cannot be calibrated where their keys lie, as a sentence; "" where they can.
    std::string refused(const std::set<int32_t> & layers) const;

    // The head sets and watched heads of a sequence; null where it has none. While watching, every head of every layer has an entry.
    act_sequence * find(llama_seq_id id);

    // Gives heads (layer, head) of a sequence slots. Throws where there is no memory; heads that have one by then keep it.
    void add(act_sequence & seq, const std::vector<std::pair<int32_t, int32_t>> & heads);

    // The same for all heads of the sequence's head set, which are calibrated.
    void add_calibrated(act_sequence & seq);

    // Gives all slots of a sequence back.
    void clear(act_sequence & seq);

    // Takes back what watching added.
    void unwatch();

    // At least this many cells for a layer's slots.
    void reserve_cells(int32_t il, int64_t n_cells);

    // The layer's op runs on the CPU from now on, or (false) where its keys lie.
    void set_on_cpu(int32_t il, bool on);

private:
    // Whether a device has the op for this layer's cache.
    bool takes_plain(int32_t il, ggml_backend_dev_t dev) const;

    // Another size of a layer's state, in memory where its op runs; what is in the slots moves along. Throws where there is no memory, and then
    // nothing has changed.
    void resize(int32_t il, size_t n_slots, int64_t n_cells);
};
