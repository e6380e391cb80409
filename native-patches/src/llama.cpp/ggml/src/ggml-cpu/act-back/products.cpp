// The backward products with weights and through activations; ggml-act-back.h says what is computed.

#include "back.h"

#include "gemm.h"
#include "ggml-cpu-impl.h"
#include "ggml-impl.h"
#include "vec.h"

#define GGML_COMMON_DECL_CPP
#include "ggml-common.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

namespace {

constexpr int64_t PANEL = 8192; // weights that are unpacked at a time, in floats: half of a first-level cache

// Compiled for this CPU, which ggml's own unpacking (in ggml-base) is not. Same numbers.
void unpack_q4_1(const void * data, float * out, int64_t n) {
    const block_q4_1 * block = (const block_q4_1 *) data;
    for (int64_t i = 0; i < n; i += QK4_1, block++) {
        const float d = GGML_CPU_FP16_TO_FP32(block->GGML_COMMON_AGGR_U.GGML_COMMON_AGGR_S.d), m = GGML_CPU_FP16_TO_FP32(block->GGML_COMMON_AGGR_U.GGML_COMMON_AGGR_S.m);
        uint8_t q[QK4_1/2]; // no alias of `out`
        memcpy(q, block->qs, sizeof(q));
        for (int j = 0; j < QK4_1/2; j++) {
            out[i + j] = (q[j] & 0x0F)*d + m;
        }
        for (int j = 0; j < QK4_1/2; j++) {
            out[i + j + QK4_1/2] = (q[j] >> 4)*d + m;
        }
    }
}

void unpack_q8_0(const void * data, float * out, int64_t n) {
    const block_q8_0 * block = (const block_q8_0 *) data;
    for (int64_t i = 0; i < n; i += QK8_0, block++) {
        const float d = GGML_CPU_FP16_TO_FP32(block->d);
        int8_t q[QK8_0];
        memcpy(q, block->qs, sizeof(q));
        for (int j = 0; j < QK8_0; j++) {
            out[i + j] = q[j]*d;
        }
    }
}

void unpack(ggml_type type, const char * data, float * out, int64_t n) {
    switch (type) {
        case GGML_TYPE_F32:  memcpy(out, data, n*sizeof(float)); break;
        case GGML_TYPE_F16:  ggml_cpu_fp16_to_fp32((const ggml_fp16_t *) data, out, n); break;
        case GGML_TYPE_Q4_1: unpack_q4_1(data, out, n); break;
        case GGML_TYPE_Q8_0: unpack_q8_0(data, out, n); break;
        default:             ggml_get_type_traits(type)->to_float(data, out, n); break;
    }
}

} // namespace

void ggml_act_back_mul_mat(struct ggml_tensor * dst, int ith, int nth, void * /*userdata*/) {
    const ggml_tensor * w = dst->src[0];
    const ggml_tensor * y = dst->src[1];
    const int64_t in = w->ne[0], out = w->ne[1], n = ggml_nrows(y);
    const int64_t unit = std::max<int64_t>(ggml_blck_size(w->type), 16);

    // a thread's inputs, in whole units
    const int64_t units = (in + unit - 1)/unit;
    const int64_t first = std::min(in, units*ith/nth*unit), last = std::min(in, units*(ith + 1)/nth*unit);
    const int64_t tile = std::max<int64_t>(unit, 64), depth = std::max<int64_t>(PANEL/tile, 16);
    std::vector<float> panel(depth*tile);

    const float * grad = (const float *) y->data;
    float       * x    = (float *) dst->data;
    for (int64_t r = 0; r < n; r++) {
        std::fill(x + r*in + first, x + r*in + last, 0.0f);
    }
    for (int64_t k0 = 0; k0 < out; k0 += depth) {
        const int64_t k1 = std::min(out, k0 + depth);
        bool any = false; // of the vocabulary few rows have a gradient
        for (int64_t r = 0; r < n && !any; r++) {
            any = std::any_of(grad + r*out + k0, grad + r*out + k1, [](float g) { return g != 0.0f; });
        }
        if (!any) {
            continue;
        }
        for (int64_t c = first; c < last; c += tile) {
            const int64_t width = std::min(tile, last - c);
            const char * data = (const char *) w->data + ggml_row_size(w->type, c);
            for (int64_t k = k0; k < k1; k++) {
                unpack(w->type, data + k*w->nb[1], panel.data() + (k - k0)*width, width);
            }
            act_gemm::run(n, width, k1 - k0, grad + k0, out, 1, panel.data(), width, x + c, in);
        }
    }
}

