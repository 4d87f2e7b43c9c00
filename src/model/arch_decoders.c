/* arch_decoders.c - the table of decoder architectures. A new one is an entry here, never a forward of its own. */
#include "model/arch.h"

#define BOTH_WAYS(activation, epsilon) .decoder = true, .glu = true, .norm = NORM_RMS, .act = activation, .norm_eps = epsilon
#define DECODER(activation, epsilon) BOTH_WAYS(activation, epsilon), .causal = true
#define ROPE(base) .ropes = {{.kind = ROPE_DEFAULT, .theta = base}}

const struct arch ARCH_DECODERS[] = {
    {.name = "llama", .model_types = {"llama"}, .gguf = {"llama", "mistral3"}, .gguf_interleaved = true, .names = &NAMES_LLAMA, .cfg = {DECODER(ACT_SILU, 1e-6f), ROPE(1e4)}},
    {.name = "llama_bidirec", .model_types = {"llama_bidirec"}, .names = &NAMES_LLAMA, .cfg = {BOTH_WAYS(ACT_SILU, 1e-6f), ROPE(1e4)}},
    {.name = "mistral", .model_types = {"mistral"}, .names = &NAMES_LLAMA, .cfg = {DECODER(ACT_SILU, 1e-6f), ROPE(1e4), .window_rule = WINDOW_ALL}},
    {.name = "qwen2", .model_types = {"qwen2", "qwen2_5_vl_text", "qwen2_5_vl", "jina_embeddings_v4"}, .gguf = {"qwen2", "qwen2vl"}, .names = &NAMES_LLAMA, .cfg = {DECODER(ACT_SILU, 1e-6f), ROPE(1e4), .window_rule = WINDOW_FROM_LAYER, .window_step = 28}},
    {.name = "qwen3",
     .model_types = {"qwen3"},
     .gguf = {"qwen3"},
     .names = &NAMES_LLAMA,
     .cfg = {DECODER(ACT_SILU, 1e-6f), ROPE(1e4), .d_head = 128, .qk_norm = QK_NORM_HEAD, .window_rule = WINDOW_FROM_LAYER, .window_step = 28}},
    {.name = "gemma2",
     .model_types = {"gemma2", "codexembed2b"},
     .gguf = {"gemma2"},
     .names = &NAMES_GEMMA,
     .cfg = {DECODER(ACT_GELU_TANH, 1e-6f), ROPE(1e4), .d_head = 256, .norm_plus_one = true, .scale_embd = true, .window = 4096, .window_rule = WINDOW_EVEN,
             .attn_scale = 256, .attn_cap = 50, .logit_cap = 30}},
    {.name = "gemma3",
     .model_types = {"gemma3_text", "gemma3"},
     .gguf = {"gemma3"},
     .names = &NAMES_GEMMA,
     .cfg = {DECODER(ACT_GELU_TANH, 1e-6f), .ropes = {{.kind = ROPE_DEFAULT, .theta = 1e6}, {.kind = ROPE_DEFAULT, .theta = 1e4}}, .d_head = 256, .norm_plus_one = true,
             .scale_embd = true, .qk_norm = QK_NORM_HEAD, .window = 4096, .window_rule = WINDOW_NOT_EVERY_NTH, .window_step = 6, .attn_scale = 256}},
    {.name = "phi3", .model_types = {"phi3"}, .gguf = {"phi3"}, .names = &NAMES_LLAMA, .cfg = {DECODER(ACT_SILU, 1e-5f), ROPE(1e4), .window_rule = WINDOW_ALL}},
    {.name = "smollm3",
     .model_types = {"smollm3"},
     .gguf = {"smollm3"},
     .gguf_interleaved = true,
     .names = &NAMES_LLAMA,
     .cfg = {DECODER(ACT_SILU, 1e-6f), ROPE(2e6), .no_rope_step = 4, .window_rule = WINDOW_FROM_LAYER, .window_step = 28}},
    {.name = "internlm3", .model_types = {"internlm3"}, .names = &NAMES_LLAMA, .cfg = {DECODER(ACT_SILU, 1e-6f), ROPE(1e4)}},
    {.name = "glm", .model_types = {"glm"}, .gguf = {"chatglm"}, .gguf_interleaved = true, .names = &NAMES_LLAMA, .cfg = {DECODER(ACT_SILU, 1e-6f), ROPE(1e4), .d_head = 128, .rope_interleaved = true, .rotary_share = 0.5f}},
    {.name = "glm4",
     .model_types = {"glm4"},
     .gguf = {"glm4"},
     .gguf_interleaved = true,
     .names = &NAMES_GLM4,
     .cfg = {DECODER(ACT_SILU, 1e-6f), ROPE(1e4), .d_head = 128, .rope_interleaved = true, .rotary_share = 0.5f}},
    {.name = "olmo2", /* OLMo 3 is the same with windows, and with positions scaled only where there is none */
     .model_types = {"olmo2", "olmo3"},
     .gguf = {"olmo2"},
     .names = &NAMES_OLMO2,
     .cfg = {DECODER(ACT_SILU, 1e-5f), .ropes = {{.kind = ROPE_DEFAULT, .theta = 1e4}, {.kind = ROPE_DEFAULT}}, .qk_norm = QK_NORM_ALL, .window_rule = WINDOW_NOT_EVERY_NTH, .window_step = 4}},
    {0},
};
