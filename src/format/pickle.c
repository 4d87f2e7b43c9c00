#include "format/pickle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

enum { MAX_PROTOCOL = 5, NAME_ROOM = 200, MAX_STACK = 1 << 16 /* writers put a thousand items at once into a dict */, COST_FREE = 1 << 16, COST_PER_BYTE = 16 };

struct slot { /* of the stack */
    struct pickle_value value;
    bool mark;
};
struct reader {
    struct bytes in;
    struct arena *arena;
    const struct pickle_name *names;
    size_t n_names;
    const char *file;
    gllm_error *err;
    size_t at; /* where the instruction began */
    struct slot *stack;
    size_t n_stack, stack_room;
    struct pickle_value *memo;
    size_t n_memo, memo_room;
    struct pickle_items *empty; /* of every empty tuple */
    uint64_t cost;              /* bytes that values took so far, but for the stack */
};

const char *pickle_kind_name(enum pickle_kind k) {
    static const char *const NAMES[] = {"None", "a bool", "an int", "a float", "a string", "a tuple", "a list", "a dict", "a name", "a storage", "a call"};
    return NAMES[k];
}

static gllm_status malformed(struct reader *r, const char *what) { return err_set(r->err, GLLM_FORMAT, "%s: byte %zu: %s", r->file, r->at, what); }

/* What a pickle makes is bounded by its own length: a tensor's entry of 70 bytes makes some 600. */
static gllm_status spend(struct reader *r, size_t n, size_t each) {
    const uint64_t most = COST_FREE + (uint64_t)COST_PER_BYTE * r->in.size;
    r->cost += (uint64_t)n * each;
    return r->cost <= most ? GLLM_OK : err_set(r->err, GLLM_FORMAT, "%s: byte %zu: found values of more than %llu bytes in a pickle of %zu, refused", r->file, r->at, (unsigned long long)most, r->in.size);
}

static gllm_status push(struct reader *r, struct pickle_value v, bool mark) {
    if (r->n_stack == MAX_STACK) return err_set(r->err, GLLM_FORMAT, "%s: byte %zu: found more than %d values on the stack, refused", r->file, r->at, MAX_STACK);
    if (r->n_stack == r->stack_room) {
        const size_t room = 2 * r->stack_room + 64;
        struct slot *stack = realloc(r->stack, room * sizeof *stack);
        if (!stack) return err_nomem(r->err, r->file);
        r->stack = stack, r->stack_room = room;
    }
    r->stack[r->n_stack++] = (struct slot){v, mark};
    return GLLM_OK;
}
static gllm_status push_kind(struct reader *r, enum pickle_kind kind, int64_t i) { return push(r, (struct pickle_value){.kind = kind, .i = i}, false); }

/* The topmost value; a mark in its place is malformed. */
static gllm_status top(struct reader *r, struct pickle_value **out) {
    if (!r->n_stack || r->stack[r->n_stack - 1].mark) return malformed(r, "the stack is empty");
    *out = &r->stack[r->n_stack - 1].value;
    return GLLM_OK;
}
static gllm_status pop(struct reader *r, struct pickle_value *out) {
    struct pickle_value *v = NULL;
    TRY(top(r, &v));
    *out = *v;
    r->n_stack--;
    return GLLM_OK;
}

static gllm_status items_new(struct reader *r, size_t n, struct pickle_items **out) {
    struct pickle_value *list = NULL;
    TRY(spend(r, 1, sizeof **out));
    TRY(spend(r, n, sizeof *list));
    struct pickle_items *items = *out = arena_alloc(r->arena, sizeof *items);
    if (!items || (n && !(list = arena_array(r->arena, n, sizeof *list)))) return err_nomem(r->err, r->file);
    *items = (struct pickle_items){.list = list, .room = (uint32_t)n};
    return GLLM_OK;
}

/* n values from the stack's top, in order, appended. Room doubles, so that appending one at a time stays linear. */
static gllm_status items_add(struct reader *r, struct pickle_items *items, size_t n) {
    if (items->count + n > items->room) {
        const size_t room = 2 * (items->count + n);
        TRY(spend(r, room, sizeof *items->list));
        struct pickle_value *list = arena_array(r->arena, room, sizeof *list);
        if (!list) return err_nomem(r->err, r->file);
        if (items->count) memcpy(list, items->list, items->count * sizeof *list);
        items->list = list, items->room = (uint32_t)room;
    }
    for (size_t i = 0; i < n; i++) items->list[items->count++] = r->stack[r->n_stack - n + i].value;
    r->n_stack -= n;
    return GLLM_OK;
}

