/* tables.c - a tokenizer from lists of pieces, scores and merges (GGUF).
 *
 * The parts around the model are said as the JSON of the equivalent tokenizer.json and read by the same code. The patterns of the named
 * pre-tokenisers are those of the models that the names stand for. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "text/impl.h"
#include "text/models.h"

/* ---- named pre-tokenisers: what text is cut at before it becomes bytes ---- */
#define ENGLISH "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define REST "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define CL100K_UP_TO_SPACES(digits) ENGLISH "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"
#define CL100K(digits) CL100K_UP_TO_SPACES(digits) "\\s+(?!\\S)|\\s+"
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED(upper, lower, suffix, digits, tail)                                                                                                   \
    "[^\\r\\n\\p{L}\\p{N}]?" upper "*" lower "+" suffix "|[^\\r\\n\\p{L}\\p{N}]?" upper "+" lower "*" suffix "|" digits "| ?[^\\s\\p{L}\\p{N}]+[" tail "]*|" REST
#define DIGITS1 "\\p{N}"
#define DIGITS3 "\\p{N}{1,3}"
#define NOT_HAN(letters) "(?:(?!\\p{Han})" letters ")"
#define KANA_HAN "[\\x{4E00}-\\x{9FA5}\\x{3040}-\\x{309F}\\x{30A0}-\\x{30FF}]+"
#define EAST_ASIAN "[\\x{4E00}-\\x{9FA5}\\x{0800}-\\x{4E00}\\x{AC00}-\\x{D7FF}]+"
#define DEEPSEEK3_UP_TO_SPACES "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+"
#define BLOOM " ?[^(\\s|.,!?\\x{2026}\\x{3002}\\x{FF0C}\\x{3001}\\x{0964}\\x{06D4}\\x{060C})]+"
/* The letters that have a case, but for the ligatures of few: as deepseek-llm spells them. */
#define BICAMERAL                                                                                                                                   \
    "[A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1" \
    "\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15" \
    "\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb" \
    "\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e" \
    "\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17" \
    "\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df\U0001e900-\U0001e943]+"

