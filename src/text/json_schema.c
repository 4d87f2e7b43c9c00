/* json_schema.c - from schemas to expressions.
 *
 * A schema is handled as a conjunction: a list of schemas that must all hold. $ref, allOf, anyOf and oneOf are taken apart until what is left
 * has none of them; that is merged into one object, whose keywords become an expression. A schema that is nothing but a $ref becomes a call of
 * the rule named by its pointer, so that recursive schemas are recursive grammars. */
#include "text/json_schema.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/json_parts.h"
#include "text/schema_check.h"

enum {
    MAX_CONJUNCTS = 64,  /* schemas that hold together */
    MAX_STEPS = 20000,   /* schemas looked at, in all */
    MAX_DEPTH_OF = 60,   /* schemas in one rule, one inside the other */
    MAX_KEY = 256,       /* bytes of a property's name beside additionalProperties */
    MAX_VALUES = 10000   /* of an enum */
};

struct part { /* of a conjunction */
    const json_t *schema;
    const struct pointer *at;
};
struct conjunction {
    struct part parts[MAX_CONJUNCTS];
    size_t n;
};
struct target { /* of a $ref: a rule to be written */
    const json_t *schema;
    const struct pointer *at;
    uint32_t rule;
};
struct reader {
    struct rules rules;
    const json_t *root;
    json_t *made;       /* an array that holds on to what was merged */
    struct map checked; /* addresses of schemas */
    struct target *targets;
    size_t n_targets, room;
    unsigned steps, depth;
};

static gllm_status conjoin(struct reader *r, struct conjunction *c, struct expr **out, gllm_error *err);

static gllm_status read_schema(struct reader *r, const json_t *schema, const struct pointer *at, struct expr **out, gllm_error *err) {
    struct conjunction c = {.parts = {{schema, at}}, .n = 1};
    return conjoin(r, &c, out, err);
}

static const struct pointer *below(struct reader *r, const struct pointer *at, const char *key, size_t index) {
    struct pointer *p = arena_alloc(&r->rules.arena, sizeof *p);
    if (!p) {
        r->rules.failed = true;
        return at;
    }
    *p = (struct pointer){at, key, index};
    return p;
}

/* Holds on to v, which moves in. NULL: memory is out. */
static json_t *hold(struct reader *r, json_t *v) {
    if (v && !json_array_append_new(r->made, v)) return v;
    r->rules.failed = true;
    return NULL;
}

static json_t *borrow(const json_t *v) { return json_incref((json_t *)(uintptr_t)v); }

/* A copy of an object without one key, held. */
static json_t *without(struct reader *r, const json_t *v, const char *key) {
    json_t *copy = hold(r, json_copy((json_t *)(uintptr_t)v));
    if (copy) json_object_del(copy, key);
    return copy;
}

static gllm_status one_step(struct reader *r, const struct pointer *at, gllm_error *err) {
    TRY(rules_check(&r->rules, err));
    return ++r->steps <= MAX_STEPS ? GLLM_OK : schema_wrong(at, err, GLLM_UNSUPPORTED, "the schema is too large or its combinations are too many");
}

static bool says_nothing(const json_t *v) {
    const char *key;
    json_t *value, *object = (json_t *)(uintptr_t)v;
    if (json_is_true(v)) return true;
    json_object_foreach(object, key, value) {
        if (!schema_is_note(key) && !(!strcmp(key, "nullable") && !json_object_get(v, "type"))) return false;
    }
    return json_is_object(v);
}

/* ---- $ref ---- */

/* One part of a pointer, in place: first %XX, then ~0 and ~1. */
static bool unescape(char *key) {
    char *to = key;
    for (const char *c = key; *c; c++, to++) {
        const char digits[3] = {c[1], c[1] ? c[2] : '\0', '\0'};
        *to = *c;
        if (*c != '%') continue;
        if (strspn(digits, "0123456789abcdefABCDEF") != 2 || !(*to = (char)strtoul(digits, NULL, 16))) return false;
        c += 2;
    }
    *to = '\0';
    for (to = key; *key; key++, to++) {
        *to = *key;
        if (*key != '~') continue;
        if (*++key != '0' && *key != '1') return false;
        *to = *key == '1' ? '/' : '~';
    }
    *to = '\0';
    return true;
}

