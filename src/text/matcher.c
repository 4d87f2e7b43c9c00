#include "text/matcher.h"

#include <stdlib.h>
#include <string.h>

enum {
    MAX_STATES = 1 << 14,
    MAX_POOL = 1 << 20,    /* items of all states; edges of all frames */
    MAX_VISITS = 1 << 16,  /* places x frames in one step */
    MAX_WORK = 1 << 24,    /* visits between two trims */
    NO_CALL = -1
};

/* An item is place << 46 | state of its character << 32 | frame; an edge of a frame is place << 32 | frame. */
_Static_assert(GRAMMAR_MAX_PLACES <= 1 << 18 && GRAMMAR_MAX_CHARS <= 1 << 14, "an item fits 64 bits");
static uint64_t item(uint32_t place, uint32_t chars, uint32_t frame) { return (uint64_t)place << 46 | (uint64_t)chars << 32 | frame; }
static uint64_t edge(uint32_t place, uint32_t frame) { return (uint64_t)place << 32 | frame; }

struct list {
    uint64_t *v;
    uint32_t n, room;
};
struct span { /* a frame: edges[at .. at + n) */
    uint32_t at, n;
};
struct index { /* hash of interned contents: number + 1 */
    uint32_t *slots, room, n;
};
struct call {
    uint64_t edge;
    int32_t next; /* of the same rule */
};
struct visit {
    uint64_t what;
    uint32_t stamp;
};
struct matcher_work {
    struct list items, edges;      /* contents of states and frames */
    struct span *frames;
    uint32_t n_frames, room_frames, room_states;
    struct index state_index, frame_index;
    uint64_t work;
    bool full, no_memory;          /* of the step under way */
    /* one step */
    struct list todo, found, gathered;
    struct visit *visited;         /* [room_visited], a power of two */
    uint32_t stamp, n_visited, room_visited;
    struct call *calls;
    int32_t *calls_of;             /* [n_rules] first call; NO_CALL */
    uint64_t *pending;             /* bits by rank */
    uint32_t n_calls, room_calls;
    bool can_end;
};

static bool push(struct matcher_work *w, struct list *l, uint64_t v) {
    if (l->n == l->room) {
        const uint32_t room = 2 * l->room + 64;
        uint64_t *more = realloc(l->v, room * sizeof *more);
        if (!more) {
            w->no_memory = true;
            return false;
        }
        l->v = more;
        l->room = room;
    }
    l->v[l->n++] = v;
    return true;
}

static uint64_t mix(uint64_t h) {
    h = (h ^ h >> 32) * 0xD6E8FEB86659FD93u;
    return h ^ h >> 29;
}
static uint64_t hash_of(const uint64_t *v, uint32_t n, uint64_t seed) {
    for (uint32_t i = 0; i < n; i++) seed = mix(seed ^ v[i]);
    return mix(seed + n);
}

static bool index_grow(struct index *x) {
    const uint32_t room = x->room ? 2 * x->room : 256;
    uint32_t *slots = calloc(room, sizeof *slots);
    if (!slots) return false;
    free(x->slots);
    x->slots = slots;
    x->room = room;
    return true;
}

static void index_put(struct index *x, uint64_t hash, uint32_t number) {
    uint32_t i = (uint32_t)hash & (x->room - 1);
    while (x->slots[i]) i = (i + 1) & (x->room - 1);
    x->slots[i] = number + 1;
}

static int by_value(const void *x, const void *y) {
    const uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;
    return (a > b) - (a < b);
}

static void sort_unique(struct list *l) {
    uint32_t n = 0;
    if (l->n > 1) qsort(l->v, l->n, sizeof *l->v, by_value);
    for (uint32_t i = 0; i < l->n; i++)
        if (!n || l->v[n - 1] != l->v[i]) l->v[n++] = l->v[i];
    l->n = n;
}

