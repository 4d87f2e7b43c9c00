/* test_bad_input.c - files that are cut, overlapping, of another kind or hostile: one clear line each, and the right status. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "format/safetensors.h"
#include "model/config.h"
#include "text/tokenizer.h"

static size_t make(unsigned char *out, const char *header, size_t n_data) {
    size_t n = strlen(header);
    memset(out, 0, 8 + n + n_data);
    for (unsigned i = 0; i < 8; i++) out[i] = (unsigned char)((uint64_t)n >> (8 * i));
    memcpy(out + 8, header, n);
    return 8 + n + n_data;
}

static void refuse(const void *data, size_t size, const char *part) {
    struct arena arena = {0};
    struct safetensors st;
    gllm_error err = {0};
    assert_int_equal(safetensors_read(&st, &arena, data, size, "x.safetensors", &err), GLLM_FORMAT);
    if (!strstr(err.message, part) || !strstr(err.message, "x.safetensors")) fail_msg("found \"%s\", expected it to say \"%s\"", err.message, part);
    arena_free(&arena);
}

static void test_safetensors(void **state) {
    (void)state;
    static const struct {
        const char *header;
        size_t data;
        const char *says;
    } BAD[] = {
        {"[]", 0, "begin with '{'"},
        {"{\"a\":1}", 0, "a: found a number, expected an object"},
        {"{\"a\":{\"dtype\":\"F33\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "\"F33\", which is unknown"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4, "expected F32 [2]"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}}", 4, "data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,8]}}", 4, "inside 4 bytes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,4]}}", 4, "dimension 0"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}", 2, "hole"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}", 2, "overlaps"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 3, "cover 1 bytes of data, found 3"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "duplicate"},
        {"{\"__metadata__\":{\"a\":1}}", 0, "expected a string"},
        {"{\"\xff\":1}", 0, "not UTF-8"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,4294967296],\"data_offsets\":[0,4]}}", 4, "overflows"},
    };
    unsigned char buf[512];
    for (unsigned i = 0; i < sizeof BAD / sizeof *BAD; i++) refuse(buf, make(buf, BAD[i].header, BAD[i].data), BAD[i].says);
    memset(buf, 0xff, sizeof buf);
    refuse(buf, sizeof buf, "header length");
    size_t n = make(buf, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8);
    struct arena arena = {0};
    struct safetensors st;
    assert_int_equal(safetensors_read(&st, &arena, buf, n, "x", NULL), GLLM_OK);
    assert_int_equal(st.n_tensors, 1);
    arena_free(&arena);
    for (size_t cut = 0; cut < n; cut++) { /* every shorter file, in memory of exactly that size */
        void *exact = malloc(cut ? cut : 1);
        memcpy(exact, buf, cut);
        refuse(exact, cut, "");
        free(exact);
    }
}

#define SIZES "\"num_hidden_layers\":2,\"hidden_size\":8,\"num_attention_heads\":2,\"intermediate_size\":4,\"vocab_size\":5,\"max_position_embeddings\":6"

