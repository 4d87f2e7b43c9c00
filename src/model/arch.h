/* arch.h - the glossary, and what a model is to the rest of this layer: numbers (model_cfg), names (arch) and weights (layer).
 *
 * Glossary, the same words in every language of this project:
 *   n_tok  packed tokens of a batch        n_seq    sequences of a batch        n_layer  blocks
 *   d_model width of the residual stream   d_embd   width of the embedding tables (= d_model but for ELECTRA)
 *   n_head query heads   n_kv key/value heads   d_head width of a head   d_ff width of the feed-forward   n_vocab, n_pos, n_type table rows */
#ifndef GLLM_MODEL_ARCH_H
#define GLLM_MODEL_ARCH_H
#include "backend/tape.h"
#include "base/json.h"

enum pos_rule {
    POS_FROM_ZERO, /* 0, 1, 2 … */
    POS_AFTER_PAD  /* fairseq: pad_id + 1, pad_id + 2 …; a pad token in the text keeps pad_id and is not counted */
};
enum rope_kind { ROPE_NONE, ROPE_DEFAULT, ROPE_LINEAR, ROPE_DYNAMIC, ROPE_LLAMA3, ROPE_YARN, ROPE_LONGROPE, ROPE_NTK };
struct rope_cfg { /* rope.h says what each kind makes of them */
    enum rope_kind kind;
    double theta, factor, low_freq_factor, high_freq_factor, attention_factor, beta_fast, beta_slow, mscale, mscale_all_dim; /* 0: not given */
    uint32_t n_pos_trained;                  /* original_max_position_embeddings; 0: not given */
    bool no_truncate;                        /* YaRN: the ramp's ends are not rounded */
    const float *short_factor, *long_factor; /* [n_rot / 2] LongRoPE, and llama3's table in GGUF files (short_factor); NULL: none */
};
/* Which layers have a sliding window, where the files name one but not the layers. */
enum window_rule { WINDOW_ALL, WINDOW_EVEN, WINDOW_NOT_EVERY_NTH, WINDOW_NOT_FIRST_OF_N, WINDOW_FROM_LAYER };
enum qk_norm { QK_NORM_NONE, QK_NORM_HEAD, QK_NORM_ALL }; /* RMS over each head, or over all heads together */
enum { N_ROPES = 2 };
struct layer_cfg { /* what differs from layer to layer */
    uint32_t window; /* 0: none; what op_attention makes of it */
    int rope;        /* index into ropes; -1: no positions (NoPE) */
};
/* How the weights of the modules that are not left out are stored (config_quant.c, bind_quant.c, bind_codes.c). */
enum quant_form { QUANT_FLOAT8, QUANT_AWQ_GEMM, QUANT_AWQ_GEMV, QUANT_GPTQ, QUANT_PACKED, QUANT_INT8, QUANT_BNB };
struct quant_cfg {
    const char *method;            /* NULL: none */
    enum quant_form form;
    uint32_t bits, group;          /* of codes, and inputs that share a scale; group 0: all of a row. QUANT_BNB: the tensors say */
    bool zeros_less_one;           /* GPTQ's first version: zero points are stored less 1 */
    bool symmetric;                /* no zero points are stored: the middle of the range stands for 0 */
    uint32_t row_block, col_block; /* of scales in tiles; 0: one scale, or one a row */
    const char *const *ignored;    /* [n_ignored] modules that are stored as they are; "re:" begins a regular expression */
    size_t n_ignored;
};
struct model_cfg {
    uint32_t n_layer, d_model, d_embd, n_head, n_kv, d_head, d_ff, n_vocab, n_pos, n_type;
    uint32_t pad_id;
    bool pad_fixed;                     /* pad_id is the architecture's own: config.json's does not count */
    uint32_t rel_buckets, rel_distance; /* T5-like relative position buckets; 0: none */
    bool alibi;                         /* scores fall with distance, by a slope of each head */
    enum pos_rule pos;
    enum norm_kind norm;
    enum act_kind act;
    bool glu; /* feed-forward: act(gate) up, gate and up stacked in one matrix */
    float norm_eps;
    bool decoder;         /* config.json has a decoder's keys */
    bool causal;          /* attention to earlier tokens only */
    bool norm_plus_one;   /* the files hold w - 1 */
    bool no_first_norm;   /* the first layer has no norm before attention */
    bool rope_interleaved;
    bool scale_embd;      /* word rows times sqrt(d_model) */
    enum qk_norm qk_norm;
    enum window_rule window_rule;
    uint32_t n_rot, window, window_step, no_rope_step; /* window_step: of the rule; every no_rope_step-th layer is NoPE (0: none) */
    float attn_scale, attn_cap, logit_cap, rotary_share; /* attn_scale 0: 1 / sqrt(d_head); rotary_share 0: 1, of d_head */
    struct rope_cfg ropes[N_ROPES]; /* [1]: of the layers with a window, where they have their own; its theta 0: that of [0] */
    const struct layer_cfg *layers; /* [n_layer] */
    struct quant_cfg quant;
};

