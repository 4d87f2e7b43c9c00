/* attn.c - op_attention over packed sequences: no padding, no mask.
 *
 * A task is (sequence, head, group of query panels). A panel of nr queries lies in the vector lanes: scores are S^T [key][query], so the
 * softmax over keys is a column operation without any horizontal step, and S^T is at once the packed left operand of P V. With a causal mask or a
 * window a task packs the keys that its group sees, a panel takes the tiles of keys that it sees, and of those a key that a query does not see
 * adds an exact zero. Which they are depends on places in the sequence alone. */
#include <string.h>

#include "backend/cpu/cpu.h"

struct task {
    uint32_t first, len, seen, head, kv, q0, q1; /* tokens [first, first + len), of which `seen` are keys; queries [q0, q1) of the sequence */
    struct key_range keys;                 /* of the sequence, that some query of the task sees */
};
struct room {
    float *keys, *values, *queries, *scores, *inv, *bias;
    float *top, *sum, *scale; /* [nr] each, of a masked softmax; queries see keys [from, to] */
    int32_t *from, *to;
};

static uint32_t round_up(uint32_t n, uint32_t to) { return (n + to - 1) / to * to; }

size_t cpu_attention_scratch(const struct op_attention *a, uint32_t max_len, const struct cpu_kernels *k) {
    const uint64_t seen = (uint64_t)k->nr * CPU_QUERY_BLOCKS + 2ull * a->window;
    const size_t n_keys = a->window && seen < max_len ? (size_t)seen : max_len, d = a->d_head;
    const size_t bias = a->rel ? 2 * (size_t)max_len + 2 * k->nr + a->rel->cols : 0;
    return n_keys * d + n_keys * round_up(a->d_head, k->nr) + (d + n_keys + 7) * k->nr + bias + 64;
}

static struct room room_of(const struct op_attention *a, uint32_t n_keys, const struct cpu_kernels *k, float *at) {
    struct room m;
    m.scores = at, at += (size_t)n_keys * k->nr;
    m.queries = at, at += (size_t)a->d_head * k->nr;
    m.inv = at, at += k->nr;
    m.top = at, at += k->nr;
    m.sum = at, at += k->nr;
    m.scale = at, at += k->nr;
    m.from = (int32_t *)(void *)at, at += k->nr;
    m.to = (int32_t *)(void *)at, at += k->nr;
    m.values = at, at += (size_t)n_keys * round_up(a->d_head, k->nr);
    m.keys = at, at += (size_t)n_keys * a->d_head;
    m.bias = at;
    return m;
}

/* keys: tiles of [d][mr]; values: panels of [n_keys][nr], zero beyond d. */
static void pack_kv(const struct cpu_run *r, const struct op_attention *a, const struct task *t, const struct room *m) {
    const struct cpu_kernels *k = r->kernels;
    const uint32_t d = a->d_head, first = t->first + t->keys.first, n_keys = t->keys.end - t->keys.first, n_tiles = (n_keys + k->mr - 1) / k->mr;
    for (uint32_t i = 0; i < n_tiles; i++) {
        uint32_t j = cpu_tile_row(n_keys, n_tiles, i), n = cpu_tile_row(n_keys, n_tiles, i + 1) - j;
        k->pack_rows(cpu_row(&a->k, first + j) + (size_t)t->kv * d, a->k.stride, n, d, 1, m->keys + (size_t)j * d, n);
    }
    for (uint32_t c = 0; c < d; c += k->nr) {
        uint32_t n = d - c < k->nr ? d - c : k->nr;
        float *out = m->values + (size_t)c * n_keys;
        if (n < k->nr) memset(out, 0, (size_t)n_keys * k->nr * sizeof *out);
        for (uint32_t j = 0; j < n_keys; j++, out += k->nr) memcpy(out, cpu_row(&a->v, first + j) + (size_t)t->kv * d + c, n * sizeof *out);
    }
}

/* bias[x] = rel(len - 1 - x): the value for (key j, query q) stands at x = len - 1 - j + q. */
static void spread_bias(const struct op_attention *a, const struct task *t, const struct cpu_kernels *k, float *bias) {
    const uint32_t nr = k->nr;
    const float *rel = cpu_table_row(k, a->rel, t->head, bias + 2 * (size_t)t->len + 2 * nr);
    const int64_t radius = a->rel->cols / 2;
    for (uint32_t x = 0; x < 2 * t->len + nr; x++) {
        int64_t delta = (int64_t)t->len - 1 - x;
        delta = delta < -radius ? -radius : delta > radius ? radius : delta;
        bias[x] = rel[delta + radius];
    }
}

/* Scores of queries [q, q + n), in the tiles of the task's keys that hold what any of them sees. Returns those keys, counted from the task's first. */
static struct key_range panel_scores(const struct cpu_run *r, const struct op_attention *a, const struct task *t, const struct room *m, uint32_t q, uint32_t n) {
    const struct cpu_kernels *k = r->kernels;
    const uint32_t d = a->d_head, n_keys = t->keys.end - t->keys.first, n_tiles = (n_keys + k->mr - 1) / k->mr;
    const uint32_t from = attention_keys(a, q, t->len, t->seen).first - t->keys.first, end = attention_keys(a, q + n - 1, t->len, t->seen).end - t->keys.first;
    struct key_range seen = {n_keys, 0};
    for (uint32_t i = 0; i < n_tiles; i++) {
        uint32_t j = cpu_tile_row(n_keys, n_tiles, i), mr = cpu_tile_row(n_keys, n_tiles, i + 1) - j;
        if (j + mr <= from || j >= end) continue;
        k->tile(&(struct cpu_tile){.a = m->keys + (size_t)j * d, .a_stride = mr, .b = m->queries, .panel_stride = 0, .out = m->scores + (size_t)j * k->nr,
                                   .out_stride = k->nr, .k = d, .mr = mr, .n_panels = 1, .n_cols = k->nr});
        seen = (struct key_range){j < seen.first ? j : seen.first, j + mr};
    }
    return seen;
}

