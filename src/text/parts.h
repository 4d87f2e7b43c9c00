/* parts.h - the stages of the pipeline as seen by tokenizer.c. Each stage reads its own JSON, runs on UTF-8, and knows no other.
 *
 * A new component is a kind in its stage's table: nothing else changes. All memory of a stage lies in the tokenizer's arena; running a stage
 * only reads it, so that any number of threads may. */
#ifndef GLLM_TEXT_PARTS_H
#define GLLM_TEXT_PARTS_H
#include "base/arena.h"
#include "base/json.h"
#include "base/map.h"
#include "text/regex.h"
#include "text/tokenizer.h"

struct textbuf { /* growable bytes; all-zero is empty */
    char *data;
    size_t len, capacity;
    bool failed; /* memory ran out: what was appended since is lost */
};
void textbuf_add(struct textbuf *b, const char *s, size_t n);
void textbuf_add_cp(struct textbuf *b, uint32_t cp);
char *textbuf_room(struct textbuf *b, size_t n); /* where n more bytes may be written, len as before; NULL: failed */
void textbuf_free(struct textbuf *b);

struct piece { /* bytes [at, at + len) of a text */
    size_t at, len;
    int32_t id; /* an added token; -1: text */
};
struct pieces {
    struct piece *list;
    size_t count, capacity;
    bool failed;
};
void pieces_add(struct pieces *p, size_t at, size_t len, int32_t id);
void pieces_free(struct pieces *p);

enum { COMPONENT_MAX_DEPTH = 16 };

/* unicode.c: character classes as HF `tokenizers` has them */
bool unicode_is_space(uint32_t cp);        /* White_Space */
bool unicode_is_dropped(uint32_t cp);      /* BERT: NUL, U+FFFD and category C*, but for tab and newlines */
bool unicode_is_punctuation(uint32_t cp);  /* BERT: ASCII punctuation, or category P* */
bool unicode_is_chinese(uint32_t cp);      /* BERT: the CJK ideograph blocks */
bool unicode_is_nonspacing(uint32_t cp);   /* BERT: category Mn */
bool unicode_is_mark(uint32_t cp);         /* StripAccents: category M* */
bool unicode_is_numeric(uint32_t cp);      /* category N* */
bool unicode_is_word(uint32_t cp);         /* \w of a Unicode regular expression */
unsigned unicode_script(uint32_t cp);      /* a number for each script; kana count as Han; 0: none */
size_t unicode_cluster(const char *s, size_t len); /* bytes of the extended grapheme cluster that s begins with */
void unicode_lower(uint32_t cp, struct textbuf *out);
enum unicode_form { UNICODE_NFC, UNICODE_NFD, UNICODE_NFKC, UNICODE_NFKD };
void unicode_normalize(enum unicode_form form, const char *s, size_t n, struct textbuf *out);

/* normalize.c */
struct normalizer;
gllm_status normalizer_read(struct normalizer **out, struct arena *a, const json_t *v, const char *name, unsigned depth, gllm_error *err); /* null: NULL */
struct normalizer *normalizer_bert(struct arena *a, bool clean, bool chinese, int strip_accents /* -1: as lowercase */, bool lowercase);
/* SentencePiece's own normaliser. */
enum dummy_prefix { PREFIX_NEVER, PREFIX_FIRST, PREFIX_ALWAYS }; /* a space before (or after) the text: the one that begins the input, or each */
struct sentencepiece_rules { /* borrowed for the call */
    const char *charsmap; /* raw bytes; NULL: none */
    size_t charsmap_len;
    enum dummy_prefix prefix;
    bool suffix;     /* the space of `prefix` comes behind the text */
    bool remove_extra_whitespaces; /* none at the ends, and one for each run */
    bool escape_whitespaces;       /* U+2581 for a space */
};
struct trie;
/* `user`: what is never rewritten, borrowed for the normaliser's life. */
gllm_status normalizer_sentencepiece(struct normalizer **out, struct arena *a, const struct sentencepiece_rules *r, const struct trie *user, const char *name, gllm_error *err);
/* first: the text begins the input. n NULL: copies; false: a pattern's limit of steps. */
bool normalizer_run(const struct normalizer *n, const char *s, size_t len, bool first, struct textbuf *out);
void normalizer_free(struct normalizer *n); /* its regular expressions; the rest is the arena's */

