/* serve.h - the HTTP server as the program starts it: models, addresses, limits. */
#ifndef GLLM_SERVER_SERVE_H
#define GLLM_SERVER_SERVE_H
#include "gllm.h"

enum log_form { LOG_TEXT, LOG_JSON, LOG_NONE }; /* one line a request, on standard error, never with its contents */

struct server_options {
    const char *const *models; /* [n_models] MODEL or NAME=MODEL; the first is the default */
    size_t n_models;
    gllm_options base;         /* what all models share; `model` and `name` are set from `models` */
    const char *host;          /* an address or name, or unix:PATH */
    uint32_t port;             /* 0: any that is free */
    const char *key_file;      /* one key a line, # comments; read again on SIGHUP. NULL: no key is asked for */
    bool public_without_key;   /* a bind beyond loopback without a key_file is refused unless this is set */
    const char *cors_origin;   /* pages of this origin may call; "*": of any; NULL: of none but the server's own */
    const char *prompt_name;   /* of embedding requests that name none; NULL: as the model's files say */
    bool auto_truncate;        /* texts above a model's limit are cut, and told, where a request does not say */
    uint32_t max_body_mb, max_items, max_connections;
    uint32_t request_seconds;  /* a request's whole time with the models; 0: none */
    uint32_t idle_seconds;     /* a connection's silence, and the time in which a request must have arrived */
    uint32_t drain_seconds;    /* at the end: how long requests in flight may go on */
    enum log_form log;
    bool quiet;
};

/* Serves until SIGTERM or SIGINT; SIGHUP reads the keys again. An exit status: 0, 1 after telling on standard error what is wrong. */
int server_run(const struct server_options *o);
#endif