/* As kernels' softmax, over what each of the queries [q, q + n) sees of the keys from `key` on. */
static void masked_softmax(const struct cpu_kernels *k, const struct op_attention *a, const struct task *t, const struct room *m, uint32_t q, uint32_t n, float *scores, uint32_t n_keys, uint32_t key) {
    for (uint32_t i = 0; i < k->nr; i++) {
        const struct key_range keys = attention_keys(a, q + (i < n ? i : n - 1), t->len, t->seen);
        m->from[i] = (int32_t)keys.first, m->to[i] = (int32_t)keys.end - 1;
        m->top[i] = NOTHING_SEEN, m->sum[i] = 0;
    }
    k->softmax_block(scores, n_keys, n, a->soft_cap, a->causal || a->window ? m->from : NULL, m->to, (int32_t)key, m->top, m->sum, m->scale);
    for (uint32_t i = 0; i < n; i++) m->inv[i] = 1.0f / m->sum[i];
}

/* Queries [q, q + n) of the task's sequence, n <= nr. */
static void attend(const struct cpu_run *r, const struct op_attention *a, const struct task *t, const struct room *m, uint32_t q, uint32_t n) {
    const struct cpu_kernels *k = r->kernels;
    const uint32_t d = a->d_head, n_keys = t->keys.end - t->keys.first;
    if (n < k->nr) memset(m->queries, 0, (size_t)d * k->nr * sizeof *m->queries);
    k->pack_rows(cpu_row(&a->q, t->first + q) + (size_t)t->head * d, a->q.stride, n, d, a->scale, m->queries, k->nr);
    const struct key_range seen = panel_scores(r, a, t, m, q, n);
    const uint32_t key = t->keys.first + seen.first, count = seen.end - seen.first;
    float *scores = m->scores + (size_t)seen.first * k->nr;
    if (a->rel) k->add_bias(scores, count, m->bias + t->len - 1 - key + q);
    if (a->causal || a->window || a->soft_cap > 0) masked_softmax(k, a, t, m, q, n, scores, count, key);
    else k->softmax(scores, count, m->inv);
    for (uint32_t i = 0; i < n; i += k->mr) {
        uint32_t mr = n - i < k->mr ? n - i : k->mr;
        k->tile(&(struct cpu_tile){.a = scores + i, .a_stride = k->nr, .b = m->values + (size_t)seen.first * k->nr, .panel_stride = (size_t)n_keys * k->nr, .row_scale = m->inv + i,
                                   .out = cpu_row(&a->out, t->first + q + i) + (size_t)t->head * d, .out_stride = a->out.stride, .k = count, .mr = mr,
                                   .n_panels = (d + k->nr - 1) / k->nr, .n_cols = d});
    }
}

/* The sequence whose groups hold group g: groups[s] <= g < groups[s + 1]. */
static uint32_t sequence_of(const uint32_t *groups, uint32_t n_seq, uint32_t g) {
    uint32_t low = 0, high = n_seq;
    while (high - low > 1) {
        uint32_t mid = low + (high - low) / 2;
        if (groups[mid] <= g) low = mid;
        else high = mid;
    }
    return low;
}

void cpu_attention(const struct cpu_run *r, const struct op_attention *a, unsigned thread, _Atomic uint32_t *claims) {
    const struct cpu_kernels *k = r->kernels;
    const uint32_t n_seq = r->step[STEP_N_SEQ], n_groups = n_seq ? r->groups[n_seq] : 0, width = k->nr * CPU_QUERY_BLOCKS;
    const uint32_t *starts = r->step + r->layout->starts;
    /* From the end: there the queries of a causal sequence see most keys. */
    for (uint64_t c; (c = atomic_fetch_add_explicit(claims, 1, memory_order_relaxed)) < (uint64_t)n_groups * a->n_head;) {
        uint32_t g = n_groups - 1 - (uint32_t)(c / a->n_head), s = sequence_of(r->groups, n_seq, g);
        struct task t = {.first = starts[s], .len = starts[s + 1] - starts[s], .head = (uint32_t)(c % a->n_head)};
        t.seen = step_seen(r->step, r->layout, s, t.len);
        t.kv = t.head / (a->n_head / a->n_kv);
        t.q0 = (g - r->groups[s]) * width;
        t.q1 = t.len - t.q0 < width ? t.len : t.q0 + width;
        t.keys = (struct key_range){attention_keys(a, t.q0, t.len, t.seen).first, attention_keys(a, t.q1 - 1, t.len, t.seen).end};
        struct room m = room_of(a, t.keys.end - t.keys.first, k, r->scratch[thread]);
        pack_kv(r, a, &t, &m);
        if (a->rel) spread_bias(a, &t, k, m.bias);
        for (uint32_t q = t.q0; q < t.q1; q += k->nr) attend(r, a, &t, &m, q, t.q1 - q < k->nr ? t.q1 - q : k->nr);
    }
}