/* charsmap.c: SentencePiece's precompiled_charsmap, a trie of replacements */
struct charsmap;
gllm_status charsmap_read(struct charsmap **out, struct arena *a, const char *base64, size_t len, const char *name, gllm_error *err);
gllm_status charsmap_of(struct charsmap **out, struct arena *a, const void *data, size_t len, const char *name, gllm_error *err); /* not in base64 */
void charsmap_run(const struct charsmap *c, const char *s, size_t len, struct textbuf *out); /* as HF does */
size_t charsmap_longest(const struct charsmap *c, const char *s, size_t len, const char **text, size_t *n); /* bytes that *text[*n] replaces; 0: no rule */
bool charsmap_begins(const struct charsmap *c, unsigned char byte);                                         /* some rule begins so */

/* spm_text.c: runs SentencePiece's normaliser */
struct spm_text;
gllm_status spm_text_create(struct spm_text **out, struct arena *a, const struct sentencepiece_rules *r, const struct trie *user, const char *name, gllm_error *err);
void spm_text_run(const struct spm_text *t, const char *s, size_t len, bool first, struct textbuf *out);

/* buffers.c: GPT-2's character for each byte, and back */
uint32_t byte_level_char(unsigned char byte);
int byte_level_byte(uint32_t cp); /* -1: stands for no byte */
void byte_level_add(const char *s, size_t len, struct textbuf *out);

/* pretok.c reads, cutter.c runs */
struct pretok;
gllm_status pretok_read(struct pretok **out, struct arena *a, const json_t *v, const char *name, gllm_error *err); /* after an error too: pretok_free(*out) */
struct pretok *pretok_bert(struct arena *a);
void pretok_free(struct pretok *p); /* its regular expressions; the rest is the arena's */
struct pretok_run { /* one thread's working memory; all-zero at first, pretok_run_free at last */
    const char *text;     /* after pretok_run: where the words lie */
    struct pieces *words; /* ditto: the words, none of them empty */
    bool failed, gave_up; /* memory ran out; a pattern reached its limit of steps */
    struct textbuf texts[2], spare;
    struct pieces lists[2];
    struct regex_scan scan;
};
/* Cuts s[at, at + len) into words. first: this text begins the input. p NULL: one word. s is borrowed until the next call. */
void pretok_run(const struct pretok *p, const char *s, size_t at, size_t len, bool first, struct pretok_run *m);
bool pretok_minds_first(const struct pretok *p); /* `first` changes the words */
void pretok_run_free(struct pretok_run *m);

/* model.c: the vocabulary and the model that cuts words into its entries */
struct vocab {
    struct map ids;          /* piece -> id; keys in the arena */
    const char **piece;      /* [size] by id; NULL: no such id */
    uint32_t *piece_len;
    uint32_t size, longest;  /* highest id + 1; longest piece in bytes */
};
gllm_status vocab_add(struct vocab *v, struct arena *a, const char *piece, size_t len, uint32_t id, gllm_error *err);
gllm_status vocab_index(struct vocab *v, struct arena *a, uint32_t size, gllm_error *err); /* makes piece[] of size entries, before vocab_add */
struct token_model;
gllm_status token_model_read(struct token_model **out, struct vocab *v, struct arena *a, const json_t *model, uint32_t max_added, const char *name, gllm_error *err);
struct token_model *token_model_wordpiece(struct arena *a, int32_t unk, const char *prefix, uint32_t max_chars);
const char *token_model_kind(const struct token_model *m);
void token_model_run(const struct token_model *m, const struct vocab *v, const char *word, size_t len, struct encoding *out, bool *failed);
bool encoding_push(struct encoding *e, int32_t id, uint8_t type, bool special); /* false: out of memory */

