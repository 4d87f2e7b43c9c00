#include "engine/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SORT_CHUNK = 256 };

struct candidate {
    int32_t id;
    float logit;
    double p; /* e^(logit - largest); typical: the sort key */
};
struct sampler {
    struct sampler_params p;
    struct logit_bias *bias;
    uint32_t n_vocab, n_generated;
    uint32_t *seen, *made;      /* [n_vocab] times in the penalty's window; times generated */
    int32_t *history;           /* tokens so far */
    size_t n_history, room;
    float *logits;              /* [n_vocab] changed */
    struct candidate *list;     /* [n_vocab] */
    struct token_logprob *top;  /* [n_top] */
};

const struct sampler_params SAMPLER_DEFAULTS = {.top_p = 1, .typical_p = 1, .repetition_penalty = 1};

void sampler_close(struct sampler *s) {
    if (!s) return;
    void *all[] = {s->bias, s->seen, s->made, s->history, s->logits, s->list, s->top, s};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

gllm_status sampler_check(const struct sampler_params *p, uint32_t n_vocab, gllm_error *err) {
    const struct {
        const char *name;
        float v, least, most;
    } RANGES[] = {{"temperature", p->temperature, 0, 100}, {"top_p", p->top_p, 0, 1}, {"min_p", p->min_p, 0, 1}, {"typical_p", p->typical_p, 0, 1}, {"repetition_penalty", p->repetition_penalty, 1e-3f, 1000},
                  {"presence_penalty", p->presence_penalty, -100, 100}, {"frequency_penalty", p->frequency_penalty, -100, 100}};
    for (unsigned i = 0; i < sizeof RANGES / sizeof *RANGES; i++)
        if (!(RANGES[i].v >= RANGES[i].least && RANGES[i].v <= RANGES[i].most))
            return err_set(err, GLLM_INVALID, "%s: found %g, expected %g to %g", RANGES[i].name, (double)RANGES[i].v, (double)RANGES[i].least, (double)RANGES[i].most);
    for (size_t i = 0; i < p->n_bias; i++)
        if (p->bias[i].id < 0 || (uint32_t)p->bias[i].id >= n_vocab || isnan(p->bias[i].bias)) return err_set(err, GLLM_INVALID, "logit_bias: token %d: expected an id from 0 to %u and a number", p->bias[i].id, n_vocab - 1);
    return GLLM_OK;
}

gllm_status sampler_open(struct sampler **out, const struct sampler_params *p, uint32_t n_vocab, gllm_error *err) {
    *out = NULL;
    TRY(sampler_check(p, n_vocab, err));
    struct sampler *s = calloc(1, sizeof *s);
    if (!s) return err_nomem(err, "sampler");
    s->p = *p;
    if (s->p.n_top > n_vocab) s->p.n_top = n_vocab;
    s->n_vocab = n_vocab;
    s->bias = malloc((p->n_bias + 1) * sizeof *s->bias);
    s->seen = calloc(n_vocab, sizeof *s->seen);
    s->made = calloc(n_vocab, sizeof *s->made);
    s->logits = malloc(n_vocab * sizeof *s->logits);
    s->list = malloc(n_vocab * sizeof *s->list);
    s->top = malloc((s->p.n_top + 1) * sizeof *s->top);
    if (!s->bias || !s->seen || !s->made || !s->logits || !s->list || !s->top) {
        sampler_close(s);
        return err_nomem(err, "sampler");
    }
    if (p->n_bias) memcpy(s->bias, p->bias, p->n_bias * sizeof *s->bias);
    *out = s;
    return GLLM_OK;
}

gllm_status sampler_accept(struct sampler *s, int32_t id, bool generated, gllm_error *err) {
    if (id < 0 || (uint32_t)id >= s->n_vocab) return err_set(err, GLLM_INVALID, "token id %d: expected 0 to %u", id, s->n_vocab - 1);
    if (s->n_history == s->room) {
        size_t room = 2 * s->room + 256;
        int32_t *more = realloc(s->history, room * sizeof *more);
        if (!more) return err_nomem(err, "sampler");
        s->history = more;
        s->room = room;
    }
    s->history[s->n_history++] = id;
    s->seen[id]++;
    if (s->p.penalty_last_n && s->n_history > s->p.penalty_last_n) s->seen[s->history[s->n_history - 1 - s->p.penalty_last_n]]--;
    s->made[id] += generated;
    s->n_generated += generated;
    return GLLM_OK;
}

/* Philox4x32-10 (Salmon et al. 2011): the first two words as a number in [0, 1) of 53 bits. */
static double uniform(uint64_t seed, uint64_t counter) {
    uint32_t c[4] = {(uint32_t)counter, (uint32_t)(counter >> 32), 0, 0}, k[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    for (unsigned i = 0; i < 10; i++) {
        const uint64_t a = 0xD2511F53ull * c[0], b = 0xCD9E8D57ull * c[2];
        const uint32_t next[4] = {(uint32_t)(b >> 32) ^ c[1] ^ k[0], (uint32_t)b, (uint32_t)(a >> 32) ^ c[3] ^ k[1], (uint32_t)a};
        memcpy(c, next, sizeof c);
        k[0] += 0x9E3779B9u;
        k[1] += 0xBB67AE85u;
    }
    return (double)(((uint64_t)c[0] << 32 | c[1]) >> 11) * 0x1p-53;
}

static bool is_allowed(const uint64_t *allowed, uint32_t id) { return !allowed || (allowed[id / 64] >> id % 64 & 1); }

/* The logits after penalties, bias and the allowed set. */
static gllm_status adjust(struct sampler *s, const float *logits, const uint64_t *allowed, gllm_error *err) {
    const struct sampler_params *p = &s->p;
    const bool penalise = p->repetition_penalty != 1 || p->presence_penalty != 0 || p->frequency_penalty != 0;
    bool any = false;
    for (uint32_t i = 0; i < s->n_vocab; i++) {
        float l = logits[i];
        if (isnan(l)) return err_set(err, GLLM_DEVICE, "the logit of token %u is not a number, %u tokens into the answer", i, s->n_generated);
        if (penalise && s->seen[i]) l = l > 0 ? l / p->repetition_penalty : l * p->repetition_penalty;
        if (penalise && s->made[i]) l -= p->presence_penalty + p->frequency_penalty * (float)s->made[i];
        s->logits[i] = l;
    }
    for (size_t i = 0; i < p->n_bias; i++) s->logits[s->bias[i].id] += s->bias[i].bias;
    for (uint32_t i = 0; i < s->n_vocab; i++) {
        if (!is_allowed(allowed, i)) s->logits[i] = -INFINITY;
        any |= s->logits[i] > -INFINITY;
    }
    return any ? GLLM_OK : err_set(err, allowed ? GLLM_INVALID : GLLM_DEVICE, "no token is possible, %u tokens into the answer", s->n_generated);
}

static bool before(const struct candidate *a, const struct candidate *b) { return a->logit > b->logit || (a->logit == b->logit && a->id < b->id); }
static int by_logit(const void *x, const void *y) { return before(x, y) ? -1 : before(y, x); }
static int by_key(const void *x, const void *y) {
    const struct candidate *a = x, *b = y;
    return a->p < b->p ? -1 : a->p > b->p ? 1 : by_logit(x, y);
}

/* Moves the `keep` first by logit to the front, in order: selection by a threshold that a sample suggests, then a sort of the few. */
static void sort_first(struct candidate *c, size_t n, size_t keep) {
    size_t low = 0, high = n; /* quickselect: [0, low) before [low, high) before [high, n) */
    while (keep < n && high - low > SORT_CHUNK && low < keep) {
        struct candidate a = c[low], b = c[low + (high - low) / 2], d = c[high - 1], pivot;
        pivot = before(&a, &b) ? (before(&b, &d) ? b : before(&a, &d) ? d : a) : before(&a, &d) ? a : before(&b, &d) ? d : b;
        size_t i = low, k = high;
        for (size_t at = low; at < k;) {
            if (before(&c[at], &pivot)) {
                struct candidate t = c[i];
                c[i++] = c[at], c[at++] = t;
            } else if (before(&pivot, &c[at])) {
                struct candidate t = c[--k];
                c[k] = c[at], c[at] = t;
            } else at++;
        }
        if (keep <= i) high = i;
        else if (keep <= k) break; /* the boundary falls among the pivot's equals, of which there is one */
        else low = k;
    }
    qsort(c, high < keep ? keep : high, sizeof *c, by_logit);
}

/* p = e^(logit - largest) for all; the sum. c[0] need not be the largest. */
static double weigh(struct candidate *c, size_t n) {
    float top = -INFINITY;
    double sum = 0;
    for (size_t i = 0; i < n; i++) top = c[i].logit > top ? c[i].logit : top;
    for (size_t i = 0; i < n; i++) sum += c[i].p = exp((double)c[i].logit - (double)top);
    return sum;
}

/* How many of the candidates, sorted as far as needed, reach the share p of the sum. */
static size_t nucleus(struct candidate *c, size_t n, double sum, double p) {
    double reached = 0;
    for (size_t at = 0, sorted = 0; at < n; at++) {
        if (at == sorted) {
            sorted = sorted ? 8 * sorted : SORT_CHUNK;
            sort_first(c, n, sorted < n ? sorted : n);
        }
        reached += c[at].p;
        if (reached >= p * sum) return at + 1;
    }
    return n;
}

static size_t typical(struct candidate *c, size_t n, double p) {
    const double sum = weigh(c, n);
    double entropy = 0, reached = 0;
    for (size_t i = 0; i < n; i++)
        if (c[i].p > 0) entropy -= c[i].p / sum * log(c[i].p / sum);
    for (size_t i = 0; i < n; i++) c[i].p = c[i].p > 0 ? fabs(-log(c[i].p / sum) - entropy) : INFINITY;
    qsort(c, n, sizeof *c, by_key);
    float top = -INFINITY;
    for (size_t i = 0; i < n; i++) top = c[i].logit > top ? c[i].logit : top;
    for (size_t i = 0; i < n; i++) {
        reached += exp((double)c[i].logit - (double)top);
        if (reached >= p * sum) return i + 1;
    }
    return n;
}

static int32_t draw(struct sampler *s) {
    const struct sampler_params *p = &s->p;
    struct candidate *c = s->list;
    size_t n = 0;
    for (uint32_t i = 0; i < s->n_vocab; i++)
        if (s->logits[i] > -INFINITY) c[n++] = (struct candidate){(int32_t)i, s->logits[i] / p->temperature, 0};
    if (p->top_k && p->top_k < n) {
        sort_first(c, n, p->top_k);
        n = p->top_k;
    }
    double sum = weigh(c, n);
    if (p->top_p < 1) n = nucleus(c, n, sum, p->top_p);
    if (p->min_p > 0) {
        size_t kept = 0;
        weigh(c, n);
        for (size_t i = 0; i < n; i++)
            if (c[i].p >= p->min_p) c[kept++] = c[i];
        n = kept;
    }
    if (p->typical_p < 1) n = typical(c, n, p->typical_p);
    sum = weigh(c, n);
    const double target = uniform(p->seed, s->n_generated) * sum;
    double reached = 0;
    for (size_t at = 0, sorted = 0; at < n; at++) {
        if (at == sorted) {
            sorted = sorted ? 8 * sorted : SORT_CHUNK;
            sort_first(c, n, sorted < n ? sorted : n);
        }
        reached += c[at].p;
        if (reached > target) return c[at].id;
    }
    return c[0].id; /* rounding at the very end */
}

static void report(struct sampler *s, const float *logits, struct sampled *out) {
    float top = -INFINITY;
    double sum = 0;
    for (uint32_t i = 0; i < s->n_vocab; i++) top = logits[i] > top ? logits[i] : top;
    for (uint32_t i = 0; i < s->n_vocab; i++) sum += exp((double)logits[i] - (double)top);
    const double base = (double)top + log(sum);
    out->logprob = (float)((double)logits[out->id] - base);
    out->top = s->top;
    out->n_top = s->p.n_top;
    if (!s->p.n_top) return;
    for (uint32_t i = 0; i < s->n_vocab; i++) s->list[i] = (struct candidate){(int32_t)i, logits[i], 0};
    sort_first(s->list, s->n_vocab, s->p.n_top);
    for (uint32_t i = 0; i < s->p.n_top; i++) s->top[i] = (struct token_logprob){s->list[i].id, (float)((double)s->list[i].logit - base)};
}

gllm_status sampler_next(struct sampler *s, const float *logits, const uint64_t *allowed, struct sampled *out, gllm_error *err) {
    *out = (struct sampled){0};
    TRY(adjust(s, logits, allowed, err));
    if (s->p.temperature > 0) out->id = draw(s);
    else
        for (uint32_t i = 0; i < s->n_vocab; i++)
            if (s->logits[i] > s->logits[out->id]) out->id = (int32_t)i;
    if (s->p.logprobs) report(s, logits, out);
    return GLLM_OK;
}
