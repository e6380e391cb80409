#include "AddonAct.h"

#include <atomic>
#include <cmath>
#include <cstring>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "AddonContext.h"
#include "AddonModel.h"
#include "act-patch-set.h"
#include "ggml-act.h"
#include "ggml-backend.h"
#include "ggml-cpp.h"
#include "ggml-cpu.h"
#include "llama-act.h"
#include "llama-context.h"
#include "llama-model.h"

namespace {

AddonContext* unwrap(const Napi::CallbackInfo& info) {
    AddonContext* context = Napi::ObjectWrap<AddonContext>::Unwrap(info.This().As<Napi::Object>());
    if (context->disposed || context->ctx == nullptr) {
        throw Napi::Error::New(info.Env(), "Context is disposed");
    }
    return context;
}

// Runs `deed`; what it throws becomes a JavaScript error.
template <typename Deed>
auto guarded(Napi::Env env, Deed deed) -> decltype(deed()) {
    try {
        return deed();
    } catch (const Napi::Error&) {
        throw;
    } catch (const std::invalid_argument& e) {
        throw Napi::RangeError::New(env, e.what());
    } catch (const std::exception& e) {
        throw Napi::Error::New(env, e.what());
    }
}

Napi::Float32Array floats(Napi::Env env, const std::vector<float>& values) {
    Napi::Float32Array result = Napi::Float32Array::New(env, values.size());
    if (!values.empty()) {
        memcpy(result.Data(), values.data(), values.size()*sizeof(float));
    }
    return result;
}

class DecodeWorker : public Napi::AsyncWorker {
    public:
        DecodeWorker(const Napi::CallbackInfo& info, AddonContext* context)
            : Napi::AsyncWorker(info.Env(), "ActDecodeWorker"),
              deferred(Napi::Promise::Deferred::New(info.Env())),
              context(context),
              flag(context->actAbort) {
            const Napi::Object batch = info[0].As<Napi::Object>();
            const auto positionsIn = batch.Get("positions").As<Napi::Int32Array>();
            const auto sequencesIn = batch.Get("sequences").As<Napi::Int32Array>();
            const auto outputsIn = batch.Get("outputs").As<Napi::Uint8Array>();
            const size_t count = positionsIn.ElementLength();

            positions.assign(positionsIn.Data(), positionsIn.Data() + count);
            outputs.assign(outputsIn.Data(), outputsIn.Data() + outputsIn.ElementLength());
            sequences.assign(sequencesIn.Data(), sequencesIn.Data() + sequencesIn.ElementLength());
            if (batch.Has("embeddings") && batch.Get("embeddings").IsTypedArray()) {
                const auto in = batch.Get("embeddings").As<Napi::Float32Array>();
                embeddings.assign(in.Data(), in.Data() + in.ElementLength());
            } else {
                const auto in = batch.Get("tokens").As<Napi::Int32Array>();
                tokens.assign(in.Data(), in.Data() + in.ElementLength());
            }
            if (batch.Has("firstLayer") && batch.Get("firstLayer").IsNumber()) {
                firstLayer = batch.Get("firstLayer").As<Napi::Number>().Uint32Value();
            }

            const auto& hparams = context->model->model->hparams;
            const int32_t vocabulary = llama_vocab_n_tokens(context->model->vocab);
            const auto& cparams = context->ctx->get_cparams();
            if (count == 0 || count > cparams.n_batch || sequences.size() != count || outputs.size() != count ||
                (embeddings.empty() ? tokens.size() != count : embeddings.size() != count*hparams.n_embd)) {
                throw Napi::RangeError::New(info.Env(), "a batch needs between 1 and " + std::to_string(cparams.n_batch) + " tokens, and arrays of equal length");
            }
            for (const llama_token token : tokens) {
                if (token < 0 || token >= vocabulary) {
                    throw Napi::RangeError::New(info.Env(), "token id " + std::to_string(token) + " is outside the vocabulary of " + std::to_string(vocabulary));
                }
            }
            for (const llama_seq_id sequence : sequences) {
                if (sequence < 0 || static_cast<uint32_t>(sequence) >= cparams.n_seq_max) {
                    throw Napi::RangeError::New(info.Env(), "there is no sequence " + std::to_string(sequence));
                }
            }
            for (const llama_pos position : positions) {
                if (position < 0 || static_cast<uint32_t>(position) >= cparams.n_ctx_seq) {
                    throw Napi::RangeError::New(info.Env(), "position " + std::to_string(position) + " is outside the context of " + std::to_string(cparams.n_ctx_seq));
                }
            }
            if (firstLayer > 0 && (embeddings.empty() || firstLayer >= hparams.n_layer() || !llama_act_can_restart(context->model->model))) {
                throw Napi::RangeError::New(info.Env(), "this model cannot start at layer " + std::to_string(firstLayer));
            }
            *flag = false;
            context->Ref();
        }
        ~DecodeWorker() {
            context->Unref();
        }

