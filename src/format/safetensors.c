#include "format/safetensors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/json.h"

#define MAX_HEADER 100000000u
#define MAX_EXACT 9007199254740992.0 /* 2^53: whole numbers up to here are exact as doubles */

static bool whole(const json_t *v, uint64_t *out) {
    double d = json_number_value(v);
    if (!json_is_number(v) || !(d >= 0 && d <= MAX_EXACT) || d != floor(d)) return false;
    *out = (uint64_t)d;
    return true;
}

static gllm_status read_shape(struct tensor *t, const json_t *shape, const char *file, uint64_t *count, gllm_error *err) {
    if (!json_is_array(shape)) return err_set(err, GLLM_FORMAT, "%s: %s: shape: found %s, expected an array", file, t->name, json_kind(shape));
    if (json_array_size(shape) > TENSOR_MAX_RANK)
        return err_set(err, GLLM_FORMAT, "%s: %s: shape: found %zu dimensions, expected at most %d", file, t->name, json_array_size(shape), TENSOR_MAX_RANK);
    t->rank = (uint32_t)json_array_size(shape);
    *count = 1;
    for (uint32_t i = 0; i < t->rank; i++)
        if (!whole(json_array_get(shape, i), &t->shape[i]))
            return err_set(err, GLLM_FORMAT, "%s: %s: shape: dimension %u is not a whole number from 0 to 2^53", file, t->name, i);
    for (uint32_t i = 0; i < t->rank; i++)
        if (!size_mul(*count, t->shape[i], count)) return err_set(err, GLLM_FORMAT, "%s: %s: shape: the number of elements overflows", file, t->name);
    return GLLM_OK;
}

static gllm_status read_tensor(struct tensor *t, const json_t *entry, const char *file, uint64_t data_size, uint64_t *begin, gllm_error *err) {
    if (!json_is_object(entry)) return err_set(err, GLLM_FORMAT, "%s: %s: found %s, expected an object", file, t->name, json_kind(entry));
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    if (!dtype) return err_set(err, GLLM_FORMAT, "%s: %s: dtype: found %s, expected a string", file, t->name, json_kind(json_object_get(entry, "dtype")));
    if (!dtype_from_name(dtype, strlen(dtype), &t->dtype)) return err_set(err, GLLM_FORMAT, "%s: %s: dtype: found \"%.40s\", which is unknown", file, t->name, dtype);
    uint64_t count = 0, end = 0, expected = 0;
    TRY(read_shape(t, json_object_get(entry, "shape"), file, &count, err));
    const json_t *offsets = json_object_get(entry, "data_offsets");
    if (json_array_size(offsets) != 2 || !whole(json_array_get(offsets, 0), begin) || !whole(json_array_get(offsets, 1), &end))
        return err_set(err, GLLM_FORMAT, "%s: %s: data_offsets: expected two whole numbers from 0 to 2^53", file, t->name);
    if (*begin > end || end > data_size)
        return err_set(err, GLLM_FORMAT, "%s: %s: data_offsets: found [%llu,%llu], expected a range inside %llu bytes of data", file, t->name,
                       (unsigned long long)*begin, (unsigned long long)end, (unsigned long long)data_size);
    t->bytes = end - *begin;
    char text[200];
    if (!dtype_bytes(t->dtype, count, &expected) || expected != t->bytes)
        return err_set(err, GLLM_FORMAT, "%s: %s: found %llu bytes of data, expected %s %s to fill them", file, t->name, (unsigned long long)t->bytes,
                       dtype_traits(t->dtype)->name, tensor_shape_text(t->shape, t->rank, text, sizeof text));
    return GLLM_OK;
}

static gllm_status read_meta(struct safetensors *out, struct arena *arena, json_t *meta, const char *file, gllm_error *err) {
    if (!meta) return GLLM_OK;
    if (!json_is_object(meta)) return err_set(err, GLLM_FORMAT, "%s: __metadata__: found %s, expected an object", file, json_kind(meta));
    const char **pairs = arena_array(arena, 2 * json_object_size(meta), sizeof *pairs);
    if (!pairs) return err_nomem(err, file);
    out->meta = pairs;
    const char *key;
    json_t *value;
    json_object_foreach(meta, key, value) {
        if (!json_is_string(value)) return err_set(err, GLLM_FORMAT, "%s: __metadata__: %s: found %s, expected a string", file, key, json_kind(value));
        pairs[2 * out->n_meta] = arena_strdup(arena, key);
        pairs[2 * out->n_meta + 1] = arena_strdup(arena, json_string_value(value));
        if (!pairs[2 * out->n_meta] || !pairs[2 * out->n_meta + 1]) return err_nomem(err, file);
        out->n_meta++;
    }
    return GLLM_OK;
}

