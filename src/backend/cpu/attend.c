/* attend.c - op_attend: causal attention to the paged cache; prefill, decode and mixed batches alike.
 *
 * A lane is one (query, head) pair; the heads that share a key head stand side by side, so that each key and value is read once for all of
 * them. A task is (sequence, key head, up to GROUP_PANELS panels of nr lanes) and walks the keys in blocks of BLOCK_KEYS:
 *
 *   scores S^T [key][lane] = K Q^T   ->   m' = max(m, S), p = e^(S - m'), l = l e^(m - m') + sum p, O = O e^(m - m') + p V
 *
 * Many lanes fill the vectors of S^T. With FEW_LANES at most (decode), the keys do: S [lane][key] = Q K^T is computed and turned; a product
 * is the same either way round, so the bits are too.
 *
 * SPLIT_BLOCKS blocks make a split, whose (m, l, O) is merged into the lane's running state by their log-sum-exp with compensated sums: the
 * error of a lane grows with the number of splits not at all, and inside a split with SPLIT_BLOCKS. Blocks and splits lie at fixed places
 * of the sequence, and a key that a lane may not see adds an exact zero: so neither chunks nor neighbours nor threads show in the result.
 *
 * A task of one panel (decode) gives the threads too little to share, so each of its splits is claimed by itself: its (m, l, O) waits in a
 * part of the run's common memory, and when all are there a thread merges them in the order of the keys, as one alone would have. */
#include <string.h>

#include "backend/cpu/cpu.h"

enum { BLOCK_KEYS = 128, SPLIT_BLOCKS = 4, SPLIT_KEYS = BLOCK_KEYS * SPLIT_BLOCKS, GROUP_PANELS = 4, FEW_LANES = 8 };

struct state { /* of one panel of lanes; [nr] each, o [nr][d] */
    float *queries;            /* [d][nr] */
    float *m, *l, *o;          /* of the split */
    float *top, *sum, *sum_lo; /* of the lane so far */
    float *out, *out_lo;
    int32_t *last, *first;     /* keys [first, last] that the lane sees */
    uint32_t lane, n;          /* lanes [lane, lane + n) of the task's sequence and key head */
    int32_t min_first, max_last, max_first, min_last;
};
struct room {
    float *keys, *values, *scores, *scale, *weight, *rows; /* rows [mr][d]: keys before they are packed */
    bool few;      /* the task has at most FEW_LANES: keys lie as panels [d][nr], queries as [d][n], `turned` takes S */
    float *turned; /* [FEW_LANES][BLOCK_KEYS] */
    uint32_t n_panels;
    struct state panel[GROUP_PANELS];
};
struct task {
    uint32_t seq, kv, lane0, lane1;
};

static uint32_t round_up(uint32_t n, uint32_t to) { return (n + to - 1) / to * to; }

size_t cpu_attend_scratch(const struct op_attend *a, const struct cpu_kernels *k) {
    const size_t d = a->cache.d_head, wide = round_up(a->cache.d_head, k->nr), nr = k->nr;
    const size_t panel = d * nr + 7 * nr + 3 * nr * wide;
    return BLOCK_KEYS * (d + wide + nr) + (k->mr > k->nr ? k->mr : k->nr) * d + FEW_LANES * BLOCK_KEYS + 2 * nr + GROUP_PANELS * panel + 64;
}

static float *take(float **at, size_t n) {
    float *p = *at;
    *at += n;
    return p;
}

static void room_make(struct room *m, const struct op_attend *a, const struct cpu_kernels *k, float *at) {
    const size_t d = a->cache.d_head, wide = round_up(a->cache.d_head, k->nr), nr = k->nr;
    m->scores = take(&at, BLOCK_KEYS * nr);
    m->values = take(&at, BLOCK_KEYS * wide);
    m->keys = take(&at, BLOCK_KEYS * d);
    m->scale = take(&at, nr);
    m->weight = take(&at, nr);
    m->rows = take(&at, (k->mr > k->nr ? k->mr : k->nr) * d);
    m->turned = take(&at, FEW_LANES * BLOCK_KEYS);
    for (unsigned i = 0; i < GROUP_PANELS; i++) {
        struct state *p = &m->panel[i];
        p->queries = take(&at, d * nr);
        p->m = take(&at, nr), p->l = take(&at, nr);
        p->top = take(&at, nr), p->sum = take(&at, nr), p->sum_lo = take(&at, nr);
        p->last = (int32_t *)(void *)take(&at, nr), p->first = (int32_t *)(void *)take(&at, nr);
        p->o = take(&at, nr * wide), p->out = take(&at, nr * wide), p->out_lo = take(&at, nr * wide);
    }
}

