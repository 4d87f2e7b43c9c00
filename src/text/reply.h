/* reply.h - a chat model's answer taken apart while it comes: reasoning, content, and calls of tools.
 *
 * How a model writes these, its chat template shows: reply_style looks for what the template itself writes around earlier calls and thoughts,
 * never at a model's name. The styles are a table (reply_style.c): JSON between marks (Hermes, Qwen, SmolLM3), lists of JSON (Mistral, Phi,
 * Granite, Nemotron), a name before JSON (Mistral, DeepSeek, Kimi, GLM-4), tags (Qwen3-Coder, GLM-4.5), JSON without marks (Llama 3).
 *
 * Whatever the cut of the text, the events put together are the same. Nothing is lost but marks and white space: reasoning has none at its ends,
 * content none beside a thought or a call. What begins like a call and is none is content, marks and all.
 * With hold_calls a call is given when it is whole, and its arguments are a JSON object. Without, the arguments come as they are written, from where
 * the name is known: of a call that breaks off later they are what was written.
 * A thought is read at the answer's beginning alone, or where the prompt opened it; calls only where the caller offered tools. */
#ifndef GLLM_TEXT_REPLY_H
#define GLLM_TEXT_REPLY_H
#include "base/json.h"

struct call_style;
struct thought_marks {
    const char *open, *close;
};
struct reply_style { /* NULL: the template shows none */
    const struct thought_marks *thought;
    const struct call_style *calls;
};
struct reply_style reply_style(const char *template, size_t len);
/* Whether a special token of this spelling is a mark of the style, so that the text that is pushed must hold it. */
bool reply_is_mark(const void *style, const char *text, size_t len); /* for token_stream_show */
bool reply_opened(const struct reply_style *s, const char *prompt, size_t len); /* the prompt ends in an open thought */

enum reply_part { REPLY_CONTENT, REPLY_REASONING, REPLY_CALL, REPLY_ARGUMENTS };
struct reply_event { /* borrowed until the function returns */
    enum reply_part part;
    uint32_t call; /* CALL, ARGUMENTS: from 0 */
    const char *text; /* CALL: the name; ARGUMENTS: the next piece of JSON */
    size_t len;
};
typedef gllm_status (*reply_fn)(void *user, const struct reply_event *e, gllm_error *err);
struct reply_options {
    struct reply_style style;
    const json_t *tools; /* the array that the template got, which must live as long; NULL: no calls are read */
    bool opened;         /* reply_opened */
    bool hold_calls;
    reply_fn fn;
    void *user;
};
struct reply; /* one stream; one owner */
gllm_status reply_open(struct reply **out, const struct reply_options *o, gllm_error *err);
void reply_close(struct reply *a); /* NULL ok */
gllm_status reply_push(struct reply *a, const char *s, size_t n, gllm_error *err); /* errors: GLLM_NOMEM, and what fn returns */
gllm_status reply_end(struct reply *a, gllm_error *err); /* what still waited */
bool reply_thinks(const struct reply *a); /* in a thought: what comes next belongs to it, or closes it */

struct reply_demand { /* an answer that must call; borrowed for the call */
    struct reply_style style;
    const json_t *tools;
    const char *name; /* of the tool to call; NULL: any */
    bool one, opened; /* one call alone; reply_opened */
};
/* What reply_grammar_read reads: the answer is calls in the style's own form, with arguments that are valid under their tools' schemas, behind a thought
 * if the model wants one (or the prompt opened it). *out is owned (free). GLLM_UNSUPPORTED: the template shows no calls, or calls of tags, which no
 * grammar holds to here; GLLM_INVALID: no tool of this name, or none at all. */
gllm_status reply_demand_text(const struct reply_demand *d, char **out, gllm_error *err);
struct grammar;
gllm_status reply_grammar_read(struct grammar **out, const char *text, size_t len, gllm_error *err); /* errors as json_schema_read */
#endif
