/* test_file.c - files that are there, and what is no file: missing, a folder, a FIFO, a device, above the limit; and paths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include "base/file.h"
#include "temp_dir.h"

static void test_map_and_read(void **state) {
    (void)state;
    static char data[70000];
    for (size_t i = 0; i < sizeof data; i++) data[i] = (char)(i * 7 + i / 256);
    temp_write("f", data, sizeof data);
    struct file_map m;
    gllm_error err = {0};
    assert_int_equal(file_map_open(&m, temp_path("f"), &err), GLLM_OK);
    assert_int_equal(m.size, sizeof data);
    assert_memory_equal(m.data, data, sizeof data);
    file_map_release(m.data + 5, m.size - 5); /* dropped pages come back from the file */
    file_map_release(m.data + 5, 3);
    assert_memory_equal(m.data, data, sizeof data);
    file_map_close(&m);
    assert_null(m.data);
    file_map_close(&m);
    file_map_close(NULL);

    char *text;
    size_t len = 0;
    assert_int_equal(file_read(temp_path("f"), sizeof data, &text, &len, &err), GLLM_OK);
    assert_int_equal(len, sizeof data);
    assert_memory_equal(text, data, len);
    assert_int_equal(text[len], 0);
    free(text);
}

static void test_empty(void **state) {
    (void)state;
    temp_text("empty", "");
    struct file_map m;
    assert_int_equal(file_map_open(&m, temp_path("empty"), NULL), GLLM_OK);
    assert_null(m.data);
    assert_int_equal(m.size, 0);
    file_map_close(&m);
    char *text;
    size_t len = 9;
    assert_int_equal(file_read(temp_path("empty"), 0, &text, &len, NULL), GLLM_OK);
    assert_int_equal(len, 0);
    assert_string_equal(text, "");
    free(text);
}

/* Both readers refuse `path` with "PATH: says". */
static void refuse(const char *path, gllm_status status, const char *says) {
    struct file_map m;
    char *text = NULL, expected[600];
    size_t len;
    gllm_error err = {0};
    snprintf(expected, sizeof expected, "%s: %s", path, says);
    assert_int_equal(file_map_open(&m, path, &err), status);
    assert_string_equal(err.message, expected);
    assert_null(m.data);
    assert_int_equal(file_read(path, 1 << 20, &text, &len, &err), status);
    assert_string_equal(err.message, expected);
    assert_null(text);
    assert_int_equal(file_read(path, 1 << 20, &text, &len, NULL), status);
}

static void test_no_file(void **state) {
    (void)state;
    temp_text("plain", "x");
    temp_text("folder/inside", "x");
    assert_int_equal(mkfifo(temp_path("fifo"), 0600), 0);
    assert_int_equal(symlink("nowhere", temp_path("dangling")), 0);
    assert_int_equal(symlink("loop", temp_path("loop")), 0);
    refuse(temp_path("missing"), GLLM_NOT_FOUND, "No such file or directory");
    refuse(temp_path("plain/below"), GLLM_NOT_FOUND, "Not a directory");
    refuse(temp_path("dangling"), GLLM_NOT_FOUND, "No such file or directory");
    refuse(temp_path("loop"), GLLM_IO, "Too many levels of symbolic links");
    refuse(temp_path("folder"), GLLM_IO, "is a directory, expected a file");
    refuse(temp_path("fifo"), GLLM_IO, "is not a regular file, expected a file"); /* and does not wait for a writer */
    refuse("/dev/zero", GLLM_IO, "is not a regular file, expected a file");
    assert_int_equal(chmod(temp_path("plain"), 0), 0);
    if (geteuid() != 0) refuse(temp_path("plain"), GLLM_IO, "Permission denied");
    else print_message("run as root: files that must not be read are not tried here (tests/cli does as another user)\n");
}

static void test_limit(void **state) {
    (void)state;
    char *text, expected[600];
    size_t len;
    gllm_error err = {0};
    temp_text("ten", "0123456789");
    assert_int_equal(file_read(temp_path("ten"), 9, &text, &len, &err), GLLM_FORMAT);
    snprintf(expected, sizeof expected, "%s: 10 bytes, expected at most 9", temp_path("ten"));
    assert_string_equal(err.message, expected);
    assert_null(text);
}

static void test_kinds(void **state) {
    (void)state;
    temp_text("k/file", "");
    assert_int_equal(symlink("file", temp_path("k/link")), 0);
    assert_true(file_exists(temp_path("k/file")) && file_exists(temp_path("k/link")));
    assert_true(dir_exists(temp_path("k")) && dir_exists("/"));
    assert_false(file_exists(temp_path("k")) || file_exists("/dev/null") || file_exists(temp_path("k/none")) || file_exists(""));
    assert_false(dir_exists(temp_path("k/file")) || dir_exists(""));
}

static void test_paths(void **state) {
    (void)state;
    static const char *const JOINS[][3] = {{"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"a//", "b", "a/b"}, {"/", "b", "/b"}, {"", "b", "b"}, {"a", "", "a"}, {"a/", "", "a"}, {".", "b/c", "./b/c"}};
    for (unsigned i = 0; i < sizeof JOINS / sizeof *JOINS; i++) {
        char *p = path_join(JOINS[i][0], JOINS[i][1]);
        assert_string_equal(p, JOINS[i][2]);
        free(p);
    }
    assert_string_equal(path_base("/a/b.c"), "b.c");
    assert_string_equal(path_base("b.c"), "b.c");
    assert_string_equal(path_base("a/"), "");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_map_and_read), cmocka_unit_test(test_empty), cmocka_unit_test(test_no_file), cmocka_unit_test(test_limit), cmocka_unit_test(test_kinds), cmocka_unit_test(test_paths)};
    return cmocka_run_group_tests(tests, temp_open, temp_close);
}
