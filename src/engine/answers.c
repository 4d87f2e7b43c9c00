#include "engine/answers.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/worker.h"

enum {
    MIXED_TOKENS = 128, /* of prompts in a step in which other answers wait for their next token */
    LEAST_CHUNK = 16
};

static struct decoder *decoder_of(const struct worker *w) { return w->model->decoder; }
static struct kv *kv_of(const struct worker *w) { return decoder_kv(decoder_of(w)); }
static uint32_t smaller(uint32_t a, uint32_t b) { return a < b ? a : b; }
static uint32_t pending(const struct answer *a) { return answer_length(a) - a->seq->n_tok; }

/* Pages that answers may take: not those that a task with forwards of its own may need. */
static uint32_t free_pages(const struct worker *w) {
    const uint32_t reserved = w->active && w->active->cached ? kv_pages_for(w->active->cached) + 1 : 0, all = kv_free_pages(kv_of(w));
    return all > reserved ? all - reserved : 0;
}

/* ---- joining and leaving ---- */

static void take_out(struct answers *s, struct answer *a) {
    uint32_t i = 0;
    while (s->list[i] != a) i++;
    s->n--;
    memmove(s->list + i, s->list + i + 1, (s->n - i) * sizeof *s->list);
}

/* The answer is over, in whatever way; it is in no list. */
static void end(struct worker *w, struct answer *a, gllm_status status, const gllm_error *error) {
    struct task *t = &a->c->task;
    t->status = status;
    if (status != GLLM_OK && error != &t->error) t->error = *error;
    if (decoder_of(w)) kv_end(kv_of(w), a->seq, true);
    a->seq = NULL;
    if (status == GLLM_OK || status == GLLM_CANCELED) {
        if (status == GLLM_CANCELED) a->c->finish = GLLM_FINISH_CANCELED;
        gllm_error late;
        if (answer_finish(a, &late) != GLLM_OK) t->status = late.status, t->error = late;
    }
    task_end(w->engine, t);
}

static void leave(struct worker *w, struct answer *a, gllm_status status, const gllm_error *error) {
    take_out(&w->answers, a);
    end(w, a, status, error);
}

/* Its pages are free for the others, and it comes again before those that have not begun. */
static void put_back(struct worker *w, struct answer *a) {
    struct answer **at = &w->answers.back;
    take_out(&w->answers, a);
    log_line(&w->model->log, GLLM_LOG_INFO, "the cache is full: an answer of %u tokens is put back and computed again when there is room", a->seq->n_tok);
    kv_end(kv_of(w), a->seq, true);
    a->seq = NULL;
    while (*at && (*at)->begun < a->begun) at = &(*at)->next;
    a->next = *at;
    *at = a;
}

static struct answer *latest(const struct answers *s) {
    struct answer *a = s->list[0];
    for (uint32_t i = 1; i < s->n; i++)
        if (s->list[i]->begun >= a->begun) a = s->list[i];
    return a;
}

void answers_make_room(struct worker *w, uint32_t tokens) {
    if (!tokens || !decoder_of(w)) return;
    while (w->answers.n && kv_free_pages(kv_of(w)) < kv_pages_for(tokens) + 1) put_back(w, latest(&w->answers));
}

/* A sequence that takes over what the cache has of its tokens. */
static gllm_status begin_sequence(struct worker *w, struct answer *a, gllm_error *err) {
    const struct generate_call *c = a->c;
    const uint32_t n = answer_length(a);
    int32_t *all = NULL;
    if (c->n_tokens) {
        if (!(all = malloc(n * sizeof *all))) return err_nomem(err, "tokens");
        memcpy(all, c->prompt, c->n_prompt * sizeof *all);
        memcpy(all + c->n_prompt, c->tokens, c->n_tokens * sizeof *all);
    }
    gllm_status status = kv_begin(kv_of(w), all ? all : c->prompt, n, &a->seq, err);
    free(all);
    return status;
}

static void join(struct worker *w, struct answer *a) {
    struct answers *s = &w->answers;
    gllm_error error = {0};
    gllm_status status = GLLM_OK;
    const bool fresh = !a->sampler;
    if (answer_length(a) > decoder_context(decoder_of(w)))
        status = err_set(&error, GLLM_NOMEM, "the prompt has %u tokens, and memory for the cache sufficed for %u", answer_length(a), decoder_context(decoder_of(w)));
    if (status == GLLM_OK && fresh) status = answer_begin(a, w->model, &error);
    if (status == GLLM_OK) status = begin_sequence(w, a, &error);
    if (status != GLLM_OK) {
        end(w, a, status, &error);
        return;
    }
    if (fresh) a->c->n_cached = a->seq->n_shared;
    s->list[s->n++] = a;
}

