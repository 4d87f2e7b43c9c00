/* test_chat_files.c - which chat templates and special tokens a model directory's files give, in each of the layouts that transformers reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "model/model.h"

#define MODEL "tests/golden/decoders/llama"
static char dir[64];

static void put(const char *name, const char *text) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}
static void take_away(const char *name) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    unlink(path);
}

static int make_folder(void **state) {
    static const char *const FILES[] = {"config.json", "tokenizer.json", "model.safetensors"};
    char path[256], real[4096], from[4200];
    (void)state;
    strcpy(dir, "/tmp/gllm-chat-XXXXXX");
    if (!mkdtemp(dir) || !realpath(MODEL, real)) return -1;
    for (unsigned i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, FILES[i]);
        snprintf(from, sizeof from, "%s/%s", real, FILES[i]);
        if (symlink(from, path)) return -1;
    }
    snprintf(path, sizeof path, "%s/additional_chat_templates", dir);
    return mkdir(path, 0700);
}
static int remove_folder(void **state) {
    static const char *const FILES[] = {"config.json", "tokenizer.json", "model.safetensors", "tokenizer_config.json", "special_tokens_map.json", "chat_template.json", "chat_template.jinja", "additional_chat_templates/rag.jinja"};
    (void)state;
    for (unsigned i = 0; i < sizeof FILES / sizeof *FILES; i++) take_away(FILES[i]);
    take_away("additional_chat_templates/readme.txt");
    char path[256];
    snprintf(path, sizeof path, "%s/additional_chat_templates", dir);
    return rmdir(path) || rmdir(dir);
}

/* "name=text name=text", templates then tokens */
static void check(const char *expected) {
    struct model_files f;
    const struct log log = {0};
    gllm_error err = {0};
    char found[512] = "";
    if (model_files_open(&f, dir, &log, &err) != GLLM_OK) fail_msg("%s", err.message);
    for (size_t i = 0; i < f.chat.n_templates + f.chat.n_tokens; i++) {
        const struct chat_string *s = i < f.chat.n_templates ? &f.chat.templates[i] : &f.chat.tokens[i - f.chat.n_templates];
        snprintf(found + strlen(found), sizeof found - strlen(found), "%s=%.*s ", s->name, (int)s->len, s->text);
    }
    model_files_close(&f);
    assert_string_equal(found, expected);
}

static void test_layouts(void **state) {
    (void)state;
    check("");
    put("chat_template.json", "{\"chat_template\":\"legacy\"}");
    check("default=legacy ");
    put("tokenizer_config.json", "{\"chat_template\":\"one\",\"bos_token\":\"<s>\",\"eos_token\":{\"content\":\"</s>\",\"lstrip\":false},\"pad_token\":null}");
    check("default=one bos_token=<s> eos_token=</s> ");
    put("special_tokens_map.json", "{\"bos_token\":\"no\",\"unk_token\":{\"content\":\"<unk>\"}}");
    check("default=one bos_token=<s> eos_token=</s> unk_token=<unk> ");
    put("tokenizer_config.json", "{\"chat_template\":[{\"name\":\"default\",\"template\":\"a\"},{\"name\":\"tool_use\",\"template\":\"b\"},{\"name\":5}]}");
    check("default=a tool_use=b bos_token=no unk_token=<unk> ");
    put("chat_template.jinja", "file");
    check("default=file bos_token=no unk_token=<unk> ");
    put("additional_chat_templates/rag.jinja", "more");
    put("additional_chat_templates/readme.txt", "none");
    check("default=file rag=more bos_token=no unk_token=<unk> ");
}

static gllm_status render(const struct chat_string *templates, size_t n, const char *wanted, bool tools, char *out, gllm_error *err) {
    struct chat_string list[4];
    memcpy(list, templates, n * sizeof *list);
    const struct chat_source source = {.templates = list, .n_templates = n};
    json_t *messages = json_pack("[{s:s}]", "role", "user"), *none = json_array();
    const struct chat_request r = {.messages = messages, .tools = tools ? none : NULL, .template = wanted, .template_len = wanted ? strlen(wanted) : 0};
    struct jinja_text text;
    gllm_status status = chat_render(&source, &r, &text, err);
    snprintf(out, 64, "%s", status == GLLM_OK ? text.data : "");
    jinja_text_free(&text);
    json_decref(messages);
    json_decref(none);
    return status;
}

static void test_choice(void **state) {
    static const struct chat_string BOTH[] = {{"default", "plain", 5}, {"tool_use", "tools", 5}};
    char out[64];
    gllm_error err;
    (void)state;
    assert_int_equal(render(BOTH, 2, NULL, false, out, &err), GLLM_OK);
    assert_string_equal(out, "plain");
    assert_int_equal(render(BOTH, 2, NULL, true, out, &err), GLLM_OK);
    assert_string_equal(out, "tools");
    assert_int_equal(render(BOTH, 1, NULL, true, out, &err), GLLM_OK);
    assert_string_equal(out, "plain");
    assert_int_equal(render(BOTH, 2, "tool_use", false, out, &err), GLLM_OK);
    assert_string_equal(out, "tools");
    assert_int_equal(render(BOTH, 2, "my {{ messages[0].role }}", false, out, &err), GLLM_OK);
    assert_string_equal(out, "my user");
    assert_int_equal(render(BOTH + 1, 1, NULL, false, out, &err), GLLM_UNSUPPORTED);
    assert_non_null(strstr(err.message, "name one of tool_use"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_layouts, make_folder, remove_folder), cmocka_unit_test(test_choice)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
