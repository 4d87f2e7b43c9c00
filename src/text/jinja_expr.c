/* jinja_expr.c - tokens to a tree of expressions, with jinja2's precedence: if-else, or, and, not, comparisons, + -, ~, * / // %, **, - +,
 * then subscripts and calls, then filters and tests. */
#include "text/jinja_impl.h"

typedef struct jinja_node *(*parse_fn)(struct jinja_parser *p);

static struct jinja_node *unexpected(struct jinja_parser *p, const char *expected) {
    char room[64];
    return jinja_parse_fail(p, "found %s, expected %s", jinja_describe(p->t, room), expected);
}

static struct jinja_node *two(struct jinja_parser *p, enum jinja_node_kind kind, int op, struct jinja_node *a, struct jinja_node *b) {
    struct jinja_node *n = a && b ? jinja_node_new(p, kind, a->line) : NULL;
    if (n) n->op = op, n->a = a, n->b = b;
    return n;
}

/* ---- primary expressions ---- */

/* Items up to `close`, the token behind the last one; pairs: "key: value". */
static bool items(struct jinja_parser *p, int close, bool pairs, struct jinja_node **at) {
    for (bool first = true; !jinja_at_op(p, close); first = false) {
        if (!first && !jinja_expect_op(p, ',')) return false;
        if (jinja_at_op(p, close)) break;
        if (!(*at = jinja_parse_expression(p))) return false;
        at = &(*at)->next;
        if (!pairs) continue;
        if (!jinja_expect_op(p, ':') || !(*at = jinja_parse_expression(p))) return false;
        at = &(*at)->next;
    }
    p->t++;
    return true;
}

static struct jinja_node *display(struct jinja_parser *p, enum jinja_node_kind kind, int close) {
    struct jinja_node *n = jinja_node_new(p, kind, p->t->line);
    p->t++;
    return n && items(p, close, kind == NODE_DICT, &n->args) ? n : NULL;
}

static struct jinja_node *literal(struct jinja_parser *p, struct jinja_value v) {
    struct jinja_node *n = jinja_node_new(p, NODE_LITERAL, p->t->line);
    if (n) n->v = v;
    p->t++;
    return n;
}

/* Strings that stand side by side are one. */
static struct jinja_node *strings(struct jinja_parser *p) {
    size_t len = 0, at = 0;
    struct jinja_token *last = p->t;
    for (; last->kind == TOKEN_STRING; last++) len += last->len;
    struct jinja_str s = {p->t->text, NULL, p->t->len};
    if (last > p->t + 1) {
        char *all = arena_alloc(p->arena, len + 1);
        if (!all) {
            p->status = err_nomem(p->err, p->name);
            return NULL;
        }
        for (struct jinja_token *t = p->t; t < last; at += t->len, t++)
            if (t->len) memcpy(all + at, t->text, t->len);
        s = (struct jinja_str){all, NULL, len};
    }
    struct jinja_node *n = literal(p, jinja_string(s));
    p->t = last;
    return n;
}

static struct jinja_node *name(struct jinja_parser *p, bool with_namespace) {
    static const struct {
        const char *name;
        struct jinja_value v;
    } WORDS[] = {{"true", {.kind = JINJA_BOOL, .b = true}}, {"True", {.kind = JINJA_BOOL, .b = true}}, {"false", {.kind = JINJA_BOOL}}, {"False", {.kind = JINJA_BOOL}},
                 {"none", {.kind = JINJA_NONE}}, {"None", {.kind = JINJA_NONE}}};
    for (unsigned i = 0; i < sizeof WORDS / sizeof *WORDS; i++)
        if (jinja_at_name(p, WORDS[i].name)) return literal(p, WORDS[i].v);
    struct jinja_node *n = literal(p, jinja_string((struct jinja_str){p->t->text, NULL, p->t->len}));
    if (!n) return NULL;
    n->kind = NODE_NAME;
    p->uses |= jinja_is(n->v.s, "varargs") ? USES_VARARGS : jinja_is(n->v.s, "kwargs") ? USES_KWARGS : jinja_is(n->v.s, "caller") ? USES_CALLER : 0;
    if (!with_namespace || !jinja_skip_op(p, '.')) return n;
    struct jinja_token *attr = jinja_expect_name(p);
    struct jinja_node *of = attr ? jinja_node_new(p, NODE_ATTR, n->line) : NULL;
    if (of) of->a = n, of->v = jinja_string((struct jinja_str){attr->text, NULL, attr->len});
    return of;
}

