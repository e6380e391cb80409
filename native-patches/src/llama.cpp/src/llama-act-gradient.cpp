#include "llama-act-gradient.h"

#include "llama-act-backward.h"

#include "llama-context.h"
#include "llama-graph.h"
#include "llama-model.h"

#include "ggml-act.h"

#include <algorithm>
#include <cstring>

namespace {

llama_act_gradient * gradient_of(llama_context * ctx) {
    return ctx->get_cparams().act_gradient.get();
}

} // namespace

void llama_act_gradient_set(llama_context * ctx, bool on, const std::string & path) {
    auto & cparams = ctx->get_cparams_mutable();
    if (on == (cparams.act_gradient != nullptr)) {
        return;
    }
    ctx->synchronize();
    cparams.act_gradient.reset();
    if (on) {
        if (!llama_act_back_function(GGML_ACT_BACK_ATTENTION)) {
            throw std::runtime_error("the loaded CPU backend has no backward pass");
        }
        auto gradient = std::make_shared<llama_act_gradient>(path);
        gradient->backend.reset(ggml_backend_init_by_type(GGML_BACKEND_DEVICE_TYPE_CPU, nullptr));
        gradient->allocator.reset(ggml_gallocr_new(ggml_backend_cpu_buffer_type()));
        cparams.act_gradient = gradient;
    }
    cparams.act_version++; // graphs built before have no backward graph, or tensors that it keeps
}

void llama_act_gradient_note(llama_act_gradient & gradient, const ggml_tensor * act, int32_t layer) {
    gradient.layers[act] = layer;
}

void llama_act_gradient_build(llama_act_gradient & gradient, const llm_graph_result & result) {
    gradient.clear();
    gradient.problem.clear();
    try {
        if (!result.get_logits()) {
            throw no_gradient("no logits were asked for");
        }
        llama_act_backward_build(gradient, result.get_gf(), result.get_logits());
    } catch (const no_gradient & why) {
        gradient.clear();
        gradient.problem = why.what();
    }
    gradient.layers.clear();
}

std::vector<float> llama_act_gradient_run(llama_context * ctx, const std::vector<float> & d_logits, bool (* aborted)(void *), void * data) {
    llama_act_gradient * g = gradient_of(ctx);
    const auto & model = ctx->get_model();
    const auto refuse = [&](const std::string & why) {
        return std::runtime_error("Gradients are not available for models of architecture '" + model.arch_name() + "': " + why + ".");
    };
    if (!g || !g->problem.empty()) {
        throw refuse(g ? g->problem : "they are not switched on");
    }
    if ((int64_t) d_logits.size() != ggml_nelements(g->d_logits)) {
        throw std::runtime_error("the gradient of " + std::to_string(ggml_nelements(g->d_logits)) + " logits is needed");
    }
    ctx->synchronize();
    for (const auto & leaf : g->leaves) {
        ggml_backend_buffer_t buffer = llama_act_root(leaf.forward)->buffer;
        const bool host = buffer && ggml_backend_buffer_is_host(buffer);
        leaf.own->data   = host ? leaf.forward->data : g->weights.find(leaf.forward);
        leaf.own->buffer = buffer;
        if (!leaf.own->data) {
            throw refuse(std::string("'") + leaf.forward->name + "' lies on a device, and the model's file does not have it");
        }
    }
    if (!ggml_gallocr_alloc_graph(g->allocator.get(), g->graph)) {
        throw std::runtime_error("There is no memory for the backward pass.");
    }
    g->size = ggml_gallocr_get_buffer_size(g->allocator.get(), 0);
    ggml_backend_tensor_set(g->d_logits, d_logits.data(), 0, d_logits.size()*sizeof(float));

    ggml_backend_reg_t cpu = ggml_backend_dev_backend_reg(ggml_backend_get_device(g->backend.get()));
    const auto threads  = (ggml_backend_set_n_threads_t)     ggml_backend_reg_get_proc_address(cpu, "ggml_backend_set_n_threads");
    const auto stopping = (ggml_backend_set_abort_callback_t) ggml_backend_reg_get_proc_address(cpu, "ggml_backend_set_abort_callback");
    threads(g->backend.get(), ctx->get_cparams().n_threads_batch);
    stopping(g->backend.get(), aborted, data);
    const ggml_status status = ggml_backend_graph_compute(g->backend.get(), g->graph);
    if (status == GGML_STATUS_ABORTED) {
        return {};
    }
    if (status != GGML_STATUS_SUCCESS) {
        throw std::runtime_error("The backward pass failed.");
    }

    const auto & hparams = model.hparams;
    int64_t n_head = 0;
    for (uint32_t il = 0; il < hparams.n_layer(); il++) {
        n_head = std::max<int64_t>(n_head, hparams.n_head(il));
    }
    std::vector<float> result(hparams.n_layer()*n_head, 0.0f);
    for (const auto & s : g->strengths) {
        const int64_t n = s.entries->ne[1];
        std::vector<int32_t> entries(n*GGML_ACT_ENTRY_SIZE);
        ggml_backend_tensor_get(s.entries, entries.data(), 0, entries.size()*sizeof(int32_t));
        std::vector<float> slopes(n);
        ggml_backend_tensor_get(s.slopes, slopes.data(), 0, n*sizeof(float));
        for (int64_t e = 0; e < n; e++) {
            result[s.layer*n_head + entries[e*GGML_ACT_ENTRY_SIZE + GGML_ACT_ENTRY_HEAD]] = slopes[e];
        }
    }
    return result;
}

void llama_act_exact_set(llama_context * ctx, bool on) {
    auto & cparams = ctx->get_cparams_mutable();
    if (on != cparams.act_exact) {
        ctx->synchronize();
        cparams.act_exact = on;
        cparams.act_version++;
    }
}

void llama_act_exact_build(ggml_cgraph * graph) {
    for (int i = 0; i < ggml_graph_n_nodes(graph); i++) {
        ggml_tensor       * node = ggml_graph_node(graph, i);
        const ggml_tensor * w    = node->src[0];
        if (node->op != GGML_OP_MUL_MAT || !ggml_is_quantized(w->type) || w->op != GGML_OP_NONE || w->ne[2]*w->ne[3] != 1 || !w->buffer ||
            !ggml_backend_buffer_is_host(w->buffer) || !ggml_is_contiguous(node->src[1])) {
            continue;
        }
        // what ggml_custom_4d makes of a new tensor, in place of the product
        const struct { ggml_custom_op_t fun; int n_tasks; void * userdata; } params = { llama_act_back_function(GGML_ACT_BACK_EXACT), GGML_N_TASKS_MAX, nullptr };
        static_assert(sizeof(params) <= sizeof(node->op_params), "parameters of GGML_OP_CUSTOM");
        memcpy(node->op_params, &params, sizeof(params));
        node->op = GGML_OP_CUSTOM;
    }
}

size_t llama_act_gradient_size(llama_context * ctx) {
    const llama_act_gradient * g = gradient_of(ctx);
    return g ? g->size : 0;
}
