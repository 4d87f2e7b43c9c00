#include "text/schema_check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum kind { NOTE, SCHEMA, SCHEMAS, ITEMS, MAP, COUNT, NUMBER, NAMES, TYPE, VALUES, VALUE, TEXT, FLAG, ONLY_FALSE, REFUSED };
static const struct keyword {
    const char *name;
    enum kind kind;
    unsigned about;
} KEYWORDS[] = {
    {"title", NOTE, 0}, {"description", NOTE, 0}, {"default", NOTE, 0}, {"examples", NOTE, 0}, {"example", NOTE, 0}, {"$schema", NOTE, 0}, {"$id", NOTE, 0},
    {"id", NOTE, 0}, {"$comment", NOTE, 0}, {"$anchor", NOTE, 0}, {"$vocabulary", NOTE, 0}, {"deprecated", NOTE, 0}, {"readOnly", NOTE, 0}, {"writeOnly", NOTE, 0},
    {"contentMediaType", NOTE, 0}, {"contentEncoding", NOTE, 0}, {"$defs", NOTE, 0}, {"definitions", NOTE, 0}, {"discriminator", NOTE, 0}, {"externalDocs", NOTE, 0},
    {"type", TYPE, 0}, {"nullable", FLAG, 0}, {"enum", VALUES, 0}, {"const", VALUE, 0}, {"$ref", TEXT, 0}, {"anyOf", SCHEMAS, 0}, {"oneOf", SCHEMAS, 0}, {"allOf", SCHEMAS, 0},
    {"properties", MAP, TYPE_OBJECT}, {"required", NAMES, TYPE_OBJECT}, {"additionalProperties", SCHEMA, TYPE_OBJECT},
    {"items", ITEMS, TYPE_ARRAY}, {"prefixItems", SCHEMAS, TYPE_ARRAY}, {"additionalItems", SCHEMA, TYPE_ARRAY}, {"minItems", COUNT, TYPE_ARRAY}, {"maxItems", COUNT, TYPE_ARRAY},
    {"uniqueItems", ONLY_FALSE, TYPE_ARRAY},
    {"minLength", COUNT, TYPE_STRING}, {"maxLength", COUNT, TYPE_STRING}, {"pattern", TEXT, TYPE_STRING}, {"format", TEXT, TYPE_STRING},
    {"minimum", NUMBER, TYPE_NUMBER | TYPE_INTEGER}, {"maximum", NUMBER, TYPE_NUMBER | TYPE_INTEGER}, {"exclusiveMinimum", NUMBER, TYPE_NUMBER | TYPE_INTEGER},
    {"exclusiveMaximum", NUMBER, TYPE_NUMBER | TYPE_INTEGER},
    {"not", REFUSED, 0}, {"if", REFUSED, 0}, {"then", REFUSED, 0}, {"else", REFUSED, 0}, {"multipleOf", REFUSED, 0}, {"patternProperties", REFUSED, 0}, {"propertyNames", REFUSED, 0},
    {"minProperties", REFUSED, 0}, {"maxProperties", REFUSED, 0}, {"dependentRequired", REFUSED, 0}, {"dependentSchemas", REFUSED, 0}, {"dependencies", REFUSED, 0}, {"contains", REFUSED, 0},
    {"minContains", REFUSED, 0}, {"maxContains", REFUSED, 0}, {"unevaluatedItems", REFUSED, 0}, {"unevaluatedProperties", REFUSED, 0}, {"$dynamicRef", REFUSED, 0}, {"$recursiveRef", REFUSED, 0},
};
enum { N_KEYWORDS = sizeof KEYWORDS / sizeof *KEYWORDS, MAX_DEPTH = 100, MAX_KEYWORDS = 200, MAX_COUNT = 1 << 18 };

static const struct {
    const char *name;
    unsigned type;
} TYPES[] = {{"object", TYPE_OBJECT}, {"array", TYPE_ARRAY}, {"string", TYPE_STRING}, {"number", TYPE_NUMBER | TYPE_INTEGER}, {"integer", TYPE_INTEGER}, {"boolean", TYPE_BOOLEAN}, {"null", TYPE_NULL}};

