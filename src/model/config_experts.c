/* config_experts.c - families whose layers may have experts in place of one feed-forward. Here their dense layers are computed; a layer with experts is
 * refused by the name of its tensors. */
#include "model/config.h"

static gllm_status refuse_experts(const char *name, const char *key, uint32_t n, uint32_t layer, const char *tensors, gllm_error *err) {
    return err_set(err, GLLM_UNSUPPORTED, "%s: %s: found %u: layers.%u.%s: mixtures of experts are not in this version, layers without them are", name, key, n, layer, tensors);
}

static bool lists(const json_t *layers, uint32_t i) {
    for (size_t k = 0; k < json_array_size(layers); k++)
        if (json_is_number(json_array_get(layers, k)) && json_number_value(json_array_get(layers, k)) == i) return true;
    return false;
}

/* Every decoder_sparse_step-th layer has experts, but those of mlp_only_layers. */
gllm_status config_keys_qwen3_moe(const json_t *config, const char *name, struct model_cfg *c, gllm_error *err) {
    json_t *dense;
    uint32_t n = 128, step = 1;
    TRY(json_u32(config, name, "num_local_experts", &n, err)); /* as transformers 5 writes it */
    TRY(json_u32(config, name, "num_experts", &n, err));
    TRY(json_u32(config, name, "decoder_sparse_step", &step, err));
    TRY(json_array_at(config, name, "mlp_only_layers", &dense, err));
    if (!step) return err_set(err, GLLM_FORMAT, "%s: decoder_sparse_step: found 0, expected 1 or more", name);
    for (uint32_t i = 0; n && i < c->n_layer; i++)
        if ((i + 1) % step == 0 && !lists(dense, i)) return refuse_experts(name, "num_experts", n, i, "mlp.experts", err);
    return GLLM_OK;
}

gllm_status config_keys_mixtral(const json_t *config, const char *name, struct model_cfg *c, gllm_error *err) {
    uint32_t n = 8;
    (void)c;
    TRY(json_u32(config, name, "num_local_experts", &n, err));
    return n ? refuse_experts(name, "num_local_experts", n, 0, "block_sparse_moe.experts", err) : GLLM_OK;
}

/* Layers from first_k_dense_replace on have experts. */
gllm_status config_keys_glm4_moe(const json_t *config, const char *name, struct model_cfg *c, gllm_error *err) {
    uint32_t n = 128, dense = 1;
    bool norms = false;
    TRY(json_u32(config, name, "n_routed_experts", &n, err));
    TRY(json_u32(config, name, "first_k_dense_replace", &dense, err));
    TRY(json_flag(config, name, "use_qk_norm", &norms, err));
    if (norms) c->qk_norm = QK_NORM_HEAD;
    return n && dense < c->n_layer ? refuse_experts(name, "n_routed_experts", n, dense, "mlp.experts", err) : GLLM_OK;
}

/* Its attention keeps keys and values in a common space of fewer values; no operation here does. */
gllm_status config_keys_deepseek(const json_t *config, const char *name, struct model_cfg *c, gllm_error *err) {
    uint32_t rank = 512;
    (void)c;
    TRY(json_u32(config, name, "kv_lora_rank", &rank, err));
    return err_set(err, GLLM_UNSUPPORTED, "%s: kv_lora_rank: found %u: layers.0.self_attn.kv_a_proj_with_mqa: multi-head latent attention is not in this version", name, rank);
}
