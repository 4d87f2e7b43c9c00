/* static.h - static embeddings: a table of vectors by token, their mean, and no transformer at all.
 *
 * sentence-transformers' StaticEmbedding: `embedding.weight`; every token counts.
 * model2vec: `embeddings`, and where they are there `mapping` (a token's row) and `weights` (what multiplies it); the unknown token is taken out,
 * 512 tokens count. Neither adds special tokens. */
#ifndef GLLM_MODEL_STATIC_H
#define GLLM_MODEL_STATIC_H
#include "model/model.h"

bool static_is(const struct hfdir *d);
/* What open_directory does of such a directory: weights, tokenizer, f->cfg. GLLM_FORMAT. */
gllm_status static_open(struct model_files *f, gllm_error *err);
/* Binds the table, whose rows are then in the order of tokens, and the head. */
gllm_status static_collect(struct model *m, gllm_error *err);
#endif
