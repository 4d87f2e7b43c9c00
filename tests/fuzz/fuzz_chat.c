/* fuzz_chat.c - any bytes as a chat template and its input: it renders or is refused, within its bounds; the stretches that are the caller's are in
 * order, and a byte that only the input has is always in one of them.
 *
 * The input is cut at its first 0xFF byte (which UTF-8 never has) into the template and a JSON object of variables; without one, a conversation
 * stands for the variables. */
#include <stdlib.h>
#include <string.h>

#include "text/jinja.h"

/* U+E000 is put into every string of the fixed conversation; a template that does not spell it can only print the caller's. */
static const char CONVERSATION[] =
    "{\"messages\":[{\"role\":\"system\",\"content\":\"\xEE\x80\x80s\"},{\"role\":\"user\",\"content\":\"a \xEE\x80\x80 b\\n<c>\"},{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"function\":{\"name\":\"f\xEE\x80\x80\","
    "\"arguments\":{\"x\":1.5,\"y\":[1,null,true]}}}]}],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"\xEE\x80\x80g\"}}],\"add_generation_prompt\":true,\"n\":7,\"s\":\"\xEE\x80\x80 text\"}";

static void check(const struct jinja_text *t, bool marked) {
    size_t end = 0, at = 0;
    for (size_t i = 0; i < t->n_caller; i++) {
        const struct text_span *s = &t->caller[i];
        if (!s->len || (i && s->at <= end) || s->at + s->len > t->len) abort();
        end = s->at + s->len;
    }
    for (size_t i = 0; marked && i + 2 < t->len; i++) {
        if (memcmp(t->data + i, "\xEE\x80\x80", 3)) continue;
        while (at < t->n_caller && t->caller[at].at + t->caller[at].len <= i) at++;
        if (at == t->n_caller || t->caller[at].at > i) abort(); /* the caller's byte passes for the template's */
    }
}

/* Whether the template can make U+E000 itself: by its bytes, or by an escape. */
static bool spells_mark(const char *s, size_t n) {
    return memmem(s, n, "\xEE", 1) || memmem(s, n, "\\", 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *cut = size ? memchr(data, 0xFF, size) : NULL;
    const char *template = (const char *)data, *json = cut ? (const char *)cut + 1 : CONVERSATION;
    const size_t n = cut ? (size_t)(cut - data) : size, json_len = cut ? size - n - 1 : sizeof CONVERSATION - 1;
    struct jinja_var vars[16];
    struct jinja_input in = {.vars = vars, .now = {.tm_year = 124, .tm_mday = 1}};
    struct jinja *t;
    struct jinja_text out;
    gllm_error err = {0};
    json_t *root, *value;
    const char *key;
    if (json_parse_values(json, json_len, "fuzz", &root, &err) != GLLM_OK) return 0;
    if (json_is_object(root)) json_object_foreach(root, key, value)
        if (in.n_vars < 16) vars[in.n_vars++] = (struct jinja_var){key, value, false};
    if (jinja_open(&t, template, n, "fuzz", &err) == GLLM_OK) {
        if (jinja_render(t, &in, &out, &err) == GLLM_OK) check(&out, !cut && !spells_mark(template, n));
        else if (!err.message[0] || out.data) abort();
        jinja_text_free(&out);
    } else if (!err.message[0]) abort();
    jinja_close(t);
    json_decref(root);
    return 0;
}
