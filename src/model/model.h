/* model.h - an open model: its files, tokenizer, weights on a device, and the session that runs packed batches.
 *
 * Thread rule: everything that only reads (limits, tokenizer) may be used by any thread; model_run belongs to one owner. */
#ifndef GLLM_MODEL_MODEL_H
#define GLLM_MODEL_MODEL_H
#include "format/hfdir.h"
#include "format/weights.h"
#include "model/arch.h"
#include "model/bind.h"
#include "model/outputs.h"
#include "model/hints.h"
#include "model/ranker.h"
#include "text/chat.h"
#include "text/tokenizer.h"

enum { MAX_EOS = 16, MAX_LABELS = 65536 };
struct classifier { /* of a model with a classification head */
    enum pool_kind pool;        /* what it looks at: the first token, or the mean */
    enum act_kind dense_act;    /* after its dense layer */
    uint32_t n_labels;          /* 0: no such head */
    const char *const *labels;  /* [n_labels] */
    enum score_act model_act;   /* what the files say of a cross-encoder's scores; else sigmoid for one label, none for several */
    enum score_act class_act;   /* what makes probabilities of the logits, by problem_type */
};
struct tasks { /* of an embedder with an adapter for each (adapter.h) */
    const char *const *names; /* [n], as the adapter's tensors call them */
    uint32_t n, chosen;
};
struct input_frame { /* how a text becomes a model's input, beside what its tokenizer does */
    const int32_t *before, *after; /* [n_before], [n_after] in place of the special tokens that the tokenizer adds; none: those count */
    uint32_t n_before, n_after;
    bool bare;       /* no special tokens are added */
    int32_t dropped; /* a token that is taken out; -1: none */
};
struct model_files { /* read and checked, no device yet */
    struct arena arena; /* tables of cfg */
    struct hfdir dir;
    struct weights *weights;
    struct tokenizer *tokenizer;
    struct arch arch; /* a copy: a GGUF file has its own names and pairing */
    struct model_cfg cfg;
    bool generates;      /* a causal model whose files name no pooling and that is no reranker; one that pools is an embedder, and its head is not bound */
    uint32_t max_tokens; /* longest input, special tokens included */
    int32_t eos[MAX_EOS]; /* tokens that end an answer */
    uint32_t n_eos;
    struct classifier classifier; /* of an encoder */
    struct ranker ranker;     /* of a causal model that pools nothing */
    struct outputs_cfg outputs;
    struct input_frame frame;
    struct tasks tasks;
    struct chat_source chat; /* of a causal model */
    struct model_hints hints;
};
static inline bool model_files_cached(const struct model_files *f) { return f->generates || f->ranker.kind != RANKER_NONE; } /* it works on a cache (decoder.h) */
/* Opens a model directory or a GGUF file. `log` hears what is assumed in place of what the files do not say. */
gllm_status model_files_open(struct model_files *f, const char *path, const struct log *log, gllm_error *err);
/* The same with what else is known of the model; hints NULL: nothing. */
gllm_status model_files_open_hinted(struct model_files *f, const char *path, const struct model_hints *hints, const struct log *log, gllm_error *err);
void model_files_close(struct model_files *f);

/* What follows the encoder: pooling, dense layers, normalisation; from the files, or as a request overrides the pooling. */
struct head {
    enum pool_kind modes[HF_POOL_COUNT];
    uint32_t n_modes, n_steps;
    uint32_t n_labels;        /* of a classification head, which then stands in place of the steps; 0: none */
    bool include_prompt;
    bool normalize;           /* the last step is a Normalize: done by the caller, after a cut to fewer dimensions */
    const struct hf_module **steps; /* [n_steps] after pooling, without that last Normalize */
    uint32_t dim;
};

struct model {
    struct model_files files;
    struct backend *backend;
    struct arena arena;
    struct bindings bindings;
    struct model_weights net;
    struct dense_weights *dense;      /* [modules] by module index */
    struct weights **dense_weights;   /* [modules] likewise, the files they lie in */
    struct head head;                 /* without modes: the model pools nothing */
    struct adapter *adapter;          /* NULL: none; its files */
    struct output_heads *outputs;     /* NULL: nothing beside the pooled vector */
    struct session *session;          /* buffers, tape and plan for the last shape; rebuilt when a batch outgrows it */
    struct decoder *decoder;          /* of a generator, opened at its first use */
    struct log log;
};
/* Moves `files` into the model also on failure. The backend is borrowed until model_close. */
gllm_status model_open(struct model **out, struct model_files *files, struct backend *be, const struct log *log, gllm_error *err);
void model_close(struct model *m);
/* The same model once more, with a session and a decoder of its own on `be`, which shares m->backend (backend.h): it has another owner, and they run at once. It reads what m
 * holds, and is given back by model_unshare before m is closed. */
gllm_status model_share(struct model **out, const struct model *m, struct backend *be, gllm_error *err);
void model_unshare(struct model *m); /* NULL ok */

/* A packed batch on the host: sequences one after the other. */
struct batch {
    uint32_t n_tok, n_seq;
    const int32_t *tokens;      /* [n_tok] */
    const uint8_t *types;       /* [n_tok] */
    const uint32_t *starts;     /* [n_seq + 1] */
    const uint32_t *pool_from;  /* [n_seq] */
    const uint32_t *seen;       /* [n_seq] how many first tokens the others attend to; 0: all; NULL: all of all */
};
/* Runs one forward without a cache. pooling 0: the model's own (a generator has none); else that mode alone. out [n_seq, model dim] on the host, before the final normalisation.
 * Of a model with a classification head: its logits, out [n_seq, n_labels], before any activation; pooling is then 0.
 * GLLM_INVALID: an id outside the vocabulary. */
gllm_status model_run(struct model *m, const struct batch *b, enum pool_kind pooling, float *out, gllm_error *err);
/* The same with any of the outputs that the model has (files.outputs.available), in one forward. */
gllm_status model_run_outputs(struct model *m, const struct batch *b, enum pool_kind pooling, const struct outputs *out, gllm_error *err);
/* What model_run recorded last, its step still in place; for comparing backends. NULL before the first run. */
const struct tape *model_tape(const struct model *m);
/* Device memory for weights; for the buffers of a forward of n_tok tokens in n_seq sequences. */
uint64_t model_weight_bytes(const struct bindings *b, const struct backend_ops *ops);
uint64_t model_activation_bytes(const struct model_cfg *c, uint32_t n_tok, uint32_t n_seq);
uint64_t model_working_bytes(const struct model *m); /* that its session and decoder have allocated */
/* Collects what `f` needs into `b` without a device, for inspection; the slots are scratch in the arena. */
gllm_status model_collect(struct model *m, gllm_error *err);
const char *pool_name(enum pool_kind k); /* "mean"; static */
#endif
