// Differentiates a graph of llama.cpp, node by node, from the logits down to the lowest calibrated layer.

#include "llama-act-backward.h"

#include "ggml-act.h"

#include <algorithm>
#include <cstring>
#include <unordered_set>

namespace {

bool is_view(const ggml_tensor * t) {
    return t->op == GGML_OP_VIEW || t->op == GGML_OP_RESHAPE || t->op == GGML_OP_PERMUTE || t->op == GGML_OP_TRANSPOSE;
}

// What lies behind views, copies and casts.
const ggml_tensor * origin(const ggml_tensor * t) {
    while (is_view(t) || t->op == GGML_OP_CONT || t->op == GGML_OP_CPY) {
        t = t->src[0];
    }
    return t;
}

const ggml_tensor * before_cast(const ggml_tensor * t) {
    return t->op == GGML_OP_CPY ? t->src[0] : t;
}

float real_parameter(const ggml_tensor * node, int i) {
    float value;
    memcpy(&value, node->op_params + i, sizeof(value));
    return value;
}

class builder {
public:
    builder(llama_act_gradient & g, ggml_cgraph * forward) : g(g), forward(forward) {
        const size_t n = 24*ggml_graph_n_nodes(forward) + 64;
        g.ctx.reset(ggml_init({ n*ggml_tensor_overhead() + ggml_graph_overhead_custom(n, false), nullptr, true }));
        c       = g.ctx.get();
        g.graph = ggml_new_graph_custom(c, n, false);
    }

    void build(ggml_tensor * logits) {
        const int n = ggml_graph_n_nodes(forward);
        for (int i = 0; i < n; i++) {
            mark(ggml_graph_node(forward, i));
        }
        if (!needed.count(logits)) {
            throw no_gradient("no head is calibrated");
        }
        g.d_logits = ggml_new_tensor_2d(c, GGML_TYPE_F32, logits->ne[0], ggml_nrows(logits));
        ggml_set_input(g.d_logits);
        add(logits, ggml_reshape(c, g.d_logits, logits));
        for (int i = n - 1; i >= 0; i--) {
            const ggml_tensor * node = ggml_graph_node(forward, i);
            const auto at = gradients.find(node);
            if (at != gradients.end()) {
                back(node, at->second);
                gradients.erase(node);
            }
        }
    }

private:
    llama_act_gradient & g;
    ggml_cgraph        * forward;
    ggml_context       * c;

    std::unordered_set<const ggml_tensor *>                        needed; // depend on a strength
    std::unordered_map<const ggml_tensor *, ggml_tensor *>         gradients;
    std::unordered_map<const ggml_tensor *, ggml_tensor *>         leaves;
    std::unordered_map<const ggml_tensor *, const ggml_tensor *>   stores; // cache of a layer -> the node that writes this segment's rows
    std::unordered_map<const ggml_tensor *, const ggml_tensor *>   acts;   // attention -> the calibration behind it

    [[noreturn]] static void refuse(const std::string & why) { throw no_gradient(why); }

    const ggml_tensor * stored(const ggml_tensor * kv) const {
        const auto at = stores.find(llama_act_root(before_cast(kv)));
        return at == stores.end() ? nullptr : at->second->src[0];
    }

    void mark(const ggml_tensor * node) {
        if (node->op == GGML_OP_SET_ROWS) {
            stores[llama_act_root(node)] = node;
            return;
        }
        bool need = node->op == GGML_OP_ACT;
        if (node->op == GGML_OP_ACT) {
            if (origin(node->src[0])->op != GGML_OP_FLASH_ATTN_EXT) {
                refuse("its attention is not computed by FlashAttention");
            }
            acts[origin(node->src[0])] = node;
        }
        if (node->op == GGML_OP_FLASH_ATTN_EXT) {
            for (int i = 1; i <= 2; i++) {
                const ggml_tensor * kept = stored(node->src[i]);
                need = need || (kept && needed.count(kept));
            }
        }
        for (int i = 0; i < GGML_MAX_SRC && !need; i++) {
            need = node->src[i] && needed.count(node->src[i]);
        }
        if (need) {
            needed.insert(node);
        }
    }

