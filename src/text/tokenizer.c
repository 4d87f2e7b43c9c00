#include "text/tokenizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/utf8.h"
#include "text/impl.h"

#define MAX_JSON ((uint64_t)512 << 20)

/* ---- reading ---- */

gllm_status tokenizer_highest_added(const json_t *list, uint32_t *out, const char *name, gllm_error *err) {
    for (size_t i = 0; i < json_array_size(list); i++) {
        uint32_t id = 0;
        TRY(json_u32(json_array_get(list, i), name, "id", &id, err));
        if (id > 1 << 24) return err_set(err, GLLM_FORMAT, "%s: added_tokens: found id %u, expected at most %d", name, id, 1 << 24);
        if (id > *out) *out = id;
    }
    return GLLM_OK;
}

gllm_status tokenizer_add_tokens(struct tokenizer *t, const json_t *list, const char *name, gllm_error *err) {
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *v = json_array_get(list, i);
        const char *text = NULL;
        uint32_t id = 0, other;
        TRY(json_str(v, name, "content", &text, err));
        TRY(json_u32(v, name, "id", &id, err));
        if (!text || id >= t->vocab.size || map_get(&t->vocab.ids, text, strlen(text), &other)) continue;
        uint32_t longest = t->vocab.longest; /* added tokens are not pieces of words */
        TRY(vocab_add(&t->vocab, &t->arena, text, strlen(text), id, err));
        t->vocab.longest = longest;
    }
    return GLLM_OK;
}

static gllm_status read_json(struct tokenizer *t, const json_t *root, const char *name, gllm_error *err) {
    if (!json_is_object(root)) return err_set(err, GLLM_FORMAT, "%s: found %s, expected an object", name, json_kind(root));
    json_t *added, *padding;
    uint32_t top = 0, pad = UINT32_MAX;
    TRY(json_array_at(root, name, "added_tokens", &added, err));
    TRY(tokenizer_highest_added(added, &top, name, err));
    TRY(token_model_read(&t->model, &t->vocab, &t->arena, json_object_get(root, "model"), top, name, err));
    TRY(tokenizer_add_tokens(t, added, name, err));
    TRY(normalizer_read(&t->normalizer, &t->arena, json_object_get(root, "normalizer"), name, 0, err));
    TRY(pretok_read(&t->pretok, &t->arena, json_object_get(root, "pre_tokenizer"), name, err));
    TRY(template_read(&t->template, &t->arena, json_object_get(root, "post_processor"), &t->vocab, name, 0, err));
    TRY(decoder_read(&t->decoder, &t->arena, json_object_get(root, "decoder"), name, err));
    TRY(added_read(&t->added, &t->arena, added, t->normalizer, name, err));
    TRY(json_object_at(root, name, "padding", &padding, err));
    TRY(json_u32(padding, name, "pad_id", &pad, err));
    if (pad < t->vocab.size) t->pad_id = (int32_t)pad;
    return GLLM_OK;
}

struct tokenizer *tokenizer_create(void) {
    struct tokenizer *t = calloc(1, sizeof *t);
    if (t) t->pad_id = t->end_id = -1;
    return t;
}

gllm_status tokenizer_read(struct tokenizer **out, const char *json, size_t len, const char *name, gllm_error *err) {
    *out = NULL;
    json_t *root;
    TRY(json_parse(json, len, name, &root, err));
    struct tokenizer *t = tokenizer_create();
    gllm_status status = t ? read_json(t, root, name, err) : err_nomem(err, name);
    json_decref(root);
    if (status != GLLM_OK) tokenizer_close(t);
    else *out = t;
    return status;
}

/* tokenizer_config.json, with the special tokens of special_tokens_map.json where it names none; *out NULL when there is neither. */
static gllm_status read_config(const char *dir, json_t **out, gllm_error *err) {
    static const char *const FILES[] = {"tokenizer_config.json", "special_tokens_map.json"};
    *out = NULL;
    for (unsigned i = 0; i < 2; i++) {
        char *path = path_join(dir, FILES[i]);
        json_t *v = NULL;
        gllm_status status = path ? json_read_file(path, MAX_JSON, &v, err) : err_nomem(err, dir);
        if (status == GLLM_OK && !json_is_object(v)) status = err_set(err, GLLM_FORMAT, "%s: found %s, expected an object", path, json_kind(v));
        free(path);
        if (status == GLLM_OK && !*out) *out = v;
        else {
            if (status == GLLM_OK) json_object_update_missing(*out, v);
            json_decref(v);
        }
        if (status != GLLM_OK && status != GLLM_NOT_FOUND) {
            json_decref(*out);
            *out = NULL;
            return status;
        }
    }
    return GLLM_OK;
}

