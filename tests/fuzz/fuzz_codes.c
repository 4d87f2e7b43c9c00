/* fuzz_codes.c - any tensors as those of one module "w" in codes: refused, or read to the last weight and no byte further.
 *
 *   u8 form   u8 bits   u8 group   u8 flags   u16 LE rows   u16 LE cols   |   a safetensors file
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "model/bind_quant.h"

enum { HEAD = 8, MAX_WEIGHTS = 1 << 16, MAX_OWN = 4 };

/* A tensor's bytes in memory of their own, so that a sanitizer sees what lies beyond; other pointers as they are. */
static const void *own(const struct weights *w, const void *p, void **owned) {
    for (size_t i = 0; p && i < weights_count(w); i++) {
        const struct tensor *t = weights_at(w, i);
        if (t->data != p || !t->bytes) continue;
        *owned = malloc((size_t)t->bytes);
        return *owned ? memcpy(*owned, p, (size_t)t->bytes) : p;
    }
    return p;
}

static void read_all(const struct weights *w, const struct weight_part *p, uint32_t cols) {
    struct weight_codes c = *p->codes;
    void *owned[MAX_OWN] = {NULL};
    float *row = malloc(cols * sizeof *row);
    c.codes.data = own(w, c.codes.data, &owned[0]);
    c.zeros.data = own(w, c.zeros.data, &owned[1]);
    c.scales = own(w, c.scales, &owned[2]);
    c.groups = own(w, c.groups, &owned[3]);
    for (uint32_t r = 0; row && r < p->rows; r++) codes_row(&c, cols, r, row);
    for (unsigned i = 0; i < MAX_OWN; i++) free(owned[i]);
    free(row);
}

static void read_file(const char *path, const uint8_t *head) {
    const struct quant_cfg q = {.method = "fuzz", .form = (enum quant_form)(head[0] % (QUANT_BNB + 1)), .bits = 2 + head[1] % 7, .group = head[2], .zeros_less_one = head[3] & 1, .symmetric = head[3] & 2};
    const uint32_t rows = head[4] | (uint32_t)head[5] << 8, cols = head[6] | (uint32_t)head[7] << 8;
    struct weight_part p = {.rows = rows};
    const struct tensor *t;
    struct arena arena = {0};
    struct weights *w;
    gllm_error err;
    if (!rows || !cols || rows * cols > MAX_WEIGHTS || weights_open(&w, path, &err) != GLLM_OK) return;
    if (quant_has_codes(w, "w.weight") && quant_take_codes(w, &q, &arena, "w.weight", cols, &p, &t, &err) == GLLM_OK) read_all(w, &p, cols);
    weights_close(w);
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size <= HEAD) return 0;
    char path[32];
    const int fd = memfd_create("codes", 0);
    if (fd < 0) return 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (write(fd, data + HEAD, size - HEAD) == (ssize_t)(size - HEAD)) read_file(path, data);
    close(fd);
    return 0;
}
