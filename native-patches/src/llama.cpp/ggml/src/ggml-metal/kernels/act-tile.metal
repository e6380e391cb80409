// Kernels of GGML_OP_ACT (ggml-act.h says what is computed). Compiled behind ggml-metal-act-impl.h into a library of their own
// (ggml-metal-act.cpp), so that no error here can take ggml-metal's kernels down. Written and tested without a Mac: never run on one.
//
// Grids depend on shapes alone; entries, counts and flags are read on the device. No addition is atomic, so results do not change from run to
// run. Metal compiles with fast mathematics: exponentials and the like are asked for by their precise names, and no result rests on an infinity.

#include <metal_stdlib>

using namespace metal;

// ggml-metal's loader takes a warning for an error.
#pragma clang diagnostic ignored "-Weverything"

// Score of a key that a row does not see; comparisons use half of it.
#define ACT_CLOSED (-1e38f)

#define ACT_UNROLL(x) _Pragma("clang loop unroll(full)") for (x)

static inline bool act_is_open(float s) { return s > 0.5f*ACT_CLOSED; }

static inline void act_barrier() { threadgroup_barrier(mem_flags::mem_threadgroup); }

// Element d of a row that begins at x; `stride` bytes lie between plain elements. A block of q8_0 is a scale and 32 bytes, one of q4_0 a scale
// and 16 bytes: low nibbles, then high ones.
static inline float act_read(device const char * x, int type, int d, int64_t stride) {
    switch (type) {
        case ACT_TYPE_F32:
            return *(device const float *) (x + d*stride);
        case ACT_TYPE_F16:
            return (float) *(device const half *) (x + d*stride);
        case ACT_TYPE_Q8_0: {
            device const char * block = x + (d/32)*34;
            return (float) *(device const half *) block*(float) ((device const int8_t *) block)[2 + d%32];
        }
        default: {
            device const char * block = x + (d/32)*18;
            const int j    = d%32;
            const int pair = ((device const uint8_t *) block)[2 + j%16];
            return (float) *(device const half *) block*(float) ((j < 16 ? pair & 15 : pair >> 4) - 8);
        }
    }
}

// One entry of a node.
struct act_node {
    constant ggml_metal_kargs_act & a;
    device const char    * q;
    device const char    * k;
    device const char    * v;
    device const char    * mask;
    device const int32_t * keys;
    device const int32_t * entry;
    device int32_t       * state;
    device float         * scratch; // [entry][row][split][2]: maximum and sum of exponentials; then scores, then sums
    device float         * o;
    int e; // of this round

    int64_t stream()    const { return entry[ACT_ENTRY_STREAM]; }
    int64_t head()      const { return entry[ACT_ENTRY_HEAD]; }
    bool    flag(int f) const { return (entry[ACT_ENTRY_FLAGS] & f) != 0; }
    float   real(int i) const { return as_type<float>(entry[i]); }

    int cells() const { return (a.state_width - 2)/2; }
    device int32_t       * slot()         const { return state + (int64_t) entry[ACT_ENTRY_SLOT]*a.state_width; }
    device int32_t       * found()        const { return slot() + cells(); } // exempt cell, number of sinks, sinks
    device const int32_t * table(int row) const { return keys + (stream()*ACT_KEYS_ROWS + row)*a.n_kv; }

    device const float * q_row(int r) const { return (device const float *) (q + r*a.q_row + head()*a.q_head + stream()*a.q_stream); }
    device const char  * k_row(int i) const { return k + i*a.k_row + head()/a.group*a.k_head + stream()*a.k_stream; }
    device const char  * v_row(int i) const { return v + i*a.v_row + head()/a.group*a.v_head + stream()*a.v_stream; }
    device float       * o_row(int r) const { return o + ((stream()*a.n_rows + r)*a.n_head + head())*a.dv; }

    float key  (device const char * row, int d) const { return act_read(row, a.type_k, d, a.type_k == ACT_TYPE_F32 ? 4 : 2); }
    float value(device const char * row, int d) const { return act_read(row, a.type_v, d, a.v_value); }

    device float * split (int r, int s) const { return scratch + (((int64_t) e*a.n_rows + r)*a.n_splits + s)*2; }
    device float * scores(int r)        const { return scratch + a.scores_at + ((int64_t) e*a.n_rows + r)*a.n_kv; }
    device float * sums  ()             const { return scratch + a.sums_at + (int64_t) e*a.n_kv; }

    float slope() const {
        if (a.slope0 == 0.0f) {
            return 1.0f;
        }
        const int h = (int) head();
        return h < a.slope_heads ? precise::pow(a.slope0, (float) (h + 1)) : precise::pow(a.slope1, (float) (2*(h - a.slope_heads) + 1));
    }

