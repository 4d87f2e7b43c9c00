/* fuzz_config.c - any bytes as a config.json: it gives sane numbers or is refused. */
#include <stdlib.h>

#include "model/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    json_t *root;
    gllm_error err;
    const struct arch *arch;
    struct model_cfg c;
    struct arena arena = {0};
    if (json_parse((const char *)data, size, "fuzz", &root, &err) != GLLM_OK) return 0;
    if (config_read(root, "fuzz", &arena, &arch, &c, &err) == GLLM_OK && ((!c.causal && c.n_head * c.d_head != c.d_model) || (c.causal && !c.layers) || !c.n_layer || !c.d_embd || !c.n_pos)) abort();
    arena_free(&arena);
    json_decref(root);
    return 0;
}
