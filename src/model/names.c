/* names.c - how each family calls its tensors. */
#include "model/arch.h"

/* BERT and its kin differ in the head alone. */
#define BERT_ATTENTION                                                                                                  \
    .word = "embeddings.word_embeddings", .type = "embeddings.token_type_embeddings", .embd_norm = "embeddings.LayerNorm", \
    .q = "encoder.layer.%u.attention.self.query", .k = "encoder.layer.%u.attention.self.key",                           \
    .v = "encoder.layer.%u.attention.self.value", .o = "encoder.layer.%u.attention.output.dense",                       \
    .attn_norm_res = "encoder.layer.%u.attention.output.LayerNorm"
#define BERT_BODY                                                                                                       \
    BERT_ATTENTION, .pos = "embeddings.position_embeddings", .embd_proj = "embeddings_project",                         \
    .up = "encoder.layer.%u.intermediate.dense", .down = "encoder.layer.%u.output.dense",                               \
    .ffn_norm_res = "encoder.layer.%u.output.LayerNorm"
#define BERT_SCORE .score_dense = "pooler.dense", .score_act = ACT_TANH, .score_out = "classifier"

#define BERT_MLM                                                                                                        \
    .mlm_dense = "cls.predictions.transform.dense", .mlm_norm = "cls.predictions.transform.LayerNorm",                  \
    .mlm_out = "cls.predictions.decoder.weight", .mlm_bias = "cls.predictions.bias"
#define ROBERTA_MLM                                                                                                     \
    .mlm_dense = "lm_head.dense", .mlm_norm = "lm_head.layer_norm", .mlm_out = "lm_head.decoder.weight", .mlm_bias = "lm_head.bias", .mlm_act = ACT_GELU

const struct name_table NAMES_BERT = {BERT_BODY, BERT_SCORE, BERT_MLM};
const struct name_table NAMES_ROBERTA = {BERT_BODY, .score_dense = "classifier.dense", .score_act = ACT_TANH, .score_out = "classifier.out_proj", ROBERTA_MLM};
/* Jina's XLM-RoBERTa for flash attention (jina-reranker-v2): the same body under other names. */
const struct name_table NAMES_ROBERTA_FLASH = {
    .word = "embeddings.word_embeddings",
    .pos = "embeddings.position_embeddings",
    .type = "embeddings.token_type_embeddings",
    .embd_norm = "emb_ln",
    .qkv = "encoder.layers.%u.mixer.Wqkv",
    .o = "encoder.layers.%u.mixer.out_proj",
    .attn_norm_res = "encoder.layers.%u.norm1",
    .up = "encoder.layers.%u.mlp.fc1",
    .down = "encoder.layers.%u.mlp.fc2",
    .ffn_norm_res = "encoder.layers.%u.norm2",
    .score_dense = "classifier.dense",
    .score_act = ACT_TANH,
    .score_out = "classifier.out_proj",
};
const struct name_table NAMES_ELECTRA = {BERT_BODY, .score_dense = "classifier.dense", .score_act = ACT_GELU, .score_out = "classifier.out_proj"};

/* jina-embeddings-v2; and its code model, with norms of q and k and a second norm after attention. */
const struct name_table NAMES_JINA = {
    BERT_ATTENTION,
    BERT_SCORE,
    .gate_up = "encoder.layer.%u.mlp.gated_layers",
    .down = "encoder.layer.%u.mlp.wo",
    .ffn_norm_res = "encoder.layer.%u.mlp.layernorm",
    .optional_bias = true,
};
const struct name_table NAMES_JINA_QK = {
    BERT_ATTENTION,
    BERT_SCORE,
    .q_norm = "encoder.layer.%u.attention.self.layer_norm_q",
    .k_norm = "encoder.layer.%u.attention.self.layer_norm_k",
    .attn_norm_again = "encoder.layer.%u.layer_norm_1",
    .up_gate = "encoder.layer.%u.mlp.up_gated_layer",
    .down = "encoder.layer.%u.mlp.down_layer",
    .ffn_norm_res = "encoder.layer.%u.layer_norm_2",
    .optional_bias = true,
};

