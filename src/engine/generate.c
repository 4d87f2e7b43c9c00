#include "engine/generate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/tasks.h"
#include "text/grammar.h"

enum { PREFILL_TOKENS = 512, SCORE_ROWS = 64 };

uint32_t engine_context(const struct engine *e) { return engine_options_of(e)->n_ctx; }

struct decoder_options engine_decoder_options(const struct engine_options *o) {
    return (struct decoder_options){.n_ctx = o->n_ctx, .max_tok = PREFILL_TOKENS, .max_seq = ENGINE_SEQUENCES, .max_out = SCORE_ROWS, .kv_dtype = o->kv_dtype};
}

gllm_status engine_open_decoder(struct model *m, const struct engine *e, gllm_error *err) {
    if (m->decoder) return GLLM_OK;
    const struct decoder_options o = engine_decoder_options(engine_options_of(e));
    return decoder_open(&m->decoder, m, &o, err);
}

struct run { /* a generation in flight */
    struct model *model;
    struct generate_call *c;
    struct kv_seq *seq;
    struct sampler *sampler;
    struct token_stream *stream;
    struct stop_matcher *stop;
    struct constraint *constraint; /* NULL: none */
    size_t text_room;
    uint32_t room; /* of tokens and sampled */
};

static gllm_status keep_text(struct run *r, const char *s, size_t n, gllm_error *err) {
    struct generate_call *c = r->c;
    if (c->text_len + n + 1 > r->text_room) {
        char *more = realloc(c->text, 2 * (c->text_len + n + 1));
        if (!more) return err_nomem(err, "text");
        c->text = more;
        r->text_room = 2 * (c->text_len + n + 1);
    }
    memcpy(c->text + c->text_len, s, n);
    c->text_len += n;
    c->text[c->text_len] = '\0';
    return GLLM_OK;
}

static gllm_status keep_token(struct run *r, const struct sampled *s, gllm_error *err) {
    struct generate_call *c = r->c;
    const uint32_t n_top = c->sampler.n_top;
    if (c->n_tokens == r->room) {
        const uint32_t room = 2 * r->room + 64;
        int32_t *tokens = realloc(c->tokens, room * sizeof *tokens);
        if (tokens) c->tokens = tokens;
        struct sampled *sampled = c->sampler.logprobs ? realloc(c->sampled, room * sizeof *sampled) : c->sampled;
        if (sampled) c->sampled = sampled;
        struct token_logprob *top = n_top ? realloc(c->top, (size_t)room * n_top * sizeof *top) : c->top;
        if (top) c->top = top;
        if (!tokens || (c->sampler.logprobs && !sampled) || (n_top && !top)) return err_nomem(err, "tokens");
        r->room = room;
    }
    if (c->sampler.logprobs) c->sampled[c->n_tokens] = *s;
    if (n_top) memcpy(c->top + (size_t)c->n_tokens * n_top, s->top, s->n_top * sizeof *s->top);
    c->tokens[c->n_tokens++] = s->id;
    return GLLM_OK;
}

/* The prompt through the model, in chunks, from where the cache ends; *logits of its last token. */
static gllm_status prefill(struct run *r, const float **logits, gllm_error *err) {
    const struct generate_call *c = r->c;
    *logits = NULL;
    while (r->seq->n_tok < c->n_prompt) {
        const uint32_t at = r->seq->n_tok, left = c->n_prompt - at, n = left < PREFILL_TOKENS ? left : PREFILL_TOKENS;
        TRY(decoder_step(r->model->decoder, &(struct decoder_item){r->seq, c->prompt + at, n, n == left}, 1, logits, err));
        if (c->on_text && !c->on_text(c->user, "", 0, -1, NULL)) {
            r->c->finish = GLLM_FINISH_CANCELED;
            break;
        }
    }
    for (uint32_t i = 0; i < c->n_prompt; i++) TRY(sampler_accept(r->sampler, c->prompt[i], false, err));
    return GLLM_OK;
}

static bool is_end(const struct model *m, int32_t id) {
    for (uint32_t i = 0; i < m->files.n_eos; i++)
        if (m->files.eos[i] == id) return true;
    return false;
}

