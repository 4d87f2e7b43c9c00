/* test_real.c - real GGUF files against transformers with their dequantised weights (tools/make_real_goldens.py): ids, log-probabilities, the most
 * likely tokens and greedy text; with f32 everywhere and by default; and the same values alone and beside other calls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gllm.h"

enum { MAX_PROMPTS = 8, MAX_TOGETHER = 3 };

static json_t *golden_of(const char *name) {
    char path[200];
    json_error_t e;
    snprintf(path, sizeof path, "tests/golden/real/%s.json", name);
    json_t *v = json_load_file(path, 0, &e);
    if (!v) fail_msg("%s: %s", path, e.text);
    return v;
}

/* The model's file; false: it is not on this machine. */
static bool locate(const json_t *golden, char *path, size_t size) {
    const char *home = getenv("GLLM_HOME"), *user = getenv("HOME"), *repo = json_string_value(json_object_get(golden, "model")), *slash = strchr(repo, '/');
    char own[1024];
    snprintf(own, sizeof own, "%s/.gllm", user ? user : ".");
    snprintf(path, size, "%s/models/%.*s--%s/%s", home && *home ? home : own, (int)(slash - repo), repo, slash + 1, json_string_value(json_object_get(golden, "file")));
    return access(path, R_OK) == 0;
}

static gllm_client *open_client(const char *path, bool exact) {
    gllm_options o;
    gllm_error err = {0};
    gllm_client *c;
    gllm_options_init(&o);
    o.model = path, o.exact = exact, o.n_ctx = 1024, o.threads = 2;
    if (gllm_client_open(&c, &o, &err) != GLLM_OK) fail_msg("%s: %s", path, err.message);
    return c;
}

static void check_ids(const int32_t *ids, size_t n, const json_t *list, const char *what) {
    assert_int_equal(n, json_array_size(list));
    for (size_t i = 0; i < n; i++)
        if (ids[i] != json_integer_value(json_array_get(list, i))) fail_msg("%s: token %zu is %d, expected %d", what, i, ids[i], (int)json_integer_value(json_array_get(list, i)));
}

static gllm_score *score(gllm_client *c, const json_t *golden) {
    gllm_score *s;
    gllm_error err = {0};
    const json_t *text = json_object_get(golden, "text");
    if (gllm_score_text(c, NULL, (gllm_str){json_string_value(text), json_string_length(text)}, &s, &err) != GLLM_OK) fail_msg("%s", err.message);
    return s;
}

static void check_score(const char *name, const json_t *golden, const gllm_score *s, bool exact) {
    const json_t *logprobs = json_object_get(golden, "logprobs"), *top1 = json_object_get(golden, "top1");
    const size_t n = json_array_size(logprobs);
    double sum = 0, most = 0;
    size_t agree = 0;
    check_ids(s->tokens, s->n_tokens, json_object_get(golden, "ids"), "the text");
    for (size_t i = 0; i < n; i++) {
        const double d = fabs((double)s->logprobs[i] - json_number_value(json_array_get(logprobs, i)));
        sum += d;
        most = d <= most ? most : d;
        agree += s->top1[i] == json_integer_value(json_array_get(top1, i));
    }
    const double mean = sum / (double)n, share = (double)agree / (double)n;
    print_message("%s, %s: |log-probability - reference| at most %.2e, mean %.2e; the same first choice in %.1f %%\n", name, exact ? "exact" : "default", most, mean, 100 * share);
    if (exact) assert_true(most <= 1e-3 && agree == n);
    else {
        const double peer = json_number_value(json_object_get(json_object_get(golden, "llama.cpp"), "mean"));
        if (!(mean <= peer && share >= 0.95)) fail_msg("expected a mean of at most %g, which llama.cpp has, and the same first choice in 95 %%", peer);
    }
}

