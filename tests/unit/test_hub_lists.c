/* test_hub_lists.c - a hub's list of files, and which of them a model needs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hub/gguf_name.h"
#include "hub/pick.h"

#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OID "0123456789abcdef0123456789abcdef01234567"

/* ---- lists ---- */

static void test_hugging_face(void **state) {
    (void)state;
    static const char TEXT[] = "{\"id\": \"org/m\", \"sha\": \"" OID "\", \"private\": false, \"siblings\": ["
                               "{\"rfilename\": \"config.json\", \"size\": 12, \"blobId\": \"" OID "\"},"
                               "{\"rfilename\": \"a/model.safetensors\", \"size\": 90868376000, \"blobId\": \"" OID "\", \"lfs\": {\"sha256\": \"" SHA "\", \"size\": 90868376000, \"pointerSize\": 133}},"
                               "{\"rfilename\": \"bare.txt\"}]}";
    struct hub_listing l;
    gllm_error err = {0};
    if (hub_listing_parse(&l, TEXT, strlen(TEXT), "org/m", &err) != GLLM_OK) fail_msg("%s", err.message);
    assert_string_equal(l.commit, OID);
    assert_int_equal(l.n_files, 3);
    assert_int_equal(l.files[0].size, 12);
    assert_string_equal(l.files[0].oid, OID);
    assert_null(l.files[0].sha256);
    assert_int_equal(l.files[1].size, 90868376000);
    assert_string_equal(l.files[1].sha256, SHA);
    assert_int_equal(l.files[2].size, HUB_NO_SIZE);
    assert_ptr_equal(hub_listing_find(&l, "a/model.safetensors"), &l.files[1]);
    assert_null(hub_listing_find(&l, "model.safetensors"));
    hub_listing_free(&l);
}

static void test_modelscope(void **state) {
    (void)state;
    static const char TEXT[] = "{\"Code\": 200, \"Data\": {\"Files\": [{\"Path\": \"a\", \"Type\": \"tree\", \"Size\": 0},"
                               "{\"Path\": \"a/x.gguf\", \"Name\": \"x.gguf\", \"Type\": \"blob\", \"Size\": 7, \"Sha256\": \"" SHA "\", \"Revision\": \"abc\"}]}}";
    struct hub_listing l;
    gllm_error err = {0};
    if (hub_listing_parse(&l, TEXT, strlen(TEXT), "org/m", &err) != GLLM_OK) fail_msg("%s", err.message);
    assert_null(l.commit);
    assert_int_equal(l.n_files, 1);
    assert_string_equal(l.files[0].path, "a/x.gguf");
    assert_string_equal(l.files[0].sha256, SHA);
    hub_listing_free(&l);
}

static void test_refused_lists(void **state) {
    (void)state;
    static const struct {
        const char *text, *says;
    } CASES[] = {
        {"", "org/m: "},
        {"[]", "org/m: found an array, expected an object"},
        {"{}", "org/m: found neither \"siblings\" nor \"Data\" with \"Files\""},
        {"{\"siblings\": {}}", "siblings: found"},
        {"{\"siblings\": [1]}", "file 0: found"},
        {"{\"siblings\": [{}]}", "found a file without rfilename"},
        {"{\"siblings\": [{\"rfilename\": \"../x\"}]}", "rfilename: found \"../x\", expected a path inside the repository"},
        {"{\"siblings\": [{\"rfilename\": \"x\", \"size\": 1.5}]}", "size: found"},
        {"{\"siblings\": [{\"rfilename\": \"x\", \"size\": \"1\"}]}", "size: found a string, expected a number of bytes"},
        {"{\"siblings\": [{\"rfilename\": \"x\", \"lfs\": {\"sha256\": \"../../evil\"}}]}", "sha256: found \"../../evil\", expected 64 digits of a sum"},
        {"{\"siblings\": [{\"rfilename\": \"x\", \"blobId\": \"/etc\"}]}", "blobId: found \"/etc\""},
        {"{\"sha\": \"main\", \"siblings\": []}", "sha: found \"main\""},
        {"{\"Data\": {\"Files\": [{\"Path\": \"/x\"}]}}", "Path: found \"/x\""},
    };
    for (unsigned i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct hub_listing l;
        gllm_error err = {0};
        assert_int_equal(hub_listing_parse(&l, CASES[i].text, strlen(CASES[i].text), "org/m", &err), GLLM_FORMAT);
        if (!strstr(err.message, CASES[i].says)) fail_msg("found \"%s\", expected \"%s\"", err.message, CASES[i].says);
        hub_listing_free(&l);
    }
}

