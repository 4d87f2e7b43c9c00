#include "engine/rank_prompt.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "text/chat.h"

/* As Qwen3-Reranker's model card publishes it. */
static const char JUDGE[] = "Judge whether the Document meets the requirements based on the Query and the Instruct provided. Note that the answer can only be \"yes\" or \"no\".";
static const char INSTRUCTION[] = "Given a web search query, retrieve relevant passages that answer the query";
static const char PREFIX_OPEN[] = "<|im_start|>system\n", PREFIX_END[] = "<|im_end|>\n<|im_start|>user\n";
static const char SUFFIX[] = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n";

/* ---- texts ---- */

void rank_text_add(struct rank_text *t, const char *s, size_t len, bool caller) {
    if (!len || t->failed) return;
    if (len > t->room - t->len) {
        const size_t room = 2 * (t->len + len);
        char *text = realloc(t->text, room);
        if ((t->failed = !text)) return;
        t->text = text, t->room = room;
    }
    if (caller && t->n_plain == t->plain_room) {
        const size_t room = 2 * t->plain_room + 4;
        struct text_span *plain = realloc(t->plain, room * sizeof *plain);
        if ((t->failed = !plain)) return;
        t->plain = plain, t->plain_room = room;
    }
    if (caller) t->plain[t->n_plain++] = (struct text_span){t->len, len};
    memcpy(t->text + t->len, s, len);
    t->len += len;
}

void rank_text_cut(struct rank_text *t, size_t len) {
    if (len < t->len) t->len = len;
    while (t->n_plain && t->plain[t->n_plain - 1].at >= len) t->n_plain--;
    struct text_span *last = t->n_plain ? &t->plain[t->n_plain - 1] : NULL;
    if (last && last->at + last->len > len) last->len = len - last->at;
}

void rank_text_free(struct rank_text *t) {
    free(t->text);
    free(t->plain);
    *t = (struct rank_text){0};
}

static void add(struct rank_text *t, const char *s) { rank_text_add(t, s, strlen(s), false); }
static void add_caller(struct rank_text *t, gllm_str s) { rank_text_add(t, s.ptr, s.len, true); }

/* ---- prompts, each as the texts before and after the document ---- */

static void add_question(struct rank_text *t, const struct rank_question *q, const char *usual) {
    add(t, "<Instruct>: ");
    if (q->instruction.ptr) add_caller(t, q->instruction);
    else add(t, usual ? usual : INSTRUCTION);
    add(t, "\n<Query>: ");
    add_caller(t, q->query);
    add(t, "\n<Document>: ");
}

static void published(const struct model_files *f, const struct rank_question *q, struct rank_text *before, struct rank_text *after) {
    add(before, PREFIX_OPEN);
    add(before, JUDGE);
    add(before, PREFIX_END);
    add_question(before, q, f->hints.instruction);
    add(after, SUFFIX);
}

static size_t begins(const char *s, const char *end, const char *word) {
    const size_t n = strlen(word);
    return n <= (size_t)(end - s) && !memcmp(s, word, n) ? n : 0;
}

/* {query} and {document} replaced; an instruction takes the place of the usual one, which such a text has in it. */
static gllm_status from_pattern(const struct ranker *r, const struct rank_question *q, struct rank_text *before, struct rank_text *after, gllm_error *err) {
    const char *const end = r->pattern + r->pattern_len;
    struct rank_text *t = before;
    bool instructed = !q->instruction.ptr;
    for (const char *s = r->pattern; s < end;) {
        size_t n;
        if ((n = begins(s, end, "{query}"))) add_caller(t, q->query);
        else if ((n = begins(s, end, "{document}"))) t = after;
        else if (q->instruction.ptr && (n = begins(s, end, INSTRUCTION))) add_caller(t, q->instruction), instructed = true;
        else rank_text_add(t, s, n = 1, false);
        s += n;
    }
    return instructed ? GLLM_OK : err_set(err, GLLM_INVALID, "instruction: the model's rerank template has no place for one");
}

/* ---- prompts by a chat template ---- */

enum { MARK_FIRST = 0xe000, MARK_COUNT = 256 };
struct mark { /* a private-use character that stands for the document */
    char text[5];
    size_t len;
};
static bool holds(gllm_str s, const struct mark *m) { return s.len && memmem(s.ptr, s.len, m->text, m->len); }

static gllm_status choose_mark(const struct rank_question *q, struct mark *m, gllm_error *err) {
    for (uint32_t i = 0; i < MARK_COUNT; i++) {
        *m = (struct mark){0};
        m->len = utf8_write(MARK_FIRST + i, m->text);
        if (!holds(q->query, m) && (!q->instruction.ptr || !holds(q->instruction, m))) return GLLM_OK;
    }
    return err_set(err, GLLM_INVALID, "query: it holds every private-use character from U+E000 to U+E0FF");
}

