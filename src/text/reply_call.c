/* reply_call.c - the body of one call, as it comes. */
#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "text/reply_impl.h"

enum { MAX_NAME = 256 };

void call_end(struct reply *a) {
    free(a->call.name);
    free(a->call.text);
    a->call = (struct call_state){0};
}

void call_begin(struct reply *a, size_t mark, size_t at) {
    call_end(a);
    a->call.mark = mark, a->call.at = at;
    a->call.json = a->o.style.calls->body == CALL_JSON;
}

static bool is(const char *s, size_t n, const char *word) { return n == strlen(word) && !memcmp(s, word, n); }

/* ---- the tools that the caller offers ---- */
static const json_t *offered(const struct reply *a, const char *name, size_t len) {
    const json_t *tool;
    size_t i;
    json_array_foreach(a->o.tools, i, tool) {
        const json_t *function = json_object_get(tool, "function"), *own = json_object_get(function ? function : tool, "name");
        if (json_is_string(own) && is(name, len, json_string_value(own))) return function ? function : tool;
    }
    return NULL;
}

enum value_kind { VALUE_UNKNOWN, VALUE_STRING, VALUE_STRING_OR_NULL, VALUE_OTHER };
/* What tool `name` takes as `key`, as its schema says. */
static enum value_kind value_kind(const struct reply *a, const char *name, const char *key, size_t key_len) {
    const json_t *properties = json_object_get(json_object_get(offered(a, name, strlen(name)), "parameters"), "properties"), *one;
    const json_t *type = json_object_get(json_object_getn(properties, key, key_len), "type");
    bool string = false, null = false;
    size_t i;
    if (!type) return VALUE_UNKNOWN;
    if (json_is_string(type)) return strcmp(json_string_value(type), "string") ? VALUE_OTHER : VALUE_STRING;
    json_array_foreach(type, i, one) {
        const char *kind = json_is_string(one) ? json_string_value(one) : "";
        if (!strcmp(kind, "string")) string = true;
        else if (!strcmp(kind, "null")) null = true;
        else return VALUE_OTHER;
    }
    return !string ? VALUE_OTHER : null ? VALUE_STRING_OR_NULL : VALUE_STRING;
}

enum reply_found call_may_begin(const struct reply *a, size_t at) {
    const json_t *tool;
    size_t i;
    enum reply_found best = FOUND_NOT;
    if (a->o.style.calls->body == CALL_JSON) return at < a->len && a->held[at] == '{' ? FOUND : FOUND_NOT;
    json_array_foreach(a->o.tools, i, tool) { /* NAME, a line's end, { */
        const json_t *function = json_object_get(tool, "function");
        const char *name = json_string_value(json_object_get(function ? function : tool, "name"));
        enum reply_found f = name && *name ? reply_starts(a, at, name) : FOUND_NOT;
        if (f == FOUND) {
            const size_t line = at + strlen(name), next = reply_blanks(a, line);
            f = next == a->len ? (a->ended ? FOUND_NOT : FOUND_PART) : a->held[next] == '{' && memchr(a->held + line, '\n', next - line) ? FOUND : FOUND_NOT;
        }
        if (f > best) best = f;
    }
    return best;
}

/* ---- telling ---- */
static void tell_name(struct reply *a) {
    if (a->call.told) return;
    a->call.told = true;
    a->n_calls++;
    reply_tell(a, REPLY_CALL, a->call.name, strlen(a->call.name));
}

static void no_memory(struct reply *a) {
    if (a->status == GLLM_OK) a->status = err_nomem(a->err, "answer");
}

static bool set_name(struct reply *a, const char *s, size_t n) {
    if (!n || n > MAX_NAME) return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] <= ' ' || strchr("\"<>{}[]()", s[i])) return false;
    if (!a->o.style.calls->open && !offered(a, s, n)) return false;
    if (!(a->call.name = strndup(s, n))) no_memory(a);
    return a->call.name != NULL;
}

/* The text has ended in a call, or it turned out to be none: what was told stays told. */
static enum body_result broken(struct reply *a, size_t end) {
    if (!a->call.told) return BODY_NONE;
    reply_take(a, end);
    return BODY_WHOLE;
}
static enum body_result waits(struct reply *a) { return a->ended ? broken(a, a->len) : BODY_WAITS; }

/* ---- JSON ---- */
enum scan_result { SCAN_ON, SCAN_MEMBER, SCAN_CLOSED, SCAN_BAD };

/* The byte at s->at. MEMBER: a value of the object ends before the place that s->at shows afterwards. CLOSED: so does the object.
 * BAD: a second colon. */
