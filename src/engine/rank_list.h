/* rank_list.h - rerankers that read many documents in one context (RANKER_LIST), as jina-reranker-v3 does. */
#ifndef GLLM_ENGINE_RANK_LIST_H
#define GLLM_ENGINE_RANK_LIST_H
#include "engine/rank.h"

/* The texts of `c` are UTF-8. c->scores are cosines: of each document's vector and the query's, which is the mean of those of all blocks, each with the weight
 * (1 + its best cosine) / 2. GLLM_TOO_LONG: a document alone does not fit the context. */
gllm_status rank_list_submit(struct engine *e, struct rank_call *c, gllm_error *err);
#endif
