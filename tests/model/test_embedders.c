/* test_embedders.c - models with a decoder's body that give vectors (tools/make_embedder_goldens.py; their values are checked by test_models.c): the
 * ids, what truncation keeps, fewer dimensions, and what embedders and generators refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/client.h"

#define GOLDEN "tests/golden/"
enum { D = 32, LIMIT = 48 }; /* of all models here */
static const char *const ENDING[] = {"qwen3", "qwen3-lm", "mistral", "mistral-add-eos", "gemma3-both-ways"}; /* whose last token is </s> */
static const char LONG[] = "of age age of was age it times age the age the it was age of of times it age age it it times of of times of "
                           "age it times the times the of age the was the was it age times it times it it times age it of was the the of it"; /* each word a token */

static char logged[4096]; /* all lines */
static void keep_line(void *user, gllm_log_level level, const char *line) {
    (void)user, (void)level;
    const size_t at = strlen(logged);
    snprintf(logged + at, sizeof logged - at, "%s\n", line);
}

static gllm_client *open_client(const char *path) {
    char dir[300];
    gllm_options o;
    gllm_error err = {0};
    gllm_client *c;
    snprintf(dir, sizeof dir, GOLDEN "%s", path);
    gllm_options_init(&o);
    logged[0] = '\0';
    o.model = dir, o.log = keep_line, o.threads = 1;
    if (gllm_client_open(&c, &o, &err) != GLLM_OK) fail_msg("%s: %s", dir, err.message);
    return c;
}

/* The ids of every text that fits, as the reference's tokenizer gives them; of one that does not, how many are left. */
static void test_ids(void **state) {
    (void)state;
    static const char *const NAMES[] = {"qwen3", "mistral", "mistral-add-eos", "codexembed2b", "llama_bidirec"};
    for (unsigned n = 0; n < sizeof NAMES / sizeof *NAMES; n++) {
        char path[256];
        unsigned cut = 0;
        snprintf(path, sizeof path, GOLDEN "embedders/%s/expected.json", NAMES[n]);
        json_t *root = json_load_file(path, 0, NULL), *cases = json_object_get(root, "cases"), *k;
        size_t i;
        snprintf(path, sizeof path, "embedders/%s", NAMES[n]);
        gllm_client *c = open_client(path);
        assert_true(json_array_size(cases) >= 9);
        json_array_foreach(cases, i, k) {
            if (json_object_get(k, "prompt_name")) continue;
            const json_t *ids = json_object_get(k, "ids"), *text = json_object_get(k, "text");
            const gllm_str s = {json_string_value(text), json_string_length(text)};
            gllm_embed_request r = client_request(&s);
            gllm_embeddings *e = client_embed(c, &r);
            gllm_tokenize_request q;
            gllm_tokens *t;
            gllm_tokenize_request_init(&q);
            q.text = s, q.parse_special = true;
            assert_int_equal(gllm_tokenize(c, &q, &t, NULL), GLLM_OK);
            assert_int_equal(e->tokens[0], json_array_size(ids));
            assert_int_equal(e->full_tokens[0], t->count);
            assert_int_equal(e->truncated[0], t->count > LIMIT);
            cut += e->truncated[0];
            for (size_t d = 0; !e->truncated[0] && d < t->count; d++) assert_int_equal(t->ids[d], json_integer_value(json_array_get(ids, d)));
            gllm_tokens_free(t);
            gllm_embeddings_free(e);
        }
        assert_int_equal(cut, 1);
        gllm_client_close(c);
        json_decref(root);
    }
}

/* LONG without its last (first) `drop` words. */
static gllm_str shortened(unsigned drop, bool at_start) {
    const char *first = LONG, *end = LONG + sizeof LONG - 1;
    for (; at_start && drop; drop--) first = strchr(first, ' ') + 1;
    for (; drop; drop--)
        while (*--end != ' ') {}
    return (gllm_str){first, (size_t)(end - first)};
}

/* A long text is cut before its end token, so that its vector is the one of the words that are left, on either side. */
static void test_truncation(void **state) {
    (void)state;
    for (unsigned n = 0; n < sizeof ENDING / sizeof *ENDING; n++) {
        char path[64];
        snprintf(path, sizeof path, "embedders/%s", ENDING[n]);
        gllm_client *c = open_client(path);
        for (int side = GLLM_TRUNCATE_END; side <= GLLM_TRUNCATE_START; side++) {
            gllm_str text = shortened(0, false);
            gllm_embed_request r = client_request(&text);
            r.truncate = (gllm_truncate)side;
            gllm_embeddings *cut = client_embed(c, &r);
            assert_true(cut->truncated[0] && cut->tokens[0] == LIMIT && cut->full_tokens[0] > LIMIT);
            text = shortened(cut->full_tokens[0] - LIMIT, side == GLLM_TRUNCATE_START);
            gllm_embeddings *left = client_embed(c, &r);
            if (left->truncated[0] || left->tokens[0] != LIMIT) fail_msg("%s: %u tokens of %u: \"%.*s\"", ENDING[n], left->tokens[0], left->full_tokens[0], (int)text.len, text.ptr);
            assert_memory_equal(left->data, cut->data, D * sizeof *cut->data);
            gllm_embeddings_free(left);
            gllm_embeddings_free(cut);
        }
        gllm_client_close(c);
    }
}