/* config[key], a token's spelling or an object that has it; *id stays where there is none. */
static void named_token(const struct tokenizer *t, const json_t *config, const char *key, int32_t *id) {
    const json_t *token = json_object_get(config, key);
    uint32_t found;
    if (json_is_object(token)) token = json_object_get(token, "content");
    if (json_is_string(token) && map_get(&t->vocab.ids, json_string_value(token), json_string_length(token), &found)) *id = (int32_t)found;
}

static void apply_config(struct tokenizer *t, const json_t *config) {
    double max = json_number_value(json_object_get(config, "model_max_length"));
    if (max >= 1 && max < 2147483648.0) t->model_max_length = (uint64_t)max;
    named_token(t, config, "pad_token", &t->pad_id);
    if (json_is_true(json_object_get(config, "add_eos_token"))) named_token(t, config, "eos_token", &t->end_id);
}

gllm_status tokenizer_read_sentencepiece(struct tokenizer **out, const void *data, size_t len, const char *name, gllm_error *err) {
    struct tokenizer *t = tokenizer_create();
    gllm_status status = t ? spm_build(t, data, len, NULL, NULL, name, err) : err_nomem(err, name);
    if (status != GLLM_OK) tokenizer_close(t);
    *out = status == GLLM_OK ? t : NULL;
    return status;
}

typedef gllm_status open_file(struct tokenizer **t, const char *dir, const char *path, const json_t *config, gllm_error *err);

static gllm_status open_json(struct tokenizer **t, const char *dir, const char *path, const json_t *config, gllm_error *err) {
    char *text;
    size_t len;
    (void)dir, (void)config;
    TRY(file_read(path, MAX_JSON, &text, &len, err));
    gllm_status status = tokenizer_read(t, text, len, path, err);
    free(text);
    return status;
}

static gllm_status open_sentencepiece(struct tokenizer **t, const char *dir, const char *path, const json_t *config, gllm_error *err) {
    char *data = NULL, *beside = path_join(dir, "added_tokens.json");
    size_t len;
    json_t *added = NULL;
    gllm_status status = beside ? json_read_file(beside, MAX_JSON, &added, err) : err_nomem(err, dir);
    if (status == GLLM_OK && !json_is_object(added)) status = err_set(err, GLLM_FORMAT, "%s: found %s, expected an object", beside, json_kind(added));
    if (status == GLLM_NOT_FOUND) status = GLLM_OK;
    if (status == GLLM_OK) status = file_read(path, MAX_JSON, &data, &len, err);
    if (status == GLLM_OK && !(*t = tokenizer_create())) status = err_nomem(err, path);
    if (status == GLLM_OK) status = spm_build(*t, data, len, config, added, path, err);
    json_decref(added);
    free(data);
    free(beside);
    return status;
}

static gllm_status open_vocab_txt(struct tokenizer **t, const char *dir, const char *path, const json_t *config, gllm_error *err) {
    (void)dir;
    *t = tokenizer_create();
    return *t ? vocab_txt_read(*t, path, config, err) : err_nomem(err, path);
}

gllm_status tokenizer_open(struct tokenizer **out, const char *dir, gllm_error *err) {
    static const struct {
        const char *file;
        open_file *open;
    } KINDS[] = {{"tokenizer.json", open_json}, {"tokenizer.model", open_sentencepiece}, {"spiece.model", open_sentencepiece}, {"sentencepiece.bpe.model", open_sentencepiece}, {"vocab.txt", open_vocab_txt}};
    *out = NULL;
    json_t *config;
    TRY(read_config(dir, &config, err));
    struct tokenizer *t = NULL;
    gllm_status status = err_set(err, GLLM_NOT_FOUND, "%s: found no tokenizer, expected tokenizer.json, tokenizer.model, spiece.model, sentencepiece.bpe.model or vocab.txt", dir);
    bool found = false;
    for (unsigned i = 0; !found && i < sizeof KINDS / sizeof *KINDS; i++) {
        char *path = path_join(dir, KINDS[i].file);
        found = !path || path_exists(path);
        if (!path) status = err_nomem(err, dir);
        else if (found) status = KINDS[i].open(&t, dir, path, config, err);
        free(path);
    }
    if (status == GLLM_OK) apply_config(t, config);
    json_decref(config);
    if (status != GLLM_OK) tokenizer_close(t);
    else *out = t;
    return status;
}

