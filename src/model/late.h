/* late.h - late interaction (ColBERT): how its files say that queries and documents are written, which tokens count, and how long they may be.
 *
 * Three forms are read: sentence-transformers' modules (a Dense of token vectors, MultiVectorMask; query_expansion and lengths beside the Transformer);
 * PyLate's (a pylate Dense, and query_prefix, document_prefix … in config_sentence_transformers.json); and that of the original ColBERT (architecture
 * HF_ColBERT, linear.weight beside the body, artifact.metadata). */
#ifndef GLLM_MODEL_LATE_H
#define GLLM_MODEL_LATE_H
#include "model/model.h"

/* Adds token vectors to f->outputs where the files are such a model's. GLLM_FORMAT, GLLM_UNSUPPORTED. */
gllm_status late_read(struct model_files *f, gllm_error *err);
#endif
