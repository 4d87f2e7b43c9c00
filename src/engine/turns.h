/* turns.h - tasks that wait, by caller: each caller's in the order of their arrival, and the callers take turns.
 *
 * Thread rule: under its owner's lock. */
#ifndef GLLM_ENGINE_TURNS_H
#define GLLM_ENGINE_TURNS_H
#include "engine/task.h"

struct line;
struct turns { /* all-zero: empty. Tasks are borrowed */
    struct line *first, *last; /* the caller whose turn it is comes first */
};
gllm_status turns_add(struct turns *q, struct task *t, gllm_error *err); /* GLLM_NOMEM */
/* The first task, of the caller whose turn comes first, for which fits() holds (NULL: any); NULL: none. It stays. */
struct task *turns_find(const struct turns *q, bool (*fits)(const void *arg, const struct task *t), const void *arg);
void turns_pass(struct turns *q, const struct task *t); /* t's caller had its turn: the others come first now */
void turns_remove(struct turns *q, struct task *t); /* t waits here */
#endif
