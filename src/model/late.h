/* late.h - how a model of late interaction writes queries and documents, in the three layouts that there are:
 *
 *   sentence-transformers' MultiVectorEncoder   Dense and Normalize of token vectors, MultiVectorMask; query_expansion and lengths beside the Transformer
 *   PyLate's first versions                     a Dense; prefixes, lengths and words to leave out in config_sentence_transformers.json
 *   ColBERT's own (HF_ColBERT)                  linear.weight among the body's weights; artifact.metadata
 *
 * The values are those of sentence-transformers' MultiVectorEncoder, which reads all three. */
#ifndef GLLM_MODEL_LATE_H
#define GLLM_MODEL_LATE_H
#include "model/model.h"

/* Adds token vectors to f->outputs where the files are such a model's; *pools becomes false where it gives nothing else. GLLM_FORMAT, GLLM_UNSUPPORTED. */
gllm_status late_read(struct model_files *f, bool *pools, gllm_error *err);
#endif
