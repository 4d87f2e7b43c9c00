#include "text/grammar.h"

#include <stdlib.h>
#include <string.h>

/* ---- writing ---- */

uint32_t rules_name(struct rules *r, const char *name, size_t len) {
    uint32_t i = 0;
    if (map_get(&r->names, name, len, &i)) return i;
    if (r->n == r->room) {
        const uint32_t room = 2 * r->room + 32;
        struct rule *more = r->n < GRAMMAR_MAX_RULES ? realloc(r->list, room * sizeof *more) : NULL;
        r->too_large |= r->n >= GRAMMAR_MAX_RULES;
        if (!more) {
            r->failed = true;
            return 0;
        }
        r->list = more;
        r->room = room;
    }
    const char *kept = arena_strndup(&r->arena, name, len);
    if (!kept || !map_put(&r->names, kept, len, r->n)) r->failed = true;
    r->list[r->n] = (struct rule){.name = kept ? kept : "", .name_len = kept ? len : 0};
    return r->n++;
}

void rules_define(struct rules *r, uint32_t rule, struct expr *body) {
    if (!body || rule >= r->n) {
        r->failed = true;
        return;
    }
    body->owner = rule;
    r->list[rule].body = body;
}

void rules_free(struct rules *r) {
    free(r->list);
    map_free(&r->names);
    arena_free(&r->arena);
    *r = (struct rules){0};
}

gllm_status rules_check(const struct rules *r, gllm_error *err) {
    if (r->too_large) return err_set(err, GLLM_INVALID, "the grammar is too large: more than %d rules, or %d expressions", GRAMMAR_MAX_RULES, GRAMMAR_MAX_EXPRS);
    return r->failed ? err_nomem(err, "grammar") : GLLM_OK;
}

/* bytes: what it will take beside its node. */
static struct expr *new_expr(struct rules *r, enum expr_kind kind, size_t bytes) {
    const bool fits = bytes / 64 < GRAMMAR_MAX_EXPRS && r->n_exprs + bytes / 64 < GRAMMAR_MAX_EXPRS;
    struct expr *e = fits ? arena_alloc(&r->arena, sizeof *e) : NULL;
    r->too_large |= !fits;
    if (fits) r->n_exprs += 1 + (uint32_t)(bytes / 64);
    if (e) e->kind = kind;
    else r->failed = true;
    return e;
}

struct expr *expr_text(struct rules *r, const char *text, size_t len) {
    struct expr *e = new_expr(r, EXPR_TEXT, len);
    if (!e || !(e->text = arena_strndup(&r->arena, text, len))) {
        r->failed = true;
        return NULL;
    }
    e->n = (uint32_t)len;
    return e;
}

static int by_from(const void *x, const void *y) {
    const struct char_range *a = x, *b = y;
    return (a->from > b->from) - (a->from < b->from);
}

static void push_range(struct char_range *out, uint32_t *n, uint32_t from, uint32_t to) {
    if (*n && out[*n - 1].to + 1 >= from) {
        if (to > out[*n - 1].to) out[*n - 1].to = to;
    } else out[(*n)++] = (struct char_range){from, to};
}

/* Scalar values alone: what lies in the surrogates falls out. */
static void push_scalars(struct char_range *out, uint32_t *n, uint32_t from, uint32_t to) {
    if (to > 0x10FFFF) to = 0x10FFFF;
    if (from > to) return;
    if (from < 0xD800) push_range(out, n, from, to < 0xD800 ? to : 0xD7FF);
    if (to > 0xDFFF) push_range(out, n, from > 0xDFFF ? from : 0xE000, to);
}

struct expr *expr_chars(struct rules *r, const struct char_range *ranges, size_t n, bool negate) {
    struct expr *e = new_expr(r, EXPR_CHARS, 3 * n * sizeof *ranges);
    struct char_range *sorted = e ? arena_array(&r->arena, n + 1, sizeof *sorted) : NULL;
    if (e) e->ranges = arena_array(&r->arena, 2 * n + 2, sizeof *sorted);
    if (!e || !sorted || !e->ranges) {
        r->failed = true;
        return NULL;
    }
    if (n) memcpy(sorted, ranges, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_from);
    uint32_t at = 0; /* the first value above all ranges so far */
    for (size_t i = 0; i < n; i++) {
        if (!negate) push_scalars(e->ranges, &e->n, sorted[i].from, sorted[i].to);
        else if (sorted[i].from > at) push_scalars(e->ranges, &e->n, at, sorted[i].from - 1);
        if (sorted[i].from <= sorted[i].to && sorted[i].to + 1 > at) at = sorted[i].to + 1;
    }
    if (negate) push_scalars(e->ranges, &e->n, at, 0x10FFFF);
    return e;
}

