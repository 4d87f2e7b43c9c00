/* unigram.c - the cut of a word whose pieces have the highest total score (Viterbi over the pieces' trie).
 *
 *   best(end) = max over pieces s[start, end) of best(start) + score(piece)
 * A character that no piece of its own covers is unk, 10 below the lowest score. Of equal sums the one found first stays:
 * starts are tried from left to right. Time O(len * longest piece). */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "text/models.h"
#include "text/trie.h"

#define UNK_PENALTY 10.0
#define USER_BONUS 0.1 /* of a user-defined piece, for each byte but one: measured on sentencepiece 0.2.3; before it was length * best score - 0.1 */
enum { SHORT_WORD = 128 }; /* bytes whose lattice lies on the stack */

struct unigram {
    struct trie trie;
    double *scores; /* by id */
    double unk_score;
    bool single; /* best sums are kept in single precision, as SentencePiece has them */
    struct model_options opt;
    int32_t bytes[256];
};

/* types NULL: every entry is text; else the normal and the user-defined ones are. */
static bool build_trie(struct unigram *m, const struct vocab *v, struct arena *a, const uint8_t *types) {
    struct trie_key *keys = calloc((size_t)v->size + 1, sizeof *keys);
    size_t n = 0;
    if (!keys) return false;
    for (uint32_t i = 0; i < v->size; i++) {
        if (!v->piece[i] || !v->piece_len[i] || (types && types[i] != PIECE_NORMAL && types[i] != PIECE_USER_DEFINED)) continue;
        keys[n++] = (struct trie_key){v->piece[i], v->piece_len[i], (int32_t)i};
    }
    bool ok = trie_build(&m->trie, a, keys, n);
    free(keys);
    return ok;
}

/* [["piece", score], …]; the place in the list is the id. */
static gllm_status read_entries(struct unigram *m, struct vocab *v, struct arena *a, const json_t *list, const char *name, gllm_error *err) {
    const json_t *e;
    size_t i;
    double lowest = INFINITY;
    json_array_foreach(list, i, e) {
        const json_t *piece = json_array_get(e, 0), *score = json_array_get(e, 1);
        if (json_array_size(e) != 2 || !json_is_string(piece) || !json_is_number(score) || !isfinite(json_number_value(score)))
            return err_set(err, GLLM_FORMAT, "%s: model.vocab[%zu]: found %s, expected [\"piece\", score]", name, i, json_kind(e));
        TRY(vocab_add(v, a, json_string_value(piece), json_string_length(piece), (uint32_t)i, err));
        m->scores[i] = json_number_value(score);
        if (m->scores[i] < lowest) lowest = m->scores[i];
    }
    m->unk_score = lowest - UNK_PENALTY;
    return GLLM_OK;
}

gllm_status unigram_read(struct unigram **out, struct vocab *v, struct arena *a, const json_t *model, uint32_t max_added, const char *name, gllm_error *err) {
    json_t *list;
    uint32_t unk = UINT32_MAX;
    TRY(json_array_at(model, name, "vocab", &list, err));
    TRY(json_u32(model, name, "unk_id", &unk, err));
    size_t n = json_array_size(list);
    if (unk >= n) return err_set(err, GLLM_FORMAT, "%s: model.unk_id: found %d, expected an entry of model.vocab, which has %zu", name, (int)unk, n);
    struct unigram *m = arena_alloc(a, sizeof *m);
    if (m) m->scores = arena_array(a, n, sizeof *m->scores);
    if (!m || !m->scores || n > INT32_MAX || !map_reserve(&v->ids, n)) return err_nomem(err, name);
    m->opt = (struct model_options){.unk = (int32_t)unk, .fuse_unk = true};
    TRY(json_flag(model, name, "byte_fallback", &m->opt.byte_fallback, err));
    TRY(vocab_index(v, a, (max_added >= n ? max_added + 1 : (uint32_t)n), err));
    TRY(read_entries(m, v, a, list, name, err));
    if (!build_trie(m, v, a, NULL)) return err_nomem(err, name);
    vocab_bytes(v, m->bytes);
    *out = m;
    return GLLM_OK;
}

