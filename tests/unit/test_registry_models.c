/* test_registry_models.c - the table says what data/models.json says; what a name means; what is said of models that are not here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include "base/json.h"
#include "hub/locate.h"
#include "hub/registry.h"
#include "temp_dir.h"

/* ---- the table ---- */

static void same_text(const json_t *row, const char *key, const char *text) {
    const char *expected = json_string_value(json_object_get(row, key));
    if (!expected || !text) assert_true(!expected && !text);
    else assert_string_equal(text, expected);
}

static void same_list(const json_t *row, const char *key, const char *const *list) {
    const json_t *expected = json_object_get(row, key);
    for (size_t i = 0; i < json_array_size(expected); i++) assert_string_equal(list[i], json_string_value(json_array_get(expected, i)));
    assert_null(list[json_array_size(expected)]);
}

static void same_variants(const json_t *row, const struct registry_variant *v) {
    const json_t *expected = json_object_get(row, "variants");
    for (size_t i = 0; i < json_array_size(expected); i++, v++) {
        same_text(json_array_get(expected, i), "quant", v->quant);
        same_text(json_array_get(expected, i), "repo", v->repo);
        same_text(json_array_get(expected, i), "file", v->file);
    }
    assert_true(!v || !v->quant);
}

static void same_model(const json_t *row, const struct registry_model *m) {
    same_list(row, "aliases", m->aliases);
    same_list(row, "repos", m->repos);
    const struct {
        const char *key, *text;
    } texts[] = {{"licence", m->licence}, {"task", m->task}, {"family", m->family}, {"nearest", m->nearest}, {"pooling", m->pooling}, {"normalize", m->normalize}, {"query", m->query},
                 {"document", m->document}, {"instruction", m->instruction}, {"input_before", m->input_before}, {"input_after", m->input_after}, {"rerank", m->rerank}, {"revision", m->revision}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) same_text(row, texts[i].key, texts[i].text);
    assert_int_equal(m->gated, json_is_true(json_object_get(row, "gated")));
    assert_int_equal(m->dim, json_number_value(json_object_get(row, "dim")));
    assert_int_equal(m->max_tokens, json_number_value(json_object_get(row, "max_tokens")));
    const json_t *dims = json_object_get(row, "dims"), *listwise = json_object_get(row, "listwise");
    for (size_t i = 0; i < json_array_size(dims); i++) assert_int_equal(m->dims[i], json_number_value(json_array_get(dims, i)));
    assert_true(dims ? m->dims[json_array_size(dims)] == 0 : !m->dims);
    assert_int_equal(!listwise, !m->listwise);
    if (listwise) same_text(listwise, "prefix", m->listwise->prefix), same_text(listwise, "passage", m->listwise->passage), same_text(listwise, "suffix", m->listwise->suffix);
    same_variants(row, m->variants);
}

static void test_table(void **state) {
    (void)state;
    gllm_error err = {0};
    json_t *root;
    if (json_read_file("data/models.json", 1 << 20, &root, &err) != GLLM_OK) fail_msg("%s", err.message);
    const json_t *models = json_object_get(root, "models"), *families = json_object_get(root, "families");
    assert_true(json_array_size(models) >= 69);
    for (size_t i = 0; i < json_array_size(models); i++) same_model(json_array_get(models, i), &registry_models[i]);
    assert_null(registry_models[json_array_size(models)].aliases);
    for (size_t i = 0; i < json_array_size(families); i++) {
        same_text(json_array_get(families, i), "name", registry_families[i].name);
        same_text(json_array_get(families, i), "golden", registry_families[i].golden);
    }
    assert_null(registry_families[json_array_size(families)].name);
    json_decref(root);
}

/* ---- names ---- */

static void test_names(void **state) {
    (void)state;
    const struct registry_variant *v;
    assert_string_equal(registry_by_alias("BGE-M3")->repos[0], "BAAI/bge-m3");
    assert_ptr_equal(registry_by_alias("codexembed-400m"), registry_by_alias("SFR-embedding-code-400M"));
    assert_null(registry_by_alias("bge"));
    assert_null(registry_by_alias(""));
    assert_ptr_equal(registry_by_repo("thudm/GLM-4-9b-chat-hf", &v), registry_by_alias("glm-4-9b-chat"));
    assert_null(v);
    assert_ptr_equal(registry_by_repo("Qwen/Qwen3-8B-AWQ", &v), registry_by_alias("qwen3-8b"));
    assert_string_equal(v->quant, "awq");
    assert_null(registry_by_repo("Qwen/Qwen3-8B-Base", &v));
}

