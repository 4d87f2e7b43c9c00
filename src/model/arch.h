/* arch.h - the glossary, and what a model is to the rest of this layer: numbers (model_cfg), names (arch) and weights (layer).
 *
 * Glossary, the same words in every language of this project:
 *   n_tok  packed tokens of a batch        n_seq    sequences of a batch        n_layer  blocks
 *   d_model width of the residual stream   d_embd   width of the embedding tables (= d_model but for ELECTRA)
 *   n_head query heads   n_kv key/value heads   d_head width of a head   d_ff width of the feed-forward   n_vocab, n_pos, n_type table rows */
#ifndef GLLM_MODEL_ARCH_H
#define GLLM_MODEL_ARCH_H
#include "backend/tape.h"

enum pos_rule {
    POS_FROM_ZERO, /* 0, 1, 2 … */
    POS_AFTER_PAD  /* fairseq: pad_id + 1, pad_id + 2 …; a pad token in the text keeps pad_id and is not counted */
};
struct model_cfg {
    uint32_t n_layer, d_model, d_embd, n_head, n_kv, d_head, d_ff, n_vocab, n_pos, n_type;
    uint32_t pad_id;
    uint32_t rel_buckets, rel_distance; /* T5-like relative position buckets; 0: none */
    enum pos_rule pos;
    enum norm_kind norm;
    enum act_kind act;
    float norm_eps;
};

/* Tensor names of a family. A layer's names hold one %u. The stem is followed by ".weight" and ".bias". */
struct name_table {
    const char *word, *pos, *type, *embd_norm, *embd_proj, *rel_bias;
    const char *q, *k, *v, *o, *attn_norm_res, *up, *down, *ffn_norm_res;
};
extern const struct name_table NAMES_BERT, NAMES_MPNET, NAMES_DISTILBERT; /* names.c */

/* One architecture: what it is called, how its tensors are called, and where it differs. cfg holds the defaults of the keys that its
 * config.json may leave out. */
struct arch {
    const char *name;
    const char *model_types[4]; /* config.json's model_type; NULL-terminated when shorter */
    const struct name_table *names;
    struct model_cfg cfg;
};
const struct arch *arch_find(const char *model_type); /* NULL: unknown */
void arch_list(char *buf, size_t size);               /* "bert, roberta, …" for messages */

/* One block's weights; a NULL norm is skipped. q, k and v are one matrix, stacked along rows. */
struct norm_weights {
    struct weight *w, *b;
};
struct layer {
    struct {
        struct weight *qkv, *qkv_bias, *o, *o_bias;
        struct norm_weights norm_in, norm_res; /* before the mixer; after the residual sum */
    } attn;
    struct {
        struct weight *up, *up_bias, *down, *down_bias;
        struct norm_weights norm_in, norm_res;
    } ffn;
};
#endif
