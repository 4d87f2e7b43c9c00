/* reply_style.c - how families of chat models write thoughts and calls, told by what their templates hold. */
#include <string.h>

#include "text/reply_impl.h"

static const struct thought_marks THOUGHTS[] = {
    {"<think>", "</think>"}, {"[THINK]", "[/THINK]"}, {"<seed:think>", "</seed:think>"}, {"<|START_THINKING|>", "<|END_THINKING|>"},
};

/* {"name": NAME, KEY: ARGUMENTS} one after the other, and in a list. */
#define OBJECTS(begin, key, between, end) {begin, "{\"name\": \"", "\", \"" key "\": ", "}", between, end}
#define LIST(begin, end) OBJECTS(begin "[", "arguments", ", ", "]" end)

/* The first whose marks are shown counts, so that what is special comes before what is common. */
static const struct call_style CALLS[] = {
    /* DeepSeek V3 and R1, then V3.1 */
    {.shown = {"<｜tool▁call▁begin｜>", "```json"}, .body = CALL_NAMED, .open = "<｜tool▁calls▁begin｜>", .item_open = "<｜tool▁call▁begin｜>", .item_close = "<｜tool▁call▁end｜>", .close = "<｜tool▁calls▁end｜>",
     .head_end = "<｜tool▁sep｜>", .head_last = true,
     .write = {"<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>function<｜tool▁sep｜>", "\n```json\n", "\n```<｜tool▁call▁end｜>", "\n", "<｜tool▁calls▁end｜>"}},
    {.shown = {"<｜tool▁call▁begin｜>"}, .body = CALL_NAMED, .open = "<｜tool▁calls▁begin｜>", .item_open = "<｜tool▁call▁begin｜>", .item_close = "<｜tool▁call▁end｜>", .close = "<｜tool▁calls▁end｜>",
     .head_end = "<｜tool▁sep｜>", .head_last = true, .write = {"<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>", "", "<｜tool▁calls▁end｜>"}},
    /* Kimi K2 */
    {.shown = {"<|tool_calls_section_begin|>"}, .body = CALL_NAMED, .open = "<|tool_calls_section_begin|>", .item_open = "<|tool_call_begin|>", .item_close = "<|tool_call_end|>",
     .close = "<|tool_calls_section_end|>", .head_end = ":",
     .write = {"<|tool_calls_section_begin|>", "<|tool_call_begin|>functions.", ":0<|tool_call_argument_begin|>", "<|tool_call_end|>", "", "<|tool_calls_section_end|>"}},
    /* Mistral, newer and older; either is read */
    {.shown = {"[TOOL_CALLS]", "[ARGS]"}, .body = CALL_NAMED, .open = "[TOOL_CALLS]", .close = "[/TOOL_CALLS]", .head_end = "[", .write = {"[TOOL_CALLS]", "", "[ARGS]", "", "[TOOL_CALLS]", ""}},
    {.shown = {"[TOOL_CALLS]"}, .body = CALL_NAMED, .open = "[TOOL_CALLS]", .close = "[/TOOL_CALLS]", .head_end = "[", .write = LIST("[TOOL_CALLS]", "")},
    /* MiniMax M2 */
    {.shown = {"<minimax:tool_call>"}, .body = CALL_TAGGED, .open = "<minimax:tool_call>", .item_open = "<invoke name=\"", .close = "</minimax:tool_call>", .name_open = "", .name_close = "\">",
     .key_open = "<parameter name=\"", .key_close = "\">", .value_open = "", .value_close = "</parameter>", .end = "</invoke>"},
    /* Seed-OSS */
    {.shown = {"<seed:tool_call>"}, .body = CALL_TAGGED, .open = "<seed:tool_call>", .close = "</seed:tool_call>", .name_open = "<function=", .name_close = ">", .key_open = "<parameter=", .key_close = ">",
     .value_open = "", .value_close = "</parameter>", .end = "</function>"},
    /* Qwen3-Coder, Qwen3.5, Nemotron 3; a model may leave the outer mark away */
    {.shown = {"<tool_call>", "<parameter="}, .body = CALL_TAGGED, .open = "<tool_call>", .close = "</tool_call>", .name_open = "<function=", .name_close = ">", .key_open = "<parameter=", .key_close = ">",
     .value_open = "", .value_close = "</parameter>", .end = "</function>"},
    /* GLM-4.5 and later */
    {.shown = {"<tool_call>", "<arg_key>"}, .body = CALL_TAGGED, .open = "<tool_call>", .name_open = "", .key_open = "<arg_key>", .key_close = "</arg_key>", .value_open = "<arg_value>",
     .value_close = "</arg_value>", .end = "</tool_call>"},
    /* Hermes, Qwen 2.5 and 3, SmolLM3, EXAONE 4, Granite 4 */
    {.shown = {"<tool_call>"}, .body = CALL_JSON, .open = "<tool_call>", .close = "</tool_call>", .write = OBJECTS("<tool_call>\n", "arguments", "\n</tool_call>\n<tool_call>\n", "\n</tool_call>")},
    /* Jamba; Nemotron Nano */
    {.shown = {"<tool_calls>"}, .body = CALL_JSON, .open = "<tool_calls>", .close = "</tool_calls>", .write = LIST("<tool_calls>", "</tool_calls>")},
    {.shown = {"<TOOLCALL>"}, .body = CALL_JSON, .open = "<TOOLCALL>", .close = "</TOOLCALL>", .write = LIST("<TOOLCALL>", "</TOOLCALL>")},
    /* InternLM */
    {.shown = {"<|action_start|>"}, .body = CALL_JSON, .open = "<|action_start|><|plugin|>", .close = "<|action_end|>",
     .write = OBJECTS("<|action_start|><|plugin|>\n", "parameters", "<|action_end|>\n<|action_start|><|plugin|>\n", "<|action_end|>")},
    /* Phi-4-mini tells its tools between <|tool|> and <|/tool|>; Granite 3 */
    {.shown = {"<|/tool|>"}, .body = CALL_JSON, .open = "<|tool_call|>", .close = "<|/tool_call|>", .write = LIST("<|tool_call|>", "<|/tool_call|>")},
    {.shown = {"<|tool_call|>"}, .body = CALL_JSON, .open = "<|tool_call|>", .close = "<|/tool_call|>", .write = LIST("<|tool_call|>", "")},
    /* Functionary on Llama 3.1 */
    {.shown = {"<function="}, .body = CALL_NAMED, .open = "<function=", .close = "</function>", .head_end = ">", .write = {"", "<function=", ">", "</function>", "", ""}},
    /* Llama 3.1 to 3.3: the answer is the JSON of one call */
    {.shown = {"<|python_tag|>"}, .body = CALL_JSON, .also = "<|python_tag|>", .write = OBJECTS("", "parameters", NULL, "")},
    {.shown = {"\"parameters\": dictionary of argument name"}, .body = CALL_JSON, .also = "<|python_tag|>", .write = OBJECTS("", "parameters", NULL, "")},
    /* GLM-4: the name on a line, the arguments below */
    {.shown = {"<|observation|>"}, .body = CALL_NAMED, .head_end = "\n", .write = {"", "", "\n", "", NULL, ""}},
};

