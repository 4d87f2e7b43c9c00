/* schema_flat.c - the expression of a schema that has no $ref, allOf, anyOf or oneOf: values, strings, numbers, arrays, objects. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "text/schema_reader.h"

enum {
    MAX_KEY = 256,     /* bytes of a property's name beside additionalProperties */
    MAX_VALUES = 10000, /* of an enum */
    TAIL = 16           /* items of a tuple in one rule: each stands inside the one before it, and expressions are walked by recursion */
};

/* Adds e, unless nothing fits it, to the alternatives. */
static void offer(struct reader *r, struct expr *alt, struct expr *e) {
    if (e) expr_add(&r->rules, alt, e);
}

/* A number in v that is not json_exact; NULL: none. */
static const json_t *inexact(const json_t *v) {
    const json_t *item, *bad = json_is_number(v) && !json_exact(json_number_value(v)) ? v : NULL;
    json_t *object = (json_t *)(uintptr_t)v, *member;
    const char *key;
    size_t i;
    json_array_foreach(v, i, item) bad = bad ? bad : inexact(item);
    json_object_foreach(object, key, member) bad = bad ? bad : inexact(member);
    return bad;
}

/* enum and const: those of their values that the other keywords let through, of which only `type` is looked at. */
static gllm_status read_values(struct reader *r, const json_t *v, const struct pointer *at, struct expr **out, gllm_error *err) {
    json_t *list = json_object_get(v, "enum"), *one = json_object_get(v, "const"), *value;
    const unsigned types = schema_types(v);
    const char *key;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)v, key, value)
        if (schema_about(key) && !schema_is_note(key)) return schema_wrong(reader_below(r, at, key, 0), err, GLLM_UNSUPPORTED, "beside enum or const only type can be held to");
    json_t *values = reader_hold(r, list ? json_copy(list) : json_pack("[O]", one));
    if (!values) return err_nomem(err, "schema");
    if (json_array_size(values) > MAX_VALUES) return schema_wrong(reader_below(r, at, "enum", 0), err, GLLM_UNSUPPORTED, "found %zu values, expected at most %d", json_array_size(values), MAX_VALUES);
    struct expr *alt = expr_alt(&r->rules);
    json_array_foreach(values, i, value) {
        if ((json_object_get(v, "type") && !(types & schema_type_of(value))) || (one && list && !json_equal(one, value))) continue;
        const json_t *bad = inexact(value);
        if (bad) return schema_wrong(at, err, GLLM_UNSUPPORTED, "the value %.17g is a whole number of 2^53 or more: it may not be exact", json_number_value(bad));
        offer(r, alt, json_value_text(&r->rules, value));
    }
    *out = alt && alt->n ? alt : NULL;
    return GLLM_OK;
}

static gllm_status format_pattern(struct reader *r, const char *format, const struct pointer *at, const char **pattern, gllm_error *err) {
#define LEAP "(?:[1-9]\\d(?:0[48]|[2468][048]|[13579][26])|(?:[2468][048]|[13579][26])00)"
#define DATE "(?:[1-9]\\d{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|02-(?:0[1-9]|1\\d|2[0-8]))|" LEAP "-02-29)"
#define TIME "(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,6})?(?:Z|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)"
#define OCTET "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"
    static const char *const FORMATS[][2] = {
        {"date", "^" DATE "$"},
        {"time", "^" TIME "$"},
        {"date-time", "^" DATE "T" TIME "$"},
        {"uuid", "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"},
        {"ipv4", "^(?:" OCTET "\\.){3}" OCTET "$"},
        {"email", "^[A-Za-z0-9_+-]{1,30}(?:\\.[A-Za-z0-9_+-]{1,30})?@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?\\.){1,4}[A-Za-z]{2,12}$"},
    };
#undef LEAP
#undef DATE
#undef TIME
#undef OCTET
    for (size_t i = 0; i < sizeof FORMATS / sizeof *FORMATS; i++)
        if (!strcmp(FORMATS[i][0], format)) {
            *pattern = FORMATS[i][1];
            return GLLM_OK;
        }
    return schema_wrong(reader_below(r, at, "format", 0), err, GLLM_UNSUPPORTED, "found \"%.40s\", expected date, time, date-time, uuid, ipv4 or email", format);
}

static uint32_t count_of(const json_t *v, const char *key, uint32_t usual) {
    const json_t *n = json_object_get(v, key);
    return n ? (uint32_t)json_number_value(n) : usual;
}

