#pragma once

// What ACT adds to the addon: methods on the context object beside the stock ones, and functions on the bindings.
// ../../../README.md lists them; src/engine/native/native.ts is their only caller.

#include "napi.h"

class AddonContext;

namespace AddonAct {
    void initBindings(Napi::Object exports);
    void initContext(Napi::Function contextClass);

    // The cells of a sequence were changed by hand: its statistics start anew with its next rows.
    void touch(AddonContext* context, int32_t sequenceId);
}
