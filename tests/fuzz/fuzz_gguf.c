/* fuzz_gguf.c - any bytes as a GGUF file: it opens or is refused; what opens can be read, each value and each tensor to its last byte. */
#include <stdlib.h>

#include "format/gguf.h"

static unsigned sum_value(const struct gguf *g, const struct gguf_entry *e) {
    struct gguf_array a = e->value;
    struct gguf_str s;
    double d = 0;
    int64_t i = 0;
    unsigned sum = (unsigned)e->key.len;
    for (uint64_t k = 0; k < a.count && k < 64; k++) sum += gguf_at_f64(&a, k, &d) + gguf_at_i64(&a, k, &i) + (unsigned)i;
    while (gguf_next_str(&a, &s)) sum += s.len ? (unsigned char)s.data[s.len - 1] : 0u;
    return sum + (unsigned)g->n_entries;
}

static unsigned sum_tensor(const struct tensor *t) {
    const struct dtype_traits *d = dtype_traits(t->dtype);
    const unsigned char *p = t->data;
    float f[256];
    if (!t->bytes) return 0;
    if (d->computed) {
        dtype_to_f32(t->dtype, p, f, d->block);
        dtype_to_f32(t->dtype, p + t->bytes - d->bytes, f, d->block);
    }
    return (unsigned)p[0] + p[t->bytes - 1] + (d->computed && f[0] > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const KEYS[] = {"general.alignment", "general.architecture", "a", ""};
    struct arena arena = {0};
    struct gguf g;
    gllm_error err;
    unsigned seen = 0;
    if (gguf_read(&g, &arena, data, size, "fuzz", &err) == GLLM_OK) {
        for (size_t i = 0; i < g.n_entries; i++) seen += sum_value(&g, &g.entries[i]);
        for (size_t i = 0; i < g.n_tensors; i++) seen += sum_tensor(&g.tensors[i]);
        for (unsigned i = 0; i < sizeof KEYS / sizeof *KEYS; i++) {
            uint64_t u = 0;
            double d = 0;
            bool b = false, found = false;
            struct gguf_str s;
            struct gguf_array a;
            seen += gguf_u64(&g, KEYS[i], &u, &found, &err) + gguf_f64(&g, KEYS[i], &d, NULL, &err) + gguf_bool(&g, KEYS[i], &b, NULL, &err);
            seen += gguf_str(&g, KEYS[i], &s, NULL, &err) + gguf_array(&g, KEYS[i], &a, NULL, &err) + found;
        }
    } else if (!err.message[0]) abort(); /* refused without a word */
    volatile unsigned sink = seen; /* keeps the reads */
    (void)sink;
    arena_free(&arena);
    return 0;
}
