#include "ggml-metal-act.h"
#include "ggml-metal-act-impl.h"

#include "ggml-act.h"
#include "ggml-backend-impl.h"
#include "ggml-impl.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>

static_assert(ACT_ENTRY_STREAM == GGML_ACT_ENTRY_STREAM && ACT_ENTRY_HEAD == GGML_ACT_ENTRY_HEAD && ACT_ENTRY_SLOT == GGML_ACT_ENTRY_SLOT &&
    ACT_ENTRY_FLAGS == GGML_ACT_ENTRY_FLAGS && ACT_ENTRY_WEIGHT == GGML_ACT_ENTRY_WEIGHT && ACT_ENTRY_LIMIT == GGML_ACT_ENTRY_LIMIT &&
    ACT_ENTRY_SIZE == GGML_ACT_ENTRY_SIZE, "entries differ from ggml-act.h");
static_assert(ACT_FLAG_FRESH == GGML_ACT_FLAG_FRESH && ACT_FLAG_ROW == GGML_ACT_FLAG_ROW && ACT_FLAG_INITIAL == GGML_ACT_FLAG_INITIAL &&
    ACT_FLAG_WATCH == GGML_ACT_FLAG_WATCH, "flags differ from ggml-act.h");
static_assert(ACT_KEYS_POSITION == GGML_ACT_KEYS_POSITION && ACT_KEYS_COUNT == GGML_ACT_KEYS_COUNT &&
    ACT_KEYS_SEGMENT == GGML_ACT_KEYS_SEGMENT && ACT_KEYS_ROWS == GGML_ACT_KEYS_ROWS, "the table of keys differs from ggml-act.h");
static_assert(GGML_ACT_STATE_EXEMPT(8) == 8 && GGML_ACT_STATE_COUNT(8) == 9 && GGML_ACT_STATE_SINKS(8) == 10, "the state differs from ggml-act.h");
static_assert((int) ACT_TYPE_F32 == GGML_TYPE_F32 && (int) ACT_TYPE_F16 == GGML_TYPE_F16 && (int) ACT_TYPE_Q4_0 == GGML_TYPE_Q4_0 &&
    (int) ACT_TYPE_Q8_0 == GGML_TYPE_Q8_0, "types differ from ggml.h");

namespace {

const char * const source =
#include "ggml-metal-act-source.inc"
;

enum act_kernel { SCORES, SCORES_FEW, SUMS, SELECT, SELECT_FEW, CORRECT, CORRECT_FEW, KERNELS };

struct act_kernel_shape {
    const char * name;
    int          threads;
    size_t       floats; // of threadgroup memory
};

constexpr act_kernel_shape shapes[KERNELS] = {
    { "kernel_act_scores",      ACT_SCORES_THREADS,     ACT_SCORES_MEMORY(ACT_TILE_ROWS) },
    { "kernel_act_scores_few",  ACT_SCORES_THREADS_FEW, ACT_SCORES_MEMORY(ACT_FEW_ROWS)  },
    { "kernel_act_sums",        ACT_SCORES_THREADS,     ACT_SCORES_MEMORY(ACT_TILE_ROWS) },
    { "kernel_act_select",      ACT_SELECT_THREADS,     ACT_SELECT_MEMORY                },
    { "kernel_act_select_few",  ACT_SELECT_THREADS,     ACT_SELECT_MEMORY                },
    { "kernel_act_correct",     ACT_CORRECT_THREADS,    ACT_CORRECT_MEMORY               },
    { "kernel_act_correct_few", ACT_CORRECT_THREADS,    ACT_CORRECT_MEMORY               },
};

size_t threadgroup_bytes(const act_kernel_shape & shape) { return GGML_PAD(shape.floats*sizeof(float), 16); }

// The op's result is a view of o, so no memory can be asked for behind it: the device keeps some. It is of one size, and entries for which it is
// too small are computed in rounds; so it never moves under a graph that runs.
#ifndef GGML_METAL_ACT_SCRATCH // tests have less, for rounds of few entries
#define GGML_METAL_ACT_SCRATCH (32*1024*1024)
#endif
constexpr size_t SCRATCH_BYTES = GGML_METAL_ACT_SCRATCH;

struct act_device {
    ggml_metal_library_t            library = nullptr;
    ggml_metal_pipeline_with_params pipelines[KERNELS] = {};
    ggml_metal_buffer_t             scratch = nullptr;
    bool                            works = false;