/* The queries of lanes [lane, lane + n) and what each may see. */
static void panel_start(const struct cpu_run *r, const struct op_attend *a, const struct task *t, bool few, struct state *p, uint32_t lane, uint32_t n) {
    const struct cpu_kernels *k = r->kernels;
    const uint32_t d = a->cache.d_head, group = a->n_head / a->cache.n_kv, nr = k->nr;
    const uint32_t start = r->step[r->layout->starts + t->seq], past = r->step[r->layout->past + t->seq];
    p->lane = lane, p->n = n;
    if (n < nr && !few) memset(p->queries, 0, (size_t)d * nr * sizeof *p->queries);
    for (uint32_t i = 0; i < nr; i++) {
        const uint32_t at = past + (lane + (i < n ? i : n - 1)) / group;
        p->last[i] = (int32_t)at;
        p->first[i] = a->window && at + 1 > a->window ? (int32_t)(at + 1 - a->window) : 0;
        p->top[i] = NOTHING_SEEN, p->sum[i] = p->sum_lo[i] = 0;
    }
    p->min_last = p->last[0], p->max_last = p->last[n - 1], p->min_first = p->first[0], p->max_first = p->first[n - 1];
    for (uint32_t i = 0; i < n;) { /* the lanes of one query are adjacent heads */
        const uint32_t head = (lane + i) % group, more = n - i < group - head ? n - i : group - head;
        const float *q = cpu_row(&a->q, start + (lane + i) / group) + ((size_t)t->kv * group + head) * d;
        k->pack_rows(q, d, more, d, a->scale, p->queries + i, few ? n : nr);
        i += more;
    }
    memset(p->out, 0, (size_t)nr * d * sizeof *p->out);
    memset(p->out_lo, 0, (size_t)nr * d * sizeof *p->out_lo);
}

static void split_start(const struct cpu_run *r, const struct op_attend *a, struct state *p) {
    for (uint32_t i = 0; i < r->kernels->nr; i++) p->m[i] = NOTHING_SEEN, p->l[i] = 0;
    memset(p->o, 0, (size_t)r->kernels->nr * a->cache.d_head * sizeof *p->o);
}

static void read_row(const struct cpu_kernels *k, const struct kv_cache *c, const unsigned char *at, uint32_t slot, float *out) {
    at += slot * dtype_row_bytes(c->dtype, c->d_head);
    if (c->dtype == DTYPE_F16) k->from_f16((const uint16_t *)(const void *)at, c->d_head, out);
    else if (c->dtype == DTYPE_Q8_0) k->from_q8(at, c->d_head, out);
    else memcpy(out, at, c->d_head * sizeof *out);
}