static struct jinja_node *primary(struct jinja_parser *p, bool with_namespace) {
    struct jinja_node *n;
    switch (p->t->kind) {
    case TOKEN_NAME: return name(p, with_namespace);
    case TOKEN_STRING: return strings(p);
    case TOKEN_INT: return literal(p, jinja_int(p->t->i, false));
    case TOKEN_FLOAT: return literal(p, jinja_float(p->t->f, false));
    default: break;
    }
    if (jinja_at_op(p, '[')) return display(p, NODE_LIST, ']');
    if (jinja_at_op(p, '{')) return display(p, NODE_DICT, '}');
    if (!jinja_skip_op(p, '(')) return unexpected(p, "an expression");
    return (n = jinja_parse_tuple(p, TUPLE_PARENTHESES)) && jinja_expect_op(p, ')') ? n : NULL;
}

/* ---- behind them ---- */

/* "from:to:step", each of which may be missing, or an expression alone */
static struct jinja_node *subscript(struct jinja_parser *p) {
    struct jinja_node *from = NULL, *n;
    if (!jinja_at_op(p, ':') && !(from = jinja_parse_expression(p))) return NULL;
    if (!jinja_at_op(p, ':')) return from;
    if (!(n = jinja_node_new(p, NODE_SLICE, p->t->line))) return NULL;
    n->a = from;
    struct jinja_node **parts[] = {&n->b, &n->c};
    for (unsigned i = 0; i < 2 && jinja_skip_op(p, ':'); i++)
        if (!jinja_at_op(p, ':') && !jinja_at_op(p, ']') && !jinja_at_op(p, ',') && !(*parts[i] = jinja_parse_expression(p))) return NULL;
    return n;
}

static struct jinja_node *item(struct jinja_parser *p, struct jinja_node *of) {
    struct jinja_node *key = subscript(p);
    if (!key) return NULL;
    if (jinja_at_op(p, ',')) return jinja_parse_fail(p, "found a subscript of several parts, expected one");
    return jinja_expect_op(p, ']') ? two(p, NODE_ITEM, 0, of, key) : NULL;
}

static struct jinja_node *attribute(struct jinja_parser *p, struct jinja_node *of) {
    if (p->t->kind == TOKEN_INT) return two(p, NODE_ITEM, 0, of, literal(p, jinja_int(p->t->i, false)));
    struct jinja_token *t = jinja_expect_name(p);
    struct jinja_node *n = t ? jinja_node_new(p, NODE_ATTR, t->line) : NULL;
    if (n) n->a = of, n->v = jinja_string((struct jinja_str){t->text, NULL, t->len});
    return n;
}

static struct jinja_node *argument(struct jinja_parser *p) {
    const bool star = jinja_at_op(p, '*'), stars = jinja_at_op(p, JINJA_OP('*', '*')), named = p->t->kind == TOKEN_NAME && p->t[1].kind == TOKEN_OP && p->t[1].op == '=';
    if (!star && !stars && !named) return jinja_parse_expression(p);
    struct jinja_node *n = jinja_node_new(p, star ? NODE_STAR : stars ? NODE_STARSTAR : NODE_KEYWORD, p->t->line);
    if (n && named) n->v = jinja_string((struct jinja_str){p->t->text, NULL, p->t->len});
    p->t += named ? 2 : 1;
    return n && (n->a = jinja_parse_expression(p)) ? n : NULL;
}