void ggml_act_back_exact(struct ggml_tensor * dst, int ith, int nth, void * /*userdata*/) {
    constexpr int64_t TALL = 12, WIDE = 64; // rows of the weight, and of activations, at a time

    const ggml_tensor * w = dst->src[0];
    const ggml_tensor * x = dst->src[1];
    const int64_t in = w->ne[0], out = w->ne[1], n = ggml_nrows(x);
    std::vector<float> panel(TALL*in), across(in*WIDE), sums(TALL*WIDE);

    for (int64_t r0 = 0; r0 < n; r0 += WIDE) {
        const int64_t rows = std::min(WIDE, n - r0), width = (rows + 15)/16*16;
        for (int64_t r = 0; r < width; r++) { // [in][width]
            const float * from = (const float *) x->data + (r0 + r)*in;
            for (int64_t i = 0; i < in; i++) {
                across[i*width + r] = r < rows ? from[i] : 0.0f;
            }
        }
        for (int64_t j0 = out*ith/nth, end = out*(ith + 1)/nth; j0 < end; j0 += TALL) {
            const int64_t tall = std::min(TALL, end - j0);
            for (int64_t j = 0; j < tall; j++) {
                unpack(w->type, (const char *) w->data + (j0 + j)*w->nb[1], panel.data() + j*in, in);
            }
            std::fill(sums.begin(), sums.end(), 0.0f);
            act_gemm::run(tall, width, in, panel.data(), in, 1, across.data(), width, sums.data(), width);
            for (int64_t r = 0; r < rows; r++) {
                float * to = (float *) dst->data + (r0 + r)*out + j0;
                for (int64_t j = 0; j < tall; j++) {
                    to[j] = sums[j*width + r];
                }
            }
        }
    }
}

namespace {

constexpr float GELU_A = 0.044715f, SQRT_2_OVER_PI = 0.79788456080286535587989211986876f, GELU_QUICK = 1.702f;

struct derived {
    float value, slope;
};

derived activation_at(ggml_act_activation kind, float x) {
    switch (kind) {
        case GGML_ACT_BACK_RELU: return { std::max(x, 0.0f), x > 0.0f ? 1.0f : 0.0f };
        case GGML_ACT_BACK_TANH: {
            const float t = tanhf(x);
            return { t, 1.0f - t*t };
        }
        case GGML_ACT_BACK_GELU: {
            const float t = tanhf(SQRT_2_OVER_PI*x*(1.0f + GELU_A*x*x));
            return { 0.5f*x*(1.0f + t), 0.5f*(1.0f + t) + 0.5f*x*(1.0f - t*t)*SQRT_2_OVER_PI*(1.0f + 3.0f*GELU_A*x*x) };
        }
        case GGML_ACT_BACK_GELU_ERF: {
            const float phi = 0.5f*(1.0f + erff(x*0.70710678118654752440f));
            return { x*phi, phi + x*expf(-0.5f*x*x)*0.39894228040143267794f };
        }
        case GGML_ACT_BACK_GELU_QUICK: {
            const float s = 1.0f/(1.0f + expf(-GELU_QUICK*x));
            return { x*s, s + GELU_QUICK*x*s*(1.0f - s) };
        }
        case GGML_ACT_BACK_SILU:
        case GGML_ACT_BACK_SIGMOID: {
            const float s = 1.0f/(1.0f + expf(-x));
            return kind == GGML_ACT_BACK_SILU ? derived { x*s, s*(1.0f + x*(1.0f - s)) } : derived { s, s*(1.0f - s) };
        }
    }
    GGML_ABORT("there is no such activation");
}

constexpr int64_t PART = 256;

// value or slope of up to PART numbers; the default model's activation by vectors
void activations(ggml_act_activation kind, bool value, const float * x, float * out, int64_t n) {
    if (kind != GGML_ACT_BACK_SILU) {
        for (int64_t i = 0; i < n; i++) {
            const derived f = activation_at(kind, x[i]);
            out[i] = value ? f.value : f.slope;
        }
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        out[i] = -x[i];
    }
    ggml_vec_soft_max_f32(n, out, out, 0.0f); // e^-x
    for (int64_t i = 0; i < n; i++) {
        const float s = 1.0f/(1.0f + out[i]);
        out[i] = value ? x[i]*s : s*(1.0f + x[i]*(1.0f - s));
    }
}

} // namespace

void ggml_act_back_activation(struct ggml_tensor * dst, int ith, int nth, void * userdata) {
    const auto & p = *(const ggml_act_back_activation_params *) userdata;
    const ggml_tensor * grad = dst->src[0];
    const ggml_tensor * x    = dst->src[1];
    const ggml_tensor * y    = dst->src[2];
    const int64_t n = dst->ne[0], rows = ggml_nrows(dst);

    for (int64_t r = rows*ith/nth; r < rows*(ith + 1)/nth; r++) {
        const float * g  = (const float *) grad->data + r*n;
        const float * xr = (const float *) ((const char *) x->data + r*x->nb[1]);
        const float * yr = y ? (const float *) ((const char *) y->data + r*y->nb[1]) : nullptr;
        float       * o  = (float *) dst->data + r*n;
        for (int64_t i0 = 0; i0 < n; i0 += PART) {
            const int64_t part = std::min(PART, n - i0);
            float f[PART];
            activations(p.activation, p.value, xr + i0, f, part);
            for (int64_t i = 0; i < part; i++) {
                o[i0 + i] = g[i0 + i]*f[i]*(yr ? yr[i0 + i] : 1.0f);
            }
        }
    }
}

void * ggml_act_back_function(const char * name) {
    if (strcmp(name, GGML_ACT_BACK_MUL_MAT) == 0) {
        return (void *) ggml_act_back_mul_mat;
    }
    if (strcmp(name, GGML_ACT_BACK_EXACT) == 0) {
        return (void *) ggml_act_back_exact;
    }
    if (strcmp(name, GGML_ACT_BACK_ACTIVATION) == 0) {
        return (void *) ggml_act_back_activation;
    }
    if (strcmp(name, GGML_ACT_BACK_ATTENTION) == 0) {
        return (void *) ggml_act_back_attention;
    }
    return nullptr;
}