static void test_paths(void **state) {
    (void)state;
    static const char *const SAFE[] = {"a", "a/b", ".gitattributes", "..a/b..", "a b/ü.json", "a..b"};
    static const char *const UNSAFE[] = {"", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/./b", "a\\b", "a\nb", "a\x7f"};
    char longest[600];
    for (unsigned i = 0; i < sizeof SAFE / sizeof *SAFE; i++) assert_true(hub_path_is_safe(SAFE[i]));
    for (unsigned i = 0; i < sizeof UNSAFE / sizeof *UNSAFE; i++) assert_false(hub_path_is_safe(UNSAFE[i]));
    memset(longest, 'a', sizeof longest);
    longest[512] = '\0';
    assert_true(hub_path_is_safe(longest));
    longest[512] = 'a', longest[513] = '\0';
    assert_false(hub_path_is_safe(longest));
}

/* ---- what is picked ---- */

struct repo {
    const char *files;   /* separated by spaces */
    const char *modules; /* what modules.json and indexes hold */
};
static gllm_status read_text(void *user, const struct hub_file *f, char **text, size_t *len, gllm_error *err) {
    (void)f;
    const struct repo *r = user;
    *text = r->modules ? strdup(r->modules) : NULL;
    *len = *text ? strlen(*text) : 0;
    return *text ? GLLM_OK : err_nomem(err, "test");
}

static gllm_status pick(const struct repo *r, const char *choice, const char *fallback, char *out, size_t size, gllm_error *err) {
    char names[2048];
    struct hub_file files[64];
    bool picked[64];
    size_t n = 0;
    snprintf(names, sizeof names, "%s", r->files);
    for (char *save, *name = strtok_r(names, " ", &save); name; name = strtok_r(NULL, " ", &save)) files[n++] = (struct hub_file){.path = name};
    const struct hub_listing l = {.files = files, .n_files = n};
    const struct hub_want want = {choice, fallback, read_text, (void *)(uintptr_t)r};
    gllm_status status = hub_pick(&l, &want, "org/m", picked, err);
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; status == GLLM_OK && i < n; i++)
        if (picked[i]) at += (size_t)snprintf(out + at, size - at, "%s%s", at ? " " : "", files[i].path);
    return status;
}

static void picks(const struct repo *r, const char *choice, const char *fallback, const char *expected) {
    char out[2048];
    gllm_error err = {0};
    if (pick(r, choice, fallback, out, sizeof out, &err) != GLLM_OK) fail_msg("%s: %s", r->files, err.message);
    assert_string_equal(out, expected);
}
static void refuses(const struct repo *r, const char *choice, gllm_status status, const char *says) {
    char out[2048];
    gllm_error err = {0};
    assert_int_equal(pick(r, choice, NULL, out, sizeof out, &err), status);
    if (!strstr(err.message, says)) fail_msg("found \"%s\", expected \"%s\"", err.message, says);
}

static void test_plain(void **state) {
    (void)state;
    picks(&(struct repo){"config.json model.safetensors pytorch_model.bin tf_model.h5 tokenizer.json README.md LICENSE.md model.py onnx/model.onnx onnx/config.json training_args.bin", NULL}, NULL, NULL,
          "config.json model.safetensors tokenizer.json README.md LICENSE.md");
    picks(&(struct repo){"config.json pytorch_model.bin spiece.model optimizer.pt x.gguf colbert_linear.pt", NULL}, NULL, NULL, "config.json pytorch_model.bin spiece.model colbert_linear.pt");
    picks(&(struct repo){"config.json model.safetensors chat_template.jinja additional_chat_templates/tool_use.jinja additional_chat_templates/x.py 1_Pooling/config.json", NULL}, NULL, NULL,
          "config.json model.safetensors chat_template.jinja additional_chat_templates/tool_use.jinja 1_Pooling/config.json");
}

static void test_modules(void **state) {
    (void)state;
    const struct repo r = {"modules.json config.json model.safetensors 1_Pooling/config.json dense/config.json dense/model.safetensors dense/pytorch_model.bin other/config.json other/model.safetensors",
                           "[{\"path\": \"\"}, {\"path\": \"1_Pooling\"}, {\"path\": \"dense\"}]"};
    picks(&r, NULL, NULL, "modules.json config.json model.safetensors 1_Pooling/config.json dense/config.json dense/model.safetensors");
    refuses(&(struct repo){r.files, "[{\"path\": \"../x\"}]"}, NULL, GLLM_FORMAT, "org/m/modules.json: path: found \"../x\", expected a folder of the repository");
    refuses(&(struct repo){r.files, "[{\"path\": 1}]"}, NULL, GLLM_FORMAT, "path: found");
    refuses(&(struct repo){r.files, "["}, NULL, GLLM_FORMAT, "org/m/modules.json: ");
}

