/* jinja_parse.c - tokens to a tree of statements. */
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "text/jinja_impl.h"

void *jinja_parse_fail(struct jinja_parser *p, const char *format, ...) {
    char what[400];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    if (p->status == GLLM_OK) p->status = err_set(p->err, GLLM_FORMAT, "%s: line %u: %s", p->name, p->t->line, what);
    return NULL;
}

static void *refuse(struct jinja_parser *p, const char *what) {
    if (p->status == GLLM_OK) p->status = err_set(p->err, GLLM_UNSUPPORTED, "%s: line %u: %s is not supported in a chat template", p->name, p->t->line, what);
    return NULL;
}

struct jinja_node *jinja_node_new(struct jinja_parser *p, enum jinja_node_kind kind, uint32_t line) {
    struct jinja_node *n = arena_alloc(p->arena, sizeof *n);
    if (!n) {
        p->status = err_nomem(p->err, p->name);
        return NULL;
    }
    n->kind = (uint8_t)kind;
    n->line = line;
    return n;
}

const char *jinja_describe(const struct jinja_token *t, char room[64]) {
    switch (t->kind) {
    case TOKEN_END: return "the end of the template";
    case TOKEN_DATA: return "text";
    case TOKEN_VAR_BEGIN: return "\"{{\"";
    case TOKEN_VAR_END: return "\"}}\"";
    case TOKEN_BLOCK_BEGIN: return "\"{%\"";
    case TOKEN_BLOCK_END: return "\"%}\"";
    case TOKEN_STRING: return "a string";
    case TOKEN_INT:
    case TOKEN_FLOAT: return "a number";
    case TOKEN_NAME: snprintf(room, 64, "\"%.*s\"", (int)(t->len < 50 ? t->len : 50), t->text); return room;
    default: snprintf(room, 64, t->op > 255 ? "\"%c%c\"" : "\"%c\"", t->op & 255, t->op >> 8); return room;
    }
}

static void *unexpected(struct jinja_parser *p, const char *expected) {
    char room[64];
    return jinja_parse_fail(p, "found %s, expected %s", jinja_describe(p->t, room), expected);
}

bool jinja_at_op(const struct jinja_parser *p, int op) { return p->t->kind == TOKEN_OP && p->t->op == op; }
bool jinja_at_name(const struct jinja_parser *p, const char *name) {
    return p->t->kind == TOKEN_NAME && p->t->len == strlen(name) && !memcmp(p->t->text, name, p->t->len);
}
bool jinja_skip_op(struct jinja_parser *p, int op) {
    if (!jinja_at_op(p, op)) return false;
    p->t++;
    return true;
}
bool jinja_skip_name(struct jinja_parser *p, const char *name) {
    if (!jinja_at_name(p, name)) return false;
    p->t++;
    return true;
}
bool jinja_expect_op(struct jinja_parser *p, int op) {
    char room[64];
    if (jinja_skip_op(p, op)) return true;
    unexpected(p, jinja_describe(&(struct jinja_token){.kind = TOKEN_OP, .op = op}, room));
    return false;
}
struct jinja_token *jinja_expect_name(struct jinja_parser *p) {
    if (p->t->kind == TOKEN_NAME) return p->t++;
    return unexpected(p, "a name");
}
static bool expect_kind(struct jinja_parser *p, enum jinja_token_kind kind) {
    char room[64];
    if (p->t->kind == kind) {
        p->t++;
        return true;
    }
    unexpected(p, jinja_describe(&(struct jinja_token){.kind = kind}, room));
    return false;
}
bool jinja_enter(struct jinja_parser *p) {
    if (p->depth++ < JINJA_MAX_DEPTH) return true;
    p->depth--;
    return jinja_parse_fail(p, "more than %d levels stand within each other", JINJA_MAX_DEPTH);
}

/* ---- bodies ---- */

static bool at_end_tag(const struct jinja_parser *p, const char *const *ends) {
    for (; *ends; ends++)
        if (p->t->kind == TOKEN_BLOCK_BEGIN && p->t[1].kind == TOKEN_NAME && p->t[1].len == strlen(*ends) && !memcmp(p->t[1].text, *ends, p->t[1].len)) return true;
    return false;
}

