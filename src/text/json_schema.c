#include "text/json_schema.h"

#include <stdlib.h>
#include <string.h>

#include "text/schema_reader.h"

enum {
    MAX_CONJUNCTS = 64, /* schemas that hold together */
    MAX_DEPTH = 60      /* schemas in one rule, one inside the other */
};
struct conjunction {
    struct part parts[MAX_CONJUNCTS];
    size_t n;
};

static gllm_status conjoin(struct reader *r, struct conjunction *c, struct expr **out, gllm_error *err);

gllm_status reader_schema(struct reader *r, const json_t *schema, const struct pointer *at, struct expr **out, gllm_error *err) {
    struct conjunction c = {.parts = {{schema, at}}, .n = 1};
    return conjoin(r, &c, out, err);
}

static gllm_status one_step(struct reader *r, const struct pointer *at, gllm_error *err) {
    TRY(rules_check(&r->rules, err));
    return ++r->steps <= SCHEMA_MAX_STEPS ? GLLM_OK : schema_wrong(at, err, GLLM_UNSUPPORTED, "the schema is too large or its combinations are too many");
}

static gllm_status check_apart(struct reader *r, const json_t *list, const struct pointer *at, gllm_error *err) {
    for (size_t i = 0; i < json_array_size(list); i++)
        for (size_t k = 0; k < i; k++)
            if (!schemas_apart(r, json_array_get(list, i), json_array_get(list, k)))
                return reader_spent(r) ? one_step(r, at, err) : schema_wrong(at, err, GLLM_UNSUPPORTED, "alternatives %zu and %zu might both fit one value, which oneOf forbids (anyOf does not)", k, i);
    return GLLM_OK;
}

static gllm_status add_part(struct conjunction *c, const json_t *schema, const struct pointer *at, gllm_error *err) {
    if (c->n == MAX_CONJUNCTS) return schema_wrong(at, err, GLLM_UNSUPPORTED, "more than %d schemas must hold together", MAX_CONJUNCTS);
    c->parts[c->n++] = (struct part){schema, at};
    return GLLM_OK;
}

/* Each alternative of part i together with all the rest. */
static gllm_status read_alternatives(struct reader *r, const struct conjunction *c, size_t i, const char *key, struct expr **out, gllm_error *err) {
    const json_t *list = json_object_get(c->parts[i].schema, key), *item, *rest = reader_without(r, c->parts[i].schema, key);
    const struct pointer *at = reader_below(r, c->parts[i].at, key, 0);
    struct expr *alt = expr_alt(&r->rules), *one = NULL;
    size_t k;
    if (!rest) return err_nomem(err, "schema");
    if (!strcmp(key, "oneOf")) TRY(check_apart(r, list, at, err));
    struct conjunction *next = malloc(sizeof *next);
    gllm_status status = next ? GLLM_OK : err_nomem(err, "schema");
    json_array_foreach(list, k, item) {
        if (status != GLLM_OK) break;
        *next = *c;
        next->parts[i].schema = rest;
        status = add_part(next, item, reader_below(r, at, NULL, k), err);
        if (status == GLLM_OK) status = conjoin(r, next, &one, err);
        if (status == GLLM_OK && one) expr_add(&r->rules, alt, one);
    }
    free(next);
    *out = alt && alt->n ? alt : NULL;
    return status;
}

/* Takes one $ref or allOf apart; *done: there was none. */
static gllm_status take_apart(struct reader *r, struct conjunction *c, bool *done, gllm_error *err) {
    *done = true;
    for (size_t i = 0; i < c->n; i++) {
        struct part *p = &c->parts[i];
        const json_t *all = json_object_get(p->schema, "allOf"), *item;
        const struct pointer *at = p->at;
        size_t k;
        if (!all && !json_object_get(p->schema, "$ref")) continue;
        *done = false;
        TRY(one_step(r, at, err));
        if (!all) {
            struct target t;
            TRY(reader_resolve(r, p->schema, at, &t, err));
            if (!(p->schema = reader_without(r, p->schema, "$ref"))) return err_nomem(err, "schema");
            return add_part(c, t.schema, t.at, err);
        }
        if (!(p->schema = reader_without(r, p->schema, "allOf"))) return err_nomem(err, "schema");
        json_array_foreach(all, k, item) TRY(add_part(c, item, reader_below(r, reader_below(r, at, "allOf", 0), NULL, k), err));
        return GLLM_OK;
    }
    return GLLM_OK;
}

static gllm_status merge(struct reader *r, const struct conjunction *c, struct expr **out, gllm_error *err) {
    if (c->n == 1) return reader_flat(r, c->parts[0].schema, c->parts[0].at, out, err);
    json_t *all = reader_hold(r, json_object());
    for (size_t i = 0; all && i < c->n; i++) TRY(schema_merge(r, all, &c->parts[i], err));
    TRY(one_step(r, c->parts[0].at, err)); /* whether merging took too long */
    return reader_flat(r, all, c->parts[0].at, out, err);
}