static gllm_status read_string(struct reader *r, const json_t *v, const struct pointer *at, struct expr **out, gllm_error *err) {
    const json_t *pattern = json_object_get(v, "pattern"), *format = json_object_get(v, "format");
    const uint32_t min = count_of(v, "minLength", 0), max = count_of(v, "maxLength", EXPR_FOREVER);
    const char *text = json_string_value(pattern), *wrong;
    if (!pattern && !format) {
        *out = min > max ? NULL : json_quoted(&r->rules, expr_repeat(&r->rules, json_call(&r->rules, JSON_CHAR), min, max));
        return GLLM_OK;
    }
    static const char *const LENGTHS[] = {"minLength", "maxLength"};
    for (unsigned i = 0; i < 2; i++)
        if (json_object_get(v, LENGTHS[i])) return schema_wrong(reader_below(r, at, LENGTHS[i], 0), err, GLLM_UNSUPPORTED, "beside pattern or format a length cannot be held to");
    if (pattern && format) return schema_wrong(reader_below(r, at, "format", 0), err, GLLM_UNSUPPORTED, "beside pattern a format cannot be held to");
    if (format) TRY(format_pattern(r, json_string_value(format), at, &text, err));
    struct expr *inside = json_pattern(&r->rules, text, format ? strlen(text) : json_string_length(pattern), &wrong);
    if (wrong) return schema_wrong(reader_below(r, at, "pattern", 0), err, GLLM_UNSUPPORTED, "\"%.80s\": not supported: %s", text, wrong);
    *out = json_quoted(&r->rules, inside);
    return GLLM_OK;
}

static gllm_status read_number(struct reader *r, const json_t *v, const struct pointer *at, bool whole, struct expr **out, gllm_error *err) {
    static const char *const KEYS[] = {"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"};
    struct json_bounds b = {.min = -INFINITY, .max = INFINITY, .whole = whole};
    bool any = false;
    for (unsigned i = 0; i < 4; i++) {
        const json_t *bound = json_object_get(v, KEYS[i]);
        const double n = json_number_value(bound);
        if (!bound) continue;
        any = true;
        if (!json_exact(n) && fabs(n) < 1e18) return schema_wrong(reader_below(r, at, KEYS[i], 0), err, GLLM_UNSUPPORTED, "%.17g is a whole number of 2^53 or more: it may not be exact", n);
        if (i < 2 && (n > b.min || (n == b.min && i == 1))) b.min = n, b.over = i == 1;
        if (i >= 2 && (n < b.max || (n == b.max && i == 3))) b.max = n, b.under = i == 3;
    }
    *out = any ? json_between(&r->rules, &b) : json_call(&r->rules, whole ? JSON_INTEGER_ANY : JSON_NUMBER);
    return GLLM_OK;
}

/* A rule of its own for an expression that is needed more than once. */
static uint32_t new_rule(struct reader *r, struct expr *body) {
    char name[32];
    snprintf(name, sizeof name, "part %u", r->rules.n);
    const uint32_t rule = rules_name(&r->rules, name, strlen(name));
    rules_define(&r->rules, rule, body);
    return rule;
}

static struct expr *with_comma(struct reader *r, struct expr *e, bool comma) { return comma ? json_pair(&r->rules, json_call(&r->rules, JSON_COMMA), e) : e; }

/* Of items number `at` on, of which at least `min` in all are there and at most `max`: a tail of the array, with the comma before it if
 * something stands there. `items` are rules; the last one goes on for ever. */
struct items {
    const uint32_t *rules;
    uint32_t n_prefix, min, max;
    bool more; /* rules[n_prefix] follows the prefix */
};
static struct expr *read_tail(struct reader *r, const struct items *a) {
    struct rules *g = &r->rules;
    struct expr *tail = NULL;
    const uint32_t n = a->n_prefix < a->max ? a->n_prefix : a->max;
    if (a->more && a->max > a->n_prefix) {
        const uint32_t least = a->min > n ? a->min - n : 0, most = a->max == EXPR_FOREVER ? EXPR_FOREVER : a->max - n, rule = a->rules[a->n_prefix];
        if (n) tail = expr_repeat(g, with_comma(r, expr_call(g, rule), true), least, most);
        else {
            struct expr *others = expr_repeat(g, with_comma(r, expr_call(g, rule), true), least ? least - 1 : 0, most == EXPR_FOREVER ? most : most - 1);
            tail = expr_repeat(g, json_pair(g, expr_call(g, rule), others), least > 0, 1);
        }
    }
    for (uint32_t i = n; i--;) {
        struct expr *one = with_comma(r, expr_call(g, a->rules[i]), i > 0);
        if (tail) one = json_pair(g, one, tail);
        tail = expr_repeat(g, one, a->min > i, 1);
        if (i && i % TAIL == 0) tail = expr_call(g, new_rule(r, tail));
    }
    return tail ? tail : expr_seq(g);
}

