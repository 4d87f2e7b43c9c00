/* test_hints.c - what the registry knows stands where a model's files are silent, and nowhere else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include "model/client.h"
#include "unit/temp_dir.h"

static const char *const TEXT = "It was the best of times";

/* HOME/models/FOLDER is the golden model NAME. */
static void place(const char *folder, const char *name) {
    char target[600], here[300];
    temp_text("models/.keep", "");
    if (!getcwd(here, sizeof here)) fail_msg("no working directory");
    snprintf(target, sizeof target, "%s/tests/golden/models/%s", here, name);
    snprintf(here, sizeof here, "models/%s", folder);
    if (symlink(target, temp_path(here))) fail_msg("cannot link %s", folder);
}

static gllm_client *opened(const char *model) {
    gllm_options o;
    gllm_client *c;
    gllm_error err = {0};
    gllm_options_init(&o);
    o.model = model, o.home = temp_dir, o.backend = "cpu", o.threads = 1;
    if (gllm_client_open(&c, &o, &err) != GLLM_OK) fail_msg("%s", err.message);
    return c;
}

static bool same(const gllm_embeddings *a, const gllm_embeddings *b) { return a->dim == b->dim && !memcmp(a->data, b->data, a->dim * sizeof *a->data); }

/* A folder without modules.json: bge's first token and length 1 where its name says so, the mean elsewhere. */
static void test_pooling(void **state) {
    (void)state;
    const gllm_str text = {TEXT, GLLM_NTS};
    place("BAAI--bge-small-en-v1.5", "layout-bare");
    place("someone--unknown", "layout-bare");
    gllm_client *known = opened("bge-small-en"), *unknown = opened("someone/unknown");
    gllm_embed_request r = client_request(&text);
    gllm_embeddings *hinted = client_embed(known, &r), *plain = client_embed(unknown, &r);
    r.pooling = GLLM_POOLING_CLS, r.normalize = GLLM_NORMALIZE_ON;
    gllm_embeddings *asked = client_embed(unknown, &r);
    r.pooling = GLLM_POOLING_MEAN, r.normalize = GLLM_NORMALIZE_OFF;
    gllm_embeddings *mean = client_embed(unknown, &r);
    assert_true(same(hinted, asked));
    assert_true(same(plain, mean));
    assert_false(same(hinted, plain));
    gllm_embeddings_free(hinted), gllm_embeddings_free(plain), gllm_embeddings_free(asked), gllm_embeddings_free(mean);
    gllm_client_close(known), gllm_client_close(unknown);
}

static void same_as_prompt(gllm_client *c, gllm_input_type type, const char *prompt) {
    const gllm_str text = {TEXT, GLLM_NTS};
    gllm_embed_request r = client_request(&text);
    r.input_type = type;
    gllm_embeddings *hinted = client_embed(c, &r);
    r.prompt = (gllm_str){prompt, GLLM_NTS};
    gllm_embeddings *asked = client_embed(c, &r);
    assert_true(same(hinted, asked));
    r.prompt = (gllm_str){"", GLLM_NTS};
    gllm_embeddings *none = client_embed(c, &r);
    assert_int_equal(same(hinted, none), !*prompt);
    gllm_embeddings_free(hinted), gllm_embeddings_free(asked), gllm_embeddings_free(none);
}

static void test_prompts(void **state) {
    (void)state;
    place("intfloat--e5-base", "bert-mean");
    place("Salesforce--SFR-Embedding-Code-400M_R", "bert-mean");
    gllm_client *c = opened("e5-base");
    same_as_prompt(c, GLLM_INPUT_QUERY, "query: ");
    same_as_prompt(c, GLLM_INPUT_DOCUMENT, "passage: ");
    same_as_prompt(c, GLLM_INPUT_PLAIN, "");
    gllm_client_close(c);
    c = opened("codexembed-400m");
    same_as_prompt(c, GLLM_INPUT_QUERY, "Instruct: Given Code or Text, retrieval relevant content\nQuery: ");
    gllm_client_close(c);
}

/* What the files say counts: their pooling and length, their prompt of that name. */
static void test_files_first(void **state) {
    (void)state;
    const gllm_str text = {TEXT, GLLM_NTS};
    place("BAAI--bge-base-en-v1.5", "bert-prompts");
    place("someone--same", "bert-prompts");
    gllm_client *known = opened("bge-base-en"), *unknown = opened("someone/same");
    gllm_embed_request r = client_request(&text);
    for (int type = GLLM_INPUT_PLAIN; type <= GLLM_INPUT_DOCUMENT; type++) {
        r.input_type = (gllm_input_type)type;
        gllm_embeddings *a = client_embed(known, &r), *b = client_embed(unknown, &r);
        assert_true(same(a, b));
        gllm_embeddings_free(a), gllm_embeddings_free(b);
    }
    gllm_client_close(known), gllm_client_close(unknown);
}

