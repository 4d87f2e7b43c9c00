/* decode.c - token strings back to text.
 *
 * HF's decoders turn a list of tokens into a list; here each is a step that takes one token at a time and hands on what is certain, so that
 * text can leave while a model still writes, and decoding at once is the same code. From a Fuse or ByteLevel on there is one token
 * ("fused"), which comes in parts. A step that needs all of it (a regular expression, say) holds the parts back to the end. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "text/parts.h"

enum kind { D_SPACES, D_WORDPIECE, D_BYTE_LEVEL, D_METASPACE, D_BPE, D_BYTE_FALLBACK, D_FUSE, D_STRIP, D_REPLACE, D_REPLACE_REGEX, D_CTC, D_SENTENCEPIECE };
struct step {
    enum kind kind;
    bool fused;            /* its input is one token in parts */
    bool cleanup, keep_first; /* WordPiece, CTC; Metaspace: the first token keeps its mark */
    bool strip, strip_all;    /* D_SENTENCEPIECE: a space at the text's start; one in each piece up to the first that has more */
    const char *from, *to; /* what is replaced, and by what; WordPiece: from is the prefix; CTC: pad and word delimiter */
    size_t from_len, to_len;
    uint32_t start, stop;  /* D_STRIP */
    struct regex *regex;   /* owned */
};
struct decoder {
    struct step *steps;
    size_t count;
};

/* ---- reading ---- */

static gllm_status keep(struct arena *a, const json_t *v, const char *key, const char *usual, const char **out, size_t *len, const char *name, gllm_error *err) {
    const json_t *text = json_object_get(v, key);
    if (!json_is_string(text) && (text || !usual)) return err_set(err, GLLM_FORMAT, "%s: decoder: %s: found %s, expected a string", name, key, json_kind(text));
    *len = text ? json_string_length(text) : strlen(usual);
    *out = arena_strndup(a, text ? json_string_value(text) : usual, *len);
    return *out ? GLLM_OK : err_nomem(err, name);
}

static gllm_status keep_char(struct step *d, const char *key, const char *name, gllm_error *err) {
    if (d->from_len && utf8_count(d->from, d->from_len) == 1) return GLLM_OK;
    return err_set(err, GLLM_FORMAT, "%s: decoder: %s: found \"%.20s\", expected one character", name, key, d->from);
}

static gllm_status read_metaspace(struct step *d, struct arena *a, const json_t *v, const char *name, gllm_error *err) {
    const char *scheme = NULL;
    bool prefix = true;
    TRY(keep(a, v, "replacement", "\xE2\x96\x81", &d->from, &d->from_len, name, err));
    TRY(json_str(v, name, "prepend_scheme", &scheme, err));
    TRY(json_flag(v, name, "add_prefix_space", &prefix, err));
    d->keep_first = scheme ? !strcmp(scheme, "never") : !prefix;
    return keep_char(d, "replacement", name, err);
}

static gllm_status read_replace(struct step *d, struct arena *a, const json_t *v, const char *name, gllm_error *err) {
    json_t *pattern;
    TRY(json_object_at(v, name, "pattern", &pattern, err));
    TRY(keep(a, v, "content", NULL, &d->to, &d->to_len, name, err));
    const json_t *text = json_object_get(pattern, "String"), *regex = json_object_get(pattern, "Regex");
    if (json_string_length(text)) return keep(a, pattern, "String", NULL, &d->from, &d->from_len, name, err);
    if (!json_is_string(regex)) regex = text; /* the empty String is, as in HF, the empty expression */
    if (!json_is_string(regex)) return err_set(err, GLLM_FORMAT, "%s: decoder Replace: pattern: found neither String nor Regex", name);
    d->kind = D_REPLACE_REGEX;
    gllm_status status = regex_open(&d->regex, json_string_value(regex), json_string_length(regex), "decoder Replace", err);
    return status == GLLM_OK ? GLLM_OK : err_wrap(err, status, "%s", name);
}

