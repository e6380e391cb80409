// What the shaders of GGML_OP_ACT share (ggml-act.h says what is computed): operands, entries, and how keys, values and the mask are read.
// Everything is float32 arithmetic on storage buffers; no subgroup operations, so any subgroup size will do.

#extension GL_EXT_control_flow_attributes : enable
#extension GL_EXT_shader_16bit_storage : require

#include "act_numbers.glsl"

layout (push_constant) uniform parameter
{
    uint n_kv;
    uint n_rows;      // per stream
    uint n_head;
    uint group;       // query heads per key/value head
    uint dk;
    uint dv;
    uint state_width; // floats per slot
    uint types;       // ggml types: keys | values << 8 | mask << 16
    uint n_splits;    // parts of the keys whose maxima and sums of exponentials are computed apart
    uint split_keys;
    uint scores_at;   // in scratch: scores [entry][row][n_kv] (few rows only)
    uint sums_at;     // in scratch: this segment's column sums [entry][n_kv]
    float scale;
    float softcap;
    float slope0;     // ALiBi; 0: none
    float slope1;
    uint slope_heads;
    uint q_at;        // offsets and strides of q in floats,
    uint q_row;
    uint q_head;
    uint q_stream;
    uint k_at;        // of k and v in floats where they are float32, else in 16-bit words,
    uint k_row;
    uint k_head;
    uint k_stream;
    uint v_at;
    uint v_value;
    uint v_row;
    uint v_head;
    uint v_stream;
    uint mask_row;    // of the mask in elements
    uint mask_stream;
} p;

layout (binding = 0) readonly buffer Q    {float    q[];};
layout (binding = 1) readonly buffer K32  {float    k_f32[];};
layout (binding = 1) readonly buffer K16  {uint16_t k_u16[];};
layout (binding = 2) readonly buffer V32  {float    v_f32[];};
layout (binding = 2) readonly buffer V16  {uint16_t v_u16[];};
layout (binding = 3) readonly buffer M32  {float    mask_f32[];};
layout (binding = 3) readonly buffer M16  {uint16_t mask_u16[];};
layout (binding = 4) readonly buffer Keys {int      keys[];};
layout (binding = 5) readonly buffer Entries {int   entries[];};
// Counts and cells are integers: read as floats they would be denormals, which a device may flush to zero.
layout (binding = 6) buffer State   {uint  state[];};
// [entry][row][split][2]: maximum and sum of exponentials of a split; then scores_at and sums_at
layout (binding = 7) buffer Scratch {float scratch[];};
layout (binding = 8) buffer O       {float o[];};

#define TYPE_K    (p.types & 255u)
#define TYPE_V    ((p.types >> 8) & 255u)
#define TYPE_MASK (p.types >> 16)

// Score of a key that a row does not see; comparisons use half of it, so that they hold for -inf as well.
#define CLOSED  -1e38
#define IS_OPEN(s) ((s) > -5e37)

int   entry_stream(uint e) { return entries[e*ACT_ENTRY_SIZE + ACT_ENTRY_STREAM]; }
int   entry_head  (uint e) { return entries[e*ACT_ENTRY_SIZE + ACT_ENTRY_HEAD]; }
uint  entry_slot  (uint e) { return uint(entries[e*ACT_ENTRY_SIZE + ACT_ENTRY_SLOT])*p.state_width; }
int   entry_flags (uint e) { return entries[e*ACT_ENTRY_SIZE + ACT_ENTRY_FLAGS]; }
float entry_weight(uint e) { return intBitsToFloat(entries[e*ACT_ENTRY_SIZE + ACT_ENTRY_WEIGHT]); }
float entry_limit (uint e) { return intBitsToFloat(entries[e*ACT_ENTRY_SIZE + ACT_ENTRY_LIMIT]); }

uint n_cells() { return (p.state_width - 2)/2; }

float slope_of(uint head) {
    if (p.slope0 == 0.0) {
        return 1.0;
    }
    return head < p.slope_heads ? pow(p.slope0, float(head + 1)) : pow(p.slope1, float(2*(head - p.slope_heads) + 1));
}

float half_of(uint bits) { return unpackHalf2x16(bits).x; }

