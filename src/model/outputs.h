/* outputs.h - what a model gives of a text beside a pooled vector, or in its place: weights of vocabulary entries (sparse) and a vector for each token.
 *
 *   sparse, by token       BGE-M3: relu(w h_i + b) of each token; an entry has the largest of its tokens
 *   sparse, by vocabulary  SPLADE: log(1 + relu(max_i logit_i[v])) of each entry v, the logits those of the masked language model's head; or the sum over i
 *   tokens                 ColBERT, jina-embeddings-v4: h_i through dense layers, scaled to length 1 */
#ifndef GLLM_MODEL_OUTPUTS_H
#define GLLM_MODEL_OUTPUTS_H
#include "model/bind.h"

enum { OUTPUT_DENSE = 1, OUTPUT_SPARSE = 2, OUTPUT_TOKENS = 4 }; /* bits */
enum sparse_kind { SPARSE_NONE, SPARSE_BY_TOKEN, SPARSE_BY_VOCABULARY, SPARSE_BY_VOCABULARY_SUM };
struct late_side { /* a query or a document for late interaction */
    uint32_t max_tokens; /* 0: the model's limit */
    int32_t marker;      /* a token at its start, after outputs_cfg's marker_at; -1: none */
};
struct outputs_cfg { /* from a model's files */
    uint32_t available; /* OUTPUT_* */
    enum sparse_kind sparse;
    bool log_twice;          /* by vocabulary: log(1 + w) once more */
    const int32_t *unweighed; /* [n_unweighed] SPARSE_BY_TOKEN: tokens that have no weight */
    uint32_t n_unweighed;
    uint32_t token_dim, first_token; /* of tokens: width; how many at a text's start have no vector */
    const char *projector;   /* of tokens: a linear layer among the body's weights; NULL: none there */
    bool projector_bias;
    bool mean_of_best;       /* MaxSim is divided by the number of the query's vectors */
    struct late_side query, document;
    uint32_t marker_at;      /* special tokens before a marker */
    struct {
        uint32_t length; /* queries are filled up to so many tokens; 0: not */
        int32_t token;
        bool unseen; /* the text's own tokens do not attend to them */
    } expand;
    const int32_t *skipped; /* [n_skipped] tokens whose vectors are left out, of documents and, with skip_queries, of queries */
    uint32_t n_skipped;
    bool skip_queries;
};

static inline bool outputs_by_vocabulary(const struct outputs_cfg *o) { return o->sparse == SPARSE_BY_VOCABULARY || o->sparse == SPARSE_BY_VOCABULARY_SUM; }

/* What a run gives; each on the host, NULL where it is not wanted. */
struct outputs {
    uint32_t wanted;
    float *dense;  /* [n_seq, head dim] before the final normalisation; or a classification head's logits */
    float *sparse; /* [n_tok]; by vocabulary [n_seq, n_vocab] the largest logits; for a sum all, [n_tok, n_vocab] */
    float *tokens; /* [n_tok, token_dim] */
};

struct model;
struct model_files;
struct output_heads; /* bound weights */
struct output_session; /* buffers and views */
/* Fills f->outputs from f->dir and the files beside the weights. GLLM_FORMAT, GLLM_UNSUPPORTED. */
gllm_status outputs_read(struct model_files *f, gllm_error *err);
/* Binds what the outputs need to m->bindings; *out lies in m->arena, its files are closed by outputs_close. */
gllm_status outputs_collect(struct model *m, gllm_error *err);
void outputs_close(struct output_heads *h); /* NULL ok */
/* Records what `wanted` needs of x, the last hidden states, for the step layout's capacities. *out is closed by output_session_close also on failure. */
gllm_status outputs_record(struct output_session **out, const struct model *m, struct tape *t, struct view x, uint32_t wanted, gllm_error *err);
gllm_status outputs_fetch(const struct output_session *s, const struct model *m, uint32_t n_tok, uint32_t n_seq, const struct outputs *out, gllm_error *err); /* after a run */
void output_session_close(struct output_session *s, struct backend *be); /* NULL ok */
size_t outputs_sparse_floats(const struct model *m, uint32_t n_tok, uint32_t n_seq); /* of struct outputs */
uint64_t outputs_activation_bytes(const struct model *m, uint32_t n_tok, uint32_t n_seq); /* device memory of a forward that gives all that there are */
#endif
