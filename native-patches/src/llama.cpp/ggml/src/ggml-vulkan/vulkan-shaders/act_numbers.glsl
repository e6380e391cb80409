// The numbers of ggml-act.h and ggml-act-plan.h that shaders cannot read there. ggml-vulkan-act.cpp includes this file too and compares them.

#define ACT_ENTRY_STREAM  0
#define ACT_ENTRY_HEAD    1
#define ACT_ENTRY_SLOT    2
#define ACT_ENTRY_FLAGS   3
#define ACT_ENTRY_WEIGHT  4
#define ACT_ENTRY_LIMIT   5
#define ACT_ENTRY_SIZE    8

#define ACT_FLAG_FRESH    1
#define ACT_FLAG_ROW      2
#define ACT_FLAG_INITIAL  4
#define ACT_FLAG_WATCH    8

#define ACT_KEYS_POSITION 0
#define ACT_KEYS_COUNT    1
#define ACT_KEYS_SEGMENT  2
#define ACT_KEYS_ROWS     3

#define ACT_TYPE_F32      0
#define ACT_TYPE_F16      1
#define ACT_TYPE_Q4_0     2
#define ACT_TYPE_Q8_0     8

#define ACT_MIN_REST      1e-9
#define ACT_DIRECT_REST   0.25

#define ACT_MAX_D         256
#define ACT_TILE_KEYS     64
#define ACT_TILE_ROWS     32
#define ACT_FEW_ROWS      4

#define ACT_SELECT_THREADS 256 // the largest workgroup
#define ACT_CORRECT_ROWS   4
