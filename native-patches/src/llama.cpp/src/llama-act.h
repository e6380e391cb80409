#pragma once

// ACT in the graph of llama.cpp: which heads of which sequence are calibrated, their running sums, and the
// op behind attention (ggml-act.h). One llama_act belongs to one llama_context; it is reached through cparams.

#include "llama.h"

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

struct ggml_tensor;
struct llm_graph_context;

struct llama_act_config {
    bool  initial   = false; // scale the initial token (ZeroTuning) instead of the later sinks
    float weight    = 0.4f;  // beta of every head, unless `weights` holds one for each
    bool  relative  = false; // threshold / N instead of threshold
    float threshold = 0.1f;
    bool  row       = false; // statistics of the segment alone

    std::vector<std::pair<int32_t, int32_t>> heads; // (layer, head)
    std::vector<float> weights; // as many as heads, or none
};

struct llama_act_sinks {
    int32_t layer, head;
    int32_t exempt;                 // position, -1 where there is no candidate
    std::vector<int32_t> positions; // ascending
};

struct llama_act_capture {
    int32_t n_layer, n_head, n_keys;
    std::vector<float> means; // [layer][head][key], before calibration; heads that a layer lacks are 0
};

struct llama_act_window {
    int32_t layer = -1, head = -1;
    int32_t row0 = 0, rows = 0, column0 = 0, columns = 0, pool = 1;
};

// Why head sets cannot be applied to this model, as a sentence; "" where they can.
std::string llama_act_unsupported(const llama_model * model);

// Throws std::invalid_argument on a head, layer or sequence that does not exist. nullptr: off.
void llama_act_set(llama_context * ctx, llama_seq_id seq, const llama_act_config * config);

// The sums of this sequence start anew with its next rows.
void llama_act_begin(llama_context * ctx, llama_seq_id seq);

// Keep the column means of every head, from the next prefill on.
void llama_act_watch(llama_context * ctx, bool on);

// Keep one head's probabilities, pooled; layer < 0: none.
void llama_act_set_window(llama_context * ctx, const llama_act_window & window);
// [rows][columns] before, then after; NaN where no row looked.
std::vector<float> llama_act_get_window(llama_context * ctx);

// Sinks of the calibrated heads (of every head while watching) in the last segment.
std::vector<llama_act_sinks> llama_act_get_sinks(llama_context * ctx, llama_seq_id seq);
llama_act_capture            llama_act_get_capture(llama_context * ctx, llama_seq_id seq);

// Layers that the next graphs leave out at the bottom; the batch then carries the input of that layer as embeddings.
void llama_act_set_first_layer(llama_context * ctx, uint32_t layer);
bool llama_act_can_restart(const llama_model * model);

// Bytes of the running sums and sink lists.
size_t llama_act_state_size(llama_context * ctx);

// Names the layer that has heads of this sequence to calibrate but got no op in the last graph; "" where all is well.
std::string llama_act_missed(llama_context * ctx, llama_seq_id seq);

// The call site in llm_graph_context::build_attn_mha. o: what attention computed, [d_v*n_head, n_tokens]; q, k, v as attention got them,
// [d, n, heads, streams], v_trans: v is [n, d, heads, streams]. Returns o where no head of this layer is calibrated, and where
// o is not a softmax over scores (capped or not), mask and learned sinks alone (llama_act_missed then names the layer).
ggml_tensor * llama_act_build(
    const llm_graph_context & graph,
    ggml_tensor * o, ggml_tensor * q, ggml_tensor * k, ggml_tensor * v, ggml_tensor * mask,
    bool v_trans, float scale, int il);

// The same for latent attention, before the heads' own value projections. o: [d_v, n_head, n_tokens/streams, streams] of FlashAttention, else
// [d_v, n_tokens/streams, n_head, streams]; the result has o's shape.
ggml_tensor * llama_act_build_latent(
    const llm_graph_context & graph,
    ggml_tensor * o, ggml_tensor * q, ggml_tensor * k, ggml_tensor * v, ggml_tensor * mask,
    bool v_trans, float scale, int il);
