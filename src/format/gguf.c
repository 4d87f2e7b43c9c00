#include "format/gguf.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/utf8.h"
#include "tensor/half.h"

enum { MAX_RANK = 4, MAX_KEY = 65535, DEFAULT_ALIGNMENT = 32 };
enum { MIN_ENTRY = 8 + 4 + 1, MIN_TENSOR = 8 + 4 + 4 + 8 }; /* bytes of the smallest entry and tensor info */
#define ULL(x) ((unsigned long long)(x))
#define SHOWN(s) (int)((s).len < 80 ? (s).len : 80), (s).data /* for %.*s */

struct reader {
    struct gguf *g;
    struct arena *arena;
    struct bytes b;
    gllm_error *err;
};

static const struct {
    const char *name;
    unsigned bytes; /* 0: of variable length */
} TYPES[GGUF_TYPE_COUNT] = {
    [GGUF_U8] = {"u8", 1},     [GGUF_I8] = {"i8", 1},   [GGUF_U16] = {"u16", 2},       [GGUF_I16] = {"i16", 2},     [GGUF_U32] = {"u32", 4},
    [GGUF_I32] = {"i32", 4},   [GGUF_F32] = {"f32", 4}, [GGUF_BOOL] = {"bool", 1},     [GGUF_STRING] = {"string", 0}, [GGUF_ARRAY] = {"array", 0},
    [GGUF_U64] = {"u64", 8},   [GGUF_I64] = {"i64", 8}, [GGUF_F64] = {"f64", 8},
};
const char *gguf_type_name(enum gguf_type t) { return TYPES[t].name; }
bool gguf_is(const void *data, uint64_t size) { return size >= 4 && !memcmp(data, "GGUF", 4); }

/* ---- entries ---- */

static gllm_status cut_short(const struct reader *r, const char *what) {
    return err_set(r->err, GLLM_FORMAT, "%s: %s runs past the end of the file (%zu bytes): the file is cut short", r->g->name, what, r->b.size);
}

static struct gguf_str take_str(struct bytes *b) {
    uint64_t len = bytes_u64(b);
    if (len > b->size - b->at) b->bad = true;
    const uint8_t *p = b->bad ? NULL : bytes_take(b, (size_t)len);
    return (struct gguf_str){.data = (const char *)p, .len = p ? (size_t)len : 0};
}

/* Steps over `count` values of type v->type and leaves them in v. */
static gllm_status take_values(struct reader *r, struct gguf_str key, uint64_t count, struct gguf_array *v) {
    const size_t left = r->b.size - r->b.at;
    const unsigned least = TYPES[v->type].bytes ? TYPES[v->type].bytes : 8;
    v->count = count;
    v->data = r->b.data + r->b.at;
    if (count > left / least)
        return err_set(r->err, GLLM_FORMAT, "%s: %.*s: found %llu values of type %s in the last %zu bytes of the file: it is cut short", r->g->name,
                       SHOWN(key), ULL(count), TYPES[v->type].name, left);
    if (v->type != GGUF_STRING) bytes_take(&r->b, (size_t)count * least);
    else
        for (uint64_t i = 0; i < count && !r->b.bad; i++) take_str(&r->b);
    if (r->b.bad) return err_set(r->err, GLLM_FORMAT, "%s: %.*s: a string runs past the end of the file (%zu bytes)", r->g->name, SHOWN(key), r->b.size);
    v->bytes = left - (r->b.size - r->b.at);
    return GLLM_OK;
}

static gllm_status take_type(struct reader *r, struct gguf_str key, enum gguf_type *out) {
    uint32_t type = bytes_u32(&r->b);
    if (r->b.bad) return cut_short(r, "an entry");
    if (type >= GGUF_TYPE_COUNT) return err_set(r->err, GLLM_FORMAT, "%s: %.*s: type: found %u, expected 0 to %d", r->g->name, SHOWN(key), type, GGUF_TYPE_COUNT - 1);
    *out = (enum gguf_type)type;
    return GLLM_OK;
}

