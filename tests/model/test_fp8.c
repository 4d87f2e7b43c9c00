/* test_fp8.c - weights with scales beside them: what config.json may say, and files that contradict it. The values are test_decoders.c's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "model/changed_golden.h"

#define GROUP(weights) "{\"quant_method\":\"compressed-tensors\",\"format\":\"float-quantized\",\"config_groups\":{\"g\":{\"weights\":" weights "}}}"
static void test_config(void **state) {
    (void)state;
    static const struct bad_quant BAD[] = {
        {"{}", GLLM_UNSUPPORTED, "quant_method: found \"nothing\", expected awq, gptq, compressed-tensors, bitsandbytes, fp8 or fbgemm_fp8"},
        {"{\"quant_method\":\"hqq\"}", GLLM_UNSUPPORTED, "quant_method: found \"hqq\""},
        {"{\"quant_method\":\"fp8\",\"weight_block_size\":[128]}", GLLM_FORMAT, "weight_block_size: expected two whole numbers"},
        {"{\"quant_method\":\"fp8\",\"weight_block_size\":[128,0]}", GLLM_FORMAT, "weight_block_size: expected two whole numbers"},
        {"{\"quant_method\":\"fp8\",\"weight_block_size\":[1e30,2.5]}", GLLM_FORMAT, "weight_block_size: expected two whole numbers"},
        {"{\"quant_method\":\"fp8\",\"weight_block_size\":128}", GLLM_FORMAT, "weight_block_size: found"},
        {"{\"quant_method\":\"fp8\",\"modules_to_not_convert\":[1]}", GLLM_FORMAT, "modules_to_not_convert[0]: found"},
        {"{\"quant_method\":\"compressed-tensors\",\"format\":\"nvfp4-pack-quantized\"}", GLLM_UNSUPPORTED, "format: found \"nvfp4-pack-quantized\", expected float-quantized, pack-quantized or int-quantized"},
        {"{\"quant_method\":\"compressed-tensors\",\"format\":\"float-quantized\"}", GLLM_FORMAT, "config_groups: found none"},
        {"{\"quant_method\":\"compressed-tensors\",\"format\":\"float-quantized\",\"sparsity_config\":{\"format\":\"sparse-24-bitmask\"}}", GLLM_UNSUPPORTED, "\"sparse-24-bitmask\", expected dense"},
        {"{\"quant_method\":\"compressed-tensors\",\"format\":\"float-quantized\",\"config_groups\":{\"g\":3}}", GLLM_FORMAT, "g: found"},
        {GROUP("null"), GLLM_FORMAT, "a group without weights"},
        {GROUP("{\"type\":\"int\",\"num_bits\":8,\"strategy\":\"channel\"}"), GLLM_UNSUPPORTED, "type: found \"int\", expected float"},
        {GROUP("{\"type\":\"float\",\"num_bits\":4,\"strategy\":\"channel\"}"), GLLM_UNSUPPORTED, "num_bits: found 4, expected 8"},
        {GROUP("{\"type\":\"float\",\"num_bits\":8,\"symmetric\":false,\"strategy\":\"channel\"}"), GLLM_UNSUPPORTED, "symmetric"},
        {GROUP("{\"type\":\"float\",\"num_bits\":8,\"strategy\":\"token\"}"), GLLM_UNSUPPORTED, "strategy: found \"token\""},
        {GROUP("{\"type\":\"float\",\"num_bits\":8,\"strategy\":\"block\"}"), GLLM_FORMAT, "without a block_structure"},
        {GROUP("{\"type\":\"float\",\"num_bits\":8,\"strategy\":\"group\"}"), GLLM_FORMAT, "without a group_size"},
        {GROUP("{\"type\":\"float\",\"num_bits\":8,\"strategy\":\"group\",\"group_size\":64}},\"h\":{\"weights\":{\"type\":\"float\",\"num_bits\":8,\"strategy\":\"group\",\"group_size\":32}"), GLLM_UNSUPPORTED, "blocks of 1 x 64 and of 1 x 32"},
    };
    static const struct {
        const char *quant, *method;
        uint32_t rows, cols;
        size_t n_ignored;
    } GOOD[] = {
        {"null", NULL, 0, 0, 0},
        {"{\"quant_method\":\"fp8\"}", "fp8", 128, 128, 0},
        {"{\"quant_method\":\"fp8\",\"weight_block_size\":null,\"ignored_layers\":[\"a\",\"b\"]}", "fp8", 0, 0, 2},
        {"{\"quant_method\":\"fp8\",\"weight_block_size\":[64,32],\"modules_to_not_convert\":[\"lm_head\"]}", "fp8", 64, 32, 1},
        {"{\"quant_method\":\"fbgemm_fp8\"}", "fbgemm_fp8", 0, 0, 0},
        {GROUP("{\"type\":\"float\",\"num_bits\":8,\"strategy\":\"block\",\"block_structure\":[128,64]}"), "compressed-tensors", 128, 64, 0},
        {GROUP("{\"type\":\"float\",\"num_bits\":8,\"strategy\":\"group\",\"group_size\":32}},\"h\":{\"weights\":{\"type\":\"float\",\"num_bits\":8,\"strategy\":\"tensor\"}"), "compressed-tensors", 1, 32, 0},
    };
    struct arena a = {0};
    struct quant_cfg q;
    gllm_error err = {0};
    check_bad_quants(BAD, sizeof BAD / sizeof *BAD);
    for (unsigned i = 0; i < sizeof GOOD / sizeof *GOOD; i++) {
        if (read_quant(GOOD[i].quant, &a, &q, &err) != GLLM_OK) fail_msg("%s", err.message);
        assert_true(GOOD[i].method ? q.method && !strcmp(q.method, GOOD[i].method) : !q.method);
        assert_true(q.row_block == GOOD[i].rows && q.col_block == GOOD[i].cols && q.n_ignored == GOOD[i].n_ignored);
    }
    arena_free(&a);
}

static void test_contradictions(void **state) {
    (void)state;
    static const struct bad_golden BAD[] = {
        {"fp8-tiles-qwen3", {"config.json", "   128,\n   128", "   128,\n    64", 0}, GLLM_FORMAT, "q_proj.weight_scale_inv: shape [2,2], expected [], [144,1] or [2,3] for tiles of 128 x 64"},
        {"fp8-groups-llama", {"config.json", "\"group_size\": 16", "\"group_size\": 32", 0}, GLLM_FORMAT, "q_proj.weight_scale: shape [128,3], expected [], [128,1] or [128,2] for tiles of 1 x 32"},
        {"fp8-rows-phi3", {"model.safetensors", "\"BF16\",\"shape\":[40,1]", "\"BF16\",\"shape\":[20,2]", 0}, GLLM_FORMAT, "_proj.weight_scale: shape [20,2], expected [], [40,1]"},
        {"fp8-one-llama", {"model.safetensors", "layers.1.mlp.up_proj.weight_scale\"", "layers.1.mlp.up_proj.weight_skale\"", 0}, GLLM_FORMAT,
         "model.layers.1.mlp.up_proj.weight_scale: no such tensor, nor model.layers.1.mlp.up_proj.weight_scale_inv; quantization_config does not leave out model.layers.1.mlp.up_proj.weight, which is F8_E4M3"},
        {"fp8-tiles-e5m2-llama", {"model.safetensors", "\"BF16\",\"shape\":[2,2]", "\"I16\", \"shape\":[2,2]", 0}, GLLM_UNSUPPORTED, "weight_scale_inv: dtype I16, expected F32, F16 or BF16"},
        {"fp8-one-llama", {"model.safetensors", "model.layers.0.self_attn.q_proj.input_scale\"", "model.embed_tokens.weight_scale\"            ", 0}, GLLM_UNSUPPORTED, "model.embed_tokens.weight_scale: a scale beside values of F32, expected F8_E4M3 or F8_E5M2"},
        {"fp8-one-inv-mistral", {"config.json", "\"fp8\"", "\"hqq\"", 0}, GLLM_UNSUPPORTED, "config.json: quantization_config: quant_method: found \"hqq\""},
    };
    check_bad_goldens(BAD, sizeof BAD / sizeof *BAD);
}

/* A module on the list may lack its scale: by name, by its beginning or end, by a regular expression. */
static void test_ignored(void **state) {
    (void)state;
    static const struct {
        const char *key;
        bool fine;
    } KEYS[] = {{"\"re:.*\\\\.o_p.\"", true}, {"\"re:\\\\.o_proj\"", false}, {"\"1.self_attn\" ", false}, {"\"attn.o_proj\" ", false}, {"\"o_proj\"      ", true}, {"\"model.layers\"", true}};
    for (unsigned i = 0; i < sizeof KEYS / sizeof *KEYS; i++) {
        const struct change changes[] = {{"model.safetensors", "layers.1.self_attn.o_proj.weight_scale\"", "layers.1.self_attn.o_proj.weight_skale\"", 0}, {"config.json", "\"re:.*lm_head\"", KEYS[i].key, 0}};
        gllm_error err = {0};
        char line[LINE_ROOM];
        if ((open_changed("fp8-rows-phi3", changes, 2, line, &err) == GLLM_OK) != KEYS[i].fine) fail_msg("ignore %s: %s", KEYS[i].key, err.message);
    }
}

static void test_activation_scales(void **state) {
    (void)state;
    gllm_error err;
    char line[LINE_ROOM] = "";
    assert_int_equal(open_changed("fp8-one-llama", NULL, 0, line, &err), GLLM_OK);
    assert_non_null(strstr(line, "14 scales of activations are not needed"));
    *line = '\0';
    assert_int_equal(open_changed("fp8-rows-phi3", NULL, 0, line, &err), GLLM_OK);
    assert_string_equal(line, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_config), cmocka_unit_test(test_contradictions), cmocka_unit_test(test_ignored), cmocka_unit_test(test_activation_scales)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
