#include "text/sentencepiece.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/map.h"
#include "base/utf8.h"
#include "text/models.h"

enum { MAX_PIECES = 1 << 24 };

/* ---- protobuf's wire format: a message is fields, each a varint key (number << 3 | wire type) and its value ---- */

enum wire { WIRE_VARINT, WIRE_FIXED64, WIRE_BYTES, WIRE_GROUP, WIRE_END_GROUP, WIRE_FIXED32 };
struct field {
    uint32_t number;
    enum wire wire;
    uint64_t value;     /* WIRE_VARINT, WIRE_FIXED32, WIRE_FIXED64 */
    struct bytes inner; /* WIRE_BYTES */
};
struct reader {
    const uint8_t *start; /* of the file: what offsets in messages count from */
    const char *name;
    gllm_error *err;
};

static uint64_t varint(struct bytes *b) {
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t byte = bytes_u8(b);
        v |= shift < 64 ? (uint64_t)(byte & 0x7F) << shift : 0;
        if (!(byte & 0x80)) return v;
    }
    b->bad = true;
    return 0;
}

/* The next field of a message that is not yet at its end. */
static gllm_status next_field(const struct reader *r, struct bytes *b, struct field *f) {
    const size_t at = (size_t)(b->data + b->at - r->start);
    uint64_t key = varint(b), n = 0;
    f->number = (uint32_t)(key >> 3);
    f->wire = (enum wire)(key & 7);
    f->inner = (struct bytes){0};
    f->value = 0;
    switch (f->wire) {
    case WIRE_VARINT: f->value = varint(b); break;
    case WIRE_FIXED64: f->value = bytes_u64(b); break;
    case WIRE_FIXED32: f->value = bytes_u32(b); break;
    case WIRE_BYTES: {
        n = varint(b);
        const uint8_t *data = n <= SIZE_MAX ? bytes_take(b, (size_t)n) : NULL;
        if (!data) b->bad = true;
        else f->inner = bytes_of(data, (size_t)n);
        break;
    }
    default: return err_set(r->err, GLLM_FORMAT, "%s: byte %zu: found wire type %d, expected 0, 1, 2 or 5: this is no SentencePiece model", r->name, at, (int)(key & 7));
    }
    if (b->bad) return err_set(r->err, GLLM_FORMAT, "%s: byte %zu: field %u does not end where its message does", r->name, at, f->number);
    if (key >> 3 == 0 || key >> 3 > 536870911) return err_set(r->err, GLLM_FORMAT, "%s: byte %zu: found field number %llu, expected 1 to 536870911", r->name, at, (unsigned long long)(key >> 3));
    return GLLM_OK;
}

static gllm_status kind(const struct reader *r, const struct field *f, enum wire wire, const char *what) {
    if (f->wire == wire) return GLLM_OK;
    return err_set(r->err, GLLM_FORMAT, "%s: %s: found wire type %d, expected %d", r->name, what, (int)f->wire, (int)wire);
}

static gllm_status read_bool(const struct reader *r, const struct field *f, const char *what, bool *out) {
    TRY(kind(r, f, WIRE_VARINT, what));
    *out = f->value != 0;
    return GLLM_OK;
}
static gllm_status read_int(const struct reader *r, const struct field *f, const char *what, int32_t *out) {
    TRY(kind(r, f, WIRE_VARINT, what));
    const int64_t v = (int64_t)f->value; /* negative numbers are written with 64 bits */
    if (v < INT32_MIN || v > INT32_MAX) return err_set(r->err, GLLM_FORMAT, "%s: %s: found %lld, expected a 32-bit number", r->name, what, (long long)v);
    *out = (int32_t)v;
    return GLLM_OK;
}
static gllm_status read_text(const struct reader *r, const struct field *f, const char *what, struct spm_str *out) {
    TRY(kind(r, f, WIRE_BYTES, what));
    *out = (struct spm_str){(const char *)f->inner.data, f->inner.size};
    return GLLM_OK;
}

/* ---- the messages ---- */

struct trainer { /* what the pieces are called that the ids stand for; the ids themselves follow from the pieces */
    int32_t model_type;
    struct spm_str bos, eos, pad;
    int32_t bos_id, eos_id, pad_id;
};