static enum scan_result scan_byte(struct object_scan *s, char c) {
    const size_t at = s->at++;
    const bool top = s->depth == 1;
    if (s->string) {
        if (s->escape) s->escape = false;
        else if (c == '\\') s->escape = true;
        else if (c == '"') {
            s->string = false;
            if (top && !s->value) s->key = s->string_at, s->key_len = at - s->string_at;
        }
        return SCAN_ON;
    }
    if (top && s->value && !s->start && !strchr(" \t\r\n,}]:", c)) s->start = at;
    if (c == '"') s->string = true, s->string_at = at + 1;
    else if (c == '{' || c == '[') s->depth++;
    else if (c == '}' || c == ']') s->depth--;
    else if (c == ':' && top) {
        if (s->value) return SCAN_BAD;
        s->value = true, s->start = 0;
    }
    if (!top || (c != ',' && s->depth)) return SCAN_ON;
    const bool member = s->value && s->start;
    s->value = false;
    s->end = at;
    return s->depth ? member ? SCAN_MEMBER : SCAN_ON : SCAN_CLOSED;
}

static size_t without_blanks(const char *s, size_t from, size_t end) {
    while (end > from && strchr(" \t\r\n", s[end - 1]) && s[end - 1]) end--;
    return end;
}

/* NULL: no JSON. A bare NUL is none, though jansson reads over it behind a number. */
static json_t *value_of(const char *s, size_t n) { return memchr(s, 0, n) ? NULL : json_loadb(s, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL); }

static bool is_arguments(const char *key, size_t n) { return is(key, n, "arguments") || is(key, n, "parameters"); }

/* A member of {"name": …, "arguments": …}; false: this is no call. */
static bool note_member(struct reply *a) {
    struct call_state *c = &a->call;
    const struct object_scan *s = &c->scan;
    const char *key = a->held + s->key;
    const size_t end = without_blanks(a->held, s->start, s->end);
    if (is(key, s->key_len, "name") || (is(key, s->key_len, "function") && a->held[s->start] == '"')) {
        json_t *v = c->name ? NULL : value_of(a->held + s->start, end - s->start);
        const bool good = c->name || (json_is_string(v) && set_name(a, json_string_value(v), json_string_length(v)));
        json_decref(v);
        return good;
    }
    if (is_arguments(key, s->key_len)) {
        if (!c->args) c->args = s->start, c->args_end = end;
        return true;
    }
    return a->o.style.calls->open || is(key, s->key_len, "type") || is(key, s->key_len, "id");
}

/* Gives what is there of arguments that are an object, once the name is known. */
static void give(struct reply *a) {
    struct call_state *c = &a->call;
    const struct object_scan *s = &c->scan;
    size_t from = c->args, end = c->args_end;
    if (a->o.hold_calls || !c->name) return;
    if (c->headed) end = c->args_end ? c->args_end : s->at;
    else if (!from && s->depth && s->value && s->start && is_arguments(a->held + s->key, s->key_len)) {
        from = s->start;
        end = s->depth > 1 || s->string ? s->at : without_blanks(a->held, from, s->at);
    }
    if (!from || a->held[from] != '{') return;
    if (c->given < from) c->given = from;
    tell_name(a);
    if (end > c->given) reply_tell(a, REPLY_ARGUMENTS, a->held + c->given, end - c->given), c->given = end;
}

/* Tells a call whose arguments are held[args..args_end) as a whole; false: they are no object. */
static bool tell_whole(struct reply *a) {
    const struct call_state *c = &a->call;
    json_t *v = c->args ? value_of(a->held + c->args, c->args_end - c->args) : json_object(), *inner = NULL;
    if (json_is_string(v)) inner = value_of(json_string_value(v), json_string_length(v)); /* JSON in a string */
    const bool good = json_is_object(v) || json_is_null(v) || json_is_object(inner);
    if (good) tell_name(a);
    if (json_is_object(inner)) reply_tell(a, REPLY_ARGUMENTS, json_string_value(v), json_string_length(v));
    else if (good && json_is_object(v) && c->args) reply_tell(a, REPLY_ARGUMENTS, a->held + c->args, c->args_end - c->args);
    else if (good) reply_tell(a, REPLY_ARGUMENTS, "{}", 2);
    json_decref(v);
    json_decref(inner);
    return good;
}

