/* remove.h - a model that lies in HOME/models, away. */
#ifndef GLLM_HUB_REMOVE_H
#define GLLM_HUB_REMOVE_H
#include "base/error.h"

/* Removes the folder that `model` names (as hub_locate takes it, but no path) with what an unfinished fetch left; with MODEL:FILE that GGUF file (all
 * parts of it) alone, and the folder with the last one. A link goes itself, not what it points to. *bytes (may be NULL) is what that freed.
 * GLLM_NOT_FOUND; GLLM_BUSY: a process fetches it; GLLM_UNSUPPORTED: it lies in the Hugging Face cache (NULL: not looked there), which is not ours; GLLM_IO. */
gllm_status hub_remove(const char *model, const char *home, const char *cache, uint64_t *bytes, gllm_error *err);
#endif
