/* schema_apart.c - whether two schemas could both fit one value: what oneOf asks.
 *
 * Told apart by types, by named values, and objects by a key that one must have and whose values are apart, or that the other cannot have. */
#include <string.h>

#include "text/schema_reader.h"

static const json_t *deref(struct reader *r, const json_t *v) {
    struct target t;
    gllm_error ignored;
    static const struct pointer HERE = {NULL, "#", 0};
    return reader_resolve(r, v, &HERE, &t, &ignored) == GLLM_OK ? t.schema : NULL;
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

bool schema_requires(const json_t *v, const char *name) {
    const json_t *item;
    size_t i;
    json_array_foreach(json_object_get(v, "required"), i, item)
        if (!strcmp(json_string_value(item), name)) return true;
    return false;
}

/* Both are objects: a key that `a` must have cannot have the same value in both, or b must not have it. */
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

static size_t names_in(const json_t *v, const char *key) { return json_array_size(json_object_get(v, key)); }

/* No value fits both, as far as can be told. */
static bool apart(struct reader *r, const json_t *a, const json_t *b, unsigned depth) {
    reader_charge(r, 1024, 1 + names_in(a, "required") / 128 + names_in(b, "required") / 128); /* looked up, not only compared */
    reader_charge(r, 1 + names_in(a, "enum"), 1 + names_in(b, "enum"));
    if (depth > 12 || reader_spent(r)) return false;
    if (part_apart(r, a, b, depth) || part_apart(r, b, a, depth)) return true;
    if (!json_is_object(a) || !json_is_object(b)) return false;
    return !(named_types(a) & named_types(b)) || values_apart(a, b) || objects_apart(r, a, b, depth) || objects_apart(r, b, a, depth);
}

bool schemas_apart(struct reader *r, const json_t *a, const json_t *b) { return apart(r, a, b, 0); }
