/* pretok.c - reading a pre-tokenizer: nested Sequences become one flat list of cutters, which cutter.c runs. */
#include "text/pretok.h"

#include <string.h>

#include "base/utf8.h"

/* The pattern of byte-level BPE, as GPT-2 published it. */
static const char GPT2[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

static gllm_status read_char(uint32_t *out, const json_t *v, const char *key, uint32_t usual, const char *name, gllm_error *err) {
    const char *s = NULL;
    TRY(json_str(v, name, key, &s, err));
    *out = usual;
    if (!s && usual) return GLLM_OK;
    if (!s || utf8_read(s, strlen(s), out) != strlen(s) || !*s)
        return err_set(err, GLLM_FORMAT, "%s: pre_tokenizer: %s: found \"%.20s\", expected one character", name, key, s ? s : "");
    return GLLM_OK;
}

static gllm_status read_behavior(struct cutter *c, const json_t *v, const char *name, gllm_error *err) {
    static const char *const NAMES[] = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"};
    const char *s = "Isolated";
    TRY(json_str(v, name, "behavior", &s, err));
    for (unsigned i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
        if (!strcmp(s, NAMES[i])) {
            c->behavior = (enum behavior)i;
            return GLLM_OK;
        }
    return err_set(err, GLLM_FORMAT, "%s: pre_tokenizer: behavior: found \"%.40s\", expected Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous", name, s);
}

static gllm_status open_pattern(struct cutter *c, const char *pattern, size_t len, const char *name, gllm_error *err) {
    gllm_status status = regex_open(&c->regex, pattern, len, "pre_tokenizer", err);
    return status == GLLM_OK ? GLLM_OK : err_wrap(err, status, "%s", name);
}

/* Split: {"pattern": {"String": …} or {"Regex": …}, "behavior": …, "invert": …} */
static gllm_status read_split(struct cutter *c, struct arena *a, const json_t *v, const char *name, gllm_error *err) {
    json_t *pattern;
    TRY(json_object_at(v, name, "pattern", &pattern, err));
    TRY(read_behavior(c, v, name, err));
    TRY(json_flag(v, name, "invert", &c->invert, err));
    const json_t *regex = json_object_get(pattern, "Regex"), *text = json_object_get(pattern, "String");
    if (json_is_string(regex)) {
        c->kind = CUT_REGEX;
        return open_pattern(c, json_string_value(regex), json_string_length(regex), name, err);
    }
    if (!json_is_string(text)) return err_set(err, GLLM_FORMAT, "%s: pre_tokenizer Split: pattern: found neither String nor Regex", name);
    if (!json_string_length(text)) { /* as in HF: the empty expression, which matches between any two characters */
        c->kind = CUT_REGEX;
        return open_pattern(c, "", 0, name, err);
    }
    c->kind = CUT_STRING;
    c->text_len = json_string_length(text);
    c->text = arena_strndup(a, json_string_value(text), c->text_len);
    return c->text ? GLLM_OK : err_nomem(err, name);
}

static gllm_status read_metaspace(struct cutter *c, const json_t *v, const char *name, gllm_error *err) {
    const char *scheme = NULL;
    bool prefix = true, legacy = json_is_boolean(json_object_get(v, "add_prefix_space"));
    uint32_t cp;
    c->kind = CUT_METASPACE;
    c->split = true;
    TRY(read_char(&cp, v, "replacement", 0x2581, name, err));
    TRY(json_str(v, name, "prepend_scheme", &scheme, err));
    TRY(json_flag(v, name, "add_prefix_space", &prefix, err));
    TRY(json_flag(v, name, "split", &c->split, err));
    c->mark_len = utf8_write(cp, c->mark);
    if (!scheme) scheme = legacy && !prefix ? "never" : "always";
    if (!strcmp(scheme, "always")) c->prepend = PREPEND_ALWAYS;
    else if (!strcmp(scheme, "first")) c->prepend = PREPEND_FIRST;
    else if (!strcmp(scheme, "never")) c->prepend = PREPEND_NEVER;
    else return err_set(err, GLLM_FORMAT, "%s: pre_tokenizer Metaspace: prepend_scheme: found \"%.40s\", expected always, first or never", name, scheme);
    if (legacy && !prefix && c->prepend != PREPEND_NEVER)
        return err_set(err, GLLM_FORMAT, "%s: pre_tokenizer Metaspace: found add_prefix_space false and prepend_scheme \"%s\", which contradict each other", name, scheme);
    return GLLM_OK;
}

static gllm_status read_byte_level(struct cutter *c, const json_t *v, const char *name, gllm_error *err) {
    bool regex = true;
    c->kind = CUT_BYTE_LEVEL;
    c->prefix_space = true;
    TRY(json_flag(v, name, "add_prefix_space", &c->prefix_space, err));
    TRY(json_flag(v, name, "use_regex", &regex, err));
    return regex ? open_pattern(c, GPT2, sizeof GPT2 - 1, name, err) : GLLM_OK;
}

static gllm_status read_fixed(struct cutter *c, const json_t *v, const char *name, gllm_error *err) {
    c->kind = CUT_FIXED;
    c->length = 5;
    TRY(json_u32(v, name, "length", &c->length, err));
    return c->length ? GLLM_OK : err_set(err, GLLM_FORMAT, "%s: pre_tokenizer FixedLength: length: found 0, expected 1 or more", name);
}

static gllm_status read_digits(struct cutter *c, const json_t *v, const char *name, gllm_error *err) {
    bool single = false;
    c->kind = CUT_DIGITS;
    TRY(json_flag(v, name, "individual_digits", &single, err));
    c->behavior = single ? BEHAVIOR_ISOLATED : BEHAVIOR_CONTIGUOUS;
    return GLLM_OK;
}

static gllm_status read_cutter(struct cutter *c, struct arena *a, const char *type, const json_t *v, const char *name, gllm_error *err) {
    static const struct {
        const char *type;
        enum cut_kind kind;
        enum behavior behavior;
    } PLAIN[] = {
        {"BertPreTokenizer", CUT_BERT, 0},          {"Whitespace", CUT_WORDS, 0},
        {"WhitespaceSplit", CUT_WHITESPACE, 0},     {"UnicodeScripts", CUT_SCRIPTS, 0},
    };
    for (unsigned i = 0; i < sizeof PLAIN / sizeof *PLAIN; i++)
        if (!strcmp(type, PLAIN[i].type)) {
            c->kind = PLAIN[i].kind;
            return GLLM_OK;
        }
    if (!strcmp(type, "ByteLevel")) return read_byte_level(c, v, name, err);
    if (!strcmp(type, "Metaspace")) return read_metaspace(c, v, name, err);
    if (!strcmp(type, "Split")) return read_split(c, a, v, name, err);
    if (!strcmp(type, "Digits")) return read_digits(c, v, name, err);
    if (!strcmp(type, "FixedLength")) return read_fixed(c, v, name, err);
    if (!strcmp(type, "Punctuation")) {
        c->kind = CUT_PUNCTUATION;
        return read_behavior(c, v, name, err);
    }
    if (!strcmp(type, "CharDelimiterSplit")) {
        c->kind = CUT_DELIMITER;
        c->behavior = BEHAVIOR_REMOVED;
        return read_char(&c->delimiter, v, "delimiter", 0, name, err);
    }
    return err_set(err, GLLM_UNSUPPORTED, "%s: pre_tokenizer \"%.60s\" is not known", name, type);
}

enum { MAX_CUTTERS = 64 };
static gllm_status read_any(struct pretok *p, struct arena *a, const json_t *v, const char *name, unsigned depth, gllm_error *err) {
    const char *type = NULL;
    if (!json_is_object(v)) return err_set(err, GLLM_FORMAT, "%s: pre_tokenizer: found %s, expected an object", name, json_kind(v));
    if (depth > COMPONENT_MAX_DEPTH) return err_set(err, GLLM_FORMAT, "%s: pre_tokenizer: nested more than %d deep", name, COMPONENT_MAX_DEPTH);
    TRY(json_str(v, name, "type", &type, err));
    if (!type) return err_set(err, GLLM_FORMAT, "%s: pre_tokenizer: type: found nothing, expected a string", name);
    if (strcmp(type, "Sequence")) {
        if (p->count == MAX_CUTTERS) return err_set(err, GLLM_FORMAT, "%s: pre_tokenizer: found more than %d components", name, MAX_CUTTERS);
        return read_cutter(&p->cutters[p->count++], a, type, v, name, err);
    }
    json_t *list;
    TRY(json_array_at(v, name, "pretokenizers", &list, err));
    for (size_t i = 0; i < json_array_size(list); i++) TRY(read_any(p, a, json_array_get(list, i), name, depth + 1, err));
    return GLLM_OK;
}

static struct pretok *create(struct arena *a, size_t cutters) {
    struct pretok *p = arena_alloc(a, sizeof *p);
    if (p) p->cutters = arena_array(a, cutters, sizeof *p->cutters);
    return p && p->cutters ? p : NULL;
}

gllm_status pretok_read(struct pretok **out, struct arena *a, const json_t *v, const char *name, gllm_error *err) {
    *out = NULL;
    if (!v || json_is_null(v)) return GLLM_OK;
    *out = create(a, MAX_CUTTERS);
    return *out ? read_any(*out, a, v, name, 0, err) : err_nomem(err, name);
}

struct pretok *pretok_bert(struct arena *a) {
    struct pretok *p = create(a, 1);
    if (p) p->cutters[p->count++].kind = CUT_BERT;
    return p;
}

void pretok_free(struct pretok *p) {
    for (size_t i = 0; p && i < p->count; i++) regex_free(p->cutters[i].regex);
}
