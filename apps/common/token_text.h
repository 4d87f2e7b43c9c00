/* token_text.h - the text of one token, for lists of log-probabilities.
 *
 * It is what the token adds behind the one before it, since some decoders treat the first token of a text apart. */
#ifndef GLLM_COMMON_TOKEN_TEXT_H
#define GLLM_COMMON_TOKEN_TEXT_H
#include "gllm.h"

/* What `id` adds behind `before` (-1: none) in the model of this name (NULL: the first). Owned (gllm_text_free); NULL: no memory. */
char *token_text(gllm_client *client, const char *model, int32_t before, int32_t id);
#endif