static bool add_message(json_t *messages, const char *role, const char *text, size_t len) {
    json_t *m = json_pack("{s:s,s:s%}", "role", role, "content", text, len);
    return m && !json_array_append_new(messages, m);
}

/* The rendered text, split where the mark stands; it must be the caller's there and nowhere else. */
static gllm_status split(const struct jinja_text *t, const struct mark *m, struct rank_text *before, struct rank_text *after, gllm_error *err) {
    const char *at = memmem(t->data, t->len, m->text, m->len);
    const size_t doc = at ? (size_t)(at - t->data) : 0, rest = doc + m->len;
    if (!at || memmem(at + m->len, t->len - rest, m->text, m->len)) return err_set(err, GLLM_UNSUPPORTED, "the chat template does not show a message once and as it is");
    size_t from = 0;
    for (size_t i = 0; i <= t->n_caller; i++) { /* what the template wrote, then what the caller did */
        const struct text_span s = i < t->n_caller ? t->caller[i] : (struct text_span){t->len, 0};
        const size_t pieces[2][2] = {{from, s.at}, {s.at, s.at + s.len}};
        for (int k = 0; k < 2; k++) {
            const size_t a = pieces[k][0], b = pieces[k][1];
            if (a < doc) rank_text_add(before, t->data + a, (b < doc ? b : doc) - a, k == 1);
            if (b > rest) rank_text_add(after, t->data + (a > rest ? a : rest), b - (a > rest ? a : rest), k == 1);
        }
        from = s.at + s.len;
    }
    return GLLM_OK;
}

static gllm_status render(const struct model_files *f, json_t *messages, const struct mark *m, struct rank_text *before, struct rank_text *after, gllm_error *err) {
    json_t *args = json_pack("{s:b}", "enable_thinking", 0);
    /* The day is fixed: a score does not depend on the calendar. It is the one that Llama 3's templates take without a clock. */
    const struct chat_request request = {.messages = messages, .args = args, .now = {.tm_year = 124, .tm_mon = 6, .tm_mday = 26}};
    struct jinja_text text = {0};
    if (!args) return err_nomem(err, "chat template");
    gllm_status status = chat_render(&f->chat, &request, &text, err);
    if (status == GLLM_OK) status = split(&text, m, before, after, err);
    jinja_text_free(&text);
    json_decref(args);
    return status;
}

/* sentence-transformers' messages for a pair; the instruction is its prompt, by default the one of the model's files. */
static gllm_status by_roles(const struct model_files *f, const struct rank_question *q, struct rank_text *before, struct rank_text *after, gllm_error *err) {
    gllm_str system = q->instruction;
    struct mark m;
    TRY(choose_mark(q, &m, err));
    const struct hf_prompt *usual = f->dir.default_prompt_name ? hfdir_prompt(&f->dir, f->dir.default_prompt_name) : NULL;
    if (!system.ptr && usual) system = (gllm_str){usual->text, strlen(usual->text)};
    json_t *messages = json_array();
    bool ok = messages && (!system.ptr || !system.len || add_message(messages, "system", system.ptr, system.len));
    ok = ok && add_message(messages, "query", q->query.len ? q->query.ptr : "", q->query.len) && add_message(messages, "document", m.text, m.len);
    gllm_status status = ok ? render(f, messages, &m, before, after, err) : err_nomem(err, "messages");
    json_decref(messages);
    return status;
}

/* The published question as a conversation. A template without a system message gets it all from the user. */
static gllm_status by_judge(const struct model_files *f, const struct rank_question *q, struct rank_text *before, struct rank_text *after, gllm_error *err) {
    gllm_status status = GLLM_OK;
    struct mark m;
    TRY(choose_mark(q, &m, err));
    for (int one = 0; one < 2; one++) {
        struct rank_text user = {0};
        json_t *messages = json_array();
        if (one) add(&user, JUDGE), add(&user, "\n\n");
        add_question(&user, q, NULL);
        rank_text_add(&user, m.text, m.len, true);
        const bool ok = messages && !user.failed && (one || add_message(messages, "system", JUDGE, sizeof JUDGE - 1)) && add_message(messages, "user", user.text, user.len);
        status = ok ? render(f, messages, &m, before, after, err) : err_nomem(err, "messages");
        rank_text_free(&user);
        json_decref(messages);
        if (status != GLLM_INVALID) break;
    }
    return status;
}

