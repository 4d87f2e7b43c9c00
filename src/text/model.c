/* model.c - the vocabulary, and the models that cut a word into its entries: WordPiece and WordLevel. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "text/parts.h"

enum kind { M_WORDPIECE, M_WORDLEVEL };
struct token_model {
    enum kind kind;
    int32_t unk;
    const char *prefix; /* of a piece that continues a word */
    size_t prefix_len;
    uint32_t max_chars; /* a longer word is unk */
};

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

struct token_model *token_model_wordpiece(struct arena *a, int32_t unk, const char *prefix, uint32_t max_chars) {
    struct token_model *m = arena_alloc(a, sizeof *m);
    if (m) *m = (struct token_model){.kind = M_WORDPIECE, .unk = unk, .prefix = arena_strdup(a, prefix), .prefix_len = strlen(prefix), .max_chars = max_chars};
    return m && m->prefix ? m : NULL;
}

const char *token_model_kind(const struct token_model *m) { return m->kind == M_WORDPIECE ? "WordPiece" : "WordLevel"; }

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

gllm_status token_model_read(struct token_model **out, struct vocab *v, struct arena *a, const json_t *model, uint32_t max_added, const char *name, gllm_error *err) {
    *out = NULL;
    const char *type = NULL, *unk = NULL, *prefix = "##";
    uint32_t max_chars = 100, id;
    json_t *vocab;
    if (!json_is_object(model)) return err_set(err, GLLM_FORMAT, "%s: model: found %s, expected an object", name, json_kind(model));
    TRY(json_str(model, name, "type", &type, err));
    if (!type) /* old files do not say it */
        type = json_object_get(model, "merges") ? "BPE" : json_is_array(json_object_get(model, "vocab")) ? "Unigram" : json_object_get(model, "max_input_chars_per_word") ? "WordPiece" : "WordLevel";
    bool wordpiece = !strcmp(type, "WordPiece");
    if (!wordpiece && strcmp(type, "WordLevel")) return err_set(err, GLLM_UNSUPPORTED, "%s: model \"%.60s\" is not supported in this version, expected WordPiece or WordLevel", name, type);
    TRY(json_object_at(model, name, "vocab", &vocab, err));
    TRY(json_str(model, name, "unk_token", &unk, err));
    TRY(json_str(model, name, "continuing_subword_prefix", &prefix, err));
    TRY(json_u32(model, name, "max_input_chars_per_word", &max_chars, err));
    TRY(read_vocab(v, a, vocab, max_added, name, err));
    if (!unk || !map_get(&v->ids, unk, strlen(unk), &id)) return err_set(err, GLLM_FORMAT, "%s: model.unk_token: found \"%.40s\", expected an entry of model.vocab", name, unk ? unk : "");
    *out = token_model_wordpiece(a, (int32_t)id, wordpiece ? prefix : "", max_chars);
    if (*out && !wordpiece) (*out)->kind = M_WORDLEVEL;
    return *out ? GLLM_OK : err_nomem(err, name);
}

/* Greedy, longest first: each next piece is the longest entry that the rest of the word begins with. */
static bool wordpiece(const struct token_model *m, const struct vocab *v, const char *word, size_t len, struct encoding *out) {
    uint32_t first = out->count, id;
    char local[512], *joined = local;
    if (m->prefix_len + v->longest > sizeof local && !(joined = malloc(m->prefix_len + v->longest))) return false;
    memcpy(joined, m->prefix, m->prefix_len);
    bool ok = true, known = true;
    for (size_t at = 0; at < len && known && ok;) {
        size_t skip = at ? m->prefix_len : 0, n = len - at, most = v->longest > skip ? v->longest - skip : 0;
        n = n < most ? n : utf8_cut(word + at, n, most);
        const char *text = word + at;
        if (at) {
            memcpy(joined + m->prefix_len, text, n);
            text = joined;
        }
        known = false;
        while (n && !(known = map_get(&v->ids, text, skip + n, &id))) n = utf8_cut(word + at, n, n - 1);
        if (known) ok = encoding_push(out, (int32_t)id, 0, false);
        at += n;
    }
    if (!known) {
        out->count = first;
        ok = encoding_push(out, m->unk, 0, false);
    }
    if (joined != local) free(joined);
    return ok;
}

void token_model_run(const struct token_model *m, const struct vocab *v, const char *word, size_t len, struct encoding *out, bool *failed) {
    uint32_t id;
    bool ok;
    if (m->kind == M_WORDLEVEL) ok = encoding_push(out, map_get(&v->ids, word, len, &id) ? (int32_t)id : m->unk, 0, false);
    else if (len > m->max_chars && utf8_count(word, len) > m->max_chars) ok = encoding_push(out, m->unk, 0, false);
    else ok = wordpiece(m, v, word, len, out);
    *failed |= !ok;
}