static bool shows(const char *template, size_t len, const char *mark) { return memmem(template, len, mark, strlen(mark)) != NULL; }

struct reply_style reply_style(const char *template, size_t len) {
    struct reply_style s = {NULL, NULL};
    for (size_t i = 0; !s.thought && i < sizeof THOUGHTS / sizeof *THOUGHTS; i++)
        if (shows(template, len, THOUGHTS[i].close)) s.thought = &THOUGHTS[i];
    for (size_t i = 0; !s.calls && i < sizeof CALLS / sizeof *CALLS; i++)
        if (shows(template, len, CALLS[i].shown[0]) && (!CALLS[i].shown[1] || shows(template, len, CALLS[i].shown[1]))) s.calls = &CALLS[i];
    return s;
}

bool reply_is_mark(const void *style, const char *text, size_t len) {
    const struct reply_style *s = style;
    const struct call_style none = {.body = CALL_JSON}, *c = s->calls ? s->calls : &none;
    const char *const marks[] = {s->thought ? s->thought->open : NULL, s->thought ? s->thought->close : NULL, c->open, c->item_open, c->item_close, c->close, c->also, c->head_end, c->name_open, c->key_open, c->key_close,
                                 c->value_open, c->value_close, c->end, c->body == CALL_NAMED ? "[ARGS]" : NULL};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (marks[i] && len && memmem(marks[i], strlen(marks[i]), text, len)) return true;
    return false;
}

bool reply_opened(const struct reply_style *s, const char *prompt, size_t len) {
    const size_t n = s->thought ? strlen(s->thought->open) : 0;
    while (len && strchr(" \t\r\n", prompt[len - 1]) && prompt[len - 1]) len--;
    return n && len >= n && !memcmp(prompt + len - n, s->thought->open, n);
}