        Napi::Promise GetPromise() {
            return deferred.Promise();
        }

    protected:
        void Execute() override {
            const int32_t count = positions.size();
            std::vector<int32_t> sequenceCounts(count, 1);
            std::vector<llama_seq_id*> sequencePointers(count);
            for (int32_t i = 0; i < count; i++) {
                sequencePointers[i] = &sequences[i];
            }

            llama_batch batch {};
            batch.n_tokens = count;
            batch.token = embeddings.empty() ? tokens.data() : nullptr;
            batch.embd = embeddings.empty() ? nullptr : embeddings.data();
            batch.pos = positions.data();
            batch.n_seq_id = sequenceCounts.data();
            batch.seq_id = sequencePointers.data();
            batch.logits = outputs.data();

            try {
                context->sharedSamplerData.gotLogit = false;
                context->sharedSamplerData.hasLogits = false;

                const std::set<llama_seq_id> distinct(sequences.begin(), sequences.end());
                llama_set_abort_callback(context->ctx, [](void* data) { return static_cast<std::atomic_bool*>(data)->load(); }, flag.get());
                llama_act_set_first_layer(context->ctx, firstLayer);
                result = llama_decode(context->ctx, batch);
                llama_synchronize(context->ctx);
                llama_act_set_first_layer(context->ctx, 0);
                llama_set_abort_callback(context->ctx, nullptr, nullptr);

                for (const llama_seq_id sequence : distinct) {
                    if (result != 0) {
                        llama_act_begin(context->ctx, sequence); // the sums hold part of a decode that never ended
                    } else if (const std::string missed = llama_act_missed(context->ctx, sequence); !missed.empty()) {
                        SetError(missed);
                    }
                }
            } catch (const std::exception& e) {
                SetError(e.what());
            } catch (...) {
                SetError("Unknown error when calling \"llama_decode\"");
            }
        }
        void OnOK() override {
            deferred.Resolve(Napi::Number::New(Env(), result));
        }
        void OnError(const Napi::Error& error) override {
            deferred.Reject(error.Value());
        }

    private:
        Napi::Promise::Deferred deferred;
        AddonContext* context;
        std::shared_ptr<std::atomic_bool> flag; // a worker may look at it while the context is being disposed

