/* tokenizer.h - text to ids and back: normalizer -> pre-tokenizer -> model -> post-processor, and the decoder.
 *
 * A tokenizer is read once and then only read from: every function that takes `const struct tokenizer *` may run on many
 * threads at once. Ids equal those of HF `tokenizers` for the same tokenizer.json. */
#ifndef GLLM_TEXT_TOKENIZER_H
#define GLLM_TEXT_TOKENIZER_H
#include "base/error.h"
#include "text/span.h"

struct tokenizer;
/* Reads tokenizer.json in `dir`; else a SentencePiece model (tokenizer.model, spiece.model, sentencepiece.bpe.model) with added_tokens.json, else
 * vocab.txt (WordPiece), both with tokenizer_config.json and special_tokens_map.json.
 * tokenizer.json's own "truncation" and "padding" sections are ignored: limits are the caller's.
 * GLLM_NOT_FOUND names the files looked for; a component this build lacks is GLLM_UNSUPPORTED by its type's name. */
gllm_status tokenizer_open(struct tokenizer **out, const char *dir, gllm_error *err);
/* The same from the text of a tokenizer.json (fuzzers, GGUF). `name` is how messages call it. */
gllm_status tokenizer_read(struct tokenizer **out, const char *json, size_t len, const char *name, gllm_error *err);
/* The same from the bytes of a SentencePiece model (see text/sentencepiece.h), with the ids, pieces and texts of the library `sentencepiece`. */
gllm_status tokenizer_read_sentencepiece(struct tokenizer **out, const void *data, size_t len, const char *name, gllm_error *err);
/* A tokenizer as lists of pieces, the way that GGUF files hold one. Everything is borrowed for the call. */
struct tokenizer_str {
    const char *text;
    size_t len;
};
struct tokenizer_tables {
    const char *model;   /* "gpt2": byte-level BPE with merges; "llama": BPE by scores; "t5": Unigram; "bert": WordPiece, words begin with U+2581 */
    const char *pre;     /* gpt2: the named pre-tokeniser; NULL: "default" */
    const struct tokenizer_str *tokens; /* [n_tokens] by id */
    const float *scores;                /* [n_tokens]; llama and t5 need them */
    const int32_t *types;               /* [n_tokens] 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte; NULL: all normal */
    const struct tokenizer_str *merges; /* [n_merges] "left right"; gpt2 needs them */
    size_t n_tokens, n_merges;
    const char *charsmap; /* SentencePiece's precompiled normaliser, raw bytes; NULL: none */
    size_t charsmap_len;
    int32_t bos, eos, unk, sep, pad, cls; /* -1: not said */
    int add_bos, add_eos, add_sep;        /* 1, 0; -1: as the model's kind has it */
    int add_space_prefix;                 /* likewise */
    int lowercase, strip_accents;         /* bert; -1: a vocabulary without capitals was made from lower-cased text, which loses its accents */
    bool remove_extra_whitespaces;
};
/* GLLM_UNSUPPORTED names a model or pre-tokeniser that is not built; GLLM_FORMAT what is missing. `name` is how messages call the file. */
gllm_status tokenizer_from_tables(struct tokenizer **out, const struct tokenizer_tables *t, const char *name, gllm_error *err);
void tokenizer_close(struct tokenizer *t);

enum tokenizer_side { TOKENIZER_CUT_END, TOKENIZER_CUT_START };
enum tokenizer_strategy { TOKENIZER_LONGEST_FIRST, TOKENIZER_ONLY_FIRST, TOKENIZER_ONLY_SECOND };
struct encode_options {
    bool add_special;   /* run the post-processor */
    bool parse_special; /* added tokens marked special are recognised in the text (HF's default for encode()) */
    const struct text_span *plain; /* [n_plain] of the first text, in order, apart from each other: no added token marked special is recognised that */
    size_t n_plain;                /* overlaps one of these, whatever parse_special says. Everything else is as without them */
    bool lowercase;     /* lower-case the text first (sentence-transformers' do_lower_case) */
    uint32_t max_tokens; /* 0: no limit; special tokens count */
    enum tokenizer_side side;
    enum tokenizer_strategy strategy; /* which text of a pair is cut; ONLY_* that cannot reach the limit is GLLM_TOO_LONG */
};
struct encoding { /* growable, reusable: all-zero before the first use, encoding_free after the last */
    int32_t *ids;
    uint8_t *types;    /* token type (segment) */
    uint8_t *special;  /* 1: added by the post-processor */
    uint32_t count;
    uint32_t full_count; /* tokens without truncation */
    uint32_t capacity;
};
/* Replaces *out by the encoding of text (and of `pair` unless NULL). GLLM_INVALID: not UTF-8, with the byte's offset. */
gllm_status tokenizer_encode(const struct tokenizer *t, const char *text, size_t len, const char *pair, size_t pair_len, const struct encode_options *opt, struct encoding *out, gllm_error *err);
void encoding_free(struct encoding *e);

/* Text of the ids; owned by the caller (free), NUL-terminated beyond *len. GLLM_INVALID names an id without a token. */
gllm_status tokenizer_decode(const struct tokenizer *t, const int32_t *ids, size_t n, bool skip_special, char **out, size_t *len, gllm_error *err);

/* The same one id at a time, while a model writes. Each push gives the text that no later id can change (whole characters, often none: half a
 * character, a run of byte tokens or what a decoder may still strip waits), token_stream_end the rest: together the text of tokenizer_decode.
 * The text is borrowed until the next call on the stream; a stream serves one thread. After an error only token_stream_close. */
struct token_stream;
gllm_status token_stream_open(struct token_stream **out, const struct tokenizer *t, bool skip_special, gllm_error *err); /* t is borrowed until the close */
/* Special tokens whose spelling `shows` accepts are part of the text, too. */
void token_stream_show(struct token_stream *s, bool (*shows)(const void *user, const char *text, size_t len), const void *user);
gllm_status token_stream_push(struct token_stream *s, int32_t id, const char **text, size_t *len, gllm_error *err); /* GLLM_INVALID: no such id */
gllm_status token_stream_end(struct token_stream *s, const char **text, size_t *len, gllm_error *err);
void token_stream_close(struct token_stream *s); /* accepts NULL */

uint32_t tokenizer_vocab_size(const struct tokenizer *t); /* highest id + 1 */
const char *tokenizer_piece(const struct tokenizer *t, int32_t id, size_t *len); /* NULL: no such id; borrowed */
bool tokenizer_id(const struct tokenizer *t, const char *piece, size_t len, int32_t *id);
bool tokenizer_is_special(const struct tokenizer *t, int32_t id); /* an added token marked special */
const char *tokenizer_kind(const struct tokenizer *t);            /* "WordPiece"; static */
uint32_t tokenizer_special_count(const struct tokenizer *t, bool pair); /* what the post-processor adds */
/* Where tokenizer_config.json says add_eos_token: true, the post-processor ends with that token from now on, as transformers before 5 has it: E5-Mistral's
 * tokenizer.json lacks the token whose vector it pools. Before the tokenizer is shared. GLLM_NOMEM */
gllm_status tokenizer_add_end(struct tokenizer *t, gllm_error *err);
uint64_t tokenizer_model_max_length(const struct tokenizer *t); /* tokenizer_config.json; 0: not said or absurd (> 2^31) */
/* The pad token's id (tokenizer_config / special_tokens_map / padding section); false: none. */
bool tokenizer_pad_id(const struct tokenizer *t, int32_t *id);
#endif