/* Appends the contents to a pool; false: the pool is full or memory out. */
static bool keep(struct matcher_work *w, struct list *pool, const struct list *l) {
    if (pool->n + l->n > MAX_POOL) {
        w->full = true;
        return false;
    }
    for (uint32_t i = 0; i < l->n; i++)
        if (!push(w, pool, l->v[i])) return false;
    return true;
}

/* ---- interning ---- */

static uint64_t frame_hash(const struct matcher_work *w, uint32_t f) { return hash_of(w->edges.v + w->frames[f].at, w->frames[f].n, 1); }

static bool add_frame(struct matcher_work *w, struct span s) {
    if (w->n_frames == w->room_frames) {
        const uint32_t room = 2 * w->room_frames + 64;
        struct span *more = realloc(w->frames, room * sizeof *more);
        if (!more) return false;
        w->frames = more;
        w->room_frames = room;
    }
    if (2 * (w->n_frames + 1) > w->frame_index.room) {
        if (!index_grow(&w->frame_index)) return false;
        for (uint32_t i = 0; i < w->n_frames; i++) index_put(&w->frame_index, frame_hash(w, i), i);
    }
    w->frames[w->n_frames] = s;
    index_put(&w->frame_index, frame_hash(w, w->n_frames), w->n_frames);
    w->n_frames++;
    return true;
}

/* The frame of these edges, sorted; UINT32_MAX: full, or memory is out. */
static uint32_t frame_of(struct matcher_work *w, const struct list *l) {
    const struct index *x = &w->frame_index;
    for (uint32_t i = (uint32_t)hash_of(l->v, l->n, 1); x->room && x->slots[i & (x->room - 1)]; i++) {
        const struct span *s = &w->frames[x->slots[i & (x->room - 1)] - 1];
        if (s->n == l->n && !memcmp(w->edges.v + s->at, l->v, l->n * sizeof *l->v)) return x->slots[i & (x->room - 1)] - 1;
    }
    const struct span s = {w->edges.n, l->n};
    if (!keep(w, &w->edges, l)) return UINT32_MAX;
    if (add_frame(w, s)) return w->n_frames - 1;
    w->no_memory = true;
    return UINT32_MAX;
}

static uint64_t state_hash(const struct matcher *m, uint32_t number) {
    const struct matcher_state *s = &m->states[number];
    return hash_of(s->n ? m->work->items.v + s->at : NULL, s->n, 2 + s->can_end);
}

static bool add_state(struct matcher *m, struct matcher_state s) {
    struct matcher_work *w = m->work;
    const uint32_t n_classes = m->g->n_classes;
    if (m->n_states == w->room_states) {
        const uint32_t room = 2 * w->room_states + 16;
        struct matcher_state *states = realloc(m->states, room * sizeof *states);
        if (states) m->states = states;
        uint32_t *next = realloc(m->next, (size_t)room * n_classes * sizeof *next);
        if (next) m->next = next;
        if (!states || !next) return false;
        w->room_states = room;
    }
    if (2 * (m->n_states + 1) > w->state_index.room) {
        if (!index_grow(&w->state_index)) return false;
        for (uint32_t i = 0; i < m->n_states; i++) index_put(&w->state_index, state_hash(m, i), i);
    }
    m->states[m->n_states] = s;
    for (uint32_t i = 0; i < n_classes; i++) m->next[(size_t)m->n_states * n_classes + i] = MATCHER_UNKNOWN;
    index_put(&w->state_index, state_hash(m, m->n_states), m->n_states);
    m->n_states++;
    return true;
}

static uint32_t state_of(struct matcher *m, const struct list *l, bool can_end) {
    struct matcher_work *w = m->work;
    const struct index *x = &w->state_index;
    for (uint32_t i = (uint32_t)hash_of(l->v, l->n, 2 + can_end); x->room && x->slots[i & (x->room - 1)]; i++) {
        const uint32_t number = x->slots[i & (x->room - 1)] - 1;
        const struct matcher_state *s = &m->states[number];
        if (s->n == l->n && s->can_end == can_end && (!l->n || !memcmp(w->items.v + s->at, l->v, l->n * sizeof *l->v))) return number;
    }
    const struct matcher_state s = {w->items.n, l->n, can_end};
    w->full |= m->n_states == MAX_STATES;
    if (w->full || !keep(w, &w->items, l)) return UINT32_MAX;
    if (add_state(m, s)) return m->n_states - 1;
    w->no_memory = true;
    return UINT32_MAX;
}

