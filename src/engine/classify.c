#include "engine/classify.h"

#include <math.h>
#include <string.h>

#include "engine/tasks.h"

void score_apply(enum score_act act, float *values, uint32_t n) {
    double top = -INFINITY, sum = 0;
    for (uint32_t i = 0; act == SCORE_SOFTMAX && i < n; i++) top = values[i] > top ? values[i] : top;
    for (uint32_t i = 0; act == SCORE_SOFTMAX && i < n; i++) sum += exp(values[i] - top);
    for (uint32_t i = 0; act != SCORE_IDENTITY && i < n; i++)
        values[i] = (float)(act == SCORE_SOFTMAX ? exp(values[i] - top) / sum : act == SCORE_TANH ? tanh(values[i]) : 1 / (1 + exp(-(double)values[i])));
}

/* The second text gives way first. A first text that leaves it no room is cut as well, and told. */
static gllm_status encode_one(const struct model_files *f, struct classify_call *c, size_t i, struct encode_options *opt, struct encoding *e, gllm_error *err) {
    const gllm_str *a = c->query ? c->query : &c->texts[i], *b = c->query ? &c->texts[i] : c->pairs ? &c->pairs[i] : NULL;
    c->first_cut[i] = false;
    opt->strategy = b ? TOKENIZER_ONLY_SECOND : TOKENIZER_LONGEST_FIRST;
    const char *first = a->ptr ? a->ptr : "", *second = b ? (b->ptr ? b->ptr : "") : NULL;
    gllm_status status = tokenizer_encode(f->tokenizer, first, a->len, second, b ? b->len : 0, opt, e, err);
    if (status == GLLM_TOO_LONG) {
        opt->strategy = TOKENIZER_LONGEST_FIRST;
        c->first_cut[i] = true;
        status = tokenizer_encode(f->tokenizer, first, a->len, second, b ? b->len : 0, opt, e, err);
    }
    if (status != GLLM_OK) return err_wrap(err, status, "%s %zu", c->query ? "document" : "input", i);
    c->tokens[i] = e->count;
    c->full_tokens[i] = e->full_count;
    if (c->truncate == GLLM_TRUNCATE_NONE && e->full_count > opt->max_tokens)
        return err_set(err, GLLM_TOO_LONG, "%s %zu has %u tokens%s, expected at most %u", c->query ? "document" : "input", i, e->full_count, b ? " with its pair" : "", opt->max_tokens);
    return GLLM_OK;
}

static void keep_logits(void *user, size_t text, const float *row) {
    const struct classify_call *c = user;
    memcpy(c->logits + text * c->run.dim, row, c->run.dim * sizeof *row);
}

static void end_classify(struct task *t) {
    struct classify_call *c = (struct classify_call *)t;
    c->compute_ms = c->run.compute_ms;
}

gllm_status engine_classify_submit(struct engine *e, struct classify_call *c, gllm_error *err) {
    const struct model_files *f = &engine_model(e)->files;
    const uint32_t n_labels = f->classifier.n_labels;
    if (!n_labels) return err_set(err, GLLM_UNSUPPORTED, "%s is %s (%s): it has no classification head", f->dir.name, f->generates ? "a generator" : "an embedder", f->arch.name);
    struct encoding one = {0};
    struct encode_options opt = {.add_special = true, .parse_special = true, .lowercase = f->dir.do_lower_case, .max_tokens = f->max_tokens,
                                 .side = c->truncate == GLLM_TRUNCATE_START ? TOKENIZER_CUT_START : TOKENIZER_CUT_END};
    c->run = (struct packed_run){.dim = n_labels, .each = keep_logits, .user = c, .progress = c->progress, .progress_user = c->progress_user, .end = end_classify};
    gllm_status status = GLLM_OK;
    for (size_t i = 0; status == GLLM_OK && i < c->n; i++) {
        status = encode_one(f, c, i, &opt, &one, err);
        if (status == GLLM_OK) status = packed_add(&c->run.packed, &one, err);
    }
    encoding_free(&one);
    if (status == GLLM_OK) return packed_submit(e, &c->task, &c->run, err);
    packed_free(&c->run.packed);
    return status;
}
