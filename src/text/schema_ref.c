/* schema_ref.c - $ref: pointers within the document, and the rules that they name. */
#include <stdlib.h>
#include <string.h>

#include "text/schema_reader.h"

const struct pointer *reader_below(struct reader *r, const struct pointer *at, const char *key, size_t index) {
    struct pointer *p = arena_alloc(&r->rules.arena, sizeof *p);
    if (!p) {
        r->rules.failed = true;
        return at;
    }
    *p = (struct pointer){at, key, index};
    return p;
}

json_t *reader_hold(struct reader *r, json_t *v) {
    if (v && !json_array_append_new(r->made, v)) return v;
    r->rules.failed = true;
    return NULL;
}

json_t *reader_without(struct reader *r, const json_t *v, const char *key) {
    json_t *copy = reader_hold(r, json_object()), *value;
    const char *name;
    json_object_foreach((json_t *)(uintptr_t)v, name, value)
        if (copy && strcmp(name, key) && !schema_is_note(name)) r->rules.failed |= json_object_set(copy, name, value) != 0;
    return copy;
}

void reader_charge(struct reader *r, size_t n, size_t times) {
    const uint64_t work = (uint64_t)n * times / 1024; /* each is below 2^20: a schema's bytes */
    r->steps += work < SCHEMA_MAX_STEPS ? (unsigned)work : SCHEMA_MAX_STEPS;
    if (r->steps > SCHEMA_MAX_STEPS) r->steps = SCHEMA_MAX_STEPS + 1;
}

bool schema_says_nothing(const json_t *v) {
    const char *key;
    json_t *value, *object = (json_t *)(uintptr_t)v;
    if (json_is_true(v)) return true;
    json_object_foreach(object, key, value) {
        if (!schema_is_note(key) && !(!strcmp(key, "nullable") && !json_object_get(v, "type"))) return false;
    }
    return json_is_object(v);
}

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

gllm_status reader_resolve(struct reader *r, const json_t *from, const struct pointer *at, struct target *out, gllm_error *err) {
    const char *ref = json_string_value(json_object_get(from, "$ref"));
    const struct pointer *here = reader_below(r, at, "$ref", 0);
    *out = (struct target){.schema = r->root, .at = reader_below(r, NULL, "#", 0)};
    if (ref[0] != '#' || (ref[1] && ref[1] != '/')) return schema_wrong(here, err, GLLM_UNSUPPORTED, "found \"%.60s\", expected a pointer within the schema (#/…)", ref);
    char *text = arena_strdup(&r->rules.arena, ref + 1), *next;
    if (!text) return err_nomem(err, "schema");
    for (char *key = *text ? text + 1 : NULL; key; key = next) {
        if ((next = strchr(key, '/'))) *next++ = '\0';
        if (!unescape(key)) return schema_wrong(here, err, GLLM_INVALID, "found \"%.60s\", which is no JSON pointer", ref);
        if (!(out->schema = child(out->schema, key))) return schema_wrong(here, err, GLLM_INVALID, "there is nothing at \"%.60s\"", ref);
        out->at = reader_below(r, out->at, key, 0);
    }
    return check_once(r, out, err);
}

gllm_status reader_call(struct reader *r, struct target t, struct expr **out, gllm_error *err) {
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