/* The special tokens that UniXcoder's and StarEncoder's own code puts around a text (tools/make_frame_goldens.py). */
static void test_frames(void **state) {
    (void)state;
    static const char *const MODELS[][3] = {{"claudios--unixcoder-base", "unixcoder-base", "unixcoder"}, {"bigcode--starencoder", "starencoder", "starencoder"}};
    for (unsigned i = 0; i < sizeof MODELS / sizeof *MODELS; i++) {
        char path[128];
        json_t *k;
        size_t n;
        snprintf(path, sizeof path, "../frames/%s", MODELS[i][2]);
        place(MODELS[i][0], path);
        snprintf(path, sizeof path, "tests/golden/frames/%s/expected.json", MODELS[i][2]);
        json_t *root = json_load_file(path, 0, NULL), *cases = json_object_get(root, "cases");
        gllm_client *c = opened(MODELS[i][1]);
        assert_true(json_array_size(cases) >= 9);
        json_array_foreach(cases, n, k) {
            const gllm_str text = text_at(k, "text");
            const gllm_embed_request r = client_request(&text);
            gllm_embeddings *e = client_embed(c, &r);
            const double off = worst_of(e->data, json_object_get(k, "vector"), e->dim);
            assert_int_equal(e->tokens[0], json_array_size(json_object_get(k, "ids")));
            if (!(off <= 1e-5)) fail_msg("%s: \"%.40s\" is off by %g, allowed 1e-5", MODELS[i][1], text.ptr, off);
            gllm_embeddings_free(e);
        }
        gllm_client_close(c);
        json_decref(root);
    }
}

static void cut(gllm_client *c, uint32_t dimensions, const char *refusal) {
    const gllm_str text = {TEXT, GLLM_NTS};
    gllm_embed_request r = client_request(&text);
    gllm_embeddings *e;
    gllm_error err = {0};
    r.dimensions = dimensions;
    const gllm_status status = gllm_embed(c, &r, &e, &err);
    if (!refusal) {
        if (status != GLLM_OK) fail_msg("%s", err.message);
        assert_int_equal(e->dim, dimensions);
    } else {
        assert_int_equal(status, GLLM_INVALID);
        assert_string_equal(err.message, refusal);
    }
    gllm_embeddings_free(e);
}

static void test_dimensions(void **state) {
    (void)state;
    place("jinaai--jina-embeddings-v4", "bert-all-modes"); /* trained for 128 and more; the golden's vectors have 192 values */
    gllm_client *c = opened("e5-base");
    cut(c, 8, "dimensions: found 8, expected 32: e5-base was not trained to be cut (Matryoshka)");
    cut(c, 32, NULL);
    cut(c, 33, "dimensions: found 33, expected 1 to 32");
    gllm_client_close(c);
    c = opened("jina-embeddings-v4");
    cut(c, 127, "dimensions: found 127, expected 128 to 192, which jina-embeddings-v4 was trained for");
    cut(c, 128, NULL);
    gllm_client_close(c);
    c = opened("someone/unknown");
    cut(c, 8, NULL);
    gllm_client_close(c);
}

static void test_info(void **state) {
    (void)state;
    gllm_options o;
    gllm_model_info *i;
    gllm_error err = {0};
    gllm_options_init(&o);
    o.home = temp_dir, o.model = "jina-embeddings-v4";
    if (gllm_inspect(&i, &o, 0, 0, &err) != GLLM_OK) fail_msg("%s", err.message);
    assert_string_equal(i->alias, "jina-embeddings-v4");
    assert_string_equal(i->licence, "cc-by-nc-4.0");
    assert_int_equal(i->n_dims, 5);
    assert_int_equal(i->dims[0], 128);
    gllm_model_info_free(i);
    o.model = "someone/unknown";
    if (gllm_inspect(&i, &o, 0, 0, &err) != GLLM_OK) fail_msg("%s", err.message);
    assert_string_equal(i->alias, "");
    assert_string_equal(i->licence, "");
    assert_int_equal(i->n_dims, 0);
    gllm_model_info_free(i);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pooling), cmocka_unit_test(test_prompts), cmocka_unit_test(test_files_first), cmocka_unit_test(test_frames), cmocka_unit_test(test_dimensions),
                                       cmocka_unit_test(test_info)};
    return cmocka_run_group_tests(tests, temp_open, temp_close);
}
