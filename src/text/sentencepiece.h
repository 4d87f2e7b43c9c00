/* sentencepiece.h - a SentencePiece model file (`tokenizer.model`) as data: sentencepiece_model.proto, read from its protobuf bytes.
 *
 *   ModelProto       1 pieces: {1 text, 2 score f32, 3 type}   2 trainer_spec   3 normalizer_spec   5 denormalizer_spec
 *   TrainerSpec      3 model_type   24 treat_whitespace_as_suffix   35 byte_fallback   40…43 unk, bos, eos, pad id   45…48 their pieces
 *   NormalizerSpec   2 precompiled_charsmap   3 add_dummy_prefix   4 remove_extra_whitespaces   5 escape_whitespaces
 *
 * Refused: what the library refuses (no pieces, an empty one, one that stands twice, not exactly one unknown piece), text that is not UTF-8,
 * scores that are no numbers, model types other than unigram and bpe, and rules for denormalisation. */
#ifndef GLLM_TEXT_SENTENCEPIECE_H
#define GLLM_TEXT_SENTENCEPIECE_H
#include "text/tokenizer.h"

struct spm_str { /* borrowed from the file; text NULL: not said */
    const char *text;
    size_t len;
};
struct spm_model {
    struct tokenizer_str *pieces; /* [n]; owned, the texts are borrowed from the file */
    float *scores;
    int32_t *types; /* enum piece_type */
    size_t n;
    bool bpe, byte_fallback, suffix; /* bpe false: unigram */
    int32_t unk, bos, eos, pad;      /* ids; -1: none */
    struct spm_str charsmap;
    bool dummy_prefix, remove_extra_whitespaces, escape_whitespaces;
};
/* GLLM_FORMAT and GLLM_UNSUPPORTED: "NAME: [byte N:] what was found, what was expected". Afterwards, and after an error too, spm_free. */
gllm_status spm_read(struct spm_model *out, const void *data, size_t len, const char *name, gllm_error *err);
void spm_free(struct spm_model *m);
#endif
