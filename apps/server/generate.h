/* generate.h - what the routes that generate text share: a request's fields, its jobs, and the pieces of their answers.
 *
 * A route opens a generation, fills it from the body, and starts it; its shape then says how chunks, the end and a whole answer are written. Chunks come on
 * the model's worker, one choice at a time each; the rest runs on a connection's thread. Every function that gives bool has answered the request when it
 * gives false. */
#ifndef GLLM_SERVER_GENERATE_H
#define GLLM_SERVER_GENERATE_H
#include "server.h"

#define FINGERPRINT "gllm-" /* and the library's version: what may change an answer to the same request */
enum { MAX_CHOICES = 64, MAX_TOP = 20, ID_BYTES = 48, CALL_ID_BYTES = 10 };

struct generation;
struct choice {
    struct generation *g;
    uint32_t index;
    gllm_completion *done; /* NULL: not ended */
    /* of a stream: what the shape keeps between chunks */
    bool begun;
    int32_t before;  /* the last token; -1: none */
    size_t offset;   /* characters told, for text_offset */
    int part;        /* the gllm_part that is open; -1: none */
    uint32_t items, call;
    char name[257];  /* of the open call */
    struct text text; /* what was told of the open item */
};
struct generation_shape {
    bool (*chunk)(struct choice *c, const gllm_chunk *k); /* false: stop */
    void (*end)(struct generation *g);                    /* the last events of a stream */
    void (*whole)(struct generation *g);                  /* the reply of a request that is not streamed */
    enum stream_kind kind;
};
struct prompt { /* of a raw completion: a text, or tokens where ids is not NULL */
    gllm_str text;
    int32_t *ids;
    size_t n;
};
struct generation { /* q->state */
    struct request *q;
    const struct served *model;
    const struct generation_shape *shape;
    gllm_generate_request r;
    struct choice *choices; /* [n] those of one prompt stand together */
    uint32_t n;
    struct prompt *prompts; /* [n_prompts]; none where r has the prompt or the messages */
    uint32_t n_prompts;
    bool stream, usage, logprobs; /* usage: stream_options.include_usage */
    bool echo;
    char id[ID_BYTES];
    int64_t created;
    double start_ms;
    uint32_t sequence;      /* events of a stream that are numbered */
    json_t *held;           /* array: JSON that r borrows from */
    void **kept;            /* [n_kept] blocks that r borrows */
    size_t n_kept;
};
/* The generation of this request, with a model that generates; NULL: answered. */
struct generation *generation_open(struct request *q, const struct generation_shape *shape, const char *id_prefix);
void *generation_keep(struct generation *g, void *block); /* freed with g; NULL, for NULL too: answered, out of memory */
const char *generation_hold(struct generation *g, json_t *v); /* v's JSON text, kept; v moves in. NULL: answered */
bool generation_sampling(struct generation *g, const json_t *o); /* temperature … logit_bias, as OpenAI's clients and llama.cpp's call them */
bool generation_stop(struct generation *g, const json_t *o);
bool generation_seed(struct generation *g, const json_t *o);
bool generation_start(struct generation *g); /* starts n jobs for each prompt, and the stream */
const struct prompt *generation_prompt(const struct choice *c); /* NULL: it is not one of prompts */
bool generation_send(struct generation *g, struct text *event); /* moves; false: stop */
void generation_put_usage(struct text *t, const struct generation *g); /* OpenAI's object */
const char *generation_finish(const struct choice *c); /* "stop", "length", "tool_calls" */
void generation_head(struct text *t, const struct generation *g, const char *object); /* a body's beginning, up to the first choice */
void generation_usage(const struct generation *g, uint64_t *prompt, uint64_t *completion, uint64_t *cached, uint64_t *reasoning);
void generation_call_id(const struct choice *c, uint32_t call, char out[CALL_ID_BYTES]);

/* messages.c: OpenAI's and Ollama's messages and tools as the library takes them; `param` is the field's name in errors */
bool messages_read(struct generation *g, const json_t *list, const char *param);
bool messages_set(struct generation *g, size_t n, const gllm_message *messages); /* copied; the texts are not */
/* {"type":"function","function":{…}}, or flat; *tools stays NULL where there are none */
bool tools_read(struct generation *g, const json_t *list, bool flat);
bool tool_choice_read(struct generation *g, const json_t *v, bool flat);
bool content_read(struct generation *g, const json_t *v, const char *param, gllm_str *out); /* a string, or a list of text parts */
/* {"type":"text"|"json_object"|"json_schema", …}; the schema stands in json_schema.schema, or flat in schema */
bool format_read(struct generation *g, const json_t *v, const char *param, bool flat);

/* logprobs.c: the text of a token is what it adds behind the token before it (-1: none) */
void logprob_entry(struct text *t, const struct generation *g, int32_t before, int32_t id, float logprob, const gllm_token_logprob *top, size_t n_top);
void logprob_lists(struct text *t, const struct generation *g, size_t n, int32_t before, const int32_t *ids, const float *logprobs, const gllm_token_logprob *top, size_t n_top, size_t *offset);
#endif
