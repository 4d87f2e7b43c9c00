#include <math.h>
#include <string.h>

#include "text/parts.h"

struct step { /* a special token (source -1) or one of the texts */
    int source;
    int32_t id;
    uint8_t type;
};
struct template {
    struct step *single, *pair;
    uint32_t n_single, n_pair;
    bool plain_types; /* without special tokens the second text has type 1, as if there were no template */
};

static struct template *fixed(struct arena *a, const struct step *single, uint32_t n_single, const struct step *pair, uint32_t n_pair) {
    struct template *t = arena_alloc(a, sizeof *t);
    struct step *steps = arena_array(a, n_single + n_pair, sizeof *steps);
    if (!t || !steps) return NULL;
    memcpy(steps, single, n_single * sizeof *steps);
    memcpy(steps + n_single, pair, n_pair * sizeof *steps);
    *t = (struct template){.single = steps, .pair = steps + n_single, .n_single = n_single, .n_pair = n_pair};
    return t;
}

struct template *template_bert(struct arena *a, int32_t cls, int32_t sep) {
    const struct step single[] = {{-1, cls, 0}, {0, 0, 0}, {-1, sep, 0}}, pair[] = {{-1, cls, 0}, {0, 0, 0}, {-1, sep, 0}, {1, 0, 1}, {-1, sep, 1}};
    struct template *t = fixed(a, single, 3, pair, 5);
    if (t) t->plain_types = true;
    return t;
}

static struct template *roberta(struct arena *a, int32_t cls, int32_t sep) {
    const struct step single[] = {{-1, cls, 0}, {0, 0, 0}, {-1, sep, 0}}, pair[] = {{-1, cls, 0}, {0, 0, 0}, {-1, sep, 0}, {-1, sep, 0}, {1, 0, 0}, {-1, sep, 0}};
    return fixed(a, single, 3, pair, 6);
}

/* ["[SEP]", 102] */
static gllm_status read_token(const json_t *v, const char *key, int32_t *id, const char *name, gllm_error *err) {
    double d = json_number_value(json_array_get(v, 1));
    if (json_array_size(v) != 2 || !json_is_number(json_array_get(v, 1)) || !(d >= 0 && d < 1 << 24) || d != floor(d))
        return err_set(err, GLLM_FORMAT, "%s: post_processor: %s: expected [token, id]", name, key);
    *id = (int32_t)d;
    return GLLM_OK;
}

static gllm_status read_special(struct step *out, uint32_t *n, size_t room, const json_t *tokens, const char *id, uint8_t type, const char *name, gllm_error *err) {
    const json_t *ids = json_object_get(json_object_get(tokens, id), "ids");
    if (!json_array_size(ids)) return err_set(err, GLLM_FORMAT, "%s: post_processor: special token \"%.40s\" is not in special_tokens", name, id);
    for (size_t i = 0; i < json_array_size(ids); i++) {
        double d = json_number_value(json_array_get(ids, i));
        if (!json_is_number(json_array_get(ids, i)) || !(d >= 0 && d < 1 << 24) || d != floor(d) || *n == room)
            return err_set(err, GLLM_FORMAT, "%s: post_processor: the ids of \"%.40s\" are no token ids", name, id);
        out[(*n)++] = (struct step){-1, (int32_t)d, type};
    }
    return GLLM_OK;
}

enum { MAX_STEPS = 1024 };
static gllm_status read_steps(struct step **out, uint32_t *n, struct arena *a, const json_t *list, const json_t *tokens, bool pair, const char *name, gllm_error *err) {
    if (json_array_size(list) > MAX_STEPS / 4) return err_set(err, GLLM_FORMAT, "%s: post_processor: found %zu steps, expected at most %d", name, json_array_size(list), MAX_STEPS / 4);
    struct step *steps = arena_array(a, MAX_STEPS, sizeof *steps);
    if (!steps) return err_nomem(err, name);
    *out = steps;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *entry = json_array_get(list, i), *special = json_object_get(entry, "SpecialToken"), *text = json_object_get(entry, "Sequence");
        const json_t *at = special ? special : text;
        const char *id = NULL;
        uint32_t type = 0;
        TRY(json_str(at, name, "id", &id, err));
        TRY(json_u32(at, name, "type_id", &type, err));
        if (!id || type > 255) return err_set(err, GLLM_FORMAT, "%s: post_processor: step %zu is neither SpecialToken nor Sequence with id and type_id", name, i);
        if (special) TRY(read_special(steps, n, MAX_STEPS, tokens, id, (uint8_t)type, name, err));
        else {
            int source = !strcmp(id, "A") ? 0 : !strcmp(id, "B") ? 1 : 2;
            if (source == 2 || (source == 1 && !pair)) return err_set(err, GLLM_FORMAT, "%s: post_processor: sequence \"%.20s\" is unknown here", name, id);
            if (*n < MAX_STEPS) steps[(*n)++] = (struct step){source, 0, (uint8_t)type};
        }
    }
    return GLLM_OK;
}

