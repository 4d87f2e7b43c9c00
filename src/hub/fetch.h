/* fetch.h - several HTTP transfers at once, each to a file or to memory, until all are there.
 *
 * What it owns: retries. Connections that break, stall or answer 408, 429 or 5xx begin again where they ended, after a pause that doubles with each try
 * (with jitter; Retry-After counts when the server gives one); bytes that came forgive earlier tries. Redirects are followed here, not by
 * libcurl: the token goes to the endpoint's scheme, host and port only, and what began in TLS is never continued without. A file grows as PART, its
 * SHA-256 is computed as it comes, and PART becomes PATH only when size and sum are right and the bytes are on the disk. */
#ifndef GLLM_HUB_FETCH_H
#define GLLM_HUB_FETCH_H
#include "base/log.h"

struct hub_net { /* how to reach a hub; all borrowed */
    const char *endpoint;   /* "https://huggingface.co", without a slash at the end */
    const char *token;      /* NULL: none */
    const char *ca_file;    /* of the certificates that are trusted; NULL: libcurl's own */
    unsigned stall_seconds; /* a connection that gives nothing for so long is cut */
};

enum { FETCH_AT_ONCE = 4 };
struct fetch_item {
    const char *url, *name; /* borrowed; name: how messages call it */
    const char *path;       /* the file that it becomes; NULL: memory */
    int64_t size;           /* expected; negative: not known. In memory: the most */
    const char *sha256;     /* expected; NULL: not known */
    /* what came of it */
    uint64_t at;            /* bytes that are there */
    char *body;             /* path NULL: owned (free), NUL-terminated beyond at */
    long http;              /* the last answer's status; 0: none came */
    char code[48];          /* its X-Error-Code; "" */
};
/* From fetch_run, some times a second; `item` is one whose bytes came last, NULL: none. False ends it with GLLM_CANCELED. */
typedef bool (*fetch_tick_fn)(void *user, const struct fetch_item *item);

/* The first item that fails ends the rest. What was fetched stays: PATH.part goes on next time.
 * GLLM_NOT_FOUND: 404 or 410; GLLM_DOWNLOAD: refused, not reached, or another sum than expected twice; GLLM_IO: the disk is full or cannot be
 * written; GLLM_CANCELED; GLLM_UNSUPPORTED: no libcurl; GLLM_NOMEM. */
gllm_status fetch_run(const struct hub_net *net, struct fetch_item *items, size_t n, const struct log *log, fetch_tick_fn tick, void *user, gllm_error *err);
#endif
