#include "model/frame.h"

#include <string.h>

/* The ids of a run of special tokens, "<s><encoder-only></s>". */
static gllm_status read_ids(struct model_files *f, const char *text, const int32_t **out, uint32_t *n, gllm_error *err) {
    const struct encode_options opt = {.parse_special = true};
    struct encoding e = {0};
    if (!text) return GLLM_OK;
    gllm_status status = tokenizer_encode(f->tokenizer, text, strlen(text), NULL, 0, &opt, &e, err);
    int32_t *ids = status == GLLM_OK ? arena_array(&f->arena, e.count, sizeof *ids) : NULL;
    if (status == GLLM_OK && !ids) status = err_nomem(err, text);
    for (uint32_t i = 0; status == GLLM_OK && i < e.count; i++) {
        if (!tokenizer_is_special(f->tokenizer, e.ids[i])) status = err_set(err, GLLM_FORMAT, "%s: the input begins or ends with %s, expected special tokens of its tokenizer", f->dir.name, text);
        else ids[(*n)++] = e.ids[i];
    }
    *out = ids;
    encoding_free(&e);
    return status;
}

gllm_status frame_read(struct model_files *f, gllm_error *err) {
    struct input_frame *w = &f->frame;
    TRY(read_ids(f, f->hints.input_before, &w->before, &w->n_before, err));
    TRY(read_ids(f, f->hints.input_after, &w->after, &w->n_after, err));
    w->bare |= w->n_before || w->n_after;
    return GLLM_OK;
}