    ggml_tensor * leaf(const ggml_tensor * t) {
        ggml_tensor *& own = leaves[t];
        if (!own) {
            own = ggml_new_tensor(c, t->type, GGML_MAX_DIMS, t->ne);
            memcpy(own->nb, t->nb, sizeof(own->nb));
            if (!llama_act_root(t)->buffer) { // the graph's, not a weight or the cache: nothing is put in its place
                const_cast<ggml_tensor *>(llama_act_root(t))->flags |= GGML_TENSOR_FLAG_OUTPUT;
            }
            g.leaves.push_back({ own, t });
        }
        return own;
    }

    void add(const ggml_tensor * t, ggml_tensor * gradient) {
        if (!needed.count(t)) {
            return;
        }
        if (!ggml_is_contiguous(gradient)) {
            gradient = ggml_cont(c, gradient);
        }
        if (!ggml_are_same_shape(t, gradient)) {
            gradient = ggml_reshape_4d(c, gradient, t->ne[0], t->ne[1], t->ne[2], t->ne[3]);
        }
        ggml_tensor *& sum = gradients[t];
        sum = sum ? ggml_add(c, sum, gradient) : gradient;
    }

    // A tensor of that shape whose values nobody reads.
    ggml_tensor * like(const ggml_tensor * t) {
        return ggml_new_tensor(c, GGML_TYPE_F32, GGML_MAX_DIMS, t->ne);
    }

    // What was broadcast is summed again.
    ggml_tensor * reduced(ggml_tensor * gradient, const ggml_tensor * t) {
        return ggml_are_same_shape(gradient, t) ? gradient : ggml_repeat_back(c, gradient, like(t));
    }

    ggml_tensor * custom(const char * name, std::vector<ggml_tensor *> sources, const ggml_tensor * shape, void * userdata) {
        return ggml_custom_4d(c, GGML_TYPE_F32, shape->ne[0], shape->ne[1], shape->ne[2], shape->ne[3],
            sources.data(), sources.size(), llama_act_back_function(name), GGML_N_TASKS_MAX, userdata);
    }

    void back(const ggml_tensor * node, ggml_tensor * grad) {
        const ggml_tensor * a = node->src[0];
        const ggml_tensor * b = node->src[1];
        const auto real = [&](int i) { return real_parameter(node, i); };

        switch (node->op) {
            case GGML_OP_RESHAPE:
            case GGML_OP_CONT:
            case GGML_OP_CPY:
            case GGML_OP_DUP:
                return add(a, grad);
            case GGML_OP_PERMUTE:
                return add(a, permuted_back(grad, node->op_params));
            case GGML_OP_TRANSPOSE:
                return add(a, ggml_transpose(c, grad));
            case GGML_OP_VIEW:
                return view(node, grad);
            case GGML_OP_ADD:
                add(a, grad);
                return needed.count(b) ? add(b, reduced(grad, b)) : void();
            case GGML_OP_SUB:
                add(a, grad);
                return needed.count(b) ? add(b, ggml_neg(c, reduced(grad, b))) : void();
            case GGML_OP_MUL:
                if (needed.count(a)) {
                    add(a, ggml_mul(c, grad, leaf(b)));
                }
                return needed.count(b) ? add(b, reduced(ggml_mul(c, grad, leaf(a)), b)) : void();
            case GGML_OP_DIV:
                if (needed.count(b)) {
                    refuse("it divides by what depends on its attention");
                }
                return add(a, ggml_div(c, grad, leaf(b)));
            case GGML_OP_SQR:
                return add(a, ggml_scale(c, ggml_mul(c, grad, leaf(a)), 2.0f));
            case GGML_OP_SCALE:
                return add(a, ggml_scale(c, grad, real(0)));
            case GGML_OP_RMS_NORM:
                return add(a, ggml_rms_norm_back(c, grad, leaf(a), real(0)));
            case GGML_OP_NORM:
                return add(a, norm(node, grad));
            case GGML_OP_MUL_MAT:
                return product(node, grad);
            case GGML_OP_ROPE:
                return rope(node, grad);
            case GGML_OP_GET_ROWS:
                return add(a, ggml_get_rows_back(c, grad, leaf(b), like(a)));
            case GGML_OP_UNARY:
                return add(a, activated(unary(node), false, grad, a, nullptr));
            case GGML_OP_GLU:
                return gated(node, grad);
            case GGML_OP_ACT:
                // attention's own step holds the calibration's part
                needed.insert(origin(a));
                for (const ggml_tensor * t = a; t != origin(a); t = t->src[0]) {
                    needed.insert(t);
                }
                return add(a, grad);
            case GGML_OP_FLASH_ATTN_EXT:
                return attend(node, grad);
            default:
                refuse(std::string("its graph has the operation ") + ggml_op_desc(node) + ", whose derivative is not known here");
        }
    }

