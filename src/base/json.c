#include "base/json.h"

#include <math.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/utf8.h"

static gllm_status parse(const char *text, size_t len, const char *name, size_t flags, json_t **out, gllm_error *err) {
    *out = NULL;
    size_t bad;
    if (!len) return err_set(err, GLLM_FORMAT, "%s: is empty, expected JSON", name);
    if (!utf8_valid(text, len, &bad))
        return err_set(err, GLLM_FORMAT, "%s: byte %zu is not UTF-8 (0x%02x)", name, bad, (unsigned char)text[bad]);
    json_error_t e;
    *out = json_loadb(text, len, flags | JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
    if (*out) return GLLM_OK;
    if (json_error_code(&e) == json_error_out_of_memory) return err_nomem(err, name);
    return err_set(err, GLLM_FORMAT, "%s: line %d, column %d: not JSON: %s", name, e.line, e.column, e.text);
}

gllm_status json_parse(const char *text, size_t len, const char *name, json_t **out, gllm_error *err) { return parse(text, len, name, JSON_DECODE_INT_AS_REAL, out, err); }

gllm_status json_parse_values(const char *text, size_t len, const char *name, json_t **out, gllm_error *err) { return parse(text, len, name, 0, out, err); }

gllm_status json_parse_unique(const char *text, size_t len, const char *name, json_t **out, gllm_error *err) {
    return parse(text, len, name, JSON_DECODE_INT_AS_REAL | JSON_REJECT_DUPLICATES, out, err);
}

gllm_status json_read_file(const char *path, uint64_t limit, json_t **out, gllm_error *err) {
    *out = NULL;
    char *text;
    size_t len;
    TRY(file_read(path, limit, &text, &len, err));
    gllm_status status = json_parse(text, len, path, out, err);
    free(text);
    return status;
}

const char *json_kind(const json_t *v) {
    if (!v) return "nothing";
    switch (json_typeof(v)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER:
    case JSON_REAL: return "a number";
    case JSON_TRUE: return "true";
    case JSON_FALSE: return "false";
    default: return "null";
    }
}

static gllm_status wrong(const json_t *v, const char *name, const char *key, const char *expected, gllm_error *err) {
    if (json_is_number(v))
        return err_set(err, GLLM_FORMAT, "%s: %s: found %.17g, expected %s", name, key, json_number_value(v), expected);
    return err_set(err, GLLM_FORMAT, "%s: %s: found %s, expected %s", name, key, json_kind(v), expected);
}

/* obj[key] unless it is absent or null. */
static const json_t *present(const json_t *obj, const char *key) {
    const json_t *v = json_object_get(obj, key);
    return json_is_null(v) ? NULL : v;
}

gllm_status json_u32(const json_t *obj, const char *name, const char *key, uint32_t *out, gllm_error *err) {
    const json_t *v = present(obj, key);
    if (!v) return GLLM_OK;
    double d = json_number_value(v);
    if (!json_is_number(v) || !(d >= 0 && d <= 4294967295.0) || d != floor(d)) return wrong(v, name, key, "a whole number from 0 to 4294967295", err);
    *out = (uint32_t)d;
    return GLLM_OK;
}

gllm_status json_f32(const json_t *obj, const char *name, const char *key, float *out, gllm_error *err) {
    const json_t *v = present(obj, key);
    if (!v) return GLLM_OK;
    double d = json_number_value(v);
    if (!json_is_number(v) || !(fabs(d) <= 3.4028234663852886e38)) return wrong(v, name, key, "a number", err);
    *out = (float)d;
    return GLLM_OK;
}

gllm_status json_flag(const json_t *obj, const char *name, const char *key, bool *out, gllm_error *err) {
    const json_t *v = present(obj, key);
    if (!v) return GLLM_OK;
    if (!json_is_boolean(v)) return wrong(v, name, key, "true or false", err);
    *out = json_is_true(v);
    return GLLM_OK;
}

gllm_status json_str(const json_t *obj, const char *name, const char *key, const char **out, gllm_error *err) {
    const json_t *v = present(obj, key);
    if (!v) return GLLM_OK;
    if (!json_is_string(v)) return wrong(v, name, key, "a string", err);
    *out = json_string_value(v);
    return GLLM_OK;
}

gllm_status json_object_at(const json_t *obj, const char *name, const char *key, json_t **out, gllm_error *err) {
    const json_t *v = present(obj, key);
    *out = NULL;
    if (v && !json_is_object(v)) return wrong(v, name, key, "an object", err);
    *out = (json_t *)(uintptr_t)v;
    return GLLM_OK;
}

gllm_status json_array_at(const json_t *obj, const char *name, const char *key, json_t **out, gllm_error *err) {
    const json_t *v = present(obj, key);
    *out = NULL;
    if (v && !json_is_array(v)) return wrong(v, name, key, "an array", err);
    *out = (json_t *)(uintptr_t)v;
    return GLLM_OK;
}
