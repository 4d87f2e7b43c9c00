/* rank_prompt.h - what a causal reranker reads: a prompt with one place for a document, made once for a query, and its tokens with a document in it.
 *
 * What the prompt's author wrote may be special tokens; what came from the caller (query, instruction, document) never is one. The text up to the
 * document's end and the text after it are tokenised each by itself, so that a document that is cut keeps the end of the prompt. */
#ifndef GLLM_ENGINE_RANK_PROMPT_H
#define GLLM_ENGINE_RANK_PROMPT_H
#include "model/model.h"

struct rank_text { /* a text with the bytes that the caller wrote; all-zero at first, rank_text_free at last */
    char *text; /* [len] */
    struct text_span *plain; /* [n_plain] */
    size_t len, n_plain, room, plain_room;
    bool failed; /* memory is out */
};
void rank_text_add(struct rank_text *t, const char *s, size_t len, bool caller);
void rank_text_cut(struct rank_text *t, size_t len); /* back to its first len bytes */
void rank_text_free(struct rank_text *t);

struct rank_question { /* borrowed; texts are UTF-8 */
    gllm_str query, instruction; /* instruction.ptr NULL: the model's own */
    bool judge; /* ask a chat model by its own template */
};
struct rank_prompt { /* all-zero at first, rank_prompt_free at last */
    struct rank_text before; /* the document follows it */
    int32_t *tail;           /* [n_tail] what follows the document */
    uint32_t n_tail, n_before; /* n_before: tokens of `before` alone */
};
/* GLLM_INVALID: the model's prompt has no place for an instruction; GLLM_UNSUPPORTED: no chat template, or one that does not leave a message as it is. */
gllm_status rank_prompt_open(struct rank_prompt *p, const struct model_files *f, const struct rank_question *q, gllm_error *err);
void rank_prompt_free(struct rank_prompt *p);
/* The tokens of the prompt up to the document's end: as many as leave room for the tail in `limit`; full_count is without the limit. The document is cut at its
 * end or (from_start) at its beginning; the query only when it leaves no room (*query_cut). GLLM_TOO_LONG: the tail alone reaches the limit. */
gllm_status rank_prompt_encode(struct rank_prompt *p, const struct model_files *f, gllm_str document, uint32_t limit, bool from_start, struct encoding *out, bool *query_cut, gllm_error *err);
#endif
