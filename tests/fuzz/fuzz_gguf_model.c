/* fuzz_gguf_model.c - any bytes as the GGUF file of a model: configuration, tokenizer, head and names of tensors are read, or one line refuses them.
 * The file lies in memory; no weight is prepared. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "model/model.h"

/* The ids of the special tokens and of a text lie within the word table. */
static void encode(const struct model_files *f) {
    static const char TEXT[] = "The caf\xC3\xA9 [SEP] \xE4\xB8\xAD <s> zz";
    struct encoding e = {0};
    gllm_error err;
    if (tokenizer_encode(f->tokenizer, TEXT, sizeof TEXT - 1, "pair", 4, &(struct encode_options){.add_special = true, .parse_special = true, .max_tokens = f->max_tokens}, &e, &err) == GLLM_OK)
        for (uint32_t i = 0; i < e.count; i++)
            if (e.ids[i] < 0 || (uint32_t)e.ids[i] >= f->cfg.n_vocab) abort();
    encoding_free(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[64];
    struct model_files files;
    struct model *m = NULL;
    const struct log quiet = {0};
    gllm_error err = {0};
    const int fd = memfd_create("fuzz.gguf", 0);
    if (fd < 0 || (size && write(fd, data, size) != (ssize_t)size)) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    gllm_status status = model_files_open(&files, path, &quiet, &err);
    if (status == GLLM_OK) {
        encode(&files);
        status = model_open(&m, &files, NULL, &quiet, &err);
    }
    if (status != GLLM_OK && !err.message[0]) abort(); /* refused without a word */
    if (m && m->files.classifier.n_labels && !m->files.classifier.labels) abort();
    model_close(m);
    close(fd);
    return 0;
}