static const json_t *child(const json_t *v, const char *key) {
    char *stop;
    const size_t index = strtoul(key, &stop, 10);
    return json_is_array(v) ? (*key && !*stop ? json_array_get(v, index) : NULL) : json_object_get(v, key);
}

/* schema_check, once for each schema. */
static gllm_status check_once(struct reader *r, const struct target *t, gllm_error *err) {
    uint32_t known;
    if (map_get(&r->checked, (const char *)&t->schema, sizeof t->schema, &known)) return GLLM_OK;
    TRY(schema_check(t->schema, t->at, err));
    const char *key = arena_strndup(&r->rules.arena, (const char *)&t->schema, sizeof t->schema);
    return key && map_put(&r->checked, key, sizeof t->schema, 1) ? GLLM_OK : err_nomem(err, "schema");
}

/* What the $ref of `from` points to; its pointer's parts lie in the arena. */
static gllm_status resolve(struct reader *r, const json_t *from, const struct pointer *at, struct target *out, gllm_error *err) {
    const char *ref = json_string_value(json_object_get(from, "$ref"));
    const struct pointer *here = below(r, at, "$ref", 0);
    *out = (struct target){.schema = r->root, .at = below(r, NULL, "#", 0)};
    if (ref[0] != '#' || (ref[1] && ref[1] != '/')) return schema_wrong(here, err, GLLM_UNSUPPORTED, "found \"%.60s\", expected a pointer within the schema (#/…)", ref);
    char *text = arena_strdup(&r->rules.arena, ref + 1), *next;
    if (!text) return err_nomem(err, "schema");
    for (char *key = *text ? text + 1 : NULL; key; key = next) {
        if ((next = strchr(key, '/'))) *next++ = '\0';
        if (!unescape(key)) return schema_wrong(here, err, GLLM_INVALID, "found \"%.60s\", which is no JSON pointer", ref);
        if (!(out->schema = child(out->schema, key))) return schema_wrong(here, err, GLLM_INVALID, "there is nothing at \"%.60s\"", ref);
        out->at = below(r, out->at, key, 0);
    }
    return check_once(r, out, err);
}

/* A call of the rule that a pointer names; the rule is written later. */
static gllm_status call_target(struct reader *r, struct target t, struct expr **out, gllm_error *err) {
    char name[1024];
    pointer_text(t.at, name, sizeof name);
    if (strlen(name) + 8 > sizeof name) return schema_wrong(t.at, err, GLLM_UNSUPPORTED, "a reference's pointer is longer than %zu bytes", sizeof name - 8);
    const uint32_t before = r->rules.n;
    t.rule = rules_name(&r->rules, name, strlen(name));
    if (r->rules.n != before) {
        if (r->n_targets == r->room) {
            struct target *more = realloc(r->targets, (r->room = 2 * r->room + 16) * sizeof *more);
            if (!more) return err_nomem(err, "schema");
            r->targets = more;
        }
        r->targets[r->n_targets++] = t;
    }
    *out = expr_call(&r->rules, t.rule);
    return GLLM_OK;
}

/* ---- could two schemas both fit? ---- */

static const json_t *deref(struct reader *r, const json_t *v) {
    struct target t;
    gllm_error ignored;
    static const struct pointer HERE = {NULL, "#", 0};
    return resolve(r, v, &HERE, &t, &ignored) == GLLM_OK ? t.schema : NULL;
}

/* The types of the values that a flat schema names. */
static unsigned named_types(const json_t *v) {
    const json_t *list = json_object_get(v, "enum"), *one = json_object_get(v, "const"), *item;
    unsigned types = schema_types(v), values = one ? schema_type_of(one) : 0;
    size_t i;
    json_array_foreach(list, i, item) values |= schema_type_of(item);
    if (!types) types = TYPE_ANY;
    return list || one ? types & values : types;
}

static bool has_value(const json_t *v, const json_t *value) {
    const json_t *list = json_object_get(v, "enum"), *one = json_object_get(v, "const"), *item;
    size_t i;
    if (one && !json_equal(one, value)) return false;
    if (!list) return true;
    json_array_foreach(list, i, item)
        if (json_equal(item, value)) return true;
    return false;
}