static void test_shards(void **state) {
    (void)state;
    const struct repo r = {"config.json model.safetensors.index.json s-1.safetensors s-2.safetensors s-3.safetensors pytorch_model.bin", "{\"weight_map\": {\"a\": \"s-1.safetensors\", \"b\": \"s-3.safetensors\"}}"};
    picks(&r, NULL, NULL, "config.json model.safetensors.index.json s-1.safetensors s-3.safetensors");
    picks(&(struct repo){"config.json model.safetensors model.safetensors.index.json s-1.safetensors", NULL}, NULL, NULL, "config.json model.safetensors");
    refuses(&(struct repo){"config.json model.safetensors.index.json", r.modules}, NULL, GLLM_NOT_FOUND, "names the shard \"s-1.safetensors\", which the repository lacks");
    refuses(&(struct repo){"model.safetensors.index.json", "{}"}, NULL, GLLM_FORMAT, "found no weight_map");
}

static void test_gguf(void **state) {
    (void)state;
    const struct repo r = {"README.md m-Q4_K_M.gguf m-Q4_K_S.gguf mmproj-f16.gguf BF16/m-BF16-00001-of-00002.gguf BF16/m-BF16-00002-of-00002.gguf config.json", NULL};
    picks(&r, NULL, NULL, "m-Q4_K_M.gguf");
    picks(&r, NULL, "Q4_K_S", "m-Q4_K_S.gguf");
    picks(&r, "bf16", NULL, "BF16/m-BF16-00001-of-00002.gguf BF16/m-BF16-00002-of-00002.gguf");
    picks(&r, "m-q4_k_s", NULL, "m-Q4_K_S.gguf");
    picks(&(struct repo){"m-Q5_0.gguf", NULL}, NULL, NULL, "m-Q5_0.gguf");
    picks(&(struct repo){"config.json model.safetensors m-Q5_0.gguf", NULL}, "Q5_0", NULL, "m-Q5_0.gguf");
    picks(&(struct repo){"config.json model.safetensors m-Q5_0.gguf", NULL}, NULL, NULL, "config.json model.safetensors");
    refuses(&r, "Q6_K", GLLM_NOT_FOUND, "org/m: found 0 GGUF files that \"Q6_K\" names, expected one of: m-Q4_K_M.gguf, m-Q4_K_S.gguf, BF16/m-BF16-00001-of-00002.gguf");
    refuses(&(struct repo){"a-Q5_0.gguf b-Q5_1.gguf", NULL}, NULL, GLLM_INVALID, "org/m: found 2 GGUF files, expected a choice as in ORG/NAME:FILE or ORG/NAME:Q4_K_M: a-Q5_0.gguf, b-Q5_1.gguf");
    refuses(&(struct repo){"config.json onnx/model.onnx", NULL}, NULL, GLLM_UNSUPPORTED, "org/m: found no weights among its 2 files");
    refuses(&(struct repo){"", NULL}, NULL, GLLM_UNSUPPORTED, "org/m: found no weights among its 0 files");
}

static void test_gguf_names(void **state) {
    (void)state;
    assert_true(gguf_name_is_model("a.gguf") && gguf_name_is_model("b/A.GGUF") && gguf_name_is_model("a-00001-of-00002.gguf"));
    assert_false(gguf_name_is_model(".gguf") || gguf_name_is_model("a.bin") || gguf_name_is_model("a-00002-of-00002.gguf") || gguf_name_is_model("b/mmproj-a.gguf"));
    assert_true(gguf_name_same_set("a.gguf", "a.gguf") && gguf_name_same_set("x/a-00001-of-00003.gguf", "x/a-00003-of-00003.gguf"));
    assert_false(gguf_name_same_set("a.gguf", "b.gguf") || gguf_name_same_set("x/a-00001-of-00003.gguf", "y/a-00003-of-00003.gguf") || gguf_name_same_set("a-00001-of-00003.gguf", "a-00003-of-00004.gguf"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_hugging_face), cmocka_unit_test(test_modelscope), cmocka_unit_test(test_refused_lists), cmocka_unit_test(test_paths),
                                       cmocka_unit_test(test_plain), cmocka_unit_test(test_modules), cmocka_unit_test(test_shards), cmocka_unit_test(test_gguf), cmocka_unit_test(test_gguf_names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
