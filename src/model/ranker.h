/* ranker.h - how a causal model scores documents: which rows of which head are the score, and the prompt that asks for it. What its files say.
 *
 *   RANKER_PAIR  one document at a time: the last token's value for "yes" less the one for "no". Recognised by sentence-transformers' LogitScore module,
 *                by a chat template made for the roles query and document, by a rank head (score of a ForSequenceClassification class; cls.output of GGUF);
 *                where the files say nothing (early Qwen3-Rerankers) a hint does
 *   RANKER_LIST  many documents in one context: the cosine of the projected states of a document's token and the query's. Recognised by its projector
 *   RANKER_NONE  no reranker; it may judge all the same when its tokenizer has a token for "yes" and one for "no" (n_out > 0) */
#ifndef GLLM_MODEL_RANKER_H
#define GLLM_MODEL_RANKER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum score_act { SCORE_IDENTITY, SCORE_SIGMOID, SCORE_SOFTMAX, SCORE_TANH };
enum ranker_kind { RANKER_NONE, RANKER_PAIR, RANKER_LIST };
enum ranker_head {
    RANKER_TOKENS,   /* the language model's head, of which only the rows of `ids` are computed: one or two */
    RANKER_LABELS,   /* the matrix `tensor` [n_out, d_model] */
    RANKER_PROJECTOR /* projector.2 relu(projector.0 x): [d_inside, d_model], [n_out, d_inside] */
};
#define RANKER_DOC_TOKEN "<|embed_token|>" /* RANKER_LIST: the tokens whose states count */
#define RANKER_QUERY_TOKEN "<|rerank_token|>"
struct ranker {
    enum ranker_kind kind;
    enum ranker_head head;
    uint32_t n_out;            /* values that the head gives for a token; 0: there is no head */
    int32_t yes, no;           /* the score is out[yes] - out[no], or out[yes] alone where no is -1 */
    int32_t ids[2];            /* RANKER_TOKENS: of "yes" and "no" */
    const char *tensor;        /* RANKER_LABELS */
    uint32_t d_inside;         /* RANKER_PROJECTOR */
    int32_t doc_token, query_token; /* RANKER_LIST */
    bool roles;                /* the chat template takes the roles system (the instruction), query and document */
    const char *pattern;       /* a prompt with {query} and {document} to be replaced; NULL: none. Neither: the published prompt */
    size_t pattern_len;
    enum score_act model_act;  /* what the files make of a score */
};
struct model_files;
/* Fills f->ranker of a causal model. GLLM_FORMAT, GLLM_UNSUPPORTED: what is wrong with its rank head. */
gllm_status ranker_read(struct model_files *f, gllm_error *err);
#endif
