/* answer_style.c - how families of chat models write thoughts and calls, told by what their templates hold. */
#include <string.h>

#include "text/answer_impl.h"

static const struct thought_marks THOUGHTS[] = {
    {"<think>", "</think>"}, {"[THINK]", "[/THINK]"}, {"<seed:think>", "</seed:think>"}, {"<|START_THINKING|>", "<|END_THINKING|>"},
};

/* The first whose marks are shown counts, so that what is special comes before what is common. */
static const struct call_style CALLS[] = {
    /* DeepSeek V3, R1 ("function" stands before the mark) and V3.1 (the name does) */
    {.shown = {"<｜tool▁call▁begin｜>"}, .body = CALL_NAMED, .open = "<｜tool▁calls▁begin｜>", .item_open = "<｜tool▁call▁begin｜>", .item_close = "<｜tool▁call▁end｜>", .close = "<｜tool▁calls▁end｜>",
     .head_end = "<｜tool▁sep｜>", .head_last = true},
    /* Kimi K2: functions.NAME:0 */
    {.shown = {"<|tool_calls_section_begin|>"}, .body = CALL_NAMED, .open = "<|tool_calls_section_begin|>", .item_open = "<|tool_call_begin|>", .item_close = "<|tool_call_end|>",
     .close = "<|tool_calls_section_end|>", .head_end = ":"},
    /* Mistral: a list, and later NAME[ARGS]{…} */
    {.shown = {"[TOOL_CALLS]"}, .body = CALL_NAMED, .open = "[TOOL_CALLS]", .close = "[/TOOL_CALLS]", .head_end = "["},
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
    {.shown = {"<tool_call>"}, .body = CALL_JSON, .open = "<tool_call>", .close = "</tool_call>"},
    {.shown = {"<tool_calls>"}, .body = CALL_JSON, .open = "<tool_calls>", .close = "</tool_calls>"}, /* Jamba */
    {.shown = {"<TOOLCALL>"}, .body = CALL_JSON, .open = "<TOOLCALL>", .close = "</TOOLCALL>"},       /* Nemotron Nano */
    {.shown = {"<|action_start|>"}, .body = CALL_JSON, .open = "<|action_start|><|plugin|>", .close = "<|action_end|>"}, /* InternLM */
    /* Phi-4-mini tells its tools between <|tool|> and <|/tool|>; Granite 3 */
    {.shown = {"<|/tool|>"}, .body = CALL_JSON, .open = "<|tool_call|>", .close = "<|/tool_call|>"},
    {.shown = {"<|tool_call|>"}, .body = CALL_JSON, .open = "<|tool_call|>", .close = "<|/tool_call|>"},
    /* Functionary on Llama 3.1: <function=NAME>{…}</function> */
    {.shown = {"<function="}, .body = CALL_NAMED, .open = "<function=", .close = "</function>", .head_end = ">"},
    /* Llama 3.1 to 3.3: the answer is the JSON of one call */
    {.shown = {"<|python_tag|>"}, .body = CALL_JSON, .also = "<|python_tag|>"},
    {.shown = {"\"parameters\": dictionary of argument name"}, .body = CALL_JSON, .also = "<|python_tag|>"},
    /* GLM-4: the name on a line, the arguments below */
    {.shown = {"<|observation|>"}, .body = CALL_NAMED, .head_end = "\n"},
};

static bool holds(const char *text, size_t len, const char *what, size_t n) {
    for (size_t i = 0; i + n <= len; i++)
        if (text[i] == what[0] && !memcmp(text + i, what, n)) return true;
    return false;
}
static bool shows(const char *template, size_t len, const char *mark) { return holds(template, len, mark, strlen(mark)); }

struct answer_style answer_style(const char *template, size_t len) {
    struct answer_style s = {NULL, NULL};
    for (size_t i = 0; !s.thought && i < sizeof THOUGHTS / sizeof *THOUGHTS; i++)
        if (shows(template, len, THOUGHTS[i].close)) s.thought = &THOUGHTS[i];
    for (size_t i = 0; !s.calls && i < sizeof CALLS / sizeof *CALLS; i++)
        if (shows(template, len, CALLS[i].shown[0]) && (!CALLS[i].shown[1] || shows(template, len, CALLS[i].shown[1]))) s.calls = &CALLS[i];
    return s;
}

bool answer_is_mark(const struct answer_style *s, const char *text, size_t len) {
    const struct call_style none = {.body = CALL_JSON}, *c = s->calls ? s->calls : &none;
    const char *const marks[] = {s->thought ? s->thought->open : NULL, s->thought ? s->thought->close : NULL, c->open, c->item_open, c->item_close, c->close, c->also, c->head_end, c->name_open, c->key_open, c->key_close,
                                 c->value_open, c->value_close, c->end, c->body == CALL_NAMED ? "[ARGS]" : NULL};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (marks[i] && len && holds(marks[i], strlen(marks[i]), text, len)) return true;
    return false;
}

bool answer_opened(const struct answer_style *s, const char *prompt, size_t len) {
    const size_t n = s->thought ? strlen(s->thought->open) : 0;
    while (len && strchr(" \t\r\n", prompt[len - 1]) && prompt[len - 1]) len--;
    return n && len >= n && !memcmp(prompt + len - n, s->thought->open, n);
}