/* One token: its text through the stop strings to the caller. *more false: the answer is complete. */
static gllm_status take_token(struct run *r, const struct sampled *s, bool *more, gllm_error *err) {
    struct generate_call *c = r->c;
    const char *text, *shown;
    size_t len, n;
    *more = false;
    if (!c->ignore_eos && is_end(r->model, s->id)) {
        c->finish = GLLM_FINISH_STOP;
        return GLLM_OK;
    }
    TRY(keep_token(r, s, err));
    TRY(sampler_accept(r->sampler, s->id, true, err));
    if (r->constraint) TRY(constraint_accept(r->constraint, s->id, err));
    TRY(token_stream_push(r->stream, s->id, &text, &len, err));
    TRY(stop_push(r->stop, text, len, &shown, &n, &c->stop_hit, err));
    TRY(keep_text(r, shown, n, err));
    const bool complete = c->stop_hit >= 0 || (r->constraint && constraint_complete(r->constraint));
    c->finish = complete ? GLLM_FINISH_STOP : GLLM_FINISH_LENGTH;
    *more = !complete && c->n_tokens != c->max_tokens;
    if (c->on_text && !c->on_text(c->user, shown, n, s->id, s)) {
        c->finish = GLLM_FINISH_CANCELED;
        *more = false;
    }
    return GLLM_OK;
}

/* What the decoder of bytes and the stop strings still hold. */
static gllm_status flush(struct run *r, gllm_error *err) {
    struct generate_call *c = r->c;
    const char *text, *shown;
    size_t len, n;
    int hit = -1;
    if (c->stop_hit >= 0) return GLLM_OK;
    TRY(token_stream_end(r->stream, &text, &len, err));
    TRY(stop_push(r->stop, text, len, &shown, &n, &hit, err));
    for (int i = 0; i < 2; i++) {
        TRY(keep_text(r, shown, n, err));
        if (n && c->on_text) c->on_text(c->user, shown, n, -1, NULL);
        if (i == 0) stop_end(r->stop, &shown, &n);
    }
    return GLLM_OK;
}

static gllm_status decode(struct run *r, const float *logits, gllm_error *err) {
    struct generate_call *c = r->c;
    const uint64_t *allowed = NULL;
    struct sampled s;
    bool more = !r->constraint || !constraint_complete(r->constraint);
    c->finish = more ? GLLM_FINISH_LENGTH : GLLM_FINISH_STOP;
    while (more) {
        if (r->constraint) TRY(constraint_mask(r->constraint, &allowed, err));
        TRY(sampler_next(r->sampler, logits, allowed, &s, err));
        TRY(take_token(r, &s, &more, err));
        if (!more) break;
        if (r->seq->n_tok >= decoder_context(r->model->decoder)) {
            c->context_full = true;
            break;
        }
        TRY(decoder_step(r->model->decoder, &(struct decoder_item){r->seq, &s.id, 1, 1}, 1, &logits, err));
    }
    return flush(r, err);
}

/* The grammar of the answer, over the bytes of the model's tokens. */
static gllm_status open_constraint(struct run *r, gllm_error *err) {
    struct model *m = r->model;
    if (r->c->constraint.kind == CONSTRAINT_NONE) return GLLM_OK;
    if (!m->token_bytes) TRY(token_bytes_open(&m->token_bytes, m->files.tokenizer, err));
    const struct constraint_vocab vocab = {m->token_bytes, m->files.eos, r->c->ignore_eos ? 0 : m->files.n_eos, m->files.cfg.n_vocab};
    TRY(constraint_open(&r->constraint, &r->c->constraint, &vocab, err));
    const struct grammar *g = constraint_grammar(r->constraint);
    for (uint32_t i = 0; r->c->constraint.kind == CONSTRAINT_GBNF && i < g->n_unused; i++) log_line(&m->log, GLLM_LOG_WARN, "grammar: rule \"%.80s\" is never used", g->unused[i]);
    return GLLM_OK;
}

static gllm_status run_generate(struct engine *e, struct model *m, struct task *t, gllm_error *err) {
    struct generate_call *c = (struct generate_call *)t;
    struct run r = {.model = m, .c = c};
    gllm_status status;
    const float *logits;
    c->stop_hit = -1;
    TRY(engine_open_decoder(m, e, err));
    TRY_GO(sampler_open(&r.sampler, &c->sampler, m->files.cfg.n_vocab, err));
    TRY_GO(token_stream_open(&r.stream, m->files.tokenizer, true, err));
    TRY_GO(stop_open(&r.stop, c->stop, c->n_stop, err));
    TRY_GO(open_constraint(&r, err));
    TRY_GO(kv_begin(decoder_kv(m->decoder), c->prompt, c->n_prompt, &r.seq, err));
    TRY_GO(keep_text(&r, "", 0, err));
    c->n_cached = r.seq->n_shared;
    double start = clock_ms();
    TRY_GO(prefill(&r, &logits, err));
    c->prefill_ms = clock_ms() - start;
    if (c->finish != GLLM_FINISH_CANCELED) TRY_GO(decode(&r, logits, err));
    c->decode_ms = clock_ms() - start - c->prefill_ms;
done:
    kv_end(decoder_kv(m->decoder), r.seq, true);
    sampler_close(r.sampler);
    token_stream_close(r.stream);
    stop_close(r.stop);
    constraint_close(r.constraint);
    return status;
}