void tokenizer_close(struct tokenizer *t) {
    if (!t) return;
    normalizer_free(t->normalizer);
    pretok_free(t->pretok);
    decoder_free(t->decoder);
    added_free(t->added);
    map_free(&t->vocab.ids);
    arena_free(&t->arena);
    free(t);
}

/* ---- encoding ---- */

struct scratch { /* one call's working memory */
    const struct encode_options *opt;
    struct textbuf lower, text;
    struct pieces raw, cut;
    struct pretok_run pretok;
    struct plain plain;
    struct encoding *out;
    bool failed;
};
static void scratch_free(struct scratch *s) {
    textbuf_free(&s->lower);
    textbuf_free(&s->text);
    pieces_free(&s->raw);
    pieces_free(&s->cut);
    pretok_run_free(&s->pretok);
    plain_free(&s->plain);
}

static void encode_words(const struct tokenizer *t, const struct piece *p, bool first, struct scratch *m) {
    pretok_run(t->pretok, m->text.data, p->at, p->len, first, &m->pretok);
    const struct pieces *words = m->pretok.words;
    for (size_t k = 0; k < words->count; k++)
        token_model_run(t->model, &t->vocab, m->pretok.text + words->list[k].at, words->list[k].len, m->out, &m->failed);
}

/* Whether the text's first character is still there once normalised: HF's Metaspace "first" asks for the input's very first byte. Whether it
 * is dropped shows when it is alone (wrong only for a Strip of the right end and a text that begins with a space). */
static bool first_stays(const struct tokenizer *t, const char *s, size_t len) {
    struct textbuf alone = {0};
    uint32_t cp;
    bool ok = normalizer_run(t->normalizer, s, utf8_read(s, len, &cp), true, &alone), stays = !ok || alone.len || alone.failed;
    textbuf_free(&alone);
    return stays;
}

/* A stretch of raw text between added tokens: normalise, split at normalised added tokens, pre-tokenise, cut words. */
static bool encode_piece(const struct tokenizer *t, const char *s, size_t at, size_t len, struct scratch *m) {
    bool first = at == 0;
    m->text.len = m->cut.count = 0;
    if (!normalizer_run(t->normalizer, s, len, first, &m->text)) return false;
    if (m->opt->n_plain && added_has_special(t->added, true)) m->failed |= !plain_map(&m->plain, m->opt, t->normalizer, s, at, len, &m->text);
    if (first && t->normalizer && pretok_minds_first(t->pretok)) first = first_stays(t, s, len);
    added_split(t->added, true, m->opt->parse_special, m->plain.spans, m->text.data, 0, m->text.len, &m->cut);
    for (size_t i = 0; i < m->cut.count; i++) {
        const struct piece *p = &m->cut.list[i];
        if (p->id >= 0) m->failed |= !encoding_push(m->out, p->id, 0, false);
        else encode_words(t, p, first && p->at == 0, m);
    }
    return !m->pretok.gave_up;
}

static void lower_case(const char **s, size_t *n, struct textbuf *lower) {
    lower->len = 0;
    for (size_t k = 0; k < *n;) {
        uint32_t cp;
        k += utf8_read(*s + k, *n - k, &cp);
        unicode_lower(cp, lower);
    }
    *s = lower->data, *n = lower->len;
}

