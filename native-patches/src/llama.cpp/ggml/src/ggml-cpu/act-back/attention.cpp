// The backward pass of attention and of the calibration behind it; ggml-act-back.h says what is computed.
//
// Blocks of ROWS rows, everything with keys down and rows across ([key][ROWS]), so that what belongs to a row is a lane: sums and maxima of
// rows are vector operations, and every product is one of act_gemm.

#include "back.h"

#include "gemm.h"
#include "ggml-act-plan.h"
#include "ggml-cpu-impl.h"
#include "ggml-impl.h"
#include "vec.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

namespace {

constexpr int64_t ROWS = 32;

typedef float lanes[ROWS];

struct call {
    const ggml_tensor * grad, * q, * k, * v, * mask, * cells, * entries, * state, * learned;
    ggml_act_back_attention_params p;
    float * out;

    int64_t dk, dv, n_rows, n_head, group, n_kv, n_entries;

    std::vector<int32_t> columns; // cells that some row sees, ascending
    std::vector<int32_t> ends;    // by block of rows: columns [0, end) are those that it sees
    std::vector<int32_t> row_of;  // by column: the row whose key it is, or -1

    call(const ggml_tensor * dst, const ggml_act_back_attention_params & p) :
            grad(dst->src[0]), q(dst->src[1]), k(dst->src[2]), v(dst->src[3]), mask(dst->src[4]), cells(dst->src[5]), entries(dst->src[6]),
            state(dst->src[7]), learned(dst->src[8]), p(p), out((float *) dst->data) {
        dk        = q->ne[0];
        dv        = v->ne[0];
        n_rows    = q->ne[1];
        n_head    = q->ne[2];
        n_kv      = k->ne[1];
        group     = n_head/k->ne[2];
        n_entries = entries ? entries->ne[1] : 0;

        std::vector<int32_t> last(n_kv, -1); // by cell: the last row that sees it
        std::vector<int32_t> first(n_kv, INT32_MAX);
        for (int64_t r = 0; r < n_rows; r++) {
            const ggml_fp16_t * row = mask_row(r);
            for (int64_t c = 0; c < n_kv; c++) {
                if (row[c] != 0xFC00) { // -inf
                    last [c] = r;
                    first[c] = std::min<int32_t>(first[c], r);
                }
            }
        }
        std::vector<int32_t> rows(n_kv, -1);
        for (int64_t r = 0; r < n_rows; r++) {
            const int64_t cell = ((const int64_t *) cells->data)[r];
            GGML_ASSERT(cell >= 0 && cell < n_kv);
            rows[cell] = r;
        }
        ends.assign((n_rows + ROWS - 1)/ROWS, 0);
        for (int64_t c = 0; c < n_kv; c++) {
            if (last[c] < 0) {
                continue;
            }
            columns.push_back(c);
            row_of.push_back(rows[c]);
            for (int64_t b = first[c]/ROWS; b <= last[c]/ROWS; b++) {
                ends[b] = columns.size();
            }
        }
    }

    const ggml_fp16_t * mask_row(int64_t r) const { return (const ggml_fp16_t *) ((const char *) mask->data + r*mask->nb[1]); }

    static void read(const ggml_tensor * t, int64_t i, int64_t head, float * to) {
        const char * x = (const char *) t->data + i*t->nb[1] + head*t->nb[2];
        if (t->type == GGML_TYPE_F16) {
            ggml_cpu_fp16_to_fp32((const ggml_fp16_t *) x, to, t->ne[0]);
        } else {
            memcpy(to, x, t->ne[0]*sizeof(float));
        }
    }

    // the entry of a head, or -1
    int64_t entry_of(int64_t head) const {
        for (int64_t e = 0; e < n_entries; e++) {
            if (entry(e)[GGML_ACT_ENTRY_HEAD] == head) {
                return e;
            }
        }
        return -1;
    }
    const int32_t * entry(int64_t e) const { return (const int32_t *) entries->data + e*GGML_ACT_ENTRY_SIZE; }
};

struct scratch {
    std::vector<float> k, v;        // [column][d]
    std::vector<float> dk, dv;
    std::vector<float> qt, gt, dqt; // [d][ROWS]
    std::vector<float> q, g;        // [ROWS][d]
    std::vector<float> A, P, slope; // [column][ROWS]: probabilities (then weights), their gradients (then those of scores), of the soft cap
    std::vector<float> in_s;        // [column]: 1 where it is a sink

