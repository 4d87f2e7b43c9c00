/* test_torch_zip.c - torch.save's files: values and shapes of what torch wrote, and every hostile pickle and archive refused by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "format/torch_zip.h"
#include "format/weights.h"
#include "unit/temp_dir.h"
#include "unit/zip_writer.h"

#define BYTES(text) text, sizeof text - 1
#define TENSOR "ctorch._utils\n_rebuild_tensor_v2\n"
#define STORAGE(type, key, count) "(X\7\0\0\0storagectorch\n" type "\nX\1\0\0\0" key "X\3\0\0\0cpuK" count "tQ"
#define TAIL "\x89" "ccollections\nOrderedDict\n)Rt"  /* requires_grad, hooks, the end of the arguments */
/* {"w": the 2 x 3 floats of storage 0} */
#define GOOD "\x80\2}X\1\0\0\0w" TENSOR "(" STORAGE("FloatStorage", "0", "\6") "K\0" "K\2K\3\x86" "K\3K\1\x86" TAIL "Rs."

static const float VALUES[6] = {1, 2, 3, 4, 5, 6};

static struct zip_writer archive(const void *pickle, size_t n) {
    struct zip_writer w = {0};
    zip_add(&w, "a/data.pkl", pickle, n);
    zip_add(&w, "a/byteorder", "little", 6);
    zip_add(&w, "a/data/0", VALUES, sizeof VALUES);
    return w;
}

static gllm_status read_copy(const void *data, size_t n, struct torch_zip *z, struct arena *arena, gllm_error *err) {
    *err = (gllm_error){0};
    uint8_t *exact = malloc(n ? n : 1); /* no byte beyond it may be read */
    if (!exact) fail();
    if (n) memcpy(exact, data, n);
    gllm_status s = torch_zip_read(z, arena, exact, n, "m.bin", err);
    for (size_t i = 0; s == GLLM_OK && i < z->n_tensors; i++) {
        volatile uint8_t last = z->tensors[i].bytes ? ((const uint8_t *)z->tensors[i].data)[z->tensors[i].bytes - 1] : 0;
        (void)last;
    }
    free(exact);
    return s;
}

static void refused(struct zip_writer *w, gllm_status expected, const char *message) {
    struct arena arena = {0};
    struct torch_zip z;
    gllm_error err;
    gllm_status s = read_copy(w->data, w->size, &z, &arena, &err);
    if (s != expected || !strstr(err.message, message)) fail_msg("found %d \"%s\", expected %d \"%s\"", s, err.message, expected, message);
    arena_free(&arena);
    free(w->data);
}

static void refused_pickle(const void *pickle, size_t n, gllm_status expected, const char *message) {
    struct zip_writer w = archive(pickle, n);
    zip_end(&w);
    refused(&w, expected, message);
}

/* Memory is bounded by the pickle's length: `n` times the same instructions after a beginning. */
static void refused_repeated(const char *start, const char *again, size_t n, const char *message) {
    const size_t head = strlen(start), one = strlen(again);
    char *pickle = malloc(head + n * one + 1);
    if (!pickle) fail();
    memcpy(pickle, start, head);
    for (size_t i = 0; i < n; i++) memcpy(pickle + head + i * one, again, one);
    pickle[head + n * one] = '.';
    refused_pickle(pickle, head + n * one + 1, GLLM_FORMAT, message);
    free(pickle);
}

static void check_good(struct zip_writer *w) {
    struct arena arena = {0};
    struct torch_zip z;
    gllm_error err;
    zip_end(w);
    if (torch_zip_read(&z, &arena, w->data, w->size, "m.bin", &err) != GLLM_OK) fail_msg("%s", err.message);
    assert_int_equal(z.n_tensors, 1);
    assert_string_equal(z.tensors[0].name, "w");
    assert_int_equal(z.tensors[0].dtype, DTYPE_F32);
    assert_int_equal(z.tensors[0].rank, 2);
    assert_int_equal(z.tensors[0].shape[0], 2);
    assert_int_equal(z.tensors[0].shape[1], 3);
    assert_memory_equal(z.tensors[0].data, VALUES, sizeof VALUES);
    arena_free(&arena);
    free(w->data);
}

