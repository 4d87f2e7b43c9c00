/* schema_check.h - the keywords of JSON schemas, pointers to them, and whether each is one that json_schema.c can hold to. */
#ifndef GLLM_TEXT_SCHEMA_CHECK_H
#define GLLM_TEXT_SCHEMA_CHECK_H
#include "base/arena.h"
#include "base/json.h"

struct pointer { /* a JSON pointer from its end; on the stack or in an arena */
    const struct pointer *up; /* NULL: the document, or the place that `key` names whole */
    const char *key;
    size_t index;             /* key NULL: an array's item */
};
/* "schema #/a/b: …"; the format's arguments must fit one line. */
gllm_status schema_wrong(const struct pointer *at, gllm_error *err, gllm_status status, const char *format, ...) GLLM_PRINTF(4, 5);
void pointer_text(const struct pointer *at, char *out, size_t size);

/* Checks a schema and all schemas inside it, but for $defs. Afterwards every keyword's value is of its kind. */
gllm_status schema_check(const json_t *v, const struct pointer *at, gllm_error *err);
bool schema_is_note(const char *keyword); /* says nothing about values */
enum { TYPE_OBJECT = 1, TYPE_ARRAY = 2, TYPE_STRING = 4, TYPE_NUMBER = 8, TYPE_INTEGER = 16, TYPE_BOOLEAN = 32, TYPE_NULL = 64, TYPE_ANY = 127 };
unsigned schema_types(const json_t *v);        /* of `type` with `nullable`; 0: not said. number includes integer */
unsigned schema_about(const char *keyword);    /* the types that a keyword is about */
unsigned schema_type_of(const json_t *value);  /* of a value */
#endif
