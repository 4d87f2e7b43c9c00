/* test_int_quant.c - weights stored as small whole numbers: what config.json may say, files that contradict it, and what is told of a model. The values
 * are those of test_decoders.c, test_models.c and tests/ops/test_codes_ops.c. */
#include "gllm.h"
#include "model/bind_quant.h"
#include "model/changed_golden.h"

#define CT(format, weights) "{\"quant_method\":\"compressed-tensors\",\"format\":\"" format "\",\"config_groups\":{\"g\":{\"weights\":" weights "}}}"
static void test_config(void **state) {
    (void)state;
    static const struct bad_quant BAD[] = {
        {"{\"quant_method\":\"awq\",\"bits\":8,\"group_size\":128}", GLLM_UNSUPPORTED, "bits: found 8, expected 4"},
        {"{\"quant_method\":\"awq\",\"bits\":4,\"group_size\":128,\"version\":\"gemv_fast\"}", GLLM_UNSUPPORTED, "version: found \"gemv_fast\", expected gemm or gemv"},
        {"{\"quant_method\":\"awq\",\"bits\":4,\"group_size\":0}", GLLM_FORMAT, "group_size: found 0"},
        {"{\"quant_method\":\"awq\",\"bits\":4,\"group_size\":-2}", GLLM_FORMAT, "group_size: found -2"},
        {"{\"quant_method\":\"gptq\",\"group_size\":128}", GLLM_UNSUPPORTED, "bits: found 0, expected 2, 3, 4 or 8"},
        {"{\"quant_method\":\"gptq\",\"bits\":5,\"group_size\":128}", GLLM_UNSUPPORTED, "bits: found 5"},
        {"{\"quant_method\":\"gptq\",\"bits\":4,\"checkpoint_format\":\"marlin\"}", GLLM_UNSUPPORTED, "checkpoint_format: found \"marlin\", expected gptq or gptq_v2"},
        {"{\"quant_method\":\"gptq\",\"bits\":4,\"dynamic\":{\"-:lm_head\":{},\"+:.*up_proj\":{\"bits\":8}}}", GLLM_UNSUPPORTED, "dynamic: found \"+:.*up_proj\""},
        {"{\"quant_method\":\"bitsandbytes\"}", GLLM_FORMAT, "neither load_in_4bit nor load_in_8bit"},
        {CT("pack-quantized", "{\"type\":\"float\",\"num_bits\":4,\"strategy\":\"channel\"}"), GLLM_UNSUPPORTED, "type: found \"float\", expected int"},
        {CT("pack-quantized", "{\"type\":\"int\",\"num_bits\":1,\"strategy\":\"channel\"}"), GLLM_UNSUPPORTED, "num_bits: found 1, expected 2 to 8"},
        {CT("int-quantized", "{\"type\":\"int\",\"num_bits\":4,\"strategy\":\"channel\"}"), GLLM_UNSUPPORTED, "num_bits: found 4, expected 8"},
        {CT("pack-quantized", "{\"type\":\"int\",\"num_bits\":4,\"strategy\":\"block\"}"), GLLM_UNSUPPORTED, "strategy: found \"block\", expected tensor, channel or group"},
        {CT("pack-quantized", "{\"type\":\"int\",\"num_bits\":4,\"strategy\":\"group\"}"), GLLM_FORMAT, "without a group_size"},
        {CT("pack-quantized", "{\"type\":\"int\",\"num_bits\":4,\"strategy\":\"channel\"}},\"h\":{\"weights\":{\"type\":\"int\",\"num_bits\":8,\"strategy\":\"channel\"}"), GLLM_UNSUPPORTED, "config_groups of 4 bits in groups of 0 and of 8 bits"},
    };
    static const struct {
        const char *quant;
        enum quant_form form;
        uint32_t bits, group;
        bool less_one, symmetric;
        size_t n_ignored;
    } GOOD[] = {
        {"{\"quant_method\":\"awq\",\"bits\":4,\"group_size\":128,\"zero_point\":true,\"version\":\"gemm\",\"modules_to_not_convert\":[\"visual\"]}", QUANT_AWQ_GEMM, 4, 128, false, false, 1},
        {"{\"quant_method\":\"awq\",\"w_bit\":4,\"q_group_size\":64,\"version\":\"GEMV\"}", QUANT_AWQ_GEMV, 4, 64, false, false, 0},
        {"{\"quant_method\":\"awq\",\"bits\":4,\"group_size\":-1,\"zero_point\":false}", QUANT_AWQ_GEMM, 4, 0, false, true, 0},
        {"{\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":128,\"desc_act\":true}", QUANT_GPTQ, 4, 128, true, false, 0},
        {"{\"quant_method\":\"gptq\",\"bits\":8,\"group_size\":-1,\"checkpoint_format\":\"gptq_v2\",\"dynamic\":{\"-:lm_head\":{}}}", QUANT_GPTQ, 8, 0, false, false, 0},
        {"{\"quant_method\":\"bitsandbytes\",\"load_in_8bit\":true,\"llm_int8_skip_modules\":[\"lm_head\"]}", QUANT_BNB, 8, 0, false, false, 1},
        {CT("pack-quantized", "{\"type\":\"int\",\"num_bits\":4,\"strategy\":\"group\",\"group_size\":128,\"symmetric\":false}"), QUANT_PACKED, 4, 128, false, false, 0},
        {CT("int-quantized", "{\"type\":\"int\",\"num_bits\":8,\"strategy\":\"channel\"}"), QUANT_INT8, 8, 0, false, true, 0},
    };
    struct arena a = {0};
    struct quant_cfg q;
    gllm_error err = {0};
    check_bad_quants(BAD, sizeof BAD / sizeof *BAD);
    for (unsigned i = 0; i < sizeof GOOD / sizeof *GOOD; i++) {
        if (read_quant(GOOD[i].quant, &a, &q, &err) != GLLM_OK) fail_msg("%s", err.message);
        if (q.form != GOOD[i].form || q.bits != GOOD[i].bits || q.group != GOOD[i].group || q.zeros_less_one != GOOD[i].less_one || q.symmetric != GOOD[i].symmetric || q.n_ignored != GOOD[i].n_ignored)
            fail_msg("%s: form %d, %u bits, groups of %u", GOOD[i].quant, (int)q.form, q.bits, q.group);
    }
    arena_free(&a);
}