static void test_good(void **state) {
    (void)state;
    struct zip_writer w = archive(BYTES(GOOD));
    check_good(&w);
    w = archive(BYTES(GOOD));
    w.zip64 = true;
    check_good(&w);
    /* a parameter, an OrderedDict with attributes, protocol 4's spelling of names */
    w = archive(BYTES("\x80\4\x95\1\0\0\0\0\0\0\0" "\x8c\13collections\x8c\13OrderedDict\x93)R\x94X\1\0\0\0wctorch._utils\n_rebuild_parameter\n(" TENSOR "(" STORAGE("FloatStorage", "0", "\6")
                      "K\0" "K\2K\3\x86" "K\3K\1\x86" TAIL "R\x88" "}tRs}X\11\0\0\0_metadata}sb."));
    check_good(&w);
}

/* What torch itself wrote, against what it said of it (tools/make_output_goldens.py). */
static void test_torch(void **state) {
    (void)state;
    struct weights *w;
    gllm_error err;
    static const struct {
        const char *name;
        enum dtype dtype;
        uint32_t rank;
        uint64_t shape[3];
        float first, last;
    } EXPECTED[] = {
        {"f32", DTYPE_F32, 2, {3, 4}, 0, 5.5f},          {"f16", DTYPE_F16, 2, {2, 3}, -1, 1.5f}, {"bf16", DTYPE_BF16, 1, {4}, 0, 3}, {"f64", DTYPE_F64, 1, {2}, 0.25f, 1.25f},
        {"i64", DTYPE_I64, 1, {3}, 7, 9},                {"scalar", DTYPE_F32, 0, {0}, 42, 42},   {"empty", DTYPE_F32, 2, {0, 5}, 0, 0}, {"view", DTYPE_F32, 2, {1, 4}, 2, 3.5f},
        {"tied", DTYPE_F32, 2, {3, 4}, 0, 5.5f},         {"parameter", DTYPE_F32, 1, {2}, 8, 9},
    };
    if (weights_open(&w, "tests/golden/torch/tensors.bin", &err) != GLLM_OK) fail_msg("%s", err.message);
    assert_string_equal(weights_format(w), "torch");
    assert_int_equal(weights_count(w), sizeof EXPECTED / sizeof *EXPECTED);
    for (unsigned i = 0; i < sizeof EXPECTED / sizeof *EXPECTED; i++) {
        const struct tensor *t = weights_find(w, EXPECTED[i].name);
        assert_non_null(t);
        assert_int_equal(t->dtype, EXPECTED[i].dtype);
        assert_int_equal(t->rank, EXPECTED[i].rank);
        assert_memory_equal(t->shape, EXPECTED[i].shape, t->rank * sizeof *t->shape);
        const size_t n = (size_t)tensor_count(t);
        float v[12] = {0};
        if (n) dtype_to_f32(t->dtype, t->data, v, n);
        assert_true(v[0] == EXPECTED[i].first && v[n ? n - 1 : 0] == EXPECTED[i].last);
    }
    assert_ptr_equal(weights_find(w, "tied")->data, weights_find(w, "f32")->data);
    weights_close(w);
    /* what torch wrote of a transposed view, of its format before 1.6, and of a checkpoint */
    static const struct {
        const char *file, *message;
    } REFUSED[] = {{"transposed.bin", "w: a view of shape [3,2] whose strides are not row-major"},
                   {"legacy.bin", "the format of torch before 1.6, expected a zip archive"},
                   {"checkpoint.bin", "state_dict: found a dict, expected a tensor (a state_dict alone, not a training checkpoint)"},
                   {"hostile.bin", "the pickle names posix.system, which is not needed for tensors: refused, nothing was run"}};
    for (unsigned i = 0; i < sizeof REFUSED / sizeof *REFUSED; i++) {
        char path[128];
        snprintf(path, sizeof path, "tests/golden/torch/%s", REFUSED[i].file);
        assert_int_equal(weights_open(&w, path, &err), GLLM_UNSUPPORTED);
        if (!strstr(err.message, REFUSED[i].message)) fail_msg("found \"%s\", expected \"%s\"", err.message, REFUSED[i].message);
    }
}

