/* routes.c - every table of routes. */
#include <stddef.h>

#include "server.h"

extern const struct route service_routes[];      /* health, models, version */
extern const struct route page_routes[];         /* / */
extern const struct route metrics_routes[];      /* /metrics */
extern const struct route openai_embed_routes[]; /* /v1/embeddings */
extern const struct route rerank_routes[];       /* /rerank, /v1/rerank, /v2/rerank */
extern const struct route tei_routes[];          /* /embed, /predict … */
extern const struct route cohere_routes[];       /* /v1/embed, /v2/embed */
extern const struct route ollama_embed_routes[]; /* /api/embed, /api/embeddings */
extern const struct route chat_routes[];         /* /v1/chat/completions */
extern const struct route completion_routes[];   /* /v1/completions */
extern const struct route response_routes[];     /* /v1/responses */
extern const struct route ollama_routes[];       /* /api/chat, /api/generate, /api/tags … */

const struct route *const route_tables[] = {service_routes, page_routes, metrics_routes, openai_embed_routes, rerank_routes, tei_routes, cohere_routes, ollama_embed_routes,
                                            chat_routes, completion_routes, response_routes, ollama_routes, NULL};
