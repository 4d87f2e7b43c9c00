/* pickle.h - the part of Python's pickle language that a dictionary of tensors needs, read into values. Nothing is ever called.
 *
 * Values are passed around, never walked, so that neither loops through the memo nor shared tuples cost more than their instructions.
 * One instruction makes at most one value, and values beside the stack may take 16 bytes for each of the pickle (and 64 KiB): memory is bounded by the
 * pickle's length, which is bounded by PICKLE_MAX. */
#ifndef GLLM_FORMAT_PICKLE_H
#define GLLM_FORMAT_PICKLE_H
#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"

enum { PICKLE_MAX = 8 << 20 };
enum pickle_kind {
    PICKLE_NONE, PICKLE_BOOL, PICKLE_INT, PICKLE_FLOAT, PICKLE_STRING, PICKLE_TUPLE, PICKLE_LIST, PICKLE_DICT,
    PICKLE_NAME,    /* one of the names that the reader allows; i: its place in their list */
    PICKLE_STORAGE, /* what a persistent id stands for; items: the id, a tuple */
    PICKLE_CALL     /* a name applied to arguments, not called; i: the name's place; items: the arguments, a tuple */
};
struct pickle_items;
struct pickle_value {
    enum pickle_kind kind;
    uint32_t len;               /* of a string */
    union {
        int64_t i;              /* BOOL, INT, NAME */
        const char *text;       /* STRING [len], borrowed from the pickle */
        struct pickle_items *items; /* TUPLE, LIST, DICT (key, value, key, value …), STORAGE, CALL */
    };
};
struct pickle_items {
    struct pickle_value *list; /* [count] */
    uint32_t count, room;
    uint32_t name; /* CALL */
};
/* A name that may stand in the pickle. */
struct pickle_name {
    const char *module, *name;
    bool makes_dict; /* applied to () it is an empty dictionary (OrderedDict), whose attributes a BUILD may set: they are not kept */
    bool callable;   /* it may be applied to a tuple */
};
/* Reads the pickle into *out, whose parts lie in the arena. `file` is how messages call it. GLLM_UNSUPPORTED: a name that is not among `names`,
 * an instruction that is not known, or a use of them that is not allowed, each with its byte; GLLM_FORMAT: it is malformed. */
gllm_status pickle_read(struct pickle_value *out, struct arena *arena, const void *data, uint64_t size, const struct pickle_name *names, size_t n_names, const char *file, gllm_error *err);
const char *pickle_kind_name(enum pickle_kind k); /* "a tuple"; static */
#endif
