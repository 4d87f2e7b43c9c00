/* pull.h - a model from a hub into HOME/models. */
#ifndef GLLM_HUB_PULL_H
#define GLLM_HUB_PULL_H
#include "hub/fetch.h"

struct hub_progress { /* texts are borrowed until the call returns */
    const char *repo, *file;        /* ORG/NAME; the file whose bytes came last, "" at first */
    uint64_t file_bytes, file_total;
    uint64_t bytes, total;          /* of all files, with what was there before; total 0: not known yet */
    size_t n_done, n_files;
};
typedef bool (*hub_progress_fn)(void *user, const struct hub_progress *p); /* some times a second; false ends it */

struct hub_request { /* all borrowed */
    const char *model;    /* as hub_locate takes it, but no path: ALIAS[:QUANT[:FILE]], ORG/NAME[:FILE] */
    const char *quant;    /* what would follow a colon in `model`; NULL: nothing more */
    const char *revision; /* branch, tag or commit; NULL: the registry's, else main */
    const char *home;     /* models go to HOME/models/ORG--NAME */
    const struct hub_net *net;
    const struct log *log;
    hub_progress_fn progress; /* NULL: none */
    void *user;
};
bool hub_can_pull(const char *model); /* whether the name is one that hub_pull takes: nothing is looked for */
/* Fetches what hub_pick says, of one commit; what is there already is not fetched again. *path (may be NULL) is the folder or the GGUF file, owned by
 * the caller (free). The errors of hub_store_open, hub_listing_parse, hub_pick, fetch_run and hub_store_install, as sentences that name the repository;
 * GLLM_NOT_FOUND: no such repository, revision or form, or it is not public; GLLM_DOWNLOAD: gated, or refused; GLLM_IO: too little space on the disk. */
gllm_status hub_pull(const struct hub_request *q, char **path, gllm_error *err);
#endif