static const struct keyword *find(const char *name) {
    for (unsigned i = 0; i < N_KEYWORDS; i++)
        if (!strcmp(KEYWORDS[i].name, name)) return &KEYWORDS[i];
    return NULL;
}

bool schema_is_note(const char *keyword) {
    const struct keyword *k = find(keyword);
    return k ? k->kind == NOTE || k->kind == ONLY_FALSE : true; /* checked before: what is not known begins with x- */
}

unsigned schema_about(const char *keyword) {
    const struct keyword *k = find(keyword);
    return k ? k->about : 0;
}

unsigned schema_type_of(const json_t *v) {
    switch (json_typeof(v)) {
    case JSON_OBJECT: return TYPE_OBJECT;
    case JSON_ARRAY: return TYPE_ARRAY;
    case JSON_STRING: return TYPE_STRING;
    case JSON_TRUE:
    case JSON_FALSE: return TYPE_BOOLEAN;
    case JSON_NULL: return TYPE_NULL;
    default: return json_number_value(v) == floor(json_number_value(v)) ? TYPE_INTEGER : TYPE_NUMBER;
    }
}

static unsigned type_named(const json_t *name) {
    for (unsigned i = 0; json_is_string(name) && i < sizeof TYPES / sizeof *TYPES; i++)
        if (!strcmp(TYPES[i].name, json_string_value(name))) return TYPES[i].type;
    return 0;
}

unsigned schema_types(const json_t *v) {
    const json_t *type = json_object_get(v, "type"), *item;
    unsigned types = type_named(type);
    size_t i;
    json_array_foreach(type, i, item) types |= type_named(item);
    return type && json_is_true(json_object_get(v, "nullable")) ? types | TYPE_NULL : types;
}

/* ---- pointers ---- */

void pointer_text(const struct pointer *at, char *out, size_t size) {
    size_t n = 0;
    if (at->up) {
        pointer_text(at->up, out, size);
        n = strlen(out);
        if (n + 2 < size) out[n++] = '/', out[n] = '\0';
    }
    if (!at->key) {
        snprintf(out + n, size - n, "%zu", at->index);
        return;
    }
    for (const char *c = at->key; *c && n + 3 < size; c++) {
        if (at->up && (*c == '/' || *c == '~')) out[n++] = '~', out[n++] = *c == '/' ? '1' : '0';
        else out[n++] = *c;
    }
    out[n] = '\0';
}

gllm_status schema_wrong(const struct pointer *at, gllm_error *err, gllm_status status, const char *format, ...) {
    char where[280];
    va_list args;
    va_start(args, format);
    err_setv(err, status, format, args);
    va_end(args);
    pointer_text(at, where, sizeof where);
    return err ? err_wrap(err, status, "schema %s", where) : status;
}

/* ---- checking ---- */

static gllm_status expected(const struct pointer *at, const json_t *found, const char *what, gllm_error *err) {
    return schema_wrong(at, err, GLLM_INVALID, "found %s, expected %s", json_kind(found), what);
}

static gllm_status check(const json_t *v, const struct pointer *at, unsigned depth, gllm_error *err);

static gllm_status check_list(const json_t *v, const struct pointer *at, unsigned depth, gllm_error *err) {
    const json_t *item;
    size_t i;
    if (!json_array_size(v)) return expected(at, v, "an array of schemas", err);
    json_array_foreach(v, i, item) TRY(check(item, &(struct pointer){at, NULL, i}, depth, err));
    return GLLM_OK;
}

static gllm_status check_map(const json_t *v, const struct pointer *at, unsigned depth, gllm_error *err) {
    const char *key;
    json_t *item, *object = (json_t *)(uintptr_t)v;
    if (!json_is_object(v)) return expected(at, v, "an object of schemas", err);
    json_object_foreach(object, key, item) TRY(check(item, &(struct pointer){at, key, 0}, depth, err));
    return GLLM_OK;
}

