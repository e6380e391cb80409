// Runs an op with the Metal kernels and their host code on the CPU: what they need of ggml-metal-device.h is made of memory and coroutines.

#include <algorithm>
#include <map>
#include <memory>
#include <string>

#include "block.h"
#include "op.h"

#include "ggml-backend-impl.h"
#include "ggml-metal-act.h"
#include "ggml-metal-act-impl.h"

#include "act-tile.metal"
#include "act-stages.metal"
#include "act.metal"

#undef kernel
#undef thread
#undef device
#undef constant
#undef threadgroup

void metal::threadgroup_barrier(mem_flags) { block::barrier(); }

typedef decltype(&kernel_act_scores) kernel_function;

static const std::map<std::string, kernel_function> kernels = {
#define KERNEL(name) { #name, name }
    KERNEL(kernel_act_scores),
    KERNEL(kernel_act_scores_few),
    KERNEL(kernel_act_sums),
    KERNEL(kernel_act_select),
    KERNEL(kernel_act_select_few),
    KERNEL(kernel_act_correct),
    KERNEL(kernel_act_correct_few),
};

struct ggml_metal_pipeline {
    kernel_function function;
};

ggml_metal_library_t ggml_metal_library_init_from_source(ggml_metal_device_t, const char *, bool) { return (ggml_metal_library_t) &kernels; }
void ggml_metal_library_free(ggml_metal_library_t) {}

ggml_metal_pipeline_with_params ggml_metal_library_compile_pipeline(ggml_metal_library_t, const char * base, const char *, ggml_metal_cv_t) {
    ggml_metal_pipeline_with_params result = {};
    const auto at = kernels.find(base);
    need(at != kernels.end(), "there is no such kernel");
    result.pipeline = new ggml_metal_pipeline { at->second };
    return result;
}

// what every Apple GPU since the A11 has
int ggml_metal_pipeline_max_theads_per_threadgroup(ggml_metal_pipeline_with_params) { return 512; }

const ggml_metal_device_props * ggml_metal_device_get_props(ggml_metal_device_t) {
    static ggml_metal_device_props props = {};
    props.max_theadgroup_memory_size = 32*1024;
    return &props;
}

struct ggml_metal_buffer {
    std::vector<float> floats;
};

ggml_metal_buffer_t ggml_metal_buffer_init(ggml_metal_device_t, size_t size, bool) {
    return new ggml_metal_buffer { std::vector<float>(size/sizeof(float), NAN) }; // nothing may count on what was there
}
void   ggml_metal_buffer_free(ggml_metal_buffer_t buffer) { delete buffer; }
void * ggml_metal_buffer_get_base(ggml_metal_buffer_t buffer) { return buffer->floats.data(); }
ggml_metal_buffer_id ggml_metal_buffer_get_id(ggml_metal_buffer_t, const ggml_tensor * t) { return { t->data, 0 }; }

struct dispatch {
    kernel_function   function;
    std::vector<char> args;
    void            * buffers[10];
    size_t            memory;
    grid_size         grid;
    int               threads;

    void run() const {
        std::vector<float> mem(memory/sizeof(float));
        uint3 group;
        block one(threads, [&](int t) {
            void * const * b = buffers;
            function(*(const ggml_metal_kargs_act *) args.data(), (char *) b[1], (char *) b[2], (char *) b[3], (char *) b[4], (int32_t *) b[5],
                (int32_t *) b[6], (int32_t *) b[7], (float *) b[8], (float *) b[9], mem.data(), group, t);
        });
        run_grid(one, grid, [&](int x, int y, int z) {
            group = { (uint) x, (uint) y, (uint) z };
            std::fill(mem.begin(), mem.end(), NAN);
        });
    }
};

// What is dispatched between two barriers may run at once: it runs last to first here.
struct ggml_metal_encoder {
    dispatch              next = {};
    std::vector<dispatch> waiting;

    void run() {
        for (; !waiting.empty(); waiting.pop_back()) {
            waiting.back().run();
        }
    }
};

void ggml_metal_encoder_set_pipeline(ggml_metal_encoder_t enc, ggml_metal_pipeline_with_params pipeline) { enc->next.function = pipeline.pipeline->function; }
void ggml_metal_encoder_set_bytes(ggml_metal_encoder_t enc, void * data, size_t size, int) { enc->next.args.assign((char *) data, (char *) data + size); }
void ggml_metal_encoder_set_buffer(ggml_metal_encoder_t enc, ggml_metal_buffer_id buffer, int i) { enc->next.buffers[i] = buffer.metal; }
void ggml_metal_encoder_set_threadgroup_memory_size(ggml_metal_encoder_t enc, size_t size, int) { enc->next.memory = size; }
void ggml_metal_encoder_dispatch_threadgroups(ggml_metal_encoder_t enc, int x, int y, int z, int threads, int, int) {
    enc->next.grid    = { x, y, z };
    enc->next.threads = threads;
    enc->waiting.push_back(enc->next);
}
void ggml_metal_encoder_memory_barrier(ggml_metal_encoder_t enc) { enc->run(); }

int main() {
    ggml_tensor * node = read_op();
    ggml_backend_buffer buffer = {};
    for (ggml_tensor * t : node->src) {
        if (t) {
            (t->view_src ? t->view_src : t)->buffer = &buffer;
        }
    }
    need(ggml_metal_act_supported(nullptr, node), "the backend refuses the op");
    ggml_metal_encoder encoder;
    ggml_metal_act_encode(nullptr, &encoder, node);
    encoder.run();
    ggml_metal_act_free(nullptr);
    write_result(node);
    return 0;
}
