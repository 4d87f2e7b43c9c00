/* fields.c - reading a body's fields, each with one sentence on what is wrong. */
#include <stdlib.h>
#include <string.h>

#include "core.h"

static const char *kind_of(const json_t *v) {
    switch (json_typeof(v)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "a list";
    case JSON_STRING: return "a string";
    case JSON_INTEGER: return "a whole number";
    case JSON_REAL: return "a number";
    case JSON_TRUE:
    case JSON_FALSE: return "a truth value";
    default: return "null";
    }
}

static const json_t *given(const json_t *o, const char *key) {
    const json_t *v = json_object_get(o, key);
    return v && !json_is_null(v) ? v : NULL;
}
static bool wrong(struct request *q, const char *key, const json_t *v, const char *expected) {
    reply_error(q, 400, "invalid_type", key, "%s: found %s, expected %s", key, kind_of(v), expected);
    return false;
}

bool field_missing(struct request *q, const char *key, const char *expected) {
    reply_error(q, 400, "missing_field", key, "%s is missing, expected %s", key, expected);
    return false;
}

bool field_text(struct request *q, const json_t *o, const char *key, gllm_str *out) {
    const json_t *v = given(o, key);
    if (!v) return true;
    if (!json_is_string(v)) return wrong(q, key, v, "a string");
    *out = (gllm_str){json_string_value(v), json_string_length(v)};
    return true;
}

bool field_string(struct request *q, const json_t *o, const char *key, const char **out) {
    gllm_str text = {0};
    if (!field_text(q, o, key, &text)) return false;
    if (text.ptr && strlen(text.ptr) != text.len) {
        reply_error(q, 400, "invalid_value", key, "%s holds a NUL character", key);
        return false;
    }
    if (text.ptr) *out = text.ptr;
    return true;
}

bool field_bool(struct request *q, const json_t *o, const char *key, bool *out) {
    const json_t *v = given(o, key);
    if (!v) return true;
    if (!json_is_boolean(v)) return wrong(q, key, v, "true or false");
    *out = json_is_true(v);
    return true;
}

bool field_u32(struct request *q, const json_t *o, const char *key, uint32_t low, uint32_t high, uint32_t *out) {
    const json_t *v = given(o, key);
    if (!v) return true;
    if (!json_is_number(v)) return wrong(q, key, v, "a whole number");
    const double x = json_number_value(v);
    if (!(x >= low && x <= high) || x != (double)(uint32_t)x) {
        reply_error(q, 400, "invalid_value", key, "%s: found %.12g, expected a whole number from %u to %u", key, x, low, high);
        return false;
    }
    *out = (uint32_t)x;
    return true;
}

bool field_real(struct request *q, const json_t *o, const char *key, double low, double high, double *out) {
    const json_t *v = given(o, key);
    if (!v) return true;
    if (!json_is_number(v)) return wrong(q, key, v, "a number");
    const double x = json_number_value(v);
    if (!(x >= low && x <= high)) {
        reply_error(q, 400, "invalid_value", key, "%s: found %.12g, expected a number from %g to %g", key, x, low, high);
        return false;
    }
    *out = x;
    return true;
}

bool field_choice(struct request *q, const json_t *o, const char *key, const char *choices, int *out) {
    const char *s = NULL;
    if (!field_string(q, o, key, &s)) return false;
    if (!s) return true;
    int place = 0;
    for (const char *c = choices; c; c = strchr(c, '|') ? strchr(c, '|') + 1 : NULL, place++)
        if (strcspn(c, "|") == strlen(s) && !strncmp(c, s, strlen(s))) {
            *out = place;
            return true;
        }
    reply_error(q, 400, "invalid_value", key, "%s: found \"%.60s\", expected one of %s", key, s, choices);
    return false;
}

bool field_refuse(struct request *q, const json_t *o, const char *key, const char *harmless, const char *why) {
    const json_t *v = given(o, key);
    json_t *same = v && harmless ? json_loads(harmless, JSON_DECODE_ANY, NULL) : NULL;
    const bool fine = !v || (same && json_equal((json_t *)(uintptr_t)v, same)) ||
                      (same && json_is_number(same) && json_is_number(v) && json_number_value(same) == json_number_value(v));
    json_decref(same);
    if (!fine) reply_error(q, 400, "unsupported_value", key, "%s is not supported: %s", key, why);
    return fine;
}

bool field_items(struct request *q, const char *key, size_t n) {
    const uint32_t most = q->server->options.max_items;
    if (n > most) reply_error(q, 413, "too_many_items", key, "%s has %zu items, at most %u are taken (--max-items)", key, n, most);
    return n <= most;
}

bool field_texts(struct request *q, const json_t *o, const char *key, gllm_str **list, size_t *count) {
    const json_t *v = given(o, key);
    *list = NULL, *count = 0;
    if (!v) return field_missing(q, key, "a string or a list of strings");
    if (!json_is_string(v) && !json_is_array(v)) return wrong(q, key, v, "a string or a list of strings");
    const size_t n = json_is_string(v) ? 1 : json_array_size(v);
    if (!n) reply_error(q, 400, "empty_input", key, "%s is an empty list", key);
    else if (field_items(q, key, n) && !(*list = malloc(n * sizeof **list))) reply_error(q, 503, "overloaded", NULL, "out of memory");
    if (!*list) return false;
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_is_string(v) ? v : json_array_get(v, i);
        if (!json_is_string(item)) {
            reply_error(q, 400, "invalid_type", key, "%s[%zu]: found %s, expected a string", key, i, kind_of(item));
            free(*list);
            *list = NULL;
            return false;
        }
        (*list)[i] = (gllm_str){json_string_value(item), json_string_length(item)};
    }
    *count = n;
    return true;
}

bool field_ids(struct request *q, const json_t *list, const char *key, int32_t *ids) {
    const size_t n = json_array_size(list);
    if (!json_is_array(list) || !n) {
        reply_error(q, 400, json_is_array(list) ? "empty_input" : "invalid_type", key, "%s: expected lists of token ids that are not empty", key);
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(list, i);
        const json_int_t id = json_integer_value(v);
        if (!json_is_integer(v) || id < 0 || id > INT32_MAX) {
            reply_error(q, 400, "invalid_value", key, "%s: item %zu is no token id", key, i);
            return false;
        }
        ids[i] = (int32_t)id;
    }
    return true;
}
