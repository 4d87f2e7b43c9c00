#include "engine/constraint.h"

#include <stdlib.h>
#include <string.h>

#include "text/reply.h"
#include "text/gbnf.h"
#include "text/json_schema.h"
#include "text/matcher.h"

enum { MAX_KEPT_BYTES = 32 << 20 };

struct constraint {
    struct constraint_vocab vocab;
    struct grammar *grammar;
    struct matcher *matcher;
    uint32_t state, n_words;
    bool begun;       /* a token was accepted */
    uint32_t *path;   /* [longest + 1] states on the way to a node of the trie */
    uint64_t *mask;   /* [n_words] */
    uint64_t **kept;  /* [n_kept] masks by state; NULL: not made */
    uint32_t n_kept;
    size_t kept_bytes;
};

static gllm_status read_grammar(struct grammar **out, const struct constraint_spec *spec, gllm_error *err) {
    if (spec->kind == CONSTRAINT_CALLS) return reply_grammar_read(out, spec->text, spec->len, err);
    return spec->kind == CONSTRAINT_GBNF ? gbnf_read(out, spec->text, spec->len, err) : json_schema_read(out, spec->text, spec->len, err);
}

gllm_status constraint_open(struct constraint **out, const struct constraint_spec *spec, const struct constraint_vocab *vocab, gllm_error *err) {
    struct constraint *c = *out = calloc(1, sizeof *c);
    gllm_status status = c ? GLLM_OK : err_nomem(err, "grammar");
    if (status == GLLM_OK) {
        const struct token_bytes *t = vocab->tokens;
        c->vocab = *vocab;
        c->state = MATCHER_START;
        c->n_words = vocab->n_vocab / 64 + 1;
        c->path = malloc(((size_t)(t->later.longest > t->first.longest ? t->later.longest : t->first.longest) + 1) * sizeof *c->path);
        c->mask = malloc(c->n_words * sizeof *c->mask);
        status = c->path && c->mask ? read_grammar(&c->grammar, spec, err) : err_nomem(err, "grammar");
    }
    if (status == GLLM_OK) status = matcher_open(&c->matcher, c->grammar, err);
    if (status == GLLM_OK) return GLLM_OK;
    constraint_close(c);
    *out = NULL;
    return status;
}

static void forget_masks(struct constraint *c) {
    for (uint32_t i = 0; i < c->n_kept; i++) free(c->kept[i]);
    free(c->kept);
    c->kept = NULL;
    c->n_kept = 0;
    c->kept_bytes = 0;
}

void constraint_close(struct constraint *c) {
    if (!c) return;
    forget_masks(c);
    matcher_close(c->matcher);
    grammar_close(c->grammar);
    free(c->path);
    free(c->mask);
    free(c);
}

const struct grammar *constraint_grammar(const struct constraint *c) { return c->grammar; }

bool constraint_complete(const struct constraint *c) {
    const struct matcher_state *s = &c->matcher->states[c->state];
    return s->can_end && !s->n;
}

static void set_bit(struct constraint *c, int32_t id, bool on) {
    const uint64_t bit = 1ull << id % 64;
    if ((uint32_t)id >= c->vocab.n_vocab) return;
    if (on) c->mask[id / 64] |= bit;
    else c->mask[id / 64] &= ~bit;
}

/* The trie and the grammar together, in preorder. */
static gllm_status walk(struct constraint *c, const struct token_table *t, gllm_error *err) {
    c->path[0] = c->state;
    for (uint32_t i = 0; i < t->n_nodes;) {
        const struct token_node *node = &t->nodes[i];
        uint32_t *state = &c->path[node->depth];
        TRY(matcher_step(c->matcher, state[-1], node->byte, state, err));
        if (*state == MATCHER_DEAD) {
            i = node->skip;
            continue;
        }
        for (uint32_t k = node->first; k < node[1].first; k++) set_bit(c, t->ids[k], true);
        i++;
    }
    return GLLM_OK;
}

/* Keeps the mask for its state; that there is no memory for it is no error. */
static void keep(struct constraint *c) {
    const size_t bytes = c->n_words * sizeof *c->mask;
    if (c->kept_bytes + bytes > MAX_KEPT_BYTES) forget_masks(c);
    if (c->state >= c->n_kept) {
        const uint32_t n = c->matcher->n_states;
        uint64_t **more = realloc(c->kept, n * sizeof *more);
        if (!more) return;
        memset(more + c->n_kept, 0, (n - c->n_kept) * sizeof *more);
        c->kept = more;
        c->n_kept = n;
    }
    uint64_t *copy = malloc(bytes);
    if (!copy) return;
    memcpy(copy, c->mask, bytes);
    c->kept[c->state] = copy;
    c->kept_bytes += bytes;
}

static bool any(const struct constraint *c) {
    for (uint32_t i = 0; i < c->n_words; i++)
        if (c->mask[i]) return true;
    return false;
}

gllm_status constraint_mask(struct constraint *c, const uint64_t **allowed, gllm_error *err) {
    const struct token_table *t = c->begun || !c->vocab.tokens->first.n ? &c->vocab.tokens->later : &c->vocab.tokens->first;
    const bool usual = t == &c->vocab.tokens->later;
    if (matcher_trim(c->matcher, &c->state)) forget_masks(c);
    *allowed = c->mask;
    if (usual && c->state < c->n_kept && c->kept[c->state]) {
        *allowed = c->kept[c->state];
        return GLLM_OK;
    }
    memset(c->mask, 0, c->n_words * sizeof *c->mask);
    TRY(walk(c, t, err));
    for (uint32_t i = 0; i < c->vocab.n_ends; i++) set_bit(c, c->vocab.ends[i], c->matcher->states[c->state].can_end);
    if (!any(c)) return err_set(err, GLLM_INVALID, "no token of the vocabulary goes on as the grammar demands");
    if (usual) keep(c);
    return GLLM_OK;
}

gllm_status constraint_accept(struct constraint *c, int32_t id, gllm_error *err) {
    const struct token_table *t = c->begun || !c->vocab.tokens->first.n ? &c->vocab.tokens->later : &c->vocab.tokens->first;
    uint32_t next = MATCHER_DEAD;
    if (id >= 0 && (uint32_t)id < t->n && t->at[id + 1] > t->at[id]) TRY(matcher_accept(c->matcher, c->state, t->text + t->at[id], t->at[id + 1] - t->at[id], &next, err));
    if (next == MATCHER_DEAD) return err_set(err, GLLM_INVALID, "token id %d is not one that the grammar allows", id);
    c->state = next;
    c->begun = true;
    return GLLM_OK;
}
