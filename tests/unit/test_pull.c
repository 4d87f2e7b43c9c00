/* test_pull.c - gllm_pull, gllm_models_remove and fetching on demand, where nothing is fetched. What is fetched: tests/hub. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include "gllm.h"
#include "temp_dir.h"

static bool path_there(const char *name) { return !access(temp_path(name), F_OK); }

static void refused(const char *model, const char *quant, gllm_status status, const char *says) {
    gllm_pull_request r;
    gllm_error err = {0};
    char *path = (char *)1;
    gllm_pull_request_init(&r);
    r.model = model, r.quant = quant, r.home = temp_dir;
    assert_int_equal(gllm_pull(&r, &path, &err), status);
    assert_null(path);
    if (!strstr(err.message, says)) fail_msg("found \"%s\", expected \"%s\"", err.message, says);
}

static void test_names(void **state) {
    (void)state;
    const gllm_pull_request blank = {0};
    gllm_error err = {0};
    setenv("HF_HUB_OFFLINE", "0", 1);
    assert_int_equal(gllm_pull(NULL, NULL, &err), GLLM_INVALID);
    assert_int_equal(gllm_pull(&blank, NULL, NULL), GLLM_INVALID);
    refused(NULL, NULL, GLLM_INVALID, "no model given; expected an alias or ORG/NAME");
    refused("", NULL, GLLM_INVALID, "no model given");
    refused("nonesuch", NULL, GLLM_INVALID, "nonesuch: expected an alias of the list of models or ORG/NAME, to fetch it");
    refused("a/b/c", NULL, GLLM_INVALID, "a/b/c: expected an alias");
    refused("../b", NULL, GLLM_INVALID, "../b: expected an alias");
    refused("a/..", NULL, GLLM_INVALID, "a/..: expected an alias");
    refused("/etc/passwd", NULL, GLLM_INVALID, "expected an alias");
    refused("a b/c", NULL, GLLM_INVALID, "expected an alias");
    refused("bge-m3", "awq", GLLM_NOT_FOUND, "bge-m3:awq: no such form is known");
    refused("codexembed-7b", NULL, GLLM_NOT_FOUND, "is not public");
    assert_false(path_there("models"));
}

static void test_forbidden(void **state) {
    (void)state;
    gllm_options o;
    gllm_client *c;
    gllm_error err = {0};
    setenv("HF_ENDPOINT", "ftp://127.0.0.1:9", 1); /* refused at once, were it asked */
    gllm_options_init(&o);
    o.model = "org/none", o.home = temp_dir;
    setenv("HF_HUB_OFFLINE", "1", 1);
    assert_int_equal(gllm_client_open(&c, &o, &err), GLLM_NOT_FOUND);
    assert_non_null(strstr(err.message, "; HF_HUB_OFFLINE: not fetched"));
    refused("org/none", NULL, GLLM_DOWNLOAD, "org/none: not fetched, since HF_HUB_OFFLINE is set");
    setenv("HF_HUB_OFFLINE", "0", 1);
    o.fetch = GLLM_FETCH_NEVER;
    assert_int_equal(gllm_client_open(&c, &o, &err), GLLM_NOT_FOUND);
    assert_null(strstr(err.message, "HF_HUB_OFFLINE"));
    o.fetch = GLLM_FETCH_AUTO;
    assert_int_equal(gllm_client_open(&c, &o, &err), GLLM_INVALID);
    assert_string_equal(err.message, "ftp://127.0.0.1:9: expected an address that begins with https:// or http://");
    o.model = "none"; /* no name that can be fetched */
    assert_int_equal(gllm_client_open(&c, &o, &err), GLLM_NOT_FOUND);
}

static void test_remove(void **state) {
    (void)state;
    gllm_error err = {0};
    uint64_t bytes = 1;
    temp_text("models/org--one/config.json", "{}");
    temp_text("models/org--one/sub/deep/x.bin", "12345");
    temp_text("models/.parts.org--one/abc.part", "123");
    temp_text("models/plain/config.json", "{}");
    assert_int_equal(gllm_models_remove("Org/One", temp_dir, &bytes, &err), GLLM_OK);
    assert_int_equal(bytes, 10);
    assert_false(path_there("models/org--one") || path_there("models/.parts.org--one"));
    assert_int_equal(gllm_models_remove("org/one", temp_dir, &bytes, &err), GLLM_NOT_FOUND);
    assert_int_equal(gllm_models_remove("../models/plain", temp_dir, NULL, &err), GLLM_NOT_FOUND);
    assert_int_equal(gllm_models_remove(NULL, temp_dir, NULL, &err), GLLM_INVALID);
    assert_int_equal(gllm_models_remove("plain:x.gguf", temp_dir, NULL, &err), GLLM_NOT_FOUND);
    assert_true(path_there("models/plain"));
    assert_int_equal(gllm_models_remove("plain", temp_dir, NULL, &err), GLLM_OK);
    assert_false(path_there("models/plain"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names), cmocka_unit_test(test_forbidden), cmocka_unit_test(test_remove)};
    return cmocka_run_group_tests(tests, temp_open, temp_close);
}
