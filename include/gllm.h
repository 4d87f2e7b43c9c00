/* gllm.h - local text embeddings, reranking, classification and text generation. The only public header.
 *
 * In three steps:
 *     gllm_options opt;  gllm_options_init(&opt);  opt.model = "sentence-transformers/all-MiniLM-L6-v2";
 *     gllm_client *c;    gllm_client_open(&c, &opt, &err);
 *     gllm_embed(c, &request, &answer, &err);
 *
 * Rules that hold everywhere
 *   - Strings are UTF-8. A `gllm_str` need not end in NUL; `len = GLLM_NTS` means that it does.
 *   - Every fallible call returns a gllm_status; `err` may be NULL, else it gets a sentence for a human that
 *     names the thing, what was found and what was expected. On failure *out is NULL and nothing is leaked.
 *   - Structs that a caller fills start with `struct_size` and are set by their *_init function, so a caller
 *     compiled against an older header keeps working. Structs that gllm returns only ever grow at the end; those that
 *     it returns in arrays keep their size.
 *   - What gllm allocates is freed by the matching *_free, which accepts NULL.
 *   - Every function may be called from any thread. A client serves any number of threads at once; its callbacks run on
 *     its workers, so that a call from there that would wait for one, whichever model it serves, is GLLM_INVALID.
 *   - The library never prints, exits, or installs a signal handler. */