    ggml_tensor * permuted_back(ggml_tensor * grad, const int32_t * axes) {
        // ggml_permute puts dimension i at axes[i]; back again, dimension axes[i] goes to i
        int back[4];
        for (int i = 0; i < 4; i++) {
            back[axes[i]] = i;
        }
        return ggml_permute(c, grad, back[0], back[1], back[2], back[3]);
    }

    static size_t offset_of(const ggml_tensor * view) {
        size_t offset;
        memcpy(&offset, view->op_params, sizeof(offset));
        return offset;
    }

    void view(const ggml_tensor * node, ggml_tensor * grad) {
        const ggml_tensor * a = node->src[0];
        size_t offset = offset_of(node);
        if (offset == 0 && ggml_nelements(node) == ggml_nelements(a) && ggml_is_contiguous(node) && ggml_is_contiguous(a)) {
            return add(a, grad);
        }
        for (; a->op == GGML_OP_VIEW && !ggml_is_contiguous(a); a = a->src[0]) {
            offset += offset_of(a);
        }
        if (a->type != GGML_TYPE_F32 || node->nb[0] != sizeof(float) || !ggml_is_contiguous(a)) {
            refuse("a part of a tensor is taken in a way whose derivative is not known here");
        }
        ggml_tensor * zeros = ggml_fill(c, like(a), 0.0f);
        add(a, ggml_acc(c, zeros, grad, node->nb[1], node->nb[2], node->nb[3], offset));
    }

    // y = (x - mean)/deviation: dx = (dy - mean(dy) - y*mean(dy*y))/deviation
    ggml_tensor * norm(const ggml_tensor * node, ggml_tensor * grad) {
        ggml_tensor * x = leaf(node->src[0]);
        const float eps = real_parameter(node, 0);
        ggml_tensor * centred   = ggml_sub(c, ggml_is_contiguous(x) ? x : ggml_cont(c, x), ggml_mean(c, x));
        ggml_tensor * deviation = ggml_sqrt(c, ggml_scale_bias(c, ggml_mean(c, ggml_sqr(c, centred)), 1.0f, eps));
        ggml_tensor * y         = ggml_div(c, centred, deviation);
        ggml_tensor * along     = ggml_mul(c, y, ggml_mean(c, ggml_mul(c, grad, y)));
        return ggml_div(c, ggml_sub(c, ggml_sub(c, grad, ggml_mean(c, grad)), along), deviation);
    }

    void product(const ggml_tensor * node, ggml_tensor * grad) {
        const ggml_tensor * w = node->src[0];
        if (needed.count(w)) {
            refuse("it multiplies two activations with each other");
        }
        if (w->ne[2]*w->ne[3] != 1 || w->op != GGML_OP_NONE) {
            refuse("it multiplies with a weight that is not a plain matrix");
        }
        const auto * traits = ggml_get_type_traits(w->type);
        if (w->type != GGML_TYPE_F32 && !traits->to_float) {
            refuse(std::string("its weights are of type ") + ggml_type_name(w->type) + ", which cannot be unpacked");
        }
        add(node->src[1], custom(GGML_ACT_BACK_MUL_MAT, { leaf(w), grad }, node->src[1], nullptr));
    }

    void rope(const ggml_tensor * node, ggml_tensor * grad) {
        ggml_tensor * back = ggml_dup_tensor(c, grad);
        memcpy(back->op_params, node->op_params, sizeof(back->op_params));
        back->op     = GGML_OP_ROPE_BACK;
        back->src[0] = grad;
        back->src[1] = leaf(node->src[1]);
        back->src[2] = node->src[2] ? leaf(node->src[2]) : nullptr;
        add(node->src[0], back);
    }

