/* test_hfdir.c - every file of a model directory: read as sentence-transformers reads it, or refused with one sentence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include "format/hfdir.h"
#include "temp_dir.h"

#define CONFIG "{\"model_type\":\"bert\"}"
#define TRANSFORMER "{\"idx\":0,\"name\":\"0\",\"path\":\"\",\"type\":\"sentence_transformers.models.Transformer\"}"
#define POOLING "{\"idx\":1,\"name\":\"1\",\"path\":\"1_Pooling\",\"type\":\"sentence_transformers.models.Pooling\"}"
#define DENSE "{\"idx\":2,\"name\":\"2\",\"path\":\"2_Dense\",\"type\":\"sentence_transformers.models.Dense\"}"
#define NORMALIZE "{\"idx\":2,\"name\":\"2\",\"path\":\"2_Normalize\",\"type\":\"sentence_transformers.models.Normalize\"}"

struct file {
    const char *name, *text; /* text NULL: not there */
};
#define FILES(...) ((const struct file[]){__VA_ARGS__, {NULL, NULL}})

/* A new folder with these files, and a config.json unless the list has one. */
static const char *make(const struct file *files) {
    static char dir[512];
    static unsigned count;
    char own[32], path[128];
    bool config = true;
    snprintf(own, sizeof own, "m%u", count++);
    snprintf(dir, sizeof dir, "%s", temp_path(own));
    mkdir(dir, 0700);
    for (; files->name; files++) {
        snprintf(path, sizeof path, "%s/%s", own, files->name);
        if (files->text) temp_text(path, files->text);
        config &= strcmp(files->name, "config.json") != 0;
    }
    snprintf(path, sizeof path, "%s/config.json", own);
    if (config) temp_text(path, CONFIG);
    return dir;
}

static struct hfdir opened(const struct file *files) {
    struct hfdir d;
    gllm_error err = {0};
    if (hfdir_open(&d, make(files), &err) != GLLM_OK) fail_msg("%s", err.message);
    return d;
}

/* Refused with DIR/says. */
static void refused(const struct file *files, gllm_status status, const char *says) {
    struct hfdir d;
    gllm_error err = {0};
    char expected[1024];
    const char *dir = make(files);
    snprintf(expected, sizeof expected, "%s%s", dir, says);
    const gllm_status found = hfdir_open(&d, dir, &err);
    if (found != status || strcmp(err.message, expected)) fail_msg("found %d \"%s\", expected %d \"%s\"", (int)found, err.message, (int)status, expected);
    assert_null(d.config);
}

static void test_bare(void **state) {
    (void)state;
    struct hfdir d = opened(FILES({"README.md", "---\ntags:\n- x\nlicense: apache-2.0\n---\n# A model\nlicense: none\n"}));
    assert_string_equal(d.licence, "apache-2.0");
    assert_string_equal(d.name, strrchr(d.dir, '/') + 1);
    assert_ptr_equal(d.weights_dir, d.dir);
    assert_string_equal(json_string_value(json_object_get(d.config, "model_type")), "bert");
    assert_int_equal(d.n_modules, 0);
    assert_int_equal(d.n_prompts, 0);
    assert_null(d.default_prompt_name);
    assert_int_equal(d.max_seq_length, 0);
    assert_false(d.do_lower_case);
    hfdir_close(&d);
    assert_null(d.config);
    hfdir_close(&d);
    hfdir_close(NULL);

    char slashes[600];
    snprintf(slashes, sizeof slashes, "%s///", make(FILES({"README.md", "no front matter\nlicense: mit\n"})));
    assert_int_equal(hfdir_open(&d, slashes, NULL), GLLM_OK);
    assert_int_not_equal(d.dir[strlen(d.dir) - 1], '/');
    assert_null(d.licence);
    hfdir_close(&d);
}

