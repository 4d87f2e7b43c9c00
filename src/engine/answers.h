/* answers.h - the generations in flight on one worker: they join and leave at every step, and a step holds the next token of each and a chunk of a prompt.
 *
 * When the cache has no page left for a token, the answer that arrived last is put back: its pages are free, and it is computed again later from its prompt and
 * tokens so far, with the same continuation. What ended answers left in the cache goes first. */
#ifndef GLLM_ENGINE_ANSWERS_H
#define GLLM_ENGINE_ANSWERS_H
#include "engine/answer.h"

enum { ENGINE_SEQUENCES = 64 }; /* that a step of an engine's decoder takes */
struct answers { /* a worker's; all-zero at first */
    struct answer *list[ENGINE_SEQUENCES]; /* [n] in the order in which they joined */
    uint32_t n;
    struct answer *back; /* put back, by `next`, the first to come again first */
    uint32_t first;      /* of the list, in the next step: counts up */
    uint32_t chunk;      /* tokens of a prompt in one step since memory ran out; 0: it did not */
};
struct worker;
/* Locked before and after: takes in waiting generations, then one step of all. False: there are none. */
bool answers_round(struct worker *w);
/* Unlocked: puts back answers until the cache has room for so many tokens, or none is left. */
void answers_make_room(struct worker *w, uint32_t tokens);
#endif
