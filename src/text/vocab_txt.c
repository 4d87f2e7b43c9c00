/* vocab_txt.c - a bare vocab.txt: one WordPiece entry a line, its id the line's number. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/utf8.h"
#include "text/impl.h"

#define MAX_VOCAB ((uint64_t)256 << 20)

static gllm_status read_lines(struct tokenizer *t, const char *path, char *text, size_t len, gllm_error *err) {
    size_t bad, lines = 0;
    if (!utf8_valid(text, len, &bad)) return err_set(err, GLLM_FORMAT, "%s: byte %zu is not UTF-8", path, bad);
    for (size_t i = 0; i < len; i++) lines += text[i] == '\n';
    if (len && text[len - 1] != '\n') lines++;
    if (!lines || lines > 1 << 24) return err_set(err, GLLM_FORMAT, "%s: found %zu entries, expected 1 to %d", path, lines, 1 << 24);
    TRY(vocab_index(&t->vocab, &t->arena, (uint32_t)lines, err));
    char *at = text;
    for (uint32_t id = 0; id < lines; id++) {
        size_t n = strcspn(at, "\n"), k = n && at[n - 1] == '\r' ? n - 1 : n;
        TRY(vocab_add(&t->vocab, &t->arena, at, k, id, err));
        at += n + 1;
    }
    return GLLM_OK;
}

/* A special token's spelling: a string, or an object with its content. */
static const char *spelling(const json_t *config, const char *key, const char *usual) {
    const json_t *v = json_object_get(config, key);
    if (json_is_object(v)) v = json_object_get(v, "content");
    return json_is_string(v) ? json_string_value(v) : usual;
}

static gllm_status special(struct tokenizer *t, const json_t *config, const char *key, const char *usual, json_t *added, int32_t *id, const char *path, gllm_error *err) {
    const char *text = spelling(config, key, usual);
    uint32_t v;
    if (!map_get(&t->vocab.ids, text, strlen(text), &v)) return err_set(err, GLLM_FORMAT, "%s: %s \"%.40s\" is not in the vocabulary", path, key, text);
    *id = (int32_t)v;
    json_t *token = json_pack("{s:s, s:f, s:b, s:b}", "content", text, "id", (double)v, "special", 1, "normalized", 0);
    if (!token || json_array_append_new(added, token)) return err_nomem(err, path);
    return GLLM_OK;
}

static gllm_status build(struct tokenizer *t, const json_t *config, json_t *added, const char *path, gllm_error *err) {
    int32_t unk, cls, sep, pad, mask;
    bool lowercase = true, chinese = true, strip = true;
    TRY(special(t, config, "unk_token", "[UNK]", added, &unk, path, err));
    TRY(special(t, config, "cls_token", "[CLS]", added, &cls, path, err));
    TRY(special(t, config, "sep_token", "[SEP]", added, &sep, path, err));
    TRY(special(t, config, "pad_token", "[PAD]", added, &pad, path, err));
    TRY(special(t, config, "mask_token", "[MASK]", added, &mask, path, err));
    TRY(json_flag(config, path, "do_lower_case", &lowercase, err));
    TRY(json_flag(config, path, "tokenize_chinese_chars", &chinese, err));
    const json_t *accents = json_object_get(config, "strip_accents");
    TRY(json_flag(config, path, "strip_accents", &strip, err));
    t->pad_id = pad;
    t->normalizer = normalizer_bert(&t->arena, true, chinese, json_is_boolean(accents) ? strip : -1, lowercase);
    t->pretok = pretok_bert(&t->arena);
    t->model = token_model_wordpiece(&t->arena, unk, "##", 100);
    t->template = template_bert(&t->arena, cls, sep);
    if (!t->normalizer || !t->pretok || !t->model || !t->template) return err_nomem(err, path);
    json_t *decoder = json_pack("{s:s}", "type", "WordPiece");
    gllm_status status = decoder ? decoder_read(&t->decoder, &t->arena, decoder, path, err) : err_nomem(err, path);
    json_decref(decoder);
    TRY(status);
    return added_read(&t->added, &t->arena, added, t->normalizer, path, err);
}

gllm_status vocab_txt_read(struct tokenizer *t, const char *path, const json_t *config, gllm_error *err) {
    char *text;
    size_t len;
    TRY(file_read(path, MAX_VOCAB, &text, &len, err));
    gllm_status status = read_lines(t, path, text, len, err);
    free(text);
    TRY(status);
    json_t *added = json_array();
    if (!added) return err_nomem(err, path);
    status = build(t, config, added, path, err);
    json_decref(added);
    return status;
}
