/* Tape: every mistake that a recorder refuses and its sentence, views, step layouts, operation counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/tape.h"

enum { CAP_TOK = 8, CAP_SEQ = 3 };
/* Recording looks at sizes only, so plain structs stand for device memory. */
static struct buffer step = {.bytes = 4096}, big = {.bytes = 1 << 20}, other = {.bytes = 1 << 20}, third = {.bytes = 1 << 20}, fourth = {.bytes = 1 << 20}, tiny = {.bytes = 100};

static struct view view_in(struct buffer *b, enum extent e, uint32_t cols) {
    return (struct view){.buf = b, .rows = e == EXTENT_SEQ ? CAP_SEQ : CAP_TOK, .cols = cols, .stride = cols, .extent = e};
}
static struct view tok(struct buffer *b, uint32_t cols) { return view_in(b, EXTENT_TOK, cols); }
static struct tape tape_new(void) {
    struct tape t;
    tape_init(&t, &step, step_layout_make(CAP_TOK, CAP_SEQ));
    return t;
}

/* The tape's first mistake is `message`; nothing was recorded. */
static void assert_refused(struct tape *t, const char *message) {
    gllm_error err = {0};
    assert_int_equal(tape_finish(t, &err), GLLM_INVALID);
    assert_string_equal(err.message, message);
    assert_int_equal(err.status, GLLM_INVALID);
    assert_int_equal(t->n_ops, 0);
    tape_free(t);
}
#define REFUSES(member, message, ...)                                \
    do {                                                             \
        struct tape tape_ = tape_new();                              \
        tape_.layer = 3;                                             \
        op_##member(&tape_, "here", &(struct op_##member)__VA_ARGS__); \
        assert_refused(&tape_, "layer 3: here (" #member "): " message); \
    } while (0)
#define TAKES(member, ...)                                           \
    do {                                                             \
        struct tape tape_ = tape_new();                              \
        op_##member(&tape_, "here", &(struct op_##member)__VA_ARGS__); \
        gllm_error err_ = {0};                                       \
        if (tape_finish(&tape_, &err_) != GLLM_OK) fail_msg("%s", err_.message); \
        assert_int_equal(tape_.n_ops, 1);                            \
        tape_free(&tape_);                                           \
    } while (0)

static const struct weight word = {WEIGHT_TABLE, 100, 6}, types = {WEIGHT_TABLE, 2, 6}, narrow = {WEIGHT_TABLE, 100, 5};
static const struct weight vec6 = {WEIGHT_VECTOR, 1, 6}, vec5 = {WEIGHT_VECTOR, 1, 5}, mat56 = {WEIGHT_MATRIX, 5, 6}, mat66 = {WEIGHT_MATRIX, 6, 6};

static void test_views(void **state) {
    (void)state;
    const struct view x = tok(&other, 6);
    REFUSES(norm, "out has no buffer", {.x = x});
    REFUSES(norm, "x has no buffer", {.out = x});
    REFUSES(norm, "out: [8,0] with stride 6 is no view", {.out = view_cols(x, 1, 0), .x = x});
    REFUSES(norm, "out: [8,0] with stride 6 is no view", {.out = view_cols(x, 4, 3), .x = x});
    REFUSES(norm, "out: [8,0] with stride 6 is no view", {.out = view_cols(x, UINT32_MAX, 2), .x = x});
    REFUSES(norm, "out: [0,6] with stride 6 is no view", {.out = {.buf = &big, .cols = 6, .stride = 6}, .x = x});
    REFUSES(norm, "out: [8,6] with stride 5 is no view", {.out = {.buf = &big, .rows = 8, .cols = 6, .stride = 5}, .x = x});
    REFUSES(norm, "out: offset 2 is no multiple of 4", {.out = {.buf = &big, .offset = 2, .rows = 8, .cols = 6, .stride = 6}, .x = x});
    REFUSES(norm, "out lies in the step buffer", {.out = tok(&step, 6), .x = x});
    REFUSES(norm, "out is [7,6], expected room for 8 tokens", {.out = {.buf = &big, .rows = 7, .cols = 6, .stride = 6, .extent = EXTENT_TOK}, .x = x});
    REFUSES(norm, "out is [2,6], expected room for 3 sequences", {.out = {.buf = &big, .rows = 2, .cols = 6, .stride = 6, .extent = EXTENT_SEQ}, .x = x});
    struct view v = view_cols(tok(&big, 10), 3, 4);
    assert_int_equal(v.offset, 12);
    assert_int_equal(v.cols, 4);
    assert_int_equal(v.stride, 10);
    assert_int_equal(v.rows, CAP_TOK);
}

/* offset + ((rows - 1) * stride + cols) * 4 <= bytes, also where that would wrap. */
static void test_view_bounds(void **state) {
    (void)state;
    /* 100 bytes are 25 floats: 3 rows of 5, 9 apart, from byte 8, end with them */
    struct view v = {.buf = &tiny, .offset = 8, .rows = 3, .cols = 5, .stride = 9};
    TAKES(norm, {.out = v, .x = v});
    v.offset = 12;
    REFUSES(norm, "out: [3,5] with stride 9 at byte 12 leaves its buffer of 100 bytes", {.out = v, .x = v});
    v.offset = 8, v.cols = 6;
    REFUSES(norm, "out: [3,6] with stride 9 at byte 8 leaves its buffer of 100 bytes", {.out = v, .x = v});
    v.cols = 5, v.stride = 10;
    REFUSES(norm, "out: [3,5] with stride 10 at byte 8 leaves its buffer of 100 bytes", {.out = v, .x = v});
    v.stride = 9, v.rows = 4;
    REFUSES(norm, "out: [4,5] with stride 9 at byte 8 leaves its buffer of 100 bytes", {.out = v, .x = v});
    v = (struct view){.buf = &tiny, .rows = UINT32_MAX, .cols = UINT32_MAX, .stride = UINT32_MAX};
    REFUSES(norm, "out: [4294967295,4294967295] with stride 4294967295 at byte 0 leaves its buffer of 100 bytes", {.out = v, .x = v});
    v = (struct view){.buf = &tiny, .offset = UINT64_MAX - 3, .rows = 1, .cols = 1, .stride = 1};
    REFUSES(norm, "out: [1,1] with stride 1 at byte 18446744073709551612 leaves its buffer of 100 bytes", {.out = v, .x = v});
    v = (struct view){.buf = &tiny, .offset = 100, .rows = 1, .cols = 1, .stride = 1};
    REFUSES(norm, "out: [1,1] with stride 1 at byte 100 leaves its buffer of 100 bytes", {.out = v, .x = v});
    struct buffer whole = {.bytes = UINT64_MAX};
    v = (struct view){.buf = &whole, .offset = UINT64_MAX - 7, .rows = 1, .cols = 1, .stride = 1};
    TAKES(norm, {.out = v, .x = v});
}

static void test_embed(void **state) {
    (void)state;
    const struct view out = tok(&big, 6);
    TAKES(embed, {.out = out, .word = &word, .pos = &word, .type = &types, .norm_w = &vec6, .norm_b = &vec6});
    TAKES(embed, {.out = out, .word = &word});
    REFUSES(embed, "word table is missing", {.out = out});
    REFUSES(embed, "out has rows by sequences, expected tokens", {.out = view_in(&big, EXTENT_SEQ, 6), .word = &word});
    REFUSES(embed, "word table is [100,5], expected [*,6]", {.out = out, .word = &narrow});
    REFUSES(embed, "position table is [100,5], expected [*,6]", {.out = out, .word = &word, .pos = &narrow});
    REFUSES(embed, "type table is [100,5], expected [*,6]", {.out = out, .word = &word, .type = &narrow});
    REFUSES(embed, "word table is a matrix, expected a table", {.out = out, .word = &mat56});
    REFUSES(embed, "norm weight is [1,5], expected [1,6]", {.out = out, .word = &word, .norm_w = &vec5});
    REFUSES(embed, "norm bias is [1,5], expected [1,6]", {.out = out, .word = &word, .norm_w = &vec6, .norm_b = &vec5});
    REFUSES(embed, "norm bias without a norm weight", {.out = out, .word = &word, .norm_b = &vec6});
}

static void test_norm(void **state) {
    (void)state;
    const struct view out = tok(&big, 6), x = tok(&other, 6), r = tok(&third, 6);
    struct view shifted = out;
    shifted.offset = 4;
    TAKES(norm, {.out = out, .x = x, .res = r, .w = &vec6, .b = &vec6});
    TAKES(norm, {.out = out, .x = out, .res = r});
    TAKES(norm, {.out = out, .x = x, .res = out});
    TAKES(norm, {.out = out, .x = out, .res = out});
    REFUSES(norm, "norm kind 7 is unknown", {.out = out, .x = x, .kind = (enum norm_kind)7});
    REFUSES(norm, "x is [8,5], expected [8,6]", {.out = out, .x = tok(&other, 5)});
    REFUSES(norm, "x has rows by sequences, out by tokens", {.out = out, .x = view_in(&other, EXTENT_SEQ, 6)});
    REFUSES(norm, "res is [8,7], expected [8,6]", {.out = out, .x = x, .res = tok(&third, 7)});
    REFUSES(norm, "weight is [1,5], expected [1,6]", {.out = out, .x = x, .w = &vec5});
    REFUSES(norm, "bias is a table, expected a vector", {.out = out, .x = x, .b = &word});
    REFUSES(norm, "x shares memory with out and is not out", {.out = out, .x = shifted});
    REFUSES(norm, "res shares memory with out and is not out", {.out = out, .x = x, .res = shifted});
}

static void test_linear(void **state) {
    (void)state;
    const struct view out = tok(&big, 5), x = tok(&other, 6), r = tok(&third, 5), joint = tok(&big, 11);
    TAKES(linear, {.out = out, .x = x, .w = &mat56, .bias = &vec5, .res = r, .act = ACT_TANH});
    TAKES(linear, {.out = out, .x = x, .w = &mat56, .res = out});
    TAKES(linear, {.out = view_cols(joint, 0, 5), .x = view_cols(joint, 5, 6), .w = &mat56}); /* side by side in one buffer */
    TAKES(linear, {.out = view_cols(joint, 6, 5), .x = view_cols(joint, 0, 6), .w = &mat56});
    REFUSES(linear, "activation 7 is unknown", {.out = out, .x = x, .w = &mat56, .act = ACT_COUNT});
    REFUSES(linear, "weight is missing", {.out = out, .x = x});
    REFUSES(linear, "weight is a table, expected a matrix", {.out = out, .x = x, .w = &word});
    REFUSES(linear, "weight is [6,6], expected [5,6]", {.out = out, .x = x, .w = &mat66});
    REFUSES(linear, "weight is [5,6], expected [5,7]", {.out = out, .x = tok(&other, 7), .w = &mat56});
    REFUSES(linear, "bias is [1,6], expected [1,5]", {.out = out, .x = x, .w = &mat56, .bias = &vec6});
    REFUSES(linear, "res is [8,6], expected [8,5]", {.out = out, .x = x, .w = &mat56, .res = tok(&third, 6)});
    REFUSES(linear, "x has rows by fixed, out by tokens", {.out = out, .x = view_in(&other, EXTENT_FIXED, 6), .w = &mat56});
    REFUSES(linear, "x shares memory with out", {.out = tok(&big, 6), .x = tok(&big, 6), .w = &mat66});
    REFUSES(linear, "x shares memory with out", {.out = view_cols(joint, 4, 5), .x = view_cols(joint, 0, 6), .w = &mat56});
    REFUSES(linear, "x shares memory with out", {.out = tok(&big, 6), .x = view_cols(joint, 0, 6), .w = &mat66}); /* another stride */
    REFUSES(linear, "res shares memory with out and is not out", {.out = view_cols(joint, 0, 5), .x = x, .w = &mat56, .res = view_cols(joint, 1, 5)});
    struct view below = x; /* one after the other in one buffer */
    below.buf = &big, below.offset = 8 * 5 * 4;
    TAKES(linear, {.out = out, .x = below, .w = &mat56});
    below.offset -= 4;
    REFUSES(linear, "x shares memory with out", {.out = out, .x = below, .w = &mat56});
}

static void test_attention(void **state) {
    (void)state;
    const struct weight rel = {WEIGHT_TABLE, 4, 7}, even = {WEIGHT_TABLE, 4, 6}, heads = {WEIGHT_TABLE, 3, 7}, matrix = {WEIGHT_MATRIX, 4, 7};
    const struct view out = tok(&big, 12), q = tok(&other, 12), k = tok(&third, 6), v = tok(&fourth, 6), qkv = tok(&other, 24);
    TAKES(attention, {.out = out, .q = q, .k = k, .v = v, .rel = &rel, .n_head = 4, .n_kv = 2, .d_head = 3});
    TAKES(attention, {.out = out, .q = view_cols(qkv, 0, 12), .k = view_cols(qkv, 12, 6), .v = view_cols(qkv, 18, 6), .n_head = 4, .n_kv = 2, .d_head = 3});
    REFUSES(attention, "4 heads over 3 key/value heads of width 3", {.out = out, .q = q, .k = k, .v = v, .n_head = 4, .n_kv = 3, .d_head = 3});
    REFUSES(attention, "0 heads over 2 key/value heads of width 3", {.out = out, .q = q, .k = k, .v = v, .n_kv = 2, .d_head = 3});
    REFUSES(attention, "4 heads over 0 key/value heads of width 3", {.out = out, .q = q, .k = k, .v = v, .n_head = 4, .d_head = 3});
    REFUSES(attention, "4 heads over 2 key/value heads of width 0", {.out = out, .q = q, .k = k, .v = v, .n_head = 4, .n_kv = 2});
    REFUSES(attention, "out is [8,12], expected [8,8]", {.out = out, .q = q, .k = k, .v = v, .n_head = 4, .n_kv = 2, .d_head = 2});
    REFUSES(attention, "out is [8,12], expected [8,4294967296]", {.out = out, .q = q, .k = k, .v = v, .n_head = 65536, .n_kv = 65536, .d_head = 65536});
    REFUSES(attention, "q is [8,6], expected [8,12]", {.out = out, .q = k, .k = k, .v = v, .n_head = 4, .n_kv = 2, .d_head = 3});
    REFUSES(attention, "k is [8,12], expected [8,6]", {.out = out, .q = q, .k = q, .v = v, .n_head = 4, .n_kv = 2, .d_head = 3});
    REFUSES(attention, "v is [8,12], expected [8,6]", {.out = out, .q = q, .k = k, .v = q, .n_head = 4, .n_kv = 2, .d_head = 3});
    REFUSES(attention, "out has rows by fixed, expected tokens", {.out = view_in(&big, EXTENT_FIXED, 12), .q = q, .k = k, .v = v, .n_head = 4, .n_kv = 2, .d_head = 3});
    REFUSES(attention, "q has rows by fixed, out by tokens", {.out = out, .q = view_in(&other, EXTENT_FIXED, 12), .k = k, .v = v, .n_head = 4, .n_kv = 2, .d_head = 3});
    REFUSES(attention, "relative bias is [4,6], expected [4,2R+1]", {.out = out, .q = q, .k = k, .v = v, .rel = &even, .n_head = 4, .n_kv = 2, .d_head = 3});
    REFUSES(attention, "relative bias is [3,7], expected [4,7]", {.out = out, .q = q, .k = k, .v = v, .rel = &heads, .n_head = 4, .n_kv = 2, .d_head = 3});
    REFUSES(attention, "relative bias is a matrix, expected a table", {.out = out, .q = q, .k = k, .v = v, .rel = &matrix, .n_head = 4, .n_kv = 2, .d_head = 3});
    REFUSES(attention, "q shares memory with out", {.out = q, .q = q, .k = k, .v = v, .n_head = 4, .n_kv = 2, .d_head = 3});
    REFUSES(attention, "k shares memory with out", {.out = tok(&third, 12), .q = q, .k = k, .v = v, .n_head = 4, .n_kv = 2, .d_head = 3});
    TAKES(attention, {.out = out, .q = q, .k = k, .v = v, .n_head = 4, .n_kv = 2, .d_head = 3, .causal = true, .window = 1, .soft_cap = 50});
    REFUSES(attention, "soft cap -1", {.out = out, .q = q, .k = k, .v = v, .n_head = 4, .n_kv = 2, .d_head = 3, .soft_cap = -1});
    REFUSES(attention, "v shares memory with out", {.out = tok(&fourth, 12), .q = q, .k = k, .v = v, .n_head = 4, .n_kv = 2, .d_head = 3});
}

static void test_rotate(void **state) {
    (void)state;
    const struct weight each = {WEIGHT_VECTOR, 1, 3}, q_all = {WEIGHT_VECTOR, 1, 12}, table = {WEIGHT_TABLE, 1, 3};
    const struct view out = tok(&big, 18), rope = tok(&other, 2);
    TAKES(rotate, {.out = out, .n_head = 4, .n_kv = 2, .d_head = 3});
    TAKES(rotate, {.out = out, .rope = rope, .q_norm = &q_all, .k_norm = &vec6, .n_head = 4, .n_kv = 2, .d_head = 3});
    TAKES(rotate, {.out = out, .q_norm = &each, .k_norm = &each, .n_head = 4, .n_kv = 2, .d_head = 3});
    REFUSES(rotate, "4 heads over 3 key/value heads of width 3", {.out = out, .n_head = 4, .n_kv = 3, .d_head = 3});
    REFUSES(rotate, "out is [8,12], expected [8,18]", {.out = tok(&big, 12), .n_head = 4, .n_kv = 2, .d_head = 3});
    REFUSES(rotate, "out has rows by fixed, expected tokens", {.out = view_in(&big, EXTENT_FIXED, 18), .n_head = 4, .n_kv = 2, .d_head = 3});
    REFUSES(rotate, "rope of 4 columns in heads of width 3", {.out = out, .rope = tok(&other, 4), .n_head = 4, .n_kv = 2, .d_head = 3});
    REFUSES(rotate, "rope of 3 columns in heads of width 3", {.out = out, .rope = tok(&other, 3), .n_head = 4, .n_kv = 2, .d_head = 3});
    REFUSES(rotate, "rope shares memory with out", {.out = out, .rope = tok(&big, 2), .n_head = 4, .n_kv = 2, .d_head = 3});
    REFUSES(rotate, "k norm is [1,5], expected [1,6]", {.out = out, .k_norm = &vec5, .n_head = 4, .n_kv = 2, .d_head = 3});
    REFUSES(rotate, "q norm is a table, expected a vector", {.out = out, .q_norm = &table, .n_head = 4, .n_kv = 2, .d_head = 3});
}

static void test_pool(void **state) {
    (void)state;
    const struct view x = tok(&other, 6), out = view_in(&big, EXTENT_SEQ, 18);
    TAKES(pool, {.out = out, .x = x, .modes = POOL_CLS | POOL_MEAN | POOL_LAST});
    REFUSES(pool, "modes 0x0 are none or unknown", {.out = out, .x = x});
    REFUSES(pool, "modes 0x41 are none or unknown", {.out = out, .x = x, .modes = 0x41});
    REFUSES(pool, "out is [3,18], expected 12 columns: 2 modes of x [8,6]", {.out = out, .x = x, .modes = POOL_CLS | POOL_MAX});
    REFUSES(pool, "x has rows by sequences, expected tokens", {.out = out, .x = view_in(&other, EXTENT_SEQ, 6), .modes = POOL_MAX});
    REFUSES(pool, "out has rows by tokens, expected sequences", {.out = tok(&big, 6), .x = x, .modes = POOL_MAX});
    REFUSES(pool, "x shares memory with out", {.out = view_in(&other, EXTENT_SEQ, 6), .x = x, .modes = POOL_MAX});
    struct buffer huge = {.bytes = UINT64_MAX}, huge_too = huge; /* 6 * 0x2aaaaaab is 2 modulo 2^32 */
    struct view wide = {.buf = &huge, .rows = CAP_TOK, .cols = 0x2aaaaaab, .stride = 0x2aaaaaab, .extent = EXTENT_TOK};
    REFUSES(pool, "out is [3,2], expected 4294967298 columns: 6 modes of x [8,715827883]", {.out = view_in(&huge_too, EXTENT_SEQ, 2), .x = wide, .modes = POOL_ALL});
}

static void test_first_mistake_sticks(void **state) {
    (void)state;
    struct tape t = tape_new();
    const struct view a = tok(&big, 6), b = tok(&other, 6);
    gllm_error err = {0};
    op_norm(&t, "good", &(struct op_norm){.out = a, .x = b});
    assert_int_equal(tape_finish(&t, &err), GLLM_OK);
    op_norm(&t, "bad", &(struct op_norm){.out = a, .x = tok(&other, 5)});
    op_linear(&t, "worse", &(struct op_linear){.out = a});
    op_norm(&t, "good again", &(struct op_norm){.out = a, .x = b});
    assert_int_equal(tape_finish(&t, NULL), GLLM_INVALID);
    assert_int_equal(tape_finish(&t, &err), GLLM_INVALID);
    assert_string_equal(err.message, "bad (norm): x is [8,5], expected [8,6]");
    assert_int_equal(t.n_ops, 1);
    tape_free(&t);
    assert_null(t.ops);
    tape_free(&t);
}

static void test_recorded(void **state) {
    (void)state;
    struct tape t = tape_new();
    const char *label = "ffn.norm";
    for (int i = 0; i < 200; i++) { /* past the list's first sizes */
        t.layer = i;
        op_norm(&t, label, &(struct op_norm){.out = tok(&big, 6), .x = tok(&other, 6), .kind = NORM_RMS, .eps = (float)i});
    }
    op_pool(&t, "pool", &(struct op_pool){.out = view_in(&big, EXTENT_SEQ, 6), .x = tok(&other, 6), .modes = POOL_MAX});
    assert_int_equal(tape_finish(&t, NULL), GLLM_OK);
    assert_int_equal(t.n_ops, 201);
    for (int i = 0; i < 200; i++) {
        assert_int_equal(t.ops[i].kind, OP_NORM);
        assert_int_equal(t.ops[i].layer, i);
        assert_ptr_equal(t.ops[i].label, label);
        assert_true(t.ops[i].norm.eps == (float)i && t.ops[i].norm.kind == NORM_RMS);
    }
    assert_ptr_equal(op_out(&t.ops[0]), &t.ops[0].norm.out);
    assert_ptr_equal(op_out(&t.ops[200]), &t.ops[200].pool.out);
    assert_string_equal(op_name(OP_EMBED), "embed");
    assert_string_equal(op_name(OP_ATTENTION), "attention");
    assert_string_equal(op_name(OP_COUNT), "unknown");
    tape_free(&t);
}

static void test_step_layout(void **state) {
    (void)state;
    struct step_layout l = step_layout_make(10, 3);
    assert_int_equal(l.tokens, 16);
    assert_int_equal(l.pos, 26);
    assert_int_equal(l.types, 36);
    assert_int_equal(l.seq, 46);
    assert_int_equal(l.starts, 56);
    assert_int_equal(l.pool_from, 60); /* starts has one more than there are sequences */
    assert_int_equal(l.seen, 63);
    assert_int_equal(l.words, 66);
    l = step_layout_make(0, 0);
    assert_int_equal(l.words, 17);
    l = step_layout_make((UINT32_MAX - 20) / 4, 1);
    assert_int_equal(l.words, 4 * ((UINT32_MAX - 20) / 4) + 20);
    assert_int_equal(step_layout_make(UINT32_MAX / 4, 1).words, 0);
    assert_int_equal(step_layout_make(UINT32_MAX, UINT32_MAX).words, 0);
}

static void test_step_buffer(void **state) {
    (void)state;
    struct buffer small = {.bytes = 66 * 4 - 1}, exact = {.bytes = 66 * 4};
    struct tape t;
    tape_init(&t, &exact, step_layout_make(10, 3));
    assert_int_equal(tape_finish(&t, NULL), GLLM_OK);
    assert_int_equal(t.layer, -1);
    tape_init(&t, &small, step_layout_make(10, 3));
    assert_refused(&t, "step buffer of 263 bytes, expected 264");
    tape_init(&t, NULL, step_layout_make(10, 3));
    assert_refused(&t, "step buffer of 0 bytes, expected 264");
    tape_init(&t, &exact, step_layout_make(UINT32_MAX, 3));
    assert_refused(&t, "step of 4294967295 tokens in 3 sequences has no layout: above 2^32 words");
}

static double flops_of(const struct tape *t, size_t i, const uint32_t *words) { return op_flops(&t->ops[i], words, &t->layout); }

/* The keys that queries see, counted one by one. */
static void test_masked_flops(void **state) {
    (void)state;
    static const uint32_t windows[] = {0, 1, 2, 4, 5, 9, UINT32_MAX};
    for (unsigned causal = 0; causal < 2; causal++)
        for (unsigned w = 0; w < sizeof windows / sizeof *windows; w++) {
            struct tape t = tape_new();
            op_attention(&t, "attn", &(struct op_attention){.out = tok(&big, 12), .q = tok(&other, 12), .k = tok(&third, 6), .v = tok(&third, 6), .n_head = 4, .n_kv = 2, .d_head = 3,
                                                            .causal = causal, .window = windows[w]});
            assert_int_equal(tape_finish(&t, NULL), GLLM_OK);
            uint32_t words[64] = {[STEP_N_TOK] = 7, [STEP_N_SEQ] = 3, [STEP_MAX_LEN] = 5}, pairs = 0;
            words[t.layout.starts + 1] = words[t.layout.starts + 2] = 2; /* lengths 2, 0 and 5 */
            words[t.layout.starts + 3] = 7;
            for (uint32_t s = 0; s < 3; s++) {
                const int64_t len = words[t.layout.starts + s + 1] - words[t.layout.starts + s];
                for (int64_t i = 0; i < len; i++)
                    for (int64_t j = 0; j < len; j++)
                        pairs += causal ? j <= i && (!windows[w] || i - j < windows[w]) : !windows[w] || llabs(i - j) <= windows[w];
            }
            assert_true(flops_of(&t, 0, words) == 4.0 * pairs * 4 * 3);
            tape_free(&t);
        }
}

static void test_flops(void **state) {
    (void)state;
    struct tape t = tape_new();
    op_linear(&t, "by token", &(struct op_linear){.out = tok(&big, 5), .x = tok(&other, 6), .w = &mat56});
    op_linear(&t, "by sequence", &(struct op_linear){.out = view_in(&big, EXTENT_SEQ, 5), .x = view_in(&other, EXTENT_SEQ, 6), .w = &mat56});
    op_linear(&t, "fixed", &(struct op_linear){.out = view_in(&big, EXTENT_FIXED, 5), .x = view_in(&other, EXTENT_FIXED, 6), .w = &mat56});
    op_attention(&t, "attn", &(struct op_attention){.out = tok(&big, 12), .q = tok(&other, 12), .k = tok(&third, 6), .v = tok(&third, 6), .n_head = 4, .n_kv = 2, .d_head = 3});
    op_norm(&t, "norm", &(struct op_norm){.out = tok(&big, 6), .x = tok(&other, 6)});
    op_pool(&t, "pool", &(struct op_pool){.out = view_in(&big, EXTENT_SEQ, 12), .x = tok(&other, 6), .modes = POOL_CLS | POOL_MAX});
    assert_int_equal(tape_finish(&t, NULL), GLLM_OK);
    uint32_t words[64] = {[STEP_N_TOK] = 7, [STEP_N_SEQ] = 2, [STEP_MAX_LEN] = 5};
    words[t.layout.starts + 1] = 2; /* lengths 2 and 5 */
    words[t.layout.starts + 2] = 7;
    assert_true(flops_of(&t, 0, words) == 2.0 * 7 * 5 * 6);
    assert_true(flops_of(&t, 1, words) == 2.0 * 2 * 5 * 6);
    assert_true(flops_of(&t, 2, words) == 2.0 * CAP_TOK * 5 * 6);
    assert_true(flops_of(&t, 3, words) == 4.0 * (2 * 2 + 5 * 5) * 4 * 3);
    assert_true(flops_of(&t, 4, words) == 7.0 * 6);
    assert_true(flops_of(&t, 5, words) == 2.0 * 12);
    tape_free(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_views),      cmocka_unit_test(test_view_bounds), cmocka_unit_test(test_embed),
        cmocka_unit_test(test_norm),       cmocka_unit_test(test_linear),      cmocka_unit_test(test_attention), cmocka_unit_test(test_rotate),
        cmocka_unit_test(test_pool),       cmocka_unit_test(test_recorded),    cmocka_unit_test(test_first_mistake_sticks),
        cmocka_unit_test(test_step_layout), cmocka_unit_test(test_step_buffer), cmocka_unit_test(test_flops), cmocka_unit_test(test_masked_flops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
