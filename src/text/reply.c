#include "text/reply.h"

#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "text/reply_impl.h"

static bool blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

void reply_tell(struct reply *a, enum reply_part part, const char *text, size_t len) {
    if (a->status != GLLM_OK || (!len && part != REPLY_CALL)) return;
    const struct reply_event e = {part, a->n_calls ? a->n_calls - 1 : 0, text, len};
    a->status = a->o.fn(a->o.user, &e, a->err);
}

void reply_take(struct reply *a, size_t n) {
    if (!n) return; /* there may be no memory yet */
    memmove(a->held, a->held + n, a->len - n);
    a->len -= n;
}

size_t reply_blanks(const struct reply *a, size_t from) {
    while (from < a->len && blank(a->held[from])) from++;
    return from;
}

enum reply_found reply_starts(const struct reply *a, size_t at, const char *mark) {
    const size_t n = strlen(mark), left = a->len - at;
    if (left >= n) return memcmp(a->held + at, mark, n) ? FOUND_NOT : FOUND;
    return a->ended || memcmp(a->held + at, mark, left) ? FOUND_NOT : FOUND_PART;
}

enum reply_found reply_find(const struct reply *a, size_t from, const char *mark, size_t *at) {
    for (size_t i = from; i < a->len; i++) {
        const char *next = memchr(a->held + i, mark[0], a->len - i);
        if (!next) break;
        i = (size_t)(next - a->held);
        const enum reply_found f = reply_starts(a, i, mark);
        if (f == FOUND_NOT) continue;
        *at = i;
        return f;
    }
    *at = a->len;
    return FOUND_NOT;
}

static void tell_and_take(struct reply *a, enum reply_part part, size_t n) {
    reply_tell(a, part, a->held, n);
    reply_take(a, n);
}

/* The end of held[0..n) without the white space there. */
static size_t trimmed(const struct reply *a, size_t n) {
    while (n && blank(a->held[n - 1])) n--;
    return n;
}

/* Whether calls are to be read that no mark opens. */
static bool unmarked(const struct reply *a) { return a->o.tools && a->o.style.calls && !a->o.style.calls->open; }

/* A call without an opening mark at `at`. FOUND_NOT: there is none. */
static enum reply_found unmarked_call(struct reply *a, size_t at) {
    const char *also = a->o.style.calls->also;
    enum reply_found f = also ? reply_starts(a, at, also) : FOUND_NOT;
    if (f == FOUND) call_begin(a, at + strlen(also), at + strlen(also));
    if (f != FOUND_NOT) return f;
    f = call_may_begin(a, at);
    if (f == FOUND) call_begin(a, at, at);
    return f;
}

/* Before the first character: is this a thought, a call, or content? A thought may be closed that was never opened. */
static bool at_start(struct reply *a) {
    const struct thought_marks *thought = a->o.style.thought;
    const size_t at = reply_blanks(a, 0);
    const enum reply_found open = thought ? reply_starts(a, at, thought->open) : FOUND_NOT, close = thought ? reply_starts(a, at, thought->close) : FOUND_NOT;
    if ((at == a->len && !a->ended) || open == FOUND_PART || close == FOUND_PART) return false;
    if (open == FOUND || close == FOUND) {
        reply_take(a, at + strlen(open == FOUND ? thought->open : thought->close));
        a->state = open == FOUND ? REPLY_THINKS : REPLY_AFTER;
        return true;
    }
    const enum reply_found call = unmarked(a) ? unmarked_call(a, at) : FOUND_NOT;
    if (call == FOUND_PART) return false;
    a->state = call == FOUND ? REPLY_BODY : REPLY_TELLS;
    return true;
}

static bool thinks(struct reply *a) {
    const char *close = a->o.style.thought->close;
    if (!a->thinking) reply_take(a, reply_blanks(a, 0));
    size_t at;
    const enum reply_found f = reply_find(a, 0, close, &at);
    const size_t end = trimmed(a, at);
    if (end) a->thinking = true;
    tell_and_take(a, REPLY_REASONING, end);
    if (f == FOUND) {
        reply_take(a, at - end + strlen(close));
        a->state = REPLY_AFTER;
    } else if (a->ended) reply_take(a, a->len);
    return f == FOUND;
}

/* Behind a thought or a call: white space is nobody's. */
static bool after(struct reply *a) {
    reply_take(a, reply_blanks(a, 0));
    if (!a->len) return false;
    const enum reply_found f = unmarked(a) ? unmarked_call(a, 0) : FOUND_NOT;
    if (f == FOUND_PART) return false;
    a->state = f == FOUND ? REPLY_BODY : REPLY_TELLS;
    return true;
}