    explicit act_device(ggml_metal_device_t dev) {
        library = ggml_metal_library_init_from_source(dev, source, true);
        if (!library) {
            return;
        }
        for (int i = 0; i < KERNELS; i++) {
            pipelines[i] = ggml_metal_library_compile_pipeline(library, shapes[i].name, shapes[i].name, nullptr);
            if (!pipelines[i].pipeline || ggml_metal_pipeline_max_theads_per_threadgroup(pipelines[i]) < shapes[i].threads ||
                    ggml_metal_device_get_props(dev)->max_theadgroup_memory_size < threadgroup_bytes(shapes[i])) {
                GGML_LOG_WARN("%s: this device cannot run %s\n", __func__, shapes[i].name);
                return;
            }
        }
        scratch = ggml_metal_buffer_init(dev, SCRATCH_BYTES, false);
        works   = scratch != nullptr;
    }

    ~act_device() {
        if (scratch) {
            ggml_metal_buffer_free(scratch);
        }
        if (library) {
            ggml_metal_library_free(library);
        }
    }
};

// Outlives the devices, which end with the process.
struct act_devices {
    std::mutex mutex;
    std::map<ggml_metal_device_t, std::unique_ptr<act_device>> all;

    static act_devices & known() {
        static auto * devices = new act_devices;
        return *devices;
    }
};

act_device & device_of(ggml_metal_device_t dev) {
    auto & known = act_devices::known();
    std::lock_guard<std::mutex> lock(known.mutex);
    auto & device = known.all[dev];
    if (!device) {
        device = std::make_unique<act_device>(dev);
    }
    return *device;
}

struct act_plan {
    ggml_metal_kargs_act args;
    bool few;
    int  n_entries, round; // entries, and how many of them at once
    int  blocks, tiles;
};

// round 0: not even one entry fits into scratch
act_plan plan_of(const ggml_tensor * op) {
    // so many threadgroups keep a large GPU busy; more parts of a row only cost additions
    constexpr int ENOUGH_THREADGROUPS = 512;

    const ggml_tensor * q       = op->src[1];
    const ggml_tensor * k       = op->src[2];
    const ggml_tensor * v       = op->src[3];
    const ggml_tensor * mask    = op->src[4];
    const ggml_tensor * entries = op->src[6];
    const ggml_tensor * state   = op->src[7];

    ggml_act_params params;
    memcpy(&params, op->op_params, sizeof(params));

    act_plan plan = {};
    ggml_metal_kargs_act & a = plan.args;

    a.q_row       = q->nb[1];
    a.q_head      = q->nb[2];
    a.q_stream    = q->nb[3];
    a.k_row       = k->nb[1];
    a.k_head      = k->nb[2];
    a.k_stream    = k->nb[3];
    a.v_value     = v->nb[0];
    a.v_row       = v->nb[1];
    a.v_head      = v->nb[2];
    a.v_stream    = v->nb[3];
    a.mask_row    = mask->nb[1];
    a.mask_stream = mask->nb[3];
    a.type_k      = k->type;
    a.type_v      = v->type;
    a.type_mask   = mask->type;
    a.n_kv        = k->ne[1];
    a.n_rows      = params.n_rows;
    a.n_head      = params.n_head;
    a.group       = params.n_head/k->ne[2];
    a.dk          = k->ne[0];
    a.dv          = v->ne[0];
    a.state_width = state->ne[0];

    const int n_log2 = 1 << (int) floor(log2(params.n_head));
    a.slope_heads = n_log2;
    a.slope0      = params.max_bias > 0.0f ? powf(2.0f, -params.max_bias/n_log2)      : 0.0f;
    a.slope1      = params.max_bias > 0.0f ? powf(2.0f, -params.max_bias/2.0f/n_log2) : 0.0f;
    a.scale       = params.scale;
    a.softcap     = params.softcap;
    a.min_rest    = GGML_ACT_MIN_REST;
    a.direct_rest = GGML_ACT_DIRECT_REST;

    plan.few       = a.n_rows <= ACT_FEW_ROWS;
    plan.n_entries = entries->ne[1];
    plan.blocks    = plan.few ? 1 : (a.n_rows + ACT_TILE_ROWS - 1)/ACT_TILE_ROWS;
    plan.tiles     = (a.n_kv + ACT_TILE_KEYS - 1)/ACT_TILE_KEYS;

    const int wanted = std::min({ plan.tiles, plan.few ? 64 : 16, std::max(1, ENOUGH_THREADGROUPS/(plan.n_entries*plan.blocks)) });
    a.split_keys = (plan.tiles + wanted - 1)/wanted*ACT_TILE_KEYS;
    a.n_splits   = (a.n_kv + a.split_keys - 1)/a.split_keys;

    const int64_t splits = (int64_t) 2*a.n_rows*a.n_splits;
    const int64_t scores = plan.few ? (int64_t) a.n_rows*a.n_kv : 0;
    plan.round  = std::min<int64_t>(plan.n_entries, SCRATCH_BYTES/sizeof(float)/(splits + scores + a.n_kv));
    a.scores_at = plan.round*splits;
    a.sums_at   = plan.round*(splits + scores);
    return plan;
}

bool takes_type(const ggml_tensor * t) {
    switch (t->type) {
        case GGML_TYPE_F32:
        case GGML_TYPE_F16:
            return true;
        case GGML_TYPE_Q4_0:
        case GGML_TYPE_Q8_0:
            return t->ne[0] % ggml_blck_size(t->type) == 0 && t->nb[0] == ggml_type_size(t->type);
        default:
            return false;
    }
}

ggml_metal_buffer_id buffer_of(const ggml_tensor * t) {
    const ggml_backend_buffer_t buffer = t->view_src ? t->view_src->buffer : t->buffer;
    return ggml_metal_buffer_get_id((ggml_metal_buffer_t) buffer->context, t);
}

} // namespace

