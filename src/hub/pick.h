/* pick.h - which files of a repository a model needs.
 *
 * Of the weights one form: safetensors before torch's, one file before shards, in the repository's root and in the folders that modules.json names; or
 * one GGUF file (all parts of a split one) and nothing else. Of the rest what the model layer, the tokenizer and the chat template read, and the
 * licence; never ONNX, TensorFlow, code or training leftovers. */
#ifndef GLLM_HUB_PICK_H
#define GLLM_HUB_PICK_H
#include "hub/listing.h"

struct hub_want {
    const char *choice;   /* a GGUF file or a word of its name; NULL: the model as it is */
    const char *fallback; /* likewise, when there is no choice, the repository holds GGUF alone, and several; NULL: Q4_K_M */
    /* Reads a small file of the repository (modules.json, an index of shards) that says which others are needed. *text is owned by the caller (free). */
    gllm_status (*read)(void *user, const struct hub_file *f, char **text, size_t *len, gllm_error *err);
    void *user;
};
/* picked[l->n_files]: whether each file is needed. `name` is how messages call the repository. GLLM_NOT_FOUND: it holds no file of the chosen name;
 * GLLM_INVALID: several and none was chosen; GLLM_UNSUPPORTED: no weights that are read here. */
gllm_status hub_pick(const struct hub_listing *l, const struct hub_want *want, const char *name, bool *picked, gllm_error *err);
#endif
