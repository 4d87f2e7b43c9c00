/* constraint.h - which tokens an answer may go on with, so that its text is one of a grammar.
 *
 * A step walks the trie of all tokens' bytes together with the grammar's states and goes below a node only where the grammar does; the sets of
 * states that come back are kept. An end token is allowed where the text may end, other special tokens never.
 * Thread rule: one owner. */
#ifndef GLLM_ENGINE_CONSTRAINT_H
#define GLLM_ENGINE_CONSTRAINT_H
#include "base/error.h"
#include "text/token_bytes.h"

enum constraint_kind { CONSTRAINT_NONE, CONSTRAINT_GBNF, CONSTRAINT_SCHEMA, CONSTRAINT_CALLS /* reply_demand_text */ };
struct constraint_spec { /* borrowed for constraint_open */
    enum constraint_kind kind;
    const char *text;
    size_t len;
};
struct constraint_vocab { /* borrowed until constraint_close */
    const struct token_bytes *tokens;
    const int32_t *ends; /* [n_ends] tokens that end the answer */
    uint32_t n_ends, n_vocab;
};
struct grammar;
struct constraint;
/* GLLM_INVALID, GLLM_UNSUPPORTED: what is wrong with the grammar or schema, and where. */
gllm_status constraint_open(struct constraint **out, const struct constraint_spec *spec, const struct constraint_vocab *vocab, gllm_error *err);
void constraint_close(struct constraint *c); /* NULL ok */
/* Bits by id, borrowed until the next call. GLLM_INVALID: no token of the vocabulary goes on as the grammar demands, or its limits are passed. */
gllm_status constraint_mask(struct constraint *c, const uint64_t **allowed, gllm_error *err);
gllm_status constraint_accept(struct constraint *c, int32_t id, gllm_error *err); /* a token that was allowed, no end token */
bool constraint_complete(const struct constraint *c); /* the text is whole and nothing can follow */
const struct grammar *constraint_grammar(const struct constraint *c);
#endif
