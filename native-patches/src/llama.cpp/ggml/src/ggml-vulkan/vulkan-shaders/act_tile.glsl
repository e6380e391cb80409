// Scores of a tile of TILE_ROWS rows and 64 keys of one entry, in steps of 32 elements through shared memory. A thread computes four rows
// and MK keys: keys x, x + TX, … so that neighbours read neighbouring words.

#define ACT_TILE_KEYS 64
#define STEP      32
#define MR        4
#define TX        (ACT_TILE_KEYS/MK)
#define TY        (TILE_ROWS/MR)
#define THREADS   (TX*TY)

layout (local_size_x = THREADS, local_size_y = 1, local_size_z = 1) in;

shared float q_tile[TILE_ROWS*(STEP + 1)];
shared float k_tile[STEP*(ACT_TILE_KEYS + 1)];
shared uint  any_open;

float tile_score[MR*MK]; // CLOSED where the row does not see the key

// false: no row sees any of the keys. All threads of the workgroup must call it.
bool tile_scores(uint e, float slope, uint r0, uint k0) {
    const uint t = gl_LocalInvocationIndex;
    const uint x = t%TX;
    const uint y = t/TX;

    barrier();
    if (t == 0) {
        any_open = 0;
    }
    barrier();
    float bias[MR*MK];
    bool open = false;
    [[unroll]] for (uint i = 0; i < MR; i++) {
        [[unroll]] for (uint j = 0; j < MK; j++) {
            bias[i*MK + j] = bias_of(e, slope, r0 + y*MR + i, k0 + x + j*TX);
            open = open || IS_OPEN(bias[i*MK + j]);
            tile_score[i*MK + j] = 0.0;
        }
    }
    if (open) {
        any_open = 1;
    }
    barrier();
    if (any_open == 0) {
        return false;
    }

    const uint k_base = k_head_at(e);
    const uint q_base = q_row_at(e, 0);
    for (uint d0 = 0; d0 < p.dk; d0 += STEP) {
        for (uint n = t; n < TILE_ROWS*STEP; n += THREADS) {
            const uint r = n/STEP, d = n%STEP;
            q_tile[r*(STEP + 1) + d] = r0 + r < p.n_rows && d0 + d < p.dk ? q[q_base + (r0 + r)*p.q_row + d0 + d] : 0.0;
        }
        for (uint n = t; n < ACT_TILE_KEYS*STEP; n += THREADS) {
            const uint i = n/STEP, d = n%STEP;
            k_tile[d*(ACT_TILE_KEYS + 1) + i] = k0 + i < p.n_kv && d0 + d < p.dk ? read_key(k_base + (k0 + i)*p.k_row, d0 + d) : 0.0;
        }
        barrier();
        for (uint d = 0; d < STEP; d++) {
            float k_part[MK];
            [[unroll]] for (uint j = 0; j < MK; j++) {
                k_part[j] = k_tile[d*(ACT_TILE_KEYS + 1) + x + j*TX];
            }
            [[unroll]] for (uint i = 0; i < MR; i++) {
                const float q_part = q_tile[(y*MR + i)*(STEP + 1) + d];
                [[unroll]] for (uint j = 0; j < MK; j++) {
                    tile_score[i*MK + j] = fma(q_part, k_part[j], tile_score[i*MK + j]);
                }
            }
        }
        barrier();
    }
    [[unroll]] for (uint n = 0; n < MR*MK; n++) {
        tile_score[n] = IS_OPEN(bias[n]) ? capped(tile_score[n]*p.scale) + bias[n] : CLOSED;
    }
    return true;
}