static gllm_status push_items(struct reader *r, enum pickle_kind kind, size_t n) {
    struct pickle_items *items = kind == PICKLE_TUPLE && !n ? r->empty : NULL;
    if (!items) TRY(items_new(r, n, &items));
    if (kind == PICKLE_TUPLE && !n) r->empty = items;
    if (n > r->n_stack) return malformed(r, "the stack is empty");
    for (size_t i = 0; i < n; i++)
        if (r->stack[r->n_stack - 1 - i].mark) return malformed(r, "the stack is empty");
    TRY(items_add(r, items, n));
    return push(r, (struct pickle_value){.kind = kind, .items = items}, false);
}

/* Values above the topmost mark. */
static gllm_status above_mark(struct reader *r, size_t *n) {
    for (*n = 0; *n < r->n_stack; ++*n)
        if (r->stack[r->n_stack - 1 - *n].mark) return GLLM_OK;
    return malformed(r, "no mark on the stack");
}

static gllm_status take_text(struct reader *r, uint64_t len) {
    const uint8_t *p = len <= UINT32_MAX ? bytes_take(&r->in, (size_t)len) : NULL;
    if (!p) return malformed(r, "a string is cut short");
    return push(r, (struct pickle_value){.kind = PICKLE_STRING, .len = (uint32_t)len, .text = (const char *)p}, false);
}

/* A little-endian integer of n bytes in two's complement; of more than 8 none is needed. */
static gllm_status take_int(struct reader *r, unsigned n, bool is_signed) {
    if (n > 8) return err_set(r->err, GLLM_UNSUPPORTED, "%s: byte %zu: an integer of %u bytes, expected at most 8", r->file, r->at, n);
    uint64_t v = bytes_uint(&r->in, n);
    if (is_signed && n && n < 8 && v >> (8 * n - 1)) v |= ~(uint64_t)0 << (8 * n);
    return push_kind(r, PICKLE_INT, (int64_t)v);
}

static gllm_status memo_put(struct reader *r, uint64_t at) {
    struct pickle_value *v = NULL;
    TRY(top(r, &v));
    if (at > r->n_memo + 1) return malformed(r, "a place of the memo far beyond its end"); /* writers count up, from 0 or 1 */
    if (at >= r->memo_room) {
        const size_t room = 2 * r->memo_room + 64;
        TRY(spend(r, room - r->memo_room, sizeof *r->memo));
        struct pickle_value *memo = realloc(r->memo, room * sizeof *memo);
        if (!memo) return err_nomem(r->err, r->file);
        r->memo = memo, r->memo_room = room;
    }
    while (r->n_memo <= at) r->memo[r->n_memo++] = (struct pickle_value){.kind = PICKLE_NONE};
    r->memo[at] = *v;
    return GLLM_OK;
}

static gllm_status memo_get(struct reader *r, uint64_t at) {
    if (at >= r->n_memo) return malformed(r, "no such place in the memo");
    return push(r, r->memo[at], false);
}

/* module.name, if it is allowed. Both may hold anything: a message shows their beginnings. */
static gllm_status push_name(struct reader *r, const char *module, size_t n_module, const char *name, size_t n_name) {
    for (size_t i = 0; i < r->n_names; i++) {
        const struct pickle_name *k = &r->names[i];
        if (strlen(k->module) == n_module && !memcmp(k->module, module, n_module) && strlen(k->name) == n_name && !memcmp(k->name, name, n_name)) return push_kind(r, PICKLE_NAME, (int64_t)i);
    }
    return err_set(r->err, GLLM_UNSUPPORTED, "%s: byte %zu: the pickle names %.*s.%.*s, which is not needed for tensors: refused, nothing was run", r->file, r->at,
                   (int)(n_module < NAME_ROOM / 2 ? n_module : NAME_ROOM / 2), module, (int)(n_name < NAME_ROOM / 2 ? n_name : NAME_ROOM / 2), name);
}

static gllm_status take_line(struct reader *r, const char **text, size_t *len) {
    const uint8_t *p = r->in.data + r->in.at, *end = memchr(p, '\n', r->in.size - r->in.at);
    if (!end) return malformed(r, "a name is cut short");
    *text = (const char *)p, *len = (size_t)(end - p);
    bytes_take(&r->in, *len + 1);
    return GLLM_OK;
}

static gllm_status take_global(struct reader *r) {
    const char *module = NULL, *name = NULL;
    size_t n_module = 0, n_name = 0;
    TRY(take_line(r, &module, &n_module));
    TRY(take_line(r, &name, &n_name));
    return push_name(r, module, n_module, name, n_name);
}

