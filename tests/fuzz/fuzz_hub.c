/* fuzz_hub.c - a hub's list of files, then what is picked of it; the small files that lead to others are the input, too. */
#include <stdlib.h>
#include <string.h>

#include "hub/pick.h"

struct input {
    const uint8_t *data;
    size_t size;
};
static gllm_status read_again(void *user, const struct hub_file *f, char **text, size_t *len, gllm_error *err) {
    (void)f;
    const struct input *in = user;
    if (!(*text = malloc(in->size + 1))) return err_nomem(err, "fuzz");
    memcpy(*text, in->data, in->size);
    (*text)[in->size] = '\0';
    *len = in->size;
    return GLLM_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct hub_listing l;
    gllm_error err = {0};
    /* What follows the first NUL is what modules.json and indexes hold. */
    const uint8_t *end = size ? memchr(data, 0, size) : NULL;
    const size_t n = end ? (size_t)(end - data) : size;
    struct input rest = {end ? end + 1 : data, end ? size - n - 1 : 0};
    if (hub_listing_parse(&l, (const char *)data, n, "fuzz", &err) == GLLM_OK) {
        static const char *const CHOICES[] = {NULL, "Q4_K_M", "x.gguf"};
        bool *picked = calloc(l.n_files + 1, sizeof *picked);
        for (unsigned i = 0; picked && i < sizeof CHOICES / sizeof *CHOICES; i++) {
            const struct hub_want want = {CHOICES[i], NULL, read_again, &rest};
            if (hub_pick(&l, &want, "fuzz", picked, &err) == GLLM_OK)
                for (size_t k = 0; k < l.n_files; k++)
                    if (picked[k] && !hub_path_is_safe(l.files[k].path)) abort();
        }
        free(picked);
    }
    hub_listing_free(&l);
    return 0;
}
