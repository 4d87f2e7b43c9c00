/* spm_tokenizer.c - a tokenizer from a SentencePiece model and what stands beside it, as transformers' slow tokenizers read them.
 *
 * The ids are the model's own, but in the classes that descend from fairseq: their first ids are fixed, and the pieces come behind. The class is
 * tokenizer_config.json's tokenizer_class; another than those below is refused by name, for it may rewrite text or ids.
 *
 *   plain       pieces
 *   fairseq     <s> <pad> </s> <unk>                                  pieces[3 …]   <mask>
 *   camembert   <s>NOTUSED <pad> </s>NOTUSED <unk> <unk>NOTUSED       pieces[1 …]   <mask> */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "text/impl.h"
#include "text/models.h"
#include "text/sentencepiece.h"

enum layout { LAYOUT_PLAIN, LAYOUT_FAIRSEQ, LAYOUT_CAMEMBERT };
static const struct class {
    const char *names[8];
    enum layout layout;
    bool bos, eos;        /* added to a text, unless the configuration says */
    bool fixed_ends;      /* … which is not asked */
    bool sep;             /* a pair's second text begins with eos */
    bool first_only;      /* "legacy": false confines the dummy prefix to the input's start */
    int second_type;
    uint32_t extra_ids;   /* <extra_id_0> … that a configuration does not list: the highest id first */
} CLASSES[] = {
    {{"LlamaTokenizer", "CodeLlamaTokenizer", "MistralTokenizer"}, .bos = true, .first_only = true, .second_type = 1},
    {{"InternLMTokenizer", "InternLM2Tokenizer", "InternLM3Tokenizer", "GemmaTokenizer", "BaichuanTokenizer"}, .bos = true, .second_type = 1},
    {{"T5Tokenizer", "MT5Tokenizer"}, .eos = true, .fixed_ends = true, .first_only = true, .extra_ids = 100},
    {{"XLMRobertaTokenizer", "BarthezTokenizer"}, LAYOUT_FAIRSEQ, .bos = true, .eos = true, .fixed_ends = true, .sep = true},
    {{"CamembertTokenizer"}, LAYOUT_CAMEMBERT, .bos = true, .eos = true, .fixed_ends = true, .sep = true},
};

/* No name, and the names of no class in particular, are Llama's: so do the files that say nothing behave. */
static const struct class *class_find(const char *name, size_t len) {
    if (len > 4 && !memcmp(name + len - 4, "Fast", 4)) len -= 4;
    if (!len || (len == 23 && !memcmp(name, "PreTrainedTokenizerFast", 23)) || (len == 19 && !memcmp(name, "PreTrainedTokenizer", 19))) return &CLASSES[0];
    for (unsigned i = 0; i < sizeof CLASSES / sizeof *CLASSES; i++)
        for (unsigned k = 0; k < 8 && CLASSES[i].names[k]; k++)
            if (strlen(CLASSES[i].names[k]) == len && !memcmp(CLASSES[i].names[k], name, len)) return &CLASSES[i];
    return NULL;
}

/* ---- the table of pieces in the class's order ---- */

struct building {
    const char *name;
    const struct class *class;
    struct spm_model model;
    struct tokenizer_str *pieces; /* [n] in the class's order; owned, as the next two */
    float *scores;
    int32_t *types;
    size_t n;
    struct map ids;
    json_t *added;        /* as in a tokenizer.json */
    struct map added_ids; /* by their contents, which `added` owns */
    uint32_t top;  /* highest id of a piece or an added token */
};

static void put(struct building *b, const char *text, size_t len, float score, int32_t type) {
    b->pieces[b->n] = (struct tokenizer_str){text, len};
    b->scores[b->n] = score;
    b->types[b->n++] = type;
}

