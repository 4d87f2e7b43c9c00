/* test_gguf.c - a small GGUF file written here: read back value by value, cut at every byte, changed in every field of its
 * header; and the same through weights_open, whole and split. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/gguf.h"
#include "format/weights.h"
#include "tensor/half.h"

/* ---- a writer ---- */

struct file {
    unsigned char data[4096];
    size_t n;
};
static void put(struct file *f, uint64_t v, unsigned n) {
    for (unsigned i = 0; i < n; i++) f->data[f->n++] = (unsigned char)(v >> 8 * i);
}
static void put_str(struct file *f, const char *s) {
    put(f, strlen(s), 8);
    memcpy(f->data + f->n, s, strlen(s));
    f->n += strlen(s);
}
static void put_key(struct file *f, const char *key, enum gguf_type type) {
    put_str(f, key);
    put(f, type, 4);
}
static void put_head(struct file *f, uint32_t version, uint64_t n_tensors, uint64_t n_entries) {
    memcpy(f->data, "GGUF", f->n = 4);
    put(f, version, 4), put(f, n_tensors, 8), put(f, n_entries, 8);
}
static void put_tensor(struct file *f, const char *name, uint64_t inner, uint64_t outer, uint32_t type, uint64_t offset) {
    put_str(f, name);
    put(f, outer ? 2 : 1, 4), put(f, inner, 8);
    if (outer) put(f, outer, 8);
    put(f, type, 4), put(f, offset, 8);
}
static void put_data(struct file *f, size_t align, size_t bytes) {
    while (f->n % align) put(f, 0, 1);
    for (size_t i = 0; i < bytes; i++) put(f, i * 7 & 0x3B, 1);
}

enum { N_ENTRIES = 9, AT_ALIGNMENT = 24 + 8 + 17 + 4 }; /* AT_ALIGNMENT: the value of general.alignment, the first entry */

static struct file whole_file(uint32_t version) {
    struct file f = {.n = 0};
    put_head(&f, version, 2, N_ENTRIES);
    put_key(&f, "general.alignment", GGUF_U32), put(&f, 64, 4);
    put_key(&f, "s", GGUF_STRING), put_str(&f, "word");
    put_key(&f, "minus", GGUF_I16), put(&f, 0xFFFE, 2);
    put_key(&f, "big", GGUF_U64), put(&f, UINT64_MAX, 8);
    put_key(&f, "half", GGUF_F32), put(&f, f32_bits(0.5f), 4);
    put_key(&f, "third", GGUF_F64), put(&f, 0x3FD5555555555555, 8);
    put_key(&f, "yes", GGUF_BOOL), put(&f, 1, 1);
    put_key(&f, "words", GGUF_ARRAY), put(&f, GGUF_STRING, 4), put(&f, 3, 8), put_str(&f, "a"), put_str(&f, ""), put_str(&f, "cde");
    put_key(&f, "bytes", GGUF_ARRAY), put(&f, GGUF_I8, 4), put(&f, 2, 8), put(&f, 0x80, 1), put(&f, 5, 1);
    put_tensor(&f, "m", 32, 3, 8, 0); /* Q8_0: 3 x 34 bytes */
    put_tensor(&f, "v", 5, 0, 0, 128);
    put_data(&f, 64, 128 + 20);
    return f;
}

/* ---- reading ---- */

static gllm_status try_read(const void *data, size_t n, gllm_error *err) {
    struct arena arena = {0};
    struct gguf g;
    void *exact = malloc(n ? n : 1); /* so that a sanitizer sees a read past the end */
    assert_non_null(exact);
    memcpy(exact, data, n);
    gllm_status status = gguf_read(&g, &arena, exact, n, "x.gguf", err);
    arena_free(&arena);
    free(exact);
    return status;
}
static void refuse(const struct file *f, gllm_status status, const char *says) {
    gllm_error err = {0};
    gllm_status found = try_read(f->data, f->n, &err);
    if (found != status || !strstr(err.message, says) || !strstr(err.message, "x.gguf: "))
        fail_msg("found %d \"%s\", expected %d and \"%s\"", (int)found, err.message, (int)status, says);
}
static void refuse_with(size_t at, unsigned n, uint64_t value, gllm_status status, const char *says) {
    struct file f = whole_file(3), patch = {.n = 0};
    put(&patch, value, n);
    memcpy(f.data + at, patch.data, n);
    refuse(&f, status, says);
}
static size_t find(const struct file *f, const char *s) { /* just after the string with its length before it */
    struct file name = {.n = 0};
    put_str(&name, s);
    for (size_t i = 0; i + name.n <= f->n; i++)
        if (!memcmp(f->data + i, name.data, name.n)) return i + name.n;
    fail_msg("no %s", s);
    abort();
}