static gllm_status read_step(struct step *d, struct arena *a, const char *type, const json_t *v, const char *name, gllm_error *err) {
    static const struct {
        const char *type;
        enum kind kind;
    } KINDS[] = {{"WordPiece", D_WORDPIECE}, {"ByteLevel", D_BYTE_LEVEL}, {"Metaspace", D_METASPACE}, {"BPEDecoder", D_BPE}, {"ByteFallback", D_BYTE_FALLBACK},
                 {"Fuse", D_FUSE}, {"Strip", D_STRIP}, {"Replace", D_REPLACE}, {"CTC", D_CTC}};
    unsigned i = 0;
    while (i < sizeof KINDS / sizeof *KINDS && strcmp(KINDS[i].type, type)) i++;
    if (i == sizeof KINDS / sizeof *KINDS) return err_set(err, GLLM_UNSUPPORTED, "%s: decoder \"%.60s\" is not known", name, type);
    d->kind = KINDS[i].kind;
    switch (d->kind) {
    case D_WORDPIECE:
        d->cleanup = true;
        TRY(keep(a, v, "prefix", "##", &d->from, &d->from_len, name, err));
        return json_flag(v, name, "cleanup", &d->cleanup, err);
    case D_METASPACE: return read_metaspace(d, a, v, name, err);
    case D_BPE:
        TRY(keep(a, v, "suffix", "</w>", &d->from, &d->from_len, name, err));
        return d->from_len ? GLLM_OK : err_set(err, GLLM_FORMAT, "%s: decoder BPEDecoder: suffix: found nothing, expected a text", name);
    case D_STRIP:
        TRY(keep(a, v, "content", NULL, &d->from, &d->from_len, name, err));
        TRY(json_u32(v, name, "start", &d->start, err));
        TRY(json_u32(v, name, "stop", &d->stop, err));
        return keep_char(d, "content", name, err);
    case D_REPLACE: return read_replace(d, a, v, name, err);
    case D_CTC:
        d->cleanup = true;
        TRY(keep(a, v, "pad_token", "<pad>", &d->from, &d->from_len, name, err));
        TRY(keep(a, v, "word_delimiter_token", "|", &d->to, &d->to_len, name, err));
        return json_flag(v, name, "cleanup", &d->cleanup, err);
    default: return GLLM_OK;
    }
}

enum { MAX_STEPS = 64 };
static gllm_status read_any(struct decoder *d, struct arena *a, const json_t *v, const char *name, unsigned depth, gllm_error *err) {
    const char *type = NULL;
    if (!json_is_object(v)) return err_set(err, GLLM_FORMAT, "%s: decoder: found %s, expected an object", name, json_kind(v));
    if (depth > COMPONENT_MAX_DEPTH) return err_set(err, GLLM_FORMAT, "%s: decoder: nested more than %d deep", name, COMPONENT_MAX_DEPTH);
    TRY(json_str(v, name, "type", &type, err));
    if (!type) return err_set(err, GLLM_FORMAT, "%s: decoder: type: found nothing, expected a string", name);
    if (strcmp(type, "Sequence")) {
        if (d->count == MAX_STEPS) return err_set(err, GLLM_FORMAT, "%s: decoder: found more than %d components", name, MAX_STEPS);
        struct step *last = d->count ? &d->steps[d->count - 1] : NULL, *s = &d->steps[d->count++];
        s->fused = last && (last->fused || last->kind == D_FUSE || last->kind == D_BYTE_LEVEL);
        return read_step(s, a, type, v, name, err);
    }
    json_t *list;
    TRY(json_array_at(v, name, "decoders", &list, err));
    for (size_t i = 0; i < json_array_size(list); i++) TRY(read_any(d, a, json_array_get(list, i), name, depth + 1, err));
    return GLLM_OK;
}

gllm_status decoder_read(struct decoder **out, struct arena *a, const json_t *v, const char *name, gllm_error *err) {
    *out = NULL;
    if (!v || json_is_null(v)) return GLLM_OK;
    struct decoder *d = arena_alloc(a, sizeof *d);
    if (d) d->steps = arena_array(a, MAX_STEPS, sizeof *d->steps);
    if (!d || !d->steps) return err_nomem(err, name);
    *out = d;
    return read_any(d, a, v, name, 0, err);
}

struct decoder *decoder_sentencepiece(struct arena *a, bool strip, bool strip_all) {
    struct decoder *d = arena_alloc(a, sizeof *d);
    if (d) d->steps = arena_alloc(a, sizeof *d->steps);
    if (!d || !d->steps) return NULL;
    d->steps[d->count++] = (struct step){.kind = D_SENTENCEPIECE, .strip = strip, .strip_all = strip_all, .from = "\xE2\x96\x81", .from_len = 3};
    return d;
}

