/* fuzz_sentencepiece.c - any bytes as a SentencePiece model: it opens or is refused; what opens encodes the bytes' own text and more. */
#include "fuzz/tokenizer_round.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct tokenizer *t;
    gllm_error err = {0};
    if (tokenizer_read_sentencepiece(&t, data, size, "fuzz", &err) == GLLM_OK) tokenizer_round(t, data, size);
    else if (!err.message[0]) abort(); /* refused without a word */
    return 0;
}