    explicit scratch(const call & c) :
        k(c.columns.size()*c.dk), v(c.columns.size()*c.dv), dk(k.size()), dv(v.size()), qt(c.dk*ROWS), gt(c.dv*ROWS), dqt(c.dk*ROWS), q(qt.size()),
        g(gt.size()), A(c.columns.size()*ROWS), P(A.size()), slope(c.p.softcap != 0.0f ? A.size() : 0), in_s(c.columns.size()) {}
};

// A row's numbers, by lane.
struct factors {
    lanes in, outside;             // weight of a key over its probability
    lanes mean;                    // E
    lanes shift_in, shift_outside; // the second term of a score's gradient, over A
};

// scores -> probabilities in s.A; rows beyond `rows` get none
void probabilities(const call & c, scratch & s, int64_t head, int64_t r0, int64_t rows, int64_t n, float slope) {
    for (int64_t d = 0; d < c.dk; d++) {
        for (int64_t r = 0; r < ROWS; r++) {
            s.qt[d*ROWS + r] = s.q[r*c.dk + d];
        }
    }
    std::fill(s.A.begin(), s.A.begin() + n*ROWS, 0.0f);
    act_gemm::run(n, ROWS, c.dk, s.k.data(), c.dk, 1, s.qt.data(), ROWS, s.A.data(), ROWS);

    if (c.p.softcap != 0.0f) {
        for (int64_t i = 0; i < n*ROWS; i++) {
            const float t = tanhf(s.A[i]/c.p.softcap);
            s.A[i]     = c.p.softcap*t;
            s.slope[i] = 1.0f - t*t;
        }
    }
    for (int64_t r = 0; r < rows; r++) {
        const ggml_fp16_t * mask = c.mask_row(r0 + r);
        for (int64_t i = 0; i < n; i++) {
            const ggml_fp16_t m = mask[c.columns[i]];
            if (m != 0) {
                s.A[i*ROWS + r] = m == 0xFC00 ? -INFINITY : s.A[i*ROWS + r] + slope*GGML_CPU_FP16_TO_FP32(m);
            }
        }
    }
    lanes top, total = {};
    std::fill(top, top + ROWS, c.learned ? ((const float *) c.learned->data)[head] : -INFINITY);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t r = 0; r < ROWS; r++) {
            top[r] = std::max(top[r], s.A[i*ROWS + r]);
        }
    }
    for (int64_t i = 0; i < n; i++) {
        float * x = s.A.data() + i*ROWS;
        for (int64_t r = 0; r < ROWS; r++) {
            x[r] -= top[r];
        }
        ggml_vec_soft_max_f32(ROWS, x, x, 0.0f); // e^x; its sum over the lanes is nobody's
        for (int64_t r = 0; r < ROWS; r++) {
            total[r] += x[r];
        }
    }
    for (int64_t r = 0; r < ROWS; r++) {
        if (c.learned) {
            total[r] += expf(((const float *) c.learned->data)[head] - top[r]);
        }
        total[r] = r < rows && total[r] > 0.0f ? 1.0f/total[r] : 0.0f;
    }
    for (int64_t i = 0; i < n; i++) {
        for (int64_t r = 0; r < ROWS; r++) {
            s.A[i*ROWS + r] *= total[r];
        }
    }
}

// gradients of the rows' weights into s.P
void weight_gradients(const call & c, scratch & s, int64_t n) {
    for (int64_t d = 0; d < c.dv; d++) {
        for (int64_t r = 0; r < ROWS; r++) {
            s.gt[d*ROWS + r] = s.g[r*c.dv + d];
        }
    }
    std::fill(s.P.begin(), s.P.begin() + n*ROWS, 0.0f);
    act_gemm::run(n, ROWS, c.dv, s.v.data(), c.dv, 1, s.gt.data(), ROWS, s.P.data(), ROWS);
}