static gllm_status encode_text(const struct tokenizer *t, const char *s, size_t len, const struct encode_options *opt, struct encoding *out, gllm_error *err) {
    struct scratch m = {.opt = opt, .out = out};
    bool gave_up = false;
    out->count = 0;
    TRY(utf8_check(s, len, err));
    added_split(t->added, false, opt->parse_special, (struct plain_spans){opt->plain, opt->n_plain}, s, 0, len, &m.raw);
    for (size_t i = 0; i < m.raw.count && !gave_up; i++) {
        const struct piece *p = &m.raw.list[i];
        if (p->id >= 0) {
            m.failed |= !encoding_push(out, p->id, 0, false);
            continue;
        }
        const char *piece = s + p->at;
        size_t n = p->len;
        if (opt->lowercase) lower_case(&piece, &n, &m.lower);
        gave_up = !encode_piece(t, piece, p->at, n, &m);
    }
    bool failed = m.failed || m.pretok.failed || m.lower.failed || m.text.failed || m.raw.failed || m.cut.failed;
    scratch_free(&m);
    if (gave_up) return err_set(err, GLLM_INVALID, "a regular expression of the tokenizer takes too many steps on this text");
    return failed ? err_nomem(err, "tokens") : GLLM_OK;
}

static void cut(struct encoding *e, uint32_t keep, enum tokenizer_side side) {
    if (keep >= e->count) return;
    if (side == TOKENIZER_CUT_START) memmove(e->ids, e->ids + (e->count - keep), keep * sizeof *e->ids);
    e->count = keep;
}

/* Cuts a and b (may be NULL) to `room` tokens together. LONGEST_FIRST on a pair: the longer one down to the other's length, then both evenly,
 * the odd token going to the longer. */
static gllm_status truncate(struct encoding *a, struct encoding *b, uint32_t room, const struct encode_options *opt, gllm_error *err) {
    uint64_t total = (uint64_t)a->count + (b ? b->count : 0);
    if (total <= room) return GLLM_OK;
    uint32_t excess = (uint32_t)(total - room);
    if (opt->strategy == TOKENIZER_LONGEST_FIRST) {
        if (!b) {
            cut(a, room, opt->side);
            return GLLM_OK;
        }
        struct encoding *small = a->count > b->count ? b : a, *large = small == a ? b : a;
        uint32_t n1 = small->count, n2 = n1 > room || room - n1 < n1 ? n1 : room - n1;
        if ((uint64_t)n1 + n2 > room) n1 = room / 2, n2 = n1 + room % 2;
        cut(small, n1, opt->side);
        cut(large, n2, opt->side);
        return GLLM_OK;
    }
    struct encoding *target = opt->strategy == TOKENIZER_ONLY_FIRST ? a : b;
    if (!target || target->count <= excess)
        return err_set(err, GLLM_TOO_LONG, "the text to cut has %u tokens, expected more than the %u that must go", target ? target->count : 0, excess);
    cut(target, target->count - excess, opt->side);
    return GLLM_OK;
}

gllm_status tokenizer_encode(const struct tokenizer *t, const char *text, size_t len, const char *pair, size_t pair_len, const struct encode_options *opt, struct encoding *out, gllm_error *err) {
    struct encoding a = {0}, b = {0};
    gllm_status status;
    uint32_t extra = opt->add_special ? template_count(t->template, pair != NULL) : 0;
    TRY_GO(encode_text(t, text, len, opt, &a, err));
    if (pair) {
        struct encode_options second = *opt;
        second.n_plain = 0;
        status = encode_text(t, pair, pair_len, &second, &b, err);
        if (status != GLLM_OK) {
            err_wrap(err, status, "second text");
            goto done;
        }
    }
    uint64_t full = (uint64_t)a.count + b.count + extra;
    if (opt->max_tokens && opt->max_tokens < extra) {
        status = err_set(err, GLLM_TOO_LONG, "a limit of %u tokens, expected room for %u special tokens", opt->max_tokens, extra);
        goto done;
    }
    if (opt->max_tokens) TRY_GO(truncate(&a, pair ? &b : NULL, opt->max_tokens - extra, opt, err));
    if (!template_run(t->template, opt->add_special, &a, pair ? &b : NULL, out)) status = err_nomem(err, "tokens");
    out->full_count = full > UINT32_MAX ? UINT32_MAX : (uint32_t)full;
done:
    encoding_free(&a);
    encoding_free(&b);
    return status;
}

/* ---- decoding and questions ---- */

struct token_stream {
    const struct tokenizer *t;
    bool skip_special;
    bool (*shows)(const void *user, const char *text, size_t len); /* may be NULL */
    const void *user;
    struct textbuf text;
    struct decoding *decoding;
};

