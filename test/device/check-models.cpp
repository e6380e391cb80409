// Calibration in whole models on a device against the CPU: models with random weights, made on the spot.
//
//   check-models [--models NAME,NAME...] [--folder FOLDER] [--seconds N] [--flash off] [--json FILE]
//
// For each model: logits after a prompt of two ubatches and two tokens (KL to the CPU; none, a fifth, all heads; f16 and q8_0 cache; all layers
// and half of them on the device), two runs bit by bit, parts of the graph, and time with calibration over time without, interleaved.
// Without a GPU the CPU takes the device's place: then it only shows that the check itself works.

#include "random-model.h"

#include "llama-act.h"
#include "llama-context.h"

#include "ggml-backend.h"
#include "llama-cpp.h"
#include "llama.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using timer = std::chrono::steady_clock;
double seconds(timer::time_point since) { return std::chrono::duration<double>(timer::now() - since).count(); }

// What is tried on a model, as its size allows.
struct plan {
    model_shape      shape;
    int              prompt, ubatch, prompts;
    std::vector<int> prefill, depths, sequences;
};

const std::vector<plan> PLANS = {
    { { "tiny",      4,  256,  4, 2,  64,   512,    512, GGML_TYPE_F32  },  96,  64, 3, {}, {}, {} },
    { { "135M-f16", 30,  576,  9, 3,  64,  1536,  49152, GGML_TYPE_F16  }, 600, 512, 6, { 512, 2048, 8192 }, { 1024, 8192 }, { 1, 8 } },
    { { "1.5B-q4",  28, 1536, 12, 2, 128,  8960, 151936, GGML_TYPE_Q4_K }, 200, 128, 3, { 512, 2048, 8192 }, { 1024, 8192 }, { 1, 8 } },
    { { "1.5B-f16", 28, 1536, 12, 2, 128,  8960, 151936, GGML_TYPE_F16  }, 100,  64, 1, { 2048 }, { 1024, 8192 }, { 1 } },
    { { "7B-q4",    28, 3584, 28, 4, 128, 18944, 152064, GGML_TYPE_Q4_K },  64,  32, 1, { 512, 2048, 8192 }, { 1024, 8192 }, { 1, 8 } },
};

bool flash = true; // FlashAttention

const char * SETS[] = { "none", "a fifth", "all" };

struct row {
    std::string model, what, result;
    double value;
    bool   passed;
};

// A model loaded with its last `gpu_layers` layers on the device.
llama_model_ptr load(const std::string & file, int gpu_layers) {
    llama_model_params params = llama_model_default_params();
    params.n_gpu_layers = gpu_layers;
    llama_model_ptr model(llama_model_load_from_file(file.c_str(), params));
    if (!model) {
        throw std::runtime_error(file + " cannot be loaded");
    }
    return model;
}

llama_context_ptr open(llama_model * model, int cells, int ubatch, int sequences, ggml_type cache) {
    llama_context_params params = llama_context_default_params();
    params.n_ctx           = cells*sequences;
    params.n_batch         = std::max(ubatch, sequences);
    params.n_ubatch        = ubatch;
    params.n_seq_max       = sequences;
    params.kv_unified      = false;
    params.n_threads       = params.n_threads_batch = std::max(1u, std::thread::hardware_concurrency());
    params.type_k          = params.type_v = cache;
    params.flash_attn_type = flash ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
    llama_context_ptr ctx(llama_init_from_model(model, params));
    if (!ctx) {
        throw std::runtime_error("there is no memory for the context");
    }
    return ctx;
}

void calibrate(llama_context * ctx, const model_shape & shape, int set, int sequences = 1) {
    llama_act_config config;
    config.relative  = true;
    config.threshold = 3.0f;
    for (int i = 0; i < shape.layers*shape.heads; i++) {
        if (set == 2 || (set == 1 && i%5 == 0)) {
            config.heads.emplace_back(i/shape.heads, i%shape.heads);
        }
    }
    for (int s = 0; s < sequences; s++) {
        llama_act_set(ctx, s, set == 0 ? nullptr : &config);
        llama_act_begin(ctx, s);
    }
}

std::vector<int> tokens_of(int prompt, int count, int vocabulary) {
    std::mt19937 random(prompt + 1);
    std::vector<int> tokens(count);
    for (int & token : tokens) {
        token = random()%vocabulary;
    }
    return tokens;
}

