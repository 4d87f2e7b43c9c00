/* test_locate.c - what a model may be called, and what is said when there is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include "hub/locate.h"
#include "temp_dir.h"

static void found(const char *model, const char *expected) {
    char *path = NULL;
    gllm_error err = {0};
    if (hub_locate(model, temp_dir, NULL, &path, &err) != GLLM_OK) fail_msg("%s", err.message);
    assert_string_equal(path, expected);
    free(path);
}

static void refused(const char *model, gllm_status status, const char *says) {
    char *path = (char *)1;
    gllm_error err = {0};
    assert_int_equal(hub_locate(model, temp_dir, NULL, &path, &err), status);
    assert_null(path);
    assert_string_equal(err.message, says);
}

static void test_names(void **state) {
    (void)state;
    temp_text("models/org--Alpha/config.json", "{}");
    temp_text("models/org--beta/config.json", "{}");
    temp_text("models/else--beta/config.json", "{}");
    temp_text("models/plain/config.json", "{}");
    temp_text("models/.part.x--hidden/config.json", "{}");
    temp_text("here/config.json", "{}");
    temp_text("file.gguf", "GGUF");
    temp_text("FILE.GGUF", "GGUF");
    temp_text("model.bin", "");
    found("org/Alpha", temp_path("models/org--Alpha"));
    found("ORG/alpha", temp_path("models/org--Alpha"));
    found("Alpha", temp_path("models/org--Alpha"));
    found("ALPHA", temp_path("models/org--Alpha"));
    found("plain", temp_path("models/plain"));
    found("org--alpha", temp_path("models/org--Alpha"));
    found("else/beta", temp_path("models/else--beta"));
    found(temp_path("here"), temp_path("here"));
    found(temp_path("file.gguf"), temp_path("file.gguf"));
    found(temp_path("FILE.GGUF"), temp_path("FILE.GGUF"));
}

/* "MODEL: no such model: … none in HOME/models (found there: …)" with the folders in whatever order the system lists them. */
static void missing(const char *model, const char *one_there) {
    char *path = NULL, start[600];
    gllm_error err = {0};
    assert_int_equal(hub_locate(model, temp_dir, NULL, &path, &err), GLLM_NOT_FOUND);
    assert_null(path);
    snprintf(start, sizeof start, "%s: no such model: no directory of that name, none in %s (found there: ", model, temp_path("models"));
    if (strncmp(err.message, start, strlen(start))) fail_msg("found \"%s\", expected \"%s\"", err.message, start);
    if (!strstr(err.message, one_there)) fail_msg("\"%s\" does not say what is there", err.message);
    assert_null(strstr(err.message, ".part"));
}

static void test_missing(void **state) {
    (void)state;
    char says[600];
    missing("gamma", "org--Alpha");
    missing("org/gamma", "org--Alpha");
    missing("lpha", "org--Alpha"); /* no part of a name is one */
    missing("hidden", "org--Alpha");
    missing("beta", "else--beta"); /* two answers are none */
    snprintf(says, sizeof says, "%s: found a file, expected a model directory or a .gguf file", temp_path("model.bin"));
    refused(temp_path("model.bin"), GLLM_UNSUPPORTED, says);
    refused("/dev/null", GLLM_UNSUPPORTED, "/dev/null: is no regular file, expected a model directory or a .gguf file");
    refused("", GLLM_INVALID, "no model given; expected a directory, ORG/NAME or NAME");
    refused(NULL, GLLM_INVALID, "no model given; expected a directory, ORG/NAME or NAME");
    snprintf(says, sizeof says, "a/b/c: no such model: no directory of that name");
    refused("a/b/c", GLLM_NOT_FOUND, says);
    refused("/none/where", GLLM_NOT_FOUND, "/none/where: no such model: no directory of that name");
}

static void test_no_home(void **state) {
    (void)state;
    char *path = NULL;
    gllm_error err = {0};
    assert_int_equal(hub_locate("x", "/none", NULL, &path, &err), GLLM_NOT_FOUND);
    assert_string_equal(err.message, "x: no such model: no directory of that name, none in /none/models (found there: nothing)");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names), cmocka_unit_test(test_missing), cmocka_unit_test(test_no_home)};
    return cmocka_run_group_tests(tests, temp_open, temp_close);
}
