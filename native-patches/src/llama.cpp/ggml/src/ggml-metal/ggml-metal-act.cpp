#include "ggml-metal-act.h"
#include "ggml-metal-act-impl.h"

#include "ggml-act-plan.h"
#include "ggml-backend-impl.h"
#include "ggml-impl.h"

#include <algorithm>
#include <cstdlib>
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
static_assert(ACT_TILE_KEYS == GGML_ACT_TILE_KEYS && ACT_TILE_ROWS == GGML_ACT_TILE_ROWS && ACT_FEW_ROWS == GGML_ACT_FEW_ROWS &&
    ACT_MAX_D == GGML_ACT_MAX_D, "the kernels differ from ggml-act-plan.h");

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

// How many entries scratch holds at once; 0 where it is too small for one.
int entries_at_once(const ggml_act_plan & plan) {
    return std::min<uint64_t>(plan.n_entries, SCRATCH_BYTES/sizeof(float)/plan.scratch(1));
}

ggml_metal_buffer_id buffer_of(const ggml_tensor * t) {
    const ggml_backend_buffer_t buffer = t->view_src ? t->view_src->buffer : t->buffer;
    return ggml_metal_buffer_get_id((ggml_metal_buffer_t) buffer->context, t);
}

} // namespace

bool ggml_metal_act_supported(ggml_metal_device_t dev, const ggml_tensor * op) {
    // the engine sets it where a check of the kernels failed (src/engine/native/probe.ts)
    static const bool disabled = getenv("GGML_METAL_DISABLE_ACT") != nullptr;

    return !disabled && ggml_act_takes(op) && entries_at_once(ggml_act_plan(op)) > 0 && device_of(dev).works;
}

void ggml_metal_act_encode(ggml_metal_device_t dev, ggml_metal_encoder_t enc, const ggml_tensor * op) {
    act_device        & device = device_of(dev);
    const ggml_act_plan plan(op);
    const int           n_entries = plan.n_entries;
    const int           round     = entries_at_once(plan);

    ggml_metal_kargs_act args = {};
    plan.fill(args, round, {});
    args.type_k      = op->src[2]->type;
    args.type_v      = op->src[3]->type;
    args.type_mask   = op->src[4]->type;
    args.min_rest    = GGML_ACT_MIN_REST;
    args.direct_rest = GGML_ACT_DIRECT_REST;

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
    for (int entry = 0; entry < n_entries; entry += round) {
        const int n = std::min(round, n_entries - entry);
        if (entry > 0) {
            ggml_metal_encoder_memory_barrier(enc); // scratch is used again
        }
        args.entry0 = entry;
        ggml_metal_encoder_set_bytes(enc, &args, sizeof(args), 0);

        dispatch(plan.few ? SCORES_FEW : SCORES, plan.n_splits, plan.blocks, n);
        ggml_metal_encoder_memory_barrier(enc);
        if (!plan.few) {
            dispatch(SUMS, plan.tiles, 1, n);
            ggml_metal_encoder_memory_barrier(enc);
        }
        dispatch(plan.few ? SELECT_FEW : SELECT, 1, 1, n);
        ggml_metal_encoder_memory_barrier(enc);
        dispatch(plan.few ? CORRECT_FEW : CORRECT, (args.n_rows + ACT_CORRECT_ROWS - 1)/ACT_CORRECT_ROWS, 1, n);
    }
}

void ggml_metal_act_free(ggml_metal_device_t dev) {
    auto & known = act_devices::known();
    std::lock_guard<std::mutex> lock(known.mutex);
    known.all.erase(dev);
}