void decoder_free(struct decoder *d) {
    for (size_t i = 0; d && i < d->count; i++) regex_free(d->steps[i].regex);
}

/* ---- running ---- */

struct state { /* of one step in one text */
    bool begun, ended; /* has seen a token; D_STRIP, fused: the first that stays has come */
    uint32_t cut;          /* D_STRIP, fused: how many were cut at the start */
    struct textbuf held;   /* what may still change */
    struct textbuf work;
};
struct decoding {
    const struct step *steps;
    size_t count;
    struct textbuf *out;
    struct regex_scan scan;
    bool failed;
    struct step spaces; /* the step of a tokenizer without decoder */
    struct state states[];
};

/* Replaces every `from` in b from byte `at` on; to_len may exceed from_len. */
static void replace_all(struct textbuf *b, const char *from, size_t from_len, const char *to, size_t to_len) {
    struct textbuf next = {0};
    if (!from_len || !b->len || !memmem(b->data, b->len, from, from_len)) return;
    const char *s = b->data, *end = s + b->len;
    for (const char *hit; s < end && (hit = memmem(s, (size_t)(end - s), from, from_len)); s = hit + from_len) {
        textbuf_add(&next, s, (size_t)(hit - s));
        textbuf_add(&next, to, to_len);
    }
    textbuf_add(&next, s, (size_t)(end - s));
    next.failed |= b->failed;
    textbuf_free(b);
    *b = next;
}

