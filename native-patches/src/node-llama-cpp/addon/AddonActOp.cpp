#include "AddonActOp.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>

#include "ggml-act.h"
#include "ggml-backend.h"
#include "ggml-cpp.h"
#include "ggml-cpu.h"

namespace AddonActOp {

namespace {

// Devices that ggml knows, and whether each takes the op for a plain f16 cache.
Napi::Value devices(const Napi::CallbackInfo& info) {
    Napi::Array result = Napi::Array::New(info.Env());
    for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
        ggml_backend_dev_t device = ggml_backend_dev_get(i);
        ggml_context_ptr ctx(ggml_init({ 16*ggml_tensor_overhead(), nullptr, true }));
        const auto tensor = [&](ggml_type type, int64_t a, int64_t b, int64_t c) { return ggml_new_tensor_4d(ctx.get(), type, a, b, c, 1); };
        ggml_act_params params {};
        params.scale = 1.0f;
        params.n_head = 1;
        params.n_rows = 1;
        params.pool = 1;
        ggml_tensor* node = ggml_act(ctx.get(), tensor(GGML_TYPE_F32, 64, 1, 1), tensor(GGML_TYPE_F32, 64, 1, 1), tensor(GGML_TYPE_F16, 64, 256, 1),
            tensor(GGML_TYPE_F16, 64, 256, 1), tensor(GGML_TYPE_F16, 256, 1, 1), tensor(GGML_TYPE_I32, 256, GGML_ACT_KEYS_ROWS, 1),
            tensor(GGML_TYPE_I32, GGML_ACT_ENTRY_SIZE, 1, 1), tensor(GGML_TYPE_F32, GGML_ACT_STATE_WIDTH(256), 1, 1), nullptr, &params);

        Napi::Object entry = Napi::Object::New(info.Env());
        entry.Set("name", ggml_backend_dev_name(device));
        entry.Set("description", ggml_backend_dev_description(device));
        entry.Set("backend", ggml_backend_reg_name(ggml_backend_dev_backend_reg(device)));
        entry.Set("act", ggml_backend_dev_supports_op(device, node));
        result.Set(i, entry);
    }
    return result;
}

// One op on one device, for tests. Arrays are row-major with the last index fastest:
// o [streams][rows][heads][dv], q [streams][heads][rows][dk], k, v [streams][kvHeads][keys][d], mask [streams][rows][keys],
// keysTable [streams][3][keys], entries [n][8], state [slots][2*cells + 2], matrix [2][y][x]. interleaved: the heads of a token lie side by side in
// q, k and v on the device, as in llama.cpp's cache.
Napi::Value evaluate(const Napi::CallbackInfo& info) {
    const Napi::Object in = info[0].As<Napi::Object>();
    const auto integer = [&](const char* name) { return in.Get(name).As<Napi::Number>().Int32Value(); };
    const auto real = [&](const char* name) { return in.Get(name).As<Napi::Number>().FloatValue(); };
    const auto type = [&](const char* name) {
        const std::string wanted = in.Get(name).As<Napi::String>().Utf8Value();
        for (int i = 0; i < GGML_TYPE_COUNT; i++) {
            if (wanted == ggml_type_name(static_cast<ggml_type>(i))) {
                return static_cast<ggml_type>(i);
            }
        }
        throw std::invalid_argument("there is no tensor type " + wanted);
    };

    return guarded(info.Env(), [&]() -> Napi::Value {
        const int64_t rows = integer("rows"), keys = integer("keys"), streams = integer("streams");
        const int64_t heads = integer("heads"), kvHeads = integer("kvHeads"), dk = integer("dk"), dv = integer("dv");
        const bool transposed = in.Get("transposedValues").ToBoolean();
        const bool interleaved = in.Get("interleaved").ToBoolean();

        ggml_backend_dev_t device = ggml_backend_dev_by_name(in.Get("device").As<Napi::String>().Utf8Value().c_str());
        if (device == nullptr) {
            throw std::invalid_argument("there is no such device");
        }
        ggml_backend_ptr backend(ggml_backend_dev_init(device, nullptr));
        if (auto* setThreads = reinterpret_cast<ggml_backend_set_n_threads_t>(
                ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(device), "ggml_backend_set_n_threads"))) {
            setThreads(backend.get(), integer("threads"));
        }

        ggml_context_ptr ctx(ggml_init({ 64*ggml_tensor_overhead() + ggml_graph_overhead(), nullptr, true }));
        ggml_context* c = ctx.get();
        const auto array = [&](const char* name) { return in.Get(name).As<Napi::TypedArray>(); };
        const auto state = array("state");
        const auto entries = array("entries");
        const int64_t slots = integer("slots");

        ggml_tensor* o = ggml_new_tensor_2d(c, GGML_TYPE_F32, dv*heads, rows*streams);
        const auto byHead = [&](ggml_type t, int64_t d, int64_t n, int64_t h) {
            return interleaved ? ggml_permute(c, ggml_new_tensor_4d(c, t, d, h, n, streams), 0, 2, 1, 3) : ggml_new_tensor_4d(c, t, d, n, h, streams);
        };
        ggml_tensor* q = byHead(GGML_TYPE_F32, dk, rows, heads);
        ggml_tensor* k = byHead(type("typeK"), dk, keys, kvHeads);
        ggml_tensor* v = transposed ? ggml_new_tensor_4d(c, type("typeV"), keys, dv, kvHeads, streams) : byHead(type("typeV"), dv, keys, kvHeads);
        ggml_tensor* mask = ggml_new_tensor_4d(c, type("typeMask"), keys, rows, 1, streams);
        ggml_tensor* table = ggml_new_tensor_3d(c, GGML_TYPE_I32, keys, GGML_ACT_KEYS_ROWS, streams);
        ggml_tensor* list = ggml_new_tensor_2d(c, GGML_TYPE_I32, GGML_ACT_ENTRY_SIZE, entries.ElementLength()/GGML_ACT_ENTRY_SIZE);
        ggml_tensor* sums = ggml_new_tensor_2d(c, GGML_TYPE_F32, state.ElementLength()/slots, slots);
        ggml_tensor* matrix = nullptr;
        ggml_act_params params {};
        params.scale = real("scale");
        params.max_bias = real("maxBias");
        params.softcap = real("softcap");
        params.n_head = heads;
        params.n_rows = rows;
        params.pool = 1;
        if (in.Has("matrixRows")) {
            matrix = ggml_new_tensor_3d(c, GGML_TYPE_F32, integer("matrixColumns"), integer("matrixRows"), 2);
            params.pool = integer("pool");
        }
        ggml_tensor* node = ggml_act(c, o, q, k, transposed ? ggml_transpose(c, v) : v, mask, table, list, sums, matrix, &params);
        if (!ggml_backend_supports_op(backend.get(), node)) {
            return info.Env().Null();
        }
        ggml_cgraph* graph = ggml_new_graph(c);
        ggml_build_forward_expand(graph, node);
        ggml_backend_buffer_ptr buffer(ggml_backend_alloc_ctx_tensors(c, backend.get()));

        const auto put = [&](ggml_tensor* tensor, const char* name) {
            const auto values = array(name);
            if (values.ElementLength() != static_cast<size_t>(ggml_nelements(tensor))) {
                throw std::invalid_argument(std::string(name) + " has the wrong length");
            }
            const uint8_t* data = static_cast<const uint8_t*>(values.ArrayBuffer().Data()) + values.ByteOffset();
            std::vector<float> side; // by side: [streams][n][heads][d]
            if (tensor->op == GGML_OP_PERMUTE) {
                const float* from = reinterpret_cast<const float*>(data);
                side.resize(values.ElementLength());
                const int64_t d = tensor->ne[0], n = tensor->ne[1], h = tensor->ne[2];
                for (int64_t row = 0; row < streams*h*n; row++) { // row = (stream*h + head)*n + i
                    const int64_t i = row%n, head = row/n%h, stream = row/n/h;
                    std::copy(from + row*d, from + (row + 1)*d, side.data() + ((stream*n + i)*h + head)*d);
                }
                data = reinterpret_cast<const uint8_t*>(side.data());
                tensor = tensor->view_src;
            }
            if (tensor->type == GGML_TYPE_F32 || tensor->type == GGML_TYPE_I32) {
                ggml_backend_tensor_set(tensor, data, 0, ggml_nbytes(tensor));
                return;
            }
            std::vector<uint8_t> bytes(ggml_nbytes(tensor));
            ggml_quantize_chunk(tensor->type, reinterpret_cast<const float*>(data), bytes.data(), 0, ggml_nrows(tensor), tensor->ne[0], nullptr);
            ggml_backend_tensor_set(tensor, bytes.data(), 0, bytes.size());
        };
        put(o, "o");
        put(q, "q");
        put(k, "k");
        put(v, "v");
        put(mask, "mask");
        put(table, "keysTable");
        put(list, "entries");
        put(sums, "state");
        if (matrix != nullptr) {
            const std::vector<float> nothing(ggml_nelements(matrix), NAN);
            ggml_backend_tensor_set(matrix, nothing.data(), 0, ggml_nbytes(matrix));
        }
        if (ggml_backend_graph_compute(backend.get(), graph) != GGML_STATUS_SUCCESS) {
            throw std::runtime_error("the device could not run the op");
        }
        const auto read = [&](ggml_tensor* tensor) {
            std::vector<float> values(ggml_nelements(tensor));
            ggml_backend_tensor_get(tensor, values.data(), 0, ggml_nbytes(tensor));
            return floats(info.Env(), values);
        };
        Napi::Object result = Napi::Object::New(info.Env());
        if (in.Has("repeats")) { // for the benchmark: the same work again, each call waited for
            std::vector<float> milliseconds(integer("repeats"));
            for (float& time : milliseconds) {
                const auto begin = std::chrono::steady_clock::now();
                ggml_backend_graph_compute(backend.get(), graph);
                time = std::chrono::duration<float, std::milli>(std::chrono::steady_clock::now() - begin).count();
            }
            result.Set("milliseconds", floats(info.Env(), milliseconds));
        }
        result.Set("o", read(o));
        result.Set("state", read(sums));
        if (matrix != nullptr) {
            result.Set("matrix", read(matrix));
        }
        return result;
    });
}

} // namespace

void initBindings(Napi::Object exports) {
    exports.Set("actDevices", Napi::Function::New(exports.Env(), devices, "actDevices"));
    exports.Set("actEvaluate", Napi::Function::New(exports.Env(), evaluate, "actEvaluate"));
}

} // namespace AddonActOp