static void check_values(const struct gguf *g) {
    gllm_error err = {0};
    uint64_t u = 7;
    double d = 7;
    bool b = false, found;
    struct gguf_str s;
    struct gguf_array a;
    int64_t i;
    assert_int_equal(gguf_u64(g, "general.alignment", &u, &found, &err), GLLM_OK), assert_true(found && u == 64);
    assert_int_equal(gguf_u64(g, "big", &u, NULL, &err), GLLM_OK), assert_true(u == UINT64_MAX);
    assert_int_equal(gguf_u64(g, "absent", &u, &found, &err), GLLM_OK), assert_true(!found && u == UINT64_MAX);
    assert_int_equal(gguf_u64(g, "minus", &u, &found, &err), GLLM_FORMAT), assert_string_equal(err.message, "x.gguf: minus: found -2, expected a whole number");
    assert_int_equal(gguf_u64(g, "s", &u, &found, &err), GLLM_FORMAT), assert_string_equal(err.message, "x.gguf: s: found string, expected a whole number");
    assert_int_equal(gguf_u64(g, "bytes", &u, &found, &err), GLLM_FORMAT);
    assert_int_equal(gguf_f64(g, "half", &d, NULL, &err), GLLM_OK), assert_true(d == 0.5);
    assert_int_equal(gguf_f64(g, "third", &d, NULL, &err), GLLM_OK), assert_true(d == 1.0 / 3);
    assert_int_equal(gguf_f64(g, "minus", &d, NULL, &err), GLLM_OK), assert_true(d == -2);
    assert_int_equal(gguf_f64(g, "yes", &d, NULL, &err), GLLM_FORMAT), assert_string_equal(err.message, "x.gguf: yes: found bool, expected a number");
    assert_int_equal(gguf_bool(g, "yes", &b, &found, &err), GLLM_OK), assert_true(found && b);
    assert_int_equal(gguf_bool(g, "half", &b, NULL, &err), GLLM_FORMAT);
    assert_int_equal(gguf_str(g, "s", &s, &found, &err), GLLM_OK), assert_true(s.len == 4 && !memcmp(s.data, "word", 4));
    assert_int_equal(gguf_str(g, "words", &s, NULL, &err), GLLM_FORMAT);
    assert_int_equal(gguf_array(g, "s", &a, NULL, &err), GLLM_FORMAT), assert_string_equal(err.message, "x.gguf: s: found string, expected an array");
    assert_int_equal(gguf_array(g, "words", &a, &found, &err), GLLM_OK), assert_true(found && a.type == GGUF_STRING && a.count == 3);
    static const char *const WORDS[] = {"a", "", "cde"};
    for (unsigned k = 0; k < 3; k++) assert_true(gguf_next_str(&a, &s) && s.len == strlen(WORDS[k]) && !memcmp(s.data, WORDS[k], s.len));
    assert_false(gguf_next_str(&a, &s));
    assert_int_equal(gguf_array(g, "bytes", &a, NULL, &err), GLLM_OK), assert_true(a.type == GGUF_I8 && a.count == 2);
    assert_true(gguf_at_i64(&a, 0, &i) && i == -128 && gguf_at_i64(&a, 1, &i) && i == 5 && gguf_at_f64(&a, 0, &d) && d == -128);
    assert_false(gguf_next_str(&a, &s));
}

