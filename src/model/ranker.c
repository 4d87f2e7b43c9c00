#include "model/ranker.h"

#include <stdio.h>
#include <string.h>

#include "model/classifier.h"
#include "model/model.h"
#include "text/chat.h"

static void pair_of_rows(struct ranker *r, enum ranker_head head, uint32_t n_out) {
    r->head = head;
    r->n_out = n_out;
    r->yes = 0;
    r->no = n_out > 1 ? 1 : -1;
}

/* A word that the tokenizer makes one token of, which the model has too. */
static bool word_id(const struct model_files *f, const char *word, int32_t *id) {
    struct encoding e = {0};
    const struct encode_options opt = {0};
    const bool one = tokenizer_encode(f->tokenizer, word, strlen(word), NULL, 0, &opt, &e, NULL) == GLLM_OK && e.count == 1 && (uint32_t)e.ids[0] < f->cfg.n_vocab;
    if (one) *id = e.ids[0];
    encoding_free(&e);
    return one;
}

/* n_out stays 0 where the tokenizer has no such tokens. */
static void read_words(struct model_files *f) {
    struct ranker *r = &f->ranker;
    if (word_id(f, "yes", &r->ids[0]) && word_id(f, "no", &r->ids[1]) && r->ids[0] != r->ids[1]) pair_of_rows(r, RANKER_TOKENS, 2);
}

/* ---- RANKER_LIST ---- */

static gllm_status read_projector(struct model_files *f, gllm_error *err) {
    struct ranker *r = &f->ranker;
    const struct tensor *inside = weights_find(f->weights, "projector.0.weight"), *out = weights_find(f->weights, "projector.2.weight");
    char a[100], b[100];
    if (!inside || !out) return GLLM_OK;
    if (inside->rank != 2 || out->rank != 2 || inside->shape[1] != f->cfg.d_model || out->shape[1] != inside->shape[0] || inside->shape[0] > UINT16_MAX || out->shape[0] > UINT16_MAX)
        return err_set(err, GLLM_FORMAT, "projector.0.weight: shape %s, projector.2.weight: %s, expected [m,%u] and [n,m]", tensor_shape_text(inside->shape, inside->rank, a, sizeof a),
                       tensor_shape_text(out->shape, out->rank, b, sizeof b), f->cfg.d_model);
    if (!tokenizer_id(f->tokenizer, RANKER_DOC_TOKEN, strlen(RANKER_DOC_TOKEN), &r->doc_token) || !tokenizer_id(f->tokenizer, RANKER_QUERY_TOKEN, strlen(RANKER_QUERY_TOKEN), &r->query_token))
        return err_set(err, GLLM_FORMAT, "%s: a projector, but no token %s or %s", f->dir.name, RANKER_DOC_TOKEN, RANKER_QUERY_TOKEN);
    r->kind = RANKER_LIST;
    r->head = RANKER_PROJECTOR;
    r->d_inside = (uint32_t)inside->shape[0];
    r->n_out = (uint32_t)out->shape[0];
    return GLLM_OK;
}

/* ---- rank heads ---- */

/* One label is the score. Of two the one called "yes" is for, "no" against it. */
static gllm_status take_labels(struct model_files *f, const char *tensor, const char *const *labels, uint32_t n, gllm_error *err) {
    struct ranker *r = &f->ranker;
    pair_of_rows(r, RANKER_LABELS, n);
    r->kind = RANKER_PAIR;
    r->tensor = tensor;
    if (n == 1) return GLLM_OK;
    for (uint32_t i = 0; n == 2 && i < 2; i++)
        if (!strcmp(labels[i], "yes") && !strcmp(labels[1 - i], "no")) {
            r->yes = (int32_t)i, r->no = 1 - (int32_t)i;
            return GLLM_OK;
        }
    return err_set(err, GLLM_UNSUPPORTED, "%s: a classification head of %u labels on a causal model, expected one label, or \"yes\" and \"no\"", f->dir.name, n);
}

