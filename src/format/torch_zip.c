#include "format/torch_zip.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "format/pickle.h"
#include "format/zip.h"

/* What torch.save writes for a dictionary of tensors. The storages' places give their dtypes. */
enum { NAME_DICT, NAME_TENSOR, NAME_PARAMETER, NAME_STORAGE };
static const struct pickle_name NAMES[] = {
    [NAME_DICT] = {"collections", "OrderedDict", .makes_dict = true},
    [NAME_TENSOR] = {"torch._utils", "_rebuild_tensor_v2", .callable = true},
    [NAME_PARAMETER] = {"torch._utils", "_rebuild_parameter", .callable = true},
    [NAME_STORAGE] = {"torch", "FloatStorage", .callable = false}, {"torch", "HalfStorage", .callable = false}, {"torch", "BFloat16Storage", .callable = false}, {"torch", "DoubleStorage", .callable = false},
    {"torch", "LongStorage", .callable = false}, {"torch", "IntStorage", .callable = false}, {"torch", "ShortStorage", .callable = false}, {"torch", "CharStorage", .callable = false}, {"torch", "ByteStorage", .callable = false}, {"torch", "BoolStorage", .callable = false},
};
static const enum dtype DTYPES[] = {DTYPE_F32, DTYPE_F16, DTYPE_BF16, DTYPE_F64, DTYPE_I64, DTYPE_I32, DTYPE_I16, DTYPE_I8, DTYPE_U8, DTYPE_BOOL};
enum { N_NAMES = sizeof NAMES / sizeof *NAMES, ENTRY_ROOM = 512 };

struct archive {
    struct zip zip;
    size_t n_root; /* length of NAME/ */
    const char *file;
};

static bool is_legacy(const uint8_t *p, uint64_t size) { /* a pickled magic number */
    static const uint8_t MAGIC[] = {0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};
    return size >= sizeof MAGIC && !memcmp(p, MAGIC, sizeof MAGIC);
}

bool torch_zip_is(const void *data, uint64_t size) { return zip_is(data, size) || is_legacy(data, size); }

static const struct zip_entry *entry(const struct archive *a, const char *name, size_t len) {
    char full[ENTRY_ROOM];
    if (a->n_root + len >= sizeof full) return NULL;
    memcpy(full, a->zip.entries[0].name, a->n_root);
    memcpy(full + a->n_root, name, len);
    full[a->n_root + len] = '\0';
    return zip_find(&a->zip, full);
}

/* Every entry lies below one folder, which is called as the file was when it was written. */
static gllm_status open_archive(struct archive *a, struct arena *arena, const void *data, uint64_t size, const struct zip_entry **pickle, gllm_error *err) {
    TRY(zip_read(&a->zip, arena, data, size, a->file, err));
    const char *first = a->zip.n_entries ? a->zip.entries[0].name : "", *slash = strchr(first, '/');
    a->n_root = slash ? (size_t)(slash - first) + 1 : 0;
    *pickle = a->n_root ? entry(a, "data.pkl", 8) : NULL;
    if (!*pickle) return err_set(err, GLLM_FORMAT, "%s: no data.pkl in the zip archive, expected what torch.save writes", a->file);
    const struct zip_entry *order = entry(a, "byteorder", 9);
    if (order && (order->size != 6 || memcmp(order->data, "little", 6))) return err_set(err, GLLM_UNSUPPORTED, "%s: byteorder: expected \"little\"", a->file);
    return GLLM_OK;
}

static gllm_status wrong(const struct archive *a, const char *tensor, const char *what, const struct pickle_value *v, const char *expected, gllm_error *err) {
    return err_set(err, GLLM_FORMAT, "%s: %s: %s: found %s, expected %s", a->file, tensor, what, pickle_kind_name(v->kind), expected);
}

