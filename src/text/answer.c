#include "text/answer.h"

#include <stdlib.h>
#include <string.h>

#include "text/answer_impl.h"

static bool blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

void answer_tell(struct answer *a, enum answer_part part, const char *text, size_t len) {
    if (a->status != GLLM_OK || (!len && part != ANSWER_CALL)) return;
    const struct answer_event e = {part, a->n_calls ? a->n_calls - 1 : 0, text, len};
    a->status = a->o.fn(a->o.user, &e, a->err);
}

void answer_take(struct answer *a, size_t n) {
    memmove(a->held, a->held + n, a->len - n);
    a->len -= n;
}

size_t answer_blanks(const struct answer *a, size_t from) {
    while (from < a->len && blank(a->held[from])) from++;
    return from;
}

enum answer_found answer_starts(const struct answer *a, size_t at, const char *mark) {
    const size_t n = strlen(mark), left = a->len - at;
    if (left >= n) return memcmp(a->held + at, mark, n) ? FOUND_NOT : FOUND;
    return a->ended || memcmp(a->held + at, mark, left) ? FOUND_NOT : FOUND_PART;
}

enum answer_found answer_find(const struct answer *a, size_t from, const char *mark, size_t *at) {
    for (size_t i = from; i < a->len; i++) {
        const char *next = memchr(a->held + i, mark[0], a->len - i);
        if (!next) break;
        i = (size_t)(next - a->held);
        const enum answer_found f = answer_starts(a, i, mark);
        if (f == FOUND_NOT) continue;
        *at = i;
        return f;
    }
    *at = a->len;
    return FOUND_NOT;
}

static void tell_and_take(struct answer *a, enum answer_part part, size_t n) {
    answer_tell(a, part, a->held, n);
    answer_take(a, n);
}

/* The end of held[0..n) without the white space there. */
static size_t trimmed(const struct answer *a, size_t n) {
    while (n && blank(a->held[n - 1])) n--;
    return n;
}

/* Whether calls are to be read that no mark opens. */
static bool unmarked(const struct answer *a) { return a->o.tools && a->o.style.calls && !a->o.style.calls->open; }

/* A call without an opening mark at `at`. FOUND_NOT: there is none. */
static enum answer_found unmarked_call(struct answer *a, size_t at) {
    const char *also = a->o.style.calls->also;
    enum answer_found f = also ? answer_starts(a, at, also) : FOUND_NOT;
    if (f == FOUND) call_begin(a, at + strlen(also), at + strlen(also));
    if (f != FOUND_NOT) return f;
    f = call_may_begin(a, at);
    if (f == FOUND) call_begin(a, at, at);
    return f;
}

/* Before the first character: is this a thought, a call, or content? A thought may be closed that was never opened. */
static bool at_start(struct answer *a) {
    const struct thought_marks *thought = a->o.style.thought;
    const size_t at = answer_blanks(a, 0);
    const enum answer_found open = thought ? answer_starts(a, at, thought->open) : FOUND_NOT, close = thought ? answer_starts(a, at, thought->close) : FOUND_NOT;
    if ((at == a->len && !a->ended) || open == FOUND_PART || close == FOUND_PART) return false;
    if (open == FOUND || close == FOUND) {
        answer_take(a, at + strlen(open == FOUND ? thought->open : thought->close));
        a->state = open == FOUND ? ANSWER_THINKS : ANSWER_AFTER;
        return true;
    }
    const enum answer_found call = unmarked(a) ? unmarked_call(a, at) : FOUND_NOT;
    if (call == FOUND_PART) return false;
    a->state = call == FOUND ? ANSWER_BODY : ANSWER_TELLS;
    return true;
}

static bool thinks(struct answer *a) {
    const char *close = a->o.style.thought->close;
    if (!a->thinking) answer_take(a, answer_blanks(a, 0));
    size_t at;
    const enum answer_found f = answer_find(a, 0, close, &at);
    const size_t end = trimmed(a, at);
    if (end) a->thinking = true;
    tell_and_take(a, ANSWER_REASONING, end);
    if (f == FOUND) {
        answer_take(a, at - end + strlen(close));
        a->state = ANSWER_AFTER;
    } else if (a->ended) answer_take(a, a->len);
    return f == FOUND;
}

/* Behind a thought or a call: white space is nobody's. */
static bool after(struct answer *a) {
    answer_take(a, answer_blanks(a, 0));
    if (!a->len) return false;
    const enum answer_found f = unmarked(a) ? unmarked_call(a, 0) : FOUND_NOT;
    if (f == FOUND_PART) return false;
    a->state = f == FOUND ? ANSWER_BODY : ANSWER_TELLS;
    return true;
}

/* The first mark that opens a call; of TAGGED calls the inner mark will do. *body: where that begins. */
static enum answer_found find_call(const struct answer *a, size_t *at, size_t *body) {
    const struct call_style *s = a->o.style.calls;
    size_t other = a->len;
    enum answer_found f = answer_find(a, 0, s->open, at), g = FOUND_NOT;
    *body = *at + strlen(s->open);
    if (s->body == CALL_TAGGED && s->name_open[0]) g = answer_find(a, 0, s->name_open, &other);
    if (g == FOUND_NOT || other >= *at) return f;
    *at = *body = other;
    return g;
}