#define WEIGHTS "model.safetensors"
#define CONFIG "config.json"
static void test_contradictions(void **state) {
    (void)state;
    static const struct bad_golden BAD[] = {
        {"int-awq-gemm-llama", {CONFIG, "\"group_size\": 32", "\"group_size\": 16", 0}, GLLM_FORMAT, "layers.0.self_attn.q_proj.qzeros: shape [2,8], expected [4,8]"},
        {"int-awq-gemm-llama", {CONFIG, "\"gemm\"", "\"gemv\"", 0}, GLLM_FORMAT, "layers.0.self_attn.q_proj.qzeros: shape [2,8], expected [64,4]"},
        {"int-awq-gemm-llama", {CONFIG, "\"quantization_config\"", "\"quantization_conf__\"", 0}, GLLM_FORMAT, "layers.0.self_attn.q_proj.qweight: found codes, but config.json has no quantization_config"},
        {"int-awq-gemm-llama", {WEIGHTS, "self_attn.q_proj.qzeros", "self_attn.q_proj.qzeroz", 0}, GLLM_FORMAT, "q_proj.qzeros: no such tensor, expected one beside the other tensors of a module stored as awq"},
        {"int-awq-gemm-llama", {WEIGHTS, "self_attn.q_proj.scales", "self_attn.q_proj.scalez", 0}, GLLM_FORMAT, "q_proj.scales: no such tensor"},
        {"int-awq-gemm-llama", {WEIGHTS, "q_proj.scales\":{\"dtype\":\"F16\",\"shape\":[2,64]", "q_proj.scales\":{\"dtype\":\"F16\",\"shape\":[64,2]", 0}, GLLM_FORMAT, "q_proj.scales: shape [64,2], expected [2,64]"},
        {"int-awq-gemm-llama", {WEIGHTS, "q_proj.scales\":{\"dtype\":\"F16\"", "q_proj.scales\":{\"dtype\":\"I16\"", 0}, GLLM_UNSUPPORTED, "q_proj.scales: dtype I16, expected F16, BF16 or F32"},
        {"int-awq-gemm-llama", {WEIGHTS, "q_proj.qweight\":{\"dtype\":\"I32\"", "q_proj.qweight\":{\"dtype\":\"F32\"", 0}, GLLM_UNSUPPORTED, "q_proj.qweight: dtype F32, expected I32"},
        {"int-awq-gemm-llama", {WEIGHTS, "self_attn.q_proj.qweight", "self_attn.q_proj.qweighz", 0}, GLLM_FORMAT, "q_proj.weight: no such tensor"},
        {"int-awq-gemm-llama", {WEIGHTS, "model.norm.weight", "model.norm.qweigh", 0}, GLLM_FORMAT, "model.norm.weight: no such tensor"},
        {"int-awq-gemv-qwen2", {CONFIG, "\"GEMV\"", "\"gemm\"", 0}, GLLM_FORMAT, "q_proj.qzeros: shape [64,4], expected [2,8]"},
        {"int-gptq-llama", {CONFIG, "\"bits\": 4", "\"bits\": 8", 0}, GLLM_FORMAT, "q_proj.qweight: shape [8,64], expected [16,64]"},
        {"int-gptq-llama", {CONFIG, "\"gptq\"", "\"awq\" ", 0}, GLLM_FORMAT, "q_proj.qweight: shape [8,64], expected [64,8]"},
        {"int-gptq-llama", {WEIGHTS, "\1\0\0\0\1\0\0\0\1\0\0\0", "\1\0\0\0\x9\0\0\0\1\0\0\0", 12}, GLLM_FORMAT, "down_proj.g_idx: input 33 is in group 9, expected 0 to 2"},
        {"int-gptq-llama", {WEIGHTS, "\1\0\0\0\1\0\0\0\1\0\0\0", "\1\0\0\0\xFF\xFF\xFF\xFF\1\0\0\0", 12}, GLLM_FORMAT, "down_proj.g_idx: input 33 is in group -1, expected 0 to 2"},
        {"int-gptq-llama", {WEIGHTS, "self_attn.q_proj.g_idx\":{\"dtype\":\"I32\",\"shape\":[64]", "self_attn.q_proj.g_idx\":{\"dtype\":\"I64\",\"shape\":[32]", 0}, GLLM_UNSUPPORTED, "q_proj.g_idx: dtype I64, expected I32"},
        {"int-gptq-3-llama", {CONFIG, "\"bits\": 3", "\"bits\": 2", 0}, GLLM_FORMAT, "q_proj.qweight: shape [6,64], expected [4,64]"},
        {"int-packed-groups-llama", {CONFIG, "\"num_bits\": 4", "\"num_bits\": 5", 0}, GLLM_FORMAT, "q_proj.weight_packed: shape [64,8], expected [64,10]"},
        {"int-packed-groups-llama", {CONFIG, "\"pack-quantized\"", "\"int-quantized\" ", 0}, GLLM_UNSUPPORTED, "num_bits: found 4, expected 8"},
        {"int-packed-groups-llama", {WEIGHTS, "q_proj.weight_zero_point", "q_proj.weight_zero_poinz", 0}, GLLM_FORMAT, "q_proj.weight_zero_point: no such tensor"},
        {"int-packed-groups-llama", {WEIGHTS, "q_proj.weight_shape", "q_proj.weight_shapz", 0}, GLLM_FORMAT, "q_proj.weight_shape: no such tensor"},
        {"int-packed-groups-llama", {WEIGHTS, "\x40\0\0\0\0\0\0\0\x60\0\0\0\0\0\0\0", "\x40\0\0\0\0\0\0\0\x61\0\0\0\0\0\0\0", 16}, GLLM_FORMAT, "down_proj.weight_shape: found [64,97], expected [64,96]"},
        {"int-packed-rows-llama", {CONFIG, "\"symmetric\": true", "\"symmetric\":false", 0}, GLLM_FORMAT, "q_proj.weight_zero_point: no such tensor"},
        {"int-int8-llama", {CONFIG, "\"format\": \"int-quantized\"", "\"format\":\"pack-quantized\"", 0}, GLLM_FORMAT, "q_proj.weight: found codes that quant_method compressed-tensors does not write"},
        {"int-int8-llama", {WEIGHTS, "q_proj.weight_scale", "q_proj.weight_scalz", 0}, GLLM_FORMAT, "q_proj.weight_scale: no such tensor"},
        {"int-nf4-llama", {WEIGHTS, "q_proj.weight.absmax", "q_proj.weight.absmaz", 0}, GLLM_FORMAT, "q_proj.weight.absmax: no such tensor"},
        {"int-nf4-llama", {WEIGHTS, "q_proj.weight.quant_map", "q_proj.weight.quant_maz", 0}, GLLM_FORMAT, "q_proj.weight.quant_map: no such tensor"},
        {"int-nf4-llama", {WEIGHTS, "q_proj.weight.nested_absmax", "q_proj.weight.nested_absmaz", 0}, GLLM_FORMAT, "q_proj.weight.nested_absmax: no such tensor"},
        {"int-nf4-llama", {WEIGHTS, "q_proj.weight.quant_state.bitsandbytes__nf4", "q_proj.weight.quant_state.bitsandbytes__nf5", 0}, GLLM_FORMAT, "quant_state.bitsandbytes__fp4: no such tensor"},
        {"int-nf4-llama", {WEIGHTS, "\"blocksize\": 64", "\"blocksize\": 32", 0}, GLLM_FORMAT, ".absmax: shape [96], expected [192]"},
        {"int-nf4-llama", {WEIGHTS, "\"blocksize\": 64", "\"blocksize\": -1", 0}, GLLM_FORMAT, "blocksize: found -1"},
        {"int-nf4-llama", {WEIGHTS, "\"blocksize\": 64", "\"blocksize\": 00", 0}, GLLM_FORMAT, "not JSON"},
        {"int-nf4-llama", {WEIGHTS, "\"blocksize\": 64", "\"blocksizt\": 64", 0}, GLLM_FORMAT, "blocksize: found 0 or nothing"},
        {"int-nf4-llama", {WEIGHTS, "\"nested_blocksize\": 256", "\"nested_blocksizt\": 256", 0}, GLLM_FORMAT, "no nested_blocksize"},
        {"int-nf4-llama", {WEIGHTS, "\"shape\": [64, 96]", "\"shape\": [96, 64]", 0}, GLLM_FORMAT, "shape: found [96,64], expected [64,96]"},
        {"int-bnb8-llama", {WEIGHTS, "q_proj.SCB", "q_proj.SCC", 0}, GLLM_FORMAT, "q_proj.SCB: no such tensor"},
        {"int-bnb8-llama", {WEIGHTS, "q_proj.weight\":{\"dtype\":\"I8\"", "q_proj.weight\":{\"dtype\":\"U8\"", 0}, GLLM_FORMAT, "q_proj.weight: shape [64,64], expected [2048,1]: two of [64,64] in a byte"},
        {"int-bnb8-llama", {CONFIG, "\"bitsandbytes\"", "\"fbgemm_fp8\"  ", 0}, GLLM_FORMAT, "q_proj.weight: found codes that quant_method fbgemm_fp8 does not write"},
    };
    check_bad_goldens(BAD, sizeof BAD / sizeof *BAD);
}