#ifndef GLLM_H
#define GLLM_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#if defined(__GNUC__) && !defined(_WIN32)
#define GLLM_API __attribute__((visibility("default")))
#else
#define GLLM_API
#endif
#ifdef __cplusplus
extern "C" {
#endif

#define GLLM_VERSION_MAJOR 0
#define GLLM_VERSION_MINOR 1
#define GLLM_VERSION_PATCH 0
GLLM_API uint32_t gllm_version(void);           /* (major << 16) | (minor << 8) | patch of the library linked */
GLLM_API const char *gllm_version_string(void); /* "0.1.0"; static */

/* ---- errors ------------------------------------------------------------------------------------------- */
#define GLLM_STATUS_MAP(X)                             \
    X(OK, 0, "ok")                                     \
    X(INVALID, -1, "invalid argument")                 \
    X(NOMEM, -2, "out of memory")                      \
    X(IO, -3, "cannot read or write file")             \
    X(FORMAT, -4, "malformed file")                    \
    X(UNSUPPORTED, -5, "not supported")                \
    X(DEVICE, -6, "device failure")                    \
    X(TOO_LONG, -7, "input exceeds the model's limit") \
    X(CANCELED, -8, "canceled")                        \
    X(TIMEOUT, -9, "timed out")                        \
    X(BUSY, -10, "queue is full")                      \
    X(CLOSED, -11, "client is closing")                \
    X(NOT_FOUND, -12, "model not found")               \
    X(DOWNLOAD, -13, "cannot be fetched")
typedef enum gllm_status {
#define X(name, value, text) GLLM_##name = value,
    GLLM_STATUS_MAP(X)
#undef X
        GLLM_STATUS_FORCE_INT = 0x7fffffff
} gllm_status;

typedef struct gllm_error {
    gllm_status status;
    char message[508]; /* NUL-terminated UTF-8, one line; cut at a character when longer */
} gllm_error;          /* 512 bytes for ever */

GLLM_API const char *gllm_status_name(gllm_status s); /* "GLLM_FORMAT"; static, never NULL */
GLLM_API const char *gllm_status_text(gllm_status s); /* "malformed file"; static, never NULL */

/* ---- basic types -------------------------------------------------------------------------------------- */
typedef struct gllm_str {
    const char *ptr;
    size_t len;
} gllm_str;
#define GLLM_NTS SIZE_MAX

typedef struct gllm_client gllm_client;

typedef enum gllm_log_level { GLLM_LOG_ERROR, GLLM_LOG_WARN, GLLM_LOG_INFO, GLLM_LOG_DEBUG } gllm_log_level;
/* Called on any thread, one call at a time per client; `line` is borrowed until it returns. */
typedef void (*gllm_log_fn)(void *user, gllm_log_level level, const char *line);

/* How activations are multiplied. AUTO: f32, and int8 with quantised weights where the device is faster so (gllm_client_info tells).
 * A precision that the model or the device cannot honour is refused with GLLM_UNSUPPORTED, never replaced in silence. */
typedef enum gllm_precision { GLLM_PRECISION_AUTO, GLLM_PRECISION_F32, GLLM_PRECISION_BF16, GLLM_PRECISION_INT8 } gllm_precision;

/* What the cache of keys and values holds. AUTO: f16, and f32 with `exact` or precision F32. Q8_0 takes 34 bytes for 32 values, about half of f16; it is for
 * models whose heads are a multiple of 32 values wide, else GLLM_UNSUPPORTED; with `exact` anything but F32 is GLLM_INVALID. */
typedef enum gllm_kv_cache { GLLM_KV_CACHE_AUTO, GLLM_KV_CACHE_F16, GLLM_KV_CACHE_F32, GLLM_KV_CACHE_Q8_0 } gllm_kv_cache;

typedef enum gllm_load { GLLM_LOAD_NOW, GLLM_LOAD_LAZY } gllm_load; /* LAZY: at the first request; its files are looked for and read at once */

typedef struct gllm_pull_state { /* how far a fetch is; texts are borrowed until the call returns */
    const char *repo, *file;         /* ORG/NAME; the file whose bytes came last, "" at first */
    uint64_t file_bytes, file_total; /* file_total 0: not known */
    uint64_t bytes, total;           /* of all files, with what was here before; total 0: not known yet */
    uint64_t n_done, n_files;
} gllm_pull_state;
/* On the thread that fetches, some times a second. False ends it: GLLM_CANCELED; what has come stays, and the next fetch goes on from there. */
typedef bool (*gllm_pull_fn)(void *user, const gllm_pull_state *s);

/* Whether a model that is not on this machine is fetched when it is opened. AUTO: when its name is an alias or ORG/NAME, but not with $HF_HUB_OFFLINE. */
typedef enum gllm_fetch { GLLM_FETCH_AUTO, GLLM_FETCH_NEVER } gllm_fetch;

/* ---- client: models, and for each the worker thread that owns it -------------------------------------- */
typedef struct gllm_options {
    size_t struct_size;
    const char *model;   /* directory, .gguf file, an alias of gllm_models_list with or without :QUANT, ORG/NAME or NAME of a model under the model
                            folder or in the Hugging Face cache ($HF_HUB_CACHE, $HF_HOME), else to be fetched; required */
    const char *home;    /* model folder's parent; NULL: $GLLM_HOME, else ~/.gllm */
    const char *backend; /* "auto" "cpu" "ref" …; NULL or "auto": $GLLM_BACKEND, else the best that answers */
    uint32_t threads;    /* compute threads; 0: $GLLM_THREADS, else the processors this process may use */
    uint32_t max_batch_tokens; /* tokens that one forward packs, all sequences together; default 512. A single
                                  longer sequence is still one forward */
    uint32_t max_queue;  /* jobs waiting before GLLM_BUSY; default 1024 */
    gllm_precision precision;
    bool exact;          /* what the reference library computes: f32 everywhere; overrides precision AUTO */
    gllm_log_fn log;     /* NULL: silent */
    void *log_user;
    uint32_t n_ctx;      /* generators: tokens that the cache holds, prompt and answer; 0: the model's limit, but at most 4096. Causal rerankers: of a
                            prompt, or of all documents that share one; 0: likewise, but 8192, or 16384 where they share one */
    gllm_kv_cache kv_cache; /* generators */
    const char *name;       /* how requests call the model; NULL: as `model` does */
    gllm_load load;         /* when it is loaded */
    bool pinned;            /* unloaded by gllm_client_unload alone, neither for want of requests nor of memory */
    uint32_t idle_seconds;  /* unloaded when nobody asked for so long, loaded again by the next request; 0: never */
    uint32_t workers;       /* threads that each run forwards of this model, over one copy of its weights; 0: 1. `threads` are divided among them */
    uint32_t cache_tokens;  /* generators: tokens that the caches of all answers in flight hold together; 0: n_ctx */
    uint64_t memory_budget; /* bytes for all models of the client: before one is loaded above it, those longest unused go, but never pinned or busy ones;
                               0: no limit. Read by gllm_client_open alone */
    const char *adapter;    /* of a model that holds one for each of several tasks (jina-embeddings-v4: retrieval, text-matching, code), its name; NULL: its first */
    gllm_fetch fetch;            /* of a model that is not here, as gllm_pull does; `log` hears of retries */
    gllm_pull_fn fetch_progress; /* NULL: none */
    void *fetch_user;
} gllm_options;
GLLM_API void gllm_options_init_sized(gllm_options *o, size_t size);
static inline void gllm_options_init(gllm_options *o) { gllm_options_init_sized(o, sizeof *o); }

/* Finds, checks and loads the model, then starts its worker thread. The strings of `opt` are copied.
 * GLLM_NOT_FOUND (no such model here, nor where it could be fetched), GLLM_DOWNLOAD (it could not be fetched), GLLM_FORMAT / GLLM_IO (a file is bad), GLLM_UNSUPPORTED (an architecture,
 * precision or backend that this build lacks), GLLM_DEVICE, GLLM_NOMEM. */
GLLM_API gllm_status gllm_client_open(gllm_client **out, const gllm_options *opt, gllm_error *err);
/* Calls of other threads that still wait end with GLLM_CLOSED, the running one is finished; when the last of them has returned, so does
 * this. No call may begin once it has returned, and none of the client's own callbacks may make it. What calls gave stays valid. NULL ok. */
GLLM_API void gllm_client_close(gllm_client *c);

/* One more model in the same client. Requests choose by their `model`; NULL there is the first model. Errors as gllm_client_open; GLLM_INVALID: the
 * name is taken. Other models go on answering meanwhile. */
GLLM_API gllm_status gllm_client_add_model(gllm_client *c, const gllm_options *opt, gllm_error *err);
/* Takes a model out: its waiting jobs end with GLLM_CLOSED, the running ones are finished, and then this returns. name NULL: the first; the next is the first then.
 * GLLM_NOT_FOUND lists the names that there are. */
GLLM_API gllm_status gllm_client_remove_model(gllm_client *c, const char *name, gllm_error *err);
/* Loads a model that is not loaded, and waits for it; name NULL: the first. Whatever needs a model loads it; the error of a load that failed is given to those who waited and to
 * all requests of the next three seconds, but this call tries again at once. GLLM_NOMEM: memory_budget has no room, and says what holds it. */
GLLM_API gllm_status gllm_client_load(gllm_client *c, const char *name, gllm_error *err);
/* Gives back the memory of a model without requests until the next one. GLLM_BUSY: it has some. */
GLLM_API gllm_status gllm_client_unload(gllm_client *c, const char *name, gllm_error *err);

typedef enum gllm_model_state { GLLM_MODEL_UNLOADED, GLLM_MODEL_LOADING, GLLM_MODEL_READY, GLLM_MODEL_FAILED } gllm_model_state;
typedef struct gllm_model_status {
    const char *name, *path, *task; /* task as in gllm_model_info */
    gllm_model_state state;
    const char *failure;            /* of the last load, "" when there was none; for some seconds FAILED answers requests with it */
    bool pinned;
    uint64_t memory_bytes;          /* weights, activations and caches that are allocated */
    uint32_t waiting, running;      /* jobs */
    double idle_seconds, load_ms;
    uint64_t batches, batch_tokens, batch_sequences; /* forwards since the client opened, and what they held */
    uint64_t cache_tokens, cache_used; /* generators: tokens that fit, and that answers in flight hold */
} gllm_model_status;
typedef struct gllm_client_status { /* one block */
    size_t count; const gllm_model_status *models; /* in the order in which they were added */
    uint64_t memory_bytes, memory_budget;
} gllm_client_status;
GLLM_API gllm_status gllm_client_get_status(gllm_client *c, gllm_client_status **out, gllm_error *err); /* at once; loads nothing */
GLLM_API void gllm_client_status_free(gllm_client_status *s);

/* ---- embeddings --------------------------------------------------------------------------------------- */
typedef enum gllm_input_type { GLLM_INPUT_PLAIN, GLLM_INPUT_QUERY, GLLM_INPUT_DOCUMENT } gllm_input_type;
typedef enum gllm_truncate { GLLM_TRUNCATE_END, GLLM_TRUNCATE_START, GLLM_TRUNCATE_NONE } gllm_truncate;
typedef enum gllm_normalize { GLLM_NORMALIZE_MODEL, GLLM_NORMALIZE_ON, GLLM_NORMALIZE_OFF } gllm_normalize;
typedef enum gllm_pooling {
    GLLM_POOLING_MODEL, GLLM_POOLING_CLS, GLLM_POOLING_MEAN, GLLM_POOLING_MAX, GLLM_POOLING_LAST,
    GLLM_POOLING_MEAN_SQRT_LEN, GLLM_POOLING_WEIGHTED_MEAN
} gllm_pooling;

typedef enum gllm_output { /* bits */
    GLLM_OUTPUT_DENSE = 1,  /* one vector for a text */
    GLLM_OUTPUT_SPARSE = 2, /* weights of vocabulary entries: SPLADE, BGE-M3 */
    GLLM_OUTPUT_TOKENS = 4  /* a vector for each token, of length 1: ColBERT, BGE-M3 */
} gllm_output;

typedef struct gllm_usage {
    uint64_t prompt_tokens; /* tokens computed, special tokens included, after truncation */
} gllm_usage;

/* Called on the worker thread after each packed batch; false cancels the request (GLLM_CANCELED). */
typedef bool (*gllm_progress_fn)(void *user, size_t done, size_t total);

typedef struct gllm_ids { /* one text as token ids */
    const int32_t *ptr;
    size_t count;
} gllm_ids;
typedef struct gllm_embed_request { /* borrowed for the call */
    size_t struct_size;
    const gllm_str *inputs; /* [n_inputs]; invalid UTF-8 is GLLM_INVALID and names the input and the byte */
    size_t n_inputs;        /* 0 is GLLM_INVALID. An empty text is a text: its special tokens alone */
    gllm_input_type input_type; /* QUERY, DOCUMENT: the model's own prompt of that name, if it has one */
    const char *prompt_name; /* a prompt of the model by name; unknown: GLLM_INVALID lists what exists. NULL: by
                                input_type, else the model's default_prompt_name */
    gllm_str prompt;         /* text glued before each input; ptr != NULL overrides prompt_name and input_type */
    uint32_t dimensions;     /* cut each vector to its first `dimensions` values, before normalising; 0: all.
                                More than the model has, or a size that it is known not to be trained for: GLLM_INVALID */
    gllm_normalize normalize; /* MODEL: as the model's files say */
    gllm_pooling pooling;     /* MODEL: as the model's files say; of a generator whose files name none: GLLM_UNSUPPORTED, unless one is named here */
    gllm_truncate truncate;   /* default END; NONE makes a text above the limit GLLM_TOO_LONG */
    gllm_progress_fn progress; /* NULL: none */
    void *progress_user;
    uint32_t outputs;         /* gllm_output bits, all from one forward; one that the model lacks: GLLM_UNSUPPORTED. 0: the first that it has.
                                 For token vectors input_type QUERY says that the texts are queries, else they are documents */
    const char *model; /* by its name in the client; NULL: the first */
    const gllm_ids *ids; /* [n_inputs] in place of `inputs`: taken as they are, without prompt or special tokens; one that is empty or names an id outside the
                            vocabulary is GLLM_INVALID. NULL: none */
} gllm_embed_request;
GLLM_API void gllm_embed_request_init_sized(gllm_embed_request *r, size_t size);
static inline void gllm_embed_request_init(gllm_embed_request *r) { gllm_embed_request_init_sized(r, sizeof *r); }

typedef struct gllm_sparse {
    size_t count;
    const int32_t *ids;   /* [count] ascending */
    const float *weights; /* [count] above 0; two texts match by the sum of products over the ids that both have */
} gllm_sparse;
typedef struct gllm_token_vectors {
    size_t count;      /* tokens that have one: not those that the model's files leave out */
    const float *data; /* [count, token_dim] row-major, in the text's order */
} gllm_token_vectors;

typedef struct gllm_embeddings { /* freed as a whole */
    size_t count, dim;
    const float *data;         /* [count, dim] row-major, in input order; finite, a zero vector stays zero */
    const uint32_t *tokens;    /* [count] tokens computed for each input, special tokens included */
    const uint32_t *full_tokens; /* [count] tokens that each input has without truncation */
    const bool *truncated;     /* [count] tokens < full_tokens */
    size_t n_truncated;
    gllm_usage usage;
    const char *model;         /* the model's name, as the client opened it */
    double compute_ms;         /* wall time spent in forwards */
    uint32_t outputs;          /* gllm_output bits of what is here; dim is 0 without DENSE */
    const gllm_sparse *sparse; /* [count] with SPARSE; else NULL */
    size_t token_dim;
    const gllm_token_vectors *token_vectors; /* [count] with TOKENS; else NULL */
    double queue_ms;           /* from the call to the first forward */
} gllm_embeddings;

/* One vector for each input, or the outputs asked for. The same text gives bit-identical values alone, in any batch, at any place in it and on any
 * number of threads. Blocks until done. GLLM_INVALID, GLLM_TOO_LONG, GLLM_BUSY, GLLM_CLOSED, GLLM_CANCELED, GLLM_NOMEM. */
GLLM_API gllm_status gllm_embed(gllm_client *c, const gllm_embed_request *r, gllm_embeddings **out, gllm_error *err);
GLLM_API void gllm_embeddings_free(gllm_embeddings *r);

/* ---- reranking and classification --------------------------------------------------------------------- */
typedef enum gllm_scores {
    GLLM_SCORES_PROBABILITY, /* in [0, 1]: the sigmoid of one label; of several, softmax or sigmoid as the files' problem_type says. gllm_classify
                                leaves the logits of a regression as they are: they are no probabilities */
    GLLM_SCORES_RAW,         /* the head's logits; of a model that answers "yes" or "no" the logit of the one less that of the other */
    GLLM_SCORES_MODEL        /* what the files' activation_fn makes of them, as sentence-transformers' CrossEncoder does */
} gllm_scores;

typedef struct gllm_rerank_request { /* borrowed for the call */
    size_t struct_size;
    gllm_str query;
    const gllm_str *documents; /* [n_documents]; invalid UTF-8, here and in the query, is GLLM_INVALID and names the document and the byte */
    size_t n_documents;        /* 0 is GLLM_INVALID */
    uint32_t top_n;            /* keep the best; 0: all */
    gllm_scores scores;
    gllm_truncate truncate;    /* of the document; the query is kept. NONE makes a pair above the limit GLLM_TOO_LONG */
    gllm_progress_fn progress; /* NULL: none */
    void *progress_user;
    gllm_str instruction; /* what a document is wanted for; rerankers on causal models read it (others: GLLM_INVALID). ptr NULL: the model's own */
    bool as_judge;        /* a generator that is no reranker is asked by its chat template whether the document fits, "yes" or "no" */
    const char *model; /* by its name in the client; NULL: the first */
} gllm_rerank_request;
GLLM_API void gllm_rerank_request_init_sized(gllm_rerank_request *r, size_t size);
static inline void gllm_rerank_request_init(gllm_rerank_request *r) { gllm_rerank_request_init_sized(r, sizeof *r); }

typedef struct gllm_ranking {
    size_t index;          /* into documents */
    float score;
    uint32_t tokens;       /* of the pair's prompt, special tokens included; of the document alone where many share one context */
    uint32_t full_tokens;  /* without truncation */
    bool truncated;        /* tokens < full_tokens */
    bool query_truncated;  /* the query alone was above the limit */
} gllm_ranking;
typedef struct gllm_rankings { /* one block */
    size_t count;              /* top_n, or all */
    const gllm_ranking *items; /* [count] the best first; by their logits, equal ones in the order of the documents */
    size_t n_truncated;        /* of all documents */
    gllm_usage usage;          /* of all documents */
    const char *model;
    double compute_ms;
    bool untrained;            /* as_judge: the model's files do not say that it was trained to rerank */
    double queue_ms;           /* from the call to the first forward */
} gllm_rankings;
/* Documents by relevance to a query. A pair's score is bit-identical alone, among any others, at any place and on any number of threads, but of models that
 * read many documents in one context (jina-reranker-v3): there the others matter, and every kind of score is a cosine in [-1, 1]. A causal reranker reads
 * prompts of up to 8192 tokens, and what the prompts of a call have in common is computed once. Blocks.
 * A model that gives token vectors scores by late interaction (MaxSim), whatever `scores` says: for each vector of the query the largest product with one of
 * the document, summed; for BGE-M3 divided by their number, as its own formula does.
 * GLLM_UNSUPPORTED: the model is no reranker (it has no classification head, or one of several labels; it gives no token vectors; its files do not make it a
 * causal one and as_judge is false, or it has no chat template); else as gllm_embed. */
GLLM_API gllm_status gllm_rerank(gllm_client *c, const gllm_rerank_request *r, gllm_rankings **out, gllm_error *err);
GLLM_API void gllm_rankings_free(gllm_rankings *r);

typedef struct gllm_classify_request { /* borrowed for the call */
    size_t struct_size;
    const gllm_str *inputs; /* [n_inputs] */
    const gllm_str *pairs;  /* [n_inputs] the second text of each; NULL: single texts */
    size_t n_inputs;        /* 0 is GLLM_INVALID */
    gllm_scores scores;
    gllm_truncate truncate; /* of the second text of a pair first */
    gllm_progress_fn progress;
    void *progress_user;
    const char *model; /* by its name in the client; NULL: the first */
} gllm_classify_request;
GLLM_API void gllm_classify_request_init_sized(gllm_classify_request *r, size_t size);
static inline void gllm_classify_request_init(gllm_classify_request *r) { gllm_classify_request_init_sized(r, sizeof *r); }

typedef struct gllm_classes { /* one block */
    size_t count, n_labels;
    const char *const *labels;   /* [n_labels] as the files call them */
    const float *scores;         /* [count, n_labels] row-major, in input order */
    const uint32_t *tokens, *full_tokens; /* [count] as in gllm_embeddings */
    size_t n_truncated;
    gllm_usage usage;
    const char *model;
    double compute_ms;
    double queue_ms;           /* from the call to the first forward */
} gllm_classes;
/* The labels' scores of each input. Errors as gllm_rerank, but any number of labels will do. */
GLLM_API gllm_status gllm_classify(gllm_client *c, const gllm_classify_request *r, gllm_classes **out, gllm_error *err);
GLLM_API void gllm_classes_free(gllm_classes *r);

/* ---- generation --------------------------------------------------------------------------------------- */
typedef enum gllm_finish {
    GLLM_FINISH_STOP,    /* an end token, a stop string, or the end of what a grammar allows */
    GLLM_FINISH_LENGTH,  /* max_tokens, or the context is full (context_full) */
    GLLM_FINISH_CANCELED, /* the callback returned false */
    GLLM_FINISH_TOOL_CALLS /* with split_answer: as STOP, and the answer calls tools */
} gllm_finish;
/* What a piece of an answer is. TEXT: of the answer as the model wrote it; the others come with split_answer. */
typedef enum gllm_part { GLLM_PART_TEXT, GLLM_PART_CONTENT, GLLM_PART_REASONING, GLLM_PART_CALL, GLLM_PART_ARGUMENTS } gllm_part;
typedef struct gllm_token_logprob {
    int32_t id;
    float logprob; /* natural logarithm, of the model's own distribution: no temperature, penalty or bias */
} gllm_token_logprob;
typedef struct gllm_logit_bias {
    int32_t id;
    float bias;
} gllm_logit_bias;
typedef struct gllm_chunk { /* borrowed until the callback returns */
    size_t struct_size;
    gllm_str text;  /* whole characters; empty while a character or a possible stop string is incomplete, and during the prompt */
    int32_t token;  /* -1: none came with this call */
    float logprob;  /* with logprobs */
    gllm_part part; /* CALL: a call of a tool begins, and text is the tool's name; ARGUMENTS: the next piece of its arguments, which together are a JSON object.
                       A token that makes several parts makes several chunks, the first of which tells it */
    uint32_t call;  /* CALL, ARGUMENTS: which call of the answer, from 0 */
    size_t n_top; const gllm_token_logprob *top; /* with n_top: the most likely tokens there, best first */
} gllm_chunk;
/* Called on the worker thread, at least once a prompt chunk and once a token; false ends the answer (GLLM_FINISH_CANCELED). */
typedef bool (*gllm_chunk_fn)(void *user, const gllm_chunk *chunk);

/* One message of a conversation. Its bytes are never read as special tokens, whatever they spell: only what the chat template itself writes is. */
typedef struct gllm_message {
    const char *role;    /* "system" "user" "assistant" "tool" …: what the template knows */
    gllm_str content;    /* ptr NULL: none (an assistant that only calls tools, or content among `extra`) */
    const char *extra;   /* JSON object whose keys join the message: tool_calls, name, tool_call_id, reasoning_content, or content as a list of
                            parts; keys that are null count as absent. NULL: none */
} gllm_message;

typedef struct gllm_generate_request { /* borrowed for the call. Exactly one of prompt, messages and prompt_ids */
    size_t struct_size;
    gllm_str prompt;      /* raw text, continued as it stands; the model's own first token is added as its files say */
    bool parse_special;   /* read special tokens written in the prompt; default false */
    bool ignore_eos;      /* go on after end tokens */
    uint32_t max_tokens;  /* 0: until the end, or the context is full */
    float temperature;    /* 0 (default): the most likely token, of equal ones the lowest id */
    float top_p, min_p, typical_p; /* 1, 0, 1: off */
    uint32_t top_k;                /* 0: off */
    float repetition_penalty, presence_penalty, frequency_penalty; /* 1, 0, 0: off */
    uint32_t penalty_last_n;       /* tokens that repetition_penalty looks back; 0: all */
    const gllm_logit_bias *logit_bias;
    size_t n_logit_bias;
    uint64_t seed;        /* the same seed gives the same text, on any number of threads */
    bool logprobs;
    uint32_t n_top;       /* with logprobs: so many most likely tokens beside each */
    const gllm_str *stop; /* the answer ends before the first of these; never shown, not even in part */
    size_t n_stop;
    gllm_chunk_fn on_chunk; /* NULL: none */
    void *user;
    const gllm_message *messages; /* [n_messages] a conversation: rendered by the model's chat template, then answered */
    size_t n_messages;
    const char *tools;         /* JSON array of the tools that the model may call, as the template expects them; NULL: none */
    const char *template_args; /* JSON object of more template variables (enable_thinking, documents …); NULL: none. add_generation_prompt is true
                                  unless continue_final is, or this object says otherwise */
    const char *chat_template; /* the name of one of the model's templates ("tool_use"), or a template's source; NULL: the model's own */
    bool continue_final;       /* go on with the last message, not with a new one */
    int64_t template_time;     /* seconds since 1970 that the template's strftime_now shows, in UTC; 0: now, in local time */
    /* The form of the answer (the prompt is free); at most one of them. Every answer that ends with GLLM_FINISH_STOP and by no stop string has
     * the form; one cut short is the beginning of such a text. Not with a tokenizer that needs later tokens to tell a token's text. */
    const char *grammar;     /* GBNF, the notation of llama.cpp, with a rule `root`; NULL: none */
    const char *json_schema; /* the text of a JSON schema; the answer is JSON that is valid under it, without needless white space */
    bool json;               /* the answer is a JSON object */
    const char *model; /* by its name in the client; NULL: the first */
    /* With messages: the answer is taken apart into reasoning, content and calls of tools, in the form that the chat template shows. What begins like a call
     * and is none stays content. Calls are read only where `tools` are given. */
    bool split_answer;
    bool hold_calls;         /* chunks tell a call only when it is whole and its arguments are a JSON object; without on_chunk it is always so */
    bool single_call;        /* at most one call: the answer ends behind it */
    const char *tool_choice; /* with split_answer. NULL, "auto": the model calls or not; "none": tools are left out of the prompt; "required": the answer is one call or
                                more, with arguments that are valid under the tools' schemas; else the name of the tool to call, and the answer is that one
                                call. Where an answer cannot be held to the template's form of calls, the last two are GLLM_UNSUPPORTED */
    const int32_t *prompt_ids; /* [n_prompt_ids] a prompt as tokens, instead of `prompt`: nothing is added */
    size_t n_prompt_ids;
} gllm_generate_request;
GLLM_API void gllm_generate_request_init_sized(gllm_generate_request *r, size_t size);
static inline void gllm_generate_request_init(gllm_generate_request *r) { gllm_generate_request_init_sized(r, sizeof *r); }

typedef struct gllm_tool_call {
    const char *name;
    gllm_str arguments; /* JSON object, as the model wrote it; NUL-terminated beyond its length */
} gllm_tool_call;
typedef struct gllm_completion { /* one block */
    gllm_str text;             /* NUL-terminated beyond its length */
    size_t n_tokens;           /* the end token is not counted */
    const int32_t *tokens;     /* [n_tokens] */
    const float *logprobs;     /* [n_tokens]; NULL unless asked for */
    size_t n_top;
    const gllm_token_logprob *top; /* [n_tokens, n_top] best first */
    gllm_finish finish;
    bool context_full;
    int stop_index;            /* of the stop string that ended it; -1: none */
    uint32_t prompt_tokens, cached_tokens; /* cached: taken over from an earlier call with the same beginning */
    double prefill_ms, decode_ms;
    const char *model;
    double queue_ms;           /* from the call to the first forward */
    gllm_str content, reasoning; /* with split_answer, else empty; NUL-terminated beyond their lengths */
    size_t n_tool_calls;
    const gllm_tool_call *tool_calls; /* [n_tool_calls] */
    uint32_t reasoning_tokens; /* of n_tokens */
} gllm_completion;
/* Continues a prompt. A prompt and seed give the same text alone and beside other calls. GLLM_INVALID names a parameter out of range, or what
 * is wrong in a grammar (line:column) or schema (JSON pointer); GLLM_UNSUPPORTED: a schema's keyword that a grammar cannot hold to, by its pointer;
 * GLLM_TOO_LONG: the prompt does not fit the context; GLLM_UNSUPPORTED: the model is an encoder; GLLM_BUSY, GLLM_CLOSED, GLLM_NOMEM. */
GLLM_API gllm_status gllm_generate(gllm_client *c, const gllm_generate_request *r, gllm_completion **out, gllm_error *err);
GLLM_API void gllm_completion_free(gllm_completion *r);

typedef struct gllm_rendered { /* one block */
    gllm_str text;           /* the conversation as the model reads it; NUL-terminated beyond its length */
    size_t n_tokens;
    const int32_t *tokens;   /* [n_tokens] */
    size_t n_caller;
    const size_t (*caller)[2]; /* [n_caller] offset and length of the bytes that came from the request, in order: in them no special token is read */
} gllm_rendered;
/* What gllm_generate would send for r's messages, without generating; only the fields from `messages` on are read. Runs on the calling thread.
 * GLLM_UNSUPPORTED: the model has no chat template, or the template needs what this build refuses by name; GLLM_FORMAT: the template has a syntax
 * error (the message says on which line); GLLM_INVALID: no messages, a field that is not the JSON or UTF-8 it should be, or the template refuses the
 * conversation (its own words, or line and reason), or it takes more steps or memory than it may. gllm_generate gives the same errors. */
GLLM_API gllm_status gllm_render_chat(gllm_client *c, const gllm_generate_request *r, gllm_rendered **out, gllm_error *err);
GLLM_API void gllm_rendered_free(gllm_rendered *r);

typedef struct gllm_score { /* one block */
    size_t n_tokens;        /* of the text, the model's own first token included */
    const int32_t *tokens;  /* [n_tokens] */
    const float *logprobs;  /* [n_tokens - 1] natural, of token i + 1 after tokens 0..i */
    const int32_t *top1;    /* [n_tokens - 1] the most likely token there */
    double compute_ms;
} gllm_score;
/* How likely a model finds a text; the mean of -logprobs is the logarithm of its perplexity. Errors as gllm_generate. */
GLLM_API gllm_status gllm_score_text(gllm_client *c, const char *model, gllm_str text, gllm_score **out, gllm_error *err);
GLLM_API void gllm_score_free(gllm_score *s);

/* ---- jobs: the same calls without waiting ------------------------------------------------------------- */
/* A job's request is copied, callbacks and their users are not. What runs beside what: embeddings, rankings and classes of all callers are packed into common
 * forwards by a budget of tokens, answers join and leave the running batch at every step, and long prompts are computed in chunks between the
 * steps of the others. The numbers that a job gives do not depend on what runs beside it. */
typedef struct gllm_job gllm_job;
/* The job has ended: on a thread of the client (its worker, or who loads its model or ends what waits for that), once. It may take the result and free the job; it must not wait for anything. Of a job
 * that was freed before its end `job` is NULL. */
typedef void (*gllm_done_fn)(void *user, gllm_job *job);
typedef struct gllm_submit {
    size_t struct_size;
    gllm_done_fn on_done; /* NULL: none */
    void *user;           /* also gllm_job_user */
    bool notify;          /* when it has ended the job waits for gllm_client_next_done */
    uint64_t caller;      /* who asks, as the program counts: callers take turns, whatever each has waiting */
    int64_t timeout_ms;   /* from now on; then it ends with GLLM_TIMEOUT. 0: none */
} gllm_submit;
GLLM_API void gllm_submit_init_sized(gllm_submit *s, size_t size);
static inline void gllm_submit_init(gllm_submit *s) { gllm_submit_init_sized(s, sizeof *s); }
/* Texts are read and checked before these return, so that most errors show at once; how NULL: the defaults. GLLM_BUSY: the queue is full. A model that is not
 * loaded is loaded on a thread of the client, and the job waits for it. *job is owned by the caller (gllm_job_free). */
GLLM_API gllm_status gllm_embed_async(gllm_client *c, const gllm_embed_request *r, const gllm_submit *how, gllm_job **job, gllm_error *err);
GLLM_API gllm_status gllm_rerank_async(gllm_client *c, const gllm_rerank_request *r, const gllm_submit *how, gllm_job **job, gllm_error *err);
GLLM_API gllm_status gllm_classify_async(gllm_client *c, const gllm_classify_request *r, const gllm_submit *how, gllm_job **job, gllm_error *err);
GLLM_API gllm_status gllm_generate_async(gllm_client *c, const gllm_generate_request *r, const gllm_submit *how, gllm_job **job, gllm_error *err);
/* A job may be waited for, taken and freed after its client was closed. */
GLLM_API gllm_status gllm_job_wait(gllm_job *j, int64_t timeout_ms); /* -1: for ever, 0: look. GLLM_OK: it has ended, in whatever way, and on_done has returned; GLLM_TIMEOUT: not
                                                                        yet; GLLM_INVALID: it has not, and the thread is one of its client's */
GLLM_API void gllm_job_cancel(gllm_job *j); /* any thread, any number of times. It ends with GLLM_CANCELED within a step; an answer with what it has, GLLM_FINISH_CANCELED,
                                               if its model was there */
GLLM_API void *gllm_job_user(const gllm_job *j);
/* What the job gave, once; it is the caller's. The job's own status and sentence when it failed; GLLM_TIMEOUT: it has not ended; GLLM_INVALID: it is of
 * another kind, or was taken before. */
GLLM_API gllm_status gllm_job_take_embeddings(gllm_job *j, gllm_embeddings **out, gllm_error *err);
GLLM_API gllm_status gllm_job_take_rankings(gllm_job *j, gllm_rankings **out, gllm_error *err);
GLLM_API gllm_status gllm_job_take_classes(gllm_job *j, gllm_classes **out, gllm_error *err);
GLLM_API gllm_status gllm_job_take_completion(gllm_job *j, gllm_completion **out, gllm_error *err);
GLLM_API void gllm_job_free(gllm_job *j); /* cancels it if it still runs, and does not wait: on_done still tells when it has ended, and its callbacks may come until then. NULL ok */
/* For event loops: readable while jobs with `notify` have ended and were not yet given by gllm_client_next_done. Belongs to the client, which closes it. */
GLLM_API gllm_status gllm_client_fd(gllm_client *c, int *fd, gllm_error *err);
GLLM_API gllm_job *gllm_client_next_done(gllm_client *c); /* NULL: none; does not wait */

/* ---- tokens ------------------------------------------------------------------------------------------- */
typedef struct gllm_tokenize_request {
    size_t struct_size;
    gllm_str text;
    gllm_str pair;      /* second text of a pair; ptr NULL: none */
    bool no_special;    /* add no special tokens around the text; default false */
    bool parse_special; /* read special tokens written in the text as such; default false for user text */
    const char *model; /* by its name in the client; NULL: the first */
} gllm_tokenize_request;
GLLM_API void gllm_tokenize_request_init_sized(gllm_tokenize_request *r, size_t size);
static inline void gllm_tokenize_request_init(gllm_tokenize_request *r) { gllm_tokenize_request_init_sized(r, sizeof *r); }

typedef struct gllm_tokens { /* one block */
    size_t count;
    const int32_t *ids;      /* [count] */
    const gllm_str *pieces;  /* [count] the vocabulary's spelling of each id */
    const uint32_t *types;   /* [count] token type (segment): 0 or 1 */
} gllm_tokens;
GLLM_API gllm_status gllm_tokenize(gllm_client *c, const gllm_tokenize_request *r, gllm_tokens **out, gllm_error *err);
GLLM_API void gllm_tokens_free(gllm_tokens *t);

/* The text of `ids`. Special tokens are left out unless keep_special. *out is owned by the caller, NUL-terminated,
 * freed with gllm_text_free. GLLM_INVALID names an id outside the vocabulary. */
GLLM_API gllm_status gllm_detokenize(gllm_client *c, const char *model, const int32_t *ids, size_t n_ids, bool keep_special, char **out, gllm_error *err);
GLLM_API void gllm_text_free(char *text);

/* ---- what a model is ---------------------------------------------------------------------------------- */
typedef struct gllm_prompt_info { const char *name, *text; } gllm_prompt_info;
typedef struct gllm_tensor_info {
    const char *name, *dtype, *file;
    uint32_t rank;
    uint64_t shape[8], bytes;
} gllm_tensor_info;
typedef struct gllm_memory_plan {
    const char *backend, *device; /* "cpu", "AMD EPYC (avx512)" */
    uint64_t weight_bytes, activation_bytes, total_bytes, free_bytes;
    bool fits;
    uint64_t cache_bytes; /* generators: keys and values of the whole context; part of the total */
    const char *cache_dtype; /* "F16"; "" for an encoder */
} gllm_memory_plan;
typedef struct gllm_model_info { /* one block */
    const char *name, *path, *architecture, *format, *dtype, *tokenizer;
    const char *task;           /* "embed", "rerank", "classify" or "generate" */
    const char *licence;        /* "" when the files do not say */
    const char *pooling;        /* "mean", "cls+mean" …; "" when the model does not pool */
    const char *similarity;     /* "cosine" or "dot" */
    uint64_t n_params, file_bytes;
    uint32_t n_layer, n_head, n_kv, d_model, d_head, d_ff, n_vocab;
    uint32_t max_tokens;        /* longest input, special tokens included */
    uint32_t dim;               /* of the vector returned; 0: none is */
    bool normalize;
    const char *default_prompt; /* name; "" for none */
    size_t n_prompts; const gllm_prompt_info *prompts;
    size_t n_tensors; const gllm_tensor_info *tensors;
    size_t n_plans; const gllm_memory_plan *plans; /* one for each device that answers */
    uint32_t n_labels;          /* of a classification head; 0: none */
    size_t n_chat_templates; const char *const *chat_templates; /* names ("default", "tool_use"); none for an encoder */
    const char *rope;           /* the rotary positions in words: "yarn x4 from 32768 tokens, base 1e+06"; "" where there are none */
    uint32_t window;            /* of layers with a sliding window: tokens seen, causal ones backwards, others to either side; 0: all see everything */
    const char *alias;          /* of gllm_models_list; "": the model is not listed there, and what its files do not say is not known */
    size_t n_dims; const uint32_t *dims; /* sizes that a vector is known to be trained for to be cut to; the last is the whole one */
    const char *quantisation;   /* what config.json says of it: "awq, 4 bits, groups of 128"; "" when nothing */
    uint32_t outputs;           /* of an embedder: gllm_output bits of what it gives of a text */
    uint32_t token_dim;         /* of a token's vector; 0: it gives none */
} gllm_model_info;

/* Reads the model's files (headers only, no weights) and plans its memory for `batch` sequences of `ctx` tokens in one
 * forward (0: the defaults); for a generator, for a context of ctx x batch tokens. Uses opt->model, opt->home, opt->precision, opt->exact,
 * opt->kv_cache, opt->backend. */
GLLM_API gllm_status gllm_inspect(gllm_model_info **out, const gllm_options *opt, uint32_t ctx, uint32_t batch, gllm_error *err);
GLLM_API void gllm_model_info_free(gllm_model_info *i);

/* ---- which models there are ---------------------------------------------------------------------------- */
typedef struct gllm_model_variant { const char *quant, *repo, *file; } gllm_model_variant; /* "gguf" …; file: the GGUF file taken unless one is chosen, or "" */
typedef struct gllm_model_entry { /* texts that are not known are "", numbers 0 */
    const char *alias, *other_alias; /* what gllm_options.model takes; ALIAS:QUANT for a quantised form that lies here */
    const char *repo;                /* ORG/NAME, or a folder's name */
    const char *task, *family, *licence; /* task: "embed" "rerank" "generate" */
    bool gated;                      /* its terms must be accepted before it can be fetched */
    const char *nearest_public;      /* not "": the repository is not public, and this is the nearest that is */
    uint32_t dim, max_tokens;
    size_t n_dims; const uint32_t *dims; /* sizes that a vector is trained to be cut to; the last is the whole one */
    size_t n_variants; const gllm_model_variant *variants; /* quantised forms that exist */
    const char *path;                /* "": not on this machine */
    uint64_t bytes;                  /* on disk */
} gllm_model_entry;
typedef struct gllm_model_family { /* models that are computed alike */
    const char *name, *model_type;
    const char *golden, *made_with;  /* the folder of tests/golden with the values that it is held to, and the library that made them; "": none */
    const char *missing;             /* why there is none; "" where there is one */
} gllm_model_family;
typedef struct gllm_models { /* one block */
    size_t count; const gllm_model_entry *items; /* those with an alias, then the others that lie on this machine */
    size_t n_families; const gllm_model_family *families;
} gllm_models;
/* What has an alias, and what lies below the model folder (home as in gllm_options) and in the Hugging Face cache. Opens no model. */
GLLM_API gllm_status gllm_models_list(gllm_models **out, const char *home, gllm_error *err);
GLLM_API void gllm_models_free(gllm_models *m);

/* ---- models from a hub ---------------------------------------------------------------------------------- */
typedef struct gllm_pull_request {
    size_t struct_size;
    const char *model;    /* an alias, ALIAS:QUANT, ORG/NAME or ORG/NAME:FILE; required */
    const char *quant;    /* what would follow a colon in `model`: "awq", "Q4_K_M"; NULL: nothing */
    const char *revision; /* branch, tag or commit; NULL: the one that counts, mostly main */
    const char *home;     /* as in gllm_options */
    gllm_pull_fn progress; /* NULL: none */
    void *progress_user;
    gllm_log_fn log;      /* hears of retries, and of another process that is waited for; NULL: silent */
    void *log_user;
} gllm_pull_request;
GLLM_API void gllm_pull_request_init_sized(gllm_pull_request *r, size_t size);
static inline void gllm_pull_request_init(gllm_pull_request *r) { gllm_pull_request_init_sized(r, sizeof *r); }
/* Fetches the files that a model needs, all of one commit, into HOME/models/ORG--NAME: nothing else of the repository, and nothing that is there
 * already. Unfinished files go on where they ended; sizes and SHA-256 are checked; the folder appears, or changes, in one step when all is
 * right. A model that lies whole in the Hugging Face cache is not fetched again, unless a revision is asked for. From $HF_ENDPOINT (https://huggingface.co,
 * or a server that speaks as it or as ModelScope does), with $HF_TOKEN or the token that the HF command line keeps, through the proxies that libcurl reads from the
 * environment; $HF_HUB_DOWNLOAD_TIMEOUT seconds without a byte count as a broken connection (20). libcurl is loaded at the first call.
 * *path (may be NULL): the folder or the GGUF file, freed with gllm_text_free.
 * GLLM_NOT_FOUND: no such repository, revision or form; GLLM_DOWNLOAD: gated, refused, not reached, or sums that are wrong; GLLM_IO: no space, or a
 * folder that cannot be written; GLLM_UNSUPPORTED: no weights that are read here, or no libcurl; GLLM_INVALID: no such name, or several GGUF files and none chosen. */
GLLM_API gllm_status gllm_pull(const gllm_pull_request *r, char **path, gllm_error *err);
/* Removes a model from the model folder, with what an unfinished fetch left; MODEL:FILE one GGUF file. *bytes (may be NULL) is what that freed. Whoever
 * has the model open keeps it until it closes it. GLLM_NOT_FOUND; GLLM_BUSY: a process fetches it; GLLM_UNSUPPORTED: it lies in the Hugging Face cache. */
GLLM_API gllm_status gllm_models_remove(const char *model, const char *home, uint64_t *bytes, gllm_error *err);

/* What a model of a client runs on; loads it. Strings live as long as the model is in the client. GLLM_CLOSED: it is closing. */
typedef struct gllm_client_info {
    size_t struct_size;
    const char *model, *path, *backend, *device, *isa;
    const char *precision; /* of activations in products: "f32"; "int8" when this model's quantised weights are multiplied so */
    uint32_t threads, dim, max_tokens;
    bool normalize;
    double load_ms;
    uint32_t n_ctx; /* generators: tokens that the context holds, prompt and answer; 0: the model keeps no cache (an embedder, a classifier) */
} gllm_client_info;
GLLM_API gllm_status gllm_client_describe(gllm_client *c, const char *model, gllm_client_info *out, gllm_error *err); /* set out->struct_size first */

/* ---- parity: does a backend compute what the definition says? ------------------------------------------ */
typedef struct gllm_parity {
    size_t struct_size;
    bool drifts;       /* an operation's output differs from ref's by more than `bound`, in parts of its largest value */
    double worst;      /* the largest such difference below the bound */
    char message[508]; /* one line: the first operation that drifts, its layer and both values; or that none does */
} gllm_parity;
/* Runs `text` through the model on opt->backend and on "ref" operation by operation, each on the inputs that the chosen backend
 * computed, so that an operation answers for itself alone. Loads the model twice. Set out->struct_size first.
 * The errors of gllm_client_open; GLLM_INVALID: the text is not UTF-8. */
GLLM_API gllm_status gllm_check_parity(const gllm_options *opt, gllm_str text, double bound, gllm_parity *out, gllm_error *err);

/* ---- the machine -------------------------------------------------------------------------------------- */
typedef struct gllm_backend_info {
    const char *name;      /* "cpu" */
    bool built, available; /* compiled in; answered on this machine */
    const char *device;    /* "AMD EPYC"; "" when not available */
    const char *detail;    /* instruction level, or the reason why it is not available and how to get it */
    uint64_t mem_total, mem_free;
    uint32_t threads;
} gllm_backend_info;
typedef struct gllm_machine { /* one block */
    size_t n_backends; const gllm_backend_info *backends; /* in the order in which "auto" tries them */
    const char *chosen;   /* what "auto" takes here */
    const char *home;     /* model folder's parent */
} gllm_machine;
GLLM_API gllm_status gllm_machine_describe(gllm_machine **out, gllm_error *err);
GLLM_API void gllm_machine_free(gllm_machine *m);

typedef struct gllm_peaks {
    double gflops_f32;   /* fused multiply-add throughput, all threads, 1 MAC = 2 operations */
    double gops_int8;    /* 8-bit dot products; 0 when the processor has none */
    double read_gb_per_s; /* streaming read of memory larger than the caches */
    uint32_t threads;
} gllm_peaks;
/* Measures for about 0.3 s on `threads` threads (0: as in gllm_options). */
GLLM_API gllm_status gllm_measure_peaks(uint32_t threads, gllm_peaks *out, gllm_error *err);

#ifdef __cplusplus
}
#endif
#endif
