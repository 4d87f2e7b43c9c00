#include "engine/classify.h"

#include <math.h>
#include <string.h>

#include "engine/pack.h"

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

struct keep {
    float *logits;
    uint32_t n_labels;
};
static void keep_logits(void *user, size_t text, const float *row) {
    const struct keep *k = user;
    memcpy(k->logits + text * k->n_labels, row, k->n_labels * sizeof *row);
}

gllm_status engine_classify(struct engine *e, struct classify_call *c, gllm_error *err) {
    const struct model_files *f = &engine_model(e)->files;
    const uint32_t n_labels = f->classifier.n_labels;
    if (!n_labels) return err_set(err, GLLM_UNSUPPORTED, "%s is %s (%s): it has no classification head", f->dir.name, f->generates ? "a generator" : "an embedder", f->arch.name);
    struct packed packed = {0};
    struct encoding one = {0};
    struct keep keep = {c->logits, n_labels};
    struct encode_options opt = {.add_special = true, .parse_special = true, .lowercase = f->dir.do_lower_case, .max_tokens = f->max_tokens,
                                 .side = c->truncate == GLLM_TRUNCATE_START ? TOKENIZER_CUT_START : TOKENIZER_CUT_END};
    struct packed_run run = {.packed = &packed, .budget = engine_options_of(e)->max_batch_tokens, .dim = n_labels, .each = keep_logits, .user = &keep,
                             .progress = c->progress, .progress_user = c->progress_user};
    gllm_status status = GLLM_OK;
    for (size_t i = 0; status == GLLM_OK && i < c->n; i++) {
        status = encode_one(f, c, i, &opt, &one, err);
        if (status == GLLM_OK) status = packed_add(&packed, &one, err);
    }
    if (status == GLLM_OK) status = packed_submit(e, &run, err);
    c->compute_ms = run.compute_ms;
    encoding_free(&one);
    packed_free(&packed);
    return status;
}
