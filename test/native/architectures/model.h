#pragma once

// Random models as llama.cpp's own test makes them, and running them.

#define main upstream_main
#include "test-llama-archs.cpp"
#undef main

static constexpr uint32_t CONTEXT = 256, TOKENS = 64, STEPS = 4, SEED = 7;

struct cache {
    const char * name;
    ggml_type    type;
    bool         flash;
};

static const cache CACHES[] = {
    { "f32",        GGML_TYPE_F32,  false },
    { "f16",        GGML_TYPE_F16,  false },
    { "f16 flash",  GGML_TYPE_F16,  true  },
    { "q8_0 flash", GGML_TYPE_Q8_0, true  },
    { "q4_0 flash", GGML_TYPE_Q4_0, true  },
};

static uint64_t digest(uint64_t h, const float * x, size_t n) {
    for (size_t i = 0; i < n*sizeof(float); i++) {
        h = (h ^ ((const uint8_t *) x)[i])*1099511628211ull;
    }
    return h;
}

static llama_context_ptr make_context(llama_model * model, const cache & c, uint32_t sequences, void * user, ggml_backend_sched_eval_callback callback) {
    llama_context_params params = llama_context_default_params();
    params.n_ctx           = CONTEXT*sequences;
    params.n_batch         = CONTEXT;
    params.n_ubatch        = CONTEXT;
    params.n_seq_max       = sequences;
    params.n_threads       = 1;
    params.n_threads_batch = 1;
    params.type_k          = c.type;
    params.type_v          = c.flash ? c.type : c.type == GGML_TYPE_F32 ? GGML_TYPE_F32 : GGML_TYPE_F16;
    params.flash_attn_type = c.flash ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
    params.swa_full        = false;
    params.kv_unified      = false;
    params.cb_eval           = callback;
    params.cb_eval_user_data = user;
    return llama_context_ptr(llama_init_from_model(model, params));
}

// Tokens [from, to) of one or more sequences in one batch; their logits are added to the digest.
static uint64_t decode(llama_context * ctx, uint32_t from, uint32_t to, uint32_t sequences, uint64_t h, uint32_t position = UINT32_MAX) {
    const int n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(llama_get_model(ctx)));
    const auto tokens = get_tokens(CONTEXT*sequences, std::min(n_vocab, 128), SEED);
    llama_batch batch = llama_batch_init(CONTEXT*sequences, 0, 1);
    for (uint32_t s = 0; s < sequences; s++) {
        for (uint32_t i = from; i < to; i++) {
            common_batch_add(batch, tokens[s*CONTEXT + i], position == UINT32_MAX ? i : position + i - from, { (llama_seq_id) s }, i + 1 == to);
        }
    }
    const int32_t result = llama_decode(ctx, batch);
    for (int32_t i = 0; result == 0 && i < batch.n_tokens; i++) {
        if (batch.logits[i]) {
            h = digest(h, llama_get_logits_ith(ctx, i), n_vocab);
        }
    }
    llama_batch_free(batch);
    if (result != 0) {
        throw std::runtime_error("llama_decode answered " + std::to_string(result));
    }
    return h;
}

static std::string quoted(const std::string & text) {
    std::string result = "\"";
    for (const char c : text) {
        result += c == '"' || c == '\\' ? std::string("\\") + c : c == '\n' ? std::string(" ") : std::string(1, c);
    }
    return result + "\"";
}
