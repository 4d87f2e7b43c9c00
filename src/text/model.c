/* model.c - the vocabulary, and the dispatch to the models that cut a word into its entries. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "text/models.h"

gllm_status vocab_index(struct vocab *v, struct arena *a, uint32_t size, gllm_error *err) {
    v->piece = arena_array(a, size, sizeof *v->piece);
    v->piece_len = arena_array(a, size, sizeof *v->piece_len);
    v->size = size;
    return v->piece && v->piece_len ? GLLM_OK : err_nomem(err, "vocabulary");
}

gllm_status vocab_add(struct vocab *v, struct arena *a, const char *piece, size_t len, uint32_t id, gllm_error *err) {
    char *copy = arena_strndup(a, piece, len);
    if (!copy || !map_put(&v->ids, copy, len, id)) return err_nomem(err, "vocabulary");
    v->piece[id] = copy;
    v->piece_len[id] = (uint32_t)len;
    if (len > v->longest) v->longest = (uint32_t)len;
    return GLLM_OK;
}

void vocab_bytes(const struct vocab *v, int32_t ids[256]) {
    for (unsigned b = 0; b < 256; b++) {
        char text[8];
        uint32_t id;
        int n = snprintf(text, sizeof text, "<0x%02X>", b);
        ids[b] = map_get(&v->ids, text, (size_t)n, &id) ? (int32_t)id : -1;
    }
}

bool push_bytes(const int32_t ids[256], const char *s, size_t len, struct encoding *out, bool *ok) {
    uint32_t first = out->count;
    for (size_t i = 0; i < len; i++) {
        int32_t id = ids[(unsigned char)s[i]];
        if (id >= 0 && (*ok = encoding_push(out, id, 0, false))) continue;
        out->count = first;
        return false;
    }
    return true;
}

struct token_model *token_model_wordpiece(struct arena *a, int32_t unk, const char *prefix, uint32_t max_chars) {
    struct token_model *m = arena_alloc(a, sizeof *m);
    if (m) *m = (struct token_model){.kind = M_WORDPIECE, .wordpiece = {arena_strdup(a, prefix), strlen(prefix), max_chars, unk}};
    return m && m->wordpiece.prefix ? m : NULL;
}

const char *token_model_kind(const struct token_model *m) {
    static const char *const NAMES[] = {[M_WORDPIECE] = "WordPiece", [M_WORDLEVEL] = "WordLevel", [M_BPE] = "BPE", [M_UNIGRAM] = "Unigram"};
    return NAMES[m->kind];
}

/* Ids may leave gaps, but memory stays in proportion to the file. */
static gllm_status read_vocab(struct vocab *v, struct arena *a, json_t *vocab, uint32_t max_added, const char *name, gllm_error *err) {
    const char *piece;
    json_t *id;
    size_t count = json_object_size(vocab);
    double top = max_added, limit = 16.0 * (double)count + 65536;
    if (!count) return err_set(err, GLLM_FORMAT, "%s: model.vocab: found nothing, expected pieces and ids", name);
    json_object_foreach(vocab, piece, id) {
        double d = json_number_value(id);
        if (!json_is_number(id) || !(d >= 0 && d <= limit) || d != floor(d))
            return err_set(err, GLLM_FORMAT, "%s: model.vocab: \"%.40s\" has id %g, expected a whole number from 0 to %.0f", name, piece, d, limit);
        if (d > top) top = d;
    }
    TRY(vocab_index(v, a, (uint32_t)top + 1, err));
    if (!map_reserve(&v->ids, count)) return err_nomem(err, name);
    json_object_foreach(vocab, piece, id) TRY(vocab_add(v, a, piece, strlen(piece), (uint32_t)json_number_value(id), err));
    return GLLM_OK;
}

/* Old files do not say the model's type. */
static const char *guess_type(const json_t *model) {
    if (json_object_get(model, "merges")) return "BPE";
    if (json_is_array(json_object_get(model, "vocab"))) return "Unigram";
    return json_object_get(model, "max_input_chars_per_word") ? "WordPiece" : "WordLevel";
}

/* WordPiece and WordLevel; the vocabulary is read. */
static gllm_status read_words(struct token_model *m, const struct vocab *v, struct arena *a, const json_t *model, const char *name, gllm_error *err) {
    const char *unk = NULL, *prefix = "##";
    uint32_t id;
    m->wordpiece.max_chars = 100;
    TRY(json_str(model, name, "unk_token", &unk, err));
    TRY(json_str(model, name, "continuing_subword_prefix", &prefix, err));
    TRY(json_u32(model, name, "max_input_chars_per_word", &m->wordpiece.max_chars, err));
    if (!unk || !map_get(&v->ids, unk, strlen(unk), &id)) return err_set(err, GLLM_FORMAT, "%s: model.unk_token: found \"%.40s\", expected an entry of model.vocab", name, unk ? unk : "");
    m->wordpiece.unk = (int32_t)id;
    m->wordpiece.prefix = arena_strdup(a, prefix);
    m->wordpiece.prefix_len = strlen(prefix);
    return m->wordpiece.prefix ? GLLM_OK : err_nomem(err, name);
}

gllm_status token_model_read(struct token_model **out, struct vocab *v, struct arena *a, const json_t *model, uint32_t max_added, const char *name, gllm_error *err) {
    *out = NULL;
    const char *type = NULL;
    json_t *vocab;
    if (!json_is_object(model)) return err_set(err, GLLM_FORMAT, "%s: model: found %s, expected an object", name, json_kind(model));
    TRY(json_str(model, name, "type", &type, err));
    if (!type) type = guess_type(model);
    struct token_model *m = arena_alloc(a, sizeof *m);
    if (!m) return err_nomem(err, name);
    if (!strcmp(type, "Unigram")) m->kind = M_UNIGRAM;
    else if (!strcmp(type, "BPE")) m->kind = M_BPE;
    else if (!strcmp(type, "WordPiece")) m->kind = M_WORDPIECE;
    else if (!strcmp(type, "WordLevel")) m->kind = M_WORDLEVEL;
    else return err_set(err, GLLM_UNSUPPORTED, "%s: model \"%.60s\" is not supported in this version, expected WordPiece, BPE, Unigram or WordLevel", name, type);
    if (m->kind == M_UNIGRAM) TRY(unigram_read(&m->unigram, v, a, model, max_added, name, err));
    else {
        TRY(json_object_at(model, name, "vocab", &vocab, err));
        TRY(read_vocab(v, a, vocab, max_added, name, err));
        if (m->kind == M_BPE) TRY(bpe_read(&m->bpe, v, a, model, name, err));
        else TRY(read_words(m, v, a, model, name, err));
    }
    *out = m;
    return GLLM_OK;
}

void token_model_run(const struct token_model *m, const struct vocab *v, const char *word, size_t len, struct encoding *out, bool *failed) {
    uint32_t id;
    bool ok = false;
    switch (m->kind) {
    case M_WORDLEVEL: ok = encoding_push(out, map_get(&v->ids, word, len, &id) ? (int32_t)id : m->wordpiece.unk, 0, false); break;
    case M_WORDPIECE: ok = wordpiece_run(&m->wordpiece, v, word, len, out); break;
    case M_BPE: ok = bpe_run(m->bpe, v, word, len, out); break;
    case M_UNIGRAM: ok = unigram_run(m->unigram, v, word, len, out); break;
    }
    *failed |= !ok;
}