static void test_config(void **state) {
    (void)state;
    static const struct {
        const char *json;
        gllm_status status;
        const char *says;
    } BAD[] = {
        {"[]", GLLM_FORMAT, "expected an object"},
        {"{}", GLLM_FORMAT, "model_type"},
        {"{\"model_type\":\"t5\"}", GLLM_UNSUPPORTED, "\"t5\", supported: bert"},
        {"{\"model_type\":\"bert\"}", GLLM_FORMAT, "num_hidden_layers: found nothing"},
        {"{\"model_type\":\"bert\",\"num_hidden_layers\":1e300}", GLLM_FORMAT, "num_hidden_layers"},
        {"{\"model_type\":\"bert\",\"num_hidden_layers\":2,\"hidden_size\":10,\"num_attention_heads\":3,\"intermediate_size\":4,\"vocab_size\":5,\"max_position_embeddings\":6}", GLLM_FORMAT, "no multiple"},
        {"{\"model_type\":\"bert\",\"num_hidden_layers\":2,\"hidden_size\":9,\"num_attention_heads\":3,\"intermediate_size\":4,\"vocab_size\":5,\"max_position_embeddings\":6,\"position_embedding_type\":\"relative_key\"}", GLLM_UNSUPPORTED, "relative_key"},
        {"{\"model_type\":\"bert\",\"num_hidden_layers\":2,\"hidden_size\":9,\"num_attention_heads\":3,\"intermediate_size\":4,\"vocab_size\":5,\"max_position_embeddings\":6,\"hidden_act\":\"mish\"}", GLLM_UNSUPPORTED, "mish"},
        {"{\"model_type\":\"bert\"," SIZES ",\"position_embedding_type\":\"alibi\"}", GLLM_UNSUPPORTED, "feed_forward_type: found \"\", expected geglu or reglu"},
        {"{\"model_type\":\"bert\"," SIZES ",\"position_embedding_type\":\"alibi\",\"feed_forward_type\":\"original\"}", GLLM_UNSUPPORTED, "feed_forward_type: found \"original\""},
        {"{\"model_type\":\"bert\"," SIZES ",\"n_positions\":1000000,\"position_embedding_type\":\"alibi\",\"feed_forward_type\":\"geglu\"}", GLLM_UNSUPPORTED, "expected at most 131072 with alibi"},
        {"{\"model_type\":\"bert\"," SIZES ",\"position_embedding_type\":\"rope\"}", GLLM_UNSUPPORTED, "expected \"absolute\""},
        {"{\"model_type\":\"new\"," SIZES ",\"position_embedding_type\":\"absolute\"}", GLLM_UNSUPPORTED, "expected \"rope\""},
        {"{\"model_type\":\"new\"," SIZES ",\"layer_norm_type\":\"rms_norm\"}", GLLM_UNSUPPORTED, "layer_norm_type: found \"rms_norm\""},
        {"{\"model_type\":\"new\"," SIZES ",\"logn_attention_scale\":true}", GLLM_UNSUPPORTED, "logn_attention_scale"},
        {"{\"model_type\":\"new\"," SIZES ",\"rope_scaling\":{\"type\":\"ntk\",\"factor\":2,\"mixed_b\":0.6}}", GLLM_UNSUPPORTED, "mixed_b"},
        {"{\"model_type\":\"nomic_bert\"," SIZES ",\"prenorm\":true}", GLLM_UNSUPPORTED, "prenorm"},
        {"{\"model_type\":\"nomic_bert\"," SIZES ",\"causal\":true}", GLLM_UNSUPPORTED, "causal"},
        {"{\"model_type\":\"nomic_bert\"," SIZES ",\"moe_every_n_layers\":2}", GLLM_UNSUPPORTED, "moe_every_n_layers: found 2"},
        {"{\"model_type\":\"nomic_bert\"," SIZES ",\"rotary_emb_scale_base\":512}", GLLM_UNSUPPORTED, "rotary_emb_scale_base"},
        {"{\"model_type\":\"nomic_bert\"," SIZES ",\"rotary_emb_fraction\":0}", GLLM_UNSUPPORTED, "rotary_emb_fraction: found 0"},
        {"{\"model_type\":\"nomic_bert\"," SIZES ",\"activation_function\":\"gelu\"}", GLLM_UNSUPPORTED, "activation_function: found \"gelu\""},
        {"{\"model_type\":\"modernbert\"," SIZES ",\"local_attention\":1}", GLLM_UNSUPPORTED, "local_attention: found 1"},
        {"{\"model_type\":\"new\"," SIZES ",\"rope_scaling\":{\"type\":\"ntk\"}}", GLLM_FORMAT, "rope factor: found 0"},
        {"{\"model_type\":\"modernbert\"," SIZES ",\"global_attn_every_n_layers\":0}", GLLM_FORMAT, "global_attn_every_n_layers: found 0"},
        {"{\"model_type\":\"qwen3_moe\"," SIZES ",\"num_experts\":4,\"mlp_only_layers\":[0]}", GLLM_UNSUPPORTED, "num_experts: found 4: layers.1.mlp.experts"},
        {"{\"model_type\":\"qwen3_moe\"," SIZES ",\"decoder_sparse_step\":0}", GLLM_FORMAT, "decoder_sparse_step: found 0"},
        {"{\"model_type\":\"mixtral\"," SIZES "}", GLLM_UNSUPPORTED, "num_local_experts: found 8: layers.0.block_sparse_moe.experts"},
        {"{\"model_type\":\"glm4_moe\"," SIZES ",\"n_routed_experts\":160}", GLLM_UNSUPPORTED, "n_routed_experts: found 160: layers.1.mlp.experts"},
        {"{\"model_type\":\"deepseek_v3\"," SIZES ",\"kv_lora_rank\":64}", GLLM_UNSUPPORTED, "kv_lora_rank: found 64: layers.0.self_attn.kv_a_proj_with_mqa"},
    };
    for (unsigned i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        json_t *root;
        gllm_error err = {0};
        const struct arch *arch;
        struct arena arena = {0};
        struct model_cfg cfg;
        assert_int_equal(json_parse(BAD[i].json, strlen(BAD[i].json), "config.json", &root, &err), GLLM_OK);
        assert_int_equal(config_read(root, "config.json", &arena, &arch, &cfg, &err), BAD[i].status);
        arena_free(&arena);
        if (!strstr(err.message, BAD[i].says)) fail_msg("found \"%s\", expected it to say \"%s\"", err.message, BAD[i].says);
        json_decref(root);
    }
}

static void test_tokenizer(void **state) {
    (void)state;
    static const struct {
        const char *json;
        gllm_status status;
        const char *says;
    } BAD[] = {
        {"{", GLLM_FORMAT, "line 1"},
        {"{}", GLLM_FORMAT, "model: found nothing"},
        {"{\"model\":{\"type\":\"Strange\",\"vocab\":{}}}", GLLM_UNSUPPORTED, "\"Strange\""},
        {"{\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"a\",\"vocab\":{\"a\":1e12}}}", GLLM_FORMAT, "has id"},
        {"{\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"u\",\"vocab\":{\"a\":0}}}", GLLM_FORMAT, "unk_token"},
        {"{\"normalizer\":{\"type\":\"Strange\"},\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"a\",\"vocab\":{\"a\":0}}}", GLLM_UNSUPPORTED, "Strange"},
        {"{\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"X\",\"type_id\":0}}],\"pair\":[],\"special_tokens\":{}},\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"a\",\"vocab\":{\"a\":0}}}", GLLM_FORMAT, "\"X\" is not in special_tokens"},
    };
    for (unsigned i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        struct tokenizer *t;
        gllm_error err = {0};
        assert_int_equal(tokenizer_read(&t, BAD[i].json, strlen(BAD[i].json), "tokenizer.json", &err), BAD[i].status);
        assert_null(t);
        if (!strstr(err.message, BAD[i].says)) fail_msg("found \"%s\", expected it to say \"%s\"", err.message, BAD[i].says);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_safetensors), cmocka_unit_test(test_config), cmocka_unit_test(test_tokenizer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