static gllm_status read_trainer(const struct reader *r, struct bytes b, struct spm_model *m, struct trainer *t) {
    while (b.at < b.size) {
        struct field f;
        TRY(next_field(r, &b, &f));
        switch (f.number) {
        case 3: TRY(read_int(r, &f, "trainer_spec.model_type", &t->model_type)); break;
        case 24: TRY(read_bool(r, &f, "trainer_spec.treat_whitespace_as_suffix", &m->suffix)); break;
        case 35: TRY(read_bool(r, &f, "trainer_spec.byte_fallback", &m->byte_fallback)); break;
        case 41: TRY(read_int(r, &f, "trainer_spec.bos_id", &t->bos_id)); break;
        case 42: TRY(read_int(r, &f, "trainer_spec.eos_id", &t->eos_id)); break;
        case 43: TRY(read_int(r, &f, "trainer_spec.pad_id", &t->pad_id)); break;
        case 46: TRY(read_text(r, &f, "trainer_spec.bos_piece", &t->bos)); break;
        case 47: TRY(read_text(r, &f, "trainer_spec.eos_piece", &t->eos)); break;
        case 48: TRY(read_text(r, &f, "trainer_spec.pad_piece", &t->pad)); break;
        default: break;
        }
    }
    return GLLM_OK;
}

static gllm_status read_normalizer(const struct reader *r, struct bytes b, struct spm_model *m) {
    while (b.at < b.size) {
        struct field f;
        TRY(next_field(r, &b, &f));
        switch (f.number) {
        case 2: TRY(read_text(r, &f, "normalizer_spec.precompiled_charsmap", &m->charsmap)); break;
        case 3: TRY(read_bool(r, &f, "normalizer_spec.add_dummy_prefix", &m->dummy_prefix)); break;
        case 4: TRY(read_bool(r, &f, "normalizer_spec.remove_extra_whitespaces", &m->remove_extra_whitespaces)); break;
        case 5: TRY(read_bool(r, &f, "normalizer_spec.escape_whitespaces", &m->escape_whitespaces)); break;
        default: break;
        }
    }
    return GLLM_OK;
}

static gllm_status read_denormalizer(const struct reader *r, struct bytes b) {
    while (b.at < b.size) {
        struct field f;
        TRY(next_field(r, &b, &f));
        if (f.number == 2 && f.inner.size)
            return err_set(r->err, GLLM_UNSUPPORTED, "%s: denormalizer_spec.precompiled_charsmap: found rules, expected none: rewriting decoded text is not supported", r->name);
    }
    return GLLM_OK;
}

static bool grow(struct spm_model *m, size_t *capacity) {
    if (m->n < *capacity) return true;
    size_t n = *capacity ? 2 * *capacity : 256;
    struct tokenizer_str *pieces = realloc(m->pieces, n * sizeof *pieces);
    if (pieces) m->pieces = pieces;
    float *scores = realloc(m->scores, n * sizeof *scores);
    if (scores) m->scores = scores;
    int32_t *types = realloc(m->types, n * sizeof *types);
    if (types) m->types = types;
    *capacity = n;
    return pieces && scores && types;
}

static gllm_status read_piece(const struct reader *r, struct bytes b, struct spm_model *m) {
    struct spm_str text = {0};
    int32_t type = PIECE_NORMAL;
    float score = 0;
    size_t bad;
    while (b.at < b.size) {
        struct field f;
        TRY(next_field(r, &b, &f));
        if (f.number == 1) TRY(read_text(r, &f, "piece", &text));
        else if (f.number == 3) TRY(read_int(r, &f, "type", &type));
        else if (f.number == 2) {
            TRY(kind(r, &f, WIRE_FIXED32, "score"));
            memcpy(&score, &(uint32_t){(uint32_t)f.value}, sizeof score);
        }
    }
    if (!text.len) return err_set(r->err, GLLM_FORMAT, "%s: piece %zu: found no text", r->name, m->n);
    if (!utf8_valid(text.text, text.len, &bad)) return err_set(r->err, GLLM_FORMAT, "%s: piece %zu: byte %zu is not UTF-8", r->name, m->n, bad);
    if (!isfinite(score)) return err_set(r->err, GLLM_FORMAT, "%s: piece %zu: found score %g, expected a finite number", r->name, m->n, (double)score);
    if (type < PIECE_NORMAL || type > PIECE_BYTE) return err_set(r->err, GLLM_FORMAT, "%s: piece %zu: found type %d, expected 1 to 6", r->name, m->n, type);
    m->pieces[m->n] = (struct tokenizer_str){text.text, text.len};
    m->scores[m->n] = score;
    m->types[m->n++] = type;
    return GLLM_OK;
}

