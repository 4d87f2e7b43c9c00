#include "engine/generate.h"

#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "engine/worker.h"

enum { PREFILL_TOKENS = 512, SCORE_ROWS = 64 };

uint32_t engine_context(const struct engine *e) { return engine_options_of(e)->n_ctx; }

struct decoder_options engine_decoder_options(const struct engine_options *o) {
    const uint32_t all = o->cache_tokens ? o->cache_tokens : o->n_ctx, n_ctx = o->n_ctx < all ? o->n_ctx : all, share = all / (o->workers ? o->workers : 1);
    return (struct decoder_options){.n_ctx = n_ctx, .cache_tokens = share > n_ctx ? share : n_ctx, .max_tok = PREFILL_TOKENS, .max_seq = ENGINE_SEQUENCES, .max_out = SCORE_ROWS, .kv_dtype = o->kv_dtype};
}

gllm_status engine_open_decoder(struct model *m, const struct engine *e, gllm_error *err) {
    if (m->decoder) return GLLM_OK;
    struct decoder_options o = engine_decoder_options(engine_options_of(e));
    gllm_status status = decoder_open(&m->decoder, m, &o, err);
    while (status == GLLM_NOMEM && o.cache_tokens >= 2 * KV_PAGE) {
        m->backend->ops->trim(m->backend);
        log_line(&m->log, GLLM_LOG_WARN, "out of memory: no cache for %u tokens, trying %u", o.cache_tokens, o.cache_tokens / 2);
        o.cache_tokens /= 2;
        status = decoder_open(&m->decoder, m, &o, err);
    }
    return status;
}

void generate_call_free(struct generate_call *c) {
    free(c->text);
    free(c->tokens);
    free(c->sampled);
    free(c->top);
    c->text = NULL, c->tokens = NULL, c->sampled = NULL, c->top = NULL;
}

static gllm_status check_prompt(const struct engine *e, const int32_t *tokens, uint32_t n, gllm_error *err) {
    const struct model *m = engine_model(e);
    const uint32_t n_vocab = m->files.cfg.n_vocab;
    if (m->files.ranker.kind != RANKER_NONE) return err_set(err, GLLM_UNSUPPORTED, "%s is a reranker: it has no next token", m->files.dir.name);
    if (!m->files.generates) return err_set(err, GLLM_UNSUPPORTED, "%s is an %s (%s): it has no next token", m->files.dir.name, m->files.cfg.decoder ? "embedder" : "encoder", m->files.arch.name);
    if (!n) return err_set(err, GLLM_INVALID, "the prompt has no tokens");
    if (n > engine_context(e)) return err_set(err, GLLM_TOO_LONG, "the prompt has %u tokens, the context %u", n, engine_context(e));
    for (uint32_t i = 0; i < n; i++)
        if (tokens[i] < 0 || (uint32_t)tokens[i] >= n_vocab) return err_set(err, GLLM_INVALID, "token id %d: expected 0 to %u", tokens[i], n_vocab - 1);
    return GLLM_OK;
}

/* A canceled one is an answer all the same. */
static void end_generate(struct task *t) {
    struct answer *a = t->work;
    struct generate_call *c = a->c;
    if (t->status == GLLM_CANCELED && (c->text || (c->text = calloc(1, 1)))) {
        if (!t->started) c->stop_hit = -1;
        c->finish = GLLM_FINISH_CANCELED;
        t->status = GLLM_OK;
    }
    answer_free(a);
    if (t->status != GLLM_OK) generate_call_free(c);
}

gllm_status engine_generate_submit(struct engine *e, struct generate_call *c, gllm_error *err) {
    static const struct task_kind KIND = {.class = TASK_ANSWER, .end = end_generate};
    struct answer *a;
    TRY(check_prompt(e, c->prompt, c->n_prompt, err));
    TRY(answer_new(&a, e, c, err));
    gllm_status status = engine_submit(e, &c->task, &KIND, a, err);
    if (status != GLLM_OK) answer_free(a);
    return status;
}

/* ---- scores ---- */

static void score_row(const float *row, uint32_t n, int32_t next, float *logprob, int32_t *best) {
    double sum = 0;
    uint32_t top = 0;
    for (uint32_t i = 1; i < n; i++)
        if (row[i] > row[top]) top = i;
    for (uint32_t i = 0; i < n; i++) sum += exp((double)row[i] - (double)row[top]);
    *best = (int32_t)top;
    *logprob = (float)((double)row[next] - (double)row[top] - log(sum));
}

/* The next rows. What is in the cache is known by what was computed. */
static gllm_status step_score(struct engine *e, struct model *m, struct task *t, bool *more, gllm_error *err) {
    struct score_call *c = (struct score_call *)t;
    const uint32_t n_vocab = m->files.cfg.n_vocab;
    const double start = clock_ms();
    const float *logits;
    TRY(engine_open_decoder(m, e, err));
    if (!c->seq) TRY(kv_begin(decoder_kv(m->decoder), NULL, 0, &c->seq, err));
    const uint32_t at = c->seq->n_tok, n = c->n - at < SCORE_ROWS ? c->n - at : SCORE_ROWS;
    TRY(decoder_step(m->decoder, &(struct decoder_item){c->seq, c->tokens + at, n, n}, 1, &logits, err));
    engine_count(e, n, 1);
    for (uint32_t i = 0; i < n && at + i + 1 < c->n; i++) score_row(logits + (size_t)i * n_vocab, n_vocab, c->tokens[at + i + 1], &c->logprob[at + i], &c->best[at + i]);
    c->ms += clock_ms() - start;
    *more = at + n < c->n;
    return GLLM_OK;
}

static void leave_score(struct model *m, struct task *t) {
    struct score_call *c = (struct score_call *)t;
    if (m->decoder) kv_end(decoder_kv(m->decoder), c->seq, false);
    c->seq = NULL;
}

gllm_status engine_score_submit(struct engine *e, struct score_call *c, gllm_error *err) {
    static const struct task_kind KIND = {.class = TASK_STEPS, .step = step_score, .leave = leave_score};
    TRY(check_prompt(e, c->tokens, c->n, err));
    c->seq = NULL, c->ms = 0;
    c->task.cached = c->n;
    return engine_submit(e, &c->task, &KIND, c, err);
}