const struct name_table NAMES_GTE = {
    BERT_SCORE,
    .word = "embeddings.word_embeddings",
    .type = "embeddings.token_type_embeddings",
    .embd_norm = "embeddings.LayerNorm",
    .q = "encoder.layer.%u.attention.q_proj",
    .k = "encoder.layer.%u.attention.k_proj",
    .v = "encoder.layer.%u.attention.v_proj",
    .qkv = "encoder.layer.%u.attention.qkv_proj",
    .o = "encoder.layer.%u.attention.o_proj",
    .attn_norm_res = "encoder.layer.%u.attn_ln",
    .up_gate = "encoder.layer.%u.mlp.up_gate_proj",
    .down = "encoder.layer.%u.mlp.down_proj",
    .ffn_norm_res = "encoder.layer.%u.mlp_ln",
    .optional_bias = true,
};

const struct name_table NAMES_NOMIC = {
    BERT_SCORE,
    .word = "embeddings.word_embeddings",
    .type = "embeddings.token_type_embeddings",
    .embd_norm = "emb_ln",
    .qkv = "encoder.layers.%u.attn.Wqkv",
    .o = "encoder.layers.%u.attn.out_proj",
    .attn_norm_res = "encoder.layers.%u.norm1",
    .gate = "encoder.layers.%u.mlp.fc12",
    .up = "encoder.layers.%u.mlp.fc11",
    .down = "encoder.layers.%u.mlp.fc2",
    .ffn_norm_res = "encoder.layers.%u.norm2",
    .optional_bias = true,
};

const struct name_table NAMES_MODERN = {
    .word = "embeddings.tok_embeddings",
    .embd_norm = "embeddings.norm",
    .final_norm = "final_norm",
    .attn_norm_in = "layers.%u.attn_norm",
    .qkv = "layers.%u.attn.Wqkv",
    .o = "layers.%u.attn.Wo",
    .ffn_norm_in = "layers.%u.mlp_norm",
    .gate_up = "layers.%u.mlp.Wi",
    .down = "layers.%u.mlp.Wo",
    .optional_bias = true,
    .score_dense = "head.dense",
    .score_act = ACT_GELU,
    .score_norm = "head.norm",
    .score_out = "classifier",
};

const struct name_table NAMES_MPNET = {
    .word = "embeddings.word_embeddings",
    .pos = "embeddings.position_embeddings",
    .embd_norm = "embeddings.LayerNorm",
    .rel_bias = "encoder.relative_attention_bias",
    .q = "encoder.layer.%u.attention.attn.q",
    .k = "encoder.layer.%u.attention.attn.k",
    .v = "encoder.layer.%u.attention.attn.v",
    .o = "encoder.layer.%u.attention.attn.o",
    .attn_norm_res = "encoder.layer.%u.attention.LayerNorm",
    .up = "encoder.layer.%u.intermediate.dense",
    .down = "encoder.layer.%u.output.dense",
    .ffn_norm_res = "encoder.layer.%u.output.LayerNorm",
    .score_dense = "classifier.dense",
    .score_act = ACT_TANH,
    .score_out = "classifier.out_proj",
    ROBERTA_MLM,
};

const struct name_table NAMES_STATIC = {.word = "embedding"}; /* static.c knows the other name */

const struct name_table NAMES_DISTILBERT = {
    .word = "embeddings.word_embeddings",
    .pos = "embeddings.position_embeddings",
    .embd_norm = "embeddings.LayerNorm",
    .q = "transformer.layer.%u.attention.q_lin",
    .k = "transformer.layer.%u.attention.k_lin",
    .v = "transformer.layer.%u.attention.v_lin",
    .o = "transformer.layer.%u.attention.out_lin",
    .attn_norm_res = "transformer.layer.%u.sa_layer_norm",
    .up = "transformer.layer.%u.ffn.lin1",
    .down = "transformer.layer.%u.ffn.lin2",
    .ffn_norm_res = "transformer.layer.%u.output_layer_norm",
    .score_dense = "pre_classifier",
    .score_act = ACT_RELU,
    .score_out = "classifier",
    .mlm_dense = "vocab_transform",
    .mlm_norm = "vocab_layer_norm",
    .mlm_out = "vocab_projector.weight",
    .mlm_bias = "vocab_projector.bias",
};

