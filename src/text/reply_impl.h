/* reply_impl.h - what reply.c, reply_call.c and reply_style.c share. */
#ifndef GLLM_TEXT_REPLY_IMPL_H
#define GLLM_TEXT_REPLY_IMPL_H
#include "text/reply.h"

/* How calls are written: open { item_open body item_close } close. Marks that are NULL are not written, those that close may be absent.
 * What makes the body of one call:
 *   JSON    {"name": N, "arguments": {…}}, or a list of these; "parameters" is the same as "arguments"
 *   NAMED   a head that holds the name, then the arguments as a JSON object; or as JSON
 *   TAGGED  name_open N name_close { key_open K key_close value_open V value_close } end; a value that its tool's schema does not call a string is JSON */
enum call_body { CALL_JSON, CALL_NAMED, CALL_TAGGED };
struct call_texts { /* how calls are written, word for word: begin { name NAME args ARGUMENTS end_call, between } end. between NULL: there is one at most */
    const char *begin, *name, *args, *end_call, *between, *end;
};
struct call_style {
    const char *shown[2]; /* both stand in the template */
    enum call_body body;
    const char *open;     /* NULL: the answer begins with the body */
    const char *item_open, *item_close, *close;
    const char *also;     /* JSON without an opening mark may have this before it */
    const char *head_end; /* NAMED: the name ends here; NULL: at the head's end */
    bool head_last;       /* NAMED: the name stands behind head_end unless nothing does */
    const char *name_open, *name_close, *key_open, *key_close, *value_open, *value_close, *end; /* TAGGED; name_close NULL: at the next mark */
    struct call_texts write; /* begin NULL: no grammar holds a model to it */
};

enum reply_state { REPLY_AT_START, REPLY_THINKS, REPLY_AFTER, REPLY_TELLS, REPLY_ITEM, REPLY_BODY, REPLY_ITEM_END };
enum reply_found { FOUND_NOT, FOUND_PART, FOUND };

/* The members of a JSON object that comes byte by byte; offsets are from the stream's first held byte. */
struct object_scan {
    size_t at;                  /* the next byte */
    uint32_t depth;
    bool string, escape, value; /* value: behind a colon at depth 1 */
    size_t string_at, key, key_len;
    size_t start, end;          /* of the value; start 0: it has not begun */
};
struct call_state {    /* of the call that is being read; offsets are from the stream's first held byte */
    size_t mark;       /* bytes that are content for certain when this is no call */
    size_t at;         /* where the body, or what is not yet read of it, begins */
    bool json, in_list, object; /* in a list of calls; in an object */
    bool headed;       /* the object is the arguments: the name stood before it */
    bool told;         /* the name was given to the caller */
    struct object_scan scan;
    size_t args, args_end; /* JSON: where the arguments stand; 0: not found, not ended */
    size_t given;      /* how far they, or `text`, were given to the caller */
    char *name;        /* owned; NULL: not known */
    char *text;        /* TAGGED: the arguments as JSON; owned */
    size_t text_len, text_room, searched; /* searched: no end of the value before it */
    bool named, any_key; /* TAGGED: the name is read; a parameter is */
};
struct reply {
    struct reply_options o;
    enum reply_state state;
    char *held;        /* [len] not yet told */
    size_t len, room;
    bool ended, thinking; /* thinking: some of the thought was told */
    gllm_status status;
    gllm_error *err;   /* of the running push */
    uint32_t n_calls;
    struct call_state call;
};
void reply_tell(struct reply *a, enum reply_part part, const char *text, size_t len); /* keeps the first error in a->status */
void reply_take(struct reply *a, size_t n); /* the first n held bytes are done with */
size_t reply_blanks(const struct reply *a, size_t from); /* where the next character that is no white space stands */
enum reply_found reply_starts(const struct reply *a, size_t at, const char *mark); /* PART: the held text ends too early to tell */
/* The first place of `mark` at or after `from`; PART: where one may begin that the held text cuts. */
enum reply_found reply_find(const struct reply *a, size_t from, const char *mark, size_t *at);

enum body_result { BODY_WAITS, BODY_NONE, BODY_WHOLE, BODY_MORE }; /* NONE: this is no call; MORE: go on */
enum body_result call_body(struct reply *a); /* reads on; what it read of a whole body is taken */
void call_begin(struct reply *a, size_t mark, size_t at); /* a body is to begin at `at` */
void call_end(struct reply *a); /* frees what the call's state holds */
enum reply_found call_may_begin(const struct reply *a, size_t at); /* a style without an opening mark: whether this is the beginning of a call */
#endif
