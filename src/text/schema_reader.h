/* schema_reader.h - the parts of json_schema.c: references, merging, what excludes each other, and one flat schema's expression.
 *
 * A schema is handled as a conjunction: a list of schemas that must all hold. $ref, allOf, anyOf and oneOf are taken apart until what is left
 * has none of them; that is merged into one object, whose keywords become an expression. A schema that is nothing but a $ref becomes a call of
 * the rule named by its pointer, so that recursive schemas are recursive grammars. A NULL expression: no value fits. */
#ifndef GLLM_TEXT_SCHEMA_READER_H
#define GLLM_TEXT_SCHEMA_READER_H
#include "text/json_parts.h"
#include "text/schema_check.h"

enum { SCHEMA_MAX_STEPS = 20000 }; /* schemas looked at, and thousands of values or names compared, in all */
struct part { /* of a conjunction */
    const json_t *schema;
    const struct pointer *at;
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

/* json_schema.c */
gllm_status reader_schema(struct reader *r, const json_t *schema, const struct pointer *at, struct expr **out, gllm_error *err);
gllm_status reader_targets(struct reader *r, gllm_error *err); /* writes all rules that were called */
void reader_free(struct reader *r); /* all but the root */

/* schema_ref.c */
const struct pointer *reader_below(struct reader *r, const struct pointer *at, const char *key, size_t index); /* in the arena */
json_t *reader_hold(struct reader *r, json_t *v); /* v moves in and lives as long as r; NULL: memory is out */
json_t *reader_without(struct reader *r, const json_t *v, const char *key); /* a copy of a schema without one keyword and without notes, held */
void reader_charge(struct reader *r, size_t n, size_t times); /* n things are compared with `times` others: counts as steps */
static inline bool reader_spent(const struct reader *r) { return r->steps > SCHEMA_MAX_STEPS; } /* the next schema looked at is refused */
static inline json_t *schema_share(const json_t *v) { return json_incref((json_t *)(uintptr_t)v); } /* a reference of its own */
bool schema_says_nothing(const json_t *v); /* true, or an object of notes */
/* What the $ref of `from` points to, checked. */
gllm_status reader_resolve(struct reader *r, const json_t *from, const struct pointer *at, struct target *out, gllm_error *err);
/* A call of the rule that a pointer names; the rule is written later. */
gllm_status reader_call(struct reader *r, struct target t, struct expr **out, gllm_error *err);

/* schema_apart.c: no value fits both, as far as can be told */
bool schemas_apart(struct reader *r, const json_t *a, const json_t *b);
bool schema_requires(const json_t *v, const char *name);

/* schema_merge.c: adds the keywords of b, which has no $ref, allOf, anyOf, oneOf, to those of a. GLLM_UNSUPPORTED: two that cannot both be held to */
gllm_status schema_merge(struct reader *r, json_t *a, const struct part *b, gllm_error *err);

/* schema_flat.c: a schema that has none of these */
gllm_status reader_flat(struct reader *r, const json_t *v, const struct pointer *at, struct expr **out, gllm_error *err);
#endif