static gllm_status read_template(struct template *t, struct arena *a, const json_t *v, const char *name, gllm_error *err) {
    json_t *single, *pair, *tokens;
    TRY(json_array_at(v, name, "single", &single, err));
    TRY(json_array_at(v, name, "pair", &pair, err));
    TRY(json_object_at(v, name, "special_tokens", &tokens, err));
    TRY(read_steps(&t->single, &t->n_single, a, single, tokens, false, name, err));
    return read_steps(&t->pair, &t->n_pair, a, pair, tokens, true, name, err);
}

/* A Sequence of post-processors: the one that adds tokens counts; ByteLevel only moves offsets. */
static gllm_status read_sequence(struct template **out, struct arena *a, const json_t *v, const struct vocab *vocab, const char *name, unsigned depth, gllm_error *err) {
    json_t *list;
    TRY(json_array_at(v, name, "processors", &list, err));
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct template *one;
        TRY(template_read(&one, a, json_array_get(list, i), vocab, name, depth + 1, err));
        if (one && *out) return err_set(err, GLLM_UNSUPPORTED, "%s: post_processor: a Sequence of several that add tokens is not supported", name);
        if (one) *out = one;
    }
    return GLLM_OK;
}

gllm_status template_read(struct template **out, struct arena *a, const json_t *v, const struct vocab *vocab, const char *name, unsigned depth, gllm_error *err) {
    *out = NULL;
    if (!v || json_is_null(v)) return GLLM_OK;
    const char *type = NULL;
    if (!json_is_object(v)) return err_set(err, GLLM_FORMAT, "%s: post_processor: found %s, expected an object", name, json_kind(v));
    if (depth > COMPONENT_MAX_DEPTH) return err_set(err, GLLM_FORMAT, "%s: post_processor: nested more than %d deep", name, COMPONENT_MAX_DEPTH);
    TRY(json_str(v, name, "type", &type, err));
    if (!type) return err_set(err, GLLM_FORMAT, "%s: post_processor: type: found nothing, expected a string", name);
    if (!strcmp(type, "ByteLevel")) return GLLM_OK;
    if (!strcmp(type, "Sequence")) return read_sequence(out, a, v, vocab, name, depth, err);
    if (!strcmp(type, "TemplateProcessing")) {
        *out = arena_alloc(a, sizeof **out);
        return *out ? read_template(*out, a, v, name, err) : err_nomem(err, name);
    }
    const bool is_roberta = !strcmp(type, "RobertaProcessing");
    if (!is_roberta && strcmp(type, "BertProcessing")) return err_set(err, GLLM_UNSUPPORTED, "%s: post_processor \"%.60s\" is not supported in this version", name, type);
    int32_t cls, sep;
    TRY(read_token(json_object_get(v, "cls"), "cls", &cls, name, err));
    TRY(read_token(json_object_get(v, "sep"), "sep", &sep, name, err));
    *out = is_roberta ? roberta(a, cls, sep) : template_bert(a, cls, sep);
    return *out ? GLLM_OK : err_nomem(err, name);
}

static bool end_with(struct step **steps, uint32_t *n, struct arena *a, int32_t id, uint8_t type) {
    if (*n && (*steps)[*n - 1].source < 0 && (*steps)[*n - 1].id == id) return true;
    struct step *longer = arena_array(a, *n + 1, sizeof *longer);
    if (!longer) return false;
    memcpy(longer, *steps, *n * sizeof *longer);
    longer[(*n)++] = (struct step){-1, id, type};
    *steps = longer;
    return true;
}

bool template_end_with(struct template **t, struct arena *a, int32_t id) {
    static const struct step BARE[] = {{0, 0, 0}, {0, 0, 0}, {1, 0, 1}}; /* of one text, then of a pair */
    if (!*t && !(*t = fixed(a, BARE, 1, BARE + 1, 2))) return false;
    return end_with(&(*t)->single, &(*t)->n_single, a, id, 0) && end_with(&(*t)->pair, &(*t)->n_pair, a, id, 1);
}

uint32_t template_count(const struct template *t, bool pair) {
    uint32_t n = 0;
    if (!t) return 0;
    const struct step *s = pair ? t->pair : t->single;
    for (uint32_t i = 0; i < (pair ? t->n_pair : t->n_single); i++) n += s[i].source < 0;
    return n;
}

static bool copy(const struct encoding *from, uint8_t type, struct encoding *out) {
    for (uint32_t i = 0; i < from->count; i++)
        if (!encoding_push(out, from->ids[i], type, false)) return false;
    return true;
}

bool template_run(const struct template *t, bool add_special, const struct encoding *a, const struct encoding *pair, struct encoding *out) {
    out->count = 0;
    if (!t || (!add_special && t->plain_types)) return copy(a, 0, out) && (!pair || copy(pair, 1, out));
    const struct step *s = pair ? t->pair : t->single;
    for (uint32_t i = 0; i < (pair ? t->n_pair : t->n_single); i++) {
        if (s[i].source < 0 && !add_special) continue;
        bool ok = s[i].source < 0 ? encoding_push(out, s[i].id, s[i].type, true) : copy(s[i].source ? pair : a, s[i].type, out);
        if (!ok) return false;
    }
    return true;
}