static gllm_status read_labels(struct model_files *f, gllm_error *err) {
    TRY(classifier_read(f, err));
    const struct classifier c = f->classifier;
    f->classifier = (struct classifier){0}; /* which is the encoders' */
    if (!c.n_labels) return GLLM_OK;
    f->ranker.model_act = c.n_labels == 1 ? c.model_act : SCORE_SIGMOID;
    const char *gguf = weights_find(f->weights, "cls.output.weight") ? "cls.output" : "cls";
    return take_labels(f, weights_gguf(f->weights) ? gguf : "score", c.labels, c.n_labels, err);
}

/* ---- RANKER_TOKENS ---- */

static gllm_status read_logit_score(struct model_files *f, gllm_error *err) {
    struct ranker *r = &f->ranker;
    for (size_t i = 0; i < f->dir.n_modules; i++) {
        const struct hf_module *m = &f->dir.modules[i];
        if (m->kind != HF_LOGIT_SCORE) continue;
        const int32_t n = (int32_t)f->cfg.n_vocab, yes = m->logit_score.yes, no = m->logit_score.no;
        if (yes >= n || no >= n) return err_set(err, GLLM_FORMAT, "%s: token ids %d and %d, expected below the vocabulary's %d", m->path, yes, no, n);
        pair_of_rows(r, RANKER_TOKENS, no < 0 ? 1 : 2);
        r->ids[0] = yes, r->ids[1] = no;
        r->kind = RANKER_PAIR;
        return classifier_activation(f, 1, &r->model_act, err);
    }
    return GLLM_OK;
}

/* ---- prompts ---- */

static bool holds(const char *text, size_t len, const char *part) { return memmem(text, len, part, strlen(part)) != NULL; }

/* Whether the default template shows what messages of these two roles say. */
static bool shows(const struct chat_source *source, const char *first, const char *second) {
    static const char MARKS[2][4] = {"\xee\x80\x80", "\xee\x80\x81"}; /* U+E000, U+E001: no template has them */
    json_t *messages = json_pack("[{s:s,s:s},{s:s,s:s}]", "role", first, "content", MARKS[0], "role", second, "content", MARKS[1]);
    const struct chat_request request = {.messages = messages, .template = "default", .template_len = 7};
    struct jinja_text text = {0};
    const bool shown = messages && chat_render(source, &request, &text, NULL) == GLLM_OK && holds(text.data, text.len, MARKS[0]) && holds(text.data, text.len, MARKS[1]);
    jinja_text_free(&text);
    json_decref(messages);
    return shown;
}

/* The default template is one for pairs when it shows a query and a document; to tell a reranker by it, it must not be one for conversations too. */
static void read_prompt(struct model_files *f) {
    struct ranker *r = &f->ranker;
    for (size_t i = 0; i < f->chat.n_templates; i++) {
        const struct chat_string *t = &f->chat.templates[i];
        if (!strcmp(t->name, "rerank") && holds(t->text, t->len, "{query}") && holds(t->text, t->len, "{document}")) r->pattern = t->text, r->pattern_len = t->len;
        if (strcmp(t->name, "default") || !holds(t->text, t->len, "query") || !holds(t->text, t->len, "document")) continue;
        r->roles = shows(&f->chat, "query", "document") && (r->kind == RANKER_PAIR || !shows(&f->chat, "user", "assistant"));
    }
}

gllm_status ranker_read(struct model_files *f, gllm_error *err) {
    struct ranker *r = &f->ranker;
    *r = (struct ranker){.model_act = SCORE_SIGMOID, .no = -1};
    TRY(read_projector(f, err));
    if (r->kind == RANKER_LIST) return GLLM_OK;
    TRY(read_labels(f, err));
    if (r->kind == RANKER_NONE) TRY(read_logit_score(f, err));
    if (r->kind == RANKER_NONE) read_words(f);
    read_prompt(f);
    if (r->n_out && (r->roles || r->pattern || f->hints.rerank == HINT_RERANK_YES_NO)) r->kind = RANKER_PAIR;
    return GLLM_OK;
}