        std::vector<llama_token> tokens;
        std::vector<float> embeddings;
        std::vector<llama_pos> positions;
        std::vector<llama_seq_id> sequences;
        std::vector<int8_t> outputs;
        uint32_t firstLayer = 0;
        int32_t result = 0;
};

Napi::Value decode(const Napi::CallbackInfo& info) {
    DecodeWorker* worker = new DecodeWorker(info, unwrap(info));
    worker->Queue();
    return worker->GetPromise();
}

Napi::Value abortDecode(const Napi::CallbackInfo& info) {
    *Napi::ObjectWrap<AddonContext>::Unwrap(info.This().As<Napi::Object>())->actAbort = true;
    return info.Env().Undefined();
}

Napi::Value setCalibration(const Napi::CallbackInfo& info) {
    AddonContext* context = unwrap(info);
    const llama_seq_id sequence = info[0].As<Napi::Number>().Int32Value();

    guarded(info.Env(), [&] {
        if (info[1].IsNull() || info[1].IsUndefined()) {
            llama_act_set(context->ctx, sequence, nullptr);
            return;
        }
        const Napi::Object in = info[1].As<Napi::Object>();
        llama_act_config config;
        config.initial = in.Get("method").As<Napi::Number>().Int32Value() == 1;
        config.weight = in.Get("beta").As<Napi::Number>().FloatValue();
        config.relative = in.Get("thresholdMode").As<Napi::Number>().Int32Value() == 1;
        config.threshold = in.Get("threshold").As<Napi::Number>().FloatValue();
        config.row = in.Get("statistics").As<Napi::Number>().Int32Value() == 1;
        const auto heads = in.Get("heads").As<Napi::Int32Array>();
        for (size_t i = 0; i + 1 < heads.ElementLength(); i += 2) {
            config.heads.emplace_back(heads[i], heads[i + 1]);
        }
        llama_act_set(context->ctx, sequence, &config);
    });
    return info.Env().Undefined();
}

Napi::Value beginPrefill(const Napi::CallbackInfo& info) {
    llama_act_begin(unwrap(info)->ctx, info[0].As<Napi::Number>().Int32Value());
    return info.Env().Undefined();
}

Napi::Value logits(const Napi::CallbackInfo& info) {
    AddonContext* context = unwrap(info);
    const float* values = llama_get_logits_ith(context->ctx, info[0].As<Napi::Number>().Int32Value());
    if (values == nullptr) {
        throw Napi::RangeError::New(info.Env(), "no logits were computed for that token of the last batch");
    }
    Napi::Float32Array result = Napi::Float32Array::New(info.Env(), llama_vocab_n_tokens(context->model->vocab));
    memcpy(result.Data(), values, result.ElementLength()*sizeof(float));
    return result;
}

// [layer, head, exempt or -1, count, positions...] per head, one after the other
Napi::Value sinks(const Napi::CallbackInfo& info) {
    AddonContext* context = unwrap(info);
    return guarded(info.Env(), [&]() -> Napi::Value {
        std::vector<int32_t> flat;
        for (const auto& head : llama_act_get_sinks(context->ctx, info[0].As<Napi::Number>().Int32Value())) {
            flat.insert(flat.end(), { head.layer, head.head, head.exempt, static_cast<int32_t>(head.positions.size()) });
            flat.insert(flat.end(), head.positions.begin(), head.positions.end());
        }
        Napi::Int32Array result = Napi::Int32Array::New(info.Env(), flat.size());
        if (!flat.empty()) {
            memcpy(result.Data(), flat.data(), flat.size()*sizeof(int32_t));
        }
        return result;
    });
}

Napi::Value setCapture(const Napi::CallbackInfo& info) {
    AddonContext* context = unwrap(info);
    guarded(info.Env(), [&] { llama_act_watch(context->ctx, info[0].As<Napi::Boolean>().Value()); });
    return info.Env().Undefined();
}

Napi::Value capture(const Napi::CallbackInfo& info) {
    AddonContext* context = unwrap(info);
    const llama_seq_id sequence = info.Length() > 0 && info[0].IsNumber() ? info[0].As<Napi::Number>().Int32Value() : 0;
    const llama_act_capture capture = llama_act_get_capture(context->ctx, sequence);
    Napi::Object result = Napi::Object::New(info.Env());
    result.Set("layers", capture.n_layer);
    result.Set("heads", capture.n_head);
    result.Set("keys", capture.n_keys);
    result.Set("columnMeans", floats(info.Env(), capture.means));
    return result;
}

Napi::Value setHeadCapture(const Napi::CallbackInfo& info) {
    AddonContext* context = unwrap(info);
    llama_act_window window;
    window.layer = info[0].As<Napi::Number>().Int32Value();
    window.head = info[1].As<Napi::Number>().Int32Value();
    if (window.layer >= 0) {
        const Napi::Object in = info[2].As<Napi::Object>();
        const auto get = [&](const char* name) { return in.Get(name).As<Napi::Number>().Int32Value(); };
        window.row0 = get("firstRow");
        window.rows = get("rows");
        window.column0 = get("firstColumn");
        window.columns = get("columns");
        window.pool = get("pool");
        if (window.rows < 1 || window.columns < 1 || window.pool < 1 || window.row0 < 0 || window.column0 < 0) {
            throw Napi::RangeError::New(info.Env(), "the window needs at least one row and one column, and a pool of at least 1");
        }
    }
    guarded(info.Env(), [&] { llama_act_set_window(context->ctx, window); });
    return info.Env().Undefined();
}

// [rows][columns] pooled probabilities before, then after
Napi::Value headCapture(const Napi::CallbackInfo& info) {
    return floats(info.Env(), llama_act_get_window(unwrap(info)->ctx));
}

Napi::Value setLayerInputs(const Napi::CallbackInfo& info) {
    AddonContext* context = unwrap(info);
    const bool on = info[0].As<Napi::Boolean>().Value();
    if (on && !llama_act_can_restart(context->model->model)) {
        throw Napi::Error::New(info.Env(), "this model's architecture does not keep the inputs of its layers");
    }
    for (uint32_t layer = 0; layer < context->model->model->hparams.n_layer(); layer++) {
        llama_set_embeddings_layer_inp(context->ctx, layer, on);
    }
    return info.Env().Undefined();
}

Napi::Value layerInput(const Napi::CallbackInfo& info) {
    AddonContext* context = unwrap(info);
    const uint32_t layer = info[0].As<Napi::Number>().Uint32Value();
    const size_t tokens = info[1].As<Napi::Number>().Uint32Value();
    if (layer >= context->model->model->hparams.n_layer() || !context->ctx->get_cparams().embeddings_layer_inp[layer] || tokens > context->ctx->get_cparams().n_batch) {
        throw Napi::RangeError::New(info.Env(), "the inputs of that layer were not kept");
    }
    const float* values = llama_get_embeddings_layer_inp(context->ctx, layer);
    Napi::Float32Array result = Napi::Float32Array::New(info.Env(), tokens*context->model->model->hparams.n_embd);
    memcpy(result.Data(), values, result.ElementLength()*sizeof(float));
    return result;
}

Napi::Value stateSize(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(llama_act_state_size(unwrap(info)->ctx)));
}