static void test_modules(void **state) {
    (void)state;
    struct hfdir d = opened(FILES({"modules.json", "[" TRANSFORMER "," POOLING "," DENSE "," NORMALIZE "]"}, {"1_Pooling/config.json", "{\"pooling_mode_mean_tokens\":true,\"word_embedding_dimension\":384}"},
                                  {"2_Dense/config.json", "{\"in_features\":384,\"out_features\":96,\"bias\":false,\"activation_function\":\"torch.nn.modules.linear.Identity\"}"}));
    assert_int_equal(d.n_modules, 4);
    assert_int_equal(d.modules[0].kind, HF_TRANSFORMER);
    assert_string_equal(d.modules[0].path, d.dir);
    assert_int_equal(d.modules[1].kind, HF_POOLING);
    assert_int_equal(d.modules[1].pooling.dim, 384);
    assert_int_equal(d.modules[2].kind, HF_DENSE);
    assert_int_equal(d.modules[2].dense.in_dim, 384);
    assert_int_equal(d.modules[2].dense.out_dim, 96);
    assert_false(d.modules[2].dense.bias);
    assert_int_equal(d.modules[2].dense.act, HF_ACT_IDENTITY);
    assert_string_equal(strrchr(d.modules[2].path, '/'), "/2_Dense");
    assert_int_equal(d.modules[3].kind, HF_NORMALIZE);
    hfdir_close(&d);

    /* the older layout, and the class paths that newer versions write */
    d = opened(FILES({"modules.json", "[{\"path\":\"0_Transformer\",\"type\":\"sentence_transformers.base.modules.transformer.Transformer\"},"
                                      "{\"path\":\"1_Dense\",\"type\":\"Dense\"}]"},
                     {"0_Transformer/config.json", "{\"model_type\":\"mpnet\"}"}, {"0_Transformer/sentence_bert_config.json", "{\"max_seq_length\":128}"}, {"config.json", NULL},
                     {"1_Dense/config.json", "{\"in_features\":4,\"out_features\":4}"}));
    assert_string_equal(strrchr(d.weights_dir, '/'), "/0_Transformer");
    assert_string_equal(json_string_value(json_object_get(d.config, "model_type")), "mpnet");
    assert_int_equal(d.max_seq_length, 128);
    assert_true(d.modules[1].dense.bias); /* the defaults of torch and of the reference library */
    assert_int_equal(d.modules[1].dense.act, HF_ACT_TANH);
    hfdir_close(&d);
}

static void test_bad_modules(void **state) {
    (void)state;
#define MODULES(text) FILES({"modules.json", text})
    refused(MODULES("{}"), GLLM_FORMAT, "/modules.json: found an object, expected an array");
    refused(MODULES("7"), GLLM_FORMAT, "/modules.json: found a number, expected an object");
    refused(MODULES("[]"), GLLM_FORMAT, "/modules.json: found 0 modules, expected 1 to 64");
    refused(MODULES("[" TRANSFORMER ",3]"), GLLM_FORMAT, "/modules.json: found a number, expected an object");
    refused(MODULES("[{\"path\":\"\"}]"), GLLM_FORMAT, "/modules.json: module 0: type: found nothing, expected a class path");
    refused(MODULES("[{\"type\":5}]"), GLLM_FORMAT, "/modules.json: type: found 5, expected a string");
    refused(MODULES("[{\"path\":\"../x\",\"type\":\"Transformer\"}]"), GLLM_FORMAT, "/modules.json: module 0: path \"../x\" leaves the model's directory");
    refused(MODULES("[{\"path\":\"a/../..\",\"type\":\"Transformer\"}]"), GLLM_FORMAT, "/modules.json: module 0: path \"a/../..\" leaves the model's directory");
    refused(MODULES("[{\"path\":\"/etc\",\"type\":\"Transformer\"}]"), GLLM_FORMAT, "/modules.json: module 0: path \"/etc\" leaves the model's directory");
    refused(MODULES("[" TRANSFORMER ",{\"path\":\"1\",\"type\":\"sentence_transformers.models.CNN\"}]"), GLLM_UNSUPPORTED,
            "/modules.json: module type: found \"sentence_transformers.models.CNN\", expected Transformer, StaticEmbedding, Pooling, SpladePooling, Dense, Normalize, LogitScore or MultiVectorMask");
    refused(MODULES("[" NORMALIZE "]"), GLLM_UNSUPPORTED, "/modules.json: module 0 is Normalize, expected a Transformer first and only there");
    refused(MODULES("[" TRANSFORMER "," TRANSFORMER "]"), GLLM_UNSUPPORTED, "/modules.json: module 1 is Transformer, expected a Transformer first and only there");
    refused(MODULES("[" TRANSFORMER "," POOLING "]"), GLLM_NOT_FOUND, "/1_Pooling/config.json: no such file, expected the configuration of module Pooling");
    refused(MODULES("["), GLLM_FORMAT, "/modules.json: line 1, column 1: not JSON: ']' expected near end of file");
#undef MODULES
}