static struct jinja_node *statement(struct jinja_parser *p);

/* One piece of a body: text, {{ }} or a statement. */
static struct jinja_node *piece(struct jinja_parser *p) {
    struct jinja_node *n;
    if (p->t->kind == TOKEN_DATA) {
        n = jinja_node_new(p, NODE_TEXT, p->t->line);
        if (n) n->v = jinja_string((struct jinja_str){p->t->text, NULL, p->t->len});
        p->t++;
        return n;
    }
    if (p->t->kind == TOKEN_VAR_BEGIN) {
        n = jinja_node_new(p, NODE_PRINT, p->t->line);
        p->t++;
        if (!n || !(n->a = jinja_parse_tuple(p, 0)) || !expect_kind(p, TOKEN_VAR_END)) return NULL;
        return n;
    }
    if (!expect_kind(p, TOKEN_BLOCK_BEGIN)) return NULL;
    return (n = statement(p)) && expect_kind(p, TOKEN_BLOCK_END) ? n : NULL;
}

/* Up to one of the end tags, which becomes the current token, or up to the end of the template (ends NULL). */
static bool pieces(struct jinja_parser *p, const char *const *ends, struct jinja_node **list) {
    for (*list = NULL; ends ? !at_end_tag(p, ends) : p->t->kind != TOKEN_END; list = &(*list)->next) {
        if (p->t->kind == TOKEN_END) return jinja_parse_fail(p, "found the end of the template, expected {%% %s %%}", ends[0]);
        if (!(*list = piece(p))) return false;
    }
    if (ends) p->t++; /* the "{%" */
    return true;
}

struct jinja_node *jinja_parse_statements(struct jinja_parser *p) {
    struct jinja_node *list;
    if (!pieces(p, NULL, &list)) return NULL;
    return list ? list : jinja_node_new(p, NODE_TEXT, 1);
}

/* From the end of a statement's head through its body. */
static bool body(struct jinja_parser *p, const char *const *ends, struct jinja_node **list) {
    jinja_skip_op(p, ':');
    if (!jinja_enter(p)) return false;
    bool ok = expect_kind(p, TOKEN_BLOCK_END) && pieces(p, ends, list);
    p->depth--;
    return ok;
}
static bool whole_body(struct jinja_parser *p, const char *end, struct jinja_node **list) {
    const char *const ends[] = {end, NULL};
    if (!body(p, ends, list)) return false;
    p->t++; /* the end tag's name */
    return true;
}
/* The body of what is a function of its own: loops around it do not count. */
static bool function_body(struct jinja_parser *p, const char *end, struct jinja_node *n) {
    const unsigned loops = p->loops;
    const int uses = p->uses;
    p->loops = 0, p->uses = 0;
    bool ok = whole_body(p, end, &n->body);
    n->op = p->uses;
    p->loops = loops, p->uses |= uses;
    return ok;
}

/* ---- statements; each begins behind its name ---- */

static struct jinja_node *parse_for(struct jinja_parser *p, struct jinja_node *n) {
    static const char *const ENDS[] = {"endfor", "else", NULL};
    if (!(n->a = jinja_parse_tuple(p, TUPLE_TARGET))) return NULL;
    if (!jinja_skip_name(p, "in")) return unexpected(p, "\"in\"");
    if (!(n->b = jinja_parse_tuple(p, TUPLE_NO_COND))) return NULL;
    if (jinja_skip_name(p, "if") && !(n->c = jinja_parse_expression(p))) return NULL;
    if (jinja_at_name(p, "recursive")) return refuse(p, "a recursive loop");
    p->loops++;
    bool ok = body(p, ENDS, &n->body);
    p->loops--;
    if (!ok) return NULL;
    if (jinja_skip_name(p, "else")) return whole_body(p, "endfor", &n->other) ? n : NULL;
    p->t++;
    return n;
}

