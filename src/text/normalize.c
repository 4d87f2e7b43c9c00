#include <string.h>

#include "base/utf8.h"
#include "text/parts.h"

enum kind { N_SEQUENCE, N_BERT, N_LOWERCASE, N_STRIP_ACCENTS, N_FORM, N_STRIP, N_PREPEND, N_REPLACE, N_REPLACE_REGEX, N_CHARSMAP, N_NMT, N_BYTE_LEVEL, N_SENTENCEPIECE };
struct normalizer {
    enum kind kind;
    enum unicode_form form;
    bool clean, chinese, strip_accents, lowercase; /* N_BERT */
    bool left, right;                              /* N_STRIP */
    const char *from, *to;                         /* N_REPLACE; N_PREPEND: to */
    size_t from_len, to_len;
    struct regex *regex;                           /* N_REPLACE_REGEX; owned */
    struct charsmap *charsmap;                     /* N_CHARSMAP */
    struct spm_text *spm;                          /* N_SENTENCEPIECE */
    struct normalizer **children;
    size_t n_children;
};

struct normalizer *normalizer_bert(struct arena *a, bool clean, bool chinese, int strip_accents, bool lowercase) {
    struct normalizer *n = arena_alloc(a, sizeof *n);
    if (n) *n = (struct normalizer){.kind = N_BERT, .clean = clean, .chinese = chinese, .strip_accents = strip_accents < 0 ? lowercase : strip_accents, .lowercase = lowercase};
    return n;
}

gllm_status normalizer_sentencepiece(struct normalizer **out, struct arena *a, const struct sentencepiece_rules *r, const struct trie *user, const char *name, gllm_error *err) {
    struct normalizer *n = *out = arena_alloc(a, sizeof *n);
    if (!n) return err_nomem(err, name);
    n->kind = N_SENTENCEPIECE;
    return spm_text_create(&n->spm, a, r, user, name, err);
}

static gllm_status read_bert(struct normalizer *n, const json_t *v, const char *name, gllm_error *err) {
    n->kind = N_BERT;
    n->clean = n->chinese = n->lowercase = true;
    TRY(json_flag(v, name, "clean_text", &n->clean, err));
    TRY(json_flag(v, name, "handle_chinese_chars", &n->chinese, err));
    TRY(json_flag(v, name, "lowercase", &n->lowercase, err));
    n->strip_accents = n->lowercase;
    return json_flag(v, name, "strip_accents", &n->strip_accents, err);
}

static gllm_status keep_text(struct arena *a, const json_t *text, const char **out, size_t *len, const char *name, gllm_error *err) {
    if (!json_is_string(text)) return err_set(err, GLLM_FORMAT, "%s: normalizer: found %s, expected a text", name, json_kind(text));
    *len = json_string_length(text);
    *out = arena_strndup(a, json_string_value(text), *len);
    return *out ? GLLM_OK : err_nomem(err, name);
}

static gllm_status read_replace(struct normalizer *n, struct arena *a, const json_t *v, const char *name, gllm_error *err) {
    json_t *pattern;
    TRY(json_object_at(v, name, "pattern", &pattern, err));
    const json_t *regex = json_object_get(pattern, "Regex"), *text = json_object_get(pattern, "String");
    TRY(keep_text(a, json_object_get(v, "content"), &n->to, &n->to_len, name, err));
    if (json_is_string(text) && json_string_length(text)) {
        n->kind = N_REPLACE;
        return keep_text(a, text, &n->from, &n->from_len, name, err);
    }
    if (!json_is_string(regex)) regex = text; /* the empty String is, as in HF, the empty expression */
    if (!json_is_string(regex)) return err_set(err, GLLM_FORMAT, "%s: normalizer Replace: pattern: found neither String nor Regex", name);
    n->kind = N_REPLACE_REGEX;
    gllm_status status = regex_open(&n->regex, json_string_value(regex), json_string_length(regex), "normalizer Replace", err);
    return status == GLLM_OK ? GLLM_OK : err_wrap(err, status, "%s", name);
}

static gllm_status read_charsmap(struct normalizer *n, struct arena *a, const json_t *v, const char *name, gllm_error *err) {
    const json_t *map = json_object_get(v, "precompiled_charsmap");
    if (!json_is_string(map)) return err_set(err, GLLM_FORMAT, "%s: normalizer Precompiled: precompiled_charsmap: found %s, expected a string", name, json_kind(map));
    n->kind = N_CHARSMAP;
    return charsmap_read(&n->charsmap, a, json_string_value(map), json_string_length(map), name, err);
}

static gllm_status read_sequence(struct normalizer *n, struct arena *a, const json_t *v, const char *name, unsigned depth, gllm_error *err) {
    json_t *list;
    n->kind = N_SEQUENCE;
    TRY(json_array_at(v, name, "normalizers", &list, err));
    n->children = arena_array(a, json_array_size(list), sizeof *n->children);
    if (!n->children) return err_nomem(err, name);
    for (size_t i = 0; i < json_array_size(list); i++) {
        gllm_status status = normalizer_read(&n->children[n->n_children], a, json_array_get(list, i), name, depth + 1, err);
        n->n_children += n->children[n->n_children] != NULL;
        TRY(status);
    }
    return GLLM_OK;
}

