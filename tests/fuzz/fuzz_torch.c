/* fuzz_torch.c - any bytes as a file of torch.save: it opens or is refused; what opens can be read to its last byte. The first byte says whether the rest is
 * the file, or a pickle that is put into an archive with two storages. */
#include <stdlib.h>
#include <string.h>

#include "format/torch_zip.h"
#include "unit/zip_writer.h"

static void read_tensors(const struct torch_zip *z) {
    volatile unsigned char seen = 0;
    for (size_t i = 0; i < z->n_tensors; i++) {
        const struct tensor *t = &z->tensors[i];
        const unsigned char *p = t->data;
        if (t->bytes) seen = (unsigned char)(p[0] + p[t->bytes - 1]);
    }
    (void)seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena = {0};
    struct torch_zip z;
    gllm_error err;
    struct zip_writer w = {0};
    if (!size) return 0;
    if (data[0] & 1) {
        static const uint8_t STORAGE[64] = {1, 2, 3};
        zip_add(&w, "a/data.pkl", data + 1, size - 1);
        zip_add(&w, "a/data/0", STORAGE, 24);
        zip_add(&w, "a/data/1", STORAGE, 64);
        zip_end(&w);
        data = w.data, size = w.size;
    } else data++, size--;
    if (torch_zip_read(&z, &arena, data, size, "fuzz", &err) == GLLM_OK) read_tensors(&z);
    arena_free(&arena);
    free(w.data);
    return 0;
}
