#include "AddonActGradient.h"

#include <atomic>
#include <memory>
#include <stdexcept>
#include <vector>

#include "AddonActOp.h"
#include "AddonContext.h"
#include "AddonModel.h"
#include "llama-act-gradient.h"

namespace {

AddonContext* unwrap(const Napi::CallbackInfo& info) {
    AddonContext* context = Napi::ObjectWrap<AddonContext>::Unwrap(info.This().As<Napi::Object>());
    if (context->disposed || context->ctx == nullptr) {
        throw Napi::Error::New(info.Env(), "Context is disposed");
    }
    return context;
}

class BackwardWorker : public Napi::AsyncWorker {
    public:
        BackwardWorker(const Napi::CallbackInfo& info, AddonContext* context)
            : Napi::AsyncWorker(info.Env(), "ActBackwardWorker"),
              deferred(Napi::Promise::Deferred::New(info.Env())),
              context(context),
              flag(context->actAbort) {
            const auto in = info[0].As<Napi::Float32Array>();
            gradient.assign(in.Data(), in.Data() + in.ElementLength());
            *flag = false;
            context->Ref();
        }
        ~BackwardWorker() {
            context->Unref();
        }

        Napi::Promise GetPromise() {
            return deferred.Promise();
        }

    protected:
        void Execute() override {
            try {
                result = llama_act_gradient_run(context->ctx, gradient, [](void* data) { return static_cast<std::atomic_bool*>(data)->load(); }, flag.get());
            } catch (const std::exception& e) {
                SetError(e.what());
            }
        }
        void OnOK() override {
            deferred.Resolve(result.empty() ? Env().Null() : Napi::Value(AddonActOp::floats(Env(), result)));
        }
        void OnError(const Napi::Error& error) override {
            deferred.Reject(error.Value());
        }

    private:
        Napi::Promise::Deferred deferred;
        AddonContext* context;
        std::shared_ptr<std::atomic_bool> flag;

        std::vector<float> gradient;
        std::vector<float> result;
};

Napi::Value setGradient(const Napi::CallbackInfo& info) {
    AddonContext* context = unwrap(info);
    return AddonActOp::guarded(info.Env(), [&]() -> Napi::Value {
        llama_act_gradient_set(context->ctx, info[0].As<Napi::Boolean>().Value(), context->model->modelPath);
        return info.Env().Undefined();
    });
}

Napi::Value setExact(const Napi::CallbackInfo& info) {
    llama_act_exact_set(unwrap(info)->ctx, info[0].As<Napi::Boolean>().Value());
    return info.Env().Undefined();
}

// dLoss/dlogits [outputs][vocabulary] -> dLoss/dg [layer][head]; null where it was aborted
Napi::Value backward(const Napi::CallbackInfo& info) {
    BackwardWorker* worker = new BackwardWorker(info, unwrap(info));
    worker->Queue();
    return worker->GetPromise();
}

Napi::Value gradientSize(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(llama_act_gradient_size(unwrap(info)->ctx)));
}

} // namespace

void AddonActGradient::initContext(Napi::Object prototype, Napi::Env env) {
    const auto add = [&](const char* name, Napi::Value (*function)(const Napi::CallbackInfo&)) {
        prototype.Set(name, Napi::Function::New(env, function, name));
    };
    add("actSetGradient", setGradient);
    add("actSetExact", setExact);
    add("actBackward", backward);
    add("actGradientSize", gradientSize);
}