bool jinja_parse_args(struct jinja_parser *p, struct jinja_node **at) {
    int last = 0; /* 1 after a keyword, 2 after *, 3 after ** */
    p->t++;
    for (bool first = true; !jinja_at_op(p, ')'); first = false) {
        if (!first && !jinja_expect_op(p, ',')) return false;
        if (jinja_at_op(p, ')')) break;
        if (!(*at = argument(p))) return false;
        const int kind = (*at)->kind == NODE_KEYWORD ? 1 : (*at)->kind == NODE_STAR ? 2 : (*at)->kind == NODE_STARSTAR ? 3 : 0;
        if (last == 3 || (kind == 0 && last) || (kind == 2 && last == 2)) return jinja_parse_fail(p, "an argument stands where a call cannot have it");
        if (kind != 1 || last < 1) last = kind;
        at = &(*at)->next;
    }
    p->t++;
    return true;
}

static struct jinja_node *call(struct jinja_parser *p, struct jinja_node *f) {
    struct jinja_node *n = jinja_node_new(p, NODE_CALL, p->t->line);
    if (!n || !jinja_parse_args(p, &n->args)) return NULL;
    n->a = f;
    return n;
}

static struct jinja_node *postfix(struct jinja_parser *p, struct jinja_node *n) {
    unsigned levels = 0; /* a chain is evaluated from its end: as deep as it is long */
    for (; n; levels++) {
        if (levels > JINJA_MAX_DEPTH) return jinja_parse_fail(p, "a chain of more than %d subscripts and calls", JINJA_MAX_DEPTH);
        if (jinja_skip_op(p, '.')) n = attribute(p, n);
        else if (jinja_skip_op(p, '[')) n = item(p, n);
        else if (jinja_at_op(p, '(')) n = call(p, n);
        else return n;
    }
    return NULL;
}

/* "a.b": names of filters and tests may hold dots. */
static bool dotted(struct jinja_parser *p, struct jinja_str *out) {
    struct jinja_token *t = jinja_expect_name(p);
    if (!t) return false;
    *out = (struct jinja_str){t->text, NULL, t->len};
    while (jinja_skip_op(p, '.')) {
        if (!(t = jinja_expect_name(p))) return false;
        out->len = (size_t)(t->text + t->len - out->p);
    }
    return true;
}

struct jinja_node *jinja_parse_filters(struct jinja_parser *p, struct jinja_node *first, bool inline_name) {
    for (unsigned levels = 0; inline_name || jinja_at_op(p, '|'); inline_name = false, levels++) {
        struct jinja_node *n = jinja_node_new(p, NODE_FILTER, p->t->line);
        if (levels > JINJA_MAX_DEPTH) return jinja_parse_fail(p, "a chain of more than %d filters", JINJA_MAX_DEPTH);
        if (!inline_name) p->t++;
        if (!n || !dotted(p, &n->v.s)) return NULL;
        n->v.kind = JINJA_STRING;
        n->a = first;
        if (jinja_at_op(p, '(') && !jinja_parse_args(p, &n->args)) return NULL;
        first = n;
    }
    return first;
}

static bool begins_primary(const struct jinja_parser *p) {
    const enum jinja_token_kind k = p->t->kind;
    if (k == TOKEN_NAME) return !jinja_at_name(p, "else") && !jinja_at_name(p, "or") && !jinja_at_name(p, "and");
    return k == TOKEN_STRING || k == TOKEN_INT || k == TOKEN_FLOAT || jinja_at_op(p, '[') || jinja_at_op(p, '{');
}

/* "is [not] NAME", with arguments in parentheses or one primary expression */
static struct jinja_node *test(struct jinja_parser *p, struct jinja_node *of) {
    struct jinja_node *n = jinja_node_new(p, NODE_TEST, p->t->line);
    p->t++;
    const bool negated = jinja_skip_name(p, "not");
    if (!n || !dotted(p, &n->v.s)) return NULL;
    n->v.kind = JINJA_STRING;
    n->a = of;
    if (jinja_at_op(p, '(')) {
        if (!jinja_parse_args(p, &n->args)) return NULL;
    } else if (begins_primary(p)) {
        if (jinja_at_name(p, "is")) return jinja_parse_fail(p, "found a second \"is\", expected one test");
        if (!(n->args = postfix(p, primary(p, false)))) return NULL;
    }
    if (!negated) return n;
    struct jinja_node *not = jinja_node_new(p, NODE_NOT, n->line);
    if (not) not->a = n;
    return not;
}