static struct hf_module pooling_of(const char *text) {
    struct hfdir d = opened(FILES({"modules.json", "[" TRANSFORMER "," POOLING "]"}, {"1_Pooling/config.json", text}));
    struct hf_module m = d.modules[1];
    assert_int_equal(m.kind, HF_POOLING);
    hfdir_close(&d);
    return m;
}

static void test_pooling(void **state) {
    (void)state;
    static const struct {
        const char *flag, *mode;
        enum hf_pool pool;
    } MODES[] = {{"pooling_mode_cls_token", "cls", HF_POOL_CLS}, {"pooling_mode_max_tokens", "max", HF_POOL_MAX}, {"pooling_mode_mean_tokens", "mean", HF_POOL_MEAN},
                 {"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", HF_POOL_MEAN_SQRT_LEN}, {"pooling_mode_weightedmean_tokens", "weightedmean", HF_POOL_WEIGHTED_MEAN},
                 {"pooling_mode_lasttoken", "lasttoken", HF_POOL_LAST}};
    char text[300];
    for (unsigned i = 0; i < HF_POOL_COUNT; i++)
        for (int form = 0; form < 3; form++) {
            if (form == 0) snprintf(text, sizeof text, "{\"%s\":true,\"%s\":false}", MODES[i].flag, MODES[(i + 1) % HF_POOL_COUNT].flag);
            if (form == 1) snprintf(text, sizeof text, "{\"pooling_mode\":\"%s\"}", MODES[i].mode);
            if (form == 2) snprintf(text, sizeof text, "{\"pooling_mode\":[\"%s\"],\"%s\":true}", MODES[i].mode, MODES[(i + 1) % HF_POOL_COUNT].flag); /* the flags do not count then */
            const struct hf_module m = pooling_of(text);
            assert_int_equal(m.pooling.n_modes, 1);
            assert_int_equal(m.pooling.modes[0], MODES[i].pool);
            assert_true(m.pooling.include_prompt);
            assert_int_equal(m.pooling.dim, 0);
        }
    struct hf_module m = pooling_of("{\"embedding_dimension\":32,\"include_prompt\":false,\"pooling_mode\":[\"lasttoken\",\"cls\",\"mean\"]}");
    assert_int_equal(m.pooling.dim, 32);
    assert_false(m.pooling.include_prompt);
    assert_int_equal(m.pooling.n_modes, 3); /* in the order given */
    assert_int_equal(m.pooling.modes[0], HF_POOL_LAST);
    assert_int_equal(m.pooling.modes[1], HF_POOL_CLS);
    assert_int_equal(m.pooling.modes[2], HF_POOL_MEAN);
    m = pooling_of("{\"pooling_mode_lasttoken\":true,\"pooling_mode_cls_token\":true,\"pooling_mode_max_tokens\":true}");
    assert_int_equal(m.pooling.n_modes, 3); /* in the library's order */
    assert_int_equal(m.pooling.modes[0], HF_POOL_CLS);
    assert_int_equal(m.pooling.modes[1], HF_POOL_MAX);
    assert_int_equal(m.pooling.modes[2], HF_POOL_LAST);
    static const char *const MEAN[] = {"{}", "{\"pooling_mode\":null}", "{\"pooling_mode_cls_token\":false,\"pooling_mode_mean_tokens\":false}"};
    for (unsigned i = 0; i < 3; i++) { /* nothing said, or nothing on: the mean, as there */
        m = pooling_of(MEAN[i]);
        assert_int_equal(m.pooling.n_modes, 1);
        assert_int_equal(m.pooling.modes[0], HF_POOL_MEAN);
    }
}

