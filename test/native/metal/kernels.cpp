// The kernels alone, for a compiler that knows address spaces (test/native/support/metal.ts).

#include <metal_stdlib>
#include "ggml-metal-act-impl.h"
#include "act-tile.metal"
#include "act-stages.metal"
#include "act.metal"