Napi::Value patchSet(const Napi::CallbackInfo& info) {
    return Napi::String::New(info.Env(), ACT_PATCH_SET);
}

Napi::Value modelSupport(const Napi::CallbackInfo& info) {
    AddonModel* model = Napi::ObjectWrap<AddonModel>::Unwrap(info[0].As<Napi::Object>());
    const uint32_t context = info.Length() > 1 && info[1].IsNumber() ? info[1].As<Napi::Number>().Uint32Value() : 0;
    return Napi::String::New(info.Env(), llama_act_unsupported(model->model, context));
}

Napi::Value canRestart(const Napi::CallbackInfo& info) {
    return Napi::Boolean::New(info.Env(), llama_act_can_restart(Napi::ObjectWrap<AddonModel>::Unwrap(info[0].As<Napi::Object>())->model));
}

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
// keysTable [streams][3][keys], entries [n][8], state [slots][2*cells + 2], matrix [2][y][x].
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
        ggml_tensor* q = ggml_new_tensor_4d(c, GGML_TYPE_F32, dk, rows, heads, streams);
        ggml_tensor* k = ggml_new_tensor_4d(c, type("typeK"), dk, keys, kvHeads, streams);
        ggml_tensor* v = transposed ? ggml_new_tensor_4d(c, type("typeV"), keys, dv, kvHeads, streams)
                                    : ggml_new_tensor_4d(c, type("typeV"), dv, keys, kvHeads, streams);
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
        result.Set("o", read(o));
        result.Set("state", read(sums));
        if (matrix != nullptr) {
            result.Set("matrix", read(matrix));
        }
        return result;
    });
}

} // namespace

void AddonAct::touch(AddonContext* context, int32_t sequenceId) {
    if (context->ctx != nullptr) {
        llama_act_begin(context->ctx, sequenceId);
    }
}

void AddonAct::initBindings(Napi::Object exports) {
    const auto add = [&](const char* name, Napi::Value (*function)(const Napi::CallbackInfo&)) {
        exports.Set(name, Napi::Function::New(exports.Env(), function, name));
    };
    add("actPatchSet", patchSet);
    add("actModelSupport", modelSupport);
    add("actCanRestart", canRestart);
    add("actDevices", devices);
    add("actEvaluate", evaluate);
}

void AddonAct::initContext(Napi::Function contextClass) {
    Napi::Object prototype = contextClass.Get("prototype").As<Napi::Object>();
    const auto add = [&](const char* name, Napi::Value (*function)(const Napi::CallbackInfo&)) {
        prototype.Set(name, Napi::Function::New(contextClass.Env(), function, name));
    };
    add("actDecode", decode);
    add("actAbort", abortDecode);
    add("actSetCalibration", setCalibration);
    add("actBeginPrefill", beginPrefill);
    add("actLogits", logits);
    add("actSinks", sinks);
    add("actSetCapture", setCapture);
    add("actCapture", capture);
    add("actSetHeadCapture", setHeadCapture);
    add("actHeadCapture", headCapture);
    add("actSetLayerInputs", setLayerInputs);
    add("actLayerInput", layerInput);
    add("actStateSize", stateSize);
}
