/* fuzz_tokenizer.c - any bytes as a tokenizer.json: it opens or is refused; what opens encodes and decodes, at once and in a stream alike. */
#include "fuzz/tokenizer_round.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct tokenizer *t;
    gllm_error err;
    if (tokenizer_read(&t, (const char *)data, size, "fuzz", &err) == GLLM_OK) tokenizer_round(t, data, size);
    return 0;
}