static gllm_status lay_out(struct building *b, gllm_error *err) {
    static const struct {
        const char *first[5];
        size_t skip; /* pieces of the model that the fixed ones stand for */
    } FIXED[] = {[LAYOUT_PLAIN] = {{NULL}, 0}, [LAYOUT_FAIRSEQ] = {{"<s>", "<pad>", "</s>", "<unk>"}, 3}, [LAYOUT_CAMEMBERT] = {{"<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED"}, 1}};
    const struct spm_model *m = &b->model;
    const enum layout layout = b->class->layout;
    const size_t skip = FIXED[layout].skip, room = m->n + 6;
    b->pieces = calloc(room, sizeof *b->pieces);
    b->scores = calloc(room, sizeof *b->scores);
    b->types = calloc(room, sizeof *b->types);
    if (!b->pieces || !b->scores || !b->types) return err_nomem(err, b->name);
    for (size_t i = 0; i < skip; i++)
        if (i >= m->n || (m->types[i] != PIECE_UNKNOWN && m->types[i] != PIECE_CONTROL))
            return err_set(err, GLLM_FORMAT, "%s: piece %zu: found text, expected an unknown or control piece: %s moves the ids behind it", b->name, i, b->class->names[0]);
    for (unsigned i = 0; i < 5 && FIXED[layout].first[i]; i++) put(b, FIXED[layout].first[i], strlen(FIXED[layout].first[i]), 0, i == 3 ? PIECE_UNKNOWN : PIECE_CONTROL);
    for (size_t i = skip; i < m->n; i++) put(b, m->pieces[i].text, m->pieces[i].len, m->scores[i], m->types[i]);
    if (layout != LAYOUT_PLAIN) put(b, "<mask>", 6, 0, PIECE_CONTROL);
    b->top = (uint32_t)b->n - 1;
    if (!map_reserve(&b->ids, b->n)) return err_nomem(err, b->name);
    for (size_t i = 0; i < b->n; i++) {
        uint32_t other;
        if (map_get(&b->ids, b->pieces[i].text, b->pieces[i].len, &other)) /* a fixed piece that the model has too */
            return err_set(err, GLLM_FORMAT, "%s: piece \"%.*s\" stands twice where %s puts its own", b->name,
                           (int)(b->pieces[i].len < 60 ? b->pieces[i].len : 60), b->pieces[i].text, b->class->names[0]);
        if (!map_put(&b->ids, b->pieces[i].text, b->pieces[i].len, (uint32_t)i)) return err_nomem(err, b->name);
    }
    return GLLM_OK;
}

/* ---- added tokens: those of the configuration first, then the model's control pieces ---- */

static bool listed(const struct building *b, const char *text, uint32_t *id) { return map_get(&b->added_ids, text, strlen(text), id); }

/* `flags` (may be NULL) holds lstrip, rstrip, single_word. Slow tokenizers look for added tokens in the raw text, whatever "normalized" says. */
static gllm_status add(struct building *b, const char *text, uint32_t id, bool special, const json_t *flags, gllm_error *err) {
    static const char *const KEPT[] = {"lstrip", "rstrip", "single_word"};
    json_t *v = json_pack("{s:s, s:f, s:b, s:b}", "content", text, "id", (double)id, "special", special, "normalized", 0);
    if (!v) return err_nomem(err, b->name);
    for (unsigned i = 0; i < 3; i++)
        if (json_object_get(flags, KEPT[i])) json_object_set(v, KEPT[i], json_object_get(flags, KEPT[i]));
    if (id > b->top) b->top = id;
    const json_t *content = json_object_get(v, "content");
    bool ok = map_put(&b->added_ids, json_string_value(content), json_string_length(content), id);
    return json_array_append_new(b->added, v) || !ok ? err_nomem(err, b->name) : GLLM_OK;
}

/* "id": {"content": …} */
static gllm_status add_decoder_entry(struct building *b, const char *key, const json_t *v, gllm_error *err) {
    const char *text = NULL;
    bool special = false;
    char *end;
    const unsigned long id = strtoul(key, &end, 10);
    if (!*key || *end || id > 1 << 24) return err_set(err, GLLM_FORMAT, "%s: added_tokens_decoder: found \"%.40s\", expected an id up to %d", b->name, key, 1 << 24);
    TRY(json_str(v, b->name, "content", &text, err));
    TRY(json_flag(v, b->name, "special", &special, err));
    if (!text) return err_set(err, GLLM_FORMAT, "%s: added_tokens_decoder: \"%lu\": content: found nothing, expected a text", b->name, id);
    return add(b, text, (uint32_t)id, special, v, err);
}

