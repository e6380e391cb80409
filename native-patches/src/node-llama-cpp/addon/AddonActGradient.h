#pragma once

#include "napi.h"

namespace AddonActGradient {
    void initContext(Napi::Object prototype, Napi::Env env);
}