struct expr *expr_call(struct rules *r, uint32_t rule) {
    struct expr *e = rule < r->n ? new_expr(r, EXPR_CALL, 0) : NULL;
    if (!e) {
        r->failed = true;
        return NULL;
    }
    e->rule = rule;
    e->next_call = r->list[rule].calls;
    r->list[rule].calls = e;
    return e;
}

struct expr *expr_seq(struct rules *r) { return new_expr(r, EXPR_SEQ, 0); }
struct expr *expr_alt(struct rules *r) { return new_expr(r, EXPR_ALT, 0); }

struct expr *expr_add(struct rules *r, struct expr *list, struct expr *item) {
    if (!list || !item) {
        r->failed = true;
        return list;
    }
    item->before = list->last;
    item->parent = list;
    list->last = item;
    list->n++;
    return list;
}

struct expr *expr_repeat(struct rules *r, struct expr *item, uint32_t min, uint32_t max) {
    struct expr *e = expr_add(r, new_expr(r, EXPR_REPEAT, 0), item);
    if (!e) return NULL;
    e->min = min;
    e->max = max;
    return e;
}

/* ---- what is known of every expression: may it be empty, can it end ---- */

enum { REACHED = 1, EMPTY = 2, ENDS = 4 };

struct compiler {
    struct rules *rules;
    struct grammar *g;
    struct chars chars;
    struct expr **stack; /* [n_exprs] */
    size_t height, n_exprs;
    uint32_t *rank;      /* [rules->n] of reached rules */
    uint32_t *rule_of;   /* [n_rules] by rank */
    uint32_t n_reached;
};

static bool holds(const struct expr *e, unsigned what) { return e->known & what; }

static bool holds_at_once(const struct expr *e, unsigned what) {
    switch (e->kind) {
    case EXPR_TEXT: return what == ENDS || !e->n;
    case EXPR_CHARS: return what == ENDS && e->n;
    case EXPR_SEQ: return !e->n;
    case EXPR_REPEAT: return !e->min;
    default: return false;
    }
}

static void mark(struct compiler *c, struct expr *e, unsigned what) {
    if (holds(e, what)) return;
    e->known |= (uint8_t)what;
    c->stack[c->height++] = e;
}

/* Hands a property on upwards until nothing changes; each expression is met once. */
static void spread(struct compiler *c, unsigned what) {
    while (c->height) {
        struct expr *e = c->stack[--c->height], *p = e->parent;
        if (!p)
            for (struct expr *call = c->rules->list[e->owner].calls; call; call = call->next_call) {
                if (call->known & REACHED) mark(c, call, what);
            }
        else if (p->kind != EXPR_SEQ || !--p->waiting) mark(c, p, what);
    }
}

/* fn on e and everything below it. */
static void walk(struct compiler *c, struct expr *e, void (*fn)(struct compiler *c, struct expr *e)) {
    fn(c, e);
    if (e->kind == EXPR_SEQ || e->kind == EXPR_ALT || e->kind == EXPR_REPEAT)
        for (struct expr *k = e->last; k; k = k->before) walk(c, k, fn);
}

static gllm_status undefined(const struct rule *r, gllm_error *err) {
    return err_set(err, GLLM_INVALID, "rule \"%.*s\" is called and not defined", (int)(r->name_len < 200 ? r->name_len : 200), r->name);
}

static void reach_expr(struct compiler *c, struct expr *e) {
    e->known = REACHED;
    c->n_exprs++;
    if (e->kind == EXPR_CALL && c->rank[e->rule] == UINT32_MAX) {
        c->rank[e->rule] = 0;
        c->rule_of[c->n_reached++] = e->rule;
    }
}

static gllm_status reach(struct compiler *c, uint32_t root, gllm_error *err) {
    for (uint32_t i = 0; i < c->rules->n; i++) c->rank[i] = UINT32_MAX;
    c->rank[root] = 0;
    c->rule_of[c->n_reached++] = root;
    for (uint32_t i = 0; i < c->n_reached; i++) {
        const struct rule *r = &c->rules->list[c->rule_of[i]];
        if (!r->body) return undefined(r, err);
        walk(c, r->body, reach_expr);
    }
    return GLLM_OK;
}

