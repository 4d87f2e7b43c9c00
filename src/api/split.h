/* split.h - an answer that is taken apart: what the request asks of it, chunks in parts, and the parts of the completion. */
#ifndef GLLM_API_SPLIT_H
#define GLLM_API_SPLIT_H
#include "base/arena.h"
#include "engine/generate.h"
#include "text/reply.h"
#include "text/jinja.h"

struct growing {
    char *data; /* owned; NULL while empty */
    size_t len, room;
};
struct split_call {
    struct growing name, arguments;
};
struct split { /* all-zero: no answer is taken apart; split_free at last */
    const gllm_generate_request *r; /* borrowed until the job has ended */
    struct reply_style style;      /* without the parts that nobody asks for */
    struct reply *answer;
    json_t *tools;
    char *demand;                   /* of a constraint; NULL: none */
    struct growing content, reasoning;
    struct split_call *calls;       /* [n_calls] */
    uint32_t n_calls, reasoning_tokens;
    const struct sampled *token;    /* while a token is read: not yet told to the caller */
    bool over, stopped;             /* over: no further call is wanted; stopped: nor is anything */
    gllm_status status;
    gllm_error error;
};
/* Takes answers to `prompt`, as the model's template wrote it, apart from now on: sets what the call shows, and its constraint where tool_choice demands
 * calls. GLLM_UNSUPPORTED: tools that the template does not tell of, or calls that it shows in no form that an answer can be held to. */
gllm_status split_open(struct split *s, const struct model *m, const gllm_generate_request *r, const struct jinja_text *prompt, struct generate_call *call, gllm_error *err);
bool split_tell(void *split, const char *text, size_t len, int32_t token, const struct sampled *t); /* a generate_fn */
gllm_status split_finish(struct split *s, struct arena *arena, gllm_completion *out, gllm_error *err); /* the last chunks, and the parts of `out` */
void split_free(struct split *s);
#endif