/* ('storage', torch.FloatStorage, KEY, location, elements) */
static gllm_status read_storage(const struct archive *a, struct tensor *t, const struct pickle_value *v, const struct zip_entry **out, uint64_t *elements, gllm_error *err) {
    if (v->kind != PICKLE_STORAGE) return wrong(a, t->name, "storage", v, "a persistent id", err);
    const struct pickle_value *id = v->items->list;
    if (v->items->count != 5 || id[0].kind != PICKLE_STRING || id[0].len != 7 || memcmp(id[0].text, "storage", 7) || id[1].kind != PICKLE_NAME || id[1].i < NAME_STORAGE ||
        id[2].kind != PICKLE_STRING || id[4].kind != PICKLE_INT || id[4].i < 0)
        return err_set(err, GLLM_FORMAT, "%s: %s: storage: expected ('storage', a storage type, a key, a place, the number of elements)", a->file, t->name);
    char name[ENTRY_ROOM];
    if (id[2].len > 64) return err_set(err, GLLM_FORMAT, "%s: %s: a storage's key of %u bytes, expected at most 64", a->file, t->name, id[2].len);
    memcpy(name, "data/", 5);
    memcpy(name + 5, id[2].text, id[2].len);
    *out = entry(a, name, 5 + id[2].len);
    if (!*out) return err_set(err, GLLM_FORMAT, "%s: %s: storage data/%.*s is not in the archive", a->file, t->name, (int)id[2].len, id[2].text);
    t->dtype = DTYPES[id[1].i - NAME_STORAGE];
    *elements = (uint64_t)id[4].i;
    uint64_t bytes;
    if (!dtype_bytes(t->dtype, *elements, &bytes) || bytes != (*out)->size)
        return err_set(err, GLLM_FORMAT, "%s: %s: storage %s has %llu bytes, expected %llu elements of %s", a->file, t->name, (*out)->name, (unsigned long long)(*out)->size,
                       (unsigned long long)*elements, dtype_traits(t->dtype)->name);
    return GLLM_OK;
}

/* The shape, row-major in the storage from `offset` elements on. */
static gllm_status read_shape(const struct archive *a, struct tensor *t, const struct pickle_value *shape, const struct pickle_value *strides, uint64_t *count, gllm_error *err) {
    if (shape->kind != PICKLE_TUPLE) return wrong(a, t->name, "size", shape, "a tuple", err);
    if (strides->kind != PICKLE_TUPLE) return wrong(a, t->name, "stride", strides, "a tuple", err);
    const uint32_t rank = shape->items->count;
    if (rank > TENSOR_MAX_RANK || strides->items->count != rank)
        return err_set(err, GLLM_FORMAT, "%s: %s: %u sizes and %u strides, expected as many of both and at most %d", a->file, t->name, rank, strides->items->count, TENSOR_MAX_RANK);
    t->rank = rank;
    *count = 1;
    bool row_major = true;
    for (uint32_t i = rank; i-- > 0;) {
        const struct pickle_value *n = &shape->items->list[i], *s = &strides->items->list[i];
        if (n->kind != PICKLE_INT || n->i < 0) return wrong(a, t->name, "size", n, "a whole number from 0", err);
        if (s->kind != PICKLE_INT || s->i < 0) return wrong(a, t->name, "stride", s, "a whole number from 0", err);
        t->shape[i] = (uint64_t)n->i;
        row_major &= n->i <= 1 || (uint64_t)s->i == *count;
        if (!size_mul(*count, t->shape[i], count)) return err_set(err, GLLM_FORMAT, "%s: %s: size: the number of elements overflows", a->file, t->name);
    }
    if (row_major || !*count) return GLLM_OK;
    char text[200];
    return err_set(err, GLLM_UNSUPPORTED, "%s: %s: a view of shape %s whose strides are not row-major: save it with .contiguous()", a->file, t->name, tensor_shape_text(t->shape, t->rank, text, sizeof text));
}