static void seed_empty(struct compiler *c, struct expr *e) {
    e->waiting = e->n;
    if (holds_at_once(e, EMPTY)) mark(c, e, EMPTY);
}
static void seed_ends(struct compiler *c, struct expr *e) {
    e->waiting = e->n;
    if (holds_at_once(e, ENDS)) mark(c, e, ENDS);
}

static gllm_status learn(struct compiler *c, gllm_error *err) {
    if (!(c->stack = malloc((c->n_exprs + 1) * sizeof *c->stack))) return err_nomem(err, "grammar");
    for (uint32_t i = 0; i < c->n_reached; i++) walk(c, c->rules->list[c->rule_of[i]].body, seed_empty);
    spread(c, EMPTY);
    for (uint32_t i = 0; i < c->n_reached; i++) walk(c, c->rules->list[c->rule_of[i]].body, seed_ends);
    spread(c, ENDS);
    for (uint32_t i = 0; i < c->n_reached; i++) {
        const struct rule *r = &c->rules->list[c->rule_of[i]];
        if (!holds(r->body, ENDS)) return err_set(err, GLLM_INVALID, "rule \"%.*s\" can never end", (int)(r->name_len < 200 ? r->name_len : 200), r->name);
    }
    return GLLM_OK;
}

/* ---- places ---- */

/* A bound of the places, and of the work to write them: what is empty counts, too. */
static uint64_t size_of(const struct expr *e) {
    const uint64_t most = (uint64_t)GRAMMAR_MAX_PLACES + 1; /* kept there, so that nothing overflows */
    uint64_t n = 1;
    switch (e->kind) {
    case EXPR_TEXT: n += e->n; break;
    case EXPR_CHARS:
    case EXPR_CALL: break;
    case EXPR_REPEAT:
        n = size_of(e->last);
        n = 1 + e->min * n + (e->max == EXPR_FOREVER ? n + 1 : (e->max - e->min) * (n + 1)); /* < 2^32 (2^18 + 2) each */
        break;
    case EXPR_SEQ:
    case EXPR_ALT:
        for (const struct expr *k = e->last; k; k = k->before) n += size_of(k) + 1;
        break;
    }
    return n < most ? n : most;
}

static uint32_t add_place(struct grammar *g, enum place_kind kind, uint32_t arg, uint32_t next) {
    g->places[g->n_places] = (struct place){.kind = kind, .arg = arg & 0x1FFFFFFF, .next = next};
    return g->n_places++;
}

static gllm_status emit(struct compiler *c, const struct expr *e, uint32_t next, uint32_t *out, gllm_error *err);

static gllm_status emit_alt(struct compiler *c, const struct expr *e, uint32_t next, uint32_t *out, gllm_error *err) {
    if (!e->last) *out = add_place(c->g, PLACE_CHAR, CHARS_DEAD, next); /* nothing fits */
    for (const struct expr *k = e->last; k; k = k->before) {
        uint32_t one;
        TRY(emit(c, k, next, &one, err));
        *out = k == e->last ? one : add_place(c->g, PLACE_SPLIT, *out, one);
    }
    return GLLM_OK;
}

static gllm_status emit_repeat(struct compiler *c, const struct expr *e, uint32_t next, uint32_t *out, gllm_error *err) {
    uint32_t at = next, one;
    if (e->max == EXPR_FOREVER) {
        at = add_place(c->g, PLACE_SPLIT, next, next);
        TRY(emit(c, e->last, at, &one, err));
        c->g->places[at].next = one;
    } else
        for (uint32_t i = e->min; i < e->max; i++) {
            TRY(emit(c, e->last, at, &one, err));
            at = add_place(c->g, PLACE_SPLIT, next, one);
        }
    for (uint32_t i = 0; i < e->min; i++) TRY(emit(c, e->last, at, &at, err));
    *out = at;
    return GLLM_OK;
}