static bool tells(struct answer *a) {
    size_t at = a->len, body = 0;
    const bool calls = a->o.tools && a->o.style.calls && a->o.style.calls->open;
    const enum answer_found f = calls ? find_call(a, &at, &body) : FOUND_NOT;
    const size_t end = !calls || (a->ended && f == FOUND_NOT) ? at : trimmed(a, at);
    tell_and_take(a, ANSWER_CONTENT, end);
    if (f != FOUND) return false;
    const struct call_style *s = a->o.style.calls;
    call_begin(a, body == at ? at - end + strlen(s->name_open) : body - end, body - end);
    a->state = s->item_open ? ANSWER_ITEM : ANSWER_BODY;
    return true;
}

/* What looked like a call is content. */
static void no_call(struct answer *a) {
    tell_and_take(a, ANSWER_CONTENT, a->call.mark);
    call_end(a);
    a->state = ANSWER_TELLS;
}

/* In a list of marked items: the next one, or the end of the list. */
static bool item(struct answer *a) {
    const struct call_style *s = a->o.style.calls;
    const size_t at = answer_blanks(a, a->call.at);
    const enum answer_found open = answer_starts(a, at, s->item_open), close = s->close ? answer_starts(a, at, s->close) : FOUND_NOT;
    if (open == FOUND_PART || close == FOUND_PART) return false;
    if (open == FOUND) {
        const size_t body = at + strlen(s->item_open);
        call_begin(a, a->call.mark ? a->call.mark : body, body);
        a->state = ANSWER_BODY;
    } else if (a->call.mark) no_call(a);
    else {
        answer_take(a, close == FOUND ? at + strlen(s->close) : 0);
        a->state = ANSWER_AFTER;
    }
    return true;
}

/* Behind a call: its closing marks, each of which may be absent. */
static bool item_end(struct answer *a) {
    const struct call_style *s = a->o.style.calls;
    const char *const marks[] = {s->body == CALL_NAMED ? "```" : NULL, s->item_open ? s->item_close : s->close};
    size_t end = 0;
    for (unsigned i = 0; i < 2; i++) {
        const size_t at = answer_blanks(a, end);
        const enum answer_found f = marks[i] ? answer_starts(a, at, marks[i]) : FOUND_NOT;
        if (f == FOUND_PART) return false;
        if (f == FOUND) end = at + strlen(marks[i]);
    }
    answer_take(a, end);
    call_begin(a, 0, 0);
    a->state = s->item_open ? ANSWER_ITEM : ANSWER_AFTER;
    return true;
}

static bool body(struct answer *a) {
    switch (call_body(a)) {
    case BODY_WAITS: return false;
    case BODY_NONE: no_call(a); break;
    case BODY_WHOLE: a->state = ANSWER_ITEM_END; break;
    case BODY_MORE: break;
    }
    return true;
}

/* One step; false: more text is needed. */
static bool step(struct answer *a) {
    switch (a->state) {
    case ANSWER_AT_START: return at_start(a);
    case ANSWER_THINKS: return thinks(a);
    case ANSWER_AFTER: return after(a);
    case ANSWER_TELLS: return tells(a);
    case ANSWER_ITEM: return item(a);
    case ANSWER_BODY: return body(a);
    case ANSWER_ITEM_END: return item_end(a);
    }
    return false;
}

static gllm_status run(struct answer *a, gllm_error *err) {
    a->err = err;
    while (a->status == GLLM_OK && step(a)) {}
    a->err = NULL;
    return a->status;
}

gllm_status answer_open(struct answer **out, const struct answer_options *o, gllm_error *err) {
    struct answer *a = *out = calloc(1, sizeof *a);
    if (!a) return err_nomem(err, "answer");
    a->o = *o;
    if (o->opened && o->style.thought) a->state = ANSWER_THINKS;
    return GLLM_OK;
}

void answer_close(struct answer *a) {
    if (!a) return;
    call_end(a);
    free(a->held);
    free(a);
}

gllm_status answer_push(struct answer *a, const char *s, size_t n, gllm_error *err) {
    if (a->status != GLLM_OK || !n) return a->status;
    if (a->len + n > a->room) {
        char *more = realloc(a->held, 2 * (a->len + n));
        if (!more) return a->status = err_nomem(err, "answer");
        a->held = more;
        a->room = 2 * (a->len + n);
    }
    memcpy(a->held + a->len, s, n);
    a->len += n;
    return run(a, err);
}

gllm_status answer_end(struct answer *a, gllm_error *err) {
    a->ended = true;
    return run(a, err);
}

bool answer_thinks(const struct answer *a) { return a->state == ANSWER_THINKS; }
uint32_t answer_calls(const struct answer *a) { return a->n_calls; }