static void test_bad_pooling(void **state) {
    (void)state;
#define MODE(text) FILES({"modules.json", "[" TRANSFORMER "," POOLING "]"}, {"1_Pooling/config.json", text})
    refused(MODE("{\"pooling_mode\":\"median\"}"), GLLM_UNSUPPORTED,
            "/1_Pooling/config.json: pooling_mode: found \"median\", expected cls, max, mean, mean_sqrt_len_tokens, weightedmean or lasttoken");
    refused(MODE("{\"pooling_mode\":[\"cls\",\"cls\"]}"), GLLM_FORMAT, "/1_Pooling/config.json: pooling_mode: \"cls\" stands twice");
    refused(MODE("{\"pooling_mode\":3}"), GLLM_FORMAT, "/1_Pooling/config.json: pooling_mode: found a number, expected a string");
    refused(MODE("{\"pooling_mode\":[]}"), GLLM_FORMAT, "/1_Pooling/config.json: no pooling mode is on, expected at least one");
    refused(MODE("{\"pooling_mode_cls_token\":1}"), GLLM_FORMAT, "/1_Pooling/config.json: pooling_mode_cls_token: found 1, expected true or false");
    refused(MODE("{\"word_embedding_dimension\":-1}"), GLLM_FORMAT, "/1_Pooling/config.json: word_embedding_dimension: found -1, expected a whole number from 0 to 4294967295");
    refused(MODE("[]"), GLLM_FORMAT, "/1_Pooling/config.json: found an array, expected an object");
#undef MODE
}

static void test_lone_pooling(void **state) {
    (void)state;
    struct hfdir d = opened(FILES({"1_Pooling/config.json", "{\"pooling_mode_cls_token\":true}"}));
    assert_int_equal(d.n_modules, 2);
    assert_true(d.lone_pooling);
    assert_int_equal(d.modules[0].kind, HF_TRANSFORMER);
    assert_int_equal(d.modules[1].pooling.modes[0], HF_POOL_CLS);
    hfdir_close(&d);
}

static void test_bad_dense(void **state) {
    (void)state;
#define DENSE_OF(text) FILES({"modules.json", "[" TRANSFORMER "," DENSE "]"}, {"2_Dense/config.json", text})
#define SIZES "\"in_features\":4,\"out_features\":4"
    refused(DENSE_OF("{}"), GLLM_FORMAT, "/2_Dense/config.json: in_features 0, out_features 0: expected 1 to 1048576");
    refused(DENSE_OF("{\"in_features\":4,\"out_features\":2000000}"), GLLM_FORMAT, "/2_Dense/config.json: in_features 4, out_features 2000000: expected 1 to 1048576");
    refused(DENSE_OF("{" SIZES ",\"activation_function\":\"torch.nn.modules.activation.ReLU\"}"), GLLM_UNSUPPORTED,
            "/2_Dense/config.json: activation_function: found \"torch.nn.modules.activation.ReLU\", expected Identity or Tanh");
    refused(DENSE_OF("{" SIZES ",\"bias\":\"yes\"}"), GLLM_FORMAT, "/2_Dense/config.json: bias: found a string, expected true or false");
    refused(DENSE_OF("{" SIZES ",\"use_residual\":true}"), GLLM_UNSUPPORTED, "/2_Dense/config.json: use_residual: found true, expected false");
    refused(DENSE_OF("{" SIZES ",\"module_input_name\":\"image\"}"), GLLM_UNSUPPORTED,
            "/2_Dense/config.json: module_input_name: found \"image\", expected sentence_embedding or token_embeddings");
    refused(DENSE_OF("{" SIZES ",\"module_output_name\":\"other\"}"), GLLM_UNSUPPORTED, "/2_Dense/config.json: module_output_name: found \"other\", expected \"sentence_embedding\"");
    refused(FILES({"modules.json", "[" TRANSFORMER "," NORMALIZE "]"}, {"2_Normalize/config.json", "{\"module_input_name\":\"image\"}"}), GLLM_UNSUPPORTED,
            "/2_Normalize/config.json: module_input_name: found \"image\", expected sentence_embedding or token_embeddings");
    struct hfdir d = opened(DENSE_OF("{" SIZES ",\"use_residual\":false,\"module_input_name\":\"sentence_embedding\",\"module_output_name\":null,\"activation_function\":\"torch.nn.modules.activation.Tanh\"}"));
    assert_int_equal(d.modules[1].dense.act, HF_ACT_TANH);
    hfdir_close(&d);
#undef DENSE_OF
}