static struct jinja_node *filtered(struct jinja_parser *p, struct jinja_node *n) {
    for (unsigned levels = 0; n; levels++) {
        if (levels > JINJA_MAX_DEPTH) return jinja_parse_fail(p, "a chain of more than %d filters, tests and calls", JINJA_MAX_DEPTH);
        if (jinja_at_op(p, '|')) n = jinja_parse_filters(p, n, false);
        else if (jinja_at_name(p, "is")) n = test(p, n);
        else if (jinja_at_op(p, '(')) n = call(p, n);
        else return n;
    }
    return NULL;
}

/* ---- operators ---- */

static struct jinja_node *unary(struct jinja_parser *p, bool with_filter) {
    struct jinja_node *n;
    if (!jinja_enter(p)) return NULL;
    if (jinja_at_op(p, '-') || jinja_at_op(p, '+')) {
        n = jinja_node_new(p, jinja_at_op(p, '-') ? NODE_NEG : NODE_POS, p->t->line);
        p->t++;
        if (n && !(n->a = unary(p, false))) n = NULL;
    } else n = primary(p, false);
    n = postfix(p, n);
    if (with_filter) n = filtered(p, n);
    p->depth--;
    return n;
}

static struct jinja_node *filtered_unary(struct jinja_parser *p) { return unary(p, true); }

/* Left to right: operand (op operand)* with one of `ops`, ended by 0. The tree leans to the left, so its length is bounded too. */
static struct jinja_node *binary(struct jinja_parser *p, parse_fn operand, const int *ops) {
    struct jinja_node *n = operand(p);
    for (unsigned levels = 0; n; levels++) {
        const int *op = ops;
        while (*op && !jinja_at_op(p, *op)) op++;
        if (!*op) return n;
        if (levels > JINJA_MAX_DEPTH) return jinja_parse_fail(p, "a chain of more than %d operators", JINJA_MAX_DEPTH);
        p->t++;
        n = two(p, NODE_BINARY, *op, n, operand(p));
    }
    return NULL;
}

static struct jinja_node *power(struct jinja_parser *p) { return binary(p, filtered_unary, (const int[]){JINJA_OP('*', '*'), 0}); }
static struct jinja_node *product(struct jinja_parser *p) { return binary(p, power, (const int[]){'*', '/', JINJA_OP('/', '/'), '%', 0}); }

static struct jinja_node *concat(struct jinja_parser *p) {
    struct jinja_node *first = product(p), *n;
    if (!first || !jinja_at_op(p, '~')) return first;
    if (!(n = jinja_node_new(p, NODE_CONCAT, first->line))) return NULL;
    n->args = first;
    while (jinja_skip_op(p, '~')) {
        if (!(first->next = product(p))) return NULL;
        first = first->next;
    }
    return n;
}

static struct jinja_node *sum(struct jinja_parser *p) { return binary(p, concat, (const int[]){'+', '-', 0}); }

/* The comparison that stands here: its code, 0: none. */
static int comparison(struct jinja_parser *p) {
    static const int OPS[] = {JINJA_OP('=', '='), JINJA_OP('!', '='), JINJA_OP('<', '='), JINJA_OP('>', '='), '<', '>'};
    for (unsigned i = 0; i < sizeof OPS / sizeof *OPS; i++)
        if (jinja_skip_op(p, OPS[i])) return OPS[i];
    if (jinja_skip_name(p, "in")) return 'i';
    if (!jinja_at_name(p, "not") || p->t[1].kind != TOKEN_NAME || p->t[1].len != 2 || memcmp(p->t[1].text, "in", 2)) return 0;
    p->t += 2;
    return 'n';
}

static struct jinja_node *compare(struct jinja_parser *p) {
    struct jinja_node *first = sum(p), *n = NULL, **at = NULL;
    for (int op; first && (op = comparison(p)); at = &(*at)->next) {
        if (!n) {
            if (!(n = jinja_node_new(p, NODE_COMPARE, first->line))) return NULL;
            n->a = first;
            at = &n->args;
        }
        struct jinja_node *right = sum(p), *operand = right ? jinja_node_new(p, NODE_COMPARE, right->line) : NULL;
        if (!operand) return NULL;
        operand->op = op, operand->a = right;
        *at = operand;
    }
    return n ? n : first;
}