struct placed { /* a tensor and where its data begins */
    struct tensor tensor;
    uint64_t begin;
};
static int by_place(const void *a, const void *b) {
    const struct placed *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return x->tensor.bytes < y->tensor.bytes ? -1 : x->tensor.bytes > y->tensor.bytes; /* an empty one stands before its neighbour */
}

/* The data must be covered without holes or overlaps; then tensors point into it. */
static gllm_status place(struct safetensors *out, struct placed *p, const uint8_t *data, uint64_t size, const char *file, gllm_error *err) {
    uint64_t at = 0;
    for (size_t i = 0; i < out->n_tensors; i++) {
        if (p[i].begin != at)
            return err_set(err, GLLM_FORMAT, "%s: %s: data begins at %llu, expected %llu (%s)", file, p[i].tensor.name, (unsigned long long)p[i].begin,
                           (unsigned long long)at, p[i].begin < at ? "it overlaps the tensor before it" : "there is a hole before it");
        p[i].tensor.data = data + at;
        out->tensors[i] = p[i].tensor;
        at += p[i].tensor.bytes;
    }
    if (at != size)
        return err_set(err, GLLM_FORMAT, "%s: tensors cover %llu bytes of data, found %llu", file, (unsigned long long)at, (unsigned long long)size);
    return GLLM_OK;
}

static gllm_status read_tensors(struct safetensors *out, struct arena *arena, json_t *header, const uint8_t *data, uint64_t size, const char *file, gllm_error *err) {
    size_t n = json_object_size(header), i = 0;
    struct placed *placed = calloc(n + 1, sizeof *placed);
    out->tensors = arena_array(arena, n, sizeof *out->tensors);
    gllm_status status = GLLM_OK;
    if (!placed || !out->tensors) {
        status = err_nomem(err, file);
        goto done;
    }
    const char *name;
    json_t *entry;
    json_object_foreach(header, name, entry) {
        if (!strcmp(name, "__metadata__")) continue;
        placed[i].tensor.name = arena_strdup(arena, name);
        if (!placed[i].tensor.name) {
            status = err_nomem(err, file);
            goto done;
        }
        TRY_GO(read_tensor(&placed[i].tensor, entry, file, size, &placed[i].begin, err));
        i++;
    }
    out->n_tensors = i;
    qsort(placed, i, sizeof *placed, by_place);
    status = place(out, placed, data, size, file, err);
done:
    free(placed);
    return status;
}

gllm_status safetensors_read(struct safetensors *out, struct arena *arena, const void *data, uint64_t size, const char *name, gllm_error *err) {
    *out = (struct safetensors){0};
    struct bytes b = bytes_of(data, (size_t)size);
    uint64_t n = bytes_u64(&b);
    if (b.bad) return err_set(err, GLLM_FORMAT, "%s: %llu bytes, expected at least the 8 of a safetensors header's length", name, (unsigned long long)size);
    if (n > MAX_HEADER) return err_set(err, GLLM_FORMAT, "%s: header length: found %llu, expected at most %u", name, (unsigned long long)n, MAX_HEADER);
    const uint8_t *text = bytes_take(&b, (size_t)n);
    if (!text) return err_set(err, GLLM_FORMAT, "%s: header of %llu bytes in a file of %llu: the file is cut short", name, (unsigned long long)n, (unsigned long long)size);
    if (!n || text[0] != '{') return err_set(err, GLLM_FORMAT, "%s: header does not begin with '{': not a safetensors file", name);
    json_t *header;
    TRY(json_parse_unique((const char *)text, (size_t)n, name, &header, err));
    gllm_status status = GLLM_OK;
    if (!json_is_object(header)) status = err_set(err, GLLM_FORMAT, "%s: header: found %s, expected an object", name, json_kind(header));
    if (status == GLLM_OK) status = read_meta(out, arena, json_object_get(header, "__metadata__"), name, err);
    if (status == GLLM_OK) status = read_tensors(out, arena, header, text + n, size - 8 - n, name, err);
    json_decref(header);
    return status;
}
