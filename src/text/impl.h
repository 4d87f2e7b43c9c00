/* impl.h - a tokenizer as its two readers (tokenizer.json, vocab.txt) build it. */
#ifndef GLLM_TEXT_IMPL_H
#define GLLM_TEXT_IMPL_H
#include "text/parts.h"

struct tokenizer {
    struct arena arena;
    struct vocab vocab;
    struct normalizer *normalizer;
    struct pretok *pretok;
    struct token_model *model;
    struct template *template;
    struct decoder *decoder;
    struct added *added;
    uint64_t model_max_length;
    int32_t pad_id; /* -1: none */
};
struct tokenizer *tokenizer_create(void); /* empty; NULL: out of memory */
/* vocab.txt in `dir` with the flags of tokenizer_config.json (may be NULL), as BertTokenizer reads them. */
gllm_status vocab_txt_read(struct tokenizer *t, const char *path, const json_t *config, gllm_error *err);
#endif