/* ---- one step ---- */

/* Where `what` is, or would go. */
static struct visit *seat(const struct matcher_work *w, uint64_t what) {
    uint32_t i = (uint32_t)mix(what) & (w->room_visited - 1);
    while (w->visited[i].stamp == w->stamp && w->visited[i].what != what) i = (i + 1) & (w->room_visited - 1);
    return &w->visited[i];
}

static bool grow_visited(struct matcher_work *w) {
    struct visit *old = w->visited;
    const uint32_t n = w->room_visited, room = n ? 2 * n : 256;
    if (!(w->visited = calloc(room, sizeof *old))) {
        w->visited = old;
        w->no_memory = true;
        return false;
    }
    w->room_visited = room;
    for (uint32_t i = 0; i < n; i++)
        if (old[i].stamp == w->stamp) *seat(w, old[i].what) = old[i];
    free(old);
    return true;
}

static void visit(struct matcher_work *w, uint32_t place, uint32_t frame) {
    const uint64_t what = edge(place, frame);
    w->work++;
    if (2 * w->n_visited >= w->room_visited && !grow_visited(w)) return;
    struct visit *v = seat(w, what);
    if (v->stamp == w->stamp) return;
    if (w->n_visited == MAX_VISITS || w->work > MAX_WORK) {
        w->full = true;
        return;
    }
    *v = (struct visit){what, w->stamp};
    w->n_visited++;
    push(w, &w->todo, what);
}

static void add_call(struct matcher_work *w, uint32_t rank, uint64_t back) {
    if (w->n_calls == w->room_calls) {
        const uint32_t room = 2 * w->room_calls + 64;
        struct call *more = room <= 16 * MAX_VISITS ? realloc(w->calls, room * sizeof *more) : NULL;
        if (!more) {
            *(room <= 16 * MAX_VISITS ? &w->no_memory : &w->full) = true;
            return;
        }
        w->calls = more;
        w->room_calls = room;
    }
    w->work++;
    w->calls[w->n_calls] = (struct call){back, w->calls_of[rank]};
    w->calls_of[rank] = (int32_t)w->n_calls++;
    w->pending[rank / 64] |= 1ull << rank % 64;
}

static void call_rule(struct matcher *m, const struct place *p, uint32_t frame) {
    struct matcher_work *w = m->work;
    if (m->g->places[p->next].kind != PLACE_END) add_call(w, p->arg, edge(p->next, frame));
    else
        for (uint32_t i = 0; i < w->frames[frame].n; i++) add_call(w, p->arg, w->edges.v[w->frames[frame].at + i]);
    if (m->g->nullable[p->arg]) visit(w, p->next, frame);
}

/* Follows everything that reads nothing. */
static void drain(struct matcher *m) {
    struct matcher_work *w = m->work;
    while (w->todo.n && !w->full && !w->no_memory) {
        const uint64_t what = w->todo.v[--w->todo.n];
        const uint32_t at = (uint32_t)(what >> 32), frame = (uint32_t)what;
        const struct place *p = &m->g->places[at];
        switch ((enum place_kind)p->kind) {
        case PLACE_CHAR: push(w, &w->found, item(at, p->arg, frame)); break;
        case PLACE_SPLIT:
            visit(w, p->next, frame);
            visit(w, p->arg, frame);
            break;
        case PLACE_CALL: call_rule(m, p, frame); break;
        case PLACE_END:
            for (uint32_t i = 0; i < w->frames[frame].n; i++) {
                const uint64_t back = w->edges.v[w->frames[frame].at + i];
                visit(w, (uint32_t)(back >> 32), (uint32_t)back);
            }
            break;
        case PLACE_ACCEPT: w->can_end = true; break;
        }
    }
}

