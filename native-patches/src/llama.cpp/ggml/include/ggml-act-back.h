#pragma once

// Products of gradients that ggml has no op for, as functions of GGML_OP_CUSTOM. They are compiled with the CPU backend, for its CPU;
// libllama (llama-act-gradient.cpp) finds them by name: ggml_backend_reg_get_proc_address(reg of the CPU, GGML_ACT_BACK_...).

#include "ggml.h"

#ifdef __cplusplus
extern "C" {
#endif

// dst [in, n] = W^T y.  src: W [in, out] of any type, y F32 [out, n] contiguous.
#define GGML_ACT_BACK_MUL_MAT "ggml_act_back_mul_mat"

// dst [out, n] = W x with the activations as they are, not rounded to the type of the weight's own products.  src: W as above, x F32 [in, n] contiguous.
#define GGML_ACT_BACK_EXACT "ggml_act_back_exact"

// Derivative of an activation times the gradient. userdata: a struct ggml_act_back_activation_params.
#define GGML_ACT_BACK_ACTIVATION "ggml_act_back_activation"

// Attention and the calibration behind it. userdata: a struct ggml_act_back_attention_params.
#define GGML_ACT_BACK_ATTENTION "ggml_act_back_attention"

enum ggml_act_activation {
    GGML_ACT_BACK_SILU,
    GGML_ACT_BACK_GELU,       // by tanh
    GGML_ACT_BACK_GELU_ERF,
    GGML_ACT_BACK_GELU_QUICK,
    GGML_ACT_BACK_RELU,
    GGML_ACT_BACK_TANH,
    GGML_ACT_BACK_SIGMOID,
};

// f: the activation, rows of `n` values x, one after the other behind `stride` floats; likewise y and z.
//     GATED  dst = grad * y * f'(x)     the gate of a gated unit f(x)*y;  without y: dst = grad * f'(x)
//     VALUE  dst = grad * f(x)          its other factor
// src: grad F32 [n, rows] contiguous, x F32 [n, rows], y F32 [n, rows] or NULL. dst F32 [n, rows] contiguous.
struct ggml_act_back_activation_params {
    enum ggml_act_activation activation;
    bool value;
};

// src 0  do       F32 [d_v*n_head, n_rows], contiguous: gradient of the calibrated output
//     1  q        F32 [d_k, n_rows, n_head, 1]
//     2  k        F32 or F16 [d_k, n_kv, n_head_kv, 1]
//     3  v        F32 or F16 [d_v, n_kv, n_head_kv, 1]
//     4  mask     F16 [n_kv, >= n_rows, 1, 1]
//     5  cells    I64 [n_rows]: where each row's own key and value lie in k and v
//     6  entries  as of GGML_OP_ACT (ggml-act.h), or NULL where no head of the layer is calibrated
//     7  state    as GGML_OP_ACT left it: its sinks are constants here
//     8  learned  F32 [n_head]: a learned sink's score, or NULL
// dst F32, one after the other, where inputs is true: dq [n_head][n_rows][d_k], dk [n_head][n_rows][d_k], dv [n_head][n_rows][d_v] (a query head's
// part each); then for each entry dLoss/dg, g = 1 - beta.
//
// With r = 1 + g*m/rest for the keys outside S, w = A*(1 - g) in S and A*r outside, P = <do, v> (the gradient of a weight), U and T the sums of A*P
// in and outside S, E = sum of w*P:
//     gradient of a score   A*(c*P - E) + A*g*T*(1/rest in S, -m/rest^2 outside),   c = w/A
//     dLoss/dg              sum over rows of m/rest*T - U
// The second term of a score is what moving mass between S and the rest does to r. All of it holds with a learned sink in the softmax too.
struct ggml_act_back_attention_params {
    float scale;
    float max_bias;
    float softcap;
    bool  inputs; // gradients of q, k and v are wanted
};

#ifdef __cplusplus
}
#endif
