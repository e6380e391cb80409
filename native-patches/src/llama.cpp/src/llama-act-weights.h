#pragma once

// Weights as they are in the model's file, for a backward pass on the CPU: in the loaded model they may lie on a device, or be packed anew for the
// CPU's own products (CPU_REPACK), which is done without a way back. The file is mapped, so that this takes no memory of its own.

#include "llama-mmap.h"

#include "ggml-cpp.h"
#include "gguf.h"

#include <memory>
#include <string>
#include <vector>

class llama_act_weights {
public:
    // path: the model's file, or the first of its parts. Nothing is opened before a weight is asked for.
    explicit llama_act_weights(std::string path) : path(std::move(path)) {}

    // The data of a weight; null where the file has none of that name, type and size.
    void * find(const ggml_tensor * weight);

private:
    struct part {
        gguf_context_ptr            header;
        std::unique_ptr<llama_file> file;
        std::unique_ptr<llama_mmap> map;
    };

    std::string       path;
    bool              opened = false;
    std::vector<part> parts;

    void open();
    void open_part(const std::string & name);
};