/* added.c: tokens matched in the text before anything else */
struct added;
gllm_status added_read(struct added **out, struct arena *a, const json_t *list, const struct normalizer *n, const char *name, gllm_error *err);
/* Splits s[at, at + len) at added tokens. normalized: those matched after normalisation, else those on the raw text. Special ones count with
 * parse_special, where they do not overlap a stretch of `plain` (offsets into s, in order). */
struct plain_spans {
    const struct text_span *list;
    size_t count;
};
void added_split(const struct added *a, bool normalized, bool parse_special, struct plain_spans plain, const char *s, size_t at, size_t len, struct pieces *out);
bool added_has_special(const struct added *a, bool normalized); /* a token of that pass is special */
/* plain.c: encode_options.plain carried over to the normalised text of a piece */
struct plain { /* all-zero at first, plain_free at last */
    struct plain_spans spans; /* after plain_map: offsets into the normalised text */
    struct text_span *room;
    size_t capacity;
};
/* s[0, len) is the text's piece at `at`, and `text` what the normalizer makes of it. Where it cannot be told which bytes came from a plain stretch,
 * more are taken for plain. False: memory is out. */
bool plain_map(struct plain *p, const struct encode_options *opt, const struct normalizer *n, const char *s, size_t at, size_t len, const struct textbuf *text);
void plain_free(struct plain *p);

bool added_special(const struct added *a, int32_t id);
/* What decoding takes the token for: its text, normalised if it is matched so, and special only if that text is still the special token's
 * (as in HF). False: no added token. Borrowed. */
bool added_form(const struct added *a, int32_t id, bool *special, const char **text, size_t *len);
void added_free(struct added *a);

/* template.c */
struct template;
gllm_status template_read(struct template **out, struct arena *a, const json_t *v, const struct vocab *vocab, const char *name, unsigned depth, gllm_error *err);
struct template *template_bert(struct arena *a, int32_t cls, int32_t sep);
/* Lets what adds special tokens end with `id`; nothing changes where it does. *t may be NULL before. False: out of memory. */
bool template_end_with(struct template **t, struct arena *a, int32_t id);
uint32_t template_count(const struct template *t, bool pair);
/* Builds out from the encodings of the texts; pair may be NULL. t NULL: the texts alone, the second with type 1 … as HF does. */
bool template_run(const struct template *t, bool add_special, const struct encoding *a, const struct encoding *pair, struct encoding *out);

/* decode.c: tokens in one by one, text out as soon as nothing that follows can change it */
struct decoder;
gllm_status decoder_read(struct decoder **out, struct arena *a, const json_t *v, const char *name, gllm_error *err); /* after an error too: decoder_free(*out) */
/* SentencePiece's own: U+2581 is a space, byte pieces are UTF-8 or U+FFFD each. Of the text's start one space goes (`strip`), or one of each
 * piece until there is text (`strip_all`). */
struct decoder *decoder_sentencepiece(struct arena *a, bool strip, bool strip_all);
void decoder_free(struct decoder *d); /* its regular expressions; the rest is the arena's */
struct decoding; /* the state of one text */
struct decoding *decoding_open(const struct decoder *d, struct textbuf *out); /* d NULL: tokens joined by spaces; out is borrowed; NULL: out of memory */
void decoding_push(struct decoding *s, const char *token, size_t len); /* appends to out */
bool decoding_end(struct decoding *s); /* appends the rest; false: memory, or a pattern's limit of steps */
void decoding_close(struct decoding *s); /* accepts NULL */
/* What a token adds to a text as bytes, be they whole characters or not: `out` gets them. Only for a decoder that needs no other token for it
 * (decoder_by_token), and but for the text's first token. The decoding then serves nothing else. */
bool decoder_by_token(const struct decoder *d);
void decoding_token(struct decoding *s, bool first, const char *token, size_t len);
#endif
