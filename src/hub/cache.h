/* cache.h - which models lie on this machine: below HOME/models and in a Hugging Face cache. */
#ifndef GLLM_HUB_CACHE_H
#define GLLM_HUB_CACHE_H
#include "base/arena.h"
#include "base/error.h"

/* The snapshot of a repository in CACHE/models--ORG--NAME: that of refs/main, else the only one. Owned (free); NULL: none. */
char *cache_snapshot(const char *cache, const char *org, int org_len, const char *name);

struct hub_local {
    const char *repo; /* ORG/NAME; NAME alone for a folder that is called so */
    const char *path;
    uint64_t bytes;   /* of the files in it, links followed */
};
/* Every folder of HOME/models, then every snapshot of `cache` (NULL: none), each by its name. What lies in neither is no error. All in `arena`. */
gllm_status hub_local_list(const char *home, const char *cache, struct arena *arena, const struct hub_local **out, size_t *count, gllm_error *err);
#endif