/* A tuple in `items`, as dialects before 2020 have it, is prefixItems. */
static const json_t *modern(struct reader *r, const json_t *v) {
    const json_t *tuple = json_object_get(v, "items"), *more = json_object_get(v, "additionalItems");
    if (!json_is_array(tuple)) return v;
    json_t *copy = reader_without(r, v, "items");
    if (copy) json_object_set_new(copy, "prefixItems", schema_share(tuple));
    if (copy && more) json_object_set_new(copy, "items", schema_share(more));
    return copy ? copy : v;
}

/* Drops what says nothing. False: nothing fits. */
static bool simplify(struct reader *r, struct conjunction *c) {
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        c->parts[i].schema = modern(r, c->parts[i].schema);
        if (json_is_false(c->parts[i].schema)) return false;
        if (!schema_says_nothing(c->parts[i].schema)) c->parts[n++] = c->parts[i];
    }
    c->n = n;
    return true;
}

static gllm_status conjoin_parts(struct reader *r, struct conjunction *c, struct expr **out, gllm_error *err) {
    static const char *const CHOICES[] = {"anyOf", "oneOf"};
    bool done = false;
    const struct pointer *at = c->parts[0].at;
    *out = NULL;
    TRY(one_step(r, at, err));
    while (!done) {
        if (!simplify(r, c)) return GLLM_OK;
        if (c->n == 1 && json_object_get(c->parts[0].schema, "$ref")) { /* with nothing but notes beside it: a rule */
            const json_t *beside = reader_without(r, c->parts[0].schema, "$ref");
            struct target t;
            if (!beside) return err_nomem(err, "schema");
            if (schema_says_nothing(beside)) {
                TRY(reader_resolve(r, c->parts[0].schema, at, &t, err));
                return reader_call(r, t, out, err);
            }
        }
        TRY(take_apart(r, c, &done, err));
    }
    if (!c->n) {
        *out = json_call(&r->rules, JSON_VALUE);
        return GLLM_OK;
    }
    for (size_t i = 0; i < c->n; i++)
        for (unsigned k = 0; k < 2; k++)
            if (json_object_get(c->parts[i].schema, CHOICES[k])) return read_alternatives(r, c, i, CHOICES[k], out, err);
    return merge(r, c, out, err);
}

static gllm_status conjoin(struct reader *r, struct conjunction *c, struct expr **out, gllm_error *err) {
    if (++r->depth > MAX_DEPTH) return schema_wrong(c->parts[0].at, err, GLLM_UNSUPPORTED, "schemas are nested more than %d deep between two references", MAX_DEPTH);
    gllm_status status = conjoin_parts(r, c, out, err);
    r->depth--;
    return status;
}

gllm_status reader_targets(struct reader *r, gllm_error *err) {
    struct expr *e;
    for (size_t i = 0; i < r->n_targets; i++) { /* each may add more */
        const struct target t = r->targets[i];
        TRY(reader_schema(r, t.schema, t.at, &e, err));
        TRY(rules_check(&r->rules, err));
        if (!e) return schema_wrong(t.at, err, GLLM_INVALID, "no value can fit this schema");
        rules_define(&r->rules, t.rule, e);
    }
    return GLLM_OK;
}

void reader_free(struct reader *r) {
    rules_free(&r->rules);
    free(r->targets);
    map_free(&r->checked);
    json_decref(r->made);
}

static gllm_status read_document(struct reader *r, struct grammar **out, gllm_error *err) {
    static const struct pointer ROOT = {NULL, "#", 0};
    struct expr *e;
    TRY(schema_check(r->root, &ROOT, err));
    json_define(&r->rules);
    TRY(reader_call(r, (struct target){.schema = r->root, .at = &ROOT}, &e, err));
    TRY(reader_targets(r, err));
    gllm_status status = grammar_compile(out, &r->rules, "#", err);
    return status == GLLM_OK ? status : err_wrap(err, status, "schema");
}

gllm_status json_schema_read(struct grammar **out, const char *text, size_t len, gllm_error *err) {
    struct reader r = {.made = json_array()};
    json_t *root = NULL;
    *out = NULL;
    gllm_status status = r.made ? GLLM_OK : err_nomem(err, "schema");
    if (status == GLLM_OK && len > JSON_SCHEMA_MAX_BYTES) status = err_set(err, GLLM_INVALID, "the schema has %zu bytes, expected at most %d", len, JSON_SCHEMA_MAX_BYTES);
    if (status == GLLM_OK) status = json_parse_unique(text, len, "schema", &root, err);
    if (status == GLLM_FORMAT) status = GLLM_INVALID; /* it is an argument, no file */
    r.root = root;
    if (status == GLLM_OK) status = read_document(&r, out, err);
    if (err && status != GLLM_OK) err->status = status;
    reader_free(&r);
    json_decref(root);
    return status;
}