static struct jinja_node *parse_if(struct jinja_parser *p, struct jinja_node *n) {
    static const char *const ENDS[] = {"endif", "elif", "else", NULL};
    for (struct jinja_node *at = n;;) {
        if (!(at->a = jinja_parse_tuple(p, TUPLE_NO_COND)) || !body(p, ENDS, &at->body)) return NULL;
        if (jinja_skip_name(p, "else")) return whole_body(p, "endif", &at->other) ? n : NULL;
        if (jinja_skip_name(p, "endif")) return n;
        p->t++; /* elif */
        if (!(at->other = jinja_node_new(p, NODE_IF, p->t->line))) return NULL;
        at->op = IF_ELIF;
        at = at->other;
    }
}

static struct jinja_node *parse_set(struct jinja_parser *p, struct jinja_node *n) {
    if (!(n->a = jinja_parse_tuple(p, TUPLE_TARGET | TUPLE_NAMESPACE))) return NULL;
    if (jinja_skip_op(p, '=')) return (n->b = jinja_parse_tuple(p, 0)) ? n : NULL;
    n->kind = NODE_SET_BLOCK;
    if (jinja_at_op(p, '|') && !(n->c = jinja_parse_filters(p, NULL, false))) return NULL;
    return whole_body(p, "endset", &n->body) ? n : NULL;
}

/* "(a, b=1)" */
static bool parameters(struct jinja_parser *p, struct jinja_node **list) {
    bool defaults = false;
    if (!jinja_expect_op(p, '(')) return false;
    for (struct jinja_node **at = list; !jinja_at_op(p, ')'); at = &(*at)->next) {
        if (at != list && !jinja_expect_op(p, ',')) return false;
        struct jinja_token *t = jinja_expect_name(p);
        if (!t || !(*at = jinja_node_new(p, NODE_NAME, t->line))) return false;
        (*at)->v = jinja_string((struct jinja_str){t->text, NULL, t->len});
        if (jinja_skip_op(p, '=')) {
            if (!((*at)->a = jinja_parse_expression(p))) return false;
            defaults = true;
        } else if (defaults) return jinja_parse_fail(p, "found a parameter without a default behind one that has one");
    }
    p->t++;
    return true;
}

static struct jinja_node *parse_macro(struct jinja_parser *p, struct jinja_node *n) {
    struct jinja_token *t = jinja_expect_name(p);
    if (!t) return NULL;
    n->v = jinja_string((struct jinja_str){t->text, NULL, t->len});
    return parameters(p, &n->args) && function_body(p, "endmacro", n) ? n : NULL;
}

static struct jinja_node *parse_call(struct jinja_parser *p, struct jinja_node *n) {
    n->v = jinja_string(jinja_text_of("caller"));
    if (jinja_at_op(p, '(') && !parameters(p, &n->args)) return NULL;
    if (!(n->a = jinja_parse_expression(p))) return NULL;
    if (n->a->kind != NODE_CALL) return unexpected(p, "a call in front of it");
    return function_body(p, "endcall", n) ? n : NULL;
}

static struct jinja_node *parse_filter(struct jinja_parser *p, struct jinja_node *n) {
    return (n->c = jinja_parse_filters(p, NULL, true)) && whole_body(p, "endfilter", &n->body) ? n : NULL;
}

/* args: target, value, target, value … */
static struct jinja_node *parse_with(struct jinja_parser *p, struct jinja_node *n) {
    for (struct jinja_node **at = &n->args; p->t->kind != TOKEN_BLOCK_END; at = &(*at)->next->next) {
        if (at != &n->args && !jinja_expect_op(p, ',')) return NULL;
        if (!(*at = jinja_parse_tuple(p, TUPLE_TARGET)) || !jinja_expect_op(p, '=') || !((*at)->next = jinja_parse_expression(p))) return NULL;
    }
    return whole_body(p, "endwith", &n->body) ? n : NULL;
}

static struct jinja_node *parse_print(struct jinja_parser *p, struct jinja_node *n) {
    n->kind = NODE_SCOPE;
    for (struct jinja_node **at = &n->body; p->t->kind != TOKEN_BLOCK_END; at = &(*at)->next) {
        if (at != &n->body && !jinja_expect_op(p, ',')) return NULL;
        if (!(*at = jinja_node_new(p, NODE_PRINT, p->t->line)) || !((*at)->a = jinja_parse_expression(p))) return NULL;
    }
    return n;
}

static struct jinja_node *parse_generation(struct jinja_parser *p, struct jinja_node *n) { return function_body(p, "endgeneration", n) ? n : NULL; }