static gllm_status read_entry(struct reader *r, struct gguf_entry *e) {
    e->key = take_str(&r->b);
    if (r->b.bad) return cut_short(r, "an entry");
    if (e->key.len > MAX_KEY) return err_set(r->err, GLLM_FORMAT, "%s: key of %zu bytes, expected at most %d", r->g->name, e->key.len, MAX_KEY);
    if (!utf8_valid(e->key.data, e->key.len, NULL)) return err_set(r->err, GLLM_FORMAT, "%s: key \"%.*s\" is not UTF-8", r->g->name, SHOWN(e->key));
    TRY(take_type(r, e->key, &e->type));
    e->value.type = e->type;
    if (e->type != GGUF_ARRAY) return take_values(r, e->key, 1, &e->value);
    TRY(take_type(r, e->key, &e->value.type));
    uint64_t count = bytes_u64(&r->b);
    if (r->b.bad) return cut_short(r, "an entry");
    if (e->value.type == GGUF_ARRAY) return err_set(r->err, GLLM_UNSUPPORTED, "%s: %.*s: found an array of arrays, expected scalars or strings", r->g->name, SHOWN(e->key));
    return take_values(r, e->key, count, &e->value);
}

static int compare_str(struct gguf_str a, struct gguf_str b) {
    size_t n = a.len < b.len ? a.len : b.len;
    int order = n ? memcmp(a.data, b.data, n) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}
static int by_key(const void *a, const void *b) { return compare_str(((const struct gguf_entry *)a)->key, ((const struct gguf_entry *)b)->key); }

static gllm_status read_entries(struct reader *r, uint64_t n) {
    struct gguf *g = r->g;
    g->entries = arena_array(r->arena, (size_t)n, sizeof *g->entries);
    if (!g->entries) return err_nomem(r->err, g->name);
    for (; g->n_entries < n; g->n_entries++) TRY(read_entry(r, &g->entries[g->n_entries]));
    qsort(g->entries, g->n_entries, sizeof *g->entries, by_key);
    for (size_t i = 1; i < g->n_entries; i++)
        if (!by_key(&g->entries[i - 1], &g->entries[i])) return err_set(r->err, GLLM_FORMAT, "%s: key %.*s stands twice", g->name, SHOWN(g->entries[i].key));
    return GLLM_OK;
}

static gllm_status read_alignment(struct reader *r) {
    uint64_t a = DEFAULT_ALIGNMENT;
    TRY(gguf_u64(r->g, "general.alignment", &a, NULL, r->err));
    if (!a || a & (a - 1) || a > UINT32_MAX) return err_set(r->err, GLLM_FORMAT, "%s: general.alignment: found %llu, expected a power of two", r->g->name, ULL(a));
    r->g->alignment = (uint32_t)a;
    return GLLM_OK;
}

/* ---- tensors ---- */

static gllm_status bad_type(const struct reader *r, const char *tensor, uint32_t type) {
    static const struct {
        uint32_t type;
        const char *name;
    } KNOWN[] = {{4, "Q4_2"},       {5, "Q4_3"},       {31, "Q4_0_4_4"},   {32, "Q4_0_4_8"}, {33, "Q4_0_8_8"},
                 {36, "IQ4_NL_4_4"}, {37, "IQ4_NL_4_8"}, {38, "IQ4_NL_8_8"}, {40, "NVFP4"},    {41, "Q1_0"}};
    const char *name = "unknown";
    for (unsigned i = 0; i < sizeof KNOWN / sizeof *KNOWN; i++)
        if (KNOWN[i].type == type) name = KNOWN[i].name;
    return err_set(r->err, GLLM_UNSUPPORTED, "%s: %.80s: type: found %u (%s), which is not read by this version", r->g->name, tensor, type, name);
}

static gllm_status read_name(struct reader *r, struct tensor *t) {
    struct gguf_str s = take_str(&r->b);
    if (r->b.bad) return cut_short(r, "a tensor info");
    if (!s.len || memchr(s.data, 0, s.len) || !utf8_valid(s.data, s.len, NULL))
        return err_set(r->err, GLLM_FORMAT, "%s: tensor name: found \"%.*s\" of %zu bytes, expected UTF-8 without NUL", r->g->name, SHOWN(s), s.len);
    t->name = arena_strndup(r->arena, s.data, s.len);
    return t->name ? GLLM_OK : err_nomem(r->err, r->g->name);
}