/* Both name their values, and none is the same. */
static bool values_apart(const json_t *a, const json_t *b) {
    const json_t *list = json_object_get(a, "enum"), *one = json_object_get(a, "const"), *item;
    size_t i;
    if ((!list && !one) || (!json_object_get(b, "enum") && !json_object_get(b, "const"))) return false;
    if (one) return !has_value(b, one);
    json_array_foreach(list, i, item)
        if (has_value(b, item)) return false;
    return true;
}

static bool apart(struct reader *r, const json_t *a, const json_t *b, unsigned depth);

static bool requires(const json_t *v, const char *name) {
    const json_t *item;
    size_t i;
    json_array_foreach(json_object_get(v, "required"), i, item)
        if (!strcmp(json_string_value(item), name)) return true;
    return false;
}

/* Both are objects: a key that both must have cannot be the same, or one must have a key that the other must not have. */
static bool objects_apart(struct reader *r, const json_t *a, const json_t *b, unsigned depth) {
    const json_t *item;
    size_t i;
    if (named_types(a) != TYPE_OBJECT || named_types(b) != TYPE_OBJECT) return false;
    json_array_foreach(json_object_get(a, "required"), i, item) {
        const char *name = json_string_value(item);
        const json_t *in_a = json_object_get(json_object_get(a, "properties"), name), *in_b = json_object_get(json_object_get(b, "properties"), name);
        if (!in_b && json_is_false(json_object_get(b, "additionalProperties"))) return true;
        if (in_a && in_b && apart(r, in_a, in_b, depth + 1)) return true;
    }
    return false;
}

static bool all_apart(struct reader *r, const json_t *list, const json_t *b, unsigned depth) {
    const json_t *item;
    size_t i;
    json_array_foreach(list, i, item)
        if (!apart(r, item, b, depth + 1)) return false;
    return json_array_size(list) > 0;
}

/* Some part of `a` cannot hold together with b. */
static bool part_apart(struct reader *r, const json_t *a, const json_t *b, unsigned depth) {
    const json_t *item, *ref;
    size_t i;
    if (json_is_false(a)) return true;
    if (!json_is_object(a)) return false;
    if (json_object_get(a, "$ref") && (ref = deref(r, a)) && apart(r, ref, b, depth + 1)) return true;
    json_array_foreach(json_object_get(a, "allOf"), i, item)
        if (apart(r, item, b, depth + 1)) return true;
    return all_apart(r, json_object_get(a, "anyOf"), b, depth) || all_apart(r, json_object_get(a, "oneOf"), b, depth);
}

/* No value fits both, as far as can be told. */
static bool apart(struct reader *r, const json_t *a, const json_t *b, unsigned depth) {
    if (depth > 12 || ++r->steps > MAX_STEPS) return false;
    if (part_apart(r, a, b, depth) || part_apart(r, b, a, depth)) return true;
    if (!json_is_object(a) || !json_is_object(b)) return false;
    return !(named_types(a) & named_types(b)) || values_apart(a, b) || objects_apart(r, a, b, depth) || objects_apart(r, b, a, depth);
}

static gllm_status check_apart(struct reader *r, const json_t *list, const struct pointer *at, gllm_error *err) {
    for (size_t i = 0; i < json_array_size(list); i++)
        for (size_t k = 0; k < i; k++)
            if (!apart(r, json_array_get(list, i), json_array_get(list, k), 0))
                return schema_wrong(at, err, GLLM_UNSUPPORTED, "alternatives %zu and %zu might both fit one value, which oneOf forbids (anyOf does not)", k, i);
    return GLLM_OK;
}

/* ---- merging ---- */

static const json_t *number_of(const json_t *a, const json_t *b, bool larger) { return (json_number_value(a) > json_number_value(b)) == larger ? a : b; }

/* A schema for what must fit both a and b. */
static json_t *both(struct reader *r, const json_t *a, const json_t *b) {
    if (says_nothing(b) || json_is_false(a) || json_equal(a, b)) return borrow(a);
    if (says_nothing(a) || json_is_false(b)) return borrow(b);
    json_t *pair = json_pack("{s:[OO]}", "allOf", a, b);
    r->rules.failed |= !pair;
    return pair;
}

