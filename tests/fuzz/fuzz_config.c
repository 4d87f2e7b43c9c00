/* fuzz_config.c - any bytes as a config.json: it gives sane numbers or is refused. */
#include <stdlib.h>

#include "model/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    json_t *root;
    gllm_error err;
    const struct arch *arch;
    struct model_cfg c;
    if (json_parse((const char *)data, size, "fuzz", &root, &err) != GLLM_OK) return 0;
    if (config_read(root, "fuzz", &arch, &c, &err) == GLLM_OK && (c.n_head * c.d_head != c.d_model || !c.n_layer || !c.d_embd || !c.n_pos)) abort();
    json_decref(root);
    return 0;
}
