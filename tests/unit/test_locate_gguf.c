/* test_locate_gguf.c - from what a user calls a model to a directory or a GGUF file, in folders made here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "hub/locate.h"

static char home[] = "/tmp/gllm-home-XXXXXX";

static const char *FILES[] = {"models/Org--One-GGUF/one.Q4_1.gguf",
                              "models/Org--One-GGUF/mmproj-one-f16.gguf",
                              "models/Org--One-GGUF/config.json",
                              "models/Org--Split-GGUF/big-Q8_0-00001-of-00002.gguf",
                              "models/Org--Split-GGUF/big-Q8_0-00002-of-00002.gguf",
                              "models/Org--Many-GGUF/m-Q4_K_M.gguf",
                              "models/Org--Many-GGUF/m-Q4_K_S.gguf",
                              "models/Org--Many-GGUF/m-IQ4_XS.gguf",
                              "models/Org--Many-GGUF/m-Q8_0-00001-of-00003.gguf",
                              "models/Org--Many-GGUF/m-Q8_0-00002-of-00003.gguf",
                              "models/Org--Many-GGUF/notes.txt",
                              "models/Org--Both/config.json",
                              "models/Org--Both/model.safetensors",
                              "models/Org--Both/both-q4_0.gguf",
                              "models/Org--Plain/config.json",
                              "a:b/x.gguf"};

static int make(void **state) {
    (void)state;
    char path[300];
    if (!mkdtemp(home)) return -1;
    for (unsigned i = 0; i < sizeof FILES / sizeof *FILES; i++) {
        snprintf(path, sizeof path, "%s/%s", home, FILES[i]);
        for (char *p = path + strlen(home) + 1; (p = strchr(p, '/')); *p++ = '/') {
            *p = '\0';
            mkdir(path, 0777);
        }
        FILE *f = fopen(path, "w");
        if (!f || fclose(f)) return -1;
    }
    return 0;
}
static int clean(void **state) {
    (void)state;
    char command[300];
    snprintf(command, sizeof command, "rm -r '%s'", home);
    return system(command);
}

static void finds(const char *model, const char *below_home) {
    char *found, expected[300];
    gllm_error err = {0};
    if (hub_locate(model, home, NULL, &found, &err) != GLLM_OK) fail_msg("%s: %s", model, err.message);
    snprintf(expected, sizeof expected, "%s/%s", home, below_home);
    assert_string_equal(found, expected);
    free(found);
}
static void refuses(const char *model, gllm_status status, const char *says) {
    char *found;
    gllm_error err = {0};
    const gllm_status got = hub_locate(model, home, NULL, &found, &err);
    if (got != status || found || !strstr(err.message, says)) fail_msg("%s: found %d \"%s\", expected %d and \"%s\"", model, (int)got, err.message, (int)status, says);
}

static void test_one(void **state) {
    (void)state;
    finds("Org/One-GGUF", "models/Org--One-GGUF/one.Q4_1.gguf"); /* a config.json alone is no model, the image encoder none either */
    finds("one-gguf", "models/Org--One-GGUF/one.Q4_1.gguf");
    finds("Org/Split-GGUF", "models/Org--Split-GGUF/big-Q8_0-00001-of-00002.gguf");
    finds("Org/Both", "models/Org--Both");
    finds("Org/Plain", "models/Org--Plain");
}

static void test_choice(void **state) {
    (void)state;
    finds("Org/Many-GGUF:Q4_K_M", "models/Org--Many-GGUF/m-Q4_K_M.gguf");
    finds("Org/Many-GGUF:q4_k_s", "models/Org--Many-GGUF/m-Q4_K_S.gguf");
    finds("many-gguf:iq4_xs", "models/Org--Many-GGUF/m-IQ4_XS.gguf");
    finds("Org/Many-GGUF:Q8_0", "models/Org--Many-GGUF/m-Q8_0-00001-of-00003.gguf");
    finds("Org/Many-GGUF:m-Q4_K_M.gguf", "models/Org--Many-GGUF/m-Q4_K_M.gguf");
    finds("Org/Many-GGUF:M-Q4_K_M", "models/Org--Many-GGUF/m-Q4_K_M.gguf");
    finds("Org/Both:Q4_0", "models/Org--Both/both-q4_0.gguf");
}

static void test_paths(void **state) {
    (void)state;
    char path[300];
    snprintf(path, sizeof path, "%s/models/Org--Many-GGUF:Q4_K_M", home);
    finds(path, "models/Org--Many-GGUF/m-Q4_K_M.gguf");
    snprintf(path, sizeof path, "%s/models/Org--Many-GGUF/m-Q4_K_S.gguf", home);
    finds(path, "models/Org--Many-GGUF/m-Q4_K_S.gguf");
    snprintf(path, sizeof path, "%s/a:b", home);
    finds(path, "a:b/x.gguf");
    snprintf(path, sizeof path, "%s/models/Org--Many-GGUF/notes.txt", home);
    refuses(path, GLLM_UNSUPPORTED, "notes.txt: found a file, expected a model directory or a .gguf file");
}

static void test_refused(void **state) {
    (void)state;
    refuses("Org/Many-GGUF", GLLM_INVALID, "Org--Many-GGUF: found 4 GGUF files, expected one or a choice as in NAME:FILE or NAME:Q4_K_M: m-IQ4_XS.gguf, m-Q4_K_M.gguf, m-Q4_K_S.gguf, m-Q8_0-00001-of-00003.gguf");
    refuses("Org/Many-GGUF:Q5_0", GLLM_NOT_FOUND, "found 0 GGUF files that \"Q5_0\" names, expected one of: m-IQ4_XS.gguf");
    refuses("Org/Many-GGUF:Q4_K", GLLM_NOT_FOUND, "found 0 GGUF files that \"Q4_K\"");
    refuses("Org/Many-GGUF:m", GLLM_NOT_FOUND, "found 4 GGUF files that \"m\" names");
    refuses("Org/Many-GGUF:", GLLM_INVALID, "Org/Many-GGUF:: found nothing after the colon, expected a quantised form or a file");
    refuses("Org/Plain:Q4_0", GLLM_NOT_FOUND, "no GGUF file is there");
    refuses("Org/None", GLLM_NOT_FOUND, "Org/None: no such model");
    refuses("Org/None:Q4_0", GLLM_NOT_FOUND, "Org/None: no such model");
    refuses("", GLLM_INVALID, "no model given");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_one), cmocka_unit_test(test_choice), cmocka_unit_test(test_paths), cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, make, clean);
}