/* The spaces that WordPiece's cleanup takes away, in the order in which it does. */
static void cleanup(struct textbuf *b) {
    static const char *const PAIRS[][2] = {{" .", "."}, {" ?", "?"}, {" !", "!"}, {" ,", ","}, {" ' ", "'"}, {" n't", "n't"}, {" 'm", "'m"},
                                           {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    if (!b->len || !memchr(b->data, ' ', b->len)) return;
    for (unsigned i = 0; i < sizeof PAIRS / sizeof *PAIRS; i++) replace_all(b, PAIRS[i][0], strlen(PAIRS[i][0]), PAIRS[i][1], strlen(PAIRS[i][1]));
}

static void push(struct decoding *d, size_t i, const char *token, size_t len);

/* Hands on the text of `work` as one token, or a part of one. */
static void hand(struct decoding *d, size_t i, struct textbuf *work) {
    d->failed |= work->failed;
    push(d, i + 1, work->data ? work->data : "", work->len);
}

static void run_wordpiece(struct decoding *d, size_t i, const char *token, size_t len) {
    const struct step *p = &d->steps[i];
    struct state *st = &d->states[i];
    st->work.len = 0;
    if (st->begun && len >= p->from_len && !memcmp(token, p->from, p->from_len)) textbuf_add(&st->work, token + p->from_len, len - p->from_len);
    else {
        if (st->begun) textbuf_add(&st->work, " ", 1);
        textbuf_add(&st->work, token, len);
    }
    st->begun = true;
    if (p->cleanup) cleanup(&st->work);
    hand(d, i, &st->work);
}

/* The length of what is not UTF-8 at s: a character's first bytes as far as they fit (Unicode 3.9, maximal subpart), else one byte.
 * *cut: the bytes ended too early to know. */
static unsigned broken(const char *s, size_t len, bool *cut) {
    const unsigned char *b = (const unsigned char *)s;
    unsigned need = b[0] < 0xC2 || b[0] > 0xF4 ? 1 : b[0] < 0xE0 ? 2 : b[0] < 0xF0 ? 3 : 4;
    *cut = false;
    for (unsigned k = 1; k < need; k++) {
        unsigned low = k > 1 ? 0x80 : b[0] == 0xE0 ? 0xA0 : b[0] == 0xF0 ? 0x90 : 0x80, high = k > 1 ? 0xBF : b[0] == 0xED ? 0x9F : b[0] == 0xF4 ? 0x8F : 0xBF;
        *cut = k == len;
        if (*cut || b[k] < low || b[k] > high) return k;
    }
    return 1;
}

/* The bytes of held as Rust's from_utf8_lossy reads them, or with U+FFFD for each wrong byte (`single`); without `all`, a character that is not
 * yet complete stays. */
static void drain_bytes(struct decoding *d, size_t i, bool all, bool single) {
    struct state *st = &d->states[i];
    const char *s = st->held.data;
    size_t at = 0, len = st->held.len;
    st->work.len = 0;
    while (at < len) {
        uint32_t cp;
        unsigned k = utf8_read(s + at, len - at, &cp);
        if (k) textbuf_add(&st->work, s + at, k);
        else {
            bool cut;
            k = broken(s + at, len - at, &cut);
            if (cut && !all) break;
            if (single) k = 1;
            textbuf_add(&st->work, "\xEF\xBF\xBD", 3);
        }
        at += k;
    }
    if (at < len) memmove(st->held.data, s + at, len - at);
    st->held.len = len - at;
    if (st->work.len) hand(d, i, &st->work);
}

static void run_byte_level(struct decoding *d, size_t i, const char *token, size_t len) {
    struct textbuf *held = &d->states[i].held;
    size_t start = held->len;
    for (size_t at = 0; at < len;) {
        uint32_t cp;
        at += utf8_read(token + at, len - at, &cp);
        int byte = byte_level_byte(cp);
        if (byte < 0) { /* a token that is no byte-level text stands for itself */
            held->len = start;
            textbuf_add(held, token, len);
            break;
        }
        textbuf_add(held, &(char){(char)byte}, 1);
    }
    d->failed |= held->failed;
    drain_bytes(d, i, false, false);
}

static void run_metaspace(struct decoding *d, size_t i, const char *token, size_t len) {
    const struct step *p = &d->steps[i];
    struct state *st = &d->states[i];
    bool drop = (!st->begun || p->fused) && !p->keep_first;
    st->begun = true;
    st->work.len = 0;
    textbuf_add(&st->work, token, len);
    replace_all(&st->work, p->from, p->from_len, " ", !drop);
    hand(d, i, &st->work);
}

static void replace_and_hand(struct decoding *d, size_t i, const char *token, size_t len, const char *to, size_t to_len) {
    struct state *st = &d->states[i];
    st->work.len = 0;
    textbuf_add(&st->work, token, len);
    replace_all(&st->work, d->steps[i].from, d->steps[i].from_len, to, to_len);
    hand(d, i, &st->work);
}

/* The suffix is a space, but in the last token nothing: each token waits for the next. */
static void run_bpe(struct decoding *d, size_t i, const char *token, size_t len) {
    struct state *st = &d->states[i];
    if (st->begun) replace_and_hand(d, i, st->held.data ? st->held.data : "", st->held.len, " ", 1);
    st->begun = true;
    st->held.len = 0;
    textbuf_add(&st->held, token, len);
}

/* u8::from_str_radix takes a sign, too. */
static int fallback_byte(const char *token, size_t len) {
    if (len != 6 || memcmp(token, "<0x", 3) || token[5] != '>') return -1;
    int value = 0;
    for (unsigned k = token[3] == '+' ? 4 : 3; k < 5; k++) {
        unsigned char c = (unsigned char)token[k];
        int digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
        if (digit < 0) return -1;
        value = 16 * value + digit;
    }
    return value;
}

/* A run of byte tokens is UTF-8 as a whole, or each of them is U+FFFD. */
static void flush_bytes(struct decoding *d, size_t i) {
    struct textbuf *held = &d->states[i].held;
    if (!held->len) return;
    if (utf8_valid(held->data, held->len, NULL)) push(d, i + 1, held->data, held->len);
    else
        for (size_t k = 0; k < held->len; k++) push(d, i + 1, "\xEF\xBF\xBD", 3);
    held->len = 0;
}

static void run_byte_fallback(struct decoding *d, size_t i, const char *token, size_t len) {
    int byte = fallback_byte(token, len);
    if (byte >= 0) {
        textbuf_add(&d->states[i].held, &(char){(char)byte}, 1);
        return;
    }
    flush_bytes(d, i);
    push(d, i + 1, token, len);
}

static bool starts(const char *s, size_t len, const char *with, size_t n) { return len >= n && !memcmp(s, with, n); }
static bool ends(const char *s, size_t len, const char *with, size_t n) { return len >= n && !memcmp(s + len - n, with, n); }

/* `ended`: no space is stripped any more. */
static void run_sentencepiece(struct decoding *d, size_t i, const char *token, size_t len) {
    const struct step *p = &d->steps[i];
    struct state *st = &d->states[i];
    int byte = fallback_byte(token, len);
    if (byte >= 0) {
        st->ended = true;
        textbuf_add(&st->held, &(char){(char)byte}, 1);
        drain_bytes(d, i, false, true);
        return;
    }
    drain_bytes(d, i, true, true);
    bool strip = (p->strip || p->strip_all) && !st->ended && starts(token, len, p->from, p->from_len);
    if (strip) token += p->from_len, len -= p->from_len;
    st->ended |= (strip && !p->strip_all) || len;
    st->work.len = 0;
    textbuf_add(&st->work, token, len);
    replace_all(&st->work, p->from, p->from_len, " ", 1);
    if (st->work.len) hand(d, i, &st->work);
}

static void run_strip(struct decoding *d, size_t i, const char *token, size_t len) {
    const struct step *p = &d->steps[i];
    for (uint32_t k = 0; k < p->start && starts(token, len, p->from, p->from_len); k++) token += p->from_len, len -= p->from_len;
    for (uint32_t k = 0; k < p->stop && ends(token, len, p->from, p->from_len); k++) len -= p->from_len;
    push(d, i + 1, token, len);
}

/* The same on a token in parts: the start is counted down, and characters that the end may lose wait. Parts are whole characters. */
static void run_strip_fused(struct decoding *d, size_t i, const char *part, size_t len) {
    const struct step *p = &d->steps[i];
    struct state *st = &d->states[i];
    while (!st->ended && len) {
        st->ended = st->cut == p->start || !starts(part, len, p->from, p->from_len);
        if (st->ended) break;
        part += p->from_len, len -= p->from_len;
        st->cut++;
    }
    size_t tail = 0;
    while (p->stop && ends(part, len - tail, p->from, p->from_len)) tail += p->from_len;
    if (!p->stop || tail < len) {
        if (st->held.len) hand(d, i, &st->held);
        st->held.len = 0;
        push(d, i + 1, part, len - tail);
    }
    textbuf_add(&st->held, part + len - tail, tail);
    if (st->held.len > p->stop * p->from_len) { /* only the last `stop` can go */
        size_t safe = st->held.len - p->stop * p->from_len;
        push(d, i + 1, st->held.data, safe);
        memmove(st->held.data, st->held.data + safe, st->held.len - safe);
        st->held.len -= safe;
    }
}

static void end_strip(struct decoding *d, size_t i) {
    struct state *st = &d->states[i];
    uint32_t k = 0;
    while (k < d->steps[i].stop && ends(st->held.data, st->held.len, d->steps[i].from, d->steps[i].from_len)) st->held.len -= d->steps[i].from_len, k++;
    if (st->held.len) hand(d, i, &st->held);
}

/* Replaces in a token in parts: what could be the beginning of a match at the end waits for the next part. */
static void run_replace_fused(struct decoding *d, size_t i, const char *part, size_t len, bool all) {
    const struct step *p = &d->steps[i];
    struct state *st = &d->states[i];
    textbuf_add(&st->held, part, len);
    const char *s = st->held.data, *hit;
    size_t at = 0, n = st->held.len;
    st->work.len = 0;
    if (!n) return;
    while (n - at >= p->from_len && n > at && (hit = memmem(s + at, n - at, p->from, p->from_len))) {
        textbuf_add(&st->work, s + at, (size_t)(hit - s) - at);
        textbuf_add(&st->work, p->to, p->kind == D_BPE ? 0 : p->to_len);
        at = (size_t)(hit - s) + p->from_len;
    }
    size_t wait = all ? 0 : n - at < p->from_len - 1 ? n - at : p->from_len - 1;
    while (wait && memcmp(s + n - wait, p->from, wait)) wait--;
    textbuf_add(&st->work, s + at, n - wait - at);
    if (wait) memmove(st->held.data, s + n - wait, wait);
    st->held.len = wait;
    if (st->work.len) hand(d, i, &st->work);
}

static void run_regex(struct decoding *d, size_t i, const char *token, size_t len) {
    const struct step *p = &d->steps[i];
    struct state *st = &d->states[i];
    struct regex_span span;
    st->work.len = 0;
    regex_begin(&d->scan, p->regex, token, len);
    while (regex_next(&d->scan, &span)) {
        if (span.match) textbuf_add(&st->work, p->to, p->to_len);
        else textbuf_add(&st->work, token + span.from, span.to - span.from);
    }
    d->failed |= d->scan.failed;
    hand(d, i, &st->work);
}

static void run_ctc(struct decoding *d, size_t i, const char *token, size_t len) {
    const struct step *p = &d->steps[i];
    struct state *st = &d->states[i];
    if (st->begun && st->held.len == len && (!len || !memcmp(st->held.data, token, len))) return; /* repeated */
    st->begun = true;
    st->held.len = st->work.len = 0;
    textbuf_add(&st->held, token, len);
    textbuf_add(&st->work, token, len);
    replace_all(&st->work, p->from, p->from_len, "", 0);
    if (p->cleanup) {
        cleanup(&st->work);
        replace_all(&st->work, p->to, p->to_len, " ", 1);
    }
    if (st->work.len) hand(d, i, &st->work);
}

static void run_whole(struct decoding *d, size_t i, const char *token, size_t len) {
    const struct step *p = &d->steps[i];
    switch (p->kind) {
    case D_WORDPIECE: run_wordpiece(d, i, token, len); break;
    case D_BYTE_LEVEL: run_byte_level(d, i, token, len); break;
    case D_METASPACE: run_metaspace(d, i, token, len); break;
    case D_BPE: run_bpe(d, i, token, len); break;
    case D_BYTE_FALLBACK: run_byte_fallback(d, i, token, len); break;
    case D_FUSE: push(d, i + 1, token, len); break;
    case D_STRIP: run_strip(d, i, token, len); break;
    case D_REPLACE: replace_and_hand(d, i, token, len, p->to, p->to_len); break;
    case D_REPLACE_REGEX: run_regex(d, i, token, len); break;
    case D_CTC: run_ctc(d, i, token, len); break;
    case D_SENTENCEPIECE: run_sentencepiece(d, i, token, len); break;
    case D_SPACES:
        if (d->states[i].begun) push(d, i + 1, " ", 1);
        d->states[i].begun = true;
        push(d, i + 1, token, len);
        break;
    }
}

static void push(struct decoding *d, size_t i, const char *token, size_t len) {
    if (i == d->count) {
        textbuf_add(d->out, token, len);
        return;
    }
    const struct step *p = &d->steps[i];
    if (!p->fused) run_whole(d, i, token, len);
    else if (p->kind == D_FUSE) push(d, i + 1, token, len);
    else if (p->kind == D_STRIP) run_strip_fused(d, i, token, len);
    else if (p->kind == D_REPLACE || p->kind == D_BPE) run_replace_fused(d, i, token, len, false);
    else textbuf_add(&d->states[i].work, token, len); /* held back whole: `held` is for run_whole */
}

static void end(struct decoding *d, size_t i) {
    const struct step *p = &d->steps[i];
    struct state *st = &d->states[i];
    if (p->fused && p->kind == D_STRIP) end_strip(d, i);
    else if (p->fused && (p->kind == D_REPLACE || p->kind == D_BPE)) run_replace_fused(d, i, "", 0, true);
    else if (p->fused && p->kind != D_FUSE) {
        struct textbuf all = st->work; /* the whole token, now that it is known */
        st->work = (struct textbuf){0};
        d->failed |= all.failed;
        run_whole(d, i, all.data ? all.data : "", all.len);
        textbuf_free(&all);
    }
    if (p->kind == D_BYTE_LEVEL) drain_bytes(d, i, true, false);
    if (p->kind == D_SENTENCEPIECE) drain_bytes(d, i, true, true);
    if (p->kind == D_BYTE_FALLBACK) flush_bytes(d, i);
    if (p->kind == D_BPE && !p->fused && st->begun) replace_and_hand(d, i, st->held.data ? st->held.data : "", st->held.len, "", 0);
    d->failed |= st->held.failed || st->work.failed;
}

struct decoding *decoding_open(const struct decoder *decoder, struct textbuf *out) {
    size_t n = decoder ? decoder->count : 1;
    struct decoding *d = calloc(1, sizeof *d + n * sizeof *d->states);
    if (!d) return NULL;
    d->steps = decoder ? decoder->steps : &d->spaces;
    d->count = n;
    d->out = out;
    return d;
}

void decoding_push(struct decoding *d, const char *token, size_t len) { push(d, 0, token, len); }

bool decoding_end(struct decoding *d) {
    for (size_t i = 0; i < d->count; i++) end(d, i);
    return !d->failed && !d->out->failed;
}

void decoding_close(struct decoding *d) {
    for (size_t i = 0; d && i < d->count; i++) {
        textbuf_free(&d->states[i].held);
        textbuf_free(&d->states[i].work);
    }
    if (d) regex_end(&d->scan);
    free(d);
}