// Decodes tokens [0, n) of every sequence from a position on, ubatch by ubatch; the last one's logits are kept.
void decode(llama_context * ctx, const std::vector<int> & tokens, int position, int sequences = 1) {
    const int step = std::max<int>(1, llama_n_ubatch(ctx)/sequences);
    for (int at = 0; at < (int) tokens.size(); at += step) {
        const int n = std::min<int>(step, tokens.size() - at);
        llama_batch batch = llama_batch_init(n*sequences, 0, 1);
        for (int s = 0; s < sequences; s++) {
            for (int i = 0; i < n; i++) {
                const int j = batch.n_tokens++;
                batch.token[j] = tokens[at + i];
                batch.pos[j] = position + at + i;
                batch.n_seq_id[j] = 1;
                batch.seq_id[j][0] = s;
                batch.logits[j] = i == n - 1 && at + n == (int) tokens.size();
            }
        }
        const int result = llama_decode(ctx, batch);
        llama_batch_free(batch);
        llama_synchronize(ctx);
        const std::string missed = llama_act_missed(ctx, 0);
        if (result != 0 || !missed.empty()) {
            throw std::runtime_error(result != 0 ? "llama_decode said " + std::to_string(result) : missed);
        }
    }
}

struct answer {
    std::vector<std::vector<float>> logits; // after the prompt and after each token
    size_t sinks = 0;
};

answer ask(llama_context * ctx, const plan & p, int set, int prompt) {
    llama_memory_clear(llama_get_memory(ctx), true);
    calibrate(ctx, p.shape, set);
    const auto tokens = tokens_of(prompt, p.prompt, p.shape.vocabulary);
    answer result;
    const auto keep = [&] {
        const float * x = llama_get_logits_ith(ctx, -1);
        result.logits.emplace_back(x, x + p.shape.vocabulary);
    };
    decode(ctx, tokens, 0);
    keep();
    for (int i = 0; i < 2; i++) {
        decode(ctx, { tokens[i] }, p.prompt + i);
        keep();
    }
    for (const auto & head : llama_act_get_sinks(ctx, 0)) {
        result.sinks += head.positions.size();
    }
    return result;
}

double divergence(const std::vector<float> & a, const std::vector<float> & b) {
    const auto normalised = [](const std::vector<float> & x) {
        const double top = *std::max_element(x.begin(), x.end());
        double total = 0;
        for (const float y : x) {
            total += std::exp(y - top);
        }
        return top + std::log(total);
    };
    const double za = normalised(a), zb = normalised(b);
    double sum = 0;
    for (size_t i = 0; i < a.size(); i++) {
        sum += std::exp(a[i] - za)*((a[i] - za) - (b[i] - zb));
    }
    return sum;
}

double worst(const answer & a, const answer & b) {
    double most = 0;
    for (size_t i = 0; i < a.logits.size(); i++) {
        const double kl = divergence(a.logits[i], b.logits[i]);
        most = std::isfinite(kl) ? std::max(most, kl) : INFINITY;
    }
    return most;
}

class checker {
public:
    // gpu: whether there is one; without, ratios are told and not judged
    checker(std::string folder, double limit, bool gpu) : folder(std::move(folder)), limit(limit), gpu(gpu) {}

    std::vector<row> rows;

    void check(const plan & p) {
        const std::string file = folder + "/" + p.shape.name + ".gguf";
        const auto begin = timer::now();
        write_random_model(p.shape, file);
        printf("%s: made in %.1f s\n", p.shape.name.c_str(), seconds(begin));
        try {
            agreement(p, file);
            times(p, file);
        } catch (const std::exception & e) {
            add(p, "ended", e.what(), 0, false);
        }
        remove(file.c_str());
    }

private:
    std::string folder;
    double      limit;
    bool        gpu;
    timer::time_point start = timer::now();

    bool late() const { return seconds(start) > limit; }

    void add(const plan & p, const std::string & what, const std::string & result, double value, bool passed) {
        printf("%-9s %-46s %-28s %s\n", p.shape.name.c_str(), what.c_str(), result.c_str(), passed ? "ok" : "FAIL");
        fflush(stdout);
        rows.push_back({ p.shape.name, what, result, value, passed });
    }