static enum body_result object_whole(struct reply *a) {
    struct call_state *c = &a->call;
    const size_t end = c->scan.at;
    if (c->headed) c->args_end = end;
    give(a);
    if (!c->told) {
        json_t *v = value_of(a->held + c->at, end - c->at);
        const bool good = v && c->name;
        json_decref(v);
        if (!good || !tell_whole(a)) return BODY_NONE;
    }
    reply_take(a, end);
    if (!c->in_list) return BODY_WHOLE;
    call_begin(a, 0, 0);
    a->call.json = a->call.in_list = true;
    return BODY_MORE;
}

/* The object that begins at c->at. */
static enum body_result object_body(struct reply *a) {
    struct call_state *c = &a->call;
    while (c->scan.at < a->len) {
        const enum scan_result r = scan_byte(&c->scan, a->held[c->scan.at]);
        if (r != SCAN_ON) give(a);
        if (r == SCAN_BAD || (r != SCAN_ON && !c->headed && c->scan.start && !note_member(a))) return broken(a, c->scan.at);
        if (r == SCAN_CLOSED) return object_whole(a);
        if (r == SCAN_MEMBER) c->scan.start = 0;
    }
    give(a);
    return waits(a);
}

static void begin_object(struct reply *a, size_t at) {
    a->call.object = true;
    a->call.at = a->call.scan.at = at;
}

static enum body_result json_body(struct reply *a) {
    struct call_state *c = &a->call;
    while (!c->object) {
        const size_t at = reply_blanks(a, c->at);
        if (at == a->len) return waits(a);
        const char first = a->held[at];
        if (first == '{') begin_object(a, at);
        else if (first == ']' && c->in_list && !c->mark) {
            reply_take(a, at + 1);
            return BODY_WHOLE;
        } else if (first == (c->in_list ? ',' : '[')) c->in_list = true, c->at = at + 1;
        else return BODY_NONE;
    }
    return object_body(a);
}

/* ---- a name, then JSON ---- */
static bool head_name(struct reply *a, const char *s, size_t n) {
    const struct call_style *style = a->o.style.calls;
    const size_t mark = style->head_end ? strlen(style->head_end) : 0;
    size_t end = 0, last, from = 0;
    while (mark && end + mark <= n && memcmp(s + end, style->head_end, mark)) end++;
    if (!mark || end + mark > n) end = last = n;
    else last = end + mark;
    if (style->head_last) { /* function<sep>NAME, a line's end, ```json */
        size_t line = last;
        while (line < n && s[line] != '\n') line++;
        if (without_blanks(s, last, line) > last) from = last, end = line;
    }
    while (from < end && strchr(" \t\r\n", s[from]) && s[from]) from++;
    end = without_blanks(s, from, end);
    if (end - from > 10 && !memcmp(s + from, "functions.", 10)) from += 10;
    return set_name(a, s + from, end - from);
}

static enum body_result named_body(struct reply *a) {
    struct call_state *c = &a->call;
    if (!c->object) {
        size_t at = reply_blanks(a, c->at), open;
        if (at == a->len) return waits(a);
        if (a->held[at] == '{' || a->held[at] == '[') {
            c->json = true;
            return json_body(a);
        }
        const enum reply_found f = reply_find(a, at, "{", &open);
        if (open - at > MAX_NAME) return BODY_NONE;
        if (f == FOUND_NOT) return waits(a);
        if (!head_name(a, a->held + at, open - at)) return BODY_NONE;
        c->headed = true;
        c->args = open;
        begin_object(a, open);
    }
    return object_body(a);
}

/* ---- tags ---- */
static bool add_text(struct reply *a, const char *s, size_t n) {
    struct call_state *c = &a->call;
    if (!grow_text(&c->text, &c->text_len, &c->text_room, s, n)) return no_memory(a), false;
    return true;
}

static bool add_string(struct reply *a, const char *s, size_t n) {
    json_t *v = json_stringn(s, n);
    char *text = v ? json_dumps(v, JSON_ENCODE_ANY) : NULL;
    const bool good = text && add_text(a, text, strlen(text));
    free(text);
    json_decref(v);
    return good;
}

/* A value as JSON: what its tool's schema calls a string, and what is no JSON, is a string. */
static bool add_value(struct reply *a, const char *key, size_t key_len, const char *s, size_t n) {
    static const char *const WORDS[][2] = {{"True", "true"}, {"False", "false"}, {"None", "null"}};
    const enum value_kind kind = value_kind(a, a->call.name, key, key_len);
    if (n && s[0] == '\n') s++, n--;
    if (n && s[n - 1] == '\n') n--;
    if (kind == VALUE_STRING || (kind == VALUE_STRING_OR_NULL && !is(s, n, "null") && !is(s, n, "None"))) return add_string(a, s, n);
    for (unsigned i = 0; i < 3; i++)
        if (is(s, n, WORDS[i][0])) return add_text(a, WORDS[i][1], strlen(WORDS[i][1]));
    json_t *v = value_of(s, n);
    const bool json = v && (kind != VALUE_UNKNOWN || !json_is_string(v));
    json_decref(v);
    return json ? add_text(a, s, n) : add_string(a, s, n);
}

