#pragma once

// Just enough of CUDA to run act-kernels.cuh on a CPU.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "ggml.h"
#include "block.h"

#define GGML_COMMON_DECL_C
#include "ggml-common.h"

#define __global__
#define __device__
#define __forceinline__ inline
#define __shared__ static // one block runs at a time
#define __launch_bounds__(n)
#define __syncthreads() block::barrier()

using half = ggml_half;
using std::min;

inline float __half2float(half x) { return ggml_fp16_to_fp32(x); }
inline float __int_as_float(int32_t x) {
    float y;
    memcpy(&y, &x, sizeof(y));
    return y;
}

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

#define threadIdx dim3(block::thread())
inline dim3 blockIdx;

// kernel<<<grid, threads>>>(args)
template <typename Kernel, typename Args>
void launch(Kernel kernel, dim3 grid, int threads, const Args & args) {
    block one(threads, [&](int) { kernel(args); });
    run_grid(one, { (int) grid.x, (int) grid.y, (int) grid.z }, [](int x, int y, int z) { blockIdx = dim3(x, y, z); });
}
