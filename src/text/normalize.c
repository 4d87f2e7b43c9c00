#include <string.h>

#include "base/utf8.h"
#include "text/parts.h"

enum kind { N_SEQUENCE, N_BERT, N_LOWERCASE, N_STRIP_ACCENTS, N_FORM, N_STRIP, N_PREPEND, N_REPLACE };
struct normalizer {
    enum kind kind;
    enum unicode_form form;
    bool clean, chinese, strip_accents, lowercase; /* N_BERT */
    bool left, right;                              /* N_STRIP */
    const char *from, *to;                         /* N_REPLACE; N_PREPEND: to */
    struct normalizer **children;
    size_t n_children;
};

struct normalizer *normalizer_bert(struct arena *a, bool clean, bool chinese, int strip_accents, bool lowercase) {
    struct normalizer *n = arena_alloc(a, sizeof *n);
    if (n) *n = (struct normalizer){.kind = N_BERT, .clean = clean, .chinese = chinese, .strip_accents = strip_accents < 0 ? lowercase : strip_accents, .lowercase = lowercase};
    return n;
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

static gllm_status keep_text(struct arena *a, const char *text, const char **out, const char *name, gllm_error *err) {
    if (!text) return err_set(err, GLLM_FORMAT, "%s: normalizer: a text is missing", name);
    *out = arena_strdup(a, text);
    return *out ? GLLM_OK : err_nomem(err, name);
}

static gllm_status read_replace(struct normalizer *n, struct arena *a, const json_t *v, const char *name, gllm_error *err) {
    json_t *pattern;
    n->kind = N_REPLACE;
    TRY(json_object_at(v, name, "pattern", &pattern, err));
    const char *from = json_string_value(json_object_get(pattern, "String"));
    if (!from) return err_set(err, GLLM_UNSUPPORTED, "%s: normalizer Replace: found no String pattern, which alone is supported", name);
    if (!*from) return err_set(err, GLLM_FORMAT, "%s: normalizer Replace: the pattern is empty", name);
    TRY(keep_text(a, from, &n->from, name, err));
    return keep_text(a, json_string_value(json_object_get(v, "content")), &n->to, name, err);
}

static gllm_status read_sequence(struct normalizer *n, struct arena *a, const json_t *v, const char *name, unsigned depth, gllm_error *err) {
    json_t *list;
    n->kind = N_SEQUENCE;
    TRY(json_array_at(v, name, "normalizers", &list, err));
    n->children = arena_array(a, json_array_size(list), sizeof *n->children);
    if (!n->children) return err_nomem(err, name);
    for (size_t i = 0; i < json_array_size(list); i++) {
        TRY(normalizer_read(&n->children[n->n_children], a, json_array_get(list, i), name, depth + 1, err));
        n->n_children += n->children[n->n_children] != NULL;
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
    if (!strcmp(type, "Lowercase")) n->kind = N_LOWERCASE;
    else if (!strcmp(type, "StripAccents")) n->kind = N_STRIP_ACCENTS;
    else if (!strcmp(type, "Prepend")) {
        n->kind = N_PREPEND;
        return keep_text(a, json_string_value(json_object_get(v, "prepend")), &n->to, name, err);
    } else if (!strcmp(type, "Strip")) {
        n->kind = N_STRIP;
        TRY(json_flag(v, name, "strip_left", &n->left, err));
        return json_flag(v, name, "strip_right", &n->right, err);
    } else return err_set(err, GLLM_UNSUPPORTED, "%s: normalizer \"%.60s\" is not supported in this version", name, type);
    return GLLM_OK;
}

/* clean_text and handle_chinese_chars in one pass. */
static void bert_clean(const struct normalizer *n, const char *s, size_t len, struct textbuf *out) {
    for (size_t i = 0; i < len;) {
        uint32_t cp;
        unsigned k = utf8_read(s + i, len - i, &cp);
        bool drop = n->clean && (cp == 0 || cp == 0xFFFD || unicode_is_control(cp));
        if (!drop && n->clean && unicode_is_space(cp)) textbuf_add(out, " ", 1);
        else if (!drop && n->chinese && unicode_is_chinese(cp)) {
            textbuf_add(out, " ", 1);
            textbuf_add(out, s + i, k);
            textbuf_add(out, " ", 1);
        } else if (!drop) textbuf_add(out, s + i, k);
        i += k;
    }
}

static void drop_marks(const char *s, size_t len, struct textbuf *out) {
    for (size_t i = 0; i < len;) {
        uint32_t cp;
        unsigned k = utf8_read(s + i, len - i, &cp);
        if (!unicode_is_mark(cp)) textbuf_add(out, s + i, k);
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
        STEP(drop_marks(text.data, text.len, &next));
    }
    if (n->lowercase) STEP(lower(text.data, text.len, &next));
    textbuf_add(out, text.data, text.len);
    out->failed |= text.failed;
    textbuf_free(&text);
}

static void run_replace(const struct normalizer *n, const char *s, size_t len, struct textbuf *out) {
    size_t k = strlen(n->from);
    for (size_t i = 0; i < len;) {
        if (len - i >= k && !memcmp(s + i, n->from, k)) {
            textbuf_add(out, n->to, strlen(n->to));
            i += k;
        } else textbuf_add(out, s + i++, 1);
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

void normalizer_run(const struct normalizer *n, const char *s, size_t len, struct textbuf *out) {
    if (!n) {
        textbuf_add(out, s, len);
        return;
    }
    struct textbuf text = {0};
    switch (n->kind) {
    case N_BERT: run_bert(n, s, len, out); break;
    case N_LOWERCASE: lower(s, len, out); break;
    case N_STRIP_ACCENTS: drop_marks(s, len, out); break;
    case N_FORM: unicode_normalize(n->form, s, len, out); break;
    case N_STRIP: run_strip(n, s, len, out); break;
    case N_REPLACE: run_replace(n, s, len, out); break;
    case N_PREPEND:
        if (len) textbuf_add(out, n->to, strlen(n->to));
        textbuf_add(out, s, len);
        break;
    case N_SEQUENCE:
        textbuf_add(&text, s, len);
        for (size_t i = 0; i < n->n_children; i++) STEP(normalizer_run(n->children[i], text.data, text.len, &next));
        textbuf_add(out, text.data, text.len);
        out->failed |= text.failed;
        textbuf_free(&text);
        break;
    }
}
