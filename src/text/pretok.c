#include <string.h>

#include "base/utf8.h"
#include "text/parts.h"

enum kind { P_BERT, P_WHITESPACE_SPLIT, P_WHITESPACE, P_SEQUENCE };
struct pretok {
    enum kind kind;
    struct pretok **children;
    size_t n_children;
};

struct pretok *pretok_bert(struct arena *a) {
    struct pretok *p = arena_alloc(a, sizeof *p);
    if (p) p->kind = P_BERT;
    return p;
}

gllm_status pretok_read(struct pretok **out, struct arena *a, const json_t *v, const char *name, unsigned depth, gllm_error *err) {
    static const struct {
        const char *type;
        enum kind kind;
    } KINDS[] = {{"BertPreTokenizer", P_BERT}, {"WhitespaceSplit", P_WHITESPACE_SPLIT}, {"Whitespace", P_WHITESPACE}, {"Sequence", P_SEQUENCE}};
    *out = NULL;
    if (!v || json_is_null(v)) return GLLM_OK;
    const char *type = NULL;
    if (!json_is_object(v)) return err_set(err, GLLM_FORMAT, "%s: pre_tokenizer: found %s, expected an object", name, json_kind(v));
    if (depth > COMPONENT_MAX_DEPTH) return err_set(err, GLLM_FORMAT, "%s: pre_tokenizer: nested more than %d deep", name, COMPONENT_MAX_DEPTH);
    TRY(json_str(v, name, "type", &type, err));
    if (!type) return err_set(err, GLLM_FORMAT, "%s: pre_tokenizer: type: found nothing, expected a string", name);
    struct pretok *p = arena_alloc(a, sizeof *p);
    if (!p) return err_nomem(err, name);
    unsigned i = 0;
    while (i < sizeof KINDS / sizeof *KINDS && strcmp(KINDS[i].type, type)) i++;
    if (i == sizeof KINDS / sizeof *KINDS) return err_set(err, GLLM_UNSUPPORTED, "%s: pre_tokenizer \"%.60s\" is not supported in this version", name, type);
    p->kind = KINDS[i].kind;
    *out = p;
    if (p->kind != P_SEQUENCE) return GLLM_OK;
    json_t *list;
    TRY(json_array_at(v, name, "pretokenizers", &list, err));
    p->children = arena_array(a, json_array_size(list), sizeof *p->children);
    if (!p->children) return err_nomem(err, name);
    for (size_t k = 0; k < json_array_size(list); k++) {
        TRY(pretok_read(&p->children[p->n_children], a, json_array_get(list, k), name, depth + 1, err));
        p->n_children += p->children[p->n_children] != NULL;
    }
    return GLLM_OK;
}

/* What a character is to a splitter: space ends a piece and is dropped; runs of one class stay together; a lone one stands alone. */
enum class { C_SPACE, C_WORD, C_OTHER, C_LONE };
static enum class class_of(enum kind kind, uint32_t cp) {
    if (unicode_is_space(cp)) return C_SPACE;
    if (kind == P_BERT) return unicode_is_punctuation(cp) ? C_LONE : C_WORD;
    if (kind == P_WHITESPACE) return unicode_is_word(cp) ? C_WORD : C_OTHER;
    return C_WORD;
}

static void split(enum kind kind, const char *s, size_t at, size_t len, struct pieces *out) {
    size_t start = at, end = at + len;
    enum class running = C_SPACE;
    for (size_t i = at; i < end;) {
        uint32_t cp;
        unsigned k = utf8_read(s + i, end - i, &cp);
        enum class c = class_of(kind, cp);
        if (c != running || c == C_LONE) {
            if (running != C_SPACE) pieces_add(out, start, i - start, -1);
            start = i;
            running = c;
        }
        i += k;
    }
    if (running != C_SPACE) pieces_add(out, start, end - start, -1);
}

void pretok_run(const struct pretok *p, const char *s, size_t at, size_t len, struct pieces *out) {
    if (!p) {
        if (len) pieces_add(out, at, len, -1);
        return;
    }
    if (p->kind != P_SEQUENCE) {
        split(p->kind, s, at, len, out);
        return;
    }
    struct pieces now = {0};
    if (len) pieces_add(&now, at, len, -1);
    for (size_t i = 0; i < p->n_children; i++) {
        struct pieces next = {0};
        for (size_t k = 0; k < now.count; k++) pretok_run(p->children[i], s, now.list[k].at, now.list[k].len, &next);
        next.failed |= now.failed;
        pieces_free(&now);
        now = next;
    }
    for (size_t k = 0; k < now.count; k++) pieces_add(out, now.list[k].at, now.list[k].len, -1);
    out->failed |= now.failed;
    pieces_free(&now);
}
