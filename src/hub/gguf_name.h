/* gguf_name.h - names of GGUF files in a model's folder or repository, "m-Q4_K_M.gguf" or "Q8_0/m-00001-of-00003.gguf". */
#ifndef GLLM_HUB_GGUF_NAME_H
#define GLLM_HUB_GGUF_NAME_H
#include <stdbool.h>
#include <stddef.h>

bool gguf_name_is(const char *path); /* any file that ends so */
/* A whole file or the first part of a split one; not the image encoder that may lie beside a model. */
bool gguf_name_is_model(const char *path);
bool gguf_name_same_set(const char *first, const char *path); /* `path` is `first`, or another part of the split file whose first part that is */

/* Which of names[0, n) `choice` means: a name with or without its folder and .gguf, else a whole word of a name such as Q4_K_M; case is ignored.
 * NULL: any. *hits: how many fit. n: none or several do. */
size_t gguf_name_choose(const char *const *names, size_t n, const char *choice, size_t *hits);
#endif