/* Enters the rules called, a rule after all that can call it here: its frame is then complete. */
static void enter_rules(struct matcher *m) {
    struct matcher_work *w = m->work;
    for (uint32_t k = 0; k <= (m->g->n_rules - 1) / 64; k++)
        while (w->pending[k]) {
            const uint32_t rank = 64 * k + (uint32_t)__builtin_ctzll(w->pending[k]);
            w->pending[k] &= w->pending[k] - 1;
            w->gathered.n = 0;
            for (int32_t i = w->calls_of[rank]; i != NO_CALL; i = w->calls[i].next) push(w, &w->gathered, w->calls[i].edge);
            w->calls_of[rank] = NO_CALL;
            if (w->full || w->no_memory) continue; /* only tidies up */
            sort_unique(&w->gathered);
            const uint32_t frame = frame_of(w, &w->gathered);
            if (frame != UINT32_MAX) visit(w, m->g->starts[rank], frame);
            drain(m);
        }
}

static void begin(struct matcher_work *w) {
    if (!++w->stamp) {
        memset(w->visited, 0, w->room_visited * sizeof *w->visited);
        w->stamp = 1;
    }
    w->n_visited = w->n_calls = w->todo.n = w->found.n = 0;
    w->can_end = w->full = w->no_memory = false;
}

/* Closes over what was visited and interns the state. */
static gllm_status settle(struct matcher *m, uint32_t *state, gllm_error *err) {
    struct matcher_work *w = m->work;
    drain(m);
    enter_rules(m);
    *state = MATCHER_DEAD;
    if (!w->full && !w->no_memory && (w->found.n || w->can_end)) {
        sort_unique(&w->found);
        *state = state_of(m, &w->found, w->can_end);
    }
    if (w->no_memory) return err_nomem(err, "grammar");
    if (w->full) return err_set(err, GLLM_INVALID, "the grammar is too ambiguous or nested too deep here: more than %d steps, or %d states", MAX_WORK, MAX_STATES);
    return GLLM_OK;
}

gllm_status matcher_compute(struct matcher *m, uint32_t state, unsigned char byte, uint32_t *next, gllm_error *err) {
    struct matcher_work *w = m->work;
    const struct grammar *g = m->g;
    const uint32_t class = g->byte_class[byte];
    const struct matcher_state s = m->states[state];
    begin(w);
    for (uint32_t i = 0; i < s.n; i++) {
        const uint64_t v = w->items.v[s.at + i];
        const uint32_t place = (uint32_t)(v >> 46), frame = (uint32_t)v;
        const uint16_t to = g->chars[(size_t)(v >> 32 & 0x3FFF) * g->n_classes + class];
        if (to == CHARS_DONE) visit(w, g->places[place].next, frame);
        else if (to != CHARS_DEAD) push(w, &w->found, item(place, to, frame));
    }
    TRY(settle(m, next, err));
    m->next[(size_t)state * g->n_classes + class] = *next;
    return GLLM_OK;
}

gllm_status matcher_accept(struct matcher *m, uint32_t state, const char *bytes, size_t n, uint32_t *next, gllm_error *err) {
    *next = state;
    for (size_t i = 0; i < n && *next != MATCHER_DEAD; i++) TRY(matcher_step(m, *next, (unsigned char)bytes[i], next, err));
    return GLLM_OK;
}

/* ---- opening, trimming ---- */

/* State DEAD and frame 0, which returns to the place that accepts. */
static bool add_fixed(struct matcher *m) {
    struct matcher_work *w = m->work;
    if (!push(w, &w->edges, edge(m->g->accept, 0)) || !add_frame(w, (struct span){0, 1})) return false;
    return add_state(m, (struct matcher_state){0});
}

