/* chat.h - a conversation as the text that a model was trained on, by the template that its files bring.
 *
 * What the template writes may be special tokens; what came from the caller never is one (chat_text.caller says which bytes those are, and
 * encode_options.plain takes them). A message's role counts as the template's when it is a role's name that templates know, so that a template
 * may build "<|user|>" from it. Variables are those of transformers' apply_chat_template (5.23): messages, tools, documents, add_generation_prompt,
 * the named special tokens, and the caller's arguments. */
#ifndef GLLM_TEXT_CHAT_H
#define GLLM_TEXT_CHAT_H
#include "base/json.h"
#include "text/jinja.h"

struct chat_string {
    const char *name, *text; /* a template ("default", "tool_use") and its source, or a token ("bos_token") and its spelling */
    size_t len;
};
struct chat_source { /* what a model's files say; borrowed */
    struct chat_string *templates, *tokens;
    size_t n_templates, n_tokens;
};
struct chat_request { /* borrowed for the call */
    const json_t *messages; /* an array of objects with a "role" each; keys that are null are left out */
    const json_t *tools;    /* an array; NULL: none */
    const json_t *args;     /* an object of more variables; NULL: none. It may hold documents and add_generation_prompt */
    const char *template;   /* the name of one of the model's templates, or a template's source; NULL: "tool_use" when there are tools and it exists, else "default" */
    size_t template_len;
    bool continue_final;    /* the text ends within the last message, which the model goes on with; else with the head of an answer */
    struct tm now;          /* what strftime_now shows */
};
/* The template that a request is rendered with: of `request` template and tools alone are read. *out is borrowed. Errors as chat_render. */
gllm_status chat_choose(const struct chat_source *source, const struct chat_request *request, struct chat_string *out, gllm_error *err);
/* GLLM_UNSUPPORTED: the model has no template (or none by default, and the message lists their names); GLLM_FORMAT: the template is none;
 * GLLM_INVALID: the messages are malformed, the template refuses them, or its bounds are reached. */
gllm_status chat_render(const struct chat_source *source, const struct chat_request *request, struct jinja_text *out, gllm_error *err);
#endif