static void test_hostile(void **state) {
    (void)state;
    const gllm_status no = GLLM_UNSUPPORTED, bad = GLLM_FORMAT;
    refused_pickle(BYTES("\x80\2cos\nsystem\nX\2\0\0\0id\x85R."), no, "m.bin: data.pkl: byte 2: the pickle names os.system");
    refused_pickle(BYTES("\x80\2c__builtin__\neval\n."), no, "names __builtin__.eval");
    refused_pickle(BYTES("\x80\4\x8c\10builtins\x8c\4eval\x93."), no, "byte 18: the pickle names builtins.eval");
    refused_pickle(BYTES("\x80\2cbuiltins\ngetattr\n(cos\nsystem\nX\1\0\0\0xtR."), no, "names builtins.getattr");
    refused_pickle(BYTES("\x80\2}X\1\0\0\0acposix\nsystem\nX\2\0\0\0id\x85Rs."), no, "byte 9: the pickle names posix.system");
    refused_pickle(BYTES("\x80\2ctorch._utils\n_rebuild_tensor_v2.x\n."), no, "names torch._utils._rebuild_tensor_v2.x");
    refused_pickle(BYTES("\x80\2ctorch\nload\n."), no, "names torch.load");
    refused_pickle(BYTES("\x80\2(S'id'\nios\nsystem\n."), no, "pickle instruction 0x53");
    refused_pickle(BYTES("\x80\2(ios\nsystem\n."), no, "instruction INST");
    refused_pickle(BYTES("\x80\2(ctorch\nFloatStorage\no."), no, "instruction OBJ");
    refused_pickle(BYTES("\x80\2ctorch\nFloatStorage\n)\x81."), no, "instruction NEWOBJ");
    refused_pickle(BYTES("\x80\4ctorch\nFloatStorage\n)}\x92."), no, "instruction NEWOBJ_EX");
    refused_pickle(BYTES("\x80\2\x82\1."), no, "instruction EXT1");
    refused_pickle(BYTES("\x80\2\x83\1\1."), no, "instruction EXT2");
    refused_pickle(BYTES("\x80\2\x84\1\1\1\1."), no, "instruction EXT4");
    refused_pickle(BYTES("\x80\2Pid\n."), no, "instruction PERSID");
    refused_pickle(BYTES("\x80\2ctorch\nFloatStorage\n)R."), no, "REDUCE of torch.FloatStorage");
    refused_pickle(BYTES("\x80\2ccollections\nOrderedDict\n]\x85R."), no, "REDUCE of collections.OrderedDict");
    refused_pickle(BYTES("\x80\2X\1\0\0\0x)R."), no, "REDUCE of a string");
    refused_pickle(BYTES("\x80\2" TENSOR "}R."), no, "REDUCE of a dict");
    refused_pickle(BYTES("\x80\2" TENSOR ")R}b."), no, "BUILD of a call");
    refused_pickle(BYTES("\x80\2}X\1\0\0\0xb."), no, "BUILD with a string");
    refused_pickle(BYTES("\x80\2X\1\0\0\0xQ."), no, "BINPERSID of a string");
    refused_pickle(BYTES("\x80\2]K\1K\2s."), no, "items for a list");
    refused_pickle(BYTES("\x80\6}."), bad, "a protocol above 5");
    refused_pickle(BYTES("\x80\2}r\xff\xff\xff\x7f."), bad, "a place of the memo far beyond its end");
    refused_pickle(BYTES("\x80\2h\3."), bad, "no such place in the memo");
    refused_pickle(BYTES("\x80\2}(K\1u."), bad, "a key without its value");
    refused_pickle(BYTES("\x80\2}K\1K\2u."), bad, "no mark on the stack");
    refused_pickle(BYTES("\x80\2(."), bad, "the stack is empty");
    refused_pickle(BYTES("\x80\2}X\xff\xff\xff\xff."), bad, "a string is cut short");
    refused_pickle(BYTES("\x80\2\x8a\11" "123456789."), no, "an integer of 9 bytes");
    refused_pickle(BYTES("\x80\2K\1."), no, "found an int, expected a dict of tensors");
    refused_pickle(BYTES("\x80\2}X\1\0\0\0wh\0s."), bad, "no such place in the memo");
    refused_pickle(BYTES("\x80\2}q\0X\1\0\0\0wh\0s."), no, "w: found a dict, expected a tensor"); /* a dict that holds itself */
    refused_pickle(BYTES("\x80\2}K\1" TENSOR ")Rs."), bad, "key 0 of the dict: found an int");
    refused_pickle(BYTES("\x80\2}X\3\0\0\0a\0b" TENSOR ")Rs."), bad, "key 0 of the dict: found a string, expected a string without NUL");
    refused_repeated("\x80\2", ")", 8000000, "byte 65538: found more than 65536 values on the stack");
    refused_repeated("\x80\2N", "\x94", 1000000, "found values of more than 16065600 bytes in a pickle of 1000004");
    refused_repeated("\x80\2]", "Na", 1000000, "byte 1048576: found values of more than 32065600 bytes in a pickle of 2000004");
}