gllm_status matcher_open(struct matcher **out, const struct grammar *g, gllm_error *err) {
    struct matcher *m = *out = calloc(1, sizeof *m);
    struct matcher_work *w = m ? m->work = calloc(1, sizeof *w) : NULL;
    uint32_t start;
    if (w) {
        m->g = g;
        w->calls_of = malloc(g->n_rules * sizeof *w->calls_of);
        w->pending = calloc(g->n_rules / 64 + 1, sizeof *w->pending);
        for (uint32_t i = 0; w->calls_of && i < g->n_rules; i++) w->calls_of[i] = NO_CALL;
    }
    gllm_status status = w && w->calls_of && w->pending && add_fixed(m) ? GLLM_OK : err_nomem(err, "grammar");
    if (status == GLLM_OK) {
        begin(w);
        visit(w, g->starts[g->root], 0);
        status = settle(m, &start, err);
    }
    if (status == GLLM_OK) return GLLM_OK;
    matcher_close(m);
    *out = NULL;
    return status;
}

void matcher_close(struct matcher *m) {
    if (!m) return;
    struct matcher_work *w = m->work;
    if (w) {
        void *all[] = {w->items.v, w->edges.v, w->frames, w->state_index.slots, w->frame_index.slots, w->todo.v, w->found.v, w->gathered.v, w->visited, w->calls, w->calls_of, w->pending, w};
        for (unsigned i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    }
    free(m->next);
    free(m->states);
    free(m);
}

/* Numbers the frames that live through `state` anew, in order, so that sorted contents stay sorted; a frame's edges lead to older frames. */
static bool renumber(struct matcher_work *w, const struct matcher_state *s, uint32_t *to) {
    memset(to, 0, w->n_frames * sizeof *to);
    for (uint32_t i = 0; i < s->n; i++) to[(uint32_t)w->items.v[s->at + i]] = 1;
    for (uint32_t f = w->n_frames; f--;)
        for (uint32_t i = 0; to[f] && i < w->frames[f].n; i++) to[(uint32_t)w->edges.v[w->frames[f].at + i]] = 1;
    const uint32_t n = w->n_frames;
    struct list edges = w->edges;
    w->edges = (struct list){0};
    w->n_frames = 0;
    memset(w->frame_index.slots, 0, w->frame_index.room * sizeof *w->frame_index.slots);
    bool ok = true;
    for (uint32_t f = 0; ok && f < n; f++) {
        const struct span old = w->frames[f];
        if (f && !to[f]) continue;
        to[f] = w->n_frames;
        const struct span now = {w->edges.n, old.n};
        for (uint32_t i = 0; ok && i < old.n; i++) {
            const uint64_t e = edges.v[old.at + i];
            ok = push(w, &w->edges, edge((uint32_t)(e >> 32), to[(uint32_t)e]));
        }
        ok = ok && add_frame(w, now);
    }
    free(edges.v);
    return ok;
}

bool matcher_trim(struct matcher *m, uint32_t *state) {
    struct matcher_work *w = m->work;
    w->work = 0;
    if (m->n_states <= MAX_STATES / 2 && w->items.n <= MAX_POOL / 2 && w->edges.n <= MAX_POOL / 2) return false;
    uint32_t *to = malloc(w->n_frames * sizeof *to);
    const struct matcher_state s = m->states[*state];
    if (!to) return false; /* nothing is lost but room */
    begin(w);
    if (renumber(w, &s, to)) {
        for (uint32_t i = 0; i < s.n; i++) {
            const uint64_t v = w->items.v[s.at + i];
            push(w, &w->found, (v & ~0xFFFFFFFFull) | to[(uint32_t)v]);
        }
    }
    free(to);
    w->items.n = m->n_states = 0;
    memset(w->state_index.slots, 0, w->state_index.room * sizeof *w->state_index.slots);
    add_state(m, (struct matcher_state){0}); /* has room: it only shrank */
    *state = w->no_memory ? MATCHER_DEAD : state_of(m, &w->found, s.can_end);
    return true;
}