static json_t *both_types(const json_t *a, const json_t *b) {
    static const char *const NAMES[] = {"object", "array", "string", "number", "integer", "boolean", "null"};
    const unsigned types = schema_types(json_object_get(a, "type") ? a : b) & schema_types(b);
    json_t *list = json_array();
    for (unsigned i = 0; i < 7; i++)
        if (types & 1u << i && !(i == 4 && types & TYPE_NUMBER)) json_array_append_new(list, json_string(NAMES[i]));
    return list;
}

static json_t *both_lists(const json_t *a, const json_t *b, bool common) { /* enum: what is in both; required: what is in one */
    json_t *list = common ? json_array() : json_copy((json_t *)(uintptr_t)a), *item;
    size_t i, k;
    json_array_foreach(b, i, item) {
        for (k = 0; k < json_array_size(a) && !json_equal(json_array_get(a, k), item); k++) {}
        if ((k < json_array_size(a)) == common) json_array_append(list, item);
    }
    return list;
}

/* The properties of both objects: where only one names a property, the other's additionalProperties speak of it. */
static json_t *both_properties(struct reader *r, const json_t *a, const json_t *b) {
    const json_t *pa = json_object_get(a, "properties"), *pb = json_object_get(b, "properties"), *more_a = json_object_get(a, "additionalProperties"), *more_b = json_object_get(b, "additionalProperties");
    json_t *out = json_object(), *item;
    const char *key;
    json_object_foreach((json_t *)(uintptr_t)pa, key, item) {
        const json_t *other = json_object_get(pb, key) ? json_object_get(pb, key) : more_b;
        json_object_set_new(out, key, other ? both(r, item, other) : borrow(item));
    }
    json_object_foreach((json_t *)(uintptr_t)pb, key, item)
        if (!json_object_get(pa, key)) json_object_set_new(out, key, more_a ? both(r, item, more_a) : borrow(item));
    return out;
}

/* The item at each place of both arrays' prefixes. */
static json_t *both_prefixes(struct reader *r, const json_t *a, const json_t *b) {
    const json_t *pa = json_object_get(a, "prefixItems"), *pb = json_object_get(b, "prefixItems"), *ia = json_object_get(a, "items"), *ib = json_object_get(b, "items");
    const size_t na = json_array_size(pa), nb = json_array_size(pb);
    json_t *out = json_array();
    for (size_t i = 0; i < na || i < nb; i++) {
        const json_t *x = i < na ? json_array_get(pa, i) : ia, *y = i < nb ? json_array_get(pb, i) : ib;
        json_array_append_new(out, x && y ? both(r, x, y) : borrow(x ? x : y));
    }
    return out;
}

/* Adds b's keyword to a, which has it too. NULL: the two cannot be merged. */
static json_t *both_values(struct reader *r, const json_t *a, const json_t *b, const char *key) {
    const json_t *x = json_object_get(a, key), *y = json_object_get(b, key);
    if (!strcmp(key, "enum")) return both_lists(x, y, true);
    if (!strcmp(key, "required")) return both_lists(x, y, false);
    if (!strcmp(key, "items") || !strcmp(key, "additionalProperties")) return both(r, x, y);
    if (!strncmp(key, "min", 3) || !strcmp(key, "exclusiveMinimum")) return borrow(number_of(x, y, true));
    if (!strncmp(key, "max", 3) || !strcmp(key, "exclusiveMaximum")) return borrow(number_of(x, y, false));
    return json_equal(x, y) ? borrow(x) : NULL;
}

static gllm_status merge_into(struct reader *r, json_t *a, const struct part *b, gllm_error *err) {
    const char *key;
    json_t *value, *object = (json_t *)(uintptr_t)b->schema;
    json_t *properties = json_object_get(a, "properties") || json_object_get(object, "properties") ? both_properties(r, a, object) : NULL;
    json_t *prefix = json_object_get(a, "prefixItems") || json_object_get(object, "prefixItems") ? both_prefixes(r, a, object) : NULL;
    gllm_status status = GLLM_OK;
    json_object_foreach(object, key, value) {
        if (schema_is_note(key) || !strcmp(key, "properties") || !strcmp(key, "prefixItems") || !strcmp(key, "nullable")) continue;
        json_t *merged = !strcmp(key, "type") ? both_types(a, object) : json_object_get(a, key) ? both_values(r, a, object, key) : json_incref(value);
        if (!merged) {
            status = schema_wrong(below(r, b->at, key, 0), err, GLLM_UNSUPPORTED, "cannot be merged with another %s that must hold, too", key);
            break;
        }
        r->rules.failed |= json_object_set_new(a, key, merged) != 0;
    }
    if (properties) json_object_set_new(a, "properties", properties);
    if (prefix) json_object_set_new(a, "prefixItems", prefix);
    return status;
}

