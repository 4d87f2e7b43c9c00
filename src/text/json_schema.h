/* json_schema.h - a JSON schema as a grammar of the texts that are valid under it.
 *
 * Every text of the grammar is JSON that the schema accepts (2020-12; `definitions`, tuples in `items` and `nullable` of older dialects, too).
 * The grammar holds one form of each value, so that a model cannot fill its answer with blanks:
 *   - no white space but one optional blank after , and :
 *   - properties in the order of `properties`, optional ones in any subset; then those that `required` alone names; then, only where
 *     additionalProperties is true or a schema, others: keys written without escapes. Where it is absent no others are written
 *   - items beyond prefixItems only where `items` says which, or minItems demands them
 *   - a schema without `type` gives the types that its other keywords are about; without those any value
 *   - numbers of at most 18 digits before and 18 after the point, exponents of 2 digits; an integer has neither; beside bounds
 *     no exponent and at most 15 digits in all where there is a point
 *   - the strings of enum, const, pattern and property names with the shortest escapes; other strings with any escape
 *   - years of date and date-time from 1000 to 9999, seconds up to 59
 * Refused with the keyword's JSON pointer: whatever cannot be held to (not, if, patternProperties, uniqueItems …), unknown keywords (those that
 * begin with x- are notes), a oneOf whose alternatives could both fit, remote references. Notes such as title, default, examples are skipped. */
#ifndef GLLM_TEXT_JSON_SCHEMA_H
#define GLLM_TEXT_JSON_SCHEMA_H
#include "text/grammar.h"

enum { JSON_SCHEMA_MAX_BYTES = 1 << 20 };
/* GLLM_INVALID: no JSON, a keyword with a value of the wrong kind, no value fits, or what grammar_compile found (rules are called by their
 * pointers); GLLM_UNSUPPORTED: a keyword that is refused. */
gllm_status json_schema_read(struct grammar **out, const char *text, size_t len, gllm_error *err);
#endif
