/* fuzz_safetensors.c - any bytes as a safetensors file: it opens or is refused; what opens can be read to its last byte. */
#include <stdlib.h>

#include "format/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena = {0};
    struct safetensors st;
    gllm_error err;
    volatile unsigned char seen = 0;
    volatile float value = 0;
    if (safetensors_read(&st, &arena, data, size, "fuzz", &err) == GLLM_OK)
        for (size_t i = 0; i < st.n_tensors; i++) {
            const struct tensor *t = &st.tensors[i];
            const unsigned char *p = t->data;
            if (t->bytes) seen = (unsigned char)(p[0] + p[t->bytes - 1]);
            if (dtype_traits(t->dtype)->computed && t->bytes) {
                float f;
                dtype_to_f32(t->dtype, p, &f, 1);
                value = f;
            }
        }
    (void)seen, (void)value;
    arena_free(&arena);
    return 0;
}