#define WITH(storage, rest) "\x80\2}X\1\0\0\0w" TENSOR "(" storage rest TAIL "Rs."
static void test_tensors(void **state) {
    (void)state;
    const gllm_status bad = GLLM_FORMAT;
    refused_pickle(BYTES(WITH(STORAGE("FloatStorage", "0", "\7"), "K\0K\2K\3\x86K\3K\1\x86")), bad, "storage a/data/0 has 24 bytes, expected 7 elements of F32");
    refused_pickle(BYTES(WITH(STORAGE("HalfStorage", "0", "\6"), "K\0K\2K\3\x86K\3K\1\x86")), bad, "expected 6 elements of F16");
    refused_pickle(BYTES(WITH(STORAGE("FloatStorage", "1", "\6"), "K\0K\2K\3\x86K\3K\1\x86")), bad, "storage data/1 is not in the archive");
    refused_pickle(BYTES(WITH(STORAGE("FloatStorage", "0", "\6"), "K\1K\2K\3\x86K\3K\1\x86")), bad, "6 elements from 1 on, expected inside the 6 of its storage");
    refused_pickle(BYTES(WITH(STORAGE("FloatStorage", "0", "\6"), "K\0K\3K\3\x86K\3K\1\x86")), bad, "9 elements from 0 on");
    refused_pickle(BYTES(WITH(STORAGE("FloatStorage", "0", "\6"), "J\xff\xff\xff\xffK\2K\3\x86K\3K\1\x86")), bad, "offset: found an int, expected a whole number from 0");
    refused_pickle(BYTES(WITH(STORAGE("FloatStorage", "0", "\6"), "\x8a\10\xff\xff\xff\xff\xff\xff\xff\x7fK\2K\3\x86K\3K\1\x86")), bad, "expected inside the 6 of its storage");
    refused_pickle(BYTES(WITH(STORAGE("FloatStorage", "0", "\6"), "K\0\x8a\10\0\0\0\0\0\0\0\x40\x8a\10\0\0\0\0\0\0\0\x40\x86K\1K\1\x86")), bad, "the number of elements overflows");
    refused_pickle(BYTES(WITH(STORAGE("FloatStorage", "0", "\6"), "K\0K\2K\3\x86K\1K\2\x86")), GLLM_UNSUPPORTED, "strides are not row-major");
    refused_pickle(BYTES(WITH(STORAGE("FloatStorage", "0", "\6"), "K\0K\2K\3\x86K\0K\0\x86")), GLLM_UNSUPPORTED, "strides are not row-major");
    refused_pickle(BYTES(WITH(STORAGE("FloatStorage", "0", "\6"), "K\0K\2K\3\x86K\1\x85")), bad, "2 sizes and 1 strides");
    refused_pickle(BYTES(WITH(STORAGE("FloatStorage", "0", "\6"), "K\0}}")), bad, "size: found a dict, expected a tuple");
    refused_pickle(BYTES(WITH("K\1", "K\0K\2\x85K\1\x85")), bad, "storage: found an int, expected a persistent id");
    refused_pickle(BYTES(WITH("K\1K\2\x86Q", "K\0K\2\x85K\1\x85")), bad, "storage: expected ('storage', a storage type");
    refused_pickle(BYTES("\x80\2}X\1\0\0\0w" TENSOR ")Rs."), bad, "_rebuild_tensor_v2 with 0 arguments");
    refused_pickle(BYTES("\x80\2}X\1\0\0\0wctorch._utils\n_rebuild_parameter\n)Rs."), bad, "_rebuild_parameter without a tensor");
}

