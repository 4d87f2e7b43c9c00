/* late.h - late interaction (ColBERT): how its files say that queries and documents are written, which tokens count, and how long they may be.
 *
 * Read is the layout of sentence-transformers' MultiVectorEncoder: Dense and Normalize of token vectors, MultiVectorMask; query_expansion and lengths
 * beside the Transformer. The original ColBERT's (HF_ColBERT) and PyLate's own are refused by name, and queries filled up with tokens that the others do
 * not attend to. */
#ifndef GLLM_MODEL_LATE_H
#define GLLM_MODEL_LATE_H
#include "model/model.h"

/* Adds token vectors to f->outputs where the files are such a model's. GLLM_FORMAT, GLLM_UNSUPPORTED. */
gllm_status late_read(struct model_files *f, gllm_error *err);
#endif
