/* client.h - golden models through the public API: opening, embedding, and how far values are from a golden's list. */
#ifndef GLLM_TESTS_CLIENT_H
#define GLLM_TESTS_CLIENT_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "gllm.h"

static inline gllm_client *client_open(const gllm_options *o) { /* NULL: the instruction level is not on this machine */
    gllm_error err = {0};
    gllm_client *c;
    const gllm_status s = gllm_client_open(&c, o, &err);
    if (s == GLLM_UNSUPPORTED && strstr(err.message, "instruction level")) return NULL;
    if (s != GLLM_OK) fail_msg("%s: %s", o->model, err.message);
    return c;
}

static inline gllm_client *client_open_with(const char *model, const char *backend, uint32_t threads, uint32_t batch) { /* likewise */
    gllm_options o;
    gllm_options_init(&o);
    o.model = model, o.backend = backend, o.threads = threads, o.max_batch_tokens = batch;
    return client_open(&o);
}

static inline void *client_close_thread(void *client) { /* closes it, on a thread of its own */
    gllm_client_close(client);
    return NULL;
}

static inline gllm_embed_request client_request(const gllm_str *text) { /* for one text, which is borrowed */
    gllm_embed_request r;
    gllm_embed_request_init(&r);
    r.inputs = text, r.n_inputs = 1;
    return r;
}

static inline gllm_embeddings *client_embed(gllm_client *c, const gllm_embed_request *r) {
    gllm_error err = {0};
    gllm_embeddings *e;
    if (gllm_embed(c, r, &e, &err) != GLLM_OK) fail_msg("%s", err.message);
    return e;
}

/* The largest distance of a[i] from the list's numbers; NaN counts. */
static inline double worst_of(const float *a, const json_t *list, size_t n) {
    double worst = 0;
    assert_int_equal(json_array_size(list), n);
    for (size_t i = 0; i < n; i++) {
        const double e = fabs((double)a[i] - json_number_value(json_array_get(list, i)));
        worst = e <= worst ? worst : e;
    }
    return worst;
}

static inline gllm_str text_at(const json_t *k, const char *key) {
    const json_t *t = json_object_get(k, key);
    return (gllm_str){json_string_value(t), json_string_length(t)};
}
#endif