/* The decoders of transformers call nearly everything alike; a fused qkv_proj or gate_up_proj stands for its parts. */
#define HF_DECODER                                                                                                                             \
    .word = "embed_tokens", .final_norm = "norm", .head = "lm_head", .q = "layers.%u.self_attn.q_proj", .k = "layers.%u.self_attn.k_proj",     \
    .v = "layers.%u.self_attn.v_proj", .qkv = "layers.%u.self_attn.qkv_proj", .q_norm = "layers.%u.self_attn.q_norm",                          \
    .k_norm = "layers.%u.self_attn.k_norm", .o = "layers.%u.self_attn.o_proj", .gate = "layers.%u.mlp.gate_proj", .up = "layers.%u.mlp.up_proj", \
    .gate_up = "layers.%u.mlp.gate_up_proj", .down = "layers.%u.mlp.down_proj", .optional_bias = true

const struct name_table NAMES_LLAMA = {HF_DECODER, .attn_norm_in = "layers.%u.input_layernorm", .ffn_norm_in = "layers.%u.post_attention_layernorm"};
const struct name_table NAMES_GEMMA = {
    HF_DECODER,
    .attn_norm_in = "layers.%u.input_layernorm",
    .attn_norm_out = "layers.%u.post_attention_layernorm",
    .ffn_norm_in = "layers.%u.pre_feedforward_layernorm",
    .ffn_norm_out = "layers.%u.post_feedforward_layernorm",
};
const struct name_table NAMES_GLM4 = {
    HF_DECODER,
    .attn_norm_in = "layers.%u.input_layernorm",
    .attn_norm_out = "layers.%u.post_self_attn_layernorm",
    .ffn_norm_in = "layers.%u.post_attention_layernorm",
    .ffn_norm_out = "layers.%u.post_mlp_layernorm",
};
const struct name_table NAMES_OLMO2 = {HF_DECODER, .attn_norm_out = "layers.%u.post_attention_layernorm", .ffn_norm_out = "layers.%u.post_feedforward_layernorm"};

/* GGUF: one table for all; what a family lacks is not bound. */
const struct name_table NAMES_GGUF = {
    .word = "token_embd",
    .pos = "position_embd",
    .type = "token_types",
    .embd_norm = "token_embd_norm",
    .final_norm = "output_norm",
    .head = "output",
    .attn_norm_in = "blk.%u.attn_norm",
    .q = "blk.%u.attn_q",
    .k = "blk.%u.attn_k",
    .v = "blk.%u.attn_v",
    .qkv = "blk.%u.attn_qkv",
    .q_norm = "blk.%u.attn_q_norm",
    .k_norm = "blk.%u.attn_k_norm",
    .o = "blk.%u.attn_output",
    .attn_norm_out = "blk.%u.post_attention_norm",
    .attn_norm_res = "blk.%u.attn_output_norm",
    .attn_norm_again = "blk.%u.attn_norm_2",
    .ffn_norm_in = "blk.%u.ffn_norm",
    .gate = "blk.%u.ffn_gate",
    .up = "blk.%u.ffn_up",
    .gate_up = "blk.%u.ffn_up",
    .up_gate = "blk.%u.ffn_up",
    .down = "blk.%u.ffn_down",
    .ffn_norm_out = "blk.%u.post_ffw_norm",
    .ffn_norm_res = "blk.%u.layer_output_norm",
    .score_dense = "cls",
    .score_norm = "cls.norm",
    .score_out = "cls.output",
    .optional_bias = true,
};
