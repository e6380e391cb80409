#include "llama-act-weights.h"

#include "llama.h"

#include <stdexcept>

void * llama_act_weights::find(const ggml_tensor * weight) {
    if (!opened) {
        opened = true;
        open();
    }
    for (const part & p : parts) {
        const int64_t id = gguf_find_tensor(p.header.get(), weight->name);
        if (id < 0 || gguf_get_tensor_type(p.header.get(), id) != weight->type || gguf_get_tensor_size(p.header.get(), id) != ggml_nbytes(weight)) {
            continue;
        }
        const size_t at = gguf_get_data_offset(p.header.get()) + gguf_get_tensor_offset(p.header.get(), id);
        return at + ggml_nbytes(weight) <= p.map->size() ? (char *) p.map->addr() + at : nullptr;
    }
    return nullptr;
}

void llama_act_weights::open() {
    if (!llama_mmap::SUPPORTED) {
        return;
    }
    open_part(path);
    if (parts.empty()) {
        return;
    }
    const gguf_context * header = parts[0].header.get();
    const int64_t key   = gguf_find_key(header, "split.count");
    const int     count = key < 0 ? 1 : gguf_get_val_u16(header, key);
    std::vector<char> prefix(path.size() + 1), name(path.size() + 32);
    if (count > 1 && llama_split_prefix(prefix.data(), prefix.size(), path.c_str(), 0, count) > 0) {
        for (int i = 1; i < count; i++) {
            llama_split_path(name.data(), name.size(), prefix.data(), i, count);
            open_part(name.data());
        }
    }
}

void llama_act_weights::open_part(const std::string & name) {
    part p;
    p.header.reset(gguf_init_from_file(name.c_str(), { /*.no_alloc =*/ true, /*.ctx =*/ nullptr }));
    if (!p.header) {
        return;
    }
    try {
        p.file = std::make_unique<llama_file>(name.c_str(), "rb");
        p.map  = std::make_unique<llama_mmap>(p.file.get(), 0);
    } catch (const std::exception &) {
        return; // the weights are then not found, which the caller tells
    }
    parts.push_back(std::move(p));
}
