/* models.h - the ways to cut a word into entries of the vocabulary, as model.c dispatches to them.
 *
 * Each is built at load time in the tokenizer's arena and only read afterwards; what a run needs lies on its stack or is
 * allocated for that one word. A run appends ids to `out` and returns false when memory ran out. */
#ifndef GLLM_TEXT_MODELS_H
#define GLLM_TEXT_MODELS_H
#include "text/parts.h"
#include "text/trie.h"

/* What a piece is, with the numbers that SentencePiece's `tokenizer.model` and GGUF's token_type share. */
enum piece_type { PIECE_NORMAL = 1, PIECE_UNKNOWN, PIECE_CONTROL, PIECE_USER_DEFINED, PIECE_UNUSED, PIECE_BYTE };

struct model_options { /* what a model does with text that it has no piece for */
    int32_t unk;        /* -1: BPE drops such characters, Unigram never has -1 */
    bool byte_fallback; /* "<0x0A>" for each byte, when the vocabulary has them all */
    bool fuse_unk;      /* one unk for a run of unknown characters */
};
/* The ids of "<0x00>" … "<0xFF>"; -1 where the vocabulary has none. */
void vocab_bytes(const struct vocab *v, int32_t ids[256]);
/* "<0x0A>" for every byte of s, all or nothing: false leaves `out` as it was. *ok turns false when memory is out. */
bool push_bytes(const int32_t ids[256], const char *s, size_t len, struct encoding *out, bool *ok);

/* wordpiece.c: greedy, longest piece first; a word without a full cut is unk */
struct wordpiece {
    const char *prefix; /* of a piece that continues a word */
    size_t prefix_len;
    uint32_t max_chars; /* a longer word is unk */
    int32_t unk;
};
bool wordpiece_run(const struct wordpiece *m, const struct vocab *v, const char *word, size_t len, struct encoding *out);

/* bpe.c: merges neighbours, the pair of lowest rank first and of those the leftmost */
struct bpe;
gllm_status bpe_read(struct bpe **out, const struct vocab *v, struct arena *a, const json_t *model, const char *name, gllm_error *err);
/* One merge from "left right", split at its only blank; entry `i` is how messages call it. */
struct merge_text {
    const char *text;
    size_t len;
};
gllm_status bpe_from_merges(struct bpe **out, const struct vocab *v, struct arena *a, const struct merge_text *merges, size_t n, const struct model_options *opt, bool ignore_merges, const char *name, gllm_error *err);
/* SentencePiece's BPE: any two neighbours merge whose concatenation is a piece, the highest score first. types[v->size] says
 * which entries take part: normal, user-defined and unused ones. `user` (borrowed for the model's life) holds the user-defined ones, which are
 * found in the word first and never merged; an unused one is taken apart again into what it was merged from. */
gllm_status bpe_from_scores(struct bpe **out, const struct vocab *v, struct arena *a, const float *scores, const uint8_t *types, const struct trie *user, const struct model_options *opt,
                            const char *name, gllm_error *err);
bool bpe_run(const struct bpe *m, const struct vocab *v, const char *word, size_t len, struct encoding *out);

/* unigram.c: the cut of the highest total score (Viterbi) */
struct unigram;
gllm_status unigram_read(struct unigram **out, struct vocab *v, struct arena *a, const json_t *model, uint32_t max_added, const char *name, gllm_error *err);
/* SentencePiece's own rules: a sum is compared in double precision and kept in single, and user-defined pieces win over what they are made of. */
gllm_status unigram_from_scores(struct unigram **out, const struct vocab *v, struct arena *a, const float *scores, const uint8_t *types, const struct model_options *opt, const char *name, gllm_error *err);
bool unigram_run(const struct unigram *m, const struct vocab *v, const char *word, size_t len, struct encoding *out);

struct token_model {
    enum { M_WORDPIECE, M_WORDLEVEL, M_BPE, M_UNIGRAM } kind;
    struct wordpiece wordpiece; /* M_WORDLEVEL: unk alone */
    struct bpe *bpe;
    struct unigram *unigram;
};
#endif
