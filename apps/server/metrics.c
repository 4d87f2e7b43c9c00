/* metrics.c - counts of what was served. */
#include "core.h"

/* Bounds are 1 ms, 2 ms, 4 ms … when `value` is in seconds; of lengths 1, 2, 4 …: the caller scales. */
void histogram_add(struct histogram *h, double value) {
    unsigned b = 0;
    for (double bound = 1; b < HISTOGRAM - 1 && value > bound; bound *= 2) b++;
    atomic_fetch_add(&h->buckets[b], 1);
    atomic_fetch_add(&h->count, 1);
    atomic_fetch_add(&h->sum_micro, (unsigned long long)(value > 0 ? value * 1e3 : 0));
}

void metrics_request(struct server *s, const struct exchange *x) {
    struct metrics *m = &s->metrics;
    const struct request *q = &x->q;
    const int status = x->gone ? 499 : x->reply.status;
    atomic_fetch_add(&m->requests, 1);
    atomic_fetch_add(status < 400 ? &m->success : &m->failure, 1);
    if (status >= 100 && status < 600) atomic_fetch_add(&m->by_class[status / 100], 1);
    if (x->gone) atomic_fetch_add(&m->gone, 1);
    atomic_fetch_add(&m->tokens_in, q->tokens_in);
    atomic_fetch_add(&m->tokens_out, q->tokens_out);
    atomic_fetch_add(&m->truncated, q->truncated);
    atomic_fetch_add(&m->items, q->items);
    if (!q->items) return;
    histogram_add(&m->duration, now_ms() - x->start_ms);
    histogram_add(&m->queue, q->queue_ms);
    histogram_add(&m->inference, q->compute_ms);
    histogram_add(&m->length, (double)q->tokens_in / (double)q->items);
}