static void test_nearest(void **state) {
    (void)state;
    assert_string_equal(registry_nearest("bge-smal-en"), "bge-small-en");
    assert_string_equal(registry_nearest("QWEN3-embeding-0.6B"), "qwen3-embedding-0.6b");
    assert_string_equal(registry_nearest("bgem3"), "bge-m3");
    assert_null(registry_nearest("whale"));
    assert_null(registry_nearest(""));
}

static void test_paths(void **state) {
    (void)state;
    const struct registry_model *m3 = registry_by_alias("bge-m3");
    assert_ptr_equal(registry_by_path("/a/models/BAAI--bge-m3"), m3);
    assert_ptr_equal(registry_by_path("baai--BGE-M3//"), m3);
    assert_ptr_equal(registry_by_path("/c/models--BAAI--bge-m3/snapshots/12ab"), m3);
    assert_ptr_equal(registry_by_path("/a/Qwen--Qwen3-8B-GGUF/Qwen3-8B-Q4_K_M.gguf"), registry_by_alias("qwen3-8b"));
    assert_ptr_equal(registry_by_path("/c/models--Qwen--Qwen3-8B-GGUF/snapshots/12ab/x.GGUF"), registry_by_alias("qwen3-8b"));
    assert_ptr_equal(registry_by_path("/a/Qwen--Qwen3-8B-GGUF/Q8_0/Qwen3-8B-Q8_0.gguf"), registry_by_alias("qwen3-8b"));
    assert_null(registry_by_path("/a/models/BAAI--bge-m3/tuned")); /* a model inside another's folder is its own */
    assert_null(registry_by_path("/a/bge-m3"));
    assert_null(registry_by_path("/"));
    assert_null(registry_by_path(""));
}

/* ---- where they lie ---- */

static void finds(const char *model, const char *expected) {
    char *path = NULL;
    gllm_error err = {0};
    if (hub_locate(model, temp_dir, temp_path("cache"), &path, &err) != GLLM_OK) fail_msg("%s: %s", model, err.message);
    assert_string_equal(path, temp_path(expected));
    free(path);
}

static void refuses(const char *model, const char *says) {
    char *path;
    gllm_error err = {0};
    assert_int_equal(hub_locate(model, temp_dir, temp_path("cache"), &path, &err), GLLM_NOT_FOUND);
    assert_null(path);
    if (!strstr(err.message, says)) fail_msg("%s: found \"%s\", expected \"%s\"", model, err.message, says);
}

static void test_home(void **state) {
    (void)state;
    temp_text("models/BAAI--bge-small-en-v1.5/config.json", "{}");
    temp_text("models/mine--bge-small-en/config.json", "{}");
    temp_text("models/else--e5-base/config.json", "{}");
    temp_text("models/cross-encoder--ms-marco-MiniLM-L-6-v2/config.json", "{}");
    temp_text("models/zai-org--glm-4-9b-chat-hf/config.json", "{}");
    finds("bge-small-en", "models/BAAI--bge-small-en-v1.5"); /* the alias comes before a name that ends so */
    finds("Bge-Small-EN", "models/BAAI--bge-small-en-v1.5");
    finds("bge-small-en-v1.5", "models/BAAI--bge-small-en-v1.5");
    finds("e5-base", "models/else--e5-base");
    finds("ms-marco-MiniLM-L-6-v2", "models/cross-encoder--ms-marco-MiniLM-L-6-v2"); /* the repository's former name */
    finds("glm-4-9b-chat", "models/zai-org--glm-4-9b-chat-hf");
}