static void test_limits(void **state) {
    (void)state;
    static const char *const NAMES[] = {"sentence_bert_config.json", "sentence_roberta_config.json", "sentence_distilbert_config.json", "sentence_camembert_config.json",
                                        "sentence_albert_config.json", "sentence_xlm-roberta_config.json", "sentence_xlnet_config.json"};
    enum { N = sizeof NAMES / sizeof *NAMES };
    for (unsigned i = 0; i < N; i++) {
        struct hfdir d = opened(FILES({NAMES[i], "{\"max_seq_length\":77,\"do_lower_case\":true}"}));
        assert_int_equal(d.max_seq_length, 77);
        assert_true(d.do_lower_case);
        hfdir_close(&d);
        if (!i) continue;
        d = opened(FILES({NAMES[i], "{\"max_seq_length\":77}"}, {NAMES[i - 1], "{\"max_seq_length\":76}"})); /* the first of the list counts */
        assert_int_equal(d.max_seq_length, 76);
        hfdir_close(&d);
    }
    struct hfdir d = opened(FILES({NAMES[0], "{\"max_seq_length\":null,\"do_lower_case\":false,\"transformer_task\":\"feature-extraction\",\"module_output_name\":\"token_embeddings\","
                                             "\"modality_config\":{\"text\":{\"method\":\"forward\",\"method_output_name\":\"last_hidden_state\"}}}"}));
    assert_int_equal(d.max_seq_length, 0);
    hfdir_close(&d);
    refused(FILES({NAMES[0], "{\"max_seq_length\":-1}"}), GLLM_FORMAT, "/sentence_bert_config.json: max_seq_length: found -1, expected a whole number from 0 to 4294967295");
    refused(FILES({NAMES[0], "[]"}), GLLM_FORMAT, "/sentence_bert_config.json: found an array, expected an object");
    refused(FILES({NAMES[0], "{\"transformer_task\":\"image-to-text\"}"}), GLLM_UNSUPPORTED, "/sentence_bert_config.json: transformer_task: found \"image-to-text\", expected \"feature-extraction\"");
    refused(FILES({NAMES[0], "{\"modality_config\":{\"text\":{\"method_output_name\":\"pooler_output\"}}}"}), GLLM_UNSUPPORTED,
            "/sentence_bert_config.json: method_output_name: found \"pooler_output\", expected \"last_hidden_state\"");
}