static struct jinja_node *not_(struct jinja_parser *p) {
    if (!jinja_at_name(p, "not")) return compare(p);
    struct jinja_node *n = jinja_node_new(p, NODE_NOT, p->t->line);
    p->t++;
    if (!n || !jinja_enter(p)) return NULL;
    n->a = not_(p);
    p->depth--;
    return n->a ? n : NULL;
}

static struct jinja_node *words(struct jinja_parser *p, const char *word, enum jinja_node_kind kind, parse_fn operand) {
    struct jinja_node *n = operand(p);
    for (unsigned levels = 0; n && jinja_skip_name(p, word); levels++) {
        if (levels > JINJA_MAX_DEPTH) return jinja_parse_fail(p, "a chain of more than %d \"%s\"", JINJA_MAX_DEPTH, word);
        n = two(p, kind, 0, n, operand(p));
    }
    return n;
}
static struct jinja_node *and_(struct jinja_parser *p) { return words(p, "and", NODE_AND, not_); }
static struct jinja_node *or_(struct jinja_parser *p) { return words(p, "or", NODE_OR, and_); }

struct jinja_node *jinja_parse_expression(struct jinja_parser *p) {
    if (!jinja_enter(p)) return NULL;
    struct jinja_node *n = or_(p);
    for (unsigned levels = 0; n && jinja_skip_name(p, "if"); levels++) {
        struct jinja_node *cond = levels < JINJA_MAX_DEPTH ? jinja_node_new(p, NODE_COND, n->line) : jinja_parse_fail(p, "a chain of more than %d \"if\"", JINJA_MAX_DEPTH);
        if (!cond) return NULL;
        cond->b = n;
        if (!(cond->a = or_(p))) return NULL;
        if (jinja_skip_name(p, "else") && !(cond->c = jinja_parse_expression(p))) return NULL;
        n = cond;
    }
    p->depth--;
    return n;
}

/* ---- tuples and targets ---- */

static bool tuple_ends(const struct jinja_parser *p, unsigned flags) {
    const enum jinja_token_kind k = p->t->kind;
    return k == TOKEN_VAR_END || k == TOKEN_BLOCK_END || jinja_at_op(p, ')') || ((flags & TUPLE_TARGET) && jinja_at_name(p, "in")) || ((flags & TUPLE_NO_COND) && jinja_at_name(p, "recursive"));
}

static bool assignable(struct jinja_parser *p, const struct jinja_node *n, bool with_namespace) {
    if (n->kind == NODE_NAME || (with_namespace && n->kind == NODE_ATTR)) return true;
    if (n->kind != NODE_TUPLE && n->kind != NODE_LIST) return jinja_parse_fail(p, "found an expression, expected a name to assign to");
    for (const struct jinja_node *i = n->args; i; i = i->next)
        if (!assignable(p, i, with_namespace)) return false;
    return true;
}

struct jinja_node *jinja_parse_tuple(struct jinja_parser *p, unsigned flags) {
    struct jinja_node *list = NULL, **at = &list;
    const uint32_t line = p->t->line;
    bool tuple = false;
    while (!tuple_ends(p, flags)) {
        *at = flags & TUPLE_TARGET ? primary(p, flags & TUPLE_NAMESPACE) : flags & TUPLE_NO_COND ? or_(p) : jinja_parse_expression(p);
        if (!*at) return NULL;
        if ((flags & TUPLE_TARGET) && !assignable(p, *at, flags & TUPLE_NAMESPACE)) return NULL;
        at = &(*at)->next;
        if (!jinja_skip_op(p, ',')) break;
        tuple = true;
    }
    if (!tuple && list) return list;
    if (!tuple && !(flags & TUPLE_PARENTHESES)) return unexpected(p, "an expression");
    struct jinja_node *n = jinja_node_new(p, NODE_TUPLE, line);
    if (n) n->args = list;
    return n;
}
