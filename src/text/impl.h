/* impl.h - a tokenizer as its readers (tokenizer.json, vocab.txt, tables, SentencePiece) build it. */
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
    int32_t end_id; /* of the token that tokenizer_config.json wants at the end (add_eos_token); -1: none */
};
struct tokenizer *tokenizer_create(void); /* empty; NULL: out of memory */
/* vocab.txt in `dir` with the flags of tokenizer_config.json (may be NULL), as BertTokenizer reads them. */
gllm_status vocab_txt_read(struct tokenizer *t, const char *path, const json_t *config, gllm_error *err);
/* The highest id among added tokens, unless *out is higher; their spellings into the vocabulary, which has room for them. */
gllm_status tokenizer_highest_added(const json_t *list, uint32_t *out, const char *name, gllm_error *err);
gllm_status tokenizer_add_tokens(struct tokenizer *t, const json_t *list, const char *name, gllm_error *err);

struct tables_rules { /* what GGUF's tables do not say of SentencePiece's kinds */
    enum dummy_prefix prefix;
    bool suffix, escape_whitespaces, byte_fallback;
    int second_type; /* token type of a pair's second text */
    json_t *added;   /* borrowed; the added tokens, as tokenizer.json lists them, whose ids may exceed the tables; NULL: the types say it */
};
gllm_status tables_build(struct tokenizer *t, const struct tokenizer_tables *tables, const struct tables_rules *rules, const char *name, gllm_error *err);
/* A SentencePiece model with tokenizer_config.json (and special_tokens_map.json) and added_tokens.json, which may be NULL, as the slow
 * tokenizers of transformers read them. */
gllm_status spm_build(struct tokenizer *t, const void *data, size_t len, const json_t *config, json_t *added, const char *name, gllm_error *err);
#endif
