/* locate.h - from what a user calls a model to the directory or file that holds it. */
#ifndef GLLM_HUB_LOCATE_H
#define GLLM_HUB_LOCATE_H
#include "base/error.h"

/* `model`: a path that exists; an alias of the registry, ALIAS:QUANT for a quantised form of it; ORG/NAME; or NAME alone when one model folder
 * ends in --NAME, case ignored. A repository is looked for in HOME/models/ORG--NAME, then in CACHE/models--ORG--NAME, the layout of the Hugging
 * Face cache, where refs/main says which snapshot counts; cache NULL: not there. A folder without
 * safetensors stands for the one GGUF file (or split set) in it; of several, and beside safetensors, MODEL:FILE or MODEL:QUANT chooses: QUANT is a
 * whole word of the file's name such as Q4_K_M, case ignored.
 * *out is owned by the caller (free). GLLM_NOT_FOUND says where was looked and what is there, or for a model of the registry its repository,
 * licence and where its files are expected; GLLM_INVALID lists the files of which none was chosen, or says that nothing follows a colon. */
gllm_status hub_locate(const char *model, const char *home, const char *cache, char **out, gllm_error *err);

/* The folder alone, of ALIAS, ORG/NAME or NAME, and what follows a colon: *choice, borrowed from `model`, NULL for nothing; *fallback: the file that
 * counts when there is no choice and there are several, NULL or static. The same errors. */
gllm_status hub_locate_folder(const char *model, const char *home, const char *cache, char **out, const char **choice, const char **fallback, gllm_error *err);

struct hub_gguf_files { /* of a folder and the folders in it, by their paths in there; owned */
    const char **names;  /* [n] all of them */
    const char **models; /* [n_models] those of `names` that are a model: gguf_name_is_model */
    size_t n, n_models;
};
gllm_status hub_gguf_files(struct hub_gguf_files *out, const char *dir, gllm_error *err); /* GLLM_NOMEM */
void hub_gguf_files_free(struct hub_gguf_files *f);
#endif