/* The first mark that opens a call; of TAGGED calls the inner mark will do. *body: where that begins. */
static enum reply_found find_call(const struct reply *a, size_t *at, size_t *body) {
    const struct call_style *s = a->o.style.calls;
    size_t other = a->len;
    enum reply_found f = reply_find(a, 0, s->open, at), g = FOUND_NOT;
    *body = *at + strlen(s->open);
    if (s->body == CALL_TAGGED && s->name_open[0]) g = reply_find(a, 0, s->name_open, &other);
    if (g == FOUND_NOT || other >= *at) return f;
    *at = *body = other;
    return g;
}

static bool tells(struct reply *a) {
    size_t at = a->len, body = 0;
    const bool calls = a->o.tools && a->o.style.calls && a->o.style.calls->open;
    const enum reply_found f = calls ? find_call(a, &at, &body) : FOUND_NOT;
    const size_t end = !calls || (a->ended && f == FOUND_NOT) ? at : trimmed(a, at);
    tell_and_take(a, REPLY_CONTENT, end);
    if (f != FOUND) return false;
    const struct call_style *s = a->o.style.calls;
    call_begin(a, body == at ? at - end + strlen(s->name_open) : body - end, body - end);
    a->state = s->item_open ? REPLY_ITEM : REPLY_BODY;
    return true;
}

/* What looked like a call is content. */
static void no_call(struct reply *a) {
    tell_and_take(a, REPLY_CONTENT, a->call.mark);
    call_end(a);
    a->state = REPLY_TELLS;
}

/* In a list of marked items: the next one, or the end of the list. */
static bool item(struct reply *a) {
    const struct call_style *s = a->o.style.calls;
    const size_t at = reply_blanks(a, a->call.at);
    const enum reply_found open = reply_starts(a, at, s->item_open), close = s->close ? reply_starts(a, at, s->close) : FOUND_NOT;
    if (open == FOUND_PART || close == FOUND_PART) return false;
    if (open == FOUND) {
        const size_t body = at + strlen(s->item_open);
        call_begin(a, a->call.mark ? a->call.mark : body, body);
        a->state = REPLY_BODY;
    } else if (a->call.mark) no_call(a);
    else {
        reply_take(a, close == FOUND ? at + strlen(s->close) : 0);
        a->state = REPLY_AFTER;
    }
    return true;
}

/* Behind a call: its closing marks, each of which may be absent. */
static bool item_end(struct reply *a) {
    const struct call_style *s = a->o.style.calls;
    const char *const marks[] = {s->body == CALL_NAMED ? "```" : NULL, s->item_open ? s->item_close : s->close};
    size_t end = 0;
    for (unsigned i = 0; i < 2; i++) {
        const size_t at = reply_blanks(a, end);
        const enum reply_found f = marks[i] ? reply_starts(a, at, marks[i]) : FOUND_NOT;
        if (f == FOUND_PART) return false;
        if (f == FOUND) end = at + strlen(marks[i]);
    }
    reply_take(a, end);
    call_begin(a, 0, 0);
    a->state = s->item_open ? REPLY_ITEM : REPLY_AFTER;
    return true;
}

static bool body(struct reply *a) {
    switch (call_body(a)) {
    case BODY_WAITS: return false;
    case BODY_NONE: no_call(a); break;
    case BODY_WHOLE: a->state = REPLY_ITEM_END; break;
    case BODY_MORE: break;
    }
    return true;
}

/* One step; false: more text is needed. */
static bool step(struct reply *a) {
    switch (a->state) {
    case REPLY_AT_START: return at_start(a);
    case REPLY_THINKS: return thinks(a);
    case REPLY_AFTER: return after(a);
    case REPLY_TELLS: return tells(a);
    case REPLY_ITEM: return item(a);
    case REPLY_BODY: return body(a);
    case REPLY_ITEM_END: return item_end(a);
    }
    return false;
}

static gllm_status run(struct reply *a, gllm_error *err) {
    a->err = err;
    while (a->status == GLLM_OK && step(a)) {}
    a->err = NULL;
    return a->status;
}

gllm_status reply_open(struct reply **out, const struct reply_options *o, gllm_error *err) {
    struct reply *a = *out = calloc(1, sizeof *a);
    if (!a) return err_nomem(err, "answer");
    a->o = *o;
    if (o->opened && o->style.thought) a->state = REPLY_THINKS;
    return GLLM_OK;
}

void reply_close(struct reply *a) {
    if (!a) return;
    call_end(a);
    free(a->held);
    free(a);
}

gllm_status reply_push(struct reply *a, const char *s, size_t n, gllm_error *err) {
    if (a->status != GLLM_OK || !n) return a->status;
    if (!grow_text(&a->held, &a->len, &a->room, s, n)) return a->status = err_nomem(err, "answer");
    return run(a, err);
}

gllm_status reply_end(struct reply *a, gllm_error *err) {
    a->ended = true;
    return run(a, err);
}

bool reply_thinks(const struct reply *a) { return a->state == REPLY_THINKS; }
