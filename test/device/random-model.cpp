#include "random-model.h"

#include "ggml-cpp.h"
#include "gguf.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <stdexcept>
#include <vector>

namespace {

// Random rows are drawn once and used again, shifted, so that 7 billion weights take seconds.
constexpr size_t POOL = 1 << 22;

struct writer {
    const model_shape &        shape;
    gguf_context_ptr           gguf { gguf_init_empty() };
    ggml_context_ptr           ctx { ggml_init({ 4096*ggml_tensor_overhead(), nullptr, true }) };
    std::vector<float>         pool;
    std::vector<std::pair<ggml_tensor *, float>> tensors; // with the size of their values; 0: all ones

    explicit writer(const model_shape & shape) : shape(shape), pool(POOL) {
        std::mt19937 random(11);
        std::normal_distribution<float> normal(0.0f, 1.0f);
        for (float & x : pool) {
            x = normal(random);
        }
    }

    void add(const std::string & name, int64_t columns, int64_t rows, float size) {
        const bool fits = columns%ggml_blck_size(shape.type) == 0;
        const ggml_type type = rows == 0 ? GGML_TYPE_F32 : fits ? shape.type : GGML_TYPE_Q8_0;
        ggml_tensor * t = rows == 0 ? ggml_new_tensor_1d(ctx.get(), type, columns) : ggml_new_tensor_2d(ctx.get(), type, columns, rows);
        ggml_set_name(t, name.c_str());
        gguf_add_tensor(gguf.get(), t);
        tensors.push_back({ t, size });
    }

    std::vector<uint8_t> data(const ggml_tensor * t, float size, size_t number) const {
        std::vector<uint8_t> bytes(ggml_nbytes(t));
        if (size == 0.0f) {
            std::fill((float *) bytes.data(), (float *) bytes.data() + t->ne[0], 1.0f);
            return bytes;
        }
        // so many rows are made, then repeated
        const int64_t made = std::min<int64_t>(t->ne[1], std::max<int64_t>(1, POOL/2/t->ne[0]));
        std::vector<float> values(made*t->ne[0]);
        const size_t shift = number*7919%(POOL/2);
        for (size_t i = 0; i < values.size(); i++) {
            values[i] = size*pool[(shift + i)%POOL];
        }
        const size_t row = ggml_row_size(t->type, t->ne[0]);
        ggml_quantize_chunk(t->type, values.data(), bytes.data(), 0, made, t->ne[0], nullptr);
        for (int64_t r = made; r < t->ne[1]; r += made) {
            memcpy(bytes.data() + r*row, bytes.data(), std::min<int64_t>(made, t->ne[1] - r)*row);
        }
        return bytes;
    }
};

} // namespace

void write_random_model(const model_shape & s, const std::string & file) {
    writer w(s);
    gguf_context * g = w.gguf.get();
    gguf_set_val_str(g, "general.architecture", "llama");
    gguf_set_val_str(g, "general.name", s.name.c_str());
    gguf_set_val_u32(g, "llama.context_length", 65536);
    gguf_set_val_u32(g, "llama.embedding_length", s.embedding);
    gguf_set_val_u32(g, "llama.block_count", s.layers);
    gguf_set_val_u32(g, "llama.feed_forward_length", s.feed_forward);
    gguf_set_val_u32(g, "llama.attention.head_count", s.heads);
    gguf_set_val_u32(g, "llama.attention.head_count_kv", s.heads_kv);
    gguf_set_val_u32(g, "llama.attention.key_length", s.head_size);
    gguf_set_val_u32(g, "llama.attention.value_length", s.head_size);
    gguf_set_val_u32(g, "llama.rope.dimension_count", s.head_size);
    gguf_set_val_f32(g, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    gguf_set_val_u32(g, "llama.vocab_size", s.vocabulary);
    gguf_set_val_str(g, "tokenizer.ggml.model", "no_vocab");

    const float in = 1/std::sqrt((float) s.embedding);
    w.add("token_embd.weight", s.embedding, s.vocabulary, 1.0f);
    for (int i = 0; i < s.layers; i++) {
        const std::string p = "blk." + std::to_string(i) + ".";
        w.add(p + "attn_norm.weight", s.embedding, 0, 0.0f);
        w.add(p + "attn_q.weight", s.embedding, s.heads*s.head_size, 1.5f*in);
        w.add(p + "attn_k.weight", s.embedding, s.heads_kv*s.head_size, 1.5f*in);
        w.add(p + "attn_v.weight", s.embedding, s.heads_kv*s.head_size, in);
        w.add(p + "attn_output.weight", s.heads*s.head_size, s.embedding, 1/std::sqrt((float) s.heads*s.head_size));
        w.add(p + "ffn_norm.weight", s.embedding, 0, 0.0f);
        w.add(p + "ffn_gate.weight", s.embedding, s.feed_forward, in);
        w.add(p + "ffn_up.weight", s.embedding, s.feed_forward, in);
        w.add(p + "ffn_down.weight", s.feed_forward, s.embedding, 1/std::sqrt((float) s.feed_forward));
    }
    w.add("output_norm.weight", s.embedding, 0, 0.0f);
    w.add("output.weight", s.embedding, s.vocabulary, 2*in);

    FILE * out = fopen(file.c_str(), "wb");
    if (!out) {
        throw std::runtime_error(file + " cannot be written");
    }
    std::vector<uint8_t> meta(gguf_get_meta_size(g));
    gguf_get_meta_data(g, meta.data());
    bool fine = fwrite(meta.data(), 1, meta.size(), out) == meta.size();
    for (size_t i = 0; i < w.tensors.size() && fine; i++) {
        std::vector<uint8_t> bytes = w.data(w.tensors[i].first, w.tensors[i].second, i);
        bytes.resize(GGML_PAD(bytes.size(), gguf_get_alignment(g)), 0);
        fine = fwrite(bytes.data(), 1, bytes.size(), out) == bytes.size();
    }
    if (fclose(out) != 0 || !fine) {
        throw std::runtime_error(file + " cannot be written");
    }
}