/* _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks) */
static gllm_status read_tensor(const struct archive *a, struct tensor *t, const struct pickle_items *args, gllm_error *err) {
    const struct zip_entry *storage = NULL;
    uint64_t elements = 0, count = 0, end, before = 0;
    if (args->count < 4) return err_set(err, GLLM_FORMAT, "%s: %s: _rebuild_tensor_v2 with %u arguments, expected 4 or more", a->file, t->name, args->count);
    const struct pickle_value *v = args->list;
    TRY(read_storage(a, t, &v[0], &storage, &elements, err));
    if (v[1].kind != PICKLE_INT || v[1].i < 0) return wrong(a, t->name, "offset", &v[1], "a whole number from 0", err);
    TRY(read_shape(a, t, &v[2], &v[3], &count, err));
    if (!size_add((uint64_t)v[1].i, count, &end) || end > elements || !dtype_bytes(t->dtype, count, &t->bytes) || !dtype_bytes(t->dtype, (uint64_t)v[1].i, &before))
        return err_set(err, GLLM_FORMAT, "%s: %s: %llu elements from %llu on, expected inside the %llu of its storage", a->file, t->name, (unsigned long long)count, (unsigned long long)v[1].i,
                       (unsigned long long)elements);
    t->data = storage->data + before;
    return GLLM_OK;
}

/* A tensor, or a parameter made of one. */
static gllm_status read_value(const struct archive *a, struct tensor *t, const struct pickle_value *v, gllm_error *err) {
    if (v->kind == PICKLE_CALL && v->items->name == NAME_PARAMETER) {
        if (!v->items->count) return err_set(err, GLLM_FORMAT, "%s: %s: _rebuild_parameter without a tensor", a->file, t->name);
        v = v->items->list;
    }
    if (v->kind == PICKLE_CALL && v->items->name == NAME_TENSOR) return read_tensor(a, t, v->items, err);
    return err_set(err, GLLM_UNSUPPORTED, "%s: %s: found %s, expected a tensor (a state_dict alone, not a training checkpoint)", a->file, t->name, pickle_kind_name(v->kind));
}

static gllm_status read_dict(struct torch_zip *out, const struct archive *a, struct arena *arena, const struct pickle_value *root, uint64_t pickle_bytes, gllm_error *err) {
    if (root->kind != PICKLE_DICT) return err_set(err, GLLM_UNSUPPORTED, "%s: found %s, expected a dict of tensors", a->file, pickle_kind_name(root->kind));
    const struct pickle_items *items = root->items;
    out->tensors = arena_array(arena, items->count / 2, sizeof *out->tensors);
    if (!out->tensors) return err_nomem(err, a->file);
    uint64_t named = 0; /* bytes of names: distinct ones all lie in the pickle, and one that is used again must not cost its length again */
    for (uint32_t i = 0; i < items->count; i += 2, out->n_tensors++) {
        const struct pickle_value *key = &items->list[i];
        if (key->kind != PICKLE_STRING || memchr(key->text, '\0', key->len))
            return err_set(err, GLLM_FORMAT, "%s: key %u of the dict: found %s, expected a string without NUL", a->file, i / 2, pickle_kind_name(key->kind));
        if ((named += key->len) > pickle_bytes) return err_set(err, GLLM_FORMAT, "%s: key %u of the dict: found names of more bytes than the %llu of the pickle, expected each once", a->file, i / 2, (unsigned long long)pickle_bytes);
        struct tensor *t = &out->tensors[out->n_tensors];
        t->name = arena_strndup(arena, key->text, key->len);
        if (!t->name) return err_nomem(err, a->file);
        TRY(read_value(a, t, &items->list[i + 1], err));
    }
    return GLLM_OK;
}

gllm_status torch_zip_read(struct torch_zip *out, struct arena *arena, const void *data, uint64_t size, const char *name, gllm_error *err) {
    *out = (struct torch_zip){0};
    if (is_legacy(data, size))
        return err_set(err, GLLM_UNSUPPORTED, "%s: the format of torch before 1.6, expected a zip archive: load it with torch and save it again, or as safetensors", name);
    if (!zip_is(data, size)) return err_set(err, GLLM_FORMAT, "%s: does not begin as a zip archive: not what torch.save writes", name);
    struct archive a = {.file = name};
    const struct zip_entry *pickle;
    struct pickle_value root;
    struct arena scratch = {0};
    char file[ENTRY_ROOM];
    TRY(open_archive(&a, arena, data, size, &pickle, err));
    snprintf(file, sizeof file, "%.400s: data.pkl", name);
    gllm_status status = pickle_read(&root, &scratch, pickle->data, pickle->size, NAMES, N_NAMES, file, err);
    if (status == GLLM_OK) status = read_dict(out, &a, arena, &root, pickle->size, err);
    arena_free(&scratch);
    return status;
}
