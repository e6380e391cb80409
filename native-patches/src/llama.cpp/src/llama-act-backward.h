#pragma once

// Inside llama-act-gradient: the backward graph of one forward graph, and what it is built with.

#include "llama-act-weights.h"

#include "ggml-act-back.h"
#include "ggml-alloc.h"
#include "ggml-cpp.h"
#include "ggml.h"

#include <cstdint>
#include <deque>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

// Why a graph has no backward pass, as the end of a sentence.
struct no_gradient : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// The backward graph of one forward graph, or why there is none.
struct llama_act_gradient {
    std::string              problem = "nothing was evaluated";
    // Which of the backward graph's results are dLoss/dg of which heads.
    struct strength {
        int32_t             layer;
        const ggml_tensor * entries; // of the forward graph
        ggml_tensor       * slopes;  // of each entry
    };
    std::vector<strength>    strengths;
    ggml_cgraph            * graph    = nullptr;
    ggml_tensor            * d_logits = nullptr;
    size_t                   size     = 0;

    std::unordered_map<const ggml_tensor *, int32_t> layers; // of GGML_OP_ACT nodes

    ggml_backend_ptr  backend;
    ggml_gallocr_ptr  allocator;
    llama_act_weights weights;

    explicit llama_act_gradient(const std::string & path) : weights(path) {}

    // A tensor of the forward graph as a leaf of the backward graph: without what computed it.
    struct leaf {
        ggml_tensor       * own;
        const ggml_tensor * forward;
    };
    std::vector<leaf> leaves;

    ggml_context_ptr                            ctx;
    std::deque<ggml_act_back_attention_params>  attention; // what custom ops point to stays where it is
    std::deque<ggml_act_back_activation_params> activations;

    void clear() {
        strengths.clear();
        leaves.clear();
        attention.clear();
        activations.clear();
        ctx.reset();
        graph    = nullptr;
        d_logits = nullptr;
    }
};

// Fills graph, d_logits, strengths, leaves and the parameters of custom ops. Throws no_gradient.
void llama_act_backward_build(llama_act_gradient & gradient, ggml_cgraph * forward, ggml_tensor * logits);

// A function of ggml-act-back.h in the loaded CPU backend; null where that has none.
ggml_custom_op_t llama_act_back_function(const char * name);

// The tensor whose memory t looks into.
inline const ggml_tensor * llama_act_root(const ggml_tensor * t) {
    return t->view_src ? t->view_src : t;
}