/* Tensor names of a family. A layer's names hold one %u. The stem is followed by ".weight" and ".bias". A name that is NULL, or a bias or
 * norm marked optional whose tensor is not there, is left out. Fused names count where the files have them; up_gate holds the rows of up first. */
struct name_table {
    const char *word, *pos, *type, *embd_norm, *embd_proj, *rel_bias, *final_norm, *head;
    const char *attn_norm_in, *q, *k, *v, *qkv, *q_norm, *k_norm, *o, *attn_norm_out, *attn_norm_res, *attn_norm_again;
    const char *ffn_norm_in, *gate, *up, *gate_up, *up_gate, *down, *ffn_norm_out, *ffn_norm_res;
    bool optional_bias; /* a bias is bound when its tensor is there */
    /* classification: score_out(score_norm(act(score_dense(first token)))), each below the body's prefix or above it */
    const char *score_dense, *score_norm, *score_out;
    enum act_kind score_act;
    /* logits over the vocabulary: mlm_out(norm(act(mlm_dense(x)))); NULL: the family has none here. mlm_out's own weight may be missing: it is tied to `word` */
    const char *mlm_dense, *mlm_norm, *mlm_out, *mlm_bias;
    enum act_kind mlm_act; /* ACT_NONE: that of the feed-forward */
};
extern const struct name_table NAMES_BERT, NAMES_ROBERTA, NAMES_ROBERTA_FLASH, NAMES_ELECTRA, NAMES_MPNET, NAMES_DISTILBERT, NAMES_STATIC, NAMES_JINA, NAMES_JINA_QK, NAMES_GTE, NAMES_NOMIC, NAMES_MODERN, NAMES_LLAMA, NAMES_GEMMA, NAMES_GLM4, NAMES_OLMO2, NAMES_GGUF; /* names.c */

/* One architecture: what it is called, how its tensors are called, and where it differs. cfg holds the defaults of the keys that its
 * config.json may leave out. */
struct arch {
    const char *name;
    const char *model_types[4]; /* config.json's model_type; NULL-terminated when shorter */
    const char *gguf[2];        /* general.architecture; NULL-terminated when shorter */
    bool gguf_interleaved;      /* in GGUF files rotary pairs are neighbours: rows of q and k stand so, whatever config.json's files have */
    const char *positions;      /* config.json's position_embedding_type; NULL: "absolute", or not said */
    const struct name_table *names;
    const struct name_table *others; /* a second spelling, taken where the files have its `down`; NULL: there is one */
    const struct name_table *slots; /* NULL: names. Else the family's own table: GGUF's names serve all families, and only what this one has is bound */
    struct model_cfg cfg;
    /* Reads the keys that are this family's own, after the sizes and the activation; NULL: it has none. */
    gllm_status (*read_keys)(const json_t *config, const char *name, struct model_cfg *cfg, gllm_error *err);
};
static inline const struct name_table *arch_family(const struct arch *a) { return a->slots ? a->slots : a->names; } /* what the family has, whatever its tensors are called */
/* NULL: unknown. Of several with that model_type the one whose positions are these, else the first. */
const struct arch *arch_find(const char *model_type, const char *positions);
const struct arch *arch_find_gguf(const char *name);      /* likewise, by general.architecture */
void arch_list(char *buf, size_t size);                   /* "bert, roberta, …" for messages */
void arch_list_gguf(char *buf, size_t size);              /* "llama, qwen2, …" */
extern const struct arch ARCH_ENCODERS[], ARCH_DECODERS[]; /* end with a NULL name */

/* One block's weights; a NULL norm is skipped. q, k and v are one matrix, stacked along rows; so are gate and up. */
struct norm_weights {
    struct weight *w, *b;
};
struct layer {
    struct {
        struct weight *qkv, *qkv_bias, *o, *o_bias;
        struct norm_weights q_norm, k_norm; /* of each head, or of all heads together */
        struct norm_weights norm_in, norm_out, norm_res; /* before the mixer; on its branch; after the residual sum */
        struct norm_weights norm_again;                  /* after norm_res, of its result plus what the residual stream was before */
    } attn;
    struct {
        struct weight *up, *up_bias, *down, *down_bias;
        struct norm_weights norm_in, norm_out, norm_res;
    } ffn;
};
#endif