static void test_archives(void **state) {
    (void)state;
    struct zip_writer w = archive(BYTES(GOOD));
    w.records[0].method = 8;
    zip_end(&w);
    refused(&w, GLLM_UNSUPPORTED, "a/data.pkl is compressed (method 8), expected stored entries");
    w = archive(BYTES(GOOD));
    w.records[2].flags = 1;
    zip_end(&w);
    refused(&w, GLLM_UNSUPPORTED, "a/data/0 is encrypted");
    w = archive(BYTES(GOOD));
    w.records[2].packed = 10;
    zip_end(&w);
    refused(&w, GLLM_FORMAT, "stored in 10 bytes, expected its 24");
    w = archive(BYTES(GOOD));
    w.records[0].size = w.records[0].packed = w.records[0].size + 20;
    zip_end(&w);
    refused(&w, GLLM_FORMAT, "entries a/data.pkl and a/byteorder overlap");
    w = archive(BYTES(GOOD));
    w.records[2].size = w.records[2].packed = 0xfffffffe;
    zip_end(&w);
    refused(&w, GLLM_FORMAT, "4294967294 bytes do not fit");
    w = archive(BYTES(GOOD));
    w.records[2].header = 0x7fffffff;
    zip_end(&w);
    refused(&w, GLLM_FORMAT, "no local header at byte 2147483647");
    w = archive(BYTES(GOOD));
    w.records[2] = w.records[1];
    zip_end(&w);
    refused(&w, GLLM_FORMAT, "two entries are called a/byteorder");
    w = archive(BYTES(GOOD));
    strcpy(w.records[2].name, "a/data/1");
    zip_end(&w);
    refused(&w, GLLM_FORMAT, "has another name");
    w = archive(BYTES(GOOD));
    zip_add(&w, "a/data/0", VALUES, 4);
    zip_end(&w);
    refused(&w, GLLM_FORMAT, "two entries are called a/data/0");
    w = (struct zip_writer){0};
    zip_add(&w, "a/data.pkl", BYTES(GOOD));
    zip_add(&w, "a/byteorder", "big", 3);
    zip_end(&w);
    refused(&w, GLLM_UNSUPPORTED, "byteorder: expected \"little\"");
    w = (struct zip_writer){0};
    zip_add(&w, "a/b", "x", 1);
    zip_end(&w);
    refused(&w, GLLM_FORMAT, "no data.pkl in the zip archive");
    w = (struct zip_writer){0};
    zip_put(&w, "hello", 5);
    refused(&w, GLLM_FORMAT, "does not begin as a zip archive");
}

