/* tree.h - folders with everything in them. */
#ifndef GLLM_HUB_TREE_H
#define GLLM_HUB_TREE_H
#include "base/error.h"

gllm_status tree_make(const char *path, gllm_error *err); /* and the folders on the way; what is there is no error. GLLM_IO */
/* `visit` for all that is no folder below `dir`, by its path in there (borrowed). `dir` may be a link to a folder; what is not there
 * is no error. Ends with the first error. */
typedef gllm_status (*tree_visit_fn)(void *user, const char *path, gllm_error *err);
gllm_status tree_walk(const char *dir, tree_visit_fn visit, void *user, gllm_error *err);
/* Removes `path` and everything in it; links themselves, not what they point to. *bytes (may be NULL) grows by the sizes of files. GLLM_IO; what is not
 * there is no error. */
gllm_status tree_remove(const char *path, uint64_t *bytes, gllm_error *err);
gllm_status tree_sync_one(const char *path, gllm_error *err); /* the entries of this folder are on the disk */
gllm_status tree_sync(const char *path, gllm_error *err); /* and those of the folders below */
#endif