static struct jinja_node *parse_jump(struct jinja_parser *p, struct jinja_node *n) {
    if (!p->loops) return jinja_parse_fail(p, "found a %s outside a loop", n->kind == NODE_BREAK ? "break" : "continue");
    return n;
}

static struct jinja_node *statement(struct jinja_parser *p) {
    static const struct {
        const char *name;
        enum jinja_node_kind kind;
        struct jinja_node *(*parse)(struct jinja_parser *p, struct jinja_node *n);
    } STATEMENTS[] = {{"for", NODE_FOR, parse_for}, {"if", NODE_IF, parse_if}, {"set", NODE_SET, parse_set}, {"macro", NODE_MACRO, parse_macro}, {"call", NODE_CALL_BLOCK, parse_call},
                      {"filter", NODE_FILTER_BLOCK, parse_filter}, {"with", NODE_WITH, parse_with}, {"print", NODE_SCOPE, parse_print}, {"generation", NODE_SCOPE, parse_generation},
                      {"break", NODE_BREAK, parse_jump}, {"continue", NODE_CONTINUE, parse_jump}};
    static const char *const REFUSED[] = {"include", "import", "from", "extends", "block", "autoescape"};
    char room[64];
    for (unsigned i = 0; i < sizeof STATEMENTS / sizeof *STATEMENTS; i++) {
        if (!jinja_at_name(p, STATEMENTS[i].name)) continue;
        struct jinja_node *n = jinja_node_new(p, STATEMENTS[i].kind, p->t->line);
        p->t++;
        return n ? STATEMENTS[i].parse(p, n) : NULL;
    }
    for (unsigned i = 0; i < sizeof REFUSED / sizeof *REFUSED; i++)
        if (jinja_at_name(p, REFUSED[i])) return refuse(p, REFUSED[i]);
    return jinja_parse_fail(p, "found the tag %s, expected one that jinja knows here", jinja_describe(p->t, room));
}

/* ---- a template ---- */

/* A copy whose line ends are "\n", without the last one. */
static char *one_kind_of_line_end(struct arena *a, const char *s, size_t *len) {
    char *to = arena_alloc(a, *len + 1);
    size_t n = 0;
    for (size_t i = 0; to && i < *len; i++) {
        if (s[i] == '\r' && i + 1 < *len && s[i + 1] == '\n') continue;
        to[n++] = s[i] == '\r' ? '\n' : s[i];
    }
    if (n && to[n - 1] == '\n') n--;
    *len = n;
    return to;
}

static gllm_status parse(struct jinja *t, const char *source, size_t len, gllm_error *err) {
    size_t bad;
    if (len > JINJA_MAX_SOURCE) return err_set(err, GLLM_FORMAT, "%s: found %zu bytes, expected at most %d", t->name, len, JINJA_MAX_SOURCE);
    if (!utf8_valid(source, len, &bad)) return err_set(err, GLLM_FORMAT, "%s: byte %zu is not UTF-8 (0x%02x)", t->name, bad, (unsigned char)source[bad]);
    const char *s = one_kind_of_line_end(&t->arena, source, &len);
    if (!s) return err_nomem(err, t->name);
    struct jinja_tokens tokens = {0};
    gllm_status status = jinja_lex(s, len, &t->arena, t->name, &tokens, err);
    if (status == GLLM_OK) {
        struct jinja_parser p = {.arena = &t->arena, .name = t->name, .t = tokens.list, .err = err};
        t->body = jinja_parse_statements(&p);
        status = p.status;
    }
    free(tokens.list);
    return status;
}

gllm_status jinja_open(struct jinja **out, const char *source, size_t len, const char *name, gllm_error *err) {
    *out = NULL;
    struct jinja *t = calloc(1, sizeof *t);
    if (!t || !(t->name = arena_strdup(&t->arena, name))) {
        free(t);
        return err_nomem(err, name);
    }
    gllm_status status = parse(t, source, len, err);
    if (status != GLLM_OK) jinja_close(t);
    else *out = t;
    return status;
}

void jinja_close(struct jinja *t) {
    if (!t) return;
    arena_free(&t->arena);
    free(t);
}
