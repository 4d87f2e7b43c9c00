/* hfdir.h - a model directory in the Hugging Face / sentence-transformers layout, read and checked, not interpreted.
 *
 * What it owns: which files there are, the JSON of config.json, and the sentence-transformers pipeline as data. What the
 * keys of config.json mean is the model layer's business; tokenizer files are the text layer's. */
#ifndef GLLM_FORMAT_HFDIR_H
#define GLLM_FORMAT_HFDIR_H
#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"

enum hf_pool { HF_POOL_CLS, HF_POOL_MAX, HF_POOL_MEAN, HF_POOL_MEAN_SQRT_LEN, HF_POOL_WEIGHTED_MEAN, HF_POOL_LAST, HF_POOL_COUNT };
enum hf_module_kind {
    HF_TRANSFORMER, HF_POOLING, HF_DENSE, HF_NORMALIZE,
    HF_LOGIT_SCORE, /* of a decoder that ranks: logits of the last token */
    HF_SPLADE,     /* of each vocabulary entry the largest weight over the tokens, or their sum, as a sparse vector */
    HF_TOKEN_MASK, /* token vectors are the result; some tokens are left out */
    HF_STATIC      /* in the Transformer's place: a table of vectors by token */
};
enum hf_dense_act { HF_ACT_IDENTITY, HF_ACT_TANH };
struct hf_module {
    enum hf_module_kind kind;
    const char *path; /* folder of the module, absolute or relative to the process as `dir` was; "" never */
    bool per_token;   /* HF_DENSE, HF_NORMALIZE: of each token's vector, not of the pooled one */
    struct {          /* HF_POOLING */
        enum hf_pool modes[HF_POOL_COUNT]; /* outputs stand side by side in this order; at least one, none twice */
        uint32_t n_modes;
        uint32_t dim;   /* word_embedding_dimension; 0: not said */
        bool include_prompt;
    } pooling;
    struct { /* HF_DENSE; weights `linear.weight` [out_dim, in_dim], `linear.bias` in path/model.safetensors */
        uint32_t in_dim, out_dim;
        bool bias;
        enum hf_dense_act act;
        const char *tensor; /* in place of `linear` in path: a tensor among the model's own weights; NULL: none */
    } dense;
    struct { /* HF_LOGIT_SCORE: a cross-encoder's score is logit[yes] - logit[no] of the last token */
        int32_t yes, no; /* no -1: none, the score is logit[yes] */
    } logit_score;
    struct { /* HF_SPLADE: log(1 + relu(x)) */
        bool twice; /* log(1 + that) */
        bool sum;   /* over the tokens, not the largest */
    } splade;
    struct { /* HF_TOKEN_MASK */
        const char **words; /* [n_words] vocabulary entries whose vectors are left out */
        size_t n_words;
        bool queries; /* of queries too, not of documents alone */
    } mask;
};
struct hf_prompt {
    const char *name, *text;
};
struct hf_expansion { /* of a query, for late interaction: it is filled up with tokens */
    uint32_t length;   /* to this many; 0: it is not */
    bool attend;       /* the others attend to them as to any */
    const char *token; /* NULL: the mask token */
};
struct hf_late { /* late interaction as PyLate's first versions wrote it, in config_sentence_transformers.json */
    bool there;
    const char *query_prefix, *document_prefix; /* NULL: not said */
    const char **words; /* [n_words] vocabulary entries whose vectors documents leave out; NULL: not said */
    size_t n_words;
};
struct hfdir {
    struct arena arena;
    const char *dir, *name;  /* as given; last path component */
    const char *weights_dir; /* where config.json, the weights and the tokenizer lie (the Transformer module's folder) */
    json_t *config;          /* config.json of weights_dir, an object */
    struct hf_module *modules; /* from modules.json; n_modules = 0 when there is none */
    size_t n_modules;
    bool lone_pooling;         /* no modules.json: the modules are what a 1_Pooling folder implies */
    uint32_t max_seq_length; /* sentence_bert_config.json or a legacy name of it; 0: not said */
    bool do_lower_case;      /* sentence_bert_config.json */
    bool fill_mask;          /* likewise: the tokens' logits over the vocabulary are what the modules take */
    uint32_t query_length, document_length; /* likewise; 0: max_seq_length */
    struct hf_expansion expansion;          /* likewise */
    struct hf_late late;
    struct hf_prompt *prompts; /* config_sentence_transformers.json, in file order */
    size_t n_prompts;
    const char *default_prompt_name; /* NULL: none */
    const char *similarity;          /* similarity_fn_name; NULL: not said */
    const char *activation;          /* activation_fn of a cross-encoder, in config_sentence_transformers.json; NULL: not said there */
    const char *licence;             /* from README.md's front matter; NULL: not said */
};
/* Reads a model directory. Missing config.json: GLLM_NOT_FOUND naming what was looked for and, if the folder holds something
 * else (GGUF, ONNX only, an adapter), what it is. An unknown module type, activation or pooling mode is GLLM_UNSUPPORTED by name.
 * Needs neither weights nor tokenizer to be there. */
gllm_status hfdir_open(struct hfdir *out, const char *dir, gllm_error *err);
bool hfdir_pools(const struct hfdir *d); /* a Pooling is among the modules */
struct hf_prompt *hfdir_prompt(const struct hfdir *d, const char *name); /* NULL: none of that name */
/* For a model without modules: a Transformer, this pooling, and with `normalize` a Normalize. GLLM_NOMEM */
gllm_status hfdir_pool_by(struct hfdir *d, enum hf_pool pool, bool normalize, gllm_error *err);
void hfdir_close(struct hfdir *d); /* NULL and all-zero ok */
#endif