/* Room for it beside what those in flight still need for their prompts, and a page for the next tokens of each. */
static bool has_room(const struct worker *w, const struct answer *a) {
    const struct answers *s = &w->answers;
    uint32_t need = kv_pages_for(answer_length(a) + 1) + 1;
    for (uint32_t i = 0; i < s->n; i++) {
        const uint32_t whole = kv_pages_for(answer_length(s->list[i]) + 1), has = s->list[i]->seq->n_pages;
        need += 1 + (whole > has ? whole - has : 0);
    }
    return s->n < ENGINE_SEQUENCES && (need <= free_pages(w) || (!s->n && !w->active));
}

/* Locked: another worker has fewer answers, and may take the next one. */
static bool others_have_fewer(const struct worker *w) {
    const struct engine *e = w->engine;
    for (unsigned i = 0; i < e->n_workers; i++)
        if (e->workers[i].n_answers < w->n_answers) return true;
    return false;
}

/* The next one to take in, out of its list; NULL: none, or no room. */
static struct answer *next_answer(struct worker *w) {
    struct engine *e = w->engine;
    struct answers *s = &w->answers;
    struct turns *q = &e->turns[TASK_ANSWER];
    struct answer *a = s->back;
    if (a) {
        if (!has_room(w, a)) return NULL;
        s->back = a->next;
        return a;
    }
    pthread_mutex_lock(&e->lock);
    w->n_answers = s->n;
    struct task *t = others_have_fewer(w) ? NULL : turns_find(q, NULL, NULL);
    if (t && has_room(w, t->work)) {
        turns_pass(q, t);
        turns_remove(q, t);
        task_begin(e, t);
        a = t->work;
    }
    pthread_mutex_unlock(&e->lock);
    return a;
}

/* Ends those that were canceled or are too late, also among those put back. */
static void end_overdue(struct worker *w) {
    struct answers *s = &w->answers;
    for (uint32_t i = s->n; i > 0; i--) {
        struct task *t = &s->list[i - 1]->c->task;
        if (task_overdue(t)) leave(w, s->list[i - 1], t->status, &t->error);
    }
    for (struct answer **at = &s->back; *at;) {
        struct answer *a = *at;
        if (!task_overdue(&a->c->task)) {
            at = &a->next;
            continue;
        }
        *at = a->next;
        end(w, a, a->c->task.status, &a->c->task.error);
    }
}

/* ---- a step ---- */

struct step {
    struct decoder_item items[ENGINE_SEQUENCES];
    struct answer *owner[ENGINE_SEQUENCES];
    uint32_t n, n_tok, pages, table; /* pages and places in the page table that are left */
    bool blocked; /* an answer has no page for its next token */
};

/* Up to n tokens of an answer, as many as there are pages for; false: none. */
static bool add_item(const struct worker *w, struct step *p, struct answer *a, uint32_t n) {
    const int32_t *tokens = answer_tokens(a, a->seq->n_tok, &n);
    while (n && kv_need(kv_of(w), a->seq, n) > p->pages) n = n > KV_PAGE ? n - KV_PAGE : n > 1 ? 1 : 0;
    const uint32_t table = kv_pages_for(a->seq->n_tok + n);
    if (!n || table > p->table || p->n == ENGINE_SEQUENCES) return false;
    p->pages -= kv_need(kv_of(w), a->seq, n);
    p->table -= table;
    p->n_tok += n;
    p->items[p->n] = (struct decoder_item){a->seq, tokens, n, n == pending(a)};
    p->owner[p->n++] = a;
    return true;
}

/* The next token of each answer, those first that had to wait for a place in the page table; then chunks of prompts, the earliest answer's first. */
static void plan(struct worker *w, struct step *p) {
    struct answers *s = &w->answers;
    const uint32_t most = decoder_options_of(decoder_of(w))->max_tok;
    *p = (struct step){.pages = free_pages(w), .table = decoder_page_room(decoder_of(w))};
    for (uint32_t k = 0; k < s->n; k++) {
        struct answer *a = s->list[(s->first + k) % s->n];
        if (pending(a) == 1 && !add_item(w, p, a, 1)) p->blocked |= kv_need(kv_of(w), a->seq, 1) > p->pages;
    }
    uint32_t chunk = p->n ? smaller(MIXED_TOKENS, most - p->n_tok) : most;
    if (s->chunk) chunk = smaller(chunk, s->chunk);
    for (uint32_t k = 0; k < s->n && chunk; k++) {
        const uint32_t before = p->n_tok;
        if (pending(s->list[k]) > 1 && add_item(w, p, s->list[k], chunk)) chunk -= p->n_tok - before;
    }
    s->first++;
}

