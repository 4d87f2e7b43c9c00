/* fuzz_reply.c - any bytes as an answer. The first byte picks the style, the second how the text is cut, and whether calls are held.
 *
 * The parts are the same whatever the cut; the arguments of a call that was held are a JSON object; where nothing was taken out, the content is
 * the text. */
#include <stdlib.h>
#include <string.h>

#include "text/reply.h"

static const char *const TEMPLATES[] = {"</think><tool_call>", "<tool_call><parameter=", "<tool_call><arg_key></think>", "[TOOL_CALLS][/THINK]", "<|python_tag|>", "<|observation|>", "<｜tool▁call▁begin｜></think>",
                                        "<|/tool|>", "<|tool_calls_section_begin|>", "<|action_start|>", "<function=", "<minimax:tool_call>", "<tool_calls>"};
static const char TOOLS[] = "[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\",\"properties\":{\"s\":{\"type\":\"string\"},\"n\":{\"type\":\"integer\"}}}}},{\"name\":\"g\"}]";

struct parts { /* events put together: content and reasoning as one text each, calls as NAME NUL ARGUMENTS NUL */
    char *text[3];
    size_t len[3];
    uint32_t calls;
    bool hold;
};

static void append(struct parts *p, unsigned i, const char *s, size_t n) {
    char *more = realloc(p->text[i], p->len[i] + n + 1);
    if (!more) abort();
    p->text[i] = more;
    memcpy(more + p->len[i], s, n);
    p->len[i] += n;
}

static gllm_status collect(void *user, const struct reply_event *e, gllm_error *err) {
    struct parts *p = user;
    (void)err;
    if (e->part == REPLY_CALL) {
        if (e->call != p->calls++ || !e->len) abort();
        append(p, 2, "", 1);
        append(p, 2, e->text, e->len);
        append(p, 2, "", 1);
    } else append(p, e->part == REPLY_CONTENT ? 0 : e->part == REPLY_REASONING ? 1 : 2, e->text, e->len);
    return GLLM_OK;
}

static struct parts take_apart(const struct reply_options *options, const char *s, size_t n, size_t cut) {
    struct parts p = {.hold = options->hold_calls};
    struct reply_options o = *options;
    struct reply *a;
    gllm_error err;
    o.fn = collect, o.user = &p;
    if (reply_open(&a, &o, &err) != GLLM_OK) abort();
    for (size_t at = 0; at < n; at += cut)
        if (reply_push(a, s + at, n - at < cut ? n - at : cut, &err) != GLLM_OK) abort();
    if (reply_end(a, &err) != GLLM_OK) abort();
    reply_close(a);
    return p;
}

/* NUL NAME NUL ARGUMENTS, again and again: no name holds a NUL, nor do arguments that are JSON. */
static void check_arguments(const struct parts *p) {
    const char *at = p->text[2], *end = at + p->len[2];
    for (uint32_t i = 0; i < p->calls; i++) {
        const char *args = memchr(at + 1, 0, (size_t)(end - at - 1)) , *next;
        if (!args++) abort();
        next = memchr(args, 0, (size_t)(end - args));
        if (!next) next = end;
        json_t *v = json_loadb(args, (size_t)(next - args), JSON_ALLOW_NUL, NULL);
        if (!json_is_object(v)) abort();
        json_decref(v);
        at = next;
    }
}

static bool holds(const char *s, size_t n, const char *what) {
    for (size_t i = 0, len = strlen(what); i + len <= n; i++)
        if (!memcmp(s + i, what, len)) return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    const char *template = TEMPLATES[data[0] % (sizeof TEMPLATES / sizeof *TEMPLATES)], *s = (const char *)data + 2;
    json_t *tools = json_loads(TOOLS, 0, NULL);
    const struct reply_options o = {.style = reply_style(template, strlen(template)), .tools = tools, .hold_calls = data[1] & 1, .opened = data[1] & 2};
    struct parts whole = take_apart(&o, s, size - 2, size), cut = take_apart(&o, s, size - 2, 1 + (data[1] >> 2) % 16);
    if (whole.calls != cut.calls) abort();
    for (unsigned i = 0; i < 3; i++)
        if (whole.len[i] != cut.len[i] || (whole.len[i] && memcmp(whole.text[i], cut.text[i], whole.len[i]))) abort();
    if (o.hold_calls) check_arguments(&whole);
    const bool thought = o.style.thought && (o.opened || holds(s, size - 2, o.style.thought->open) || holds(s, size - 2, o.style.thought->close));
    if (!whole.calls && !thought && (whole.len[0] != size - 2 || memcmp(whole.text[0] ? whole.text[0] : "", s, size - 2))) abort();
    for (unsigned i = 0; i < 3; i++) free(whole.text[i]), free(cut.text[i]);
    json_decref(tools);
    return 0;
}
