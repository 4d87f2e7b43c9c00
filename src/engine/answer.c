#include "engine/answer.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/grow.h"
#include "engine/worker.h"
#include "text/grammar.h"

/* The grammar of the answer, over the bytes of the model's tokens. */
static gllm_status open_constraint(struct answer *a, struct engine *e, gllm_error *err) {
    const struct model *m = e->model;
    gllm_status status = GLLM_OK;
    if (a->c->constraint.kind == CONSTRAINT_NONE) return GLLM_OK;
    pthread_mutex_lock(&e->grammar_lock);
    if (!e->token_bytes) status = token_bytes_open(&e->token_bytes, m->files.tokenizer, err);
    const struct token_bytes *bytes = e->token_bytes;
    pthread_mutex_unlock(&e->grammar_lock);
    if (status != GLLM_OK) return status;
    const struct constraint_vocab vocab = {bytes, m->files.eos, a->c->ignore_eos ? 0 : m->files.n_eos, m->files.cfg.n_vocab};
    TRY(constraint_open(&a->constraint, &a->c->constraint, &vocab, err));
    const struct grammar *g = constraint_grammar(a->constraint);
    for (uint32_t i = 0; a->c->constraint.kind == CONSTRAINT_GBNF && i < g->n_unused; i++) log_line(&m->log, GLLM_LOG_WARN, "grammar: rule \"%.80s\" is never used", g->unused[i]);
    return GLLM_OK;
}

gllm_status answer_new(struct answer **out, struct engine *e, struct generate_call *c, gllm_error *err) {
    *out = NULL;
    TRY(sampler_check(&c->sampler, e->model->files.cfg.n_vocab, err));
    struct answer *a = calloc(1, sizeof *a);
    if (!a) return err_nomem(err, "answer");
    a->c = c;
    gllm_status status = open_constraint(a, e, err);
    if (status != GLLM_OK) answer_free(a);
    else *out = a;
    return status;
}

void answer_free(struct answer *a) {
    if (!a) return;
    sampler_close(a->sampler);
    token_stream_close(a->stream);
    stop_close(a->stop);
    constraint_close(a->constraint);
    free(a);
}

uint32_t answer_length(const struct answer *a) { return a->c->n_prompt + a->c->n_tokens; }

const int32_t *answer_tokens(const struct answer *a, uint32_t at, uint32_t *n) {
    const struct generate_call *c = a->c;
    const uint32_t left = (at < c->n_prompt ? c->n_prompt : answer_length(a)) - at;
    if (*n > left) *n = left;
    return at < c->n_prompt ? c->prompt + at : c->tokens + (at - c->n_prompt);
}

static gllm_status keep_text(struct answer *a, const char *s, size_t n, gllm_error *err) {
    struct generate_call *c = a->c;
    return grow_text(&c->text, &c->text_len, &a->text_room, s, n) ? GLLM_OK : err_nomem(err, "text");
}

static gllm_status keep_token(struct answer *a, const struct sampled *s, gllm_error *err) {
    struct generate_call *c = a->c;
    const uint32_t n_top = c->sampler.n_top;
    if (c->n_tokens == a->room) {
        const uint32_t room = 2 * a->room + 64;
        int32_t *tokens = realloc(c->tokens, room * sizeof *tokens);
        if (tokens) c->tokens = tokens;
        struct sampled *sampled = c->sampler.logprobs ? realloc(c->sampled, room * sizeof *sampled) : c->sampled;
        if (sampled) c->sampled = sampled;
        struct token_logprob *top = n_top ? realloc(c->top, (size_t)room * n_top * sizeof *top) : c->top;
        if (top) c->top = top;
        if (!tokens || (c->sampler.logprobs && !sampled) || (n_top && !top)) return err_nomem(err, "tokens");
        a->room = room;
    }
    if (c->sampler.logprobs) c->sampled[c->n_tokens] = *s;
    if (n_top) memcpy(c->top + (size_t)c->n_tokens * n_top, s->top, s->n_top * sizeof *s->top);
    c->tokens[c->n_tokens++] = s->id;
    return GLLM_OK;
}