gllm_status normalizer_read(struct normalizer **out, struct arena *a, const json_t *v, const char *name, unsigned depth, gllm_error *err) {
    *out = NULL;
    if (!v || json_is_null(v)) return GLLM_OK;
    const char *type = NULL;
    if (!json_is_object(v)) return err_set(err, GLLM_FORMAT, "%s: normalizer: found %s, expected an object", name, json_kind(v));
    if (depth > COMPONENT_MAX_DEPTH) return err_set(err, GLLM_FORMAT, "%s: normalizer: nested more than %d deep", name, COMPONENT_MAX_DEPTH);
    TRY(json_str(v, name, "type", &type, err));
    struct normalizer *n = arena_alloc(a, sizeof *n);
    if (!n) return err_nomem(err, name);
    *out = n;
    static const struct {
        const char *type;
        enum unicode_form form;
    } FORMS[] = {{"NFC", UNICODE_NFC}, {"NFD", UNICODE_NFD}, {"NFKC", UNICODE_NFKC}, {"NFKD", UNICODE_NFKD}};
    if (!type) return err_set(err, GLLM_FORMAT, "%s: normalizer: type: found nothing, expected a string", name);
    for (unsigned i = 0; i < 4; i++)
        if (!strcmp(type, FORMS[i].type)) {
            n->kind = N_FORM, n->form = FORMS[i].form;
            return GLLM_OK;
        }
    if (!strcmp(type, "BertNormalizer")) return read_bert(n, v, name, err);
    if (!strcmp(type, "Sequence")) return read_sequence(n, a, v, name, depth, err);
    if (!strcmp(type, "Replace")) return read_replace(n, a, v, name, err);
    if (!strcmp(type, "Precompiled")) return read_charsmap(n, a, v, name, err);
    if (!strcmp(type, "Lowercase")) n->kind = N_LOWERCASE;
    else if (!strcmp(type, "Nmt")) n->kind = N_NMT;
    else if (!strcmp(type, "ByteLevel")) n->kind = N_BYTE_LEVEL;
    else if (!strcmp(type, "StripAccents")) n->kind = N_STRIP_ACCENTS;
    else if (!strcmp(type, "Prepend")) {
        n->kind = N_PREPEND;
        return keep_text(a, json_object_get(v, "prepend"), &n->to, &n->to_len, name, err);
    } else if (!strcmp(type, "Strip")) {
        n->kind = N_STRIP;
        TRY(json_flag(v, name, "strip_left", &n->left, err));
        return json_flag(v, name, "strip_right", &n->right, err);
    } else return err_set(err, GLLM_UNSUPPORTED, "%s: normalizer \"%.60s\" is not known", name, type);
    return GLLM_OK;
}

/* clean_text and handle_chinese_chars in one pass. */
static void bert_clean(const struct normalizer *n, const char *s, size_t len, struct textbuf *out) {
    for (size_t i = 0; i < len;) {
        uint32_t cp;
        unsigned k = utf8_read(s + i, len - i, &cp);
        bool drop = n->clean && !(cp >= 0x20 && cp < 0x7F) && unicode_is_dropped(cp);
        if (!drop && n->clean && unicode_is_space(cp)) textbuf_add(out, " ", 1);
        else if (!drop && n->chinese && unicode_is_chinese(cp)) {
            textbuf_add(out, " ", 1);
            textbuf_add(out, s + i, k);
            textbuf_add(out, " ", 1);
        } else if (!drop) textbuf_add(out, s + i, k);
        i += k;
    }
}

static void drop_marks(const char *s, size_t len, bool (*drop)(uint32_t cp), struct textbuf *out) {
    for (size_t i = 0; i < len;) {
        uint32_t cp;
        unsigned k = utf8_read(s + i, len - i, &cp);
        if (!drop(cp)) textbuf_add(out, s + i, k);
        i += k;
    }
}

static void lower(const char *s, size_t len, struct textbuf *out) {
    for (size_t i = 0; i < len;) {
        if ((unsigned char)s[i] < 0x80) {
            char c = s[i++];
            if (c >= 'A' && c <= 'Z') c = (char)(c + 32);
            textbuf_add(out, &c, 1);
            continue;
        }
        uint32_t cp;
        i += utf8_read(s + i, len - i, &cp);
        unicode_lower(cp, out);
    }
}

/* Moves the text on through one step: *text becomes what `step` made of it. */
#define STEP(call)                       \
    do {                                 \
        struct textbuf next = {0};       \
        call;                            \
        next.failed |= text.failed;      \
        textbuf_free(&text);             \
        text = next;                     \
    } while (0)

