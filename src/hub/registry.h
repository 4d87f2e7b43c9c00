/* registry.h - what is known of models beside their files: data/models.json as constant tables, and finding a row.
 *
 * The members are the keys of that file; what a row does not say is NULL, 0 or false. Lists of texts end with NULL, lists of numbers with 0,
 * lists of structs with an all-zero one. Nothing here changes, so everything may be used from any thread. */
#ifndef GLLM_HUB_REGISTRY_H
#define GLLM_HUB_REGISTRY_H
#include "base/error.h"

struct registry_variant { /* a quantised form that exists */
    const char *quant; /* int4 int8 awq gptq gguf fp8 bnb4 bnb8 */
    const char *repo;
    const char *file;  /* which of its GGUF files when the user does not choose: a name, or a word of it; NULL: there is one */
};
struct registry_listwise { /* model/hints.h says what they are */
    const char *prefix, *lead, *instruction, *passage, *query, *suffix;
};
struct registry_model {
    const char *const *aliases; /* at least one */
    const char *const *repos;   /* ORG/NAME; after the first one the names that it had before */
    const char *revision;       /* NULL: main */
    const char *licence, *task, *family; /* task: "embed" "rerank" "generate"; family: a registry_family */
    bool gated;                 /* its terms must be accepted before it can be fetched */
    const char *nearest;        /* not NULL: the repository is not public, and this one is the nearest that is */
    uint32_t dim, max_tokens;   /* of a vector (0: none is given); longest input */
    const uint32_t *dims;       /* sizes that a vector was trained to be cut to, ascending; NULL: the whole one only */
    const char *pooling, *normalize; /* "cls" "mean" "last"; "on" "off" */
    const char *query, *document, *instruction; /* prompts before a text; {task} in them is the instruction unless the caller gives one */
    const char *input_before, *input_after;     /* special tokens around a text that the tokenizer's files do not add */
    const char *rerank;         /* "cross-encoder" "yes-no" "listwise" */
    const struct registry_listwise *listwise;
    const struct registry_variant *variants;
};
struct registry_family { /* models that are computed alike */
    const char *name, *model_type;
    const char *golden, *made_with; /* folder of tests/golden with the values it is held to, and who made them; NULL: there is none */
    const char *missing;            /* why there is none; NULL where there is one */
};
extern const struct registry_model registry_models[];    /* ends with aliases NULL */
extern const struct registry_family registry_families[]; /* ends with name NULL */

/* Case is ignored everywhere. NULL: there is none. */
const struct registry_model *registry_by_alias(const char *alias);
const struct registry_model *registry_by_repo(const char *repo, const struct registry_variant **variant); /* *variant: NULL for the model's own repository */
/* By where a model lies: …/ORG--NAME, …/models--ORG--NAME/snapshots/REVISION, or a file in one of these. */
const struct registry_model *registry_by_path(const char *path);
const char *registry_nearest(const char *word); /* the alias that a mistyped one was meant to be; NULL: none is near */

struct registry_ref { /* what "ALIAS[:QUANT][:FILE]" or "ORG/NAME[:FILE]" means */
    const struct registry_model *model;     /* NULL: not in the registry */
    const struct registry_variant *variant; /* NULL: as it is */
    const char *choice;                     /* FILE, borrowed from the text; NULL: none */
};
/* `head`: the text before the first colon, `rest`: what follows it, or NULL. ALIAS:Q4_K_M is ALIAS:gguf:Q4_K_M. GLLM_NOT_FOUND lists the quantised forms
 * that exist when `rest` asks for another. */
gllm_status registry_resolve(const char *head, const char *rest, struct registry_ref *out, gllm_error *err);
#endif