static gllm_status take_stack_global(struct reader *r) {
    struct pickle_value name = {0}, module = {0};
    TRY(pop(r, &name));
    TRY(pop(r, &module));
    if (name.kind != PICKLE_STRING || module.kind != PICKLE_STRING) return malformed(r, "STACK_GLOBAL needs two strings");
    return push_name(r, module.text, module.len, name.text, name.len);
}

static gllm_status refuse_use(struct reader *r, const char *what, const struct pickle_value *v) {
    const bool named = v->kind == PICKLE_NAME;
    const struct pickle_name *k = named ? &r->names[v->i] : NULL;
    return err_set(r->err, GLLM_UNSUPPORTED, "%s: byte %zu: %s %s%s%s, which is not needed for tensors: refused", r->file, r->at, what, named ? k->module : pickle_kind_name(v->kind), named ? "." : "",
                   named ? k->name : "");
}

static gllm_status reduce(struct reader *r) {
    struct pickle_value args = {0}, f = {0};
    TRY(pop(r, &args));
    TRY(pop(r, &f));
    if (f.kind != PICKLE_NAME || args.kind != PICKLE_TUPLE) return refuse_use(r, "REDUCE of", f.kind != PICKLE_NAME ? &f : &args);
    if (r->names[f.i].makes_dict && !args.items->count) return push_items(r, PICKLE_DICT, 0);
    if (!r->names[f.i].callable) return refuse_use(r, "REDUCE of", &f);
    struct pickle_items *call = NULL;
    TRY(items_new(r, 0, &call));
    *call = *args.items;
    call->name = (uint32_t)f.i;
    return push(r, (struct pickle_value){.kind = PICKLE_CALL, .items = call}, false);
}

/* What sets attributes of an object. An OrderedDict's (a state_dict carries `_metadata`) are dropped; nothing else has any. */
static gllm_status build(struct reader *r) {
    struct pickle_value state = {0}, *object = NULL;
    TRY(pop(r, &state));
    TRY(top(r, &object));
    if (object->kind != PICKLE_DICT) return refuse_use(r, "BUILD of", object);
    return state.kind == PICKLE_DICT ? GLLM_OK : refuse_use(r, "BUILD with", &state);
}

static gllm_status add_to(struct reader *r, enum pickle_kind kind, size_t n) {
    if (n >= r->n_stack || r->stack[r->n_stack - 1 - n].mark) return malformed(r, "the stack is empty");
    const struct pickle_value target = r->stack[r->n_stack - 1 - n].value;
    if (target.kind != kind) return refuse_use(r, "items for", &target);
    if (kind == PICKLE_DICT && n % 2) return malformed(r, "a key without its value");
    return items_add(r, target.items, n);
}

static gllm_status add_above_mark(struct reader *r, enum pickle_kind kind) {
    size_t n = 0;
    TRY(above_mark(r, &n));
    const size_t mark = r->n_stack - 1 - n;
    memmove(r->stack + mark, r->stack + mark + 1, n * sizeof *r->stack);
    r->n_stack--;
    return add_to(r, kind, n);
}

static gllm_status tuple_above_mark(struct reader *r, enum pickle_kind kind) {
    size_t n = 0;
    TRY(above_mark(r, &n));
    if (kind == PICKLE_DICT && n % 2) return malformed(r, "a key without its value");
    TRY(push_items(r, kind, n));
    r->stack[r->n_stack - 2] = r->stack[r->n_stack - 1];
    r->n_stack--;
    return GLLM_OK;
}

static gllm_status persistent(struct reader *r) {
    struct pickle_value id = {0};
    TRY(pop(r, &id));
    if (id.kind != PICKLE_TUPLE) return refuse_use(r, "BINPERSID of", &id);
    return push(r, (struct pickle_value){.kind = PICKLE_STORAGE, .items = id.items}, false);
}

static gllm_status take_float(struct reader *r) {
    bytes_take(&r->in, 8);
    return push_kind(r, PICKLE_FLOAT, 0); /* a scalar beside the tensors; no tensor needs its value */
}

static gllm_status discard(struct reader *r, size_t n) {
    r->n_stack -= n;
    return GLLM_OK;
}