void generate_call_free(struct generate_call *c) {
    free(c->text);
    free(c->tokens);
    free(c->sampled);
    free(c->top);
    c->text = NULL, c->tokens = NULL, c->sampled = NULL, c->top = NULL;
}

static gllm_status check_prompt(const struct engine *e, uint32_t n, gllm_error *err) {
    const struct model *m = engine_model(e);
    if (m->files.ranker.kind != RANKER_NONE) return err_set(err, GLLM_UNSUPPORTED, "%s is a reranker: it has no next token", m->files.dir.name);
    if (!m->files.generates) return err_set(err, GLLM_UNSUPPORTED, "%s is an %s (%s): it has no next token", m->files.dir.name, m->files.cfg.decoder ? "embedder" : "encoder", m->files.arch.name);
    if (!n) return err_set(err, GLLM_INVALID, "the prompt has no tokens");
    if (n > engine_context(e)) return err_set(err, GLLM_TOO_LONG, "the prompt has %u tokens, the context %u", n, engine_context(e));
    return GLLM_OK;
}

static void end_generate(struct task *t) {
    if (t->status != GLLM_OK) generate_call_free((struct generate_call *)t);
}

gllm_status engine_generate_submit(struct engine *e, struct generate_call *c, gllm_error *err) {
    static const struct task_kind KIND = {run_generate, end_generate};
    TRY(check_prompt(e, c->n_prompt, err));
    return engine_submit(e, &c->task, &KIND, c, err);
}

gllm_status engine_generate(struct engine *e, struct generate_call *c, gllm_error *err) { TASK_WAIT(e, c, engine_generate_submit, err); }

static void score_row(const float *row, uint32_t n, int32_t next, float *logprob, int32_t *best) {
    double sum = 0;
    uint32_t top = 0;
    for (uint32_t i = 1; i < n; i++)
        if (row[i] > row[top]) top = i;
    for (uint32_t i = 0; i < n; i++) sum += exp((double)row[i] - (double)row[top]);
    *best = (int32_t)top;
    *logprob = (float)((double)row[next] - (double)row[top] - log(sum));
}

static gllm_status run_score(struct engine *e, struct model *m, struct task *t, gllm_error *err) {
    struct score_call *c = (struct score_call *)t;
    struct kv_seq *s;
    TRY(engine_open_decoder(m, e, err));
    TRY(kv_begin(decoder_kv(m->decoder), NULL, 0, &s, err));
    const double start = clock_ms();
    gllm_status status = GLLM_OK;
    for (uint32_t at = 0; status == GLLM_OK && at < c->n; at += SCORE_ROWS) {
        const uint32_t n = c->n - at < SCORE_ROWS ? c->n - at : SCORE_ROWS, n_vocab = m->files.cfg.n_vocab;
        const float *logits;
        status = decoder_step(m->decoder, &(struct decoder_item){s, c->tokens + at, n, n}, 1, &logits, err);
        for (uint32_t i = 0; status == GLLM_OK && i < n && at + i + 1 < c->n; i++) score_row(logits + (size_t)i * n_vocab, n_vocab, c->tokens[at + i + 1], &c->logprob[at + i], &c->best[at + i]);
    }
    c->ms = clock_ms() - start;
    kv_end(decoder_kv(m->decoder), s, false);
    return status;
}

static void end_score(struct task *t) { (void)t; }

gllm_status engine_score_submit(struct engine *e, struct score_call *c, gllm_error *err) {
    static const struct task_kind KIND = {run_score, end_score};
    TRY(check_prompt(e, c->n, err));
    return engine_submit(e, &c->task, &KIND, c, err);
}

gllm_status engine_score(struct engine *e, struct score_call *c, gllm_error *err) { TASK_WAIT(e, c, engine_score_submit, err); }