/* Keys [key, key + n) as tiles [d][mr] (few lanes: panels [d][nr]), values as panels [n][nr] with zeros beyond d. The pages lie whole inside a block. */
static void load_block(const struct cpu_run *r, const struct op_attend *a, const struct task *t, const struct room *m, uint32_t key, uint32_t n) {
    const struct cpu_kernels *k = r->kernels;
    const struct kv_cache *c = &a->cache;
    const uint32_t d = c->d_head, n_tiles = m->few ? (n + k->nr - 1) / k->nr : (n + k->mr - 1) / k->mr;
    const uint32_t *pages = r->step + r->layout->pages + r->step[r->layout->page_first + t->seq] + key / KV_PAGE;
    for (uint32_t tile = 0; tile < n_tiles; tile++) {
        const uint32_t j0 = m->few ? tile * k->nr : cpu_tile_row(n, n_tiles, tile), j1 = !m->few ? cpu_tile_row(n, n_tiles, tile + 1) : n - j0 < k->nr ? n : j0 + k->nr;
        for (uint32_t j = j0; j < j1; j++) read_row(k, c, kv_head(c, pages[j / KV_PAGE], t->kv), j % KV_PAGE, m->rows + (size_t)(j - j0) * d);
        float *out = m->keys + (size_t)j0 * d;
        if (m->few && j1 - j0 < k->nr) memset(out, 0, (size_t)d * k->nr * sizeof *out);
        k->pack_rows(m->rows, d, j1 - j0, d, 1, out, m->few ? k->nr : j1 - j0);
    }
    for (uint32_t j = 0; j < n; j++) {
        read_row(k, c, kv_head(c, pages[j / KV_PAGE], t->kv), KV_PAGE + j % KV_PAGE, m->rows);
        for (uint32_t col = 0; col < d; col += k->nr) {
            const uint32_t cols = d - col < k->nr ? d - col : k->nr;
            float *out = m->values + (size_t)col * n + (size_t)j * k->nr;
            if (cols < k->nr) memset(out, 0, k->nr * sizeof *out);
            memcpy(out, m->rows + col, cols * sizeof *out);
        }
    }
}

static void few_scores(const struct cpu_kernels *k, const struct room *m, const struct state *p, uint32_t n, uint32_t d) {
    for (uint32_t j = 0; j < n; j += k->nr)
        k->tile(&(struct cpu_tile){.a = p->queries, .a_stride = p->n, .b = m->keys + (size_t)j * d, .out = m->turned + j, .out_stride = BLOCK_KEYS, .k = d, .mr = p->n, .n_panels = 1, .n_cols = k->nr});
    for (uint32_t j = 0; j < n; j++)
        for (uint32_t i = 0; i < p->n; i++) m->scores[(size_t)j * k->nr + i] = m->turned[(size_t)i * BLOCK_KEYS + j];
}

/* One block of keys for one panel of lanes. */
static void panel_block(const struct cpu_run *r, const struct op_attend *a, const struct room *m, struct state *p, uint32_t key, uint32_t n) {
    const struct cpu_kernels *k = r->kernels;
    const uint32_t d = a->cache.d_head, nr = k->nr, n_tiles = (n + k->mr - 1) / k->mr;
    const int32_t key0 = (int32_t)key, key1 = (int32_t)(key + n) - 1;
    if (key0 > p->max_last || key1 < p->min_first) return; /* no lane sees any of it */
    if (m->few) few_scores(k, m, p, n, d);
    for (uint32_t tile = 0; !m->few && tile < n_tiles; tile++) {
        const uint32_t j0 = cpu_tile_row(n, n_tiles, tile), mr = cpu_tile_row(n, n_tiles, tile + 1) - j0;
        k->tile(&(struct cpu_tile){.a = m->keys + (size_t)j0 * d, .a_stride = mr, .b = p->queries, .out = m->scores + (size_t)j0 * nr, .out_stride = nr,
                                   .k = d, .mr = mr, .n_panels = 1, .n_cols = nr});
    }
    const bool all = key1 <= p->min_last && key0 >= p->max_first;
    if (k->softmax_block(m->scores, n, p->n, a->soft_cap, all ? NULL : p->first, p->last, key0, p->m, p->l, m->scale))
        k->scale_rows(p->o, p->n, d, m->scale);
    for (uint32_t i = 0; i < p->n; i += k->mr) {
        const uint32_t mr = p->n - i < k->mr ? p->n - i : k->mr;
        float *o = p->o + (size_t)i * d;
        k->tile(&(struct cpu_tile){.a = m->scores + i, .a_stride = nr, .b = m->values, .panel_stride = (size_t)n * nr, .res = o, .res_stride = d,
                                   .out = o, .out_stride = d, .k = n, .mr = mr, .n_panels = (d + nr - 1) / nr, .n_cols = d});
    }
}

/* (top, sum, out) += (m, l, o): both sides scaled to the larger maximum, the sums compensated. */
static void split_merge(const struct cpu_run *r, const struct op_attend *a, const struct room *m, struct state *p) {
    const struct cpu_kernels *k = r->kernels;
    const uint32_t d = a->cache.d_head;
    k->merge_weights(p->top, p->m, m->scale, m->weight);
    for (uint32_t i = 0; i < p->n; i++) {
        k->merge(p->out + (size_t)i * d, p->out_lo + (size_t)i * d, p->o + (size_t)i * d, m->scale[i], m->weight[i], d);
        k->merge(p->sum + i, p->sum_lo + i, p->l + i, m->scale[i], m->weight[i], 1);
    }
}

