#include "engine/rank_list.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/generate.h"
#include "engine/worker.h"
#include "model/decoder.h"

/* The prompt, its tokens and the limits are those of the model's published code (jinaai/jina-reranker-v3, modeling.py). */
enum { BLOCK_DOCUMENTS = 125, DOCUMENT_TOKENS = 2048, QUERY_TOKENS = 512 };
enum { FRAME_TOKENS = 100, PASSAGE_TOKENS = 12 }; /* at least so many are around the documents, and around each */
static const struct hint_listwise PUBLISHED = { /* for a model of which nothing is known beside its files */
    .prefix = "<|im_start|>system\n"
              "You are a search relevance expert who can determine a ranking of the passages based on how relevant they are to the query. "
              "If the query is a question, how relevant a passage is depends on how well it answers the question. "
              "If not, try to analyze the intent of the query and assess how well each passage satisfies the intent. "
              "If an instruction is provided, you should follow the instruction when determining the ranking."
              "<|im_end|>\n<|im_start|>user\n",
    .lead = "I will provide you with {n} passages, each indicated by a numerical identifier. Rank the passages based on their relevance to query: {query}\n",
    .instruction = "<instruct>\n{task}\n</instruct>\n",
    .passage = "<passage id=\"{i}\">\n{document}" RANKER_DOC_TOKEN "\n</passage>",
    .query = "<query>\n{query}" RANKER_QUERY_TOKEN "\n</query>",
    .suffix = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
};

struct short_text { /* a caller's text as the model is to see it: cut, without the two tokens; owned */
    char *text;
    size_t len;
    uint32_t tokens;
};
struct block { /* documents [first, first + n) in one context */
    size_t first, n;
    struct encoding ids;
    double weight;
};
struct list {
    struct rank_call *c;
    struct short_text query, instruction, *documents; /* [c->n] */
    struct block *blocks;
    size_t n_blocks;
    float *vectors, *queries; /* [c->n][n_out], [n_blocks][n_out] */
    size_t block;       /* that is computed */
    uint32_t found;     /* vectors of it so far */
    struct kv_seq *seq; /* of it; NULL: it has not begun */
};

/* ---- on the caller's thread ---- */

/* Takes the two tokens out of s, also where one comes about by taking out another. */
static void strip(struct short_text *s) {
    static const char *const TOKENS[] = {RANKER_DOC_TOKEN, RANKER_QUERY_TOKEN};
    for (unsigned k = 0, clean = 0; clean < 2; k = !k) {
        const size_t n = strlen(TOKENS[k]);
        char *at = memmem(s->text, s->len, TOKENS[k], n);
        clean = at ? 0 : clean + 1;
        for (; at; at = memmem(at, s->len - (size_t)(at - s->text), TOKENS[k], n)) {
            memmove(at, at + n, s->len - n - (size_t)(at - s->text));
            s->len -= n;
        }
    }
}

/* At most `most` tokens of a text (0: all). */
static gllm_status shorten(const struct model_files *f, gllm_str text, uint32_t most, gllm_truncate truncate, struct short_text *out, uint32_t *full, gllm_error *err) {
    struct encoding e = {0};
    const struct encode_options opt = {.max_tokens = most, .side = truncate == GLLM_TRUNCATE_START ? TOKENIZER_CUT_START : TOKENIZER_CUT_END};
    gllm_status status = tokenizer_encode(f->tokenizer, text.ptr ? text.ptr : "", text.len, NULL, 0, &opt, &e, err);
    out->tokens = e.count;
    *full = e.full_count;
    if (status == GLLM_OK && e.count < e.full_count) status = tokenizer_decode(f->tokenizer, e.ids, e.count, false, &out->text, &out->len, err);
    else if (status == GLLM_OK && (out->text = malloc(text.len + 1))) out->len = text.len, memcpy(out->text, text.ptr ? text.ptr : "", text.len);
    encoding_free(&e);
    if (status == GLLM_OK && !out->text) return err_nomem(err, "document");
    if (status == GLLM_OK) strip(out);
    return status;
}

static gllm_status shorten_all(const struct model_files *f, struct list *l, gllm_error *err) {
    struct rank_call *c = l->c;
    uint32_t full;
    TRY(shorten(f, c->question.query, QUERY_TOKENS, GLLM_TRUNCATE_END, &l->query, &full, err));
    const bool query_cut = l->query.tokens < full;
    TRY(shorten(f, c->question.instruction, 0, GLLM_TRUNCATE_END, &l->instruction, &full, err));
    for (size_t i = 0; i < c->n; i++) {
        TRY(shorten(f, c->documents[i], DOCUMENT_TOKENS, c->truncate, &l->documents[i], &c->full_tokens[i], err));
        c->tokens[i] = l->documents[i].tokens;
        c->query_cut[i] = query_cut;
        if (c->truncate == GLLM_TRUNCATE_NONE && c->tokens[i] < c->full_tokens[i])
            return err_set(err, GLLM_TOO_LONG, "document %zu has %u tokens, expected at most %d", i, c->full_tokens[i], DOCUMENT_TOKENS);
    }
    return GLLM_OK;
}