static gllm_status read_array(struct reader *r, const json_t *v, const struct pointer *at, struct expr **out, gllm_error *err) {
    const json_t *prefix = json_object_get(v, "prefixItems"), *rest = json_object_get(v, "items");
    struct items a = {.n_prefix = (uint32_t)json_array_size(prefix), .min = count_of(v, "minItems", 0), .max = count_of(v, "maxItems", EXPR_FOREVER)};
    uint32_t *rules = arena_array(&r->rules.arena, (size_t)a.n_prefix + 1, sizeof *rules);
    struct expr *item;
    *out = NULL;
    if (!rules) return err_nomem(err, "schema");
    for (uint32_t i = 0; i < a.n_prefix && i < a.max; i++) {
        TRY(reader_schema(r, json_array_get(prefix, i), reader_below(r, reader_below(r, at, "prefixItems", 0), NULL, i), &item, err));
        if (item) rules[i] = new_rule(r, item);
        else a.max = i; /* nothing fits there */
    }
    a.more = rest || !a.n_prefix || a.min > a.n_prefix;
    if (a.more && a.max > a.n_prefix) {
        TRY(reader_schema(r, rest ? rest : json_true(), reader_below(r, at, "items", 0), &item, err));
        if (item) rules[a.n_prefix] = new_rule(r, item);
        else a.max = a.n_prefix;
    }
    if (!a.more && a.max > a.n_prefix) a.max = a.n_prefix;
    a.rules = rules;
    if (a.min > a.max) return GLLM_OK;
    struct rules *g = &r->rules;
    *out = expr_add(g, json_pair(g, expr_text(g, "[", 1), read_tail(r, &a)), expr_text(g, "]", 1));
    return GLLM_OK;
}

struct member {
    const char *name;
    uint32_t rule; /* of the pair */
    bool required;
};
struct members {
    struct member *list;
    size_t n;
};

/* NULL: nothing fits the value. */
static gllm_status read_member(struct reader *r, const char *name, const json_t *schema, const struct pointer *at, struct expr **out, gllm_error *err) {
    struct expr *value;
    struct rules *g = &r->rules;
    TRY(reader_schema(r, schema, at, &value, err));
    *out = value ? expr_add(g, json_pair(g, json_string_text(g, name, strlen(name)), json_call(g, JSON_COLON)), value) : NULL;
    return GLLM_OK;
}

/* Of members `at` on, and then any number of others. Rules first[i]: nothing stands before; next[i]: something does. */
static struct expr *read_members(struct reader *r, const struct members *m, const uint32_t *others) {
    struct rules *g = &r->rules;
    uint32_t next = 0, first = 0;
    bool tail = others != NULL; /* next and first are rules */
    if (others) {
        next = new_rule(r, expr_repeat(g, with_comma(r, expr_call(g, *others), true), 0, EXPR_FOREVER));
        first = new_rule(r, expr_repeat(g, json_pair(g, expr_call(g, *others), expr_call(g, next)), 0, 1));
    }
    for (size_t i = m->n; i--;) {
        struct expr *e[2]; /* without and with a comma */
        for (unsigned comma = 0; comma < 1u + (i > 0); comma++) {
            struct expr *pair = with_comma(r, expr_call(g, m->list[i].rule), comma), *here = tail ? json_pair(g, pair, expr_call(g, next)) : pair;
            struct expr *skip = tail ? expr_call(g, comma ? next : first) : expr_seq(g);
            e[comma] = m->list[i].required ? here : expr_add(g, expr_add(g, expr_alt(g), here), skip);
        }
        first = new_rule(r, e[0]);
        if (i) next = new_rule(r, e[1]);
        tail = true;
    }
    return tail ? expr_call(g, first) : expr_seq(g);
}

/* Named by `properties`, then those that `required` alone names. *impossible: a required one that nothing fits. */
static gllm_status collect(struct reader *r, const json_t *v, const struct pointer *at, struct members *m, bool *impossible, gllm_error *err) {
    json_t *properties = json_object_get(v, "properties"), *required = json_object_get(v, "required"), *more = json_object_get(v, "additionalProperties"), *schema;
    const char *name;
    size_t i;
    struct expr *pair;
    *m = (struct members){.list = arena_array(&r->rules.arena, json_object_size(properties) + json_array_size(required), sizeof *m->list)};
    if (!m->list) return err_nomem(err, "schema");
    reader_charge(r, json_object_size(properties) + json_array_size(required), json_array_size(required));
    json_object_foreach(properties, name, schema) {
        TRY(read_member(r, name, schema, reader_below(r, reader_below(r, at, "properties", 0), name, 0), &pair, err));
        if (pair) m->list[m->n++] = (struct member){name, new_rule(r, pair), schema_requires(v, name)};
        else *impossible |= schema_requires(v, name);
    }
    json_array_foreach(required, i, schema) {
        bool known = json_object_get(properties, name = json_string_value(schema)) != NULL;
        for (size_t k = m->n; k-- && !known;) known = !strcmp(m->list[k].name, name);
        if (known) continue;
        TRY(read_member(r, name, more ? more : json_true(), reader_below(r, at, "additionalProperties", 0), &pair, err));
        if (pair) m->list[m->n++] = (struct member){name, new_rule(r, pair), true};
        else *impossible = true;
    }
    return GLLM_OK;
}

