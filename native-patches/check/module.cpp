// The op as an addon of its own, for a build with sanitizers: AddonActOp.cpp and ggml, nothing else.
#include <vector>

#include "AddonActOp.h"

// Reads one float beyond an array: shows that the sanitizers would say so.
static Napi::Value overrun(const Napi::CallbackInfo& info) {
    std::vector<float> values(4, 1.0f);
    const volatile float* data = values.data();
    return Napi::Number::New(info.Env(), data[values.size()]);
}

static Napi::Object init(Napi::Env env, Napi::Object exports) {
    AddonActOp::initBindings(exports);
    exports.Set("overrun", Napi::Function::New(env, overrun, "overrun"));
    return exports;
}

NODE_API_MODULE(act_op, init)
