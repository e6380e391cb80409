#include "act-world.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

namespace {

// Less mass outside the sinks is summed key by key on every device (half of GGML_ACT_DIRECT_REST is the smallest limit that one has).
constexpr double DIRECT_REST = GGML_ACT_DIRECT_REST/2;

// The score that a query gives to a strong key; ordinary keys get about N(0, 1/4).
double strength(sinks_kind kind) {
    switch (kind) {
        case sinks_kind::sharp:     return 16;
        case sinks_kind::tiny_rest: return 34;
        case sinks_kind::none:      return 2;
        case sinks_kind::one:       return 3;
        default:                    return 2;
    }
}

int wanted_candidates(sinks_kind kind, int keys) {
    switch (kind) {
        case sinks_kind::none: return 0;
        case sinks_kind::one:  return std::min(2, keys);
        case sinks_kind::many: return std::min(40, 1 + keys/4);
        default:               return std::min(3, keys);
    }
}

// A limit that about so many means exceed and that none comes near, so that no rounding decides a sink.
double choose_limit(std::vector<double> means, int wanted) {
    std::sort(means.begin(), means.end(), std::greater<double>());
    if (wanted == 0) {
        return means[0]*1.5;
    }
    size_t best = wanted;
    double room = -1;
    for (size_t at = wanted; at <= std::min<size_t>(means.size(), wanted + 8); at++) {
        const double below = at < means.size() ? means[at] : 0;
        if ((means[at - 1] - below)/means[at - 1] > room) {
            room = (means[at - 1] - below)/means[at - 1];
            best = at;
        }
    }
    return (means[best - 1] + (best < means.size() ? means[best] : 0))/2;
}

} // namespace

std::vector<act_case> act_cases(bool large) {
    std::vector<act_case> cases;
    const auto add = [&](const std::string & name, const std::function<void(act_case &)> & change) {
        act_case c;
        change(c);
        c.name = name;
        cases.push_back(c);
    };
    for (const int rows : { 1, 2, 31, 32, 33, 70 }) {
        for (const int keys : { 64, 65, 256, 1000 }) {
            if (keys >= rows) {
                add(std::to_string(rows) + " rows of " + std::to_string(keys) + " keys", [=](act_case & c) { c.rows = { rows }; c.keys = keys; c.past = keys - rows; });
            }
        }
    }
    for (const int d : { 64, 80, 128, 256 }) {
        for (const int rows : { 1, 4, 70 }) {
            add("heads of " + std::to_string(d) + ", " + std::to_string(rows) + " rows",
                [=](act_case & c) { c.dk = c.dv = d; c.rows = { rows }; c.keys = 300; c.past = 200; c.spare = 20; });
        }
    }
    for (const ggml_type type : { GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_Q8_0, GGML_TYPE_Q4_0 }) {
        for (const int rows : { 1, 40 }) {
            for (const sinks_kind sinks : { sinks_kind::many, sinks_kind::sharp }) {
                add(std::string(ggml_type_name(type)) + (sinks == sinks_kind::sharp ? ", sharp, " : ", ") + std::to_string(rows) + " rows",
                    [=](act_case & c) { c.type_k = c.type_v = type; c.rows = { rows }; c.past = 60; c.sinks = sinks; });
            }
        }
    }
    for (const int rows : { 1, 40 }) {
        const std::string end = ", " + std::to_string(rows) + " rows";
        add("transposed values" + end, [=](act_case & c) { c.transposed = true; c.rows = { rows }; c.past = 40; });
        add("heads one after the other" + end, [=](act_case & c) { c.cache_like = false; c.rows = { rows }; c.past = 40; });
        add("two streams" + end, [=](act_case & c) { c.streams = 2; c.heads = 8; c.dk = c.dv = 128; c.rows = { rows }; c.keys = 1000; c.past = 900; c.spare = 24; });
        add("every head" + end, [=](act_case & c) { c.every = 1; c.heads = 9; c.heads_kv = 3; c.rows = { rows }; c.past = 40; });
        add("soft-cap" + end, [=](act_case & c) { c.softcap = 5; c.rows = { rows }; c.past = 40; });
        add("tiny rest" + end, [=](act_case & c) { c.sinks = sinks_kind::tiny_rest; c.rows = { rows }; c.past = 40; });
        add("no sinks" + end, [=](act_case & c) { c.sinks = sinks_kind::none; c.rows = { rows }; c.past = 40; });
        add("ZeroTuning" + end, [=](act_case & c) { c.rule = rule_kind::initial; c.beta = 2.5f; c.rows = { rows }; c.past = 40; });
        add("watching" + end, [=](act_case & c) { c.rule = rule_kind::watch; c.rows = { rows }; c.past = 40; });
    }
    add("keys of 128, values of 64", [](act_case & c) { c.dk = 128; c.rows = { 40 }; c.past = 40; });
    add("prefill in two parts, then tokens", [](act_case & c) { c.rows = { 40, 24, 1, 1, 2, 1 }; c.keys = 128; c.spare = 128; });
    add("the same with row statistics", [](act_case & c) { c.rows = { 40, 24, 1, 1 }; c.keys = 128; c.rule = rule_kind::row; });
    if (large) {
        for (const int every : { 5, 1 }) {
            const std::string heads = every == 1 ? ", all heads" : ", a fifth of the heads";
            for (const int keys : { 1024, 8192, 32768 }) {
                add("token of " + std::to_string(keys) + heads, [=](act_case & c) { c.rows = { 1 }; c.keys = keys; c.past = keys - 1; c.timing = true; });
            }
            for (const int keys : { 512, 2048, 8192 }) {
                add("512 rows of " + std::to_string(keys) + heads, [=](act_case & c) { c.rows = { 512 }; c.keys = keys; c.past = keys - 512; c.timing = true; });
            }
            for (auto & c : cases) {
                if (c.timing && c.name.find(heads) != std::string::npos) {
                    c.heads = 32; c.heads_kv = 8; c.dk = c.dv = 128; c.every = every; c.sinks = sinks_kind::one;
                }
            }
        }
    }
    return cases;
}

