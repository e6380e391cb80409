#pragma once

// What llama-act.cpp (its interface) and llama-act-graph.cpp (its graph) share: head sets by sequence, running sums by layer.

#include "llama-act.h"

#include "llama-kv-cache.h"
#include "llama-model.h"

#include "ggml-cpp.h"

#include <map>
#include <set>

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
};

// Running sums and sink lists of one layer: rows of GGML_ACT_STATE_WIDTH(n_cells), handed out as slots.
struct act_layer {
    ggml_context_ptr        ctx;
    ggml_backend_buffer_ptr buffer;
    ggml_tensor           * state = nullptr;
    std::vector<bool>       used;
};

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

    // Layers whose keys lie on a device that lacks the op (or lacks it for these operands): their op runs on the CPU.
    std::set<int32_t> on_cpu;

    llama_act(const llama_model & model, llama_memory_i * memory) : model(model), memory(memory) {}

    // The cache of a layer; null where the context's memory is of another kind.
    const llama_kv_cache * cache(int il) const;

    // The head sets and watched heads of a sequence; null where it has none. While watching, every head of every layer has an entry.
    act_sequence * find(llama_seq_id id);

    // Gives a head of a sequence a slot, or marks it as calibrated too where it has one.
    void add(act_sequence & seq, int32_t il, int32_t head, bool calibrated, float weight = 1.0f);

    // The same for all heads of the sequence's head set.
    void add_calibrated(act_sequence & seq);

    // Gives all slots of a sequence back.
    void clear(act_sequence & seq);

    // Takes back what watching added.
    void unwatch();

    // Another number of slots for a layer, in memory where its op runs; what is in the slots moves along. Throws where there is no memory.
    void resize(int32_t il, act_layer & layer, size_t n);

    void move_to_cpu(int32_t il);

private:
    int32_t new_slot(int32_t il);
    ggml_backend_buffer_type_t state_buffer_type(int32_t il) const;
};
