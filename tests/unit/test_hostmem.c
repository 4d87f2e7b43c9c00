/* Host memory of the backends ref and cpu: the checks of steps and of weight descriptions. (Buffers: tests/ops/test_backends.c.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/hostmem.h"

enum { CAP_TOK = 10, CAP_SEQ = 3 };

static void expect_step(uint32_t n_tok, uint32_t n_seq, uint32_t longest, const uint32_t starts[CAP_SEQ + 1], const char *message) {
    struct step_layout l = step_layout_make(CAP_TOK, CAP_SEQ);
    uint32_t words[128] = {[STEP_N_TOK] = n_tok, [STEP_N_SEQ] = n_seq, [STEP_MAX_LEN] = longest};
    assert_true(l.words <= 128);
    memcpy(words + l.starts, starts, (CAP_SEQ + 1) * sizeof *starts);
    struct hostmem step = {.base = {.bytes = sizeof words}, .data = (unsigned char *)words};
    struct tape t;
    tape_init(&t, &step.base, l);
    gllm_error err = {0};
    assert_int_equal(step_check(&t, &err), message ? GLLM_INVALID : GLLM_OK);
    if (message) assert_string_equal(err.message, message);
}

static void test_step_check(void **state) {
    (void)state;
    expect_step(0, 0, 0, (const uint32_t[]){0, 0, 0, 0}, NULL);
    expect_step(10, 3, 5, (const uint32_t[]){0, 5, 5, 10}, NULL);
    expect_step(4, 1, 4, (const uint32_t[]){0, 4, UINT32_MAX, UINT32_MAX}, NULL);
    expect_step(11, 3, 5, (const uint32_t[]){0, 5, 6, 11}, "step of 11 tokens in 3 sequences, expected at most 10 in 3");
    expect_step(4, UINT32_MAX, 4, (const uint32_t[]){0, 4, 4, 4}, "step of 4 tokens in 4294967295 sequences, expected at most 10 in 3");
    expect_step(4, 1, 4, (const uint32_t[]){1, 4, 4, 4}, "step: sequences cover tokens 1 to 4, expected 0 to 4");
    expect_step(4, 2, 4, (const uint32_t[]){0, 4, 5, 5}, "step: sequences cover tokens 0 to 5, expected 0 to 4");
    expect_step(4, 3, 9, (const uint32_t[]){0, 9, 2, 4}, "step: sequence 1 begins at token 9 and ends at 2");
    expect_step(6, 2, 3, (const uint32_t[]){0, 2, 6, 0}, "step: sequence 1 has 4 tokens, the longest is said to have 3");
}

/* Of a sequence of 4 tokens 5 cannot be seen. */
static void test_step_seen(void **state) {
    (void)state;
    const struct step_layout l = step_layout_make(4, 1);
    uint32_t words[64] = {[STEP_N_TOK] = 4, [STEP_N_SEQ] = 1, [STEP_MAX_LEN] = 4};
    struct hostmem step = {.base = {.bytes = sizeof words}, .data = (unsigned char *)words};
    struct tape t;
    gllm_error err = {0};
    tape_init(&t, &step.base, l);
    words[l.starts + 1] = words[l.seen] = 4;
    assert_int_equal(step_check(&t, &err), GLLM_OK);
    words[l.seen] = 5;
    assert_int_equal(step_check(&t, &err), GLLM_INVALID);
    assert_string_equal(err.message, "step: sequence 0 has 4 tokens, 5 of them are said to be seen");
}

static void expect_desc(struct weight_desc d, gllm_status status, uint32_t rows, const char *message) {
    gllm_error err = {0};
    uint32_t found = 0;
    d.name = "w";
    assert_int_equal(weight_desc_check(&d, &found, &err), status);
    if (message) assert_string_equal(err.message, message);
    assert_int_equal(found, rows);
}

/* value + scale b a, b in f16: rows of 600 columns, which are more than are taken at once. */
static void test_delta(void **state) {
    (void)state;
    enum { COLS = 600 };
    static float values[2 * COLS], a[2 * COLS], out[COLS];
    const uint16_t b[] = {0x3C00, 0xC000, 0x0000, 0x4200}; /* 1, -2; 0, 3 */
    for (uint32_t i = 0; i < 2 * COLS; i++) values[i] = (float)(i % 7), a[i] = (float)(i % 11) - 5;
    struct weight_delta delta = {.a = a, .b = b, .a_dtype = DTYPE_F32, .b_dtype = DTYPE_F16, .rank = 2, .scale = 0.5f};
    const struct weight_part part = {.data = values, .dtype = DTYPE_F32, .rows = 2, .delta = &delta};
    for (uint32_t r = 0; r < 2; r++) {
        weight_row(&part, COLS, r, out);
        for (uint32_t c = 0; c < COLS; c++) assert_true(out[c] == values[r * COLS + c] + 0.5f * (r ? 3 * a[COLS + c] : a[c] - 2 * a[COLS + c]));
    }
    expect_desc((struct weight_desc){.role = WEIGHT_MATRIX, .cols = COLS, .n_parts = 1, .parts = {part}}, GLLM_OK, 2, NULL);
    expect_desc((struct weight_desc){.role = WEIGHT_TABLE, .cols = COLS, .n_parts = 1, .parts = {part}}, GLLM_INVALID, 0, "w: part 0 has a delta, expected none but of a matrix with data");
    delta.rank = 0;
    expect_desc((struct weight_desc){.role = WEIGHT_MATRIX, .cols = COLS, .n_parts = 1, .parts = {part}}, GLLM_INVALID, 0, "w: delta of part 0: rank 0, expected 1 or more and values of F32, F16 or BF16");
}