act_world::act_world(const act_case & shape, uint32_t seed) : shape(shape), random(seed), tokens(shape.past) {
    const size_t rows = (size_t) shape.streams*shape.heads_kv*shape.keys;
    k = normal(rows*shape.dk, 0.5f);
    v = normal(rows*shape.dv, 0.7f);
    // Element 0 carries the sinks: keys 1 and 2 are strong, key 0 (the exempt one) somewhat weaker.
    for (size_t row = 0; row < rows; row++) {
        const int key = row%shape.keys;
        k[row*shape.dk] = key == 0 ? 1.0f : key == 1 || key == 2 ? 1.75f : 0.0f;
    }
    k = as_stored(k, shape.type_k, shape.dk);
    v = as_stored(v, shape.type_v, shape.dv);
}

int act_world::slots() const { return shape.streams*((shape.heads + shape.every - 1)/shape.every); }

std::vector<float> act_world::state() const { return std::vector<float>((size_t) slots()*GGML_ACT_STATE_WIDTH(shape.keys + shape.spare), 7.0f); }

std::vector<float> act_world::normal(size_t n, float size) {
    std::normal_distribution<float> distribution(0.0f, size);
    std::vector<float> values(n);
    for (float & x : values) {
        x = distribution(random);
    }
    return values;
}

std::vector<float> act_world::as_stored(std::vector<float> values, ggml_type type, int width) const {
    if (type != GGML_TYPE_F32) {
        const int64_t rows = values.size()/width;
        std::vector<uint8_t> bytes(ggml_row_size(type, width)*rows);
        ggml_quantize_chunk(type, values.data(), bytes.data(), 0, rows, width, nullptr);
        ggml_get_type_traits(type)->to_float(bytes.data(), values.data(), values.size());
    }
    return values;
}

act_call act_world::next() {
    act_call call;
    call.rows = shape.rows[calls++];
    const int    first = tokens, last = first + call.rows - 1, keys = shape.keys;
    const size_t heads_rows = (size_t) shape.streams*shape.heads*call.rows;
    tokens += call.rows;

    call.q = normal(heads_rows*shape.dk, 1.0f);
    for (size_t i = 0; i < call.q.size(); i += shape.dk) {
        call.q[i] = strength(shape.sinks)/1.75*std::sqrt((double) shape.dk);
    }
    call.o = normal(heads_rows*shape.dv, 1.0f);
    call.mask.assign((size_t) shape.streams*call.rows*keys, -INFINITY);
    call.table.assign((size_t) shape.streams*GGML_ACT_KEYS_ROWS*keys, 0);
    for (int s = 0; s < shape.streams; s++) {
        int32_t * table = call.table.data() + (size_t) s*GGML_ACT_KEYS_ROWS*keys;
        for (int key = 0; key < keys; key++) {
            const bool used = key <= last;
            table[GGML_ACT_KEYS_POSITION*keys + key] = used ? key : -1;
            table[GGML_ACT_KEYS_COUNT*keys + key]    = used ? last - std::max(key, shape.past) + 1 : 0;
            table[GGML_ACT_KEYS_SEGMENT*keys + key]  = used ? last - std::max(key, first) + 1 : 0;
            for (int r = std::max(0, key - first); used && r < call.rows; r++) {
                call.mask[((size_t) s*call.rows + r)*keys + key] = 0.0f;
            }
        }
    }
    call.expected.assign(call.o.begin(), call.o.end());
    for (int s = 0; s < shape.streams; s++) {
        for (int h = 0; h < shape.heads; h += shape.every) {
            expect(call, s, h, call.entries.size()/GGML_ACT_ENTRY_SIZE, first);
        }
    }
    return call;
}