uint byte_of(uint word, uint i) { return (word >> (8*(i & 1))) & 255u; }

uint q_row_at(uint e, uint r) { return p.q_at + r*p.q_row + entry_head(e)*p.q_head + entry_stream(e)*p.q_stream; }
uint k_head_at(uint e) { return p.k_at + (entry_head(e)/p.group)*p.k_head + entry_stream(e)*p.k_stream; }
uint v_head_at(uint e) { return p.v_at + (entry_head(e)/p.group)*p.v_head + entry_stream(e)*p.v_stream; }
uint o_row_at(uint e, uint r) { return ((entry_stream(e)*p.n_rows + r)*p.n_head + entry_head(e))*p.dv; }

// Element d of the key that begins at `at`. Blocks of q8_0 are a scale and 32 bytes, of q4_0 a scale and 16 bytes: low nibbles, then high ones.
float read_key(uint at, uint d) {
    if (TYPE_K == ACT_TYPE_F32) {
        return k_f32[at + d];
    }
    if (TYPE_K == ACT_TYPE_F16) {
        return half_of(uint(k_u16[at + d]));
    }
    const uint j = d & 31u;
    if (TYPE_K == ACT_TYPE_Q8_0) {
        const uint block = at + (d >> 5)*17;
        const int x = int(byte_of(uint(k_u16[block + 1 + (j >> 1)]), j) << 24) >> 24;
        return float(x)*half_of(uint(k_u16[block]));
    }
    const uint block = at + (d >> 5)*9;
    const uint pair = byte_of(uint(k_u16[block + 1 + ((j & 15u) >> 1)]), j);
    return float(int(j < 16 ? pair & 15u : pair >> 4) - 8)*half_of(uint(k_u16[block]));
}

float read_value(uint at, uint d) {
    if (TYPE_V == ACT_TYPE_F32) {
        return v_f32[at + d*p.v_value];
    }
    if (TYPE_V == ACT_TYPE_F16) {
        return half_of(uint(v_u16[at + d*p.v_value]));
    }
    const uint j = d & 31u;
    if (TYPE_V == ACT_TYPE_Q8_0) {
        const uint block = at + (d >> 5)*17;
        const int x = int(byte_of(uint(v_u16[block + 1 + (j >> 1)]), j) << 24) >> 24;
        return float(x)*half_of(uint(v_u16[block]));
    }
    const uint block = at + (d >> 5)*9;
    const uint pair = byte_of(uint(v_u16[block + 1 + ((j & 15u) >> 1)]), j);
    return float(int(j < 16 ? pair & 15u : pair >> 4) - 8)*half_of(uint(v_u16[block]));
}

// What is added to the score of key i in row r: the mask times the slope, or CLOSED.
float bias_of(uint e, float slope, uint r, uint i) {
    if (r >= p.n_rows || i >= p.n_kv) {
        return CLOSED;
    }
    const uint stream = uint(entry_stream(e));
    if (keys[(stream*ACT_KEYS_ROWS + ACT_KEYS_POSITION)*p.n_kv + i] < 0) {
        return CLOSED;
    }
    const uint at = r*p.mask_row + stream*p.mask_stream + i;
    if (TYPE_MASK == ACT_TYPE_F16) {
        const uint bits = uint(mask_u16[at]);
        return bits == 0xFC00u ? CLOSED : slope*half_of(bits);
    }
    const float m = mask_f32[at];
    return IS_OPEN(m) ? slope*m : CLOSED;
}

float capped(float s) { return p.softcap == 0.0 ? s : p.softcap*tanh(s/p.softcap); }

uint split_at(uint e, uint r, uint split) { return ((e*p.n_rows + r)*p.n_splits + split)*2; }

// Log-sum-exp of a row over all splits; a row that sees nothing gets one that makes every probability 0.
float row_lse(uint e, uint r) {
    float top = CLOSED;
    float total = 0.0;
    for (uint s = 0; s < p.n_splits; s++) {
        const uint at = split_at(e, r, s);
        const float other = scratch[at];
        const float both = max(top, other);
        total = total*exp(top - both) + scratch[at + 1]*exp(other - both);
        top = both;
    }
    return total > 0.0 ? top + log(total) : -CLOSED;
}