struct hole { /* {name} in a text: the caller's, or a number */
    const char *name;
    const struct short_text *text; /* NULL: the number */
    size_t number;
};

static void add(struct rank_text *t, const char *pattern, const struct hole *holes, size_t n_holes) {
    char number[24];
    for (const char *s = pattern; *s;) {
        const struct hole *h = holes;
        while (h < holes + n_holes && strncmp(s, h->name, strlen(h->name))) h++;
        const bool hole = h < holes + n_holes;
        const size_t n = hole ? strlen(h->name) : 1;
        if (!hole) rank_text_add(t, s, n, false);
        else if (h->text) rank_text_add(t, h->text->text, h->text->len, true);
        else rank_text_add(t, number, (size_t)snprintf(number, sizeof number, "%zu", h->number), false);
        s += n;
    }
}

static void write_block(struct rank_text *t, const struct hint_listwise *p, const struct list *l, const struct block *b) {
    const struct hole query[] = {{"{query}", &l->query, 0}, {"{n}", NULL, b->n}}, task = {"{task}", &l->instruction, 0};
    add(t, p->prefix, NULL, 0);
    add(t, p->lead, query, 2);
    if (l->instruction.len) add(t, p->instruction, &task, 1);
    for (size_t i = 0; i < b->n; i++) {
        const struct hole passage[] = {{"{document}", &l->documents[b->first + i], 0}, {"{i}", NULL, i}};
        add(t, p->passage, passage, 2);
        add(t, "\n", NULL, 0);
    }
    add(t, p->query, query, 1);
    add(t, p->suffix, NULL, 0);
}

/* How many documents the context can hold at most: each has some tokens around it. */
static size_t block_size(const struct list *l, size_t first, uint32_t n_ctx) {
    int64_t left = (int64_t)n_ctx - FRAME_TOKENS - 2 * (int64_t)l->query.tokens;
    size_t n = 0;
    for (; first + n < l->c->n && n < BLOCK_DOCUMENTS; n++)
        if ((left -= l->documents[first + n].tokens + PASSAGE_TOKENS) < 0 && n) break;
    return n;
}

/* The tokens of a block, with fewer documents where there are more tokens around them. */
static gllm_status encode_block(const struct model_files *f, const struct list *l, struct block *b, uint32_t n_ctx, gllm_error *err) {
    for (;; b->n--) {
        struct rank_text t = {0};
        write_block(&t, f->hints.listwise.prefix ? &f->hints.listwise : &PUBLISHED, l, b);
        const struct encode_options opt = {.parse_special = true, .plain = t.plain, .n_plain = t.n_plain};
        gllm_status status = t.failed ? err_nomem(err, "prompt") : tokenizer_encode(f->tokenizer, t.text, t.len, NULL, 0, &opt, &b->ids, err);
        rank_text_free(&t);
        if (status != GLLM_OK || b->ids.count <= n_ctx) return status;
        if (b->n == 1) return err_set(err, GLLM_TOO_LONG, "document %zu has %u tokens with its prompt, the context %u", b->first, b->ids.count, n_ctx);
    }
}

static gllm_status make_blocks(const struct model_files *f, struct list *l, uint32_t n_ctx, gllm_error *err) {
    for (size_t first = 0; first < l->c->n;) {
        struct block *more = realloc(l->blocks, (l->n_blocks + 1) * sizeof *more);
        if (!more) return err_nomem(err, "blocks");
        l->blocks = more;
        struct block *b = &l->blocks[l->n_blocks++];
        *b = (struct block){.first = first, .n = block_size(l, first, n_ctx)};
        TRY(encode_block(f, l, b, n_ctx, err));
        first += b->n;
    }
    return GLLM_OK;
}

/* ---- on the worker ---- */

static double cosine(const float *a, const float *b, uint32_t n) {
    double dot = 0, aa = 0, bb = 0;
    for (uint32_t i = 0; i < n; i++) dot += (double)a[i] * b[i], aa += (double)a[i] * a[i], bb += (double)b[i] * b[i];
    return dot / fmax(sqrt(aa) * sqrt(bb), 1e-12);
}

/* Where the tokens of interest are among ids[at, at + n). */
static uint32_t rows_in(const struct ranker *r, const struct block *b, uint32_t at, uint32_t n, uint32_t most, uint32_t *rows, uint32_t *taken) {
    uint32_t n_rows = 0, i = 0;
    for (; i < n && n_rows < most; i++)
        if (b->ids.ids[at + i] == r->doc_token || b->ids.ids[at + i] == r->query_token) rows[n_rows++] = i;
    *taken = i;
    return n_rows;
}