// Returns what the rows add to dLoss/dg.
double calibration_factors(const scratch & s, int64_t n, float beta, bool initial, factors & f) {
    lanes m = {}, rest = {}, U = {}, T = {};
    for (int64_t i = 0; i < n; i++) {
        const float * A = s.A.data() + i*ROWS;
        const float * P = s.P.data() + i*ROWS;
        const float   in = s.in_s[i];
        for (int64_t r = 0; r < ROWS; r++) {
            const float own = in*A[r], other = A[r] - own;
            m   [r] += own;
            rest[r] += other;
            U   [r] += own*P[r];
            T   [r] += other*P[r];
        }
    }
    double slope = 0.0;
    for (int64_t r = 0; r < ROWS; r++) {
        f.in[r] = f.outside[r] = 1.0f;
        f.shift_in[r] = f.shift_outside[r] = 0.0f;
        f.mean[r] = U[r] + T[r];
        if (initial) { // w = A*c / sum of A*c
            const float sum = rest[r] + beta*m[r];
            if (sum > 0.0f) {
                f.in[r]      = beta/sum;
                f.outside[r] = 1.0f/sum;
                f.mean[r]    = f.in[r]*U[r] + f.outside[r]*T[r];
                slope += (m[r]*f.mean[r] - U[r])/sum;
            }
            continue;
        }
        if (m[r] == 0.0f || rest[r] < GGML_ACT_MIN_REST) {
            continue;
        }
        const float g = 1.0f - beta, share = m[r]/rest[r];
        f.in[r]            = beta;
        f.outside[r]       = 1.0f + g*share;
        f.mean[r]          = f.in[r]*U[r] + f.outside[r]*T[r];
        f.shift_in[r]      = g*T[r]/rest[r];
        f.shift_outside[r] = -g*T[r]/rest[r]*share;
        slope += (double) share*T[r] - U[r];
    }
    return slope;
}

// s.A: probabilities -> weights; s.P: gradients of weights -> of products q*k. ZeroTuning divides by the weights' own sum: w*(P - E).
void score_gradients(const call & c, scratch & s, int64_t n, const factors & f, bool initial) {
    for (int64_t i = 0; i < n; i++) {
        float * A = s.A.data() + i*ROWS;
        float * P = s.P.data() + i*ROWS;
        const float * w     = s.in_s[i] != 0.0f ? f.in       : f.outside;
        const float * shift = s.in_s[i] != 0.0f ? f.shift_in : f.shift_outside;
        for (int64_t r = 0; r < ROWS; r++) {
            const float weight = A[r]*w[r];
            P[r] = weight*P[r] - (initial ? weight : A[r])*f.mean[r] + A[r]*shift[r];
            A[r] = weight;
        }
    }
    for (int64_t i = 0; c.p.softcap != 0.0f && i < n*ROWS; i++) {
        s.P[i] *= s.slope[i];
    }
}

