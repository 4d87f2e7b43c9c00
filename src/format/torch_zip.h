/* torch_zip.h - torch.save's files (pytorch_model.bin, *.pt): a zip archive of a pickle and of the tensors' storages.
 *
 *   NAME/data.pkl     a pickle: {"encoder.weight": _rebuild_tensor_v2(storage, offset, size, stride, …), …}
 *   NAME/data/KEY     a storage's elements, stored as they are: tensors borrow from here
 *   NAME/byteorder    "little", where it is there
 *
 * A pickle is a program. Nothing is run here: of its instructions only those are known that build dictionaries, lists, tuples and scalars, and
 * the only names that may stand in it are those that a dictionary of tensors needs: torch._utils._rebuild_tensor_v2 and _rebuild_parameter,
 * collections.OrderedDict and torch.*Storage. Any other name, any other instruction, any other use of these is refused with its name and byte.
 * Refused as well: a storage whose bytes are not its elements', a tensor outside its storage or not row-major, a value that is no tensor. */
#ifndef GLLM_FORMAT_TORCH_ZIP_H
#define GLLM_FORMAT_TORCH_ZIP_H
#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"
#include "tensor/tensor.h"

struct torch_zip {
    struct tensor *tensors; /* [n_tensors] in the dictionary's order; owned by the arena given */
    size_t n_tensors;
};
bool torch_zip_is(const void *data, uint64_t size); /* an archive, or what torch before 1.6 wrote, which torch_zip_read refuses by name */
/* Reads a whole file in memory. `name` is how messages call the file. `data` stays borrowed by the tensors. GLLM_FORMAT: a malformed file;
 * GLLM_UNSUPPORTED: one that is not a dictionary of tensors. */
gllm_status torch_zip_read(struct torch_zip *out, struct arena *arena, const void *data, uint64_t size, const char *name, gllm_error *err);
#endif