/* One chunk of the block's context: vectors of its documents, in order, then the query's. */
static gllm_status run_chunk(struct engine *e, struct decoder *d, const struct ranker *r, struct list *l, gllm_error *err) {
    const struct decoder_options *o = decoder_options_of(d);
    const struct block *b = &l->blocks[l->block];
    const uint32_t at = l->seq->n_tok, left = b->ids.count - at;
    const size_t size = r->n_out * sizeof *l->vectors;
    uint32_t n, *rows = malloc(o->max_out * sizeof *rows);
    const float *values;
    if (!rows) return err_nomem(err, "rows");
    const uint32_t n_rows = rows_in(r, b, at, left < o->max_tok ? left : o->max_tok, o->max_out, rows, &n);
    gllm_status status = decoder_rank(d, &(struct decoder_item){l->seq, b->ids.ids + at, n, n_rows}, 1, rows, &values, err);
    for (uint32_t i = 0; status == GLLM_OK && i < n_rows; i++, l->found++)
        memcpy(l->found < b->n ? l->vectors + (b->first + l->found) * r->n_out : l->queries + l->block * r->n_out, values + (size_t)i * r->n_out, size);
    if (status == GLLM_OK) engine_count(e, n, 1);
    free(rows);
    return status;
}

static void score_all(struct list *l, uint32_t n_out) {
    double total = 0;
    float *mean = l->queries; /* the first block's place */
    for (size_t i = 0; i < l->n_blocks; i++) {
        struct block *b = &l->blocks[i];
        for (size_t k = b->first; k < b->first + b->n; k++) b->weight = fmax(b->weight, (1 + cosine(l->vectors + k * n_out, l->queries + i * n_out, n_out)) / 2);
        total += b->weight;
    }
    for (uint32_t j = 0; j < n_out; j++) {
        double sum = 0;
        for (size_t i = 0; i < l->n_blocks; i++) sum += l->blocks[i].weight * (double)l->queries[i * n_out + j];
        mean[j] = (float)(total > 0 ? sum / total : sum);
    }
    for (size_t k = 0; k < l->c->n; k++) l->c->scores[k] = (float)cosine(l->vectors + k * n_out, mean, n_out);
}

static gllm_status step_list(struct engine *e, struct model *m, struct task *t, bool *more, gllm_error *err) {
    struct list *l = t->work;
    struct rank_call *c = l->c;
    const struct ranker *r = &m->files.ranker;
    const struct block *b = &l->blocks[l->block];
    const size_t done = b->first + b->n;
    const double start = clock_ms();
    TRY(engine_open_decoder(m, e, err));
    if (!l->seq) TRY(kv_begin(decoder_kv(m->decoder), NULL, 0, &l->seq, err));
    TRY(run_chunk(e, m->decoder, r, l, err));
    if (l->seq->n_tok == b->ids.count) {
        if (l->found != b->n + 1) return err_set(err, GLLM_DEVICE, "a block of %zu documents gave %u vectors", b->n, l->found);
        kv_end(decoder_kv(m->decoder), l->seq, false);
        l->seq = NULL, l->found = 0;
        *more = ++l->block < l->n_blocks;
        if (c->progress && !c->progress(c->progress_user, done, c->n) && *more) return err_set(err, GLLM_CANCELED, "canceled after %zu of %zu documents", done, c->n);
        if (!*more) score_all(l, r->n_out);
    }
    c->compute_ms += clock_ms() - start;
    return GLLM_OK;
}

static void leave_list(struct model *m, struct task *t) {
    struct list *l = t->work;
    if (m->decoder) kv_end(decoder_kv(m->decoder), l->seq, false);
}

static void list_free(struct list *l) {
    for (size_t i = 0; l->documents && i < l->c->n; i++) free(l->documents[i].text);
    for (size_t i = 0; i < l->n_blocks; i++) encoding_free(&l->blocks[i].ids);
    void *all[] = {l->query.text, l->instruction.text, l->documents, l->blocks, l->vectors, l->queries, l};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}
static void end_list(struct task *t) { list_free(t->work); }

gllm_status rank_list_submit(struct engine *e, struct rank_call *c, gllm_error *err) {
    static const struct task_kind KIND = {TASK_STEPS, step_list, leave_list, end_list};
    const struct model_files *f = &engine_model(e)->files;
    const uint32_t n_out = f->ranker.n_out;
    struct list *l = calloc(1, sizeof *l);
    if (!l) return err_nomem(err, "documents");
    *l = (struct list){.c = c, .documents = calloc(c->n, sizeof *l->documents), .vectors = malloc(c->n * n_out * sizeof(float))};
    gllm_status status = l->documents && l->vectors ? shorten_all(f, l, err) : err_nomem(err, "documents");
    if (status == GLLM_OK) status = make_blocks(f, l, engine_context(e), err);
    for (size_t i = 0; i < l->n_blocks; i++) c->task.cached = l->blocks[i].ids.count > c->task.cached ? l->blocks[i].ids.count : c->task.cached;
    c->compute_ms = 0;
    if (status == GLLM_OK && !(l->queries = malloc(l->n_blocks * n_out * sizeof(float)))) status = err_nomem(err, "queries");
    if (status == GLLM_OK) status = engine_submit(e, &c->task, &KIND, l, err);
    if (status != GLLM_OK) list_free(l);
    return status;
}
