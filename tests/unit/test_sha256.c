/* test_sha256.c - the examples of FIPS 180-4 and NIST's long message, whole and in pieces of every size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"

static const struct {
    const char *text, *sum; /* csrc.nist.gov, SHA256.pdf and the empty message of SHA256ShortMsg.rsp */
} VECTORS[] = {{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
               {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
               {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
               {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
                "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"}};

static void check(const void *data, size_t len, size_t piece, const char *expected) {
    struct sha256 s;
    char hex[65];
    sha256_init(&s);
    for (size_t at = 0; at < len; at += piece) sha256_add(&s, (const char *)data + at, len - at < piece ? len - at : piece);
    sha256_hex(&s, hex);
    assert_string_equal(hex, expected);
    sha256_hex(&s, hex); /* asking changes nothing */
    assert_string_equal(hex, expected);
}

static void test_vectors(void **state) {
    (void)state;
    for (unsigned i = 0; i < sizeof VECTORS / sizeof *VECTORS; i++)
        for (size_t piece = 1; piece <= 130; piece++) check(VECTORS[i].text, strlen(VECTORS[i].text), piece, VECTORS[i].sum);
}

static void test_million(void **state) {
    (void)state;
    enum { N = 1000000 };
    char *a = malloc(N);
    assert_non_null(a);
    memset(a, 'a', N);
    check(a, N, N, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    check(a, N, 777, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(a);
}

/* Lengths around the place where the padding needs another block: sums of Python's hashlib, of "x" so many times. */
static void test_padding(void **state) {
    (void)state;
    static const struct {
        size_t n;
        const char *sum;
    } LENGTHS[] = {{55, "d5e285683cd4efc02d021a5c62014694958901005d6f71e89e0989fac77e4072"},
                   {56, "04c26261370ee7541549d16dee320c723e3fd14671e66a099afe0a377c16888e"},
                   {57, "ae14a2563ccf969d99aca69ce6bb74981f734bbf9f655f73b8f06db68cab5217"},
                   {63, "75220b47218278e656f2013bb8f0c455a25eaf01e86c64924e9d48d89776d6f2"},
                   {64, "7ce100971f64e7001e8fe5a51973ecdfe1ced42befe7ee8d5fd6219506b5393c"},
                   {65, "9537c5fdf120482f7d58d25e9ed583f52c02b4e304ea814db1633ad565aed7e9"},
                   {119, "000b48d4edf0fa7bee3c6236ecd2785baa5db4eeb8bb54341b029e0d9fa5fb0c"},
                   {120, "13f05a0b594787f5ecd315edc96141bd3243203d1b7d4f0836f37308b276ba98"},
                   {128, "24da1b81d0b16df6428eee73c69fcb2a93c76bc6df706f0c6670fe6bfe800464"}};
    char x[128];
    memset(x, 'x', sizeof x);
    for (unsigned i = 0; i < sizeof LENGTHS / sizeof *LENGTHS; i++) check(x, LENGTHS[i].n, LENGTHS[i].n, LENGTHS[i].sum);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_vectors), cmocka_unit_test(test_million), cmocka_unit_test(test_padding)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
