#pragma once

#include <cstring>
#include <stdexcept>
#include <vector>

#include "napi.h"

// The op alone, without a model: what the op tests call. Depends on ggml only.
namespace AddonActOp {

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

inline Napi::Float32Array floats(Napi::Env env, const std::vector<float>& values) {
    Napi::Float32Array result = Napi::Float32Array::New(env, values.size());
    if (!values.empty()) {
        memcpy(result.Data(), values.data(), values.size()*sizeof(float));
    }
    return result;
}

void initBindings(Napi::Object exports);

} // namespace AddonActOp