static gllm_status add_listed(struct building *b, const json_t *config, json_t *more, gllm_error *err) {
    json_t *decoder, *v;
    const char *key;
    uint32_t id;
    TRY(json_object_at(config, b->name, "added_tokens_decoder", &decoder, err));
    json_object_foreach(decoder, key, v) TRY(add_decoder_entry(b, key, v, err));
    json_object_foreach(more, key, v) {
        const double d = json_number_value(v);
        if (!json_is_number(v) || !(d >= 0 && d <= 1 << 24) || d != floor(d)) return err_set(err, GLLM_FORMAT, "%s: added_tokens.json: \"%.40s\": expected an id up to %d", b->name, key, 1 << 24);
        if (!listed(b, key, &id)) TRY(add(b, key, (uint32_t)d, false, NULL, err));
    }
    return GLLM_OK;
}

/* A token that the configuration names for a purpose: special, and new at the end if nothing has that spelling. *id: -1 when it names none. */
static gllm_status name_token(struct building *b, const json_t *v, int32_t *id, gllm_error *err) {
    const json_t *flags = json_is_object(v) ? v : NULL;
    if (flags) v = json_object_get(v, "content");
    const char *text = json_string_value(v);
    uint32_t known;
    if (!text || !*text) return GLLM_OK;
    bool found = listed(b, text, &known), piece = !found && map_get(&b->ids, text, strlen(text), &known);
    if (!found && !piece) known = b->top + 1;
    *id = (int32_t)known;
    return found ? GLLM_OK : add(b, text, known, true, flags, err);
}

struct named { /* -1: none */
    int32_t bos, eos, unk, sep, pad, cls, mask;
};

static gllm_status add_named(struct building *b, const json_t *config, struct named *n, gllm_error *err) {
    const struct {
        const char *key;
        int32_t *id;
    } TOKENS[] = {{"bos_token", &n->bos}, {"eos_token", &n->eos}, {"unk_token", &n->unk}, {"sep_token", &n->sep}, {"pad_token", &n->pad}, {"cls_token", &n->cls}, {"mask_token", &n->mask}};
    json_t *more, *v;
    size_t i;
    int32_t unused;
    for (i = 0; i < sizeof TOKENS / sizeof *TOKENS; i++) TRY(name_token(b, json_object_get(config, TOKENS[i].key), TOKENS[i].id, err));
    TRY(json_array_at(config, b->name, "additional_special_tokens", &more, err));
    json_array_foreach(more, i, v) TRY(name_token(b, v, &unused, err));
    return GLLM_OK;
}

static gllm_status add_extra_ids(struct building *b, const json_t *config, gllm_error *err) {
    uint32_t n = b->class->extra_ids, known;
    TRY(json_u32(config, b->name, "extra_ids", &n, err));
    if (!b->class->extra_ids || json_object_get(config, "added_tokens_decoder")) return GLLM_OK;
    if (n > 1 << 16) return err_set(err, GLLM_FORMAT, "%s: extra_ids: found %u, expected at most %d", b->name, n, 1 << 16);
    for (uint32_t i = n; i--;) {
        char text[32];
        snprintf(text, sizeof text, "<extra_id_%u>", i);
        if (!listed(b, text, &known) && !map_get(&b->ids, text, strlen(text), &known)) TRY(add(b, text, b->top + 1, true, NULL, err));
    }
    return GLLM_OK;
}

/* The pieces that cannot be written in a text but as special tokens. <mask> takes the space before it. */
static gllm_status add_controls(struct building *b, gllm_error *err) {
    json_t *mask = json_pack("{s:b}", "lstrip", 1);
    gllm_status status = mask ? GLLM_OK : err_nomem(err, b->name);
    for (size_t i = 0; status == GLLM_OK && i < b->n; i++) {
        uint32_t known;
        if (b->types[i] != PIECE_CONTROL && b->types[i] != PIECE_UNKNOWN) continue;
        char *text = strndup(b->pieces[i].text, b->pieces[i].len);
        bool last = b->class->layout != LAYOUT_PLAIN && i + 1 == b->n;
        if (!text) status = err_nomem(err, b->name);
        else if (strlen(text) == b->pieces[i].len && !listed(b, text, &known)) status = add(b, text, (uint32_t)i, true, last ? mask : NULL, err);
        free(text);
    }
    json_decref(mask);
    return status;
}