/* Cut at every byte, and every byte changed: refused or read, never beyond the end. */
static void test_damaged(void **state) {
    (void)state;
    for (int zip64 = 0; zip64 < 2; zip64++) {
        struct zip_writer w = archive(BYTES(GOOD));
        w.zip64 = zip64;
        zip_end(&w);
        for (size_t n = 0; n < w.size; n++) {
            struct arena arena = {0};
            struct torch_zip z;
            gllm_error err;
            gllm_status s = read_copy(w.data, n, &z, &arena, &err);
            assert_true(s == GLLM_FORMAT && strstr(err.message, "m.bin"));
            for (unsigned bit = 0; bit < 8; bit++) {
                w.data[n] ^= (uint8_t)(1u << bit);
                s = read_copy(w.data, w.size, &z, &arena, &err);
                assert_true(s == GLLM_OK || s == GLLM_FORMAT || s == GLLM_UNSUPPORTED);
                w.data[n] ^= (uint8_t)(1u << bit);
            }
            arena_free(&arena);
        }
        free(w.data);
    }
    for (size_t n = 0; n < sizeof GOOD - 1; n++) refused_pickle(GOOD, n, GLLM_FORMAT, "m.bin");
}

/* A tuple of two of a tuple of two …: 2^200 leaves in 400 instructions. */
static void test_shared(void **state) {
    (void)state;
    char pickle[2048] = "\x80\2)";
    size_t n = 3;
    for (int i = 0; i < 200; i++) {
        memcpy(pickle + n, "q\0h\0\x86", 5);
        n += 5;
    }
    pickle[n++] = '.';
    refused_pickle(pickle, n, GLLM_UNSUPPORTED, "found a tuple, expected a dict of tensors");
}

/* One long name, said once and used for many entries: what is kept is bounded by the pickle, not by its uses. */
static void test_long_name(void **state) {
    (void)state;
    static const char VALUE[] = TENSOR "(" STORAGE("FloatStorage", "0", "\6") "K\0" "K\2K\3\x86" "K\3K\1\x86" TAIL "Rq\1s";
    char pickle[4096] = "\x80\2}X\xe8\3\0\0"; /* 1000 bytes */
    size_t n = 8;
    memset(pickle + n, 'k', 1000);
    memcpy(pickle + n + 1000, "q\0", 2);
    n += 1002;
    memcpy(pickle + n, VALUE, sizeof VALUE - 1);
    n += sizeof VALUE - 1;
    for (int i = 0; i < 100; i++, n += 5) memcpy(pickle + n, "h\0h\1s", 5);
    pickle[n++] = '.';
    refused_pickle(pickle, n, GLLM_FORMAT, "found names of more bytes than");
}

/* A directory: safetensors first; torch's shards by their index. */
static void test_directory(void **state) {
    (void)state;
    struct weights *w;
    gllm_error err;
    static const uint8_t SAFE[] = "\x3b\0\0\0\0\0\0\0{\"s\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}     \0\0\0";
    struct zip_writer z = archive(BYTES(GOOD));
    zip_end(&z);
    temp_write("both/model.safetensors", SAFE, 8 + 59 + 4);
    temp_write("both/pytorch_model.bin", z.data, z.size);
    if (weights_open(&w, temp_path("both"), &err) != GLLM_OK) fail_msg("%s", err.message);
    assert_string_equal(weights_format(w), "safetensors");
    weights_close(w);
    temp_write("one/pytorch_model.bin", z.data, z.size);
    if (weights_open(&w, temp_path("one"), &err) != GLLM_OK) fail_msg("%s", err.message);
    assert_memory_equal(weights_find(w, "w")->data, VALUES, sizeof VALUES);
    weights_close(w);
    temp_write("shards/pytorch_model-00001-of-00001.bin", z.data, z.size);
    temp_text("shards/pytorch_model.bin.index.json", "{\"weight_map\":{\"w\":\"pytorch_model-00001-of-00001.bin\"}}");
    if (weights_open(&w, temp_path("shards"), &err) != GLLM_OK) fail_msg("%s", err.message);
    assert_string_equal(weights_format(w), "torch");
    assert_int_equal(weights_count(w), 1);
    weights_close(w);
    free(z.data);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_good),     cmocka_unit_test(test_torch),   cmocka_unit_test(test_hostile), cmocka_unit_test(test_tensors),
                                       cmocka_unit_test(test_archives), cmocka_unit_test(test_damaged), cmocka_unit_test(test_shared), cmocka_unit_test(test_long_name),  cmocka_unit_test(test_directory)};
    return cmocka_run_group_tests(tests, temp_open, temp_close);
}