static void panel_write(const struct cpu_run *r, const struct op_attend *a, const struct task *t, const struct state *p) {
    const uint32_t d = a->cache.d_head, group = a->n_head / a->cache.n_kv, start = r->step[r->layout->starts + t->seq];
    for (uint32_t i = 0; i < p->n; i++) {
        const uint32_t lane = p->lane + i;
        float *out = cpu_row(&a->out, start + lane / group) + ((size_t)t->kv * group + lane % group) * d;
        const float *hi = p->out + (size_t)i * d, *lo = p->out_lo + (size_t)i * d, inv = 1.0f / (p->sum[i] + p->sum_lo[i]);
        for (uint32_t c = 0; c < d; c++) out[c] = (hi[c] + lo[c]) * inv;
    }
}

static void task_start(const struct cpu_run *r, const struct op_attend *a, const struct task *t, struct room *m) {
    const uint32_t nr = r->kernels->nr;
    m->few = t->lane1 - t->lane0 <= FEW_LANES && t->lane1 - t->lane0 <= r->kernels->mr;
    m->n_panels = 0;
    for (uint32_t lane = t->lane0; lane < t->lane1; lane += nr)
        panel_start(r, a, t, m->few, &m->panel[m->n_panels++], lane, t->lane1 - lane < nr ? t->lane1 - lane : nr);
}

/* The keys of split `split` into (m, l, o) of every panel. */
static void split_run(const struct cpu_run *r, const struct op_attend *a, const struct task *t, struct room *m, uint32_t split) {
    const uint32_t from = split * SPLIT_KEYS, end = (uint32_t)m->panel[m->n_panels - 1].max_last + 1;
    for (uint32_t p = 0; p < m->n_panels; p++) split_start(r, a, &m->panel[p]);
    for (uint32_t key = from; key < end && key < from + SPLIT_KEYS; key += BLOCK_KEYS) {
        const uint32_t n = end - key < BLOCK_KEYS ? end - key : BLOCK_KEYS;
        if ((int32_t)(key + n) <= m->panel[0].min_first) continue;
        load_block(r, a, t, m, key, n);
        for (uint32_t p = 0; p < m->n_panels; p++) panel_block(r, a, m, &m->panel[p], key, n);
    }
}

static void run_task(const struct cpu_run *r, const struct op_attend *a, const struct task *t, struct room *m) {
    task_start(r, a, t, m);
    const uint32_t end = (uint32_t)m->panel[m->n_panels - 1].max_last / SPLIT_KEYS;
    for (uint32_t split = (uint32_t)m->panel[0].min_first / SPLIT_KEYS; split <= end; split++) {
        split_run(r, a, t, m, split);
        for (uint32_t p = 0; p < m->n_panels; p++) split_merge(r, a, m, &m->panel[p]);
    }
    for (uint32_t p = 0; p < m->n_panels; p++) panel_write(r, a, t, &m->panel[p]);
}

/* How a sequence is shared out: tasks of whole panels for each key head, or (narrow) splits of one task for each. */
struct share {
    uint32_t lanes, n_groups, first_split, n_splits, units;
    bool narrow;
    size_t part; /* floats of one split's part: m, l, o */
};
static struct share share_of(const struct op_attend *a, const uint32_t *step, const struct step_layout *l, const struct cpu_kernels *k, uint32_t s) {
    const uint32_t wide = k->nr * GROUP_PANELS, len = step[l->starts + s + 1] - step[l->starts + s], past = step[l->past + s];
    struct share h = {.lanes = len * (a->n_head / a->cache.n_kv)};
    h.n_groups = (h.lanes + wide - 1) / wide;
    h.units = h.n_groups * a->cache.n_kv;
    if (!len || h.lanes > k->nr) return h;
    h.first_split = a->window && past + 1 > a->window ? (past + 1 - a->window) / SPLIT_KEYS : 0;
    h.n_splits = (past + len - 1) / SPLIT_KEYS + 1 - h.first_split;
    if (h.n_splits == 1) return h;
    h.narrow = true;
    h.units = h.n_splits * a->cache.n_kv;
    h.part = 2 * k->nr + (size_t)h.lanes * a->cache.d_head;
    return h;
}

