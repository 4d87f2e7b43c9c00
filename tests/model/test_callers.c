/* test_callers.c - callers that were built with another version's structs: what they know beyond this library must be left alone, or it is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/client.h"

#define MODEL "tests/golden/models/bert-mean"

static void refused(gllm_status status, const gllm_error *err, const char *name) {
    if (status != GLLM_UNSUPPORTED || strncmp(err->message, name, strlen(name)) || !strstr(err->message, "a field at byte ")) fail_msg("%s: found %d \"%s\"", name, (int)status, err->message);
}

static void test_newer_request(void **state) {
    (void)state;
    struct {
        gllm_embed_request known;
        uint64_t later;
    } newer = {0};
    const gllm_str text = {"the whale", GLLM_NTS};
    gllm_client *c = client_open_with(MODEL, "cpu", 1, 0);
    gllm_embed_request own = client_request(&text);
    gllm_embeddings *e = client_embed(c, &own), *same;
    gllm_error err = {0};
    gllm_embed_request_init_sized(&newer.known, sizeof newer);
    assert_int_equal(newer.known.struct_size, sizeof newer);
    newer.known.inputs = &text, newer.known.n_inputs = 1;
    same = client_embed(c, &newer.known);
    assert_memory_equal(same->data, e->data, e->dim * sizeof *e->data);
    gllm_embeddings_free(same);
    newer.later = 1;
    refused(gllm_embed(c, &newer.known, &same, &err), &err, "gllm_embed_request: ");
    gllm_embeddings_free(e);
    gllm_client_close(c);
}

static void test_newer_options(void **state) {
    (void)state;
    struct {
        gllm_options known;
        uint64_t later;
    } newer = {0};
    gllm_client *c = NULL;
    gllm_model_info *info = NULL;
    gllm_error err = {0};
    gllm_options_init_sized(&newer.known, sizeof newer);
    newer.known.model = MODEL, newer.later = (uint64_t)1 << 63;
    refused(gllm_client_open(&c, &newer.known, &err), &err, "gllm_options: ");
    refused(gllm_inspect(&info, &newer.known, 0, 0, &err), &err, "gllm_options: ");
    assert_true(!c && !info);
    newer.later = 0;
    assert_int_equal(gllm_client_open(&c, &newer.known, &err), GLLM_OK);
    gllm_client_close(c);
}

/* 0 is the default, as in a client. */
static void test_no_batch_tokens(void **state) {
    (void)state;
    gllm_options o;
    gllm_error err = {0};
    uint64_t bytes[2];
    gllm_options_init(&o);
    o.model = MODEL, o.backend = "cpu";
    for (int i = 0; i < 2; i++) {
        gllm_model_info *info;
        if (i) o.max_batch_tokens = 0;
        if (gllm_inspect(&info, &o, 0, 0, &err) != GLLM_OK) fail_msg("%s", err.message);
        bytes[i] = info->plans[0].activation_bytes;
        gllm_model_info_free(info);
    }
    assert_int_equal(bytes[1], bytes[0]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_newer_request), cmocka_unit_test(test_newer_options), cmocka_unit_test(test_no_batch_tokens)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