    // What is added to the score of key i in row r: the mask times the slope, or ACT_CLOSED.
    float bias(float slope, int r, int i) const {
        if (r >= a.n_rows || i >= a.n_kv || table(ACT_KEYS_POSITION)[i] < 0) {
            return ACT_CLOSED;
        }
        device const char * row = mask + r*a.mask_row + stream()*a.mask_stream;
        if (a.type_mask == ACT_TYPE_F16) {
            const ushort bits = ((device const ushort *) row)[i];
            return bits == 0xFC00 ? ACT_CLOSED : slope*(float) as_type<half>(bits);
        }
        const uint bits = ((device const uint *) row)[i];
        return bits == 0xFF800000 ? ACT_CLOSED : slope*as_type<float>(bits);
    }

    float capped(float s) const { return a.softcap == 0.0f ? s : a.softcap*precise::tanh(s/a.softcap); }

    // Log-sum-exp of a row over all splits; a row that sees nothing gets one that makes every probability 0.
    float lse(int r) const {
        float top   = ACT_CLOSED;
        float total = 0.0f;
        for (int s = 0; s < a.n_splits; s++) {
            device const float * other = split(r, s);
            const float both = max(top, other[0]);
            total = total*precise::exp(top - both) + other[1]*precise::exp(other[0] - both);
            top   = both;
        }
        return total > 0.0f ? top + precise::log(total) : -ACT_CLOSED;
    }
};

// Scores of 4*TY rows and 64 keys, through threadgroup memory; a thread computes four rows and MK keys: keys x, x + TX, ...
template <int TY, int MK>
struct act_tile {
    enum { MR = 4, ROWS = MR*TY, TX = ACT_TILE_KEYS/MK, THREADS = TX*TY };

    float score[MR][MK]; // ACT_CLOSED where the row does not see the key

    // false: no row sees any of the keys. All threads of the threadgroup must call it.
    bool compute(thread const act_node & n, threadgroup float * mem, int t, float slope, int r0, int k0) {
        threadgroup float * q_tile   = mem;
        threadgroup float * k_tile   = mem + ACT_TILE_Q(ROWS);
        threadgroup int   * any_open = (threadgroup int *) (mem + ACT_TILE_Q(ROWS) + ACT_TILE_K);
        const int x = t%TX;
        const int y = t/TX;

        act_barrier();
        if (t == 0) {
            *any_open = 0;
        }
        act_barrier();
        float bias[MR][MK];
        bool open = false;
        ACT_UNROLL(int i = 0; i < MR; i++) {
            ACT_UNROLL(int j = 0; j < MK; j++) {
                bias [i][j] = n.bias(slope, r0 + y*MR + i, k0 + x + j*TX);
                score[i][j] = 0.0f;
                open = open || act_is_open(bias[i][j]);
            }
        }
        if (open) {
            *any_open = 1;
        }
        act_barrier();
        if (*any_open == 0) {
            return false;
        }

        for (int d0 = 0; d0 < n.a.dk; d0 += ACT_STEP) {
            for (int m = t; m < ROWS*ACT_STEP; m += THREADS) {
                const int r = m/ACT_STEP, d = m%ACT_STEP;
                q_tile[r*(ACT_STEP + 1) + d] = r0 + r < n.a.n_rows && d0 + d < n.a.dk ? n.q_row(r0 + r)[d0 + d] : 0.0f;
            }
            for (int m = t; m < ACT_TILE_KEYS*ACT_STEP; m += THREADS) {
                const int i = m/ACT_STEP, d = m%ACT_STEP;
                k_tile[d*(ACT_TILE_KEYS + 1) + i] = k0 + i < n.a.n_kv && d0 + d < n.a.dk ? n.key(n.k_row(k0 + i), d0 + d) : 0.0f;
            }
            act_barrier();
            for (int d = 0; d < ACT_STEP; d++) {
                float k_part[MK];
                ACT_UNROLL(int j = 0; j < MK; j++) {
                    k_part[j] = k_tile[d*(ACT_TILE_KEYS + 1) + x + j*TX];
                }
                ACT_UNROLL(int i = 0; i < MR; i++) {
                    const float q_part = q_tile[(y*MR + i)*(ACT_STEP + 1) + d];
                    ACT_UNROLL(int j = 0; j < MK; j++) {
                        score[i][j] = fma(q_part, k_part[j], score[i][j]);
                    }
                }
            }
            act_barrier();
        }
        ACT_UNROLL(int i = 0; i < MR; i++) {
            ACT_UNROLL(int j = 0; j < MK; j++) {
                score[i][j] = act_is_open(bias[i][j]) ? n.capped(score[i][j]*n.a.scale) + bias[i][j] : ACT_CLOSED;
            }
        }
        return true;
    }
};