/* ---- one flat schema ---- */

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
        if (schema_about(key) && !schema_is_note(key)) return schema_wrong(below(r, at, key, 0), err, GLLM_UNSUPPORTED, "beside enum or const only type can be held to");
    json_t *values = hold(r, list ? json_copy(list) : json_pack("[O]", one));
    if (!values) return err_nomem(err, "schema");
    if (json_array_size(values) > MAX_VALUES) return schema_wrong(below(r, at, "enum", 0), err, GLLM_UNSUPPORTED, "found %zu values, expected at most %d", json_array_size(values), MAX_VALUES);
    struct expr *alt = expr_alt(&r->rules);
    json_array_foreach(values, i, value) {
        if ((json_object_get(v, "type") && !(types & schema_type_of(value))) || (one && list && !json_equal(one, value))) continue;
        const json_t *bad = inexact(value);
        if (bad) return schema_wrong(at, err, GLLM_UNSUPPORTED, "the value %.17g is a whole number beyond 2^53: it may not be exact", json_number_value(bad));
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
    return schema_wrong(below(r, at, "format", 0), err, GLLM_UNSUPPORTED, "found \"%.40s\", expected date, time, date-time, uuid, ipv4 or email", format);
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
        if (json_object_get(v, LENGTHS[i])) return schema_wrong(below(r, at, LENGTHS[i], 0), err, GLLM_UNSUPPORTED, "beside pattern or format a length cannot be held to");
    if (pattern && format) return schema_wrong(below(r, at, "format", 0), err, GLLM_UNSUPPORTED, "beside pattern a format cannot be held to");
    if (format) TRY(format_pattern(r, json_string_value(format), at, &text, err));
    struct expr *inside = json_pattern(&r->rules, text, format ? strlen(text) : json_string_length(pattern), &wrong);
    if (wrong) return schema_wrong(below(r, at, "pattern", 0), err, GLLM_UNSUPPORTED, "\"%.80s\": not supported: %s", text, wrong);
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
        if (!json_exact(n) && fabs(n) < 1e18) return schema_wrong(below(r, at, KEYS[i], 0), err, GLLM_UNSUPPORTED, "%.17g is a whole number beyond 2^53: it may not be exact", n);
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
        TRY(read_schema(r, json_array_get(prefix, i), below(r, below(r, at, "prefixItems", 0), NULL, i), &item, err));
        if (item) rules[i] = new_rule(r, item);
        else a.max = i; /* nothing fits there */
    }
    a.more = rest || !a.n_prefix || a.min > a.n_prefix;
    if (a.more && a.max > a.n_prefix) {
        TRY(read_schema(r, rest ? rest : json_true(), below(r, at, "items", 0), &item, err));
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

/* ---- objects ---- */

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
    TRY(read_schema(r, schema, at, &value, err));
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
    json_object_foreach(properties, name, schema) {
        TRY(read_member(r, name, schema, below(r, below(r, at, "properties", 0), name, 0), &pair, err));
        if (pair) m->list[m->n++] = (struct member){name, new_rule(r, pair), requires(v, name)};
        else *impossible |= requires(v, name);
    }
    json_array_foreach(required, i, schema) {
        bool known = json_object_get(properties, name = json_string_value(schema)) != NULL;
        for (size_t k = m->n; k-- && !known;) known = !strcmp(m->list[k].name, name);
        if (known) continue;
        TRY(read_member(r, name, more ? more : json_true(), below(r, at, "additionalProperties", 0), &pair, err));
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
    TRY(read_schema(r, more, below(r, at, "additionalProperties", 0), &value, err));
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
    if (!json_object_get(v, "properties") && !json_array_size(json_object_get(v, "required")) && (!more || says_nothing(more))) {
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

static gllm_status read_flat(struct reader *r, const json_t *v, const struct pointer *at, struct expr **out, gllm_error *err) {
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

/* ---- conjunctions ---- */

static gllm_status add_part(struct conjunction *c, const json_t *schema, const struct pointer *at, gllm_error *err) {
    if (c->n == MAX_CONJUNCTS) return schema_wrong(at, err, GLLM_UNSUPPORTED, "more than %d schemas must hold together", MAX_CONJUNCTS);
    c->parts[c->n++] = (struct part){schema, at};
    return GLLM_OK;
}

/* Each alternative of part i together with all the rest. */
static gllm_status read_alternatives(struct reader *r, const struct conjunction *c, size_t i, const char *key, struct expr **out, gllm_error *err) {
    const json_t *list = json_object_get(c->parts[i].schema, key), *item, *rest = without(r, c->parts[i].schema, key);
    const struct pointer *at = below(r, c->parts[i].at, key, 0);
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
        status = add_part(next, item, below(r, at, NULL, k), err);
        if (status == GLLM_OK) status = conjoin(r, next, &one, err);
        if (status == GLLM_OK) offer(r, alt, one);
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
            TRY(resolve(r, p->schema, at, &t, err));
            if (!(p->schema = without(r, p->schema, "$ref"))) return err_nomem(err, "schema");
            return add_part(c, t.schema, t.at, err);
        }
        if (!(p->schema = without(r, p->schema, "allOf"))) return err_nomem(err, "schema");
        json_array_foreach(all, k, item) TRY(add_part(c, item, below(r, below(r, at, "allOf", 0), NULL, k), err));
        return GLLM_OK;
    }
    return GLLM_OK;
}

static gllm_status merge(struct reader *r, const struct conjunction *c, struct expr **out, gllm_error *err) {
    if (c->n == 1) return read_flat(r, c->parts[0].schema, c->parts[0].at, out, err);
    json_t *all = hold(r, json_object());
    for (size_t i = 0; all && i < c->n; i++) TRY(merge_into(r, all, &c->parts[i], err));
    TRY(rules_check(&r->rules, err));
    return read_flat(r, all, c->parts[0].at, out, err);
}

/* A tuple in `items`, as dialects before 2020 have it, is prefixItems. */
static const json_t *modern(struct reader *r, const json_t *v) {
    const json_t *tuple = json_object_get(v, "items"), *more = json_object_get(v, "additionalItems");
    if (!json_is_array(tuple)) return v;
    json_t *copy = without(r, v, "items");
    if (copy) json_object_set_new(copy, "prefixItems", borrow(tuple));
    if (copy && more) json_object_set_new(copy, "items", borrow(more));
    return copy ? copy : v;
}

/* Drops what says nothing. False: nothing fits. */
static bool simplify(struct reader *r, struct conjunction *c) {
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        c->parts[i].schema = modern(r, c->parts[i].schema);
        if (json_is_false(c->parts[i].schema)) return false;
        if (!says_nothing(c->parts[i].schema)) c->parts[n++] = c->parts[i];
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
            const json_t *beside = without(r, c->parts[0].schema, "$ref");
            struct target t;
            if (!beside) return err_nomem(err, "schema");
            if (says_nothing(beside)) {
                TRY(resolve(r, c->parts[0].schema, at, &t, err));
                return call_target(r, t, out, err);
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
    if (++r->depth > MAX_DEPTH_OF) return schema_wrong(c->parts[0].at, err, GLLM_UNSUPPORTED, "schemas are nested more than %d deep between two references", MAX_DEPTH_OF);
    gllm_status status = conjoin_parts(r, c, out, err);
    r->depth--;
    return status;
}

/* ---- the document ---- */

static gllm_status read_document(struct reader *r, struct grammar **out, gllm_error *err) {
    static const struct pointer ROOT = {NULL, "#", 0};
    struct expr *e;
    TRY(schema_check(r->root, &ROOT, err));
    json_define(&r->rules);
    TRY(call_target(r, (struct target){.schema = r->root, .at = &ROOT}, &e, err));
    for (size_t i = 0; i < r->n_targets; i++) { /* each may add more */
        const struct target t = r->targets[i];
        TRY(read_schema(r, t.schema, t.at, &e, err));
        TRY(rules_check(&r->rules, err));
        if (!e) return schema_wrong(t.at, err, GLLM_INVALID, "no value can fit this schema");
        rules_define(&r->rules, t.rule, e);
    }
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
    rules_free(&r.rules);
    free(r.targets);
    map_free(&r.checked);
    json_decref(r.made);
    json_decref(root);
    return status;
}
