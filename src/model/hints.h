/* hints.h - what is known of a model beside its files: the files say it first, a hint stands where they are silent.
 *
 * All-zero: nothing is known. Texts and lists are borrowed and live as long as the program (they come from a constant table). */
#ifndef GLLM_MODEL_HINTS_H
#define GLLM_MODEL_HINTS_H
#include <stdint.h>

#include "base/error.h"

enum hint_task { HINT_TASK_NONE, HINT_TASK_EMBED, HINT_TASK_RERANK, HINT_TASK_GENERATE };
enum hint_rerank { HINT_RERANK_NONE, HINT_RERANK_CROSS_ENCODER, HINT_RERANK_YES_NO, HINT_RERANK_LISTWISE };
enum hint_normalize { HINT_NORMALIZE_NONE, HINT_NORMALIZE_ON, HINT_NORMALIZE_OFF };
/* The texts of a prompt that holds many documents: prefix, lead, each passage followed by a newline, query, suffix. {n}: how many
 * documents, {i}: which, from 0; {query}, {document}: the caller's text, the only places that are no template. */
struct hint_listwise {
    const char *prefix, *lead, *instruction, *passage, *query, *suffix; /* instruction: after lead, when the caller gives {task} */
};
struct model_hints {
    const char *name;          /* how the one who knows calls the model; NULL: nothing is known */
    const char *licence;       /* never NULL when the name is not */
    enum hint_task task;
    uint32_t pooling;          /* enum pool_kind; 0: none */
    enum hint_normalize normalize;
    const char *query_prompt, *document_prompt; /* before a text of that kind, {task} in them stands for `instruction`; NULL: not known */
    const char *instruction;   /* what {task} is unless the caller says; for a reranker its default instruction. NULL: none */
    const uint32_t *dims;      /* sizes that a vector was trained to be cut to, ascending, 0 at the end; NULL: only the whole one */
    const char *input_before, *input_after; /* special tokens around a text where the tokenizer's files add none: "<s><encoder-only></s>"; NULL: none */
    enum hint_rerank rerank;
    struct hint_listwise listwise; /* of a listwise reranker; prefix NULL: not known */
};
struct model_files;
struct log;
/* Puts what the files of an embedder do not say into f->dir: pooling and length where there are no modules, prompts of names that are not there. */
gllm_status hints_apply(struct model_files *f, const struct log *log, gllm_error *err);
#endif