static gllm_status refuse_opcode(struct reader *r, unsigned op) {
    static const struct {
        uint8_t op;
        const char *name;
    } NAMES[] = {{'i', "INST"}, {'o', "OBJ"}, {0x81, "NEWOBJ"}, {0x92, "NEWOBJ_EX"}, {0x82, "EXT1"}, {0x83, "EXT2"}, {0x84, "EXT4"}, {'P', "PERSID"}, {0x97, "NEXT_BUFFER"}};
    for (unsigned i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
        if (NAMES[i].op == op) return err_set(r->err, GLLM_UNSUPPORTED, "%s: byte %zu: instruction %s, which is not needed for tensors: refused, nothing was run", r->file, r->at, NAMES[i].name);
    return err_set(r->err, GLLM_UNSUPPORTED, "%s: byte %zu: pickle instruction 0x%02x, which is not needed for tensors: refused", r->file, r->at, op);
}

static gllm_status step(struct reader *r, unsigned op) {
    size_t n = 0;
    switch (op) {
    case 0x80: /* PROTO */ return bytes_u8(&r->in) <= MAX_PROTOCOL ? GLLM_OK : malformed(r, "a protocol above 5");
    case 0x95: /* FRAME */
        n = bytes_u64(&r->in);
        return n <= r->in.size - r->in.at ? GLLM_OK : malformed(r, "a frame is cut short");
    case '(': return push(r, (struct pickle_value){0}, true);
    case '0': /* POP */ return r->n_stack ? discard(r, 1) : malformed(r, "the stack is empty");
    case '1': /* POP_MARK */
        TRY(above_mark(r, &n));
        return discard(r, n + 1);
    case 'N': return push_kind(r, PICKLE_NONE, 0);
    case 0x88: return push_kind(r, PICKLE_BOOL, 1);
    case 0x89: return push_kind(r, PICKLE_BOOL, 0);
    case 'J': return take_int(r, 4, true);
    case 'K': return take_int(r, 1, false);
    case 'M': return take_int(r, 2, false);
    case 0x8a: /* LONG1 */ return take_int(r, bytes_u8(&r->in), true);
    case 'G': return take_float(r);
    case 'X': return take_text(r, bytes_u32(&r->in));
    case 0x8c: return take_text(r, bytes_u8(&r->in));
    case 0x8d: return take_text(r, bytes_u64(&r->in));
    case 'U': return take_text(r, bytes_u8(&r->in)); /* SHORT_BINSTRING of Python 2 */
    case ')': return push_items(r, PICKLE_TUPLE, 0);
    case 0x85: return push_items(r, PICKLE_TUPLE, 1);
    case 0x86: return push_items(r, PICKLE_TUPLE, 2);
    case 0x87: return push_items(r, PICKLE_TUPLE, 3);
    case 't': return tuple_above_mark(r, PICKLE_TUPLE);
    case ']': return push_items(r, PICKLE_LIST, 0);
    case 'l': return tuple_above_mark(r, PICKLE_LIST);
    case 'a': return add_to(r, PICKLE_LIST, 1);
    case 'e': return add_above_mark(r, PICKLE_LIST);
    case '}': return push_items(r, PICKLE_DICT, 0);
    case 'd': return tuple_above_mark(r, PICKLE_DICT);
    case 's': return add_to(r, PICKLE_DICT, 2);
    case 'u': return add_above_mark(r, PICKLE_DICT);
    case 'q': return memo_put(r, bytes_u8(&r->in));
    case 'r': return memo_put(r, bytes_u32(&r->in));
    case 0x94: return memo_put(r, r->n_memo);
    case 'h': return memo_get(r, bytes_u8(&r->in));
    case 'j': return memo_get(r, bytes_u32(&r->in));
    case 'c': return take_global(r);
    case 0x93: return take_stack_global(r);
    case 'R': return reduce(r);
    case 'b': return build(r);
    case 'Q': return persistent(r);
    default: return refuse_opcode(r, op);
    }
}

static gllm_status read_all(struct reader *r, struct pickle_value *out) {
    for (;;) {
        r->at = r->in.at;
        const unsigned op = bytes_u8(&r->in);
        if (!r->in.bad && op == '.') break;
        if (!r->in.bad) TRY(step(r, op));
        if (r->in.bad) return malformed(r, "the pickle is cut short");
    }
    return pop(r, out);
}

gllm_status pickle_read(struct pickle_value *out, struct arena *arena, const void *data, uint64_t size, const struct pickle_name *names, size_t n_names, const char *file, gllm_error *err) {
    *out = (struct pickle_value){0};
    if (size > PICKLE_MAX) return err_set(err, GLLM_FORMAT, "%s: a pickle of %llu bytes, expected at most %d", file, (unsigned long long)size, PICKLE_MAX);
    struct reader r = {.in = bytes_of(data, (size_t)size), .arena = arena, .names = names, .n_names = n_names, .file = file, .err = err};
    gllm_status status = read_all(&r, out);
    free(r.stack);
    free(r.memo);
    return status;
}