/* What an item's logits make of its answer. */
static void take_result(struct worker *w, const struct decoder_item *it, struct answer *a, const float *logits) {
    struct generate_call *c = a->c;
    const bool prompt = it->n > 1 || a->seq->n_tok <= c->n_prompt;
    bool more = true;
    gllm_error error = {0};
    gllm_status status = GLLM_OK;
    if (prompt && !answer_heard(a)) more = false;
    else if (it->n_out) status = answer_next(a, w->model, logits, &more, &error);
    if (status == GLLM_OK && it->n_out && more && a->seq->n_tok >= decoder_context(decoder_of(w))) {
        c->context_full = true;
        more = false;
    }
    if (status != GLLM_OK || !more) leave(w, a, status, &error);
}

static gllm_status run_items(struct worker *w, const struct step *p, uint32_t first, uint32_t n, gllm_error *err) {
    const size_t n_vocab = w->model->files.cfg.n_vocab;
    const float *logits;
    uint32_t n_tok = 0;
    TRY(decoder_step(decoder_of(w), p->items + first, n, &logits, err));
    for (uint32_t i = first; i < first + n; i++) n_tok += p->items[i].n;
    engine_count(w->engine, n_tok, n);
    for (uint32_t i = first; i < first + n; i++) {
        const uint32_t n_out = p->items[i].n_out;
        take_result(w, &p->items[i], p->owner[i], logits);
        logits += n_out * n_vocab;
    }
    return GLLM_OK;
}

/* Memory ran out: smaller chunks, then fewer answers; false: there is nothing left to give up. */
static bool give_up_some(struct worker *w, uint32_t n_tok) {
    struct answers *s = &w->answers;
    w->model->backend->ops->trim(w->model->backend);
    if (n_tok > s->n + LEAST_CHUNK) {
        s->chunk = n_tok / 2 > LEAST_CHUNK ? n_tok / 2 : LEAST_CHUNK;
        log_line(&w->model->log, GLLM_LOG_WARN, "out of memory in a step of %u tokens: prompts in chunks of %u from now on", n_tok, s->chunk);
        return true;
    }
    if (s->n < 2) return false;
    log_line(&w->model->log, GLLM_LOG_WARN, "out of memory in a step of %u answers: one of them waits", s->n);
    put_back(w, latest(s));
    return true;
}

/* A step that fails is done again item by item: who fails alone ends. */
static void run_step(struct worker *w, const struct step *p) {
    gllm_error error = {0};
    gllm_status status = run_items(w, p, 0, p->n, &error);
    if (status == GLLM_OK || (status == GLLM_NOMEM && give_up_some(w, p->n_tok))) return;
    for (uint32_t i = 0; i < p->n; i++) {
        if (p->n > 1) status = run_items(w, p, i, 1, &error);
        if (status != GLLM_OK) leave(w, p->owner[i], status, &error);
    }
}

static void step(struct worker *w) {
    struct answers *s = &w->answers;
    struct step p;
    for (plan(w, &p); s->n && (p.blocked || !p.n); plan(w, &p)) {
        gllm_error error;
        if (s->n > 1 || w->active) put_back(w, latest(s));
        else leave(w, s->list[0], err_set(&error, GLLM_TOO_LONG, "the cache is full: no room for token %u of an answer that is alone", answer_length(s->list[0])), &error);
    }
    if (p.n) run_step(w, &p);
}

/* Without a cache the next answer fails, for the reason that there is none. */
static bool open_cache(struct worker *w) {
    struct engine *e = w->engine;
    gllm_error error = {0};
    const gllm_status status = engine_open_decoder(w->model, e, &error);
    if (status == GLLM_OK) return true;
    pthread_mutex_lock(&e->lock);
    struct task *t = turns_find(&e->turns[TASK_ANSWER], NULL, NULL);
    if (t) {
        turns_remove(&e->turns[TASK_ANSWER], t);
        task_begin(e, t);
    }
    pthread_mutex_unlock(&e->lock);
    if (t) end(w, t->work, status, &error);
    return false;
}

bool answers_round(struct worker *w) {
    struct engine *e = w->engine;
    struct answers *s = &w->answers;
    if (!s->n && !s->back && (!e->turns[TASK_ANSWER].first || others_have_fewer(w))) return false;
    pthread_mutex_unlock(&e->lock);
    if (open_cache(w)) {
        end_overdue(w);
        for (struct answer *a; (a = next_answer(w));) join(w, a);
        step(w);
    }
    pthread_mutex_lock(&e->lock);
    w->n_answers = s->n;
    if (e->turns[TASK_ANSWER].first && e->n_workers > 1) pthread_cond_broadcast(&e->arrived);
    return true;
}