static void give_text(struct reply *a) {
    struct call_state *c = &a->call;
    if (a->status != GLLM_OK) return;
    tell_name(a);
    reply_tell(a, REPLY_ARGUMENTS, c->text + c->given, c->text_len - c->given);
    c->given = c->text_len;
}

static enum body_result tagged_end(struct reply *a, size_t end) {
    if (!add_text(a, a->call.any_key ? "}" : "{}", a->call.any_key ? 1 : 2)) return BODY_NONE;
    give_text(a);
    reply_take(a, end);
    return BODY_WHOLE;
}

/* What is written here is neither a parameter nor the end. */
static enum body_result tagged_broken(struct reply *a) { return a->call.told ? tagged_end(a, a->call.at) : BODY_NONE; }
static enum body_result tagged_waits(struct reply *a) { return a->ended ? tagged_broken(a) : BODY_WAITS; }

static enum body_result tagged_name(struct reply *a) {
    const struct call_style *s = a->o.style.calls;
    const size_t at = reply_blanks(a, a->call.at), from = at + strlen(s->name_open);
    const enum reply_found open = reply_starts(a, at, s->name_open);
    size_t end;
    if (open == FOUND_PART) return BODY_WAITS;
    if (open == FOUND_NOT) return BODY_NONE;
    const enum reply_found close = reply_find(a, from, s->name_close ? s->name_close : "<", &end);
    if (end - from > MAX_NAME) return BODY_NONE;
    if (close != FOUND) return tagged_waits(a);
    const size_t begin = reply_blanks(a, from);
    if (begin > end || !set_name(a, a->held + begin, without_blanks(a->held, begin, end) - begin)) return BODY_NONE;
    a->call.named = true;
    a->call.at = end + (s->name_close ? strlen(s->name_close) : 0);
    return BODY_MORE;
}

/* The parameter whose key begins at `from`. */
static enum body_result tagged_parameter(struct reply *a, size_t from) {
    const struct call_style *s = a->o.style.calls;
    struct call_state *c = &a->call;
    size_t key_end, end;
    const enum reply_found key = reply_find(a, from, s->key_close, &key_end);
    if (key_end - from > MAX_NAME) return tagged_broken(a);
    if (key != FOUND) return tagged_waits(a);
    if (memchr(a->held + from, 0, key_end - from)) return tagged_broken(a); /* no key of JSON that is read again */
    size_t value = key_end + strlen(s->key_close);
    if (s->value_open[0]) {
        value = reply_blanks(a, value);
        const enum reply_found f = reply_starts(a, value, s->value_open);
        if (f != FOUND) return f == FOUND_PART ? tagged_waits(a) : tagged_broken(a);
        value += strlen(s->value_open);
    }
    const enum reply_found close = reply_find(a, value > c->searched ? value : c->searched, s->value_close, &end);
    c->searched = end;
    if (close != FOUND) return tagged_waits(a);
    const size_t before = c->text_len;
    if (!add_text(a, c->any_key ? ", " : "{", c->any_key ? 2 : 1) || !add_string(a, a->held + from, key_end - from) || !add_text(a, ": ", 2) ||
        !add_value(a, a->held + from, key_end - from, a->held + value, end - value)) {
        c->text_len = before;
        return tagged_broken(a);
    }
    c->any_key = true;
    c->at = end + strlen(s->value_close);
    if (!a->o.hold_calls) give_text(a);
    return BODY_MORE;
}

static enum body_result tagged_next(struct reply *a) {
    const struct call_style *s = a->o.style.calls;
    const size_t at = reply_blanks(a, a->call.at);
    const enum reply_found end = reply_starts(a, at, s->end), key = reply_starts(a, at, s->key_open);
    if (end == FOUND) return tagged_end(a, at + strlen(s->end));
    if (key == FOUND) return tagged_parameter(a, at + strlen(s->key_open));
    return end == FOUND_PART || key == FOUND_PART ? tagged_waits(a) : tagged_broken(a);
}

enum body_result call_body(struct reply *a) {
    if (a->call.json) return json_body(a);
    if (a->o.style.calls->body == CALL_NAMED) return named_body(a);
    return a->call.named ? tagged_next(a) : tagged_name(a);
}