bool ggml_metal_act_supported(ggml_metal_device_t dev, const ggml_tensor * op) {
    const ggml_tensor * k = op->src[2];
    const ggml_tensor * v = op->src[3];

    // the engine sets it where a check of the kernels failed (src/engine/probe.ts)
    static const bool disabled = getenv("GGML_METAL_DISABLE_ACT") != nullptr;

    return !disabled && op->src[8] == nullptr && // the pooled matrix is the CPU's
        takes_type(k) && k->nb[0] == ggml_type_size(k->type) && k->ne[0] <= ACT_MAX_D &&
        takes_type(v) && v->ne[0] <= ACT_MAX_D &&
        op->src[4]->nb[0] == ggml_type_size(op->src[4]->type) &&
        plan_of(op).round > 0 && device_of(dev).works;
}

void ggml_metal_act_encode(ggml_metal_device_t dev, ggml_metal_encoder_t enc, const ggml_tensor * op) {
    act_device & device = device_of(dev);
    act_plan     plan   = plan_of(op);

    ggml_tensor scratch = {};
    scratch.type = GGML_TYPE_F32;
    scratch.data = ggml_metal_buffer_get_base(device.scratch);

    for (int i = 1; i <= 7; i++) {
        ggml_metal_encoder_set_buffer(enc, buffer_of(op->src[i]), i);
    }
    ggml_metal_encoder_set_buffer(enc, ggml_metal_buffer_get_id(device.scratch, &scratch), 8);
    ggml_metal_encoder_set_buffer(enc, buffer_of(op), 9);

    const auto dispatch = [&](act_kernel kernel, int x, int y, int n) {
        ggml_metal_encoder_set_pipeline(enc, device.pipelines[kernel]);
        ggml_metal_encoder_set_threadgroup_memory_size(enc, threadgroup_bytes(shapes[kernel]), 0);
        ggml_metal_encoder_dispatch_threadgroups(enc, x, y, n, shapes[kernel].threads, 1, 1);
    };
    for (int entry = 0; entry < plan.n_entries; entry += plan.round) {
        const int n = std::min(plan.round, plan.n_entries - entry);
        if (entry > 0) {
            ggml_metal_encoder_memory_barrier(enc); // scratch is used again
        }
        plan.args.entry0 = entry;
        ggml_metal_encoder_set_bytes(enc, &plan.args, sizeof(plan.args), 0);

        dispatch(plan.few ? SCORES_FEW : SCORES, plan.args.n_splits, plan.blocks, n);
        ggml_metal_encoder_memory_barrier(enc);
        if (!plan.few) {
            dispatch(SUMS, plan.tiles, 1, n);
            ggml_metal_encoder_memory_barrier(enc);
        }
        dispatch(plan.few ? SELECT_FEW : SELECT, 1, 1, n);
        ggml_metal_encoder_memory_barrier(enc);
        dispatch(plan.few ? CORRECT_FEW : CORRECT, (plan.args.n_rows + ACT_CORRECT_ROWS - 1)/ACT_CORRECT_ROWS, 1, n);
    }
}

void ggml_metal_act_free(ggml_metal_device_t dev) {
    auto & known = act_devices::known();
    std::lock_guard<std::mutex> lock(known.mutex);
    known.all.erase(dev);
}