gllm_status answer_begin(struct answer *a, const struct model *m, gllm_error *err) {
    struct generate_call *c = a->c;
    c->stop_hit = -1;
    a->begun = clock_ms();
    TRY(keep_text(a, "", 0, err));
    TRY(token_stream_open(&a->stream, m->files.tokenizer, true, err));
    token_stream_show(a->stream, c->shows, c->shows_user);
    TRY(stop_open(&a->stop, c->stop, c->n_stop, err));
    if (c->sampler.n_top > m->files.cfg.n_vocab) c->sampler.n_top = m->files.cfg.n_vocab; /* as many as there are, for each token */
    TRY(sampler_open(&a->sampler, &c->sampler, m->files.cfg.n_vocab, err));
    for (uint32_t i = 0; i < c->n_prompt; i++) TRY(sampler_accept(a->sampler, c->prompt[i], false, err));
    return GLLM_OK;
}

bool answer_heard(struct answer *a) {
    struct generate_call *c = a->c;
    if (!c->on_text || c->on_text(c->user, "", 0, -1, NULL)) return true;
    c->finish = GLLM_FINISH_CANCELED;
    return false;
}

static bool is_end(const struct model *m, int32_t id) {
    for (uint32_t i = 0; i < m->files.n_eos; i++)
        if (m->files.eos[i] == id) return true;
    return false;
}

/* One token: its text through the stop strings to the caller. *more false: the answer is complete. */
static gllm_status take_token(struct answer *a, const struct model *m, const struct sampled *s, bool *more, gllm_error *err) {
    struct generate_call *c = a->c;
    const char *text, *shown;
    size_t len, n;
    *more = false;
    if (!c->ignore_eos && is_end(m, s->id)) {
        c->finish = GLLM_FINISH_STOP;
        return GLLM_OK;
    }
    TRY(keep_token(a, s, err));
    TRY(sampler_accept(a->sampler, s->id, true, err));
    if (a->constraint) TRY(constraint_accept(a->constraint, s->id, err));
    TRY(token_stream_push(a->stream, s->id, &text, &len, err));
    TRY(stop_push(a->stop, text, len, &shown, &n, &c->stop_hit, err));
    TRY(keep_text(a, shown, n, err));
    const bool complete = c->stop_hit >= 0 || (a->constraint && constraint_complete(a->constraint));
    c->finish = complete ? GLLM_FINISH_STOP : GLLM_FINISH_LENGTH;
    *more = !complete && c->n_tokens != c->max_tokens;
    if (c->on_text && !c->on_text(c->user, shown, n, s->id, s)) {
        c->finish = GLLM_FINISH_CANCELED;
        *more = false;
    }
    return GLLM_OK;
}

gllm_status answer_next(struct answer *a, const struct model *m, const float *logits, bool *more, gllm_error *err) {
    struct generate_call *c = a->c;
    const uint64_t *allowed = NULL;
    struct sampled s;
    if (!c->n_tokens) {
        c->prefill_ms = clock_ms() - a->begun;
        *more = !a->constraint || !constraint_complete(a->constraint);
        c->finish = *more ? GLLM_FINISH_LENGTH : GLLM_FINISH_STOP;
        if (!*more) return GLLM_OK;
    }
    if (a->constraint) TRY(constraint_mask(a->constraint, &allowed, err));
    TRY(sampler_next(a->sampler, logits, allowed, &s, err));
    return take_token(a, m, &s, more, err);
}

/* What the decoder of bytes and the stop strings still hold. */
static gllm_status flush(struct answer *a, gllm_error *err) {
    struct generate_call *c = a->c;
    const char *text, *shown;
    size_t len, n;
    int hit = -1;
    if (c->stop_hit >= 0) return GLLM_OK;
    TRY(token_stream_end(a->stream, &text, &len, err));
    TRY(stop_push(a->stop, text, len, &shown, &n, &hit, err));
    for (int i = 0; i < 2; i++) {
        TRY(keep_text(a, shown, n, err));
        if (n && c->on_text && c->finish != GLLM_FINISH_CANCELED) c->on_text(c->user, shown, n, -1, NULL);
        if (i == 0) stop_end(a->stop, &shown, &n);
    }
    return GLLM_OK;
}

gllm_status answer_finish(struct answer *a, gllm_error *err) {
    a->c->decode_ms = clock_ms() - a->begun - a->c->prefill_ms;
    return a->stream && a->stop ? flush(a, err) : GLLM_OK;
}