gllm_status unigram_from_scores(struct unigram **out, const struct vocab *v, struct arena *a, const float *scores, const uint8_t *types, const struct model_options *opt, const char *name, gllm_error *err) {
    struct unigram *m = arena_alloc(a, sizeof *m);
    if (m) m->scores = arena_array(a, v->size, sizeof *m->scores);
    if (!m || !m->scores) return err_nomem(err, name);
    float lowest = FLT_MAX;
    for (uint32_t i = 0; i < v->size; i++) {
        if (!isfinite(scores[i])) return err_set(err, GLLM_FORMAT, "%s: piece %u: found score %g, expected a finite number", name, i, (double)scores[i]);
        if (types[i] == PIECE_NORMAL && scores[i] < lowest) lowest = scores[i];
        m->scores[i] = types[i] == PIECE_USER_DEFINED ? USER_BONUS * ((double)v->piece_len[i] - 1) : scores[i];
    }
    m->opt = *opt;
    m->single = true;
    m->unk_score = lowest - (float)UNK_PENALTY;
    if (!build_trie(m, v, a, types)) return err_nomem(err, name);
    vocab_bytes(v, m->bytes);
    *out = m;
    return GLLM_OK;
}

struct node { /* the best cut of the bytes up to here */
    double score;
    uint32_t start; /* of its last piece; NO_CUT: none yet */
    int32_t id;
};
#define NO_CUT UINT32_MAX

static void offer(const struct unigram *m, struct node *to, double before, double score, uint32_t start, int32_t id) {
    double sum = score + before;
    if (m->single && id == m->opt.unk) sum = (float)sum;
    if (to->start == NO_CUT || sum > to->score) *to = (struct node){m->single ? (float)sum : sum, start, id};
}

/* best[0 .. len] */
static void viterbi(const struct unigram *m, const char *s, size_t len, struct node *best) {
    for (size_t i = 0; i <= len; i++) best[i].start = NO_CUT;
    best[0] = (struct node){0};
    for (size_t at = 0; at < len;) {
        uint32_t cp, node = TRIE_ROOT;
        size_t n = utf8_read(s + at, len - at, &cp);
        double before = best[at].score;
        bool covered = false;
        for (size_t i = at; m->trie.size && i < len && (node = trie_step(&m->trie, node, s[i])) != TRIE_NONE; i++) {
            int32_t id = m->trie.units[node].id;
            if (id < 0) continue;
            offer(m, &best[i + 1], before, m->scores[id], (uint32_t)at, id);
            covered |= i + 1 == at + n;
        }
        if (!covered) offer(m, &best[at + n], before, m->unk_score, (uint32_t)at, m->opt.unk);
        at += n;
    }
}

/* Turns the chain of starts around: afterwards best[i].start is where the piece that begins at i ends, best[0] the first. The id stays
 * with the piece's end. */
static void turn(struct node *best, size_t len) {
    uint32_t at = (uint32_t)len, after = 0;
    for (;;) {
        uint32_t start = best[at].start;
        best[at].start = after;
        after = at;
        if (!at) return;
        at = start;
    }
}

/* A run of unknown characters: their joint entry if there is one (HF looks it up), their bytes, or unk. */
static bool push_unknown(const struct unigram *m, const struct vocab *v, const char *s, size_t len, struct encoding *out) {
    uint32_t id;
    bool ok = true;
    if (!m->single && map_get(&v->ids, s, len, &id)) return encoding_push(out, (int32_t)id, 0, false);
    if (m->opt.byte_fallback && push_bytes(m->bytes, s, len, out, &ok)) return ok;
    return ok && encoding_push(out, m->opt.unk, 0, false);
}

bool unigram_run(const struct unigram *m, const struct vocab *v, const char *word, size_t len, struct encoding *out) {
    struct node local[SHORT_WORD + 1], *best = local;
    bool ok = true;
    if (!len) return true;
    if (len >= UINT32_MAX || (len > SHORT_WORD && !(best = malloc((len + 1) * sizeof *best)))) return false;
    viterbi(m, word, len, best);
    turn(best, len);
    for (uint32_t at = 0; ok && at < len;) {
        uint32_t end = best[at].start;
        if (best[end].id != m->opt.unk) ok = encoding_push(out, best[end].id, 0, false);
        else {
            while (m->opt.fuse_unk && end < len && best[best[end].start].id == m->opt.unk) end = best[end].start;
            ok = push_unknown(m, v, word + at, end - at, out);
        }
        at = end;
    }
    if (best != local) free(best);
    return ok;
}