static gllm_status read_shape(struct reader *r, struct tensor *t, uint64_t *count) {
    t->rank = bytes_u32(&r->b);
    if (t->rank > MAX_RANK) return err_set(r->err, GLLM_FORMAT, "%s: %.80s: found %u dimensions, expected at most %d", r->g->name, t->name, t->rank, MAX_RANK);
    *count = 1;
    for (uint32_t i = t->rank; i-- > 0;) {
        t->shape[i] = bytes_u64(&r->b);
        if (!size_mul(*count, t->shape[i], count)) return err_set(r->err, GLLM_FORMAT, "%s: %.80s: shape: the number of elements overflows", r->g->name, t->name);
    }
    return GLLM_OK;
}

/* One tensor info; t->data is set by place(), *offset counts from the beginning of the tensor data. */
static gllm_status read_tensor(struct reader *r, struct tensor *t, uint64_t *offset) {
    uint64_t count = 0;
    char shape[100];
    TRY(read_name(r, t));
    TRY(read_shape(r, t, &count));
    uint32_t type = bytes_u32(&r->b);
    *offset = bytes_u64(&r->b);
    if (r->b.bad) return cut_short(r, "a tensor info");
    if (!dtype_from_ggml(type, &t->dtype)) return bad_type(r, t->name, type);
    const struct dtype_traits *d = dtype_traits(t->dtype);
    const uint64_t cols = t->rank ? t->shape[t->rank - 1] : 1;
    if (cols % d->block || !dtype_bytes(t->dtype, count, &t->bytes))
        return err_set(r->err, GLLM_FORMAT, "%s: %.80s: shape: found %s, expected rows of whole blocks of %u (%s)", r->g->name, t->name,
                       tensor_shape_text(t->shape, t->rank, shape, sizeof shape), d->block, d->name);
    if (*offset % r->g->alignment)
        return err_set(r->err, GLLM_FORMAT, "%s: %.80s: offset: found %llu, expected a multiple of the alignment %u", r->g->name, t->name, ULL(*offset), r->g->alignment);
    return GLLM_OK;
}

static int by_name(const void *a, const void *b) { return strcmp((*(struct tensor *const *)a)->name, (*(struct tensor *const *)b)->name); }
static int by_place(const void *a, const void *b) {
    const struct tensor *x = *(struct tensor *const *)a, *y = *(struct tensor *const *)b;
    if (x->data != y->data) return (uintptr_t)x->data < (uintptr_t)y->data ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes); /* an empty one stands before its neighbour */
}

/* No name twice, no byte of data twice. */
static gllm_status check_pairs(struct reader *r) {
    struct gguf *g = r->g;
    struct tensor **list = malloc((g->n_tensors + 1) * sizeof *list);
    gllm_status status = GLLM_OK;
    if (!list) return err_nomem(r->err, g->name);
    for (size_t i = 0; i < g->n_tensors; i++) list[i] = &g->tensors[i];
    qsort(list, g->n_tensors, sizeof *list, by_name);
    for (size_t i = 1; i < g->n_tensors && status == GLLM_OK; i++)
        if (!by_name(&list[i - 1], &list[i])) status = err_set(r->err, GLLM_FORMAT, "%s: tensor %.80s stands twice", g->name, list[i]->name);
    qsort(list, g->n_tensors, sizeof *list, by_place);
    for (size_t i = 1; i < g->n_tensors && status == GLLM_OK; i++)
        if ((uintptr_t)list[i]->data - (uintptr_t)list[i - 1]->data < list[i - 1]->bytes)
            status = err_set(r->err, GLLM_FORMAT, "%s: %.80s: its data overlaps that of %.80s", g->name, list[i]->name, list[i - 1]->name);
    free(list);
    return status;
}

/* Turns offsets into pointers. The tensor data begins at the first multiple of the alignment after the header. */
static gllm_status place(struct reader *r, const uint64_t *offsets) {
    const uint64_t size = r->b.size, align = r->g->alignment, begin = (r->b.at + align - 1) / align * align;
    for (size_t i = 0; i < r->g->n_tensors; i++) {
        struct tensor *t = &r->g->tensors[i];
        if (begin > size || offsets[i] > size - begin || t->bytes > size - begin - offsets[i])
            return err_set(r->err, GLLM_FORMAT, "%s: %.80s: found data of %llu bytes at offset %llu, expected it inside the %llu bytes of tensor data: the file is cut short",
                           r->g->name, t->name, ULL(t->bytes), ULL(offsets[i]), ULL(begin > size ? 0 : size - begin));
        t->data = r->b.data + begin + offsets[i];
    }
    return check_pairs(r);
}

