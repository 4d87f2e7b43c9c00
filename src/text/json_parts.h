/* json_parts.h - pieces of a JSON text as grammar expressions: json_parts.c, json_number.c, json_pattern.c; used by json_schema.c.
 *
 * All take `struct rules` to build in. A NULL expression with GLLM_OK stands for "nothing fits"; memory that ran out shows in rules->failed. */
#ifndef GLLM_TEXT_JSON_PARTS_H
#define GLLM_TEXT_JSON_PARTS_H
#include "text/grammar.h"
#include "text/parts.h"

enum { JSON_DIGITS = 18 }; /* of a number before, and as many after the point: what a 64-bit integer always holds */

/* Rules that every text may call; json_define writes them. */
enum json_rule { JSON_VALUE, JSON_OBJECT_ANY, JSON_ARRAY_ANY, JSON_STRING_ANY, JSON_NUMBER, JSON_INTEGER_ANY, JSON_CHAR, JSON_COMMA, JSON_COLON, JSON_RULES };
void json_define(struct rules *r); /* into empty rules: their numbers are those of enum json_rule */
struct expr *json_call(struct rules *r, enum json_rule rule);

struct expr *json_pair(struct rules *r, struct expr *first, struct expr *second); /* SEQ of the two */
struct expr *json_quoted(struct rules *r, struct expr *inside);
struct expr *json_value_text(struct rules *r, const json_t *v); /* exactly this value; a number must be exact (json_exact) */
struct expr *json_string_text(struct rules *r, const char *s, size_t len); /* with its quotes */
struct expr *json_chars(struct rules *r, const struct char_range *ranges, size_t n, bool negate); /* one character of a string, escaped where JSON demands; NULL: none */
/* A key in quotes, written without escapes, that is none of names[n] (sorted here). */
struct expr *json_other_key(struct rules *r, const char **names, size_t n);
bool json_exact(double v); /* written from a double it is the number that the text said: whole ones below 2^53 */

/* A number between two bounds. without a fraction: whole. *out NULL: there is none. */
struct json_bounds {
    double min, max; /* -INFINITY, INFINITY: none */
    bool over, under; /* exclusive */
    bool whole;
};
struct expr *json_between(struct rules *r, const struct json_bounds *b);

/* The inside of a string that a regular expression (ECMA 262, the regular part of it) is found in. *wrong: static; what is not supported. */
struct expr *json_pattern(struct rules *r, const char *pattern, size_t len, const char **wrong);
#endif
