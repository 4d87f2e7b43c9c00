/* test_constrained.c - gllm_generate with a grammar, a JSON schema and `json` on the real SmolLM2: what is written has the form, whatever the
 * temperature and seed. Skipped where the model is not installed. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "gllm.h"

#define MODEL "HuggingFaceTB--SmolLM2-135M-Instruct-GGUF"
static const char SCHEMA[] = "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\",\"maxLength\":8},\"age\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":150},"
                             "\"tags\":{\"type\":\"array\",\"items\":{\"enum\":[\"red\",\"green\",\"blue\"]},\"minItems\":1,\"maxItems\":2}},\"required\":[\"name\",\"tags\"],\"additionalProperties\":false}";
static const char *const PROMPTS[] = {"A person as JSON:\n", "Once upon a time there was a"};

static gllm_client *client; /* NULL: skipped */

static int open_model(void **state) {
    (void)state;
    char dir[512], path[1024];
    const char *home = getenv("GLLM_HOME"), *user = getenv("HOME");
    gllm_options opt;
    gllm_error err;
    if (home) snprintf(dir, sizeof dir, "%s/models/" MODEL, home);
    else snprintf(dir, sizeof dir, "%s/.gllm/models/" MODEL, user ? user : "");
    DIR *d = opendir(dir);
    bool found = false;
    for (struct dirent *e; d && !found && (e = readdir(d));)
        if ((found = strstr(e->d_name, ".gguf") != NULL)) snprintf(path, sizeof path, "%s/%.400s", dir, e->d_name);
    if (d) closedir(d);
    if (!found) {
        print_message("skipped: no GGUF file in %s\n", dir);
        return 0;
    }
    gllm_options_init(&opt);
    opt.model = path;
    opt.n_ctx = 256;
    opt.threads = 1; /* other tests run beside it */
    if (gllm_client_open(&client, &opt, &err) == GLLM_OK) return 0;
    print_message("%s\n", err.message);
    return -1;
}
static int close_model(void **state) {
    (void)state;
    gllm_client_close(client);
    return 0;
}

static gllm_generate_request request(const char *prompt, float temperature, uint64_t seed) {
    gllm_generate_request r;
    gllm_generate_request_init(&r);
    r.prompt = (gllm_str){prompt, GLLM_NTS};
    r.temperature = temperature;
    r.seed = seed;
    r.max_tokens = 80;
    return r;
}

static gllm_completion *generate(const gllm_generate_request *r) {
    gllm_completion *c;
    gllm_error err = {0};
    if (gllm_generate(client, r, &c, &err) != GLLM_OK) fail_msg("%s", err.message);
    return c;
}

/* The answer is valid under SCHEMA, checked by hand. */
static void check_person(const gllm_completion *c) {
    json_error_t e;
    json_t *v = json_loadb(c->text.ptr, c->text.len, 0, &e), *tag;
    if (!v) fail_msg("%s: %s", c->text.ptr, e.text);
    const json_t *name = json_object_get(v, "name"), *age = json_object_get(v, "age"), *tags = json_object_get(v, "tags");
    size_t i;
    assert_true(json_is_string(name) && json_is_array(tags));
    assert_in_range(json_array_size(tags), 1, 2);
    json_array_foreach(tags, i, tag) assert_true(!strcmp(json_string_value(tag), "red") || !strcmp(json_string_value(tag), "green") || !strcmp(json_string_value(tag), "blue"));
    if (age) assert_true(json_is_integer(age) && json_integer_value(age) >= 0 && json_integer_value(age) <= 150);
    assert_int_equal(json_object_size(v), 2 + (age != NULL));
    json_decref(v);
}

static void test_schema(void **state) {
    (void)state;
    if (!client) skip();
    for (unsigned p = 0; p < sizeof PROMPTS / sizeof *PROMPTS; p++)
        for (unsigned k = 0; k < 2; k++) {
            gllm_generate_request r = request(PROMPTS[p], k ? 1 : 0, 2 * p + k);
            r.json_schema = SCHEMA;
            gllm_completion *c = generate(&r);
            assert_int_equal(c->finish, GLLM_FINISH_STOP);
            check_person(c);
            if (p + k == 2) { /* the same seed, the same text */
                gllm_completion *again = generate(&r);
                assert_string_equal(again->text.ptr, c->text.ptr);
                gllm_completion_free(again);
            }
            gllm_completion_free(c);
        }
}