// One entry: its place in the list, its limit, and (in float64) everything that the op must find.
void act_world::expect(act_call & call, int s, int h, int entry, int first) {
    const int    rows = call.rows, last = first + rows - 1, n = last + 1;
    const size_t group = (size_t) s*shape.heads_kv + h/(shape.heads/shape.heads_kv);
    const double scale = 1/std::sqrt((double) shape.dk), beta = shape.beta;

    int32_t flags = calls == 1 ? GGML_ACT_FLAG_FRESH : 0;
    flags |= shape.rule == rule_kind::row ? GGML_ACT_FLAG_ROW : shape.rule == rule_kind::initial ? GGML_ACT_FLAG_INITIAL : shape.rule == rule_kind::watch ? GGML_ACT_FLAG_WATCH : 0;
    float limit = 0.1f;

    std::vector<std::vector<double>> A(rows);
    if (shape.timing) { // compared with the CPU only; what attention returned is what it may be
        limit = 2.0f/n;
    } else {
        std::vector<double> segment(n, 0.0);
        for (int r = 0; r < rows; r++) {
            const float * q = call.q.data() + (((size_t) s*shape.heads + h)*rows + r)*shape.dk;
            double top = -INFINITY, total = 0;
            A[r].resize(first + r + 1);
            for (size_t key = 0; key < A[r].size(); key++) {
                double score = 0;
                for (int d = 0; d < shape.dk; d++) {
                    score += (double) q[d]*k[(group*shape.keys + key)*shape.dk + d];
                }
                score *= scale;
                A[r][key] = shape.softcap > 0 ? shape.softcap*std::tanh(score/shape.softcap) : score;
                top = std::max(top, A[r][key]);
                call.largest_score = std::max(call.largest_score, std::fabs(A[r][key]));
            }
            for (double & x : A[r]) {
                x = std::exp(x - top);
                total += x;
            }
            for (size_t key = 0; key < A[r].size(); key++) {
                A[r][key] /= total;
                segment[key] += A[r][key];
            }
        }
        running.resize(std::max<size_t>(running.size(), entry + 1));
        auto & sums = running[entry];
        sums.resize(n, 0.0);
        for (int key = 0; key < n && shape.rule != rule_kind::initial; key++) {
            sums[key] += segment[key];
        }
        const bool row = shape.rule == rule_kind::row;
        std::vector<double> means(n);
        for (int key = 0; key < n; key++) {
            means[key] = (row ? segment : sums)[key]/(last - std::max(key, row ? first : shape.past) + 1);
        }
        limit = shape.rule == rule_kind::initial ? 0.1 : choose_limit(means, wanted_candidates(shape.sinks, n));

        int32_t exempt = -1;
        std::vector<int32_t> sinks;
        for (int key = 0; key < n && shape.rule != rule_kind::initial; key++) {
            if (means[key] > limit) {
                exempt < 0 ? (void) (exempt = key) : sinks.push_back(key);
            }
        }
        if (shape.rule == rule_kind::initial) {
            sinks = { 0 };
        }
        const bool corrects = shape.rule != rule_kind::watch && !sinks.empty() && beta != 1;

        for (int r = 0; r < rows; r++) {
            std::vector<bool> is_sink(n, false);
            for (const int32_t key : sinks) {
                is_sink[key] = true;
            }
            double m = 0, rest = 0;
            for (size_t key = 0; key < A[r].size(); key++) {
                (is_sink[key] ? m : rest) += A[r][key];
            }
            double of_sinks = 1, of_rest = 1;
            if (corrects && shape.rule == rule_kind::initial) {
                of_rest  = 1/(rest + beta*m);
                of_sinks = beta*of_rest;
            } else if (corrects && m > 0 && rest >= GGML_ACT_MIN_REST) {
                of_rest  = (1 - beta*m)/rest;
                of_sinks = beta;
            }
            if (rest < DIRECT_REST && shape.rule != rule_kind::initial) {
                call.direct = true;
            } else {
                call.largest_gain = std::max({ call.largest_gain, of_rest, of_sinks });
            }
            const size_t at = (((size_t) s*rows + r)*shape.heads + h)*shape.dv;
            for (int d = 0; d < shape.dv; d++) {
                double attention = 0, calibrated = 0;
                for (size_t key = 0; key < A[r].size(); key++) {
                    const double x = A[r][key]*v[(group*shape.keys + key)*shape.dv + d];
                    attention  += x;
                    calibrated += x*(is_sink[key] ? of_sinks : of_rest);
                }
                call.o[at + d]        = attention;
                call.expected[at + d] = corrects ? calibrated : (double) call.o[at + d];
            }
        }
        call.corrected.push_back(corrects);
        call.sums.push_back(sums);
        call.exempt.push_back(exempt);
        call.sinks.push_back(sinks);
    }
    int32_t packed[GGML_ACT_ENTRY_SIZE] = {};
    packed[GGML_ACT_ENTRY_STREAM] = s;
    packed[GGML_ACT_ENTRY_HEAD]   = h;
    packed[GGML_ACT_ENTRY_SLOT]   = entry;
    packed[GGML_ACT_ENTRY_FLAGS]  = flags;
    memcpy(packed + GGML_ACT_ENTRY_WEIGHT, &shape.beta, sizeof(float));
    memcpy(packed + GGML_ACT_ENTRY_LIMIT,  &limit,      sizeof(float));
    packed[GGML_ACT_ENTRY_ROW0]   = first;
    call.entries.insert(call.entries.end(), packed, packed + GGML_ACT_ENTRY_SIZE);
}