static gllm_status read_tensors(struct reader *r, uint64_t n) {
    struct gguf *g = r->g;
    if (n > (r->b.size - r->b.at) / MIN_TENSOR)
        return err_set(r->err, GLLM_FORMAT, "%s: number of tensors: found %llu, more than a file of %zu bytes can hold", g->name, ULL(n), r->b.size);
    uint64_t *offsets = malloc(((size_t)n + 1) * sizeof *offsets);
    g->tensors = arena_array(r->arena, (size_t)n, sizeof *g->tensors);
    gllm_status status = offsets && g->tensors ? GLLM_OK : err_nomem(r->err, g->name);
    for (; status == GLLM_OK && g->n_tensors < n; g->n_tensors++) status = read_tensor(r, &g->tensors[g->n_tensors], &offsets[g->n_tensors]);
    if (status == GLLM_OK) status = place(r, offsets);
    free(offsets);
    return status;
}

/* ---- the whole ---- */

static gllm_status read_version(struct reader *r) {
    const uint32_t v = r->g->version = bytes_u32(&r->b);
    const char *name = r->g->name;
    if (v == 2 || v == 3) return GLLM_OK;
    if (v && !(v & 0xFFFF)) return err_set(r->err, GLLM_UNSUPPORTED, "%s: found a big-endian GGUF file, expected little-endian", name);
    if (v == 1) return err_set(r->err, GLLM_UNSUPPORTED, "%s: version: found GGUF version 1, expected 2 or 3", name);
    return err_set(r->err, v > 3 ? GLLM_UNSUPPORTED : GLLM_FORMAT, "%s: version: found %u, expected 2 or 3", name, v);
}

gllm_status gguf_read(struct gguf *out, struct arena *arena, const void *data, uint64_t size, const char *name, gllm_error *err) {
    *out = (struct gguf){.name = arena_strdup(arena, name)};
    if (!out->name) return err_nomem(err, name);
    if (size > SIZE_MAX) return err_set(err, GLLM_IO, "%s: %llu bytes do not fit this machine's address space", name, ULL(size));
    struct reader r = {.g = out, .arena = arena, .b = bytes_of(data, (size_t)size), .err = err};
    if (size < 4 + 4 + 8 + 8) return err_set(err, GLLM_FORMAT, "%s: found %llu bytes, expected at least the 24 of a GGUF header", name, ULL(size));
    if (!gguf_is(data, size)) return err_set(err, GLLM_FORMAT, "%s: magic: found \"%.4s\", expected \"GGUF\"", name, (const char *)data);
    bytes_take(&r.b, 4);
    TRY(read_version(&r));
    const uint64_t n_tensors = bytes_u64(&r.b), n_entries = bytes_u64(&r.b);
    if (n_entries > (size - r.b.at) / MIN_ENTRY)
        return err_set(err, GLLM_FORMAT, "%s: number of entries: found %llu, more than a file of %llu bytes can hold", name, ULL(n_entries), ULL(size));
    TRY(read_entries(&r, n_entries));
    TRY(read_alignment(&r));
    return read_tensors(&r, n_tensors);
}

/* ---- values ---- */

static int key_compare(const void *key, const void *entry) { return compare_str(*(const struct gguf_str *)key, ((const struct gguf_entry *)entry)->key); }

const struct gguf_entry *gguf_find(const struct gguf *g, const char *key) {
    const struct gguf_str wanted = {key, strlen(key)};
    return g->n_entries ? bsearch(&wanted, g->entries, g->n_entries, sizeof *g->entries, key_compare) : NULL;
}

static gllm_status wrong(const struct gguf *g, const struct gguf_entry *e, const char *expected, gllm_error *err) {
    return err_set(err, GLLM_FORMAT, "%s: %.*s: found %s, expected %s", g->name, SHOWN(e->key), TYPES[e->type].name, expected);
}
static const struct gguf_entry *look(const struct gguf *g, const char *key, bool *found) {
    const struct gguf_entry *e = gguf_find(g, key);
    if (found) *found = e != NULL;
    return e;
}

