/* matcher.h - where a text stands in a grammar, byte by byte.
 *
 * A state is the set of all places that the bytes so far may have led to, each with the frame that says what follows its rule. A frame is the
 * set of the places to return to with their own frames. Both are interned by content: ambiguous ways merge, a call at a rule's end hands its
 * caller's frame on (so that right recursion needs no memory), and the table of transitions fills itself as a lazily built automaton. The work
 * of a step is bounded by places x frames alive, as in Earley's algorithm, and not by the number of ways.
 *
 * States are numbers; they stay valid until matcher_trim. One owner. */
#ifndef GLLM_TEXT_MATCHER_H
#define GLLM_TEXT_MATCHER_H
#include "text/grammar.h"

enum { MATCHER_DEAD = 0, MATCHER_START = 1 };
#define MATCHER_UNKNOWN UINT32_MAX
struct matcher_state {
    uint32_t at, n;  /* items[at .. at + n): what can be read next; n 0: nothing can follow */
    bool can_end;    /* the text so far is whole */
};
struct matcher {
    const struct grammar *g; /* borrowed */
    uint32_t *next;          /* [n_states, n_classes] state or MATCHER_UNKNOWN */
    struct matcher_state *states;
    uint32_t n_states;
    struct matcher_work *work;
};
gllm_status matcher_open(struct matcher **out, const struct grammar *g, gllm_error *err);
void matcher_close(struct matcher *m); /* NULL ok */
/* The state after one more byte; MATCHER_DEAD: no text of the grammar goes on so. GLLM_INVALID: the grammar needs more memory or steps than
 * the limits allow; the state given stays valid. */
gllm_status matcher_compute(struct matcher *m, uint32_t state, unsigned char byte, uint32_t *next, gllm_error *err);
static inline gllm_status matcher_step(struct matcher *m, uint32_t state, unsigned char byte, uint32_t *next, gllm_error *err) {
    *next = m->next[(size_t)state * m->g->n_classes + m->g->byte_class[byte]];
    return *next != MATCHER_UNKNOWN ? GLLM_OK : matcher_compute(m, state, byte, next, err);
}
/* The same for n bytes. */
gllm_status matcher_accept(struct matcher *m, uint32_t state, const char *bytes, size_t n, uint32_t *next, gllm_error *err);
/* Gives a fresh budget of steps; and when the tables are more than half full, forgets all but *state, which gets a new number: true, all other
 * numbers are void. Called between questions, so that each has its bound. */
bool matcher_trim(struct matcher *m, uint32_t *state);
#endif
