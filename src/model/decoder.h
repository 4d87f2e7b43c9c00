/* decoder.h - a causal model at work: its cache, and packed steps of prefill, decode and both mixed.
 *
 * Thread rule: one owner, as model_run. A sequence computes the same bits in one step or many, alone or beside others. */
#ifndef GLLM_MODEL_DECODER_H
#define GLLM_MODEL_DECODER_H
#include "model/kv.h"
#include "model/model.h"

struct decoder;
struct decoder_options {
    uint32_t n_ctx;    /* tokens of one sequence: what length-dependent rotary positions are made for */
    uint32_t cache_tokens; /* that the cache holds, all sequences together; 0: n_ctx */
    uint32_t max_tok;  /* tokens of one step */
    uint32_t max_seq;  /* sequences of one step */
    uint32_t max_out;  /* rows of logits of one step */
    enum dtype kv_dtype; /* F16, F32, or Q8_0 */
};
/* GLLM_UNSUPPORTED: a cache of this type does not fit the model's heads. */
gllm_status decoder_check_cache(const struct model_cfg *c, enum dtype kv_dtype, gllm_error *err);
/* The model must be causal and outlive the decoder. GLLM_NOMEM; GLLM_INVALID: an option of 0. */
gllm_status decoder_open(struct decoder **out, struct model *m, const struct decoder_options *opt, gllm_error *err);
void decoder_close(struct decoder *d); /* NULL ok */
struct kv *decoder_kv(struct decoder *d);
uint32_t decoder_context(const struct decoder *d); /* tokens that one sequence may have: n_ctx, or what the cache holds */
const struct decoder_options *decoder_options_of(const struct decoder *d);

struct decoder_item { /* a sequence's part of a step */
    struct kv_seq *seq;
    const int32_t *tokens; /* [n] appended to the sequence */
    uint32_t n;            /* at least 1 */
    uint32_t n_out;        /* logits wanted of its last n_out tokens of this step */
};
/* One forward. logits [sum n_out][n_vocab] in item order, borrowed until the next step; soft cap applied. On failure no sequence has grown.
 * GLLM_INVALID: an id outside the vocabulary, a step above the options. GLLM_TOO_LONG: the cache is full. */
gllm_status decoder_step(struct decoder *d, const struct decoder_item *items, uint32_t n_items, const float **logits, gllm_error *err);
/* The same with the rank head (ranker.h) in place of the language model's: *values [sum n_out][ranker.n_out]. rows: the tokens of the step, counted through all
 * items and ascending, whose values are wanted; NULL: the last n_out of each item. GLLM_UNSUPPORTED: the model has no such head. */
gllm_status decoder_rank(struct decoder *d, const struct decoder_item *items, uint32_t n_items, const uint32_t *rows, const float **values, gllm_error *err);
uint32_t decoder_page_room(const struct decoder *d); /* pages that the sequences of one step may have, a shared one counted for each */
/* Device memory for the cache; for all other buffers of a decoder. */
uint64_t decoder_cache_bytes(const struct model_cfg *c, const struct decoder_options *opt);
uint64_t decoder_activation_bytes(const struct model_files *f, const struct decoder_options *opt);
#endif
