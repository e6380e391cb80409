#pragma once

// Models of the llama architecture with random weights, for checks where no download is possible.

#include "ggml.h"

#include <string>

struct model_shape {
    std::string name;
    int layers, embedding, heads, heads_kv, head_size, feed_forward, vocabulary;
    ggml_type type; // of the matrices; where a row does not divide into its blocks, q8_0
};

// Writes a GGUF file, the same for the same shape. Queries and keys are large enough that some keys draw much attention.
// Throws std::runtime_error where the file cannot be written.
void write_random_model(const model_shape & shape, const std::string & file);
