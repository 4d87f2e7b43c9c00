/* json.h - reading JSON files with one clear sentence on each error (on top of jansson).
 *
 * Numbers are read as doubles, so that a tokenizer_config's model_max_length of 1e30 written as an integer is accepted;
 * json_u32 and its kin check that a number is whole and in range. Depth is bounded by jansson (2048). */
#ifndef GLLM_BASE_JSON_H
#define GLLM_BASE_JSON_H
#include <jansson.h>

#include "base/error.h"

/* Parses text; `name` is how messages call it. *out is owned (json_decref). Any JSON value may be the root. */
gllm_status json_parse(const char *text, size_t len, const char *name, json_t **out, gllm_error *err);
/* The same, and an object that holds a key twice is refused. */
gllm_status json_parse_unique(const char *text, size_t len, const char *name, json_t **out, gllm_error *err);
/* The same as json_parse, but integers stay integers (JSON_INTEGER, 64 bits; larger ones are refused): values to be shown again. */
gllm_status json_parse_values(const char *text, size_t len, const char *name, json_t **out, gllm_error *err);
/* Reads and parses a file of at most `limit` bytes. GLLM_NOT_FOUND when there is none. */
gllm_status json_read_file(const char *path, uint64_t limit, json_t **out, gllm_error *err);
const char *json_kind(const json_t *v); /* "object", "null" … "nothing" for NULL; static */

/* Each reads obj[key]. Absent or null: GLLM_OK and *out untouched. Of another type or out of range: GLLM_FORMAT, and the
 * message is "NAME: KEY: found X, expected Y". Strings are borrowed from obj. */
gllm_status json_u32(const json_t *obj, const char *name, const char *key, uint32_t *out, gllm_error *err);
gllm_status json_f32(const json_t *obj, const char *name, const char *key, float *out, gllm_error *err);
gllm_status json_flag(const json_t *obj, const char *name, const char *key, bool *out, gllm_error *err);
gllm_status json_str(const json_t *obj, const char *name, const char *key, const char **out, gllm_error *err);
/* obj[key] as an object (array); absent or null gives NULL. */
gllm_status json_object_at(const json_t *obj, const char *name, const char *key, json_t **out, gllm_error *err);
gllm_status json_array_at(const json_t *obj, const char *name, const char *key, json_t **out, gllm_error *err);
#endif
