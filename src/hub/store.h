/* store.h - the folder of one fetched model, HOME/models/ORG--NAME, and what is made of parts until it is whole.
 *
 * Invariant: that folder is there whole or not at all, whenever the process or the machine ends. Beside it, hidden from everybody else:
 *     .lock.ORG--NAME    held by the process that changes the model
 *     .parts.ORG--NAME/  contents by their sums: SUM.part grows, SUM is whole and checked
 *     .new.ORG--NAME/    the folder to be, of links to these and to what the present one keeps; it takes the folder's place in one step
 * The folder holds .gllm.json: what it is (repository, revision, commit, endpoint, time) and its files with sizes and sums. */
#ifndef GLLM_HUB_STORE_H
#define GLLM_HUB_STORE_H
#include "hub/fetch.h"
#include "hub/listing.h"

struct hub_store { /* all owned */
    char *models, *folder, *parts, *fresh, *lock;
    int lock_fd;
};
/* Makes the folders on the way and takes the lock; waits while another process holds it, and tells the log so. The spelling of a folder that is there
 * already counts, case ignored. `name` is ORG--NAME, or what else the folder is called. GLLM_IO, GLLM_CANCELED (tick). hub_store_close in any case. */
gllm_status hub_store_open(struct hub_store *s, const char *home, const char *name, const struct log *log, fetch_tick_fn tick, void *user, gllm_error *err);
void hub_store_close(struct hub_store *s); /* gives the lock back */

/* Where the content of f lies in the parts, owned by the caller (free). Equal contents lie in one place. */
gllm_status hub_store_part(const struct hub_store *s, const struct hub_file *f, const char *commit, char **out, gllm_error *err);

/* What .gllm.json says of the files, in the form of a hub's own answer; all-zero when there is none that can be read. hub_listing_free. */
void hub_store_record(struct hub_listing *out, const char *folder);

struct hub_origin { /* what a record says beside the files */
    const char *repo, *revision, *endpoint;
    const struct hub_listing *listing;
};
/* Makes the folder of the n files, whose parts are whole, and of what the present folder holds beside them: a person's own files, and of those that
 * were fetched before GGUF files, which stand alone, and what the commit still has. The parts go. GLLM_IO, GLLM_NOMEM. */
gllm_status hub_store_install(const struct hub_store *s, const struct hub_origin *from, const struct hub_file *const *files, size_t n, gllm_error *err);
#endif