gllm_status gguf_u64(const struct gguf *g, const char *key, uint64_t *out, bool *found, gllm_error *err) {
    const struct gguf_entry *e = look(g, key, found);
    int64_t v;
    if (!e) return GLLM_OK;
    if (e->type == GGUF_U64) {
        struct bytes b = bytes_of(e->value.data, 8);
        *out = bytes_u64(&b);
        return GLLM_OK;
    }
    if (e->type == GGUF_ARRAY || !gguf_at_i64(&e->value, 0, &v)) return wrong(g, e, "a whole number", err);
    if (v < 0) return err_set(err, GLLM_FORMAT, "%s: %s: found %lld, expected a whole number", g->name, key, (long long)v);
    *out = (uint64_t)v;
    return GLLM_OK;
}
gllm_status gguf_f64(const struct gguf *g, const char *key, double *out, bool *found, gllm_error *err) {
    const struct gguf_entry *e = look(g, key, found);
    if (!e) return GLLM_OK;
    return e->type != GGUF_ARRAY && gguf_at_f64(&e->value, 0, out) ? GLLM_OK : wrong(g, e, "a number", err);
}
gllm_status gguf_bool(const struct gguf *g, const char *key, bool *out, bool *found, gllm_error *err) {
    const struct gguf_entry *e = look(g, key, found);
    if (!e) return GLLM_OK;
    if (e->type != GGUF_BOOL) return wrong(g, e, "a bool", err);
    if (e->value.data[0] > 1) return err_set(err, GLLM_FORMAT, "%s: %s: found a bool of %u, expected 0 or 1", g->name, key, e->value.data[0]);
    *out = e->value.data[0];
    return GLLM_OK;
}
gllm_status gguf_str(const struct gguf *g, const char *key, struct gguf_str *out, bool *found, gllm_error *err) {
    const struct gguf_entry *e = look(g, key, found);
    if (!e) return GLLM_OK;
    struct gguf_array one = e->value;
    return e->type == GGUF_STRING && gguf_next_str(&one, out) ? GLLM_OK : wrong(g, e, "a string", err);
}
gllm_status gguf_array(const struct gguf *g, const char *key, struct gguf_array *out, bool *found, gllm_error *err) {
    const struct gguf_entry *e = look(g, key, found);
    if (!e) return GLLM_OK;
    if (e->type != GGUF_ARRAY) return wrong(g, e, "an array", err);
    *out = e->value;
    return GLLM_OK;
}

static uint64_t bits_at(const struct gguf_array *a, uint64_t i) { /* i < count, of a type of fixed size */
    const unsigned n = TYPES[a->type].bytes;
    struct bytes b = bytes_of(a->data, a->bytes);
    b.at = (size_t)i * n;
    return bytes_uint(&b, n);
}
bool gguf_at_i64(const struct gguf_array *a, uint64_t i, int64_t *out) {
    const bool is_signed = a->type == GGUF_I8 || a->type == GGUF_I16 || a->type == GGUF_I32 || a->type == GGUF_I64;
    if (!is_signed && a->type != GGUF_U8 && a->type != GGUF_U16 && a->type != GGUF_U32 && a->type != GGUF_U64) return false;
    uint64_t bits = bits_at(a, i);
    if (!is_signed && bits > INT64_MAX) return false;
    const uint64_t sign = is_signed ? (uint64_t)1 << (8 * TYPES[a->type].bytes - 1) : 0;
    *out = (int64_t)((bits ^ sign) - sign);
    return true;
}
bool gguf_at_f64(const struct gguf_array *a, uint64_t i, double *out) {
    int64_t whole;
    if (a->type == GGUF_F32) *out = (double)f32_from_bits((uint32_t)bits_at(a, i));
    else if (a->type == GGUF_F64) {
        const uint64_t bits = bits_at(a, i);
        memcpy(out, &bits, sizeof *out);
    } else if (a->type == GGUF_U64) *out = (double)bits_at(a, i);
    else if (gguf_at_i64(a, i, &whole)) *out = (double)whole;
    else return false;
    return true;
}
bool gguf_next_str(struct gguf_array *rest, struct gguf_str *out) {
    if (rest->type != GGUF_STRING || !rest->count) return false;
    struct bytes b = bytes_of(rest->data, rest->bytes);
    *out = take_str(&b); /* in bounds: the reader walked it */
    rest->data += b.at, rest->bytes -= b.at, rest->count--;
    return true;
}
