#pragma once

// The gradient of a loss with respect to the strength g = 1 - beta of every calibrated head: one backward pass over the graph that evaluated a
// prompt as one segment. Only activations have gradients, no weight has.
//
// While it is on, each graph that llama.cpp builds gets a backward graph beside it (llama_act_gradient_build): the forward nodes are walked from the
// logits down to the lowest calibrated layer, and what the backward nodes read of them is kept from being overwritten. The caller decodes, makes
// dLoss/dlogits of the logits, and runs the backward graph on the CPU.

#include "llama.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

struct ggml_cgraph;
struct ggml_tensor;
class  llm_graph_result;

struct llama_act_gradient;

// path: the model's file, where weights that the loaded model keeps in another form are read.
void llama_act_gradient_set(llama_context * ctx, bool on, const std::string & path);

// The call site behind llama_model::build_graph.
void llama_act_gradient_build(llama_act_gradient & gradient, const llm_graph_result & result);

// llama_act_build tells which layer a GGML_OP_ACT belongs to.
void llama_act_gradient_note(llama_act_gradient & gradient, const ggml_tensor * act, int32_t layer);

// d_logits: dLoss/dlogits, [outputs of the last decode][vocabulary]. Returns dLoss/dg [layer][head], 0 for heads that are not calibrated (or have no
// second sink); nothing where `aborted` told so. Throws std::runtime_error, as a sentence, where the last graph has no backward pass.
std::vector<float> llama_act_gradient_run(llama_context * ctx, const std::vector<float> & d_logits, bool (* aborted)(void *), void * data);

// Products of quantised weights take activations as they are instead of rounded to 8 bits. Rounding is a step that a small change of a strength crosses
// or does not: it hides a single head's effect on one prompt. Only on the CPU, for weights that are not packed for its own products.
void llama_act_exact_set(llama_context * ctx, bool on);

// The call site behind llama_model::build_graph, and behind llama_act_gradient_build.
void llama_act_exact_build(ggml_cgraph * graph);

// Bytes that the last backward pass took beside the forward graph's buffer.
size_t llama_act_gradient_size(llama_context * ctx);