static void test_grammar(void **state) {
    (void)state;
    if (!client) skip();
    gllm_generate_request r = request("Is water wet?", 1, 7);
    r.grammar = "root ::= \" \" (\"yes\" | \"no\") \", \xC3\xA9t\xC3\xA9 \" [0-9]{4} \"!\"?";
    gllm_completion *c = generate(&r);
    assert_int_equal(c->finish, GLLM_FINISH_STOP);
    const size_t yes = !strncmp(c->text.ptr, " yes", 4) ? 4 : 3;
    assert_true(yes == 4 || !strncmp(c->text.ptr, " no", 3));
    assert_memory_equal(c->text.ptr + yes, ", \xC3\xA9t\xC3\xA9 ", 8);
    assert_int_equal(strspn(c->text.ptr + yes + 8, "0123456789"), 4);
    assert_true(c->text.len == yes + 12 || (c->text.len == yes + 13 && c->text.ptr[yes + 12] == '!'));
    gllm_completion_free(c);
    r.grammar = "root ::= \"\""; /* nothing can be written */
    c = generate(&r);
    assert_int_equal(c->finish, GLLM_FINISH_STOP);
    assert_int_equal(c->text.len + c->n_tokens, 0);
    gllm_completion_free(c);
}

static void test_json_object_stop_and_logprobs(void **state) {
    (void)state;
    if (!client) skip();
    gllm_generate_request r = request("An object: ", 0, 0);
    r.json = true;
    r.logprobs = true;
    r.n_top = 2;
    r.max_tokens = 5;
    gllm_completion *c = generate(&r);
    assert_int_equal(c->text.ptr[0], '{');
    if (c->n_tokens == 5) assert_int_equal(c->finish, GLLM_FINISH_LENGTH);
    for (size_t i = 0; i < c->n_tokens; i++) assert_true(c->logprobs[i] < 0 && c->top[i * 2].logprob >= c->logprobs[i]); /* of the model's own distribution */
    gllm_completion_free(c);
    r = request("A person as JSON:\n", 0, 0);
    r.json_schema = SCHEMA;
    const gllm_str stop = {"\"tags\"", GLLM_NTS};
    r.stop = &stop, r.n_stop = 1;
    c = generate(&r);
    assert_int_equal(c->stop_index, 0);
    assert_null(strstr(c->text.ptr, "\"tags"));
    assert_non_null(strstr(c->text.ptr, "\"name\""));
    gllm_completion_free(c);
}

static void test_errors(void **state) {
    (void)state;
    static const struct {
        const char *grammar, *schema, *message;
        gllm_status status;
        bool json;
    } CASES[] = {
        {"root ::= x", NULL, "rule \"x\" is called and not defined", GLLM_INVALID, false},
        {"root ::= \"a", NULL, "grammar 1:12: the grammar ends in the middle of a text or class", GLLM_INVALID, false},
        {NULL, "{\"not\":{}}", "schema #/not: a grammar cannot hold to this keyword", GLLM_UNSUPPORTED, false},
        {NULL, "{", NULL, GLLM_INVALID, false},
        {"root ::= \"a\"", NULL, "grammar, json_schema and json exclude each other", GLLM_INVALID, true},
        {"root ::= \"a\"", "{}", "grammar, json_schema and json exclude each other", GLLM_INVALID, false},
    };
    if (!client) skip();
    for (unsigned i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        gllm_generate_request r = request("x", 0, 0);
        gllm_completion *c;
        gllm_error err = {0};
        r.grammar = CASES[i].grammar, r.json_schema = CASES[i].schema, r.json = CASES[i].json;
        assert_int_equal(gllm_generate(client, &r, &c, &err), CASES[i].status);
        assert_null(c);
        if (CASES[i].message) assert_string_equal(err.message, CASES[i].message);
    }
    gllm_generate_request r = request("x", 0, 0); /* and the client goes on */
    r.grammar = "root ::= \"ok\"";
    gllm_completion *c = generate(&r);
    assert_string_equal(c->text.ptr, "ok");
    gllm_completion_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_schema), cmocka_unit_test(test_grammar), cmocka_unit_test(test_json_object_stop_and_logprobs), cmocka_unit_test(test_errors)};
    return cmocka_run_group_tests(tests, open_model, close_model);
}