static gllm_status read_others(struct reader *r, const json_t *v, const struct pointer *at, const struct members *m, uint32_t *rule, bool *none, gllm_error *err) {
    const json_t *more = json_object_get(v, "additionalProperties");
    json_t *properties = json_object_get(v, "properties"), *schema;
    const char **names = arena_array(&r->rules.arena, m->n + json_object_size(properties), sizeof *names), *name;
    struct rules *g = &r->rules;
    struct expr *value;
    size_t n = 0;
    if (!names) return err_nomem(err, "schema");
    TRY(reader_schema(r, more, reader_below(r, at, "additionalProperties", 0), &value, err));
    *none = !value;
    if (!value) return GLLM_OK;
    json_object_foreach(properties, name, schema) names[n++] = name; /* also those that nothing fits */
    for (size_t i = 0; i < m->n; i++)
        if (!json_object_get(properties, m->list[i].name)) names[n++] = m->list[i].name;
    for (size_t i = 0; i < n; i++)
        if (strlen(names[i]) > MAX_KEY) return schema_wrong(at, err, GLLM_UNSUPPORTED, "a property's name has %zu bytes, expected at most %d beside additionalProperties", strlen(names[i]), MAX_KEY);
    *rule = new_rule(r, expr_add(g, json_pair(g, json_other_key(g, names, n), json_call(g, JSON_COLON)), value));
    return GLLM_OK;
}

static gllm_status read_object(struct reader *r, const json_t *v, const struct pointer *at, struct expr **out, gllm_error *err) {
    const json_t *more = json_object_get(v, "additionalProperties");
    struct rules *g = &r->rules;
    struct members m;
    bool impossible = false, no_others = true;
    uint32_t others = 0;
    *out = NULL;
    if (!json_object_get(v, "properties") && !json_array_size(json_object_get(v, "required")) && (!more || schema_says_nothing(more))) {
        *out = json_call(g, JSON_OBJECT_ANY);
        return GLLM_OK;
    }
    TRY(collect(r, v, at, &m, &impossible, err));
    if (impossible) return GLLM_OK;
    if (more) TRY(read_others(r, v, at, &m, &others, &no_others, err));
    *out = expr_add(g, json_pair(g, expr_text(g, "{", 1), read_members(r, &m, no_others ? NULL : &others)), expr_text(g, "}", 1));
    return GLLM_OK;
}

/* The types that the schema gives: as it says, or those that its keywords are about. */
static unsigned types_of(const json_t *v) {
    unsigned about = 0;
    const char *key;
    json_t *value;
    if (json_object_get(v, "type")) return schema_types(v);
    json_object_foreach((json_t *)(uintptr_t)v, key, value)
        if (!schema_is_note(key)) about |= schema_about(key);
    return about ? about : TYPE_ANY;
}

gllm_status reader_flat(struct reader *r, const json_t *v, const struct pointer *at, struct expr **out, gllm_error *err) {
    struct rules *g = &r->rules;
    struct expr *alt = expr_alt(g), *one = NULL;
    if (json_object_get(v, "enum") || json_object_get(v, "const")) return read_values(r, v, at, out, err);
    const unsigned types = types_of(v);
    if (types & TYPE_OBJECT) {
        TRY(read_object(r, v, at, &one, err));
        offer(r, alt, one);
    }
    if (types & TYPE_ARRAY) {
        TRY(read_array(r, v, at, &one, err));
        offer(r, alt, one);
    }
    if (types & TYPE_STRING) {
        TRY(read_string(r, v, at, &one, err));
        offer(r, alt, one);
    }
    if (types & (TYPE_NUMBER | TYPE_INTEGER)) {
        TRY(read_number(r, v, at, !(types & TYPE_NUMBER), &one, err));
        offer(r, alt, one);
    }
    if (types & TYPE_BOOLEAN) offer(r, alt, expr_add(g, expr_add(g, expr_alt(g), expr_text(g, "true", 4)), expr_text(g, "false", 5)));
    if (types & TYPE_NULL) offer(r, alt, expr_text(g, "null", 4));
    *out = alt && alt->n ? alt : NULL;
    return GLLM_OK;
}