/* The places of e, which go on at `next`; *out is where they begin. */
static gllm_status emit(struct compiler *c, const struct expr *e, uint32_t next, uint32_t *out, gllm_error *err) {
    uint32_t state;
    *out = next;
    switch (e->kind) {
    case EXPR_TEXT:
        for (uint32_t i = e->n; i--;) {
            TRY(chars_byte(&c->chars, (unsigned char)e->text[i], &state, err));
            *out = add_place(c->g, PLACE_CHAR, state, *out);
        }
        return GLLM_OK;
    case EXPR_CHARS:
        TRY(chars_class(&c->chars, e->ranges, e->n, &state, err));
        *out = add_place(c->g, PLACE_CHAR, state, next);
        return GLLM_OK;
    case EXPR_CALL: *out = add_place(c->g, PLACE_CALL, e->rule, next); return GLLM_OK; /* the rank follows */
    case EXPR_ALT: return emit_alt(c, e, next, out, err);
    case EXPR_REPEAT: return emit_repeat(c, e, next, out, err);
    case EXPR_SEQ:
        for (const struct expr *k = e->last; k; k = k->before) TRY(emit(c, k, *out, out, err));
        return GLLM_OK;
    }
    return GLLM_OK;
}

static gllm_status emit_all(struct compiler *c, uint32_t *starts, gllm_error *err) {
    struct grammar *g = c->g;
    uint64_t total = 1;
    for (uint32_t i = 0; i < c->n_reached; i++) {
        const struct rule *r = &c->rules->list[c->rule_of[i]];
        total += size_of(r->body) + 1;
        if (total > GRAMMAR_MAX_PLACES)
            return err_set(err, GLLM_INVALID, "the grammar is too large: with its repetitions written out it has more than %d places, at rule \"%.*s\"", GRAMMAR_MAX_PLACES,
                           (int)(r->name_len < 200 ? r->name_len : 200), r->name);
    }
    if (!(g->places = arena_array(&g->arena, total, sizeof *g->places))) return err_nomem(err, "grammar");
    g->accept = add_place(g, PLACE_ACCEPT, 0, 0);
    for (uint32_t i = 0; i < c->n_reached; i++) {
        const uint32_t end = add_place(g, PLACE_END, 0, 0);
        TRY(emit(c, c->rules->list[c->rule_of[i]].body, end, &starts[i], err));
    }
    return GLLM_OK;
}

/* ---- order: a rule before those that it begins with ---- */

struct order {
    uint32_t *edges, *first; /* rules that rule i may begin with: edges[first[i] .. first[i + 1]) */
    uint32_t *stack, *seen;  /* [n_places] seen: 1 + the rule that saw it last */
};

/* Places reached from the start of a rule without reading: their calls. */
static uint32_t begins_with(const struct compiler *c, struct order *o, uint32_t start, uint32_t stamp, uint32_t *edges) {
    uint32_t height = 0, n = 0;
    o->stack[height++] = start;
    while (height) {
        const uint32_t at = o->stack[--height];
        const struct place *p = &c->g->places[at];
        if (o->seen[at] == stamp) continue;
        o->seen[at] = stamp;
        if (p->kind == PLACE_SPLIT) o->stack[height++] = p->arg;
        if (p->kind == PLACE_CALL) edges[n++] = p->arg;
        if (p->kind == PLACE_SPLIT || (p->kind == PLACE_CALL && holds(c->rules->list[p->arg].body, EMPTY))) o->stack[height++] = p->next;
    }
    return n;
}

/* Ranks by depth-first search; a way back into what is open is left recursion. */
static gllm_status rank_rules(struct compiler *c, const struct order *o, const uint32_t *place_of, gllm_error *err) {
    enum { NEW, OPEN, DONE };
    const uint32_t n = c->n_reached;
    uint8_t *state = calloc(n, 1);
    uint32_t *at = malloc(n * sizeof *at), *path = malloc(n * sizeof *path), left = n;
    gllm_status status = state && at && path ? GLLM_OK : err_nomem(err, "grammar");
    for (uint32_t i = 0; status == GLLM_OK && i < n; i++) {
        uint32_t depth = 0;
        if (state[i] != NEW) continue;
        path[depth++] = i, state[i] = OPEN, at[i] = o->first[i];
        while (status == GLLM_OK && depth) {
            const uint32_t r = path[depth - 1];
            if (at[r] == o->first[r + 1]) {
                state[r] = DONE;
                c->rank[c->rule_of[r]] = --left;
                depth--;
                continue;
            }
            const uint32_t to = place_of[o->edges[at[r]++]];
            if (state[to] == OPEN) {
                const struct rule *rule = &c->rules->list[c->rule_of[to]];
                status = err_set(err, GLLM_INVALID, "rule \"%.*s\" begins with itself (left recursion)", (int)(rule->name_len < 200 ? rule->name_len : 200), rule->name);
            } else if (state[to] == NEW) path[depth++] = to, state[to] = OPEN, at[to] = o->first[to];
        }
    }
    free(state), free(at), free(path);
    return status;
}