enum { PRE_PATTERNS = 6, PRE_NAMES = 18 };
static const struct pre {
    const char *names[PRE_NAMES];
    bool digits, nfc, ignore_merges; /* single digits first; NFC before all; a word that is an entry stays whole */
    bool add_bos, add_sep;           /* unless the file says: bos before a text; a separator before a pair's second text */
    const char *patterns[PRE_PATTERNS]; /* one Split after the other; the last cuts what is left */
} PRES[] = {
    {{"default"}, .patterns = {"[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"}}, /* files that do not say: as llama.cpp cuts them */
    {{"gpt-2", "phi-2", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de", "gigachat", "a.x-4.0", "mellum", "modern-bert", "exaone4", "jais", "trillion", "granite-docling"}, .patterns = {GPT2}},
    {{"roberta-bpe", "jina-v1-en", "jina-v2-code"}, .add_sep = true, .patterns = {GPT2}},
    {{"mpt", "olmo"}, .nfc = true, .patterns = {GPT2}},
    {{"starcoder", "refact", "smollm", "codeshell", "minerva-7b", "exaone", "mellum2"}, .digits = true, .patterns = {GPT2}},
    {{"command-r"}, .digits = true, .nfc = true, .patterns = {GPT2}},
    {{"llama3", "llama-bpe", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano"}, .ignore_merges = true, .add_bos = true, .patterns = {CL100K(DIGITS3)}},
    {{"dbrx", "smaug-bpe", "chatglm-bpe"}, .patterns = {CL100K(DIGITS3)}},
    {{"glm4", "glm5"}, .ignore_merges = true, .patterns = {CL100K(DIGITS3)}},
    {{"minicpm5"}, .ignore_merges = true, .patterns = {DIGITS3, CL100K("\\p{N}+")}},
    {{"jais-2"},
     .patterns = {CL100K_UP_TO_SPACES(DIGITS3) "\\s{512}(?!\\S)|\\s{256}(?!\\S)|\\s{128}(?!\\S)|\\s{64}(?!\\S)|\\s{32}(?!\\S)|\\s{16}(?!\\S)|\\s{8}(?!\\S)|\\s{4}(?!\\S)|\\s{1,2}(?!\\S)|\\s{1}"}},
    {{"qwen2", "f2llmv2"}, .nfc = true, .patterns = {CL100K(DIGITS1)}},
    {{"stablelm2", "deepseek-r1-qwen", "megrez", "hunyuan", "kormo", "grok-2", "solar-open"}, .patterns = {CL100K(DIGITS1)}},
    {{"laguna"}, .patterns = {"[^\\n]+|[\\n]+", CL100K(DIGITS1)}},
    {{"qwen35"}, .nfc = true, .patterns = {ENGLISH "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" REST}},
    {{"ufakzeka"}, .patterns = {"[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" REST}},
    {{"gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"}, .patterns = {CASED(UPPER, LOWER, ENGLISH "?", DIGITS3, "\\r\\n/")}},
    {{"granite-embed-multi-97m"}, .ignore_merges = true, .patterns = {CASED(UPPER, LOWER, ENGLISH "?", DIGITS3, "\\r\\n/")}},
    {{"tiny_aya", "cohere2moe"}, .nfc = true, .patterns = {"\\d{1,3}(?=(?:\\d{3})*\\b)", CASED(UPPER, LOWER, ENGLISH "?", DIGITS3, "\\r\\n/")}},
    {{"tekken"}, .ignore_merges = true, .add_bos = true, .patterns = {CASED(UPPER, LOWER, "", DIGITS1, "\\r\\n/")}},
    {{"kimi-k2"}, .patterns = {"[\\p{Han}]+|" CASED(NOT_HAN(UPPER), NOT_HAN(LOWER), ENGLISH "?", DIGITS3, "\\r\\n")}},
    {{"youtu"},
     .ignore_merges = true,
     .patterns = {"[\uac00-\ud7a3\u3131-\u318e]+|[\uff01\u2026\u201c\u201d\u2018\u2019\u2014\uff1a\uff1b\uff0c\u3001-\u303f\ufe30-\ufe4f]+|[\u3105-\u312f]+|" KANA_HAN,
                  CASED(UPPER, LOWER, ENGLISH "?", DIGITS1, "\\r\\n/")}},
    {{"deepseek-llm"}, .patterns = {"[\\r\\n]", "\\s?" BICAMERAL, "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+", "\\s+$", EAST_ASIAN, "\\p{N}+"}},
    {{"deepseek-coder"}, .patterns = {"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", EAST_ASIAN, DIGITS1}},
    {{"deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"}, .patterns = {DIGITS3, KANA_HAN, DEEPSEEK3_UP_TO_SPACES "[\\r\\n]*|" REST}},
    {{"spark2_5"}, .patterns = {DIGITS3, KANA_HAN, DEEPSEEK3_UP_TO_SPACES "|[\\r\\n]|\\s+(?!\\S)|\\s+", DIGITS1}},
    {{"falcon"}, .patterns = {"[\\p{P}\\$\\+<=>\\^~\\|`]+", GPT2, "[0-9][0-9][0-9]"}},
    {{"bloom", "poro-chat", "gpt3-finnish"}, .patterns = {BLOOM}},
    {{"viking"}, .patterns = {BLOOM, DIGITS1}},
    {{"seed-coder"}, .patterns = {ENGLISH "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|" REST}},
    {{"bailingmoe", "bailingmoe2", "llada-moe"}, .patterns = {"'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"}},
    {{"exaone-moe"}, .patterns = {ENGLISH "|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"}},
};
enum { N_PRES = sizeof PRES / sizeof *PRES };

static const struct pre *pre_find(const char *name) {
    for (unsigned i = 0; i < N_PRES; i++)
        for (unsigned k = 0; k < PRE_NAMES && PRES[i].names[k]; k++)
            if (!strcmp(PRES[i].names[k], name)) return &PRES[i];
    return NULL;
}

static const struct pre *pre_of(const struct tokenizer_tables *t) { return pre_find(t->pre ? t->pre : "default"); }

/* ---- the parts around the model ---- */
struct builder {
    struct tokenizer *t;
    const struct tokenizer_tables *tables;
    const struct tables_rules *rules;
    const char *name;
    json_t *added;
};

static int32_t type_of(const struct tokenizer_tables *t, size_t i) { return t->types ? t->types[i] : PIECE_NORMAL; }

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

/* The user-defined pieces, which SentencePiece finds before anything else. One that is not UTF-8 would end within a character: it is none. */
static gllm_status user_pieces(struct builder *b, struct trie *out, gllm_error *err) {
    const struct vocab *v = &b->t->vocab;
    struct trie_key *keys = calloc(b->tables->n_tokens + 1, sizeof *keys);
    size_t n = 0;
    for (size_t i = 0; keys && i < b->tables->n_tokens; i++)
        if (type_of(b->tables, i) == PIECE_USER_DEFINED && v->piece_len[i] && utf8_valid(v->piece[i], v->piece_len[i], NULL)) keys[n++] = (struct trie_key){v->piece[i], v->piece_len[i], (int32_t)i};
    const bool ok = keys && trie_build(out, &b->t->arena, keys, n);
    free(keys);
    return ok ? GLLM_OK : err_nomem(err, b->name);
}

/* SentencePiece's way from text to pieces and back. */
static gllm_status sentencepiece_text(struct builder *b, const struct trie *user, gllm_error *err) {
    const struct tokenizer_tables *x = b->tables;
    struct tokenizer *t = b->t;
    const struct sentencepiece_rules rules = {.charsmap = x->charsmap, .charsmap_len = x->charsmap_len, .prefix = b->rules->prefix, .suffix = b->rules->suffix,
                                              .remove_extra_whitespaces = x->remove_extra_whitespaces, .escape_whitespaces = b->rules->escape_whitespaces};
    TRY(normalizer_sentencepiece(&t->normalizer, &t->arena, &rules, user, b->name, err));
    t->decoder = decoder_sentencepiece(&t->arena, rules.prefix != PREFIX_NEVER, rules.remove_extra_whitespaces);
    return t->decoder ? GLLM_OK : err_nomem(err, b->name);
}

/* ---- the vocabulary and the model ---- */
/* Control tokens are special, user-defined ones only matched first. Rules that bring a list have said it all. */
static gllm_status add_token(struct builder *b, size_t i, gllm_error *err) {
    const struct tokenizer_tables *t = b->tables;
    if (b->rules->added) return GLLM_OK;
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
    uint32_t top = (uint32_t)t->n_tokens - 1;
    TRY(tokenizer_highest_added(b->added, &top, b->name, err));
    TRY(vocab_index(&b->t->vocab, &b->t->arena, top + 1, err));
    if (!map_reserve(&b->t->vocab.ids, t->n_tokens)) return err_nomem(err, b->name);
    for (size_t i = 0; i < t->n_tokens; i++) {
        TRY(vocab_add(&b->t->vocab, &b->t->arena, t->tokens[i].text, t->tokens[i].len, (uint32_t)i, err));
        TRY(add_token(b, i, err));
    }
    return tokenizer_add_tokens(b->t, b->added, b->name, err);
}

static gllm_status by_scores(struct builder *b, struct token_model *m, gllm_error *err) {
    const struct tokenizer_tables *t = b->tables;
    struct tokenizer *k = b->t;
    struct model_options opt = {.unk = t->unk, .byte_fallback = b->rules->byte_fallback, .fuse_unk = true};
    struct trie *user = arena_alloc(&k->arena, sizeof *user);
    const size_t n = k->vocab.size;
    if (!t->scores) return err_set(err, GLLM_FORMAT, "%s: scores: found none, expected one a token", b->name);
    if (opt.unk < 0 || (size_t)opt.unk >= t->n_tokens) opt.unk = 0;
    uint8_t *types = calloc(n, 1);
    float *scores = calloc(n, sizeof *scores); /* ids beyond the tables are added tokens: no pieces */
    gllm_status status = user && types && scores ? GLLM_OK : err_nomem(err, b->name);
    for (size_t i = 0; status == GLLM_OK && i < t->n_tokens; i++) types[i] = (uint8_t)type_of(t, i), scores[i] = t->scores[i];
    if (status == GLLM_OK) status = user_pieces(b, user, err);
    if (status == GLLM_OK) status = m->kind == M_BPE ? bpe_from_scores(&m->bpe, &k->vocab, &k->arena, scores, types, user, &opt, b->name, err)
                                                     : unigram_from_scores(&m->unigram, &k->vocab, &k->arena, scores, types, &opt, b->name, err);
    free(scores);
    free(types);
    return status == GLLM_OK ? sentencepiece_text(b, user, err) : status;
}

static gllm_status by_merges(struct builder *b, struct token_model *m, gllm_error *err) {
    const struct tokenizer_tables *t = b->tables;
    const struct pre *pre = pre_of(t);
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
    bool cased = x->lowercase == 0;
    for (size_t i = 0; x->lowercase < 0 && !cased && i < x->n_tokens; i++) cased = x->tokens[i].len == 4 && x->tokens[i].text[3] >= 'A' && x->tokens[i].text[3] <= 'Z' && !memcmp(x->tokens[i].text, "\u2581", 3);
    t->normalizer = normalizer_bert(&t->arena, true, true, x->strip_accents, !cased);
    t->pretok = pretok_bert(&t->arena);
    *m = token_model_wordpiece(&t->arena, x->unk, "##", 100);
    t->template = template_bert(&t->arena, cls, sep);
    if (!t->normalizer || !t->pretok || !*m || !t->template) return err_nomem(err, b->name);
    return use_decoder(b, json_pack("{s:s}", "type", "WordPiece"), err);
}

/* Appends before, text, after to the steps of a template; before and after may be NULL. */
static void side(json_t *to, const char *before, const char *text, const char *after, int type) {
    if (before) json_array_append_new(to, json_pack("{s:{s:s, s:f}}", "SpecialToken", "id", before, "type_id", (double)type));
    json_array_append_new(to, json_pack("{s:{s:s, s:f}}", "Sequence", "id", text, "type_id", (double)type));
    if (after) json_array_append_new(to, json_pack("{s:{s:s, s:f}}", "SpecialToken", "id", after, "type_id", (double)type));
}

/* The token's name in a template, if it is to be added. */
static const char *adds(int flag, bool usual, int32_t id, size_t n, const char *name) { return (flag < 0 ? usual : flag) && id >= 0 && (size_t)id < n ? name : NULL; }

/* bos before and eos after each text, as the flags say; with add_sep the second of a pair begins with sep (or eos) instead. A file that says add_sep
 * false and ends each text has nothing else between them: [CLS] a [SEP] b [SEP]. */
static gllm_status surround(struct builder *b, bool usual_bos, bool usual_eos, bool usual_sep, gllm_error *err) {
    const struct tokenizer_tables *t = b->tables;
    const size_t n = b->t->vocab.size;
    const int32_t sep_id = t->sep >= 0 ? t->sep : t->eos;
    const char *bos = adds(t->add_bos, usual_bos, t->bos, n, "bos"), *eos = adds(t->add_eos, usual_eos, t->eos, n, "eos"), *sep = adds(t->add_sep, usual_sep, sep_id, n, "sep");
    const struct {
        const char *name;
        int32_t id;
    } USED[] = {{bos, t->bos}, {eos, t->eos}, {sep, sep_id}};
    if (!bos && !eos && !sep) return GLLM_OK;
    json_t *single = json_array(), *pair = json_array(), *tokens = json_object();
    side(single, bos, "A", eos, 0);
    side(pair, bos, "A", eos, 0);
    side(pair, sep ? sep : t->add_sep == 0 && eos ? NULL : bos, "B", eos, b->rules->second_type);
    for (unsigned i = 0; i < 3; i++)
        if (USED[i].name) json_object_set_new(tokens, USED[i].name, json_pack("{s:s, s:[f], s:[s]}", "id", USED[i].name, "ids", (double)USED[i].id, "tokens", USED[i].name));
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
        const struct pre *pre = gpt2 ? pre_of(x) : NULL;
        TRY(surround(b, llama || (pre && pre->add_bos), t5, pre && pre->add_sep, err));
    }
    TRY(added_read(&t->added, &t->arena, b->added, t->normalizer, b->name, err));
    if (x->pad >= 0 && (size_t)x->pad < x->n_tokens) t->pad_id = x->pad;
    return GLLM_OK;
}

gllm_status tables_build(struct tokenizer *t, const struct tokenizer_tables *tables, const struct tables_rules *rules, const char *name, gllm_error *err) {
    struct builder b = {.t = t, .tables = tables, .rules = rules, .name = name, .added = rules->added ? json_incref(rules->added) : json_array()};
    gllm_status status = b.added ? build(&b, err) : err_nomem(err, name);
    json_decref(b.added);
    return status;
}

/* GGUF does not say whether the space before a text comes again after each special token. The tokenizer.json of Llama 2, Mistral and T5 do it so. */
gllm_status tokenizer_from_tables(struct tokenizer **out, const struct tokenizer_tables *tables, const char *name, gllm_error *err) {
    const struct tables_rules rules = {.prefix = tables->add_space_prefix == 0 ? PREFIX_NEVER : PREFIX_ALWAYS, .escape_whitespaces = true, .byte_fallback = true};
    struct tokenizer *t = tokenizer_create();
    gllm_status status = t ? tables_build(t, tables, &rules, name, err) : err_nomem(err, name);
    *out = status == GLLM_OK ? t : NULL;
    if (status != GLLM_OK) tokenizer_close(t);
    return status;
}