static gllm_status check_type(const json_t *v, const struct pointer *at, gllm_error *err) {
    const json_t *item;
    size_t i;
    if (!json_is_string(v) && !json_array_size(v)) return expected(at, v, "a type's name, or an array of them", err);
    if (json_is_string(v) && !type_named(v)) return schema_wrong(at, err, GLLM_INVALID, "found \"%.40s\", expected object, array, string, number, integer, boolean or null", json_string_value(v));
    json_array_foreach(v, i, item) {
        if (!json_is_string(item)) return expected(&(struct pointer){at, NULL, i}, item, "a type's name", err);
        TRY(check_type(item, &(struct pointer){at, NULL, i}, err));
    }
    return GLLM_OK;
}

static gllm_status check_names(const json_t *v, const struct pointer *at, gllm_error *err) {
    const json_t *item;
    size_t i;
    if (!json_is_array(v)) return expected(at, v, "an array of strings", err);
    json_array_foreach(v, i, item)
        if (!json_is_string(item) || strlen(json_string_value(item)) != json_string_length(item)) return expected(&(struct pointer){at, NULL, i}, item, "a string without NUL", err);
    return GLLM_OK;
}

static gllm_status check_count(const json_t *v, const struct pointer *at, gllm_error *err) {
    const double n = json_number_value(v);
    if (!json_is_number(v)) return expected(at, v, "a whole number", err);
    return n >= 0 && n <= MAX_COUNT && n == floor(n) ? GLLM_OK : schema_wrong(at, err, GLLM_INVALID, "found %.17g, expected a whole number from 0 to %d", n, MAX_COUNT);
}

static gllm_status check_keyword(const struct keyword *k, const json_t *v, const struct pointer *at, unsigned depth, gllm_error *err) {
    switch (k->kind) {
    case NOTE:
    case VALUE: return GLLM_OK;
    case SCHEMA: return check(v, at, depth, err);
    case SCHEMAS: return check_list(v, at, depth, err);
    case ITEMS: return json_is_array(v) ? check_list(v, at, depth, err) : check(v, at, depth, err);
    case MAP: return check_map(v, at, depth, err);
    case COUNT: return check_count(v, at, err);
    case NUMBER: return json_is_number(v) ? GLLM_OK : expected(at, v, "a number", err);
    case NAMES: return check_names(v, at, err);
    case TYPE: return check_type(v, at, err);
    case VALUES: return json_array_size(v) ? GLLM_OK : expected(at, v, "an array of values", err);
    case TEXT: return json_is_string(v) ? GLLM_OK : expected(at, v, "a string", err);
    case FLAG: return json_is_boolean(v) ? GLLM_OK : expected(at, v, "true or false", err);
    case ONLY_FALSE: return json_is_false(v) ? GLLM_OK : schema_wrong(at, err, GLLM_UNSUPPORTED, "a grammar cannot hold to this keyword");
    case REFUSED: return schema_wrong(at, err, GLLM_UNSUPPORTED, "a grammar cannot hold to this keyword");
    }
    return GLLM_OK;
}

static gllm_status check(const json_t *v, const struct pointer *at, unsigned depth, gllm_error *err) {
    const char *key;
    json_t *value, *object = (json_t *)(uintptr_t)v;
    if (json_is_boolean(v)) return GLLM_OK;
    if (!json_is_object(v)) return expected(at, v, "a schema: an object, true or false", err);
    if (depth > MAX_DEPTH) return schema_wrong(at, err, GLLM_UNSUPPORTED, "schemas are nested more than %d deep", MAX_DEPTH);
    if (json_object_size(v) > MAX_KEYWORDS) return schema_wrong(at, err, GLLM_UNSUPPORTED, "found %zu keywords, expected at most %d", json_object_size(v), MAX_KEYWORDS);
    json_object_foreach(object, key, value) {
        const struct pointer here = {at, key, 0};
        const struct keyword *k = find(key);
        if (!k && strncmp(key, "x-", 2)) return schema_wrong(&here, err, GLLM_UNSUPPORTED, "this keyword is not known");
        if (k) TRY(check_keyword(k, value, &here, depth + 1, err));
    }
    return GLLM_OK;
}

gllm_status schema_check(const json_t *v, const struct pointer *at, gllm_error *err) { return check(v, at, 0, err); }