    ggml_act_activation unary(const ggml_tensor * node) {
        switch (ggml_get_unary_op(node)) {
            case GGML_UNARY_OP_SILU:       return GGML_ACT_BACK_SILU;
            case GGML_UNARY_OP_GELU:       return GGML_ACT_BACK_GELU;
            case GGML_UNARY_OP_GELU_ERF:   return GGML_ACT_BACK_GELU_ERF;
            case GGML_UNARY_OP_GELU_QUICK: return GGML_ACT_BACK_GELU_QUICK;
            case GGML_UNARY_OP_RELU:       return GGML_ACT_BACK_RELU;
            case GGML_UNARY_OP_TANH:       return GGML_ACT_BACK_TANH;
            case GGML_UNARY_OP_SIGMOID:    return GGML_ACT_BACK_SIGMOID;
            default: refuse(std::string("its graph has the operation ") + ggml_op_desc(node) + ", whose derivative is not known here");
        }
    }

    // grad * y * f'(x), or grad * f(x); x and y are of the forward graph (views of halves of it are leaves of their own)
    ggml_tensor * activated(ggml_act_activation kind, bool value, ggml_tensor * grad, ggml_tensor * x, ggml_tensor * y) {
        g.activations.push_back({ kind, value });
        std::vector<ggml_tensor *> sources = { grad, x };
        if (y) {
            sources.push_back(y);
        }
        return custom(GGML_ACT_BACK_ACTIVATION, sources, grad, &g.activations.back());
    }
    ggml_tensor * activated(ggml_act_activation kind, bool value, ggml_tensor * grad, const ggml_tensor * x, ggml_tensor * y) {
        return activated(kind, value, grad, leaf(x), y);
    }

    void gated(const ggml_tensor * node, ggml_tensor * grad) {
        ggml_act_activation kind;
        switch (ggml_get_glu_op(node)) {
            case GGML_GLU_OP_SWIGLU:      kind = GGML_ACT_BACK_SILU;       break;
            case GGML_GLU_OP_GEGLU:       kind = GGML_ACT_BACK_GELU;       break;
            case GGML_GLU_OP_GEGLU_ERF:   kind = GGML_ACT_BACK_GELU_ERF;   break;
            case GGML_GLU_OP_GEGLU_QUICK: kind = GGML_ACT_BACK_GELU_QUICK; break;
            case GGML_GLU_OP_REGLU:       kind = GGML_ACT_BACK_RELU;       break;
            default: refuse(std::string("its graph has the operation ") + ggml_op_desc(node) + ", whose derivative is not known here");
        }
        const ggml_tensor * a = node->src[0];
        if (node->src[1]) {
            ggml_tensor * x = leaf(a);
            ggml_tensor * y = leaf(node->src[1]);
            if (needed.count(a)) {
                add(a, activated(kind, false, grad, x, y));
            }
            if (needed.count(node->src[1])) {
                add(node->src[1], activated(kind, true, grad, x, nullptr));
            }
            return;
        }
        // both halves lie in one tensor
        ggml_tensor * whole = leaf(a);
        const size_t  half  = node->ne[0]*sizeof(float);
        const bool swapped  = node->op_params[1];
        const auto part = [&](bool second) {
            return ggml_view_4d(c, whole, node->ne[0], a->ne[1], a->ne[2], a->ne[3], a->nb[1], a->nb[2], a->nb[3], second ? half : 0);
        };
        ggml_tensor * x  = part(swapped);
        ggml_tensor * y  = part(!swapped);
        ggml_tensor * dx = activated(kind, false, grad, x, y);
        ggml_tensor * dy = activated(kind, true,  grad, x, nullptr);
        add(a, swapped ? ggml_concat(c, dy, dx, 0) : ggml_concat(c, dx, dy, 0));
    }

