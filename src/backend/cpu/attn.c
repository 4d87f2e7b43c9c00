/* attn.c - op_attention over packed sequences: no padding, no mask.
 *
 * A task is (sequence, head, group of query panels). A panel of nr queries lies in the vector lanes: scores are S^T [key][query], so the
 * softmax over keys is a column operation without any horizontal step, and S^T is at once the packed left operand of P V. */
#include <string.h>

#include "backend/cpu/cpu.h"

struct task {
    uint32_t first, len, head, kv, q0, q1; /* tokens [first, first + len); queries [q0, q1) of the sequence */
};
struct room {
    float *keys, *values, *queries, *scores, *inv, *bias;
};

static uint32_t round_up(uint32_t n, uint32_t to) { return (n + to - 1) / to * to; }

size_t cpu_attention_scratch(const struct op_attention *a, uint32_t max_len, const struct cpu_kernels *k) {
    size_t len = max_len, d = a->d_head;
    return len * d + len * round_up(a->d_head, k->nr) + (d + len + 2) * k->nr + (a->rel ? 2 * len + 2 * k->nr + a->rel->cols : 0) + 64;
}

static struct room room_of(const struct op_attention *a, uint32_t len, const struct cpu_kernels *k, float *at) {
    struct room m;
    m.scores = at, at += (size_t)len * k->nr;
    m.queries = at, at += (size_t)a->d_head * k->nr;
    m.inv = at, at += k->nr;
    m.values = at, at += (size_t)len * round_up(a->d_head, k->nr);
    m.keys = at, at += (size_t)len * a->d_head;
    m.bias = at;
    return m;
}

/* keys: tiles of [d][mr]; values: panels of [len][nr], zero beyond d. */
static void pack_kv(const struct cpu_run *r, const struct op_attention *a, const struct task *t, const struct room *m) {
    const struct cpu_kernels *k = r->kernels;
    const uint32_t d = a->d_head, n_tiles = (t->len + k->mr - 1) / k->mr;
    for (uint32_t i = 0; i < n_tiles; i++) {
        uint32_t j = cpu_tile_row(t->len, n_tiles, i), n = cpu_tile_row(t->len, n_tiles, i + 1) - j;
        k->pack_rows(cpu_row(&a->k, t->first + j) + (size_t)t->kv * d, a->k.stride, n, d, 1, m->keys + (size_t)j * d, n);
    }
    for (uint32_t c = 0; c < d; c += k->nr) {
        uint32_t n = d - c < k->nr ? d - c : k->nr;
        float *out = m->values + (size_t)c * t->len;
        if (n < k->nr) memset(out, 0, (size_t)t->len * k->nr * sizeof *out);
        for (uint32_t j = 0; j < t->len; j++, out += k->nr) memcpy(out, cpu_row(&a->v, t->first + j) + (size_t)t->kv * d + c, n * sizeof *out);
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

/* Queries [q, q + n) of the task's sequence, n <= nr. */
static void attend(const struct cpu_run *r, const struct op_attention *a, const struct task *t, const struct room *m, uint32_t q, uint32_t n) {
    const struct cpu_kernels *k = r->kernels;
    const uint32_t d = a->d_head, len = t->len, n_tiles = (len + k->mr - 1) / k->mr;
    if (n < k->nr) memset(m->queries, 0, (size_t)d * k->nr * sizeof *m->queries);
    k->pack_rows(cpu_row(&a->q, t->first + q) + (size_t)t->head * d, a->q.stride, n, d, a->scale, m->queries, k->nr);
    for (uint32_t i = 0; i < n_tiles; i++) {
        uint32_t j = cpu_tile_row(len, n_tiles, i), mr = cpu_tile_row(len, n_tiles, i + 1) - j;
        k->tile(&(struct cpu_tile){.a = m->keys + (size_t)j * d, .a_stride = mr, .b = m->queries, .panel_stride = 0, .out = m->scores + (size_t)j * k->nr,
                                   .out_stride = k->nr, .k = d, .mr = mr, .n_panels = 1, .n_cols = k->nr});
    }
    if (a->rel) k->add_bias(m->scores, len, m->bias + len - 1 + q);
    k->softmax(m->scores, len, m->inv);
    for (uint32_t i = 0; i < n; i += k->mr) {
        uint32_t mr = n - i < k->mr ? n - i : k->mr;
        k->tile(&(struct cpu_tile){.a = m->scores + i, .a_stride = k->nr, .b = m->values, .panel_stride = (size_t)len * k->nr, .row_scale = m->inv + i,
                                   .out = cpu_row(&a->out, t->first + q + i) + (size_t)t->head * d, .out_stride = a->out.stride, .k = len, .mr = mr,
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
    for (uint64_t c; (c = atomic_fetch_add_explicit(claims, 1, memory_order_relaxed)) < (uint64_t)n_groups * a->n_head;) {
        uint32_t g = (uint32_t)(c / a->n_head), s = sequence_of(r->groups, n_seq, g);
        struct task t = {.first = starts[s], .len = starts[s + 1] - starts[s], .head = (uint32_t)(c % a->n_head)};
        t.kv = t.head / (a->n_head / a->n_kv);
        t.q0 = (g - r->groups[s]) * width;
        t.q1 = t.len - t.q0 < width ? t.len : t.q0 + width;
        struct room m = room_of(a, t.len, k, r->scratch[thread]);
        pack_kv(r, a, &t, &m);
        if (a->rel) spread_bias(a, &t, k, m.bias);
        for (uint32_t q = t.q0; q < t.q1; q += k->nr) attend(r, a, &t, &m, q, t.q1 - q < k->nr ? t.q1 - q : k->nr);
    }
}
