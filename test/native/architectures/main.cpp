// One architecture of llama.cpp with random weights: what calibration does to every head is compared with the mathematics, computed here in
// double precision from the queries, keys, values and masks that the graph had. Built with ARCHITECTURES_REFERENCE against the unpatched
// libraries it prints the digests of the logits alone. The models are those of llama.cpp's own tests/test-llama-archs.cpp.
//
//   architectures --list               names of all architectures
//   architectures NAME                 a line of JSON for each variant and cache
#include "model.h"

#ifndef ARCHITECTURES_REFERENCE
#include "check.h"
#endif

static void print(const char * arch, bool moe, const char * cache, const std::string & rest) {
    printf("{\"arch\":\"%s\",\"moe\":%s,\"cache\":\"%s\",%s}\n", arch, moe ? "true" : "false", cache, rest.c_str());
    fflush(stdout);
}

static void run(llm_arch arch, bool moe) {
    gguf_context_ptr gguf = get_gguf_ctx(arch, moe);
    // stronger attention than llama.cpp's test has, or all heads look everywhere alike
    tensor_data_params weights = { SEED, 0.1f };
    llama_model_params params = llama_model_default_params();
    params.progress_callback = silent_model_load_progress;
    ggml_backend_dev_t none = nullptr;
    params.devices = &none;
    llama_model_ptr model(llama_model_init_from_user(gguf.get(), set_tensor_data, &weights, params));
    if (!model) {
        return print(llm_arch_name(arch), moe, "", "\"status\":\"not loadable\",\"why\":\"llama.cpp does not make the model\"");
    }
    if (llama_model_has_encoder(model.get())) {
        return print(llm_arch_name(arch), moe, "", "\"status\":\"refused\",\"why\":\"it has an encoder, whose attention is not causal\"");
    }
    for (const cache & c : CACHES) {
        std::string rest;
        try {
            llama_context_ptr ctx = make_context(model.get(), c, 1, nullptr, nullptr);
            if (!ctx) {
                print(llm_arch_name(arch), moe, c.name, "\"status\":\"not loadable\",\"why\":\"llama.cpp has no context of this kind for it\"");
                continue;
            }
            uint64_t h = decode(ctx.get(), 0, TOKENS, 1, 14695981039346656037ull);
            for (uint32_t i = 0; i < STEPS; i++) {
                h = decode(ctx.get(), TOKENS + i, TOKENS + i + 1, 1, h);
            }
            rest = "\"digest\":\"" + std::to_string(h) + "\"";
            ctx.reset();
#ifndef ARCHITECTURES_REFERENCE
            rest += "," + check(model.get(), c);
#endif
        } catch (const std::exception & error) {
            rest += std::string(rest.empty() ? "" : ",") + "\"status\":\"failed\",\"why\":" + quoted(error.what());
        }
        print(llm_arch_name(arch), moe, c.name, rest);
    }
}

int main(int argc, char ** argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: architectures --list | NAME\n");
        return 2;
    }
    llama_log_set([](ggml_log_level level, const char * text, void *) {
        if (level == GGML_LOG_LEVEL_ERROR) {
            fputs(text, stderr);
        }
    }, nullptr);
    if (std::string(argv[1]) == "--list") {
        for (const llm_arch arch : llm_arch_all()) {
            if (arch != LLM_ARCH_UNKNOWN) {
                printf("%s\n", llm_arch_name(arch));
            }
        }
        return 0;
    }
    const llm_arch arch = llm_arch_from_string(argv[1]);
    if (!arch_supported(arch) || arch == LLM_ARCH_EAGLE3 || arch == LLM_ARCH_DFLASH) {
        print(argv[1], false, "", "\"status\":\"not loadable\",\"why\":\"llama.cpp's test has no random model of it\"");
        return 0;
    }
    for (const bool moe : { false, true }) {
        if (moe ? moe_implemented(arch) : !moe_mandatory(arch)) {
            try {
                run(arch, moe);
            } catch (const std::exception & error) {
                print(argv[1], moe, "", "\"status\":\"not loadable\",\"why\":" + quoted(error.what()));
            }
        }
    }
    return 0;
}