size_t cpu_attend_parts(const struct op_attend *a, const uint32_t *step, const struct step_layout *l, const struct cpu_kernels *k) {
    size_t floats = 0;
    for (uint32_t s = 0; s < step[STEP_N_SEQ]; s++) {
        const struct share h = share_of(a, step, l, k, s);
        floats += h.units * h.part;
    }
    return floats * sizeof(float);
}

static void part_copy(const struct cpu_run *r, const struct op_attend *a, struct state *p, float *part, bool save) {
    const size_t nr = r->kernels->nr, n = (size_t)p->n * a->cache.d_head;
    float *const own[] = {p->m, p->l, p->o}, *at[] = {part, part + nr, part + 2 * nr};
    const size_t count[] = {nr, nr, n};
    for (unsigned i = 0; i < 3; i++) memcpy(save ? at[i] : own[i], save ? own[i] : at[i], count[i] * sizeof(float));
}

/* Unit `u` of a sequence: a task, or a split of one into its part. */
static void run_unit(const struct cpu_run *r, const struct op_attend *a, uint32_t seq, const struct share *h, uint32_t u, float *parts, struct room *m) {
    const uint32_t n_kv = a->cache.n_kv, wide = r->kernels->nr * GROUP_PANELS;
    struct task t = {.seq = seq, .kv = u % n_kv, .lane1 = h->lanes};
    if (h->narrow) {
        task_start(r, a, &t, m);
        split_run(r, a, &t, m, h->first_split + u / n_kv);
        part_copy(r, a, &m->panel[0], parts + u * h->part, true);
        return;
    }
    t.lane0 = (h->n_groups - 1 - u / n_kv) * wide; /* the last lanes see most keys: they come first */
    t.lane1 = h->lanes - t.lane0 < wide ? h->lanes : t.lane0 + wide;
    run_task(r, a, &t, m);
}

/* All splits of key head `kv` of a narrow sequence, in order. */
static void merge_parts(const struct cpu_run *r, const struct op_attend *a, uint32_t seq, const struct share *h, uint32_t kv, float *parts, struct room *m) {
    const struct task t = {.seq = seq, .kv = kv, .lane1 = h->lanes};
    struct state *p = &m->panel[0];
    task_start(r, a, &t, m);
    for (uint32_t i = 0; i < h->n_splits; i++) {
        part_copy(r, a, p, parts + ((size_t)i * a->cache.n_kv + kv) * h->part, false);
        split_merge(r, a, m, p);
    }
    panel_write(r, a, &t, p);
}

void cpu_attend(const struct cpu_run *r, const struct op_attend *a, unsigned thread, _Atomic uint32_t *claims) {
    const uint32_t n_seq = r->step[STEP_N_SEQ];
    struct room m;
    room_make(&m, a, r->kernels, r->scratch[thread]);
    bool any_narrow = false;
    for (unsigned merging = 0; merging < 2; merging++) { /* a unit's number counts over sequences, from the last one on */
        uint32_t next = atomic_fetch_add_explicit(&claims[merging], 1, memory_order_relaxed), at = 0;
        float *parts = r->packed;
        for (uint32_t s = n_seq; s-- > 0;) {
            const struct share h = share_of(a, r->step, r->layout, r->kernels, s);
            const uint32_t n = !merging ? h.units : h.narrow ? a->cache.n_kv : 0;
            for (; next - at < n; next = atomic_fetch_add_explicit(&claims[merging], 1, memory_order_relaxed)) {
                if (merging) merge_parts(r, a, s, &h, next - at, parts, &m);
                else run_unit(r, a, s, &h, next - at, parts, &m);
            }
            at += n;
            any_narrow |= h.narrow;
            if (h.narrow) parts += h.units * h.part;
        }
        if (!any_narrow) return; /* the same for every thread */
        if (!merging) pool_barrier(r->pool);
    }
}
