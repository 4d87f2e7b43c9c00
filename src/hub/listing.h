/* listing.h - what a repository holds, as its hub's API tells: the only reader of that JSON.
 *
 * Two forms are read. Hugging Face's, of /api/models/ORG/NAME/revision/REVISION?blobs=true:
 *     {"sha": commit, "siblings": [{"rfilename", "size", "blobId", "lfs": {"sha256", "size"}}]}       (huggingface_hub: hf_api.py, RepoSibling)
 * ModelScope's, of /api/v1/models/ORG/NAME/repo/files?Revision=REVISION&Recursive=true:
 *     {"Code": 200, "Data": {"Files": [{"Path", "Type": "blob", "Size", "Sha256"}]}}                 (modelscope: hub/api.py, get_model_files)
 * A path that would leave the model's folder is refused, whatever it is for. */
#ifndef GLLM_HUB_LISTING_H
#define GLLM_HUB_LISTING_H
#include "base/arena.h"
#include "base/error.h"

enum { HUB_NO_SIZE = -1 };
struct hub_file {
    const char *path;   /* inside the repository, with / */
    int64_t size;       /* HUB_NO_SIZE: not told */
    const char *sha256; /* 64 digits in lower case; NULL: not told */
    const char *oid;    /* git's name of the content, 40 digits or more; NULL: not told */
};
struct hub_listing {
    struct arena arena;
    const char *commit; /* NULL: not told (ModelScope) */
    struct hub_file *files; /* [n_files] */
    size_t n_files;
};
/* `name` is how messages call the text. GLLM_FORMAT. hub_listing_free in any case. */
gllm_status hub_listing_parse(struct hub_listing *out, const char *text, size_t len, const char *name, gllm_error *err);
void hub_listing_free(struct hub_listing *l);
const struct hub_file *hub_listing_find(const struct hub_listing *l, const char *path); /* NULL: there is none */
bool hub_file_same(const struct hub_file *a, const struct hub_file *b); /* their sums are known and say that they hold the same */
/* No empty, "." or ".." part, no backslash and no control character, at most 512 bytes. */
bool hub_path_is_safe(const char *path);
#endif
