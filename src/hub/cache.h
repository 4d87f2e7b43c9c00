/* cache.h - which models lie on this machine: below HOME/models and in a Hugging Face cache. */
#ifndef GLLM_HUB_CACHE_H
#define GLLM_HUB_CACHE_H
#include "base/arena.h"
#include "base/error.h"

/* The snapshot of repository ORG/NAME in CACHE/models--ORG--NAME, case ignored: that of refs/main, else the only one. Owned (free); NULL: none, or one
 * that is not whole: without weights, or without a shard that an index names, as an unfinished download leaves it. */
char *cache_snapshot(const char *cache, const char *repo);

struct hub_local {
    const char *repo; /* ORG/NAME; NAME alone for a folder that is called so */
    const char *path;
    uint64_t bytes;   /* of the files in it, links followed */
};
/* Every folder of HOME/models, then every whole snapshot of `cache` (NULL: none) whose repository is not among these, each by its name. What lies in neither is no error. All in `arena`. */
gllm_status hub_local_list(const char *home, const char *cache, struct arena *arena, const struct hub_local **out, size_t *count, gllm_error *err);
#endif