/* A weight that stands there twice counts only where config.json says that its module is left as it is. */
static void test_twice(void **state) {
    (void)state;
    static const char *const OTHER[] = {"v_proj"}, *const THIS[] = {"lm_head", "self_attn.o_proj"};
    static const char NAME[] = "model.layers.0.self_attn.o_proj.weight";
    struct quant_cfg q = {.method = "awq", .form = QUANT_AWQ_GEMM, .ignored = OTHER, .n_ignored = 1};
    struct weights *w;
    gllm_error err = {0};
    assert_int_equal(weights_open(&w, "tests/golden/decoders/int-awq-gemm-llama", &err), GLLM_OK);
    assert_int_equal(quant_check_plain(w, &q, NAME, &err), GLLM_FORMAT);
    assert_string_equal(err.message, "model.layers.0.self_attn.o_proj.qweight: found beside model.layers.0.self_attn.o_proj.weight, and quantization_config does not leave the module out");
    assert_int_equal(quant_check_plain(w, &q, "model.embed_tokens.weight", &err), GLLM_OK);
    q.ignored = THIS, q.n_ignored = 2;
    assert_int_equal(quant_check_plain(w, &q, NAME, &err), GLLM_OK);
    weights_close(w);
}

static void test_inspect(void **state) {
    (void)state;
    static const struct {
        const char *golden, *says;
        double bits; /* of a weight on the cpu, by default */
    } TOLD[] = {
        {"int-awq-gemm-llama", "awq, 4 bits, groups of 32", 5}, {"int-gptq-8-v2-llama", "gptq, 8 bits", 10}, {"int-gptq-3-llama", "gptq, 3 bits, groups of 32", 5},
        {"int-packed-groups-llama", "compressed-tensors, 4 bits, groups of 32", 6}, {"int-int8-llama", "compressed-tensors, 8 bits", 10}, {"int-nf4-llama", "bitsandbytes, 4 bits", 4.5}, {"int-bnb8-llama", "bitsandbytes, 8 bits", 10},
    };
    for (unsigned i = 0; i < sizeof TOLD / sizeof *TOLD; i++) {
        enum { EMBEDDING = 64 * 64, NORMS = 3 * 64, ROTARY = 32 /* frequencies, filled up to the widest vector */, LINEAR = 2 * 64 * 64 + 2 * 32 * 64 + 3 * 96 * 64 };
        gllm_options o;
        gllm_model_info *info;
        gllm_error err = {0};
        char dir[256];
        gllm_options_init(&o);
        snprintf(dir, sizeof dir, "tests/golden/decoders/%s", TOLD[i].golden);
        o.model = dir, o.backend = "cpu";
        if (gllm_inspect(&info, &o, 0, 0, &err) != GLLM_OK) fail_msg("%s", err.message);
        assert_string_equal(info->quantisation, TOLD[i].says);
        assert_int_equal(info->n_params, EMBEDDING + NORMS + LINEAR);
        assert_int_equal(info->n_plans, 1);
        assert_int_equal(info->plans[0].weight_bytes, (uint64_t)(LINEAR * TOLD[i].bits / 8) + 4 * (2 * EMBEDDING + NORMS + ROTARY));
        gllm_model_info_free(info);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_config), cmocka_unit_test(test_contradictions), cmocka_unit_test(test_twice), cmocka_unit_test(test_inspect)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
