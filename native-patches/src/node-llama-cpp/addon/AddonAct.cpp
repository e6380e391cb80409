#include "AddonAct.h"

#include <atomic>
#include <cstring>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "AddonActGradient.h"
#include "AddonActOp.h"
#include "AddonContext.h"
#include "AddonModel.h"
#include "act-patch-set.h"
#include "llama-act.h"
#include "llama-context.h"
#include "llama-model.h"

namespace {

using AddonActOp::floats;
using AddonActOp::guarded;

AddonContext* unwrap(const Napi::CallbackInfo& info) {
    AddonContext* context = Napi::ObjectWrap<AddonContext>::Unwrap(info.This().As<Napi::Object>());
    if (context->disposed || context->ctx == nullptr) {
        throw Napi::Error::New(info.Env(), "Context is disposed");
    }
    return context;
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
                llama_set_abort_callback(context->ctx, nullptr, nullptr);

                for (const llama_seq_id sequence : distinct) {
                    if (result != 0) {
                        llama_act_begin(context->ctx, sequence); // the sums hold part of a decode that never ended
                    } else if (const std::string missed = llama_act_missed(context->ctx, sequence); !missed.empty()) {
                        SetError(missed);
                    }
                }
                llama_act_set_first_layer(context->ctx, 0); // not before: layers below the first were not meant to be built
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
        if (in.Get("betas").IsTypedArray()) {
            const auto betas = in.Get("betas").As<Napi::Float32Array>();
            config.weights.assign(betas.Data(), betas.Data() + betas.ElementLength());
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

// Parts that the scheduler cut the last graph into, one device each.
Napi::Value graphSplits(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), ggml_backend_sched_get_n_splits(unwrap(info)->ctx->get_sched()));
}

Napi::Value patchSet(const Napi::CallbackInfo& info) {
    return Napi::String::New(info.Env(), ACT_PATCH_SET);
}

Napi::Value modelSupport(const Napi::CallbackInfo& info) {
    AddonModel* model = Napi::ObjectWrap<AddonModel>::Unwrap(info[0].As<Napi::Object>());
    return Napi::String::New(info.Env(), llama_act_unsupported(model->model));
}

Napi::Value canRestart(const Napi::CallbackInfo& info) {
    return Napi::Boolean::New(info.Env(), llama_act_can_restart(Napi::ObjectWrap<AddonModel>::Unwrap(info[0].As<Napi::Object>())->model));
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
    AddonActOp::initBindings(exports);
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
    add("actGraphSplits", graphSplits);
    AddonActGradient::initContext(prototype, contextClass.Env());
}
