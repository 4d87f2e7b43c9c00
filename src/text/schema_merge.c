/* schema_merge.c - the keywords of two schemas that must both hold, as those of one. */
#include <string.h>

#include "text/schema_reader.h"

static const json_t *number_of(const json_t *a, const json_t *b, bool larger) { return (json_number_value(a) > json_number_value(b)) == larger ? a : b; }

/* A schema for what must fit both a and b. */
static json_t *both(struct reader *r, const json_t *a, const json_t *b) {
    if (schema_says_nothing(b) || json_is_false(a) || json_equal(a, b)) return schema_share(a);
    if (schema_says_nothing(a) || json_is_false(b)) return schema_share(b);
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

static json_t *both_lists(struct reader *r, const json_t *a, const json_t *b, bool common) { /* enum: what is in both; required: what is in one */
    json_t *list = common ? json_array() : json_copy((json_t *)(uintptr_t)a), *item;
    size_t i, k;
    reader_charge(r, json_array_size(a), json_array_size(b));
    json_array_foreach(b, i, item) {
        if (reader_spent(r)) break;
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
        json_object_set_new(out, key, other ? both(r, item, other) : schema_share(item));
    }
    json_object_foreach((json_t *)(uintptr_t)pb, key, item)
        if (!json_object_get(pa, key)) json_object_set_new(out, key, more_a ? both(r, item, more_a) : schema_share(item));
    return out;
}

/* The item at each place of both arrays' prefixes. */
static json_t *both_prefixes(struct reader *r, const json_t *a, const json_t *b) {
    const json_t *pa = json_object_get(a, "prefixItems"), *pb = json_object_get(b, "prefixItems"), *ia = json_object_get(a, "items"), *ib = json_object_get(b, "items");
    const size_t na = json_array_size(pa), nb = json_array_size(pb);
    json_t *out = json_array();
    for (size_t i = 0; i < na || i < nb; i++) {
        const json_t *x = i < na ? json_array_get(pa, i) : ia, *y = i < nb ? json_array_get(pb, i) : ib;
        json_array_append_new(out, x && y ? both(r, x, y) : schema_share(x ? x : y));
    }
    return out;
}

/* Adds b's keyword to a, which has it too. NULL: the two cannot be merged. */
static json_t *both_values(struct reader *r, const json_t *a, const json_t *b, const char *key) {
    const json_t *x = json_object_get(a, key), *y = json_object_get(b, key);
    if (!strcmp(key, "enum")) return both_lists(r, x, y, true);
    if (!strcmp(key, "required")) return both_lists(r, x, y, false);
    if (!strcmp(key, "items") || !strcmp(key, "additionalProperties")) return both(r, x, y);
    if (!strncmp(key, "min", 3) || !strcmp(key, "exclusiveMinimum")) return schema_share(number_of(x, y, true));
    if (!strncmp(key, "max", 3) || !strcmp(key, "exclusiveMaximum")) return schema_share(number_of(x, y, false));
    return json_equal(x, y) ? schema_share(x) : NULL;
}

gllm_status schema_merge(struct reader *r, json_t *a, const struct part *b, gllm_error *err) {
    const char *key;
    json_t *value, *object = (json_t *)(uintptr_t)b->schema;
    json_t *properties = json_object_get(a, "properties") || json_object_get(object, "properties") ? both_properties(r, a, object) : NULL;
    json_t *prefix = json_object_get(a, "prefixItems") || json_object_get(object, "prefixItems") ? both_prefixes(r, a, object) : NULL;
    gllm_status status = GLLM_OK;
    json_object_foreach(object, key, value) {
        if (schema_is_note(key) || !strcmp(key, "properties") || !strcmp(key, "prefixItems") || !strcmp(key, "nullable")) continue;
        json_t *merged = !strcmp(key, "type") ? both_types(a, object) : json_object_get(a, key) ? both_values(r, a, object, key) : json_incref(value);
        if (!merged) {
            status = schema_wrong(reader_below(r, b->at, key, 0), err, GLLM_UNSUPPORTED, "cannot be merged with another %s that must hold, too", key);
            break;
        }
        r->rules.failed |= json_object_set_new(a, key, merged) != 0;
    }
    if (properties) json_object_set_new(a, "properties", properties);
    if (prefix) json_object_set_new(a, "prefixItems", prefix);
    return status;
}