#define PART(d, t, n) {.data = d, .dtype = t, .rows = n}
static void test_weight_desc_check(void **state) {
    (void)state;
    const struct weight_part two = PART("", DTYPE_BF16, 2), zeros = PART(NULL, DTYPE_I64, 3), whole = PART("", DTYPE_I64, 2), odd = PART("", (enum dtype)99, 2), none = PART("", DTYPE_F32, 0);
    const struct weight_part most = PART("", DTYPE_F16, UINT32_MAX);
    const struct weight_part scaled = {.data = "", .dtype = DTYPE_F8_E4M3, .rows = 2, .scale = {"", DTYPE_F32, 1, 7}};
    struct weight_part by_whole = scaled, by_nothing = scaled;
    by_whole.scale.dtype = DTYPE_F8_E8M0, by_nothing.scale.col_block = 0;
    expect_desc((struct weight_desc){.role = WEIGHT_MATRIX, .cols = 7, .n_parts = 2, .parts = {scaled, two}}, GLLM_OK, 4, NULL);
    expect_desc((struct weight_desc){.role = WEIGHT_VECTOR, .cols = 2, .n_parts = 1, .parts = {scaled}}, GLLM_INVALID, 0, "w: part 0 is a vector with a scale");
    expect_desc((struct weight_desc){.role = WEIGHT_MATRIX, .cols = 7, .n_parts = 2, .parts = {two, by_whole}}, GLLM_UNSUPPORTED, 0, "w: scale of part 1 has dtype F8_E8M0, expected F32, F16 or BF16");
    expect_desc((struct weight_desc){.role = WEIGHT_TABLE, .cols = 7, .n_parts = 1, .parts = {by_nothing}}, GLLM_INVALID, 0, "w: scale of part 0 is for blocks of 1 x 0, expected 1 or more");
    expect_desc((struct weight_desc){.role = WEIGHT_MATRIX, .cols = 7, .n_parts = 3, .parts = {two, zeros, two}}, GLLM_OK, 7, NULL);
    expect_desc((struct weight_desc){.role = WEIGHT_VECTOR, .cols = 5, .n_parts = 2, .parts = {two, zeros}}, GLLM_OK, 1, NULL);
    expect_desc((struct weight_desc){.role = (enum weight_role)3, .cols = 7, .n_parts = 1, .parts = {two}}, GLLM_INVALID, 0, "w: role 3 is unknown");
    expect_desc((struct weight_desc){.cols = 7}, GLLM_INVALID, 0, "w: 0 parts of 7 columns, expected 1 to 4 parts");
    expect_desc((struct weight_desc){.cols = 7, .n_parts = 5}, GLLM_INVALID, 0, "w: 5 parts of 7 columns, expected 1 to 4 parts");
    expect_desc((struct weight_desc){.n_parts = 1, .parts = {two}}, GLLM_INVALID, 0, "w: 1 parts of 0 columns, expected 1 to 4 parts");
    expect_desc((struct weight_desc){.cols = 7, .n_parts = 2, .parts = {two, whole}}, GLLM_UNSUPPORTED, 0, "w: part 1 has dtype I64, expected a floating-point or quantised type");
    expect_desc((struct weight_desc){.cols = 7, .n_parts = 1, .parts = {odd}}, GLLM_UNSUPPORTED, 0, "w: part 0 has dtype unknown, expected a floating-point or quantised type");
    expect_desc((struct weight_desc){.cols = 7, .n_parts = 1, .parts = {none}}, GLLM_INVALID, 0, "w: shape [0,7], expected 1 to 1073741823 rows and columns");
    expect_desc((struct weight_desc){.cols = 7, .n_parts = 2, .parts = {most, most}}, GLLM_INVALID, 0, "w: shape [8589934590,7], expected 1 to 1073741823 rows and columns");
    expect_desc((struct weight_desc){.cols = 1u << 30, .n_parts = 1, .parts = {two}}, GLLM_INVALID, 0, "w: shape [2,1073741824], expected 1 to 1073741823 rows and columns");
    expect_desc((struct weight_desc){.role = WEIGHT_VECTOR, .cols = 6, .n_parts = 2, .parts = {two, zeros}}, GLLM_INVALID, 0, "w: parts of 5 values, expected 6");
}

static void test_pages(void **state) {
    (void)state;
    static const uint64_t sizes[] = {0, 1, 63, 65, 4096, ((uint64_t)2 << 20) - 1, ((uint64_t)2 << 20) + 1};
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *p = hostmem_pages(sizes[i]);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 64, 0);
        memset(p, 0xA5, (size_t)sizes[i]); /* all of it is ours: the sanitizer looks on */
        free(p);
    }
    assert_null(hostmem_pages(UINT64_MAX));
    assert_null(hostmem_pages(UINT64_MAX - 64));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_step_check), cmocka_unit_test(test_step_seen), cmocka_unit_test(test_delta), cmocka_unit_test(test_weight_desc_check), cmocka_unit_test(test_pages)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
