/* changed_golden.h - golden decoders with something changed in their files, and quantization_config by itself: for tests of what is refused. */
#ifndef GLLM_TESTS_CHANGED_GOLDEN_H
#define GLLM_TESTS_CHANGED_GOLDEN_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "model/config.h"
#include "model/model.h"

enum { LINE_ROOM = 600 };

static inline gllm_status read_quant(const char *quant, struct arena *a, struct quant_cfg *q, gllm_error *err) {
    char text[1024];
    json_t *root;
    snprintf(text, sizeof text, "{\"quantization_config\":%s}", quant);
    if (json_parse(text, strlen(text), "config.json", &root, err) != GLLM_OK) fail_msg("%s", err->message);
    gllm_status status = config_read_quant(root, "config.json", a, q, err);
    json_decref(root);
    return status;
}

struct change { /* the first `old` in a file becomes `now`, of the same length: `n` bytes, or texts */
    const char *file, *old, *now;
    size_t n;
};

/* Copies FILE of `from` to `to`, changed (c NULL: as it is). */
static inline void copy_changed(const char *from, const char *to, const char *file, const struct change *c) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", from, file);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    char *data = malloc(1 << 20);
    assert_non_null(data);
    const size_t n = fread(data, 1, 1 << 20, f);
    fclose(f);
    if (c) {
        const size_t size = c->n ? c->n : strlen(c->old);
        char *at = memmem(data, n, c->old, size);
        if (!at || (!c->n && strlen(c->now) != size)) fail_msg("%s has no \"%s\" of the length of \"%s\"", path, c->old, c->now);
        memcpy(at, c->now, size);
    }
    snprintf(path, sizeof path, "%s/%s", to, file);
    f = fopen(path, "wb");
    assert_true(f && fwrite(data, 1, n, f) == n && fclose(f) == 0);
    free(data);
}

static inline void hear(void *line, gllm_log_level level, const char *text) {
    (void)level;
    snprintf(line, LINE_ROOM, "%s", text);
}

/* Opens golden `name`, without a device, after changes to its files; `line` gets what was logged last. */
static inline gllm_status open_changed(const char *name, const struct change *changes, unsigned n, char line[LINE_ROOM], gllm_error *err) {
    static const char *const FILES[] = {"config.json", "model.safetensors", "tokenizer.json"};
    char from[256], to[] = "/tmp/gllm-changed-XXXXXX", path[512];
    struct model_files files;
    struct model *m = NULL;
    const struct log log = {hear, line};
    assert_non_null(mkdtemp(to));
    snprintf(from, sizeof from, "tests/golden/decoders/%s", name);
    for (unsigned i = 0; i < 3; i++) {
        const struct change *c = changes;
        while (c < changes + n && strcmp(c->file, FILES[i])) c++;
        copy_changed(from, to, FILES[i], c < changes + n ? c : NULL);
    }
    gllm_status status = model_files_open(&files, to, &log, err);
    if (status == GLLM_OK) status = model_open(&m, &files, NULL, &log, err);
    model_close(m);
    for (unsigned i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", to, FILES[i]);
        unlink(path);
    }
    rmdir(to);
    return status;
}

struct bad_quant { /* a quantization_config, and how it is refused */
    const char *quant;
    gllm_status status;
    const char *says;
};
static inline void check_bad_quants(const struct bad_quant *bad, size_t n) {
    struct arena a = {0};
    struct quant_cfg q;
    for (size_t i = 0; i < n; i++) {
        gllm_error err = {0};
        const gllm_status status = read_quant(bad[i].quant, &a, &q, &err);
        if (status != bad[i].status || !strstr(err.message, bad[i].says)) fail_msg("%s: status %d, found \"%s\", expected it to say \"%s\"", bad[i].quant, (int)status, err.message, bad[i].says);
    }
    arena_free(&a);
}

struct bad_golden { /* a golden that is refused once it is changed */
    const char *golden;
    struct change change;
    gllm_status status;
    const char *says;
};
static inline void check_bad_goldens(const struct bad_golden *bad, size_t n) {
    for (size_t i = 0; i < n; i++) {
        gllm_error err = {0};
        char line[LINE_ROOM];
        const gllm_status status = open_changed(bad[i].golden, &bad[i].change, 1, line, &err);
        if (status != bad[i].status || !strstr(err.message, bad[i].says))
            fail_msg("%s: %s: status %d, found \"%s\", expected it to say \"%s\"", bad[i].golden, bad[i].change.now, (int)status, err.message, bad[i].says);
    }
}
#endif
