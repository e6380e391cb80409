// Multiplies Q4_1 weights with Q8_1 activations by ggml_act_mul_mat_q4_1 and one pair at a time, over many shapes, and prints a JSON object:
// how many products were compared, how many differ in any bit, how many floats beside the results were written, how often it declined.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GGML_COMMON_DECL_C
#include "ggml-common.h"

#include "ggml-quants.h"
#include "ggml.h"
#include "quants.h"

#include "act-mul-mat.h"

float ggml_table_f32_f16[1 << 16], ggml_table_f32_e8m0_half[1 << 8], ggml_table_f32_ue4m3[1 << 8]; // ggml-cpu.c has them in the engine

static uint32_t seed = 42;

static float noise(void) {
    seed = seed * 1664525u + 1013904223u;
    return (float) (int32_t) seed / 2147483648.0f;
}

enum { PAD = 3 }; // floats between two columns of dst, which nobody may write

static long compared, different, stray, declined;

static void compare(int64_t k, int64_t rows, int64_t cols) {
    const size_t x_stride = k / QK4_1 * sizeof(block_q4_1);
    const size_t y_stride = k / QK8_1 * sizeof(block_q8_1);
    const size_t d_stride = rows + PAD;
    // of their exact size, so that a sanitizer sees a byte too far
    char *  x      = malloc(rows * x_stride);
    char *  y      = malloc(cols * y_stride);
    float * dst    = malloc(cols * d_stride * sizeof(float));
    float * values = malloc(k * sizeof(float));
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t i = 0; i < k; i++) {
            values[i] = noise() + 0.2f;
        }
        quantize_row_q4_1_ref(values, (block_q4_1 *) (x + r * x_stride), k);
    }
    for (int64_t c = 0; c < cols; c++) {
        for (int64_t i = 0; i < k; i++) {
            values[i] = (i % 37 == 0 ? 40.0f : 1.0f) * noise(); // activations have outliers
        }
        quantize_row_q8_1(values, y + c * y_stride, k);
    }
    memset(dst, 0xff, cols * d_stride * sizeof(float));
    const bool done = ggml_act_mul_mat_q4_1(k, dst, d_stride * sizeof(float), x, x_stride, rows, y, y_stride, cols);
    declined += !done;
    for (int64_t c = 0; c < cols; c++) {
        for (int64_t r = 0; r < (int64_t) d_stride; r++) {
            uint32_t bits, wanted = 0xffffffff;
            memcpy(&bits, &dst[c * d_stride + r], sizeof bits);
            if (r >= rows || !done) {
                stray += bits != wanted;
                continue;
            }
            float product;
            ggml_vec_dot_q4_1_q8_1((int) k, &product, 0, x + r * x_stride, 0, y + c * y_stride, 0, 1);
            memcpy(&wanted, &product, sizeof wanted);
            compared++;
            different += bits != wanted;
        }
    }
    free(values);
    free(dst);
    free(y);
    free(x);
}

int main(void) {
    for (int i = 0; i < 1 << 16; i++) {
        ggml_table_f32_f16[i] = ggml_fp16_to_fp32((ggml_fp16_t) i);
    }
    static const int64_t lengths[] = { 32, 64, 576, 1536, 14336 }; // 576 and 1536: the default model's
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        for (int64_t rows = 1; rows <= 17; rows += rows < 5 ? 1 : 4) {
            for (int64_t cols = 2; cols <= 35; cols += cols < 5 ? 1 : 6) {
                compare(lengths[i], rows, cols);
            }
        }
    }
    const long before = declined;
    compare(64, 8, 1);        // one column is llama.cpp's own product's
    compare(14336 + 32, 8, 4); // a row longer than what is unpacked at a time
    printf("{\"compared\": %ld, \"different\": %ld, \"stray\": %ld, \"declined\": [%ld, %ld]}\n", compared, different, stray, before, declined - before);
    return 0;
}