/* ---- tokens ---- */

static gllm_status encode(const struct model_files *f, const struct rank_text *t, struct encoding *out, gllm_error *err) {
    const struct encode_options opt = {.parse_special = true, .plain = t->plain, .n_plain = t->n_plain};
    return tokenizer_encode(f->tokenizer, t->text ? t->text : "", t->len, NULL, 0, &opt, out, err);
}

static gllm_status keep_tail(struct rank_prompt *p, const int32_t *ids, uint32_t n, gllm_error *err) {
    p->tail = malloc((n + 1) * sizeof *p->tail);
    if (!p->tail) return err_nomem(err, "prompt");
    if (n) memcpy(p->tail, ids, n * sizeof *ids);
    p->n_tail = n;
    return GLLM_OK;
}

static void join(struct rank_text *t, const struct rank_text *more) {
    size_t from = 0;
    for (size_t i = 0; i < more->n_plain; from = more->plain[i].at + more->plain[i].len, i++) {
        rank_text_add(t, more->text + from, more->plain[i].at - from, false);
        rank_text_add(t, more->text + more->plain[i].at, more->plain[i].len, true);
    }
    if (more->len > from) rank_text_add(t, more->text + from, more->len - from, false);
}

/* The tokens of `after` as they come behind a word, since some tokenizers begin a text in a way of its own; where the word's own tokens change by
 * what follows, those of `after` by itself. */
static gllm_status encode_tail(struct rank_prompt *p, const struct model_files *f, const struct rank_text *after, gllm_error *err) {
    struct encoding word = {0}, both = {0};
    const size_t len = p->before.len;
    gllm_status status;
    rank_text_add(&p->before, "D", 1, true);
    TRY_GO(encode(f, &p->before, &word, err));
    join(&p->before, after);
    TRY_GO(p->before.failed ? err_nomem(err, "prompt") : encode(f, &p->before, &both, err));
    const bool apart = both.count >= word.count && !memcmp(both.ids, word.ids, word.count * sizeof *word.ids);
    if (!apart) TRY_GO(encode(f, after, &both, err));
    const uint32_t from = apart ? word.count : 0;
    status = keep_tail(p, both.ids + from, both.count - from, err);
done:
    rank_text_cut(&p->before, len);
    encoding_free(&word);
    encoding_free(&both);
    return status;
}

gllm_status rank_prompt_open(struct rank_prompt *p, const struct model_files *f, const struct rank_question *q, gllm_error *err) {
    const struct ranker *r = &f->ranker;
    struct rank_text after = {0};
    struct encoding e = {0};
    gllm_status status = GLLM_OK;
    if (q->judge) status = by_judge(f, q, &p->before, &after, err);
    else if (r->roles) status = by_roles(f, q, &p->before, &after, err);
    else if (r->pattern) status = from_pattern(r, q, &p->before, &after, err);
    else published(f, q, &p->before, &after);
    if (status == GLLM_OK && (p->before.failed || after.failed)) status = err_nomem(err, "prompt");
    if (status == GLLM_OK) status = encode(f, &p->before, &e, err);
    p->n_before = e.count;
    if (status == GLLM_OK) status = encode_tail(p, f, &after, err);
    encoding_free(&e);
    rank_text_free(&after);
    return status;
}

void rank_prompt_free(struct rank_prompt *p) {
    rank_text_free(&p->before);
    free(p->tail);
    *p = (struct rank_prompt){0};
}

/* Leaves out tokens so that `room` are left: the last ones, or those that follow the prompt's. */
static void cut(struct encoding *e, uint32_t room, uint32_t n_before, bool from_start) {
    if (e->count <= room) return;
    if (from_start && n_before < room) memmove(e->ids + n_before, e->ids + e->count - (room - n_before), (room - n_before) * sizeof *e->ids);
    e->count = room;
}

gllm_status rank_prompt_encode(struct rank_prompt *p, const struct model_files *f, gllm_str document, uint32_t limit, bool from_start, struct encoding *out, bool *query_cut, gllm_error *err) {
    const size_t len = p->before.len;
    if (limit <= p->n_tail) return err_set(err, GLLM_TOO_LONG, "the prompt's end has %u tokens, the limit is %u", p->n_tail, limit);
    rank_text_add(&p->before, document.ptr, document.len, true);
    gllm_status status = p->before.failed ? err_nomem(err, "document") : encode(f, &p->before, out, err);
    rank_text_cut(&p->before, len);
    TRY(status);
    *query_cut = p->n_before > limit - p->n_tail;
    cut(out, limit - p->n_tail, p->n_before, from_start);
    return GLLM_OK;
}