    void attend(const ggml_tensor * node, ggml_tensor * grad) {
        const ggml_tensor * q = node->src[0];
        const ggml_tensor * k = before_cast(node->src[1]);
        const ggml_tensor * v = before_cast(node->src[2]);
        const ggml_tensor * mask = node->src[3];
        const auto ks = stores.find(llama_act_root(k)), vs = stores.find(llama_act_root(v));
        if (ks == stores.end() || vs == stores.end() || !mask || k->ne[3] != 1 || llama_act_root(k)->ne[2] != 1) {
            refuse("its attention does not read a cache of one sequence");
        }
        if (llama_act_root(k) == llama_act_root(v)) {
            refuse("its keys and values are one latent vector");
        }
        if (node->src[4] && acts.count(node)) {
            refuse("its attention has learned sinks");
        }
        for (const ggml_tensor * t : { k, v }) {
            if ((t->type != GGML_TYPE_F16 && t->type != GGML_TYPE_F32) || t->nb[0] != ggml_type_size(t->type)) {
                refuse("its cache is not of type f16 or f32");
            }
        }
        const auto          found  = acts.find(node);
        const ggml_tensor * act    = found == acts.end() ? nullptr : found->second;
        const ggml_tensor * kept_k = ks->second->src[0];
        const ggml_tensor * kept_v = vs->second->src[0];
        const bool inputs = needed.count(q) || needed.count(kept_k) || needed.count(kept_v);

        const int64_t dk = q->ne[0], n = q->ne[1], heads = q->ne[2], dv = v->ne[0], kv_heads = k->ne[2];
        const int64_t entries = act ? act->src[6]->ne[1] : 0;
        const int64_t at_k = inputs ? heads*n*dk : 0, at_v = 2*at_k, at_slopes = inputs ? at_v + heads*n*dv : 0;

        const auto real = [&](int i) { return real_parameter(node, i); };
        g.attention.push_back({ real(0), real(1), real(2), inputs });
        std::vector<ggml_tensor *> sources = { grad, leaf(q), leaf(k), leaf(v), leaf(mask), leaf(ks->second->src[1]),
            act ? leaf(act->src[6]) : nullptr, act ? leaf(act->src[7]) : nullptr, node->src[4] ? leaf(node->src[4]) : nullptr };
        ggml_tensor * all = ggml_custom_4d(c, GGML_TYPE_F32, at_slopes + std::max<int64_t>(entries, 1), 1, 1, 1, sources.data(), sources.size(),
            llama_act_back_function(GGML_ACT_BACK_ATTENTION), GGML_N_TASKS_MAX, &g.attention.back());

        if (act) {
            ggml_tensor * slopes = ggml_cont(c, ggml_view_1d(c, all, entries, at_slopes*sizeof(float)));
            ggml_set_output(slopes);
            ggml_build_forward_expand(g.graph, slopes);
            g.strengths.push_back({ g.layers.at(act), act->src[6], slopes });
        }
        if (inputs) {
            add(q, ggml_view_3d(c, all, dk, n, heads, dk*sizeof(float), dk*n*sizeof(float), 0));
            add(kept_k, of_rows(all, dk, n, heads, kv_heads, at_k));
            add(kept_v, of_rows(all, dv, n, heads, kv_heads, at_v));
        }
    }

    // [heads][n][d] of query heads -> [n][kv_heads][d], the sum over each group
    ggml_tensor * of_rows(ggml_tensor * all, int64_t d, int64_t n, int64_t heads, int64_t kv_heads, int64_t at) {
        ggml_tensor * part = ggml_view_3d(c, all, d*n, heads/kv_heads, kv_heads, d*n*sizeof(float), d*n*heads/kv_heads*sizeof(float), at*sizeof(float));
        if (heads != kv_heads) {
            part = ggml_repeat_back(c, part, ggml_new_tensor_3d(c, GGML_TYPE_F32, d*n, 1, kv_heads));
        }
        return ggml_cont(c, ggml_permute(c, ggml_reshape_3d(c, part, d, n, kv_heads), 0, 2, 1, 3));
    }
};

} // namespace

void llama_act_backward_build(llama_act_gradient & gradient, ggml_cgraph * forward, ggml_tensor * logits) {
    builder(gradient, forward).build(logits);
}

ggml_custom_op_t llama_act_back_function(const char * name) {
    ggml_backend_dev_t cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    return (ggml_custom_op_t) ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(cpu), name);
}