    void agreement(const plan & p, const std::string & file) {
        llama_model_ptr cpu = load(file, 0), whole = load(file, 99), half = load(file, p.shape.layers/2);
        for (const ggml_type cache : { GGML_TYPE_F16, GGML_TYPE_Q8_0 }) {
            if (cache == GGML_TYPE_Q8_0 && !flash) {
                continue; // llama.cpp has no such cache without FlashAttention
            }
            llama_context_ptr on_cpu = open_cpu(cpu.get(), p, cache);
            llama_context_ptr on_device = open(whole.get(), p.prompt + 64, p.ubatch, 1, cache);
            llama_context_ptr mixed = cache == GGML_TYPE_F16 ? open(half.get(), p.prompt + 64, p.ubatch, 1, cache) : nullptr;
            for (int set = 0; set < 3; set++) {
                double apart = 0, apart_mixed = 0;
                size_t sinks = 0;
                bool   same = true;
                for (int prompt = 0; prompt < p.prompts && !late(); prompt++) {
                    const answer a = ask(on_cpu.get(), p, set, prompt), b = ask(on_device.get(), p, set, prompt);
                    apart = std::max(apart, worst(a, b));
                    sinks += a.sinks;
                    same = same && (prompt > 0 || ask(on_device.get(), p, set, prompt).logits == b.logits);
                    if (mixed && prompt < 2) {
                        apart_mixed = std::max(apart_mixed, worst(a, ask(mixed.get(), p, set, prompt)));
                    }
                }
                const std::string name = std::string(SETS[set]) + ", " + ggml_type_name(cache) + " cache";
                char text[80];
                snprintf(text, sizeof(text), "KL %.1e (%zu sinks)", apart, sinks);
                add(p, name + ": device and CPU", text, apart, apart < 0.01);
                if (mixed) {
                    snprintf(text, sizeof(text), "KL %.1e", apart_mixed);
                    add(p, name + ": half of the layers there", text, apart_mixed, apart_mixed < 0.01);
                }
                add(p, name + ": two runs", same ? "equal in every bit" : "differ", same, same);
            }
        }
        llama_context_ptr ctx = open(whole.get(), p.prompt + 64, p.ubatch, 1, GGML_TYPE_F16);
        int parts[3];
        for (int set = 0; set < 3; set++) {
            ask(ctx.get(), p, set, 0);
            parts[set] = ggml_backend_sched_get_n_splits(ctx->get_sched());
        }
        char text[80];
        snprintf(text, sizeof(text), "%d, %d, %d", parts[0], parts[1], parts[2]);
        add(p, "parts of the graph: none, a fifth, all", text, parts[2] - parts[0], parts[1] == parts[0] && parts[2] == parts[0]);
    }

    static llama_context_ptr open_cpu(llama_model * model, const plan & p, ggml_type cache) {
        llama_context_params params = llama_context_default_params();
        params.n_ctx           = p.prompt + 64;
        params.n_batch         = params.n_ubatch = p.ubatch;
        params.n_threads       = params.n_threads_batch = std::max(1u, std::thread::hardware_concurrency());
        params.type_k          = params.type_v = cache;
        params.flash_attn_type = flash ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
        params.op_offload      = false; // nothing of the reference runs on the device
        params.offload_kqv     = false;
        llama_context_ptr ctx(llama_init_from_model(model, params));
        if (!ctx) {
            throw std::runtime_error("there is no memory for the context");
        }
        return ctx;
    }

    // Medians of rounds in which the sets take turns, over the median without calibration.
    void ratios(const plan & p, const std::string & what, int rounds, const double marks[3], const std::function<double(int)> & run) {
        std::vector<double> times[3];
        run(0);
        for (int round = 0; round < rounds; round++) {
            for (int set = 0; set < 3; set++) {
                times[set].push_back(run(set));
            }
        }
        double median[3];
        for (int set = 0; set < 3; set++) {
            std::sort(times[set].begin(), times[set].end());
            median[set] = times[set][rounds/2];
        }
        for (int set = 1; set < 3; set++) {
            char text[80];
            snprintf(text, sizeof(text), "%.3f (%.2f ms without)", median[0]/median[set], median[0]*1000);
            add(p, what + ", " + SETS[set], text, median[0]/median[set], !gpu || median[0]/median[set] >= marks[set]);
        }
    }