static void test_good(void **state) {
    (void)state;
    for (uint32_t version = 2; version <= 3; version++) {
        struct file f = whole_file(version);
        struct arena arena = {0};
        struct gguf g;
        assert_int_equal(gguf_read(&g, &arena, f.data, f.n, "x.gguf", NULL), GLLM_OK);
        assert_int_equal(g.version, version), assert_int_equal(g.alignment, 64);
        assert_int_equal(g.n_entries, N_ENTRIES), assert_int_equal(g.n_tensors, 2);
        check_values(&g);
        const struct tensor *m = &g.tensors[0], *v = &g.tensors[1];
        const unsigned char *data = f.data + f.n - 148;
        assert_string_equal(m->name, "m"), assert_int_equal(m->dtype, DTYPE_Q8_0), assert_int_equal(m->rank, 2);
        assert_true(m->shape[0] == 3 && m->shape[1] == 32 && m->bytes == 102 && m->data == data);
        assert_string_equal(v->name, "v"), assert_int_equal(v->dtype, DTYPE_F32), assert_int_equal(v->rank, 1);
        assert_true(v->shape[0] == 5 && v->bytes == 20 && v->data == data + 128);
        arena_free(&arena);
    }
}

static void test_prefixes(void **state) {
    (void)state;
    struct file f = whole_file(3);
    for (size_t n = 0; n < f.n; n++) {
        gllm_error err = {0};
        if (try_read(f.data, n, &err) != GLLM_FORMAT || strncmp(err.message, "x.gguf: ", 8)) fail_msg("%zu of %zu bytes: \"%s\"", n, f.n, err.message);
    }
}

/* Every byte of the header with every value: it opens or is refused with a line, and never crashes. */
static void test_bytes(void **state) {
    (void)state;
    struct file f = whole_file(3);
    unsigned refused = 0;
    for (size_t at = 0; at < f.n - 148; at++) {
        const unsigned char was = f.data[at];
        for (unsigned v = 0; v < 256; v += at % 3 + 1) {
            gllm_error err = {0};
            f.data[at] = (unsigned char)v;
            gllm_status status = try_read(f.data, f.n, &err);
            if (status != GLLM_OK && (strncmp(err.message, "x.gguf: ", 8) || err.status != status)) fail_msg("byte %zu = %u: \"%s\"", at, v, err.message);
            refused += status != GLLM_OK;
        }
        f.data[at] = was;
    }
    assert_true(refused > 1000);
}