static void test_prompts(void **state) {
    (void)state;
    struct hfdir d = opened(FILES({"config_sentence_transformers.json",
                                   "{\"prompts\":{\"query\":\"query: \",\"document\":\"\",\"caf\u00e9\":\"\u2192 \"},\"default_prompt_name\":\"document\",\"similarity_fn_name\":\"dot\"}"}));
    assert_int_equal(d.n_prompts, 3);
    assert_string_equal(d.prompts[0].name, "query");
    assert_string_equal(d.prompts[0].text, "query: ");
    assert_string_equal(d.prompts[1].text, "");
    assert_string_equal(d.prompts[2].name, "caf\xc3\xa9");
    assert_string_equal(d.prompts[2].text, "\xe2\x86\x92 ");
    assert_string_equal(d.default_prompt_name, "document");
    assert_string_equal(d.similarity, "dot");
    hfdir_close(&d);
    d = opened(FILES({"config_sentence_transformers.json", "{\"__version__\":{\"pytorch\":\"2\"},\"default_prompt_name\":null,\"similarity_fn_name\":null}"}));
    assert_int_equal(d.n_prompts, 0);
    assert_null(d.default_prompt_name);
    assert_null(d.similarity);
    hfdir_close(&d);
#define PROMPTS(text) FILES({"config_sentence_transformers.json", text})
    refused(PROMPTS("{\"prompts\":{\"q\":1}}"), GLLM_FORMAT, "/config_sentence_transformers.json: prompts: q: found a number, expected a string");
    refused(PROMPTS("{\"prompts\":[]}"), GLLM_FORMAT, "/config_sentence_transformers.json: prompts: found an array, expected an object");
    refused(PROMPTS("{\"prompts\":{\"q\":\"\"},\"default_prompt_name\":\"x\"}"), GLLM_FORMAT, "/config_sentence_transformers.json: default_prompt_name: found \"x\", expected a name of prompts");
    refused(PROMPTS("{\"default_prompt_name\":\"x\"}"), GLLM_FORMAT, "/config_sentence_transformers.json: default_prompt_name: found \"x\", expected a name of prompts");
#undef PROMPTS
}

static void test_no_model(void **state) {
    (void)state;
    static const struct {
        const char *file;
        gllm_status status;
        const char *says;
    } OTHERS[] = {
        {"config.json", GLLM_NOT_FOUND, ": is empty, expected a model directory with config.json, tokenizer.json and model.safetensors"},
        {"adapter_config.json", GLLM_UNSUPPORTED, ": holds an adapter (adapter_config.json), expected a whole model: merge it into its base"},
        {"model.onnx", GLLM_UNSUPPORTED, ": found model.onnx, but no config.json"},
        {"onnx/model.onnx", GLLM_UNSUPPORTED, ": found onnx/model.onnx, but no config.json"},
        {"model-Q4.GGUF", GLLM_UNSUPPORTED, ": found model-Q4.GGUF, but no config.json; a GGUF file is opened by its own path"},
        {"pytorch_model.bin", GLLM_UNSUPPORTED, ": found pytorch_model.bin, but no config.json"},
        {"notes.txt", GLLM_NOT_FOUND, ": found no config.json"},
    };
    for (unsigned i = 0; i < sizeof OTHERS / sizeof *OTHERS; i++) refused(FILES({"config.json", NULL}, {OTHERS[i].file, i ? "{}" : NULL}), OTHERS[i].status, OTHERS[i].says);
    struct hfdir d;
    gllm_error err = {0};
    assert_int_equal(hfdir_open(&d, temp_path("nowhere"), &err), GLLM_NOT_FOUND);
    assert_non_null(strstr(err.message, "/nowhere: no such directory"));
    refused(FILES({"config.json/in", "x"}, {"config.json", NULL}), GLLM_IO, "/config.json: is a directory, expected a file");
    refused(FILES({"config.json", "[]"}), GLLM_FORMAT, "/config.json: found an array, expected an object");
    refused(FILES({"config.json", "{\"a\":\"\xff\"}"}), GLLM_FORMAT, "/config.json: byte 6 is not UTF-8 (0xff)");
    refused(FILES({"config.json", ""}), GLLM_FORMAT, "/config.json: is empty, expected JSON");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bare), cmocka_unit_test(test_modules), cmocka_unit_test(test_bad_modules), cmocka_unit_test(test_pooling), cmocka_unit_test(test_bad_pooling),
                                       cmocka_unit_test(test_lone_pooling), cmocka_unit_test(test_bad_dense), cmocka_unit_test(test_limits), cmocka_unit_test(test_prompts), cmocka_unit_test(test_no_model)};
    return cmocka_run_group_tests(tests, temp_open, temp_close);
}
