#include "engine/turns.h"

#include <stdlib.h>

struct line { /* one caller's tasks, at least one */
    struct line *next;
    uint64_t caller;
    struct task *first, *last;
};

static struct line *line_of(const struct turns *q, uint64_t caller, struct line **before) {
    *before = NULL;
    for (struct line *l = q->first; l; *before = l, l = l->next)
        if (l->caller == caller) return l;
    return NULL;
}

static void append(struct turns *q, struct line *l) {
    l->next = NULL;
    *(q->last ? &q->last->next : &q->first) = l;
    q->last = l;
}

static void take_out(struct turns *q, struct line *l, struct line *before) {
    *(before ? &before->next : &q->first) = l->next;
    if (q->last == l) q->last = before;
}

gllm_status turns_add(struct turns *q, struct task *t, gllm_error *err) {
    struct line *before, *l = line_of(q, t->caller, &before);
    t->next = NULL;
    if (l) {
        l->last->next = t;
        l->last = t;
        return GLLM_OK;
    }
    l = calloc(1, sizeof *l);
    if (!l) return err_nomem(err, "queue");
    l->caller = t->caller;
    l->first = l->last = t;
    append(q, l);
    return GLLM_OK;
}

struct task *turns_find(const struct turns *q, bool (*fits)(const void *arg, const struct task *t), const void *arg) {
    for (const struct line *l = q->first; l; l = l->next)
        for (struct task *t = l->first; t; t = t->next)
            if (!fits || fits(arg, t)) return t;
    return NULL;
}

void turns_pass(struct turns *q, const struct task *t) {
    struct line *before, *l = line_of(q, t->caller, &before);
    if (!l) return;
    take_out(q, l, before);
    append(q, l);
}

void turns_remove(struct turns *q, struct task *t) {
    struct line *before, *l = line_of(q, t->caller, &before);
    struct task *previous = NULL;
    for (struct task *i = l->first; i != t; i = i->next) previous = i;
    *(previous ? &previous->next : &l->first) = t->next;
    if (l->last == t) l->last = previous;
    t->next = NULL;
    if (l->first) return;
    take_out(q, l, before);
    free(l);
}