static void test_mutations(void **state) {
    (void)state;
    const struct file f = whole_file(3);
    refuse_with(0, 4, 0x67676d6c, GLLM_FORMAT, "magic: found \"lmgg\", expected \"GGUF\"");
    refuse_with(4, 4, 0, GLLM_FORMAT, "version: found 0, expected 2 or 3");
    refuse_with(4, 4, 1, GLLM_UNSUPPORTED, "version: found GGUF version 1, expected 2 or 3");
    refuse_with(4, 4, 4, GLLM_UNSUPPORTED, "version: found 4, expected 2 or 3");
    refuse_with(4, 4, 0x03000000, GLLM_UNSUPPORTED, "found a big-endian GGUF file");
    refuse_with(8, 8, UINT64_MAX, GLLM_FORMAT, "number of tensors: found 18446744073709551615, more than a file of");
    refuse_with(8, 8, 3, GLLM_FORMAT, "tensor");
    refuse_with(16, 8, (uint64_t)1 << 60, GLLM_FORMAT, "number of entries: found 1152921504606846976, more than a file of");
    refuse_with(24, 8, UINT64_MAX, GLLM_FORMAT, "an entry runs past the end");
    refuse_with(32, 1, 0xFF, GLLM_FORMAT, "is not UTF-8");
    refuse_with(AT_ALIGNMENT, 4, 0, GLLM_FORMAT, "general.alignment: found 0, expected a power of two");
    refuse_with(AT_ALIGNMENT, 4, 48, GLLM_FORMAT, "general.alignment: found 48, expected a power of two");
    refuse_with(AT_ALIGNMENT, 4, 256, GLLM_FORMAT, "v: offset: found 128, expected a multiple of the alignment 256");
    refuse_with(AT_ALIGNMENT - 4, 4, GGUF_F32, GLLM_FORMAT, "general.alignment: found f32, expected a whole number");
    refuse_with(AT_ALIGNMENT - 4, 4, 13, GLLM_FORMAT, "general.alignment: type: found 13, expected 0 to 12");
    refuse_with(find(&f, "words"), 4, 99, GLLM_FORMAT, "words: type: found 99");
    refuse_with(find(&f, "words") + 4, 4, GGUF_ARRAY, GLLM_UNSUPPORTED, "words: found an array of arrays");
    refuse_with(find(&f, "words") + 8, 8, (uint64_t)1 << 61, GLLM_FORMAT, "words: found 2305843009213693952 values of type string");
    refuse_with(find(&f, "words") + 16, 8, 1u << 20, GLLM_FORMAT, "words: a string runs past the end");
    refuse_with(find(&f, "bytes") + 8, 8, UINT64_MAX, GLLM_FORMAT, "bytes: found 18446744073709551615 values of type i8");
    refuse_with(find(&f, "s") + 4, 8, 1u << 30, GLLM_FORMAT, "s: a string runs past the end");
    refuse_with(find(&f, "m"), 4, 5, GLLM_FORMAT, "m: found 5 dimensions, expected at most 4");
    refuse_with(find(&f, "m") + 4, 8, 33, GLLM_FORMAT, "m: shape: found [3,33], expected rows of whole blocks of 32 (Q8_0)");
    refuse_with(find(&f, "m") + 4, 8, (uint64_t)1 << 63, GLLM_FORMAT, "m: shape: the number of elements overflows");
    refuse_with(find(&f, "m") + 12, 8, 4, GLLM_FORMAT, "v: its data overlaps that of m");
    refuse_with(find(&f, "m") + 12, 8, 400, GLLM_FORMAT, "m: found data of 13600 bytes at offset 0");
    refuse_with(find(&f, "m") + 20, 4, 4, GLLM_UNSUPPORTED, "m: type: found 4 (Q4_2)");
    refuse_with(find(&f, "m") + 20, 4, 1000, GLLM_UNSUPPORTED, "m: type: found 1000 (unknown)");
    refuse_with(find(&f, "v") + 16, 8, 129, GLLM_FORMAT, "v: offset: found 129, expected a multiple");
    refuse_with(find(&f, "v") + 16, 8, 192, GLLM_FORMAT, "v: found data of 20 bytes at offset 192");
    refuse_with(find(&f, "v") + 16, 8, UINT64_MAX - 63, GLLM_FORMAT, "v: found data of 20 bytes at offset 18446744073709551552");
    refuse_with(find(&f, "v") - 1, 1, 'm', GLLM_FORMAT, "tensor m stands twice");
    refuse_with(find(&f, "v") - 1, 1, 0, GLLM_FORMAT, "tensor name: found \"\" of 1 bytes, expected UTF-8 without NUL");
    struct file twice = {.n = 0};
    put_head(&twice, 3, 0, 2);
    put_key(&twice, "k", GGUF_U8), put(&twice, 1, 1), put_key(&twice, "k", GGUF_U8), put(&twice, 1, 1);
    refuse(&twice, GLLM_FORMAT, "key k stands twice");
}

/* ---- weights_open ---- */

static void save(const char *dir, const char *name, const struct file *f) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(f->data, 1, f->n, out), f->n);
    fclose(out);
}
static gllm_status open_at(struct weights **w, const char *dir, const char *name, gllm_error *err) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return weights_open(w, path, err);
}
static struct file part_file(unsigned no, unsigned count, unsigned total, const char *tensor) {
    struct file f = {.n = 0};
    put_head(&f, 3, 1, 3);
    put_key(&f, "split.no", GGUF_U16), put(&f, no, 2);
    put_key(&f, "split.count", GGUF_U16), put(&f, count, 2);
    put_key(&f, "split.tensors.count", GGUF_I32), put(&f, total, 4);
    put_tensor(&f, tensor, 4, 0, 0, 0);
    put_data(&f, 32, 16);
    return f;
}
static void refuse_open(const char *dir, const char *name, gllm_status status, const char *says) {
    struct weights *w;
    gllm_error err = {0};
    gllm_status found = open_at(&w, dir, name, &err);
    if (found != status || w || !strstr(err.message, says)) fail_msg("%s: found %d \"%s\", expected %d and \"%s\"", name, (int)found, err.message, (int)status, says);
}