static void test_dimensions(void **state) {
    (void)state;
    const gllm_str text = {"the whale", GLLM_NTS};
    gllm_client *c = open_client("embedders/qwen3");
    gllm_embed_request r = client_request(&text);
    gllm_embeddings *full = client_embed(c, &r);
    for (uint32_t dim = 1; dim <= D; dim++) {
        double square = 0;
        r.dimensions = dim;
        gllm_embeddings *e = client_embed(c, &r);
        assert_int_equal(e->dim, dim);
        for (uint32_t i = 0; i < dim; i++) square += (double)full->data[i] * full->data[i];
        for (uint32_t i = 0; i < dim; i++) assert_true(fabs((double)e->data[i] - (double)full->data[i] / sqrt(square)) <= 1e-6);
        gllm_embeddings_free(e);
    }
    gllm_embeddings_free(full);
    gllm_client_close(c);
}

/* A generator gives vectors to a caller who names a pooling, and says that it was not made for that. */
static void test_generator(void **state) {
    (void)state;
    const gllm_str text = {"w5 w9 w12 w3 w40 w41", GLLM_NTS};
    gllm_client *c = open_client("decoders/gemma2");
    gllm_embed_request r = client_request(&text);
    gllm_embeddings *e;
    gllm_error err = {0};
    assert_int_equal(gllm_embed(c, &r, &e, &err), GLLM_UNSUPPORTED);
    assert_string_equal(err.message, "gemma2 is a generator (gemma2) whose files name no pooling: name one (last, mean …)");
    assert_null(strstr(logged, "pooling"));
    r.pooling = GLLM_POOLING_LAST;
    e = client_embed(c, &r);
    assert_int_equal(e->dim, D);
    assert_non_null(strstr(logged, "gemma2 is a generator (gemma2): it was not trained for vectors; last pooling, as asked"));
    gllm_embeddings_free(e);
    r.pooling = GLLM_POOLING_MEAN, r.dimensions = D + 1;
    assert_int_equal(gllm_embed(c, &r, &e, &err), GLLM_INVALID);
    gllm_client_close(c);
}

/* What an embedder is told to be, and what it has no head for. */
static void test_embedder(void **state) {
    (void)state;
    static const struct {
        const char *name, *architecture, *pooling;
        uint32_t window;
    } MODELS[] = {{"qwen3-lm", "qwen3", "last", 0}, {"codexembed2b", "gemma2", "last", 6}, {"llama_bidirec", "llama_bidirec", "mean", 0}, {"gemma3-both-ways", "gemma3", "mean", 4}};
    for (unsigned n = 0; n < sizeof MODELS / sizeof *MODELS; n++) {
        char dir[256], refusal[256];
        gllm_options o;
        gllm_model_info *i;
        gllm_error err = {0};
        gllm_generate_request r;
        gllm_completion *g;
        snprintf(dir, sizeof dir, GOLDEN "embedders/%s", MODELS[n].name);
        gllm_options_init(&o);
        o.model = dir;
        if (gllm_inspect(&i, &o, 0, 0, &err) != GLLM_OK) fail_msg("%s: %s", dir, err.message);
        assert_string_equal(i->task, "embed");
        assert_string_equal(i->architecture, MODELS[n].architecture);
        assert_string_equal(i->pooling, MODELS[n].pooling);
        assert_int_equal(i->dim, D);
        assert_int_equal(i->max_tokens, LIMIT);
        assert_int_equal(i->window, MODELS[n].window);
        assert_true(i->normalize && *i->rope && i->n_chat_templates == 0);
        for (size_t p = 0; p < i->n_plans; p++) assert_true(i->plans[p].cache_bytes == 0 && i->plans[p].activation_bytes > 0);
        gllm_model_info_free(i);
        snprintf(dir, sizeof dir, "embedders/%s", MODELS[n].name);
        gllm_client *c = open_client(dir);
        gllm_generate_request_init(&r);
        r.prompt = (gllm_str){"the whale", GLLM_NTS};
        assert_int_equal(gllm_generate(c, &r, &g, &err), GLLM_UNSUPPORTED);
        snprintf(refusal, sizeof refusal, "%s is an embedder (%s): it has no next token", MODELS[n].name, MODELS[n].architecture);
        assert_string_equal(err.message, refusal);
        gllm_client_close(c);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ids), cmocka_unit_test(test_truncation), cmocka_unit_test(test_dimensions), cmocka_unit_test(test_generator), cmocka_unit_test(test_embedder)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