void run_head(const call & c, scratch & s, int64_t head) {
    const int64_t n_columns = c.columns.size();
    const int64_t e = c.entry_of(head);

    bool  initial = false, calibrated = false;
    float beta = 1.0f;
    std::fill(s.in_s.begin(), s.in_s.end(), 0.0f);
    if (e >= 0) {
        const int64_t   n_cells = (c.state->ne[0] - 2)/2;
        const int32_t * slot    = (const int32_t *) ((const char *) c.state->data + c.entry(e)[GGML_ACT_ENTRY_SLOT]*c.state->nb[1]);
        const int32_t * sinks   = slot + GGML_ACT_STATE_SINKS(n_cells);
        const int32_t   count   = slot[GGML_ACT_STATE_COUNT(n_cells)];
        memcpy(&beta, c.entry(e) + GGML_ACT_ENTRY_WEIGHT, sizeof(beta));
        initial    = c.entry(e)[GGML_ACT_ENTRY_FLAGS] & GGML_ACT_FLAG_INITIAL;
        calibrated = count > 0 && !(c.entry(e)[GGML_ACT_ENTRY_FLAGS] & GGML_ACT_FLAG_WATCH);
        for (int64_t i = 0; calibrated && i < n_columns; i++) {
            s.in_s[i] = std::find(sinks, sinks + count, c.columns[i]) != sinks + count;
        }
    }
    float * out   = c.out;
    float * slope = out + (c.p.inputs ? c.n_head*c.n_rows*(2*c.dk + c.dv) : 0);
    if (e >= 0) {
        slope[e] = 0.0f;
    }
    if (!c.p.inputs && !calibrated) {
        return;
    }

    for (int64_t i = 0; i < n_columns; i++) {
        call::read(c.k, c.columns[i], head/c.group, s.k.data() + i*c.dk);
        call::read(c.v, c.columns[i], head/c.group, s.v.data() + i*c.dv);
    }
    std::fill(s.dk.begin(), s.dk.end(), 0.0f);
    std::fill(s.dv.begin(), s.dv.end(), 0.0f);

    ggml_act_params of_alibi = {};
    of_alibi.n_head   = c.n_head;
    of_alibi.max_bias = c.p.max_bias;
    const ggml_act_alibi alibi(of_alibi);
    const float bias = alibi.base0 == 0.0f ? 1.0f
        : head < alibi.heads ? powf(alibi.base0, head + 1) : powf(alibi.base1, 2*(head - alibi.heads) + 1);

    double total = 0.0;
    for (int64_t r0 = 0; r0 < c.n_rows; r0 += ROWS) {
        const int64_t rows = std::min(ROWS, c.n_rows - r0), n = c.ends[r0/ROWS];
        std::fill(s.q.begin(), s.q.end(), 0.0f);
        std::fill(s.g.begin(), s.g.end(), 0.0f);
        for (int64_t r = 0; r < rows; r++) {
            const float * q = (const float *) ((const char *) c.q->data + (r0 + r)*c.q->nb[1] + head*c.q->nb[2]);
            for (int64_t d = 0; d < c.dk; d++) {
                s.q[r*c.dk + d] = q[d]*c.p.scale;
            }
            memcpy(s.g.data() + r*c.dv, (const float *) c.grad->data + ((r0 + r)*c.n_head + head)*c.dv, c.dv*sizeof(float));
        }
        probabilities(c, s, head, r0, rows, n, bias);
        weight_gradients(c, s, n);

        factors f;
        total += calibration_factors(s, n, beta, initial && calibrated, f);
        if (!c.p.inputs) {
            continue;
        }
        score_gradients(c, s, n, f, initial && calibrated);

        std::fill(s.dqt.begin(), s.dqt.end(), 0.0f);
        act_gemm::run(c.dk, ROWS, n, s.k.data(), 1, c.dk, s.P.data(), ROWS, s.dqt.data(), ROWS);
        act_gemm::run(n, c.dk, ROWS, s.P.data(), ROWS, 1, s.q.data(), c.dk, s.dk.data(), c.dk);
        act_gemm::run(n, c.dv, ROWS, s.A.data(), ROWS, 1, s.g.data(), c.dv, s.dv.data(), c.dv);
        for (int64_t r = 0; r < rows; r++) {
            float * dq = out + (head*c.n_rows + r0 + r)*c.dk;
            for (int64_t d = 0; d < c.dk; d++) {
                dq[d] = c.p.scale*s.dqt[d*ROWS + r];
            }
        }
    }
    if (e >= 0) {
        slope[e] = total;
    }
    if (c.p.inputs) {
        float * dk = out + (c.n_head + head)*c.n_rows*c.dk;
        float * dv = out + 2*c.n_head*c.n_rows*c.dk + head*c.n_rows*c.dv;
        for (int64_t i = 0; i < n_columns; i++) {
            if (c.row_of[i] >= 0) {
                memcpy(dk + c.row_of[i]*c.dk, s.dk.data() + i*c.dk, c.dk*sizeof(float));
                memcpy(dv + c.row_of[i]*c.dv, s.dv.data() + i*c.dv, c.dv*sizeof(float));
            }
        }
    }
}

} // namespace

void ggml_act_back_attention(struct ggml_tensor * dst, int ith, int nth, void * userdata) {
    const call c(dst, *(const ggml_act_back_attention_params *) userdata);
    scratch s(c);
    for (int64_t head = ith; head < c.n_head; head += nth) {
        run_head(c, s, head);
    }
}