static gllm_status read_model(const struct reader *r, struct bytes b, struct spm_model *m, struct trainer *t) {
    size_t capacity = 0;
    while (b.at < b.size) {
        struct field f;
        TRY(next_field(r, &b, &f));
        if (f.number == 0 || f.number > 5 || f.number == 4) continue;
        TRY(kind(r, &f, WIRE_BYTES, "a part of the model"));
        if (f.number == 2) TRY(read_trainer(r, f.inner, m, t));
        else if (f.number == 3) TRY(read_normalizer(r, f.inner, m));
        else if (f.number == 5) TRY(read_denormalizer(r, f.inner));
        else {
            if (m->n == MAX_PIECES) return err_set(r->err, GLLM_FORMAT, "%s: found more than %d pieces", r->name, MAX_PIECES);
            if (!grow(m, &capacity)) return err_nomem(r->err, r->name);
            TRY(read_piece(r, f.inner, m));
        }
    }
    return GLLM_OK;
}

/* ---- what the pieces say together ---- */

/* The control piece of that name, unless its trainer was told that there is none. */
static int32_t control(const struct spm_model *m, const struct map *ids, struct spm_str piece, const char *usual, int32_t trained) {
    uint32_t id;
    if (!piece.text) piece = (struct spm_str){usual, strlen(usual)};
    return trained >= 0 && map_get(ids, piece.text, piece.len, &id) && m->types[id] == PIECE_CONTROL ? (int32_t)id : -1;
}

static gllm_status index_pieces(const struct reader *r, struct spm_model *m, struct map *ids) {
    m->unk = -1;
    if (!m->n) return err_set(r->err, GLLM_FORMAT, "%s: found no pieces: this is no SentencePiece model", r->name);
    if (!map_reserve(ids, m->n)) return err_nomem(r->err, r->name);
    for (size_t i = 0; i < m->n; i++) {
        uint32_t other;
        if (map_get(ids, m->pieces[i].text, m->pieces[i].len, &other))
            return err_set(r->err, GLLM_FORMAT, "%s: piece %zu: found \"%.*s\", which is piece %u already", r->name, i, (int)(m->pieces[i].len < 60 ? m->pieces[i].len : 60), m->pieces[i].text, other);
        if (!map_put(ids, m->pieces[i].text, m->pieces[i].len, (uint32_t)i)) return err_nomem(r->err, r->name);
        if (m->types[i] != PIECE_UNKNOWN) continue;
        if (m->unk >= 0) return err_set(r->err, GLLM_FORMAT, "%s: pieces %d and %zu: found two of type unknown, expected one", r->name, m->unk, i);
        m->unk = (int32_t)i;
    }
    return m->unk >= 0 ? GLLM_OK : err_set(r->err, GLLM_FORMAT, "%s: found no piece of type unknown, expected one", r->name);
}

gllm_status spm_read(struct spm_model *out, const void *data, size_t len, const char *name, gllm_error *err) {
    static const char *const TYPES[] = {"0", "unigram", "bpe", "word", "char"};
    const struct reader r = {data, name, err};
    struct trainer t = {.model_type = 1, .bos_id = 1, .eos_id = 2, .pad_id = -1};
    struct map ids = {0};
    *out = (struct spm_model){.dummy_prefix = true, .remove_extra_whitespaces = true, .escape_whitespaces = true};
    TRY(read_model(&r, bytes_of(data, len), out, &t));
    out->bpe = t.model_type == 2;
    if (t.model_type != 1 && t.model_type != 2)
        return err_set(err, GLLM_UNSUPPORTED, "%s: trainer_spec.model_type: found %s, expected unigram or bpe", name,
                       t.model_type >= 0 && t.model_type < 5 ? TYPES[t.model_type] : "an unknown number");
    gllm_status status = index_pieces(&r, out, &ids);
    if (status == GLLM_OK) {
        out->bos = control(out, &ids, t.bos, "<s>", t.bos_id);
        out->eos = control(out, &ids, t.eos, "</s>", t.eos_id);
        out->pad = control(out, &ids, t.pad, "<pad>", t.pad_id);
    }
    map_free(&ids);
    return status;
}

void spm_free(struct spm_model *m) {
    free(m->pieces);
    free(m->scores);
    free(m->types);
    *m = (struct spm_model){0};
}