static gllm_status order_rules(struct compiler *c, const uint32_t *starts, gllm_error *err) {
    const uint32_t n = c->n_reached, n_places = c->g->n_places;
    struct order o = {.edges = malloc((n_places + 1) * sizeof *o.edges), .first = malloc((n + 1) * sizeof *o.first), .stack = malloc((2 * n_places + 1) * sizeof *o.stack), .seen = calloc(n_places, sizeof *o.seen)};
    uint32_t *place_of = malloc(c->rules->n * sizeof *place_of); /* rule -> its number among those reached */
    gllm_status status = o.edges && o.first && o.stack && o.seen && place_of ? GLLM_OK : err_nomem(err, "grammar");
    if (status == GLLM_OK) {
        uint32_t n_edges = 0;
        for (uint32_t i = 0; i < n; i++) {
            place_of[c->rule_of[i]] = i;
            o.first[i] = n_edges;
            n_edges += begins_with(c, &o, starts[i], i + 1, o.edges + n_edges);
        }
        o.first[n] = n_edges;
        status = rank_rules(c, &o, place_of, err);
    }
    free(o.edges), free(o.first), free(o.stack), free(o.seen), free(place_of);
    return status;
}

static gllm_status fill_rules(struct compiler *c, const uint32_t *starts, gllm_error *err) {
    struct grammar *g = c->g;
    g->n_rules = c->n_reached;
    g->starts = arena_array(&g->arena, g->n_rules, sizeof *g->starts);
    g->nullable = arena_array(&g->arena, g->n_rules, sizeof *g->nullable);
    g->unused = arena_array(&g->arena, c->rules->n - c->n_reached, sizeof *g->unused);
    if (!g->starts || !g->nullable || !g->unused) return err_nomem(err, "grammar");
    for (uint32_t i = 0; i < c->n_reached; i++) {
        const uint32_t rank = c->rank[c->rule_of[i]];
        g->starts[rank] = starts[i];
        g->nullable[rank] = holds(c->rules->list[c->rule_of[i]].body, EMPTY);
    }
    for (uint32_t i = 0; i < g->n_places; i++)
        if (g->places[i].kind == PLACE_CALL) g->places[i].arg = c->rank[g->places[i].arg] & 0x1FFFFFFF;
    g->root = c->rank[c->rule_of[0]];
    for (uint32_t i = 0; i < c->rules->n; i++)
        if (c->rank[i] == UINT32_MAX && !(g->unused[g->n_unused++] = arena_strdup(&g->arena, c->rules->list[i].name))) return err_nomem(err, "grammar");
    return GLLM_OK;
}

static gllm_status compile(struct compiler *c, const char *root, gllm_error *err) {
    uint32_t first, *starts = NULL;
    gllm_status status;
    TRY(rules_check(c->rules, err));
    if (!map_get(&c->rules->names, root, strlen(root), &first)) return err_set(err, GLLM_INVALID, "the grammar has no rule \"%s\", where it would begin", root);
    c->rank = malloc(c->rules->n * sizeof *c->rank);
    c->rule_of = malloc(c->rules->n * sizeof *c->rule_of);
    starts = malloc(c->rules->n * sizeof *starts);
    if (!c->rank || !c->rule_of || !starts) {
        status = err_nomem(err, "grammar");
        goto done;
    }
    TRY_GO(reach(c, first, err));
    TRY_GO(learn(c, err));
    TRY_GO(emit_all(c, starts, err));
    TRY_GO(order_rules(c, starts, err));
    TRY_GO(fill_rules(c, starts, err));
    TRY_GO(chars_finish(&c->chars, c->g, err));
done:
    free(starts);
    return status;
}

gllm_status grammar_compile(struct grammar **out, struct rules *rules, const char *root, gllm_error *err) {
    struct compiler c = {.rules = rules, .g = calloc(1, sizeof *c.g)};
    *out = NULL;
    if (!c.g) return err_nomem(err, "grammar");
    gllm_status status = compile(&c, root, err);
    free(c.stack), free(c.rank), free(c.rule_of);
    chars_free(&c.chars);
    if (status != GLLM_OK) grammar_close(c.g);
    else *out = c.g;
    return status;
}

void grammar_close(struct grammar *g) {
    if (!g) return;
    arena_free(&g->arena);
    free(g);
}