static void test_weights(void **state) {
    (void)state;
    char dir[] = "/tmp/gllm-gguf-XXXXXX";
    assert_non_null(mkdtemp(dir));
    struct weights *w;
    gllm_error err = {0};
    static const char *const NAMES[] = {"one.gguf", "one", "a-00001-of-00002.gguf", "a-00002-of-00002.gguf"};
    struct file f = whole_file(3), p1 = part_file(0, 2, 2, "p"), p2 = part_file(1, 2, 2, "q");
    for (unsigned i = 0; i < 2; i++) { /* by its name or by its magic */
        save(dir, NAMES[i], &f);
        assert_int_equal(open_at(&w, dir, NAMES[i], &err), GLLM_OK);
        assert_string_equal(weights_format(w), "gguf"), assert_string_equal(weights_shard_name(w, 0), NAMES[i]);
        assert_int_equal(weights_count(w), 2), assert_null(weights_find(w, "x")), assert_null(weights_meta(w, "s"));
        const struct tensor *m = weights_find(w, "m");
        assert_true(m && m == weights_at(w, 0) && !memcmp(m->data, f.data + f.n - 148, 102));
        uint64_t align = 0;
        assert_int_equal(gguf_u64(weights_gguf(w), "general.alignment", &align, NULL, &err), GLLM_OK), assert_int_equal(align, 64);
        weights_close(w);
    }
    save(dir, NAMES[2], &p1);
    refuse_open(dir, NAMES[2], GLLM_NOT_FOUND, "part 2 of 2 is missing: ");
    refuse_open(dir, NAMES[2], GLLM_NOT_FOUND, "a-00002-of-00002.gguf");
    save(dir, NAMES[3], &p2);
    for (unsigned i = 2; i < 4; i++) { /* any part opens all */
        assert_int_equal(open_at(&w, dir, NAMES[i], &err), GLLM_OK);
        assert_int_equal(weights_shards(w), 2), assert_int_equal(weights_count(w), 2), assert_int_equal(weights_file_bytes(w), p1.n + p2.n);
        assert_true(weights_find(w, "p")->shard == 0 && weights_find(w, "q")->shard == 1);
        weights_close(w);
    }
    save(dir, NAMES[3], &p1);
    refuse_open(dir, NAMES[2], GLLM_FORMAT, "split.no: found 0, expected 1");
    p2 = part_file(1, 3, 2, "q"), save(dir, NAMES[3], &p2);
    refuse_open(dir, NAMES[2], GLLM_FORMAT, "split.count: found 3, expected the 2 of the file's name");
    p2 = part_file(1, 2, 2, "p"), save(dir, NAMES[3], &p2);
    refuse_open(dir, NAMES[2], GLLM_FORMAT, "tensor p is in both a-00001-of-00002.gguf and a-00002-of-00002.gguf");
    p2 = part_file(1, 2, 9, "q"), save(dir, NAMES[3], &p2);
    refuse_open(dir, NAMES[2], GLLM_FORMAT, "split.tensors.count: found 9, expected the 2 tensors of all parts");
    save(dir, "one.gguf", &p1);
    refuse_open(dir, "one.gguf", GLLM_FORMAT, "split.count: found 2, expected the 1");
    f.data[0] = 'g', save(dir, "one.gguf", &f);
    refuse_open(dir, "one.gguf", GLLM_FORMAT, "magic");
    for (unsigned i = 0; i < 4; i++) {
        char path[256];
        snprintf(path, sizeof path, "%s/%s", dir, NAMES[i]);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(dir), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_prefixes), cmocka_unit_test(test_bytes), cmocka_unit_test(test_mutations), cmocka_unit_test(test_weights)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
