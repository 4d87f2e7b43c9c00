#include "token_text.h"

#include <string.h>

static char *text_of(gllm_client *client, const char *model, const int32_t *ids, size_t n) {
    char *text = NULL;
    return gllm_detokenize(client, model, ids, n, true, &text, NULL) == GLLM_OK ? text : NULL;
}

char *token_text(gllm_client *client, const char *model, int32_t before, int32_t id) {
    const int32_t pair[2] = {before, id};
    char *alone = text_of(client, model, &id, 1);
    if (before < 0 || !alone) return alone;
    char *first = text_of(client, model, pair, 1), *both = text_of(client, model, pair, 2);
    const size_t n = first ? strlen(first) : 0;
    if (first && both && !strncmp(first, both, n)) {
        gllm_text_free(alone);
        alone = both;
        memmove(alone, alone + n, strlen(alone + n) + 1);
        both = NULL;
    }
    gllm_text_free(first);
    gllm_text_free(both);
    return alone;
}