gllm_status token_stream_open(struct token_stream **out, const struct tokenizer *t, bool skip_special, gllm_error *err) {
    struct token_stream *s = *out = calloc(1, sizeof *s);
    if (s) s->decoding = decoding_open(t->decoder, &s->text);
    if (!s || !s->decoding) {
        free(s);
        *out = NULL;
        return err_nomem(err, "text");
    }
    s->t = t;
    s->skip_special = skip_special;
    return GLLM_OK;
}

void token_stream_show(struct token_stream *s, bool (*shows)(const void *user, const char *text, size_t len), const void *user) {
    s->shows = shows;
    s->user = user;
}

/* Appends to s->text. */
static gllm_status push_id(struct token_stream *s, int32_t id, gllm_error *err) {
    size_t n;
    bool special = false;
    const char *piece = tokenizer_piece(s->t, id, &n);
    if (!piece) return err_set(err, GLLM_INVALID, "token id %d: expected 0 to %u", id, s->t->vocab.size - 1);
    added_form(s->t->added, id, &special, &piece, &n);
    if (!special || !s->skip_special || (s->shows && s->shows(s->user, piece, n))) decoding_push(s->decoding, piece, n);
    return GLLM_OK;
}

gllm_status token_stream_push(struct token_stream *s, int32_t id, const char **text, size_t *len, gllm_error *err) {
    s->text.len = 0;
    TRY(push_id(s, id, err));
    *text = s->text.data ? s->text.data : "";
    *len = s->text.len;
    return s->text.failed ? err_nomem(err, "text") : GLLM_OK;
}

static gllm_status end_stream(struct token_stream *s, gllm_error *err) {
    return decoding_end(s->decoding) ? GLLM_OK : err_set(err, GLLM_INVALID, "the text cannot be decoded: memory is out, or a regular expression takes too many steps");
}

gllm_status token_stream_end(struct token_stream *s, const char **text, size_t *len, gllm_error *err) {
    s->text.len = 0;
    TRY(end_stream(s, err));
    *text = s->text.data ? s->text.data : "";
    *len = s->text.len;
    return GLLM_OK;
}

void token_stream_close(struct token_stream *s) {
    if (!s) return;
    decoding_close(s->decoding);
    textbuf_free(&s->text);
    free(s);
}

gllm_status tokenizer_decode(const struct tokenizer *t, const int32_t *ids, size_t n, bool skip_special, char **out, size_t *len, gllm_error *err) {
    struct token_stream *s;
    gllm_status status;
    *out = NULL;
    TRY(token_stream_open(&s, t, skip_special, err));
    for (size_t i = 0; i < n; i++) TRY_GO(push_id(s, ids[i], err));
    TRY_GO(end_stream(s, err));
    textbuf_add(&s->text, "", 1);
    if (s->text.failed) {
        status = err_nomem(err, "text");
        goto done;
    }
    *out = s->text.data; /* moves */
    *len = s->text.len - 1;
    s->text = (struct textbuf){0};
done:
    token_stream_close(s);
    return status;
}

uint32_t tokenizer_vocab_size(const struct tokenizer *t) { return t->vocab.size; }
const char *tokenizer_piece(const struct tokenizer *t, int32_t id, size_t *len) {
    if (id < 0 || (uint32_t)id >= t->vocab.size || !t->vocab.piece[id]) return NULL;
    *len = t->vocab.piece_len[id];
    return t->vocab.piece[id];
}
bool tokenizer_id(const struct tokenizer *t, const char *piece, size_t len, int32_t *id) {
    uint32_t v;
    if (!map_get(&t->vocab.ids, piece, len, &v)) return false;
    *id = (int32_t)v;
    return true;
}
bool tokenizer_is_special(const struct tokenizer *t, int32_t id) { return added_special(t->added, id); }
const char *tokenizer_kind(const struct tokenizer *t) { return token_model_kind(t->model); }
gllm_status tokenizer_add_end(struct tokenizer *t, gllm_error *err) {
    return t->end_id < 0 || template_end_with(&t->template, &t->arena, t->end_id) ? GLLM_OK : err_nomem(err, "post_processor");
}

uint32_t tokenizer_special_count(const struct tokenizer *t, bool pair) { return template_count(t->template, pair); }
uint64_t tokenizer_model_max_length(const struct tokenizer *t) { return t->model_max_length; }
bool tokenizer_pad_id(const struct tokenizer *t, int32_t *id) {
    *id = t->pad_id;
    return t->pad_id >= 0;
}