static void run_bert(const struct normalizer *n, const char *s, size_t len, struct textbuf *out) {
    struct textbuf text = {0};
    bert_clean(n, s, len, &text);
    if (n->strip_accents) {
        STEP(unicode_normalize(UNICODE_NFD, text.data, text.len, &next));
        STEP(drop_marks(text.data, text.len, unicode_is_nonspacing, &next));
    }
    if (n->lowercase) STEP(lower(text.data, text.len, &next));
    textbuf_add(out, text.data, text.len);
    out->failed |= text.failed;
    textbuf_free(&text);
}

static void run_replace(const struct normalizer *n, const char *s, size_t len, struct textbuf *out) {
    const char *end = s + len;
    for (const char *hit; s < end && (hit = memmem(s, (size_t)(end - s), n->from, n->from_len)); s = hit + n->from_len) {
        textbuf_add(out, s, (size_t)(hit - s));
        textbuf_add(out, n->to, n->to_len);
    }
    textbuf_add(out, s, (size_t)(end - s));
}

static bool run_replace_regex(const struct normalizer *n, const char *s, size_t len, struct textbuf *out) {
    struct regex_scan scan = {0};
    struct regex_span span;
    regex_begin(&scan, n->regex, s, len);
    while (regex_next(&scan, &span)) {
        if (span.match) textbuf_add(out, n->to, n->to_len);
        else textbuf_add(out, s + span.from, span.to - span.from);
    }
    bool ok = !scan.failed;
    regex_end(&scan);
    return ok;
}

/* The cleaning of sentencepiece's nmt_nfkc rules: control characters go, what only looks like a space becomes one. */
static void run_nmt(const char *s, size_t len, struct textbuf *out) {
    for (size_t i = 0; i < len;) {
        uint32_t cp;
        unsigned k = utf8_read(s + i, len - i, &cp);
        bool drop = (cp >= 1 && cp <= 8) || cp == 0x0B || (cp >= 0x0E && cp <= 0x1F) || cp == 0x7F || cp == 0x8F || cp == 0x9F;
        bool space = cp == 9 || cp == 10 || cp == 12 || cp == 13 || cp == 0x1680 || (cp >= 0x200B && cp <= 0x200F) || cp == 0x2028 || cp == 0x2029 ||
                     cp == 0x2581 || cp == 0xFEFF || cp == 0xFFFD;
        if (space) textbuf_add(out, " ", 1);
        else if (!drop) textbuf_add(out, s + i, k);
        i += k;
    }
}

static void run_strip(const struct normalizer *n, const char *s, size_t len, struct textbuf *out) {
    size_t from = 0, to = 0;
    bool inside = false;
    for (size_t i = 0; i < len;) {
        uint32_t cp;
        unsigned k = utf8_read(s + i, len - i, &cp);
        if (!unicode_is_space(cp)) {
            if (!inside) from = i;
            inside = true;
            to = i + k;
        }
        i += k;
    }
    if (!inside) from = n->left ? len : 0, to = n->left || n->right ? from : len;
    else {
        if (!n->left) from = 0;
        if (!n->right) to = len;
    }
    textbuf_add(out, s + from, to - from);
}

static bool run_sequence(const struct normalizer *n, const char *s, size_t len, bool first, struct textbuf *out) {
    struct textbuf text = {0};
    bool ok = true;
    textbuf_add(&text, s, len);
    for (size_t i = 0; i < n->n_children; i++) STEP(ok &= normalizer_run(n->children[i], text.data, text.len, first, &next));
    textbuf_add(out, text.data, text.len);
    out->failed |= text.failed;
    textbuf_free(&text);
    return ok;
}

bool normalizer_run(const struct normalizer *n, const char *s, size_t len, bool first, struct textbuf *out) {
    if (!len) return true;
    if (!n) {
        textbuf_add(out, s, len);
        return true;
    }
    switch (n->kind) {
    case N_BERT: run_bert(n, s, len, out); break;
    case N_LOWERCASE: lower(s, len, out); break;
    case N_STRIP_ACCENTS: drop_marks(s, len, unicode_is_mark, out); break;
    case N_FORM: unicode_normalize(n->form, s, len, out); break;
    case N_STRIP: run_strip(n, s, len, out); break;
    case N_REPLACE: run_replace(n, s, len, out); break;
    case N_REPLACE_REGEX: return run_replace_regex(n, s, len, out);
    case N_CHARSMAP: charsmap_run(n->charsmap, s, len, out); break;
    case N_NMT: run_nmt(s, len, out); break;
    case N_BYTE_LEVEL: byte_level_add(s, len, out); break;
    case N_SENTENCEPIECE: spm_text_run(n->spm, s, len, first, out); break;
    case N_PREPEND:
        textbuf_add(out, n->to, n->to_len);
        textbuf_add(out, s, len);
        break;
    case N_SEQUENCE: return run_sequence(n, s, len, first, out);
    }
    return true;
}

void normalizer_free(struct normalizer *n) {
    if (!n) return;
    regex_free(n->regex);
    for (size_t i = 0; i < n->n_children; i++) normalizer_free(n->children[i]);
}