struct asked { /* one greedy continuation, on a thread of its own */
    gllm_client *c;
    const json_t *prompt;
    gllm_completion *got;
    gllm_error err;
};
static void *ask(void *arg) {
    struct asked *a = arg;
    gllm_generate_request r;
    const json_t *text = json_object_get(a->prompt, "text");
    gllm_generate_request_init(&r);
    r.prompt = (gllm_str){json_string_value(text), json_string_length(text)};
    r.parse_special = r.ignore_eos = true;
    r.max_tokens = (uint32_t)json_array_size(json_object_get(a->prompt, "ids"));
    gllm_generate(a->c, &r, &a->got, &a->err);
    return NULL;
}
static void answered(const struct asked *a) {
    if (!a->got) fail_msg("%s", a->err.message);
}

static void check_answer(const struct asked *a) {
    const json_t *answer = json_object_get(a->prompt, "answer");
    check_ids(a->got->tokens, a->got->n_tokens, json_object_get(a->prompt, "ids"), json_string_value(json_object_get(a->prompt, "text")));
    assert_int_equal(a->got->prompt_tokens, json_array_size(json_object_get(a->prompt, "prompt")));
    if (strstr(json_string_value(answer), "<|")) return; /* special tokens are shown by the reference only */
    assert_int_equal(a->got->text.len, json_string_length(answer));
    assert_memory_equal(a->got->text.ptr, json_string_value(answer), a->got->text.len);
}

/* Some prompts at once, with the text scored meanwhile: as alone. */
static void check_company(gllm_client *c, const json_t *golden, const gllm_score *alone, const struct asked *one_by_one, size_t n) {
    struct asked together[MAX_TOGETHER];
    pthread_t threads[MAX_TOGETHER];
    for (size_t i = 0; i < n; i++) {
        together[i] = (struct asked){.c = c, .prompt = one_by_one[i].prompt};
        assert_int_equal(pthread_create(&threads[i], NULL, ask, &together[i]), 0);
    }
    gllm_score *s = score(c, golden);
    for (size_t i = 0; i < n; i++) pthread_join(threads[i], NULL);
    assert_memory_equal(s->logprobs, alone->logprobs, (alone->n_tokens - 1) * sizeof *s->logprobs);
    for (size_t i = 0; i < n; i++) {
        answered(&together[i]);
        assert_int_equal(together[i].got->n_tokens, one_by_one[i].got->n_tokens);
        assert_memory_equal(together[i].got->tokens, one_by_one[i].got->tokens, one_by_one[i].got->n_tokens * sizeof(int32_t));
        gllm_completion_free(together[i].got);
    }
    gllm_score_free(s);
}

static void check_mode(const char *name, const json_t *golden, const char *path, bool exact) {
    gllm_client *c = open_client(path, exact);
    const json_t *prompts = json_object_get(golden, "greedy");
    const size_t n = json_array_size(prompts);
    struct asked asked[MAX_PROMPTS] = {0};
    assert_true(n && n <= MAX_PROMPTS);
    gllm_score *s = score(c, golden);
    check_score(name, golden, s, exact);
    for (size_t i = 0; i < n; i++) {
        asked[i] = (struct asked){.c = c, .prompt = json_array_get(prompts, i)};
        ask(&asked[i]);
        answered(&asked[i]);
        if (exact) check_answer(&asked[i]);
    }
    check_company(c, golden, s, asked, n < MAX_TOGETHER ? n : MAX_TOGETHER);
    for (size_t i = 0; i < n; i++) gllm_completion_free(asked[i].got);
    gllm_score_free(s);
    gllm_client_close(c);
}

static void check_model(const char *name) {
    json_t *golden = golden_of(name);
    char path[2048];
    if (!locate(golden, path, sizeof path)) {
        print_message("skipped %s: no %s; scripts/models fetches it\n", name, path);
        json_decref(golden);
        skip();
    }
    check_mode(name, golden, path, true);
    check_mode(name, golden, path, false);
    json_decref(golden);
}

static void test_smollm2(void **state) {
    (void)state;
    check_model("smollm2");
}
static void test_qwen(void **state) {
    (void)state;
    check_model("qwen2.5-coder");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_smollm2), cmocka_unit_test(test_qwen)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