static void test_variants(void **state) {
    (void)state;
    temp_text("models/Qwen--Qwen3-8B-AWQ/config.json", "{}");
    temp_text("models/Qwen--Qwen3-8B-GGUF/Qwen3-8B-Q4_K_M.gguf", "GGUF");
    temp_text("models/Qwen--Qwen3-8B-GGUF/Qwen3-8B-Q8_0.gguf", "GGUF");
    temp_text("models/Qwen--Qwen3-4B-GGUF/Qwen3-4B-Q5_0.gguf", "GGUF");
    finds("qwen3-8b:awq", "models/Qwen--Qwen3-8B-AWQ");
    finds("Qwen3-8B:AWQ", "models/Qwen--Qwen3-8B-AWQ");
    finds("qwen3-8b:gguf", "models/Qwen--Qwen3-8B-GGUF/Qwen3-8B-Q4_K_M.gguf");
    finds("qwen3-8b:gguf:q8_0", "models/Qwen--Qwen3-8B-GGUF/Qwen3-8B-Q8_0.gguf");
    finds("Qwen/Qwen3-8B-GGUF:Q8_0", "models/Qwen--Qwen3-8B-GGUF/Qwen3-8B-Q8_0.gguf");
    finds("qwen3-4b:gguf", "models/Qwen--Qwen3-4B-GGUF/Qwen3-4B-Q5_0.gguf"); /* the only one, whatever it is */
    finds("qwen3-8b:Q8_0", "models/Qwen--Qwen3-8B-GGUF/Qwen3-8B-Q8_0.gguf"); /* the form is meant, not a file of the safetensors repository */
    refuses("bge-m3:Q8_0", "bge-m3:Q8_0: no such form is known; there is the model itself only");
    refuses("qwen3-8b:gguf:Q6_K", "found 0 GGUF files that \"Q6_K\" names, expected one of: Qwen3-8B-Q4_K_M.gguf, Qwen3-8B-Q8_0.gguf");
    refuses("qwen3-8b:int4", "qwen3-8b:int4: no such form is known; there is awq (Qwen/Qwen3-8B-AWQ), gguf (Qwen/Qwen3-8B-GGUF), fp8 (Qwen/Qwen3-8B-FP8)");
    refuses("bge-m3:gguf", "bge-m3:gguf: no such form is known; there is the model itself only");
    refuses("qwen3-8b", "expected the files of https://huggingface.co/Qwen/Qwen3-8B in ");
    refuses("qwen3-14b:gguf:Q5_0", "qwen3-14b:gguf:Q5_0: no such model here: expected the GGUF file Q5_0 of https://huggingface.co/Qwen/Qwen3-14B-GGUF in ");
}

static void test_cache(void **state) {
    (void)state;
    static const char INDEX[] = "{\"weight_map\": {\"a\": \"model-1.safetensors\", \"b\": \"model-2.safetensors\"}}";
    temp_text("cache/models--BAAI--bge-m3/refs/main", "aaaa\n");
    temp_text("cache/models--BAAI--bge-m3/snapshots/aaaa/pytorch_model.bin", "");
    temp_text("cache/models--BAAI--bge-m3/snapshots/bbbb/pytorch_model.bin", "");
    temp_text("cache/models--some--thing/snapshots/cccc/0_Transformer/model.safetensors", "");
    temp_text("cache/models--some--else/snapshots/dddd/model.safetensors", "");
    temp_text("cache/models--some--else/snapshots/eeee/model.safetensors", "");
    temp_text("cache/models--some--begun/snapshots/ffff/config.json", "{}");
    temp_text("cache/models--some--shards/snapshots/gggg/model.safetensors.index.json", INDEX);
    temp_text("cache/models--some--shards/snapshots/gggg/model-1.safetensors", "");
    temp_text("cache/models--some--gone/refs/main", "ffff");
    temp_text("cache/models--some--trick/refs/main", "../../models--BAAI--bge-m3");
    temp_text("cache/models--some--trick/snapshots/gggg/model.safetensors", "");
    finds("bge-m3", "cache/models--BAAI--bge-m3/snapshots/aaaa");
    finds("BAAI/bge-m3", "cache/models--BAAI--bge-m3/snapshots/aaaa");
    finds("baai/BGE-M3", "cache/models--BAAI--bge-m3/snapshots/aaaa"); /* case is ignored there too */
    finds("some/thing", "cache/models--some--thing/snapshots/cccc");
    refuses("some/else", "some/else: no such model"); /* two revisions and none that counts */
    refuses("some/gone", "some/gone: no such model");
    refuses("some/trick", "some/trick: no such model");
    refuses("some/begun", "some/begun: no such model"); /* a download that has only begun */
    refuses("some/shards", "some/shards: no such model"); /* or not ended */
    temp_text("cache/models--some--shards/snapshots/gggg/model-2.safetensors", "");
    finds("some/shards", "cache/models--some--shards/snapshots/gggg");
    temp_text("models/BAAI--bge-m3/config.json", "{}");
    finds("bge-m3", "models/BAAI--bge-m3");
}

static void test_absent(void **state) {
    (void)state;
    refuses("codexembed-7b", "codexembed-7b: Salesforce/SFR-Embedding-Code-7B_R is not public; the nearest model that is public: Salesforce/SFR-Embedding-2_R");
    refuses("starencoder", "models/bigcode--starencoder or the Hugging Face cache");
    refuses("starencoder", "licence: bigcode-openrail-m; gated: its terms must be accepted there first");
    refuses("bge-largeen", "; did you mean bge-large-en?");
    refuses("whale", "whale: no such model: no directory of that name, none in ");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table), cmocka_unit_test(test_names), cmocka_unit_test(test_nearest), cmocka_unit_test(test_paths),
                                       cmocka_unit_test(test_home), cmocka_unit_test(test_variants), cmocka_unit_test(test_cache), cmocka_unit_test(test_absent)};
    return cmocka_run_group_tests(tests, temp_open, temp_close);
}