/* ---- all together ---- */

static int flag_of(const json_t *config, const char *key) {
    const json_t *v = json_object_get(config, key);
    return json_is_boolean(v) ? json_is_true(v) : -1;
}

static gllm_status finish(struct building *b, struct tokenizer *t, const json_t *config, const struct named *n, gllm_error *err) {
    const struct spm_model *m = &b->model;
    const struct class *c = b->class;
    const int legacy = flag_of(config, "legacy"), prefix = flag_of(config, "add_prefix_space"), bos = flag_of(config, "add_bos_token"), eos = flag_of(config, "add_eos_token");
    const struct tokenizer_tables tables = {
        .model = m->bpe ? "llama" : "t5", .tokens = b->pieces, .scores = b->scores, .types = b->types, .n_tokens = b->n,
        .charsmap = m->charsmap.text, .charsmap_len = m->charsmap.len, .remove_extra_whitespaces = m->remove_extra_whitespaces,
        .bos = n->bos, .eos = n->eos, .unk = n->unk, .sep = n->eos, .pad = n->pad, .cls = n->cls,
        .add_bos = c->fixed_ends || bos < 0 ? c->bos : bos, .add_eos = c->fixed_ends || eos < 0 ? c->eos : eos, .add_sep = c->sep};
    const struct tables_rules rules = {
        .prefix = !m->dummy_prefix || (c->first_only && prefix == 0) ? PREFIX_NEVER : c->first_only && legacy == 0 ? PREFIX_FIRST : PREFIX_ALWAYS,
        .suffix = m->suffix, .escape_whitespaces = m->escape_whitespaces, .byte_fallback = m->byte_fallback, .second_type = c->second_type, .added = b->added};
    return tables_build(t, &tables, &rules, b->name, err);
}

static gllm_status build(struct building *b, struct tokenizer *t, const void *data, size_t len, const json_t *config, json_t *added, gllm_error *err) {
    const char *class = "";
    TRY(json_str(config, b->name, "tokenizer_class", &class, err));
    b->class = class_find(class, strlen(class));
    if (!b->class)
        return err_set(err, GLLM_UNSUPPORTED, "%s: tokenizer_class \"%.60s\" is not known for a SentencePiece model, expected Llama's, InternLM's, Gemma's, T5's, XLM-RoBERTa's or CamemBERT's", b->name, class);
    TRY(spm_read(&b->model, data, len, b->name, err));
    TRY(lay_out(b, err));
    const bool plain = b->class->layout == LAYOUT_PLAIN;
    uint32_t bos, eos, pad;
    struct named named = {.bos = b->model.bos, .eos = b->model.eos, .unk = b->model.unk, .sep = -1, .pad = b->model.pad, .cls = -1, .mask = -1};
    if (!plain && (!map_get(&b->ids, "<s>", 3, &bos) || !map_get(&b->ids, "</s>", 4, &eos) || !map_get(&b->ids, "<pad>", 5, &pad)))
        return err_set(err, GLLM_FORMAT, "%s: found no <s> or no </s>, which %s needs", b->name, b->class->names[0]);
    if (!plain) named = (struct named){.bos = (int32_t)bos, .eos = (int32_t)eos, .unk = 3, .sep = -1, .pad = (int32_t)pad, .cls = -1, .mask = -1};
    const int32_t unk = named.unk;
    TRY(add_listed(b, config, added, err));
    TRY(add_extra_ids(b, config, err));
    TRY(add_named(b, config, &named, err));
    TRY(add_controls(b, err));
    named.unk = unk; /* what a text has no piece for is the model's affair, whatever the configuration calls unknown */
    return finish(b, t, config, &named, err);
}

gllm_status spm_build(struct tokenizer *t, const void *data, size_t len, const json_t *config, json_t *added, const char *name, gllm_error *err) {
    struct building b = {.name = name, .added = json_array()};
    gllm_status status = b.added ? build(&b, t, data, len, config, added, err) : err_nomem(err, name);
    spm_free(&b.model);
    free(b.pieces);
    free(b.scores);
    free(b.types);
    map_free(&b.ids);
    map_free(&b.added_ids);
    json_decref(b.added);
    return status;
}