    void times(const plan & p, const std::string & file) {
        const double prefill_marks[] = { 0, 0.97, 0.90 }, decode_marks[] = { 0, 0.95, 0.85 };
        llama_model_ptr model = load(file, 99);
        for (const int n : p.prefill) {
            if (late()) {
                return;
            }
            llama_context_ptr ctx = open(model.get(), n, 512, 1, GGML_TYPE_F16);
            const auto tokens = tokens_of(0, n, p.shape.vocabulary);
            ratios(p, "prefill of " + std::to_string(n), n > 4096 ? 3 : 5, prefill_marks, [&](int set) {
                llama_memory_clear(llama_get_memory(ctx.get()), true);
                calibrate(ctx.get(), p.shape, set);
                const auto begin = timer::now();
                decode(ctx.get(), tokens, 0);
                return seconds(begin);
            });
        }
        for (const int depth : p.depths) {
            for (const int sequences : p.sequences) {
                if (late() || (sequences > 1 && depth > 2048)) {
                    continue;
                }
                constexpr int TOKENS = 8;
                llama_context_ptr ctx = open(model.get(), depth + 256, 512, sequences, GGML_TYPE_F16);
                decode(ctx.get(), tokens_of(0, depth, p.shape.vocabulary), 0, sequences);
                const std::string what = "token at " + std::to_string(depth) + ", " + std::to_string(sequences) + (sequences == 1 ? " sequence" : " sequences");
                ratios(p, what, 5, decode_marks, [&](int set) {
                    calibrate(ctx.get(), p.shape, set, sequences);
                    for (int s = 0; s < sequences; s++) {
                        llama_memory_seq_rm(llama_get_memory(ctx.get()), s, depth, -1);
                    }
                    decode(ctx.get(), { 1 }, depth, sequences); // builds the graph
                    const auto begin = timer::now();
                    for (int i = 1; i <= TOKENS; i++) {
                        decode(ctx.get(), { 1 }, depth + i, sequences);
                    }
                    return seconds(begin)/TOKENS;
                });
            }
        }
    }
};

} // namespace

int main(int argc, char ** argv) {
    std::string models = "tiny", folder = ".", json;
    double limit = 1e9;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string name = argv[i], value = argv[i + 1];
        if (name == "--models") {
            models = value;
        } else if (name == "--folder") {
            folder = value;
        } else if (name == "--json") {
            json = value;
        } else if (name == "--flash") {
            flash = value != "off";
        } else if (name == "--seconds") {
            limit = std::stod(value);
        } else {
            fprintf(stderr, "usage: check-models [--models NAME,NAME...] [--folder FOLDER] [--seconds N] [--flash off] [--json FILE]\n");
            return 2;
        }
    }
    ggml_backend_load_all();
    llama_backend_init();
    llama_log_set([](ggml_log_level level, const char * text, void *) { if (level >= GGML_LOG_LEVEL_ERROR) { fputs(text, stderr); } }, nullptr);
    std::string devices;
    bool gpu = false;
    for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
        gpu = gpu || ggml_backend_dev_type(ggml_backend_dev_get(i)) == GGML_BACKEND_DEVICE_TYPE_GPU;
        devices += std::string(i ? ", " : "") + ggml_backend_dev_description(ggml_backend_dev_get(i));
    }
    printf("%s\n", devices.c_str());

    checker all(folder, limit, gpu);
    std::istringstream names(models);
    for (std::string name; std::getline(names, name, ','); ) {
        const auto p = std::find_if(PLANS.begin(), PLANS.end(), [&](const plan & one) { return one.shape.name == name; });
        if (p == PLANS.end()) {
            fprintf(stderr, "there is no model %s\n", name.c_str());
            return 2;
        }
        all.check(*p);
    }
    const size_t failed = std::count_if(all.rows.begin(), all.rows.end(), [](const row & r) { return !r.passed; });
    printf("%zu checks, %zu failed\n", all.rows.size(), failed);
    if (!json.empty()) {
        FILE * file = fopen(json.c_str(), "w");
        if (!file) {
            fprintf(stderr, "%s cannot be written\n", json.c_str());
            return 2;
        }
        fprintf(file, "{\n  \"devices\": \"%s\",\n  \"rows\": [\n", devices.c_str());
        for (size_t i = 0; i < all.rows.size(); i++) {
            const row & r = all.rows[i];
            fprintf(file, "    {\"model\": \"%s\", \"what\": \"%s\", \"result\": \"%s\", \"value\": %g, \"passed\": %s}%s\n", r.model.c_str(), r.what.c_str(),
                r.result.c_str(), std::isfinite(r.value) ? r.value : -1, r.passed ? "true" : "false", i + 1 < all.rows.size() ? "," : "");
        }
        fprintf(file, "  ]\n}\n");
        fclose(file);
    }
    return failed > 0;
}
