/* tables.c - a tokenizer from lists of pieces, scores and merges (GGUF).
 *
 * The parts around the model are said as the JSON of the equivalent tokenizer.json and read by the same code. The patterns of the named
 * pre-tokenisers are those of the models that the names stand for. */
#include <stdlib.h>
#include <string.h>

#include "text/impl.h"
#include "text/models.h"

/* ---- named pre-tokenisers: what text is cut at before it becomes bytes ---- */
#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define CL100K(digits) "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define O200K                                                                                                                                       \
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"                        \
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"                        \
    "\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define TEKKEN                                                                                                                                      \
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|"                                                     \
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|"                                                     \
    "\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define DIGITS1 "\\p{N}"
#define DIGITS3 "\\p{N}{1,3}"

enum { PRE_PATTERNS = 3, PRE_NAMES = 12 };
static const struct pre {
    const char *names[PRE_NAMES];
    bool digits, nfc, ignore_merges; /* single digits first; NFC before all; a word that is an entry stays whole */
    const char *patterns[PRE_PATTERNS]; /* one Split after the other; the last cuts what is left */
} PRES[] = {
    {{"default", "gpt-2", "phi-2", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de", "gigachat", "roberta-bpe", "olmo", "mpt", "exaone"}, .patterns = {GPT2}},
    {{"starcoder", "refact", "command-r", "smollm", "codeshell", "minerva-7b", "granite-docling", "jina-v2-code"}, .digits = true, .patterns = {GPT2}},
    {{"llama3", "llama-bpe", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"}, .ignore_merges = true, .patterns = {CL100K(DIGITS3)}},
    {{"dbrx", "smaug-bpe", "chatglm-bpe", "glm4", "jais", "hunyuan-dense"}, .patterns = {CL100K(DIGITS3)}},
    {{"qwen2"}, .nfc = true, .patterns = {CL100K(DIGITS1)}},
    {{"stablelm2", "deepseek-r1-qwen", "megrez", "hunyuan", "kormo", "grok-2"}, .patterns = {CL100K(DIGITS1)}},
    {{"gpt-4o", "llama4", "gpt-oss", "kanana2"}, .patterns = {O200K}},
    {{"tekken"}, .ignore_merges = true, .patterns = {TEKKEN}},
    {{"deepseek-llm"}, .patterns = {"[\\r\\n]|\\s?\\p{L}+|\\s?\\p{P}+|[\\x{4E00}-\\x{9FA5}\\x{0800}-\\x{4E00}\\x{AC00}-\\x{D7FF}]+|\\p{N}+"}},
    {{"deepseek-coder"}, .digits = true, .patterns = {"[\\r\\n]|\\s?\\p{L}+|\\s?\\p{P}+|[\\x{4E00}-\\x{9FA5}\\x{0800}-\\x{4E00}\\x{AC00}-\\x{D7FF}]+"}},
    {{"deepseek-v3", "deepseek3"},
     .patterns = {DIGITS3, "[\\x{4E00}-\\x{9FA5}\\x{3040}-\\x{309F}\\x{30A0}-\\x{30FF}]+",
                  "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},
    {{"falcon"}, .patterns = {"[\\p{P}\\$\\+<=>\\^~\\|`]+", GPT2, "[0-9][0-9][0-9]"}},
    {{"bloom", "poro-chat", "gpt3-finnish", "viking"}, .patterns = {" ?[^(\\s|.,!?\\x{2026}\\x{3002}\\x{FF0C}\\x{3001}\\x{0964}\\x{06D4}\\x{060C})]+"}},
    {{"seed-coder"}, .patterns = {"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},
};
enum { N_PRES = sizeof PRES / sizeof *PRES };

static const struct pre *pre_find(const char *name) {
    for (unsigned i = 0; i < N_PRES; i++)
        for (unsigned k = 0; k < PRE_NAMES && PRES[i].names[k]; k++)
            if (!strcmp(PRES[i].names[k], name)) return &PRES[i];
    return NULL;
}

/* ---- the parts around the model ---- */
struct builder {
    struct tokenizer *t;
    const struct tokenizer_tables *tables;
    const char *name;
    json_t *added;
};

/* The JSON is consumed by each. */
static gllm_status use_normalizer(struct builder *b, json_t *v, gllm_error *err) {
    gllm_status status = v ? normalizer_read(&b->t->normalizer, &b->t->arena, v, b->name, 0, err) : err_nomem(err, b->name);
    json_decref(v);
    return status;
}
static gllm_status use_pretok(struct builder *b, json_t *v, gllm_error *err) {
    gllm_status status = v ? pretok_read(&b->t->pretok, &b->t->arena, v, b->name, err) : err_nomem(err, b->name);
    json_decref(v);
    return status;
}
static gllm_status use_decoder(struct builder *b, json_t *v, gllm_error *err) {
    gllm_status status = v ? decoder_read(&b->t->decoder, &b->t->arena, v, b->name, err) : err_nomem(err, b->name);
    json_decref(v);
    return status;
}

static gllm_status byte_level(struct builder *b, const struct pre *pre, gllm_error *err) {
    json_t *list = json_array();
    if (pre->digits) json_array_append_new(list, json_pack("{s:s, s:b}", "type", "Digits", "individual_digits", 1));
    for (unsigned i = 0; i < PRE_PATTERNS && pre->patterns[i]; i++)
        json_array_append_new(list, json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "Regex", pre->patterns[i], "behavior", "Isolated", "invert", 0));
    json_array_append_new(list, json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", b->tables->add_space_prefix == 1, "trim_offsets", 1, "use_regex", 0));
    TRY(use_pretok(b, json_pack("{s:s, s:o}", "type", "Sequence", "pretokenizers", list), err));
    return use_decoder(b, json_pack("{s:s}", "type", "ByteLevel"), err);
}

/* U+2581 for spaces, one in front unless the file says no. */
static gllm_status metaspace(struct builder *b, gllm_error *err) {
    const char *scheme = b->tables->add_space_prefix == 0 ? "never" : "first";
    TRY(use_pretok(b, json_pack("{s:s, s:s, s:s, s:b}", "type", "Metaspace", "replacement", "\u2581", "prepend_scheme", scheme, "split", 0), err));
    json_t *list = json_pack("[{s:s, s:{s:s}, s:s}, {s:s}, {s:s}]", "type", "Replace", "pattern", "String", "\u2581", "content", " ", "type", "ByteFallback", "type", "Fuse");
    if (list && b->tables->add_space_prefix != 0) json_array_append_new(list, json_pack("{s:s, s:s, s:f, s:f}", "type", "Strip", "content", " ", "start", 1.0, "stop", 0.0));
    return use_decoder(b, json_pack("{s:s, s:o}", "type", "Sequence", "decoders", list), err);
}

static const char BASE64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static gllm_status charsmap(struct builder *b, gllm_error *err) {
    const unsigned char *s = (const unsigned char *)b->tables->charsmap;
    const size_t n = b->tables->charsmap_len;
    if (!s || !n) return GLLM_OK;
    char *text = malloc(n / 3 * 4 + 8), *p = text;
    if (!text) return err_nomem(err, b->name);
    for (size_t i = 0; i < n; i += 3) {
        const uint32_t v = (uint32_t)s[i] << 16 | (uint32_t)(i + 1 < n ? s[i + 1] : 0) << 8 | (i + 2 < n ? s[i + 2] : 0);
        *p++ = BASE64[v >> 18], *p++ = BASE64[v >> 12 & 63];
        *p++ = i + 1 < n ? BASE64[v >> 6 & 63] : '=';
        *p++ = i + 2 < n ? BASE64[v & 63] : '=';
    }
    *p = '\0';
    gllm_status status = use_normalizer(b, json_pack("{s:s, s:s}", "type", "Precompiled", "precompiled_charsmap", text), err);
    free(text);
    return status;
}

/* ---- the vocabulary and the model ---- */
static int32_t type_of(const struct tokenizer_tables *t, size_t i) { return t->types ? t->types[i] : PIECE_NORMAL; }

/* Control tokens are special, user-defined ones only matched first. In SentencePiece's kinds the latter are the model's own business. */
static gllm_status add_token(struct builder *b, size_t i, gllm_error *err) {
    const struct tokenizer_tables *t = b->tables;
    const int32_t type = type_of(t, i);
    const bool special = type == PIECE_CONTROL || (type == PIECE_UNKNOWN && strcmp(t->model, "gpt2"));
    if (!special && type != PIECE_USER_DEFINED) return GLLM_OK;
    json_t *v = json_pack("{s:s%, s:f, s:b, s:b}", "content", t->tokens[i].text, t->tokens[i].len, "id", (double)i, "special", special, "normalized", 0);
    if (!v) return GLLM_OK; /* no UTF-8, or a NUL: it cannot be written in a text */
    return json_array_append_new(b->added, v) ? err_nomem(err, b->name) : GLLM_OK;
}

static gllm_status read_tokens(struct builder *b, gllm_error *err) {
    const struct tokenizer_tables *t = b->tables;
    if (!t->n_tokens || t->n_tokens > 1 << 24) return err_set(err, GLLM_FORMAT, "%s: tokens: found %zu, expected 1 to %d", b->name, t->n_tokens, 1 << 24);
    TRY(vocab_index(&b->t->vocab, &b->t->arena, (uint32_t)t->n_tokens, err));
    if (!map_reserve(&b->t->vocab.ids, t->n_tokens)) return err_nomem(err, b->name);
    for (size_t i = 0; i < t->n_tokens; i++) {
        TRY(vocab_add(&b->t->vocab, &b->t->arena, t->tokens[i].text, t->tokens[i].len, (uint32_t)i, err));
        TRY(add_token(b, i, err));
    }
    return GLLM_OK;
}

static gllm_status by_scores(struct builder *b, struct token_model *m, gllm_error *err) {
    const struct tokenizer_tables *t = b->tables;
    struct model_options opt = {.unk = t->unk, .byte_fallback = true, .fuse_unk = true};
    if (!t->scores) return err_set(err, GLLM_FORMAT, "%s: scores: found none, expected one a token", b->name);
    if (opt.unk < 0 || (size_t)opt.unk >= t->n_tokens) opt.unk = 0;
    uint8_t *types = malloc(t->n_tokens);
    if (!types) return err_nomem(err, b->name);
    for (size_t i = 0; i < t->n_tokens; i++) types[i] = (uint8_t)type_of(t, i);
    const bool bpe = m->kind == M_BPE;
    gllm_status status = bpe ? bpe_from_scores(&m->bpe, &b->t->vocab, &b->t->arena, t->scores, types, &opt, b->name, err)
                             : unigram_from_scores(&m->unigram, &b->t->vocab, &b->t->arena, t->scores, types, &opt, b->name, err);
    free(types);
    return status;
}

static gllm_status by_merges(struct builder *b, struct token_model *m, gllm_error *err) {
    const struct tokenizer_tables *t = b->tables;
    const struct pre *pre = pre_find(t->pre ? t->pre : "default");
    if (!pre) return err_set(err, GLLM_UNSUPPORTED, "%s: pre-tokeniser \"%.60s\" is not known", b->name, t->pre);
    if (!t->merges) return err_set(err, GLLM_FORMAT, "%s: merges: found none, expected \"left right\" pairs", b->name);
    _Static_assert(sizeof(struct merge_text) == sizeof(struct tokenizer_str), "both are a text and its length");
    struct merge_text *merges = malloc((t->n_merges + 1) * sizeof *merges);
    if (!merges) return err_nomem(err, b->name);
    for (size_t i = 0; i < t->n_merges; i++) merges[i] = (struct merge_text){t->merges[i].text, t->merges[i].len};
    gllm_status status = bpe_from_merges(&m->bpe, &b->t->vocab, &b->t->arena, merges, t->n_merges, &(struct model_options){.unk = -1}, pre->ignore_merges, b->name, err);
    free(merges);
    TRY(status);
    if (pre->nfc) TRY(use_normalizer(b, json_pack("{s:s}", "type", "NFC"), err));
    return byte_level(b, pre, err);
}

/* WordPiece with words marked by U+2581 in front and continuations unmarked: the opposite of "##". */
static gllm_status wordpiece_tokens(struct builder *b, gllm_error *err) {
    const struct tokenizer_tables *t = b->tables;
    TRY(vocab_index(&b->t->vocab, &b->t->arena, (uint32_t)t->n_tokens, err));
    if (!map_reserve(&b->t->vocab.ids, t->n_tokens)) return err_nomem(err, b->name);
    char *joined = NULL;
    gllm_status status = GLLM_OK;
    for (size_t i = 0; status == GLLM_OK && i < t->n_tokens; i++) {
        const char *s = t->tokens[i].text;
        size_t len = t->tokens[i].len;
        const bool word = len >= 3 && !memcmp(s, "\u2581", 3), plain = type_of(t, i) != PIECE_NORMAL || (len && s[0] == '[' && s[len - 1] == ']');
        if (word) s += 3, len -= 3;
        else if (!plain) {
            char *more = realloc(joined, len + 2);
            if (!more) {
                status = err_nomem(err, b->name);
                break;
            }
            joined = more;
            memcpy(joined, "##", 2);
            memcpy(joined + 2, s, len);
            s = joined, len += 2;
        }
        status = vocab_add(&b->t->vocab, &b->t->arena, s, len, (uint32_t)i, err);
        if (status == GLLM_OK) status = add_token(b, i, err);
    }
    free(joined);
    return status;
}

static gllm_status wordpiece(struct builder *b, struct token_model **m, gllm_error *err) {
    struct tokenizer *t = b->t;
    const struct tokenizer_tables *x = b->tables;
    const int32_t cls = x->cls >= 0 ? x->cls : x->bos, sep = x->sep >= 0 ? x->sep : x->eos;
    if (x->unk < 0 || cls < 0 || sep < 0 || (size_t)x->unk >= x->n_tokens || (size_t)cls >= x->n_tokens || (size_t)sep >= x->n_tokens)
        return err_set(err, GLLM_FORMAT, "%s: a bert tokenizer needs the ids of its unknown, cls and separator tokens", b->name);
    TRY(wordpiece_tokens(b, err));
    bool cased = false; /* a vocabulary with capitals was made without lower-casing */
    for (size_t i = 0; !cased && i < x->n_tokens; i++) cased = x->tokens[i].len == 4 && x->tokens[i].text[3] >= 'A' && x->tokens[i].text[3] <= 'Z' && !memcmp(x->tokens[i].text, "\u2581", 3);
    t->normalizer = normalizer_bert(&t->arena, true, true, -1, !cased);
    t->pretok = pretok_bert(&t->arena);
    *m = token_model_wordpiece(&t->arena, x->unk, "##", 100);
    t->template = template_bert(&t->arena, cls, sep);
    if (!t->normalizer || !t->pretok || !*m || !t->template) return err_nomem(err, b->name);
    return use_decoder(b, json_pack("{s:s}", "type", "WordPiece"), err);
}

static bool ends(int flag, bool usual, int32_t id, size_t n) { return (flag < 0 ? usual : flag) && id >= 0 && (size_t)id < n; }

/* bos before and eos after each text, as the flags say. */
static gllm_status surround(struct builder *b, bool sentencepiece, gllm_error *err) {
    const struct tokenizer_tables *t = b->tables;
    const bool bos = ends(t->add_bos, sentencepiece && !strcmp(t->model, "llama"), t->bos, t->n_tokens), eos = ends(t->add_eos, sentencepiece && !strcmp(t->model, "t5"), t->eos, t->n_tokens);
    if (!bos && !eos) return GLLM_OK;
    json_t *single = json_array(), *pair = json_array(), *tokens = json_object();
    const int32_t id[2] = {t->bos, t->eos};
    const bool on[2] = {bos, eos};
    for (unsigned k = 0; k < 4; k++) { /* bos A eos; bos A eos bos B eos */
        json_t *to[2] = {k < 2 ? single : NULL, pair};
        for (unsigned i = 0; i < 2; i++) {
            if (!to[i]) continue;
            if (k % 2 == 0 && on[0]) json_array_append_new(to[i], json_pack("{s:{s:s, s:f}}", "SpecialToken", "id", "bos", "type_id", 0.0));
            if (k % 2 == 0) json_array_append_new(to[i], json_pack("{s:{s:s, s:f}}", "Sequence", "id", k < 2 ? "A" : "B", "type_id", 0.0));
            if (k % 2 == 1 && on[1]) json_array_append_new(to[i], json_pack("{s:{s:s, s:f}}", "SpecialToken", "id", "eos", "type_id", 0.0));
        }
    }
    for (unsigned i = 0; i < 2; i++) {
        const char *called = i ? "eos" : "bos";
        if (on[i]) json_object_set_new(tokens, called, json_pack("{s:s, s:[f], s:[s]}", "id", called, "ids", (double)id[i], "tokens", called));
    }
    json_t *v = json_pack("{s:s, s:o, s:o, s:o}", "type", "TemplateProcessing", "single", single, "pair", pair, "special_tokens", tokens);
    gllm_status status = v ? template_read(&b->t->template, &b->t->arena, v, &b->t->vocab, b->name, 0, err) : err_nomem(err, b->name);
    json_decref(v);
    return status;
}

static gllm_status build(struct builder *b, gllm_error *err) {
    struct tokenizer *t = b->t;
    const struct tokenizer_tables *x = b->tables;
    const bool gpt2 = !strcmp(x->model, "gpt2"), llama = !strcmp(x->model, "llama"), t5 = !strcmp(x->model, "t5"), bert = !strcmp(x->model, "bert");
    if (!gpt2 && !llama && !t5 && !bert) return err_set(err, GLLM_UNSUPPORTED, "%s: tokenizer model \"%.60s\", expected gpt2, llama, t5 or bert", b->name, x->model);
    if (bert) TRY(wordpiece(b, &t->model, err));
    else {
        TRY(read_tokens(b, err));
        struct token_model *m = t->model = arena_alloc(&t->arena, sizeof *m);
        if (!m) return err_nomem(err, b->name);
        m->kind = t5 ? M_UNIGRAM : M_BPE;
        TRY(gpt2 ? by_merges(b, m, err) : by_scores(b, m, err));
        if (!gpt2) {
            TRY(charsmap(b, err));
            TRY(metaspace(b, err));
        }
        TRY(surround(b, !gpt2, err));
    }
    TRY(added_read(&t->added, &t->arena, b->added, t->normalizer, b->name, err));
    if (x->pad >= 0 && (size_t)x->pad < x->n_tokens) t->pad_id = x->pad;
    return GLLM_OK;
}

gllm_status tokenizer_from_tables(struct tokenizer **out, const struct tokenizer_tables *tables, const char *name, gllm_error *err) {
    *out = NULL;
    struct builder b = {.t = tokenizer_create(), .tables = tables, .name = name, .added = json_array()};
    gllm_status status = b.t && b.added ? build(&b, err) : err_nomem(err, name);
    json_decref(b.added);
    if (status != GLLM_OK) tokenizer_close(b.t);
    else *out = b.t;
    return status;
}
