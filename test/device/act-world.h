#pragma once

// Inputs for GGML_OP_ACT as attention would leave them, and in float64 what the op must make of them.

#include "ggml-act.h"

#include <cstdint>
#include <random>
#include <string>
#include <vector>

// What the calibrated heads look at: sinks of ordinary strength, or so much mass on them that the rest must be summed directly.
enum class sinks_kind { none, one, many, sharp, tiny_rest };
// Running sums, this segment alone, ZeroTuning on the initial token, statistics without a correction.
enum class rule_kind { running, row, initial, watch };

struct act_case {
    std::string      name;
    std::vector<int> rows     = { 33 }; // of each call; all calls run on one state
    int              keys     = 256;    // cells that the op sees
    int              spare    = 0;      // cells of the state beyond them
    int              past     = 0;      // tokens in the cache before the first call
    int              heads    = 6;
    int              heads_kv = 2;
    int              dk       = 64;
    int              dv       = 64;
    int              streams  = 1;
    ggml_type        type_k   = GGML_TYPE_F16;
    ggml_type        type_v   = GGML_TYPE_F16;
    bool             transposed = false; // values as without FlashAttention
    bool             cache_like = true;  // the heads of a token side by side, as in llama.cpp
    float            softcap  = 0.0f;
    sinks_kind       sinks    = sinks_kind::many;
    rule_kind        rule     = rule_kind::running;
    float            beta     = 0.4f;
    int              every    = 2;       // every n-th head is calibrated
    bool             timing   = false;   // large: compared with the CPU's result only, and timed
};

std::vector<act_case> act_cases(bool large);

// One call of a case. Arrays: o [streams][rows][heads][dv], q [streams][heads][rows][dk], k, v [streams][heads_kv][keys][d],
// mask [streams][rows][keys], table [streams][3][keys].
struct act_call {
    int rows;
    std::vector<float>   o, q, mask;
    std::vector<int32_t> table, entries;

    // what must come out; empty for cases that are compared with the CPU only
    std::vector<double>  expected; // like o
    std::vector<bool>    corrected; // by entry: whether its rows change
    std::vector<std::vector<double>>  sums; // by entry and cell
    std::vector<int32_t>              exempt;
    std::vector<std::vector<int32_t>> sinks;
    // what float32 errors scale with
    double largest_score = 1, largest_gain = 1;
    bool   direct = false;
};

class act_world {
public:
    act_world(const act_case & shape, uint32_t seed);

    std::vector<float> k, v; // as the cache's type keeps them
    std::vector<float> state() const; // what earlier prompts left in the slots must not matter

    act_call next();

    int slots() const;

private:
    const act_case & shape;
    std::mt19937     random;
    int              tokens;
    int              calls = 0;
    std::vector<std::vector<double>> running; // by entry

    std::vector<float> normal(size_t n, float size);
    std::vector<float> as_stored(std::vector<float> values, ggml_type type, int width) const;
    void expect(act_call & call, int stream, int head, int entry, int first);
};
