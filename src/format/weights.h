/* weights.h - the one interface to a model's tensors, whatever the file format.
 *
 * Opened from a safetensors file, a GGUF file (all parts of a split one), a file of torch.save, or a directory with model.safetensors,
 * model.safetensors.index.json, pytorch_model.bin or pytorch_model.bin.index.json: the first of these that is there.
 * Files stay mapped until weights_close; a tensor's data is borrowed from the mapping. Reading is thread-safe. */
#ifndef GLLM_FORMAT_WEIGHTS_H
#define GLLM_FORMAT_WEIGHTS_H
#include "base/error.h"
#include "tensor/tensor.h"

struct gguf;
struct weights;
/* `path`: a file or a model directory. A file is GGUF when its name ends in .gguf or it begins with "GGUF", torch's when it ends in .bin or .pt or
 * begins as a zip archive or as torch's older files do (which are refused), else safetensors;
 * any one of NAME-00001-of-00003.gguf and its kin opens them all. Every shard named by an index must be there, and every
 * tensor must be in the shard that the index says. GLLM_NOT_FOUND: no weights; GLLM_FORMAT, and GLLM_UNSUPPORTED for what is
 * valid but not read, name file, field, found and expected. */
gllm_status weights_open(struct weights **out, const char *path, gllm_error *err);
void weights_close(struct weights *w);
/* Says why directory `dir`, which lacks `what`, is no model that we read: it is empty (GLLM_NOT_FOUND), an adapter, or holds weights in
 * another form (GLLM_UNSUPPORTED, with the name of one). */
gllm_status weights_absent(const char *dir, const char *what, gllm_error *err);

const struct tensor *weights_find(const struct weights *w, const char *name); /* NULL: absent */
size_t weights_count(const struct weights *w);
const struct tensor *weights_at(const struct weights *w, size_t i); /* i < weights_count; in file order */
const char *weights_meta(const struct weights *w, const char *key); /* __metadata__ of the first safetensors file; NULL: absent */
const char *weights_format(const struct weights *w);                /* "safetensors", "gguf" or "torch"; static */
const struct gguf *weights_gguf(const struct weights *w);            /* the metadata of (the first part of) a GGUF file; else NULL */
uint32_t weights_shards(const struct weights *w);
const char *weights_shard_name(const struct weights *w, uint32_t shard); /* file name, borrowed */
uint64_t weights_file_bytes(const struct weights *w);                    /* of all shards */
/* After a backend has taken its copy of t's data: lets the system drop those mapped pages. */
void weights_release(const struct weights *w, const struct tensor *t);
#endif
