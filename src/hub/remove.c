#include "hub/remove.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "hub/gguf_name.h"
#include "hub/locate.h"
#include "hub/store.h"
#include "hub/tree.h"

static bool never(void *user, const struct fetch_item *item) { return (void)user, (void)item, false; }

/* In one step out of sight, then away. */
static gllm_status remove_folder(const struct hub_store *s, uint64_t *bytes, gllm_error *err) {
    struct stat st;
    if (!lstat(s->folder, &st) && S_ISLNK(st.st_mode)) return tree_remove(s->folder, bytes, err);
    if (rename(s->folder, s->fresh) && errno != ENOENT) return err_set(err, GLLM_IO, "%s: cannot remove: %s", s->folder, strerror(errno));
    TRY(tree_remove(s->fresh, bytes, err));
    return tree_remove(s->parts, bytes, err);
}

static gllm_status remove_files(const struct hub_store *s, const char *choice, uint64_t *bytes, gllm_error *err) {
    struct hub_gguf_files files;
    size_t hits;
    TRY(hub_gguf_files(&files, s->folder, err));
    const size_t hit = gguf_name_choose(files.models, files.n_models, choice, &hits);
    gllm_status status = hit == files.n_models ? err_set(err, GLLM_NOT_FOUND, "%s: found %zu GGUF files that \"%.100s\" names, expected one", s->folder, hits, choice) : GLLM_OK;
    for (size_t i = 0; status == GLLM_OK && i < files.n; i++) {
        if (!gguf_name_same_set(files.models[hit], files.names[i])) continue;
        char *path = path_join(s->folder, files.names[i]);
        status = path ? tree_remove(path, bytes, err) : err_nomem(err, s->folder);
        free(path);
    }
    const bool last = status == GLLM_OK && files.n_models == 1;
    hub_gguf_files_free(&files);
    return last ? remove_folder(s, bytes, err) : status;
}

static gllm_status remove_from(const char *home, const char *folder, const char *choice, uint64_t *bytes, gllm_error *err) {
    struct hub_store s;
    gllm_status status = hub_store_open(&s, home, path_base(folder), NULL, never, NULL, err);
    if (status == GLLM_CANCELED) status = err_set(err, GLLM_BUSY, "%s: another process fetches this model", folder);
    else if (status == GLLM_OK) status = choice ? remove_files(&s, choice, bytes, err) : remove_folder(&s, bytes, err);
    hub_store_close(&s);
    return status;
}

gllm_status hub_remove(const char *model, const char *home, const char *cache, uint64_t *bytes, gllm_error *err) {
    char *folder = NULL;
    const char *choice, *unused;
    if (bytes) *bytes = 0;
    if (!model || !*model) return err_set(err, GLLM_INVALID, "no model given; expected an alias, ORG/NAME or NAME");
    gllm_status status = hub_locate_folder(model, home, NULL, &folder, &choice, &unused, err);
    if (status == GLLM_OK) status = remove_from(home, folder, choice, bytes, err);
    else if (status == GLLM_NOT_FOUND && cache && hub_locate_folder(model, home, cache, &folder, &choice, &unused, NULL) == GLLM_OK)
        status = err_set(err, GLLM_UNSUPPORTED, "%s: lies in the Hugging Face cache (%s), which is not gllm's to change", model, folder);
    free(folder);
    return status;
}
