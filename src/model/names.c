/* names.c - how each family calls its tensors. */
#include "model/arch.h"

const struct name_table NAMES_BERT = {
    .word = "embeddings.word_embeddings",
    .pos = "embeddings.position_embeddings",
    .type = "embeddings.token_type_embeddings",
    .embd_norm = "embeddings.LayerNorm",
    .embd_proj = "embeddings_project",
    .q = "encoder.layer.%u.attention.self.query",
    .k = "encoder.layer.%u.attention.self.key",
    .v = "encoder.layer.%u.attention.self.value",
    .o = "encoder.layer.%u.attention.output.dense",
    .attn_norm_res = "encoder.layer.%u.attention.output.LayerNorm",
    .up = "encoder.layer.%u.intermediate.dense",
    .down = "encoder.layer.%u.output.dense",
    .ffn_norm_res = "encoder.layer.%u.output.LayerNorm",
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
};

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
};
