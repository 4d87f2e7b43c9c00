/* config_encoder.c - the keys of config.json that one family of encoders or another has. */
#include <string.h>

#include "model/config.h"

/* The largest position of a model whose scores fall with distance: there is a table of them for each head. */
enum { MAX_ALIBI_POSITIONS = 1 << 17 };

/* JinaBert's name of its feed-forward. */
gllm_status config_keys_jina(const json_t *config, const char *name, struct model_cfg *c, gllm_error *err) {
    const char *kind = NULL;
    TRY(json_str(config, name, "feed_forward_type", &kind, err));
    if (kind && !strcmp(kind, "geglu")) c->act = ACT_GELU;
    else if (kind && !strcmp(kind, "reglu")) c->act = ACT_RELU;
    else return err_set(err, GLLM_UNSUPPORTED, "%s: feed_forward_type: found \"%.60s\", expected geglu or reglu", name, kind ? kind : "");
    if (c->n_pos > MAX_ALIBI_POSITIONS) return err_set(err, GLLM_UNSUPPORTED, "%s: max_position_embeddings: found %u, expected at most %d with alibi", name, c->n_pos, MAX_ALIBI_POSITIONS);
    return GLLM_OK;
}

/* GTE's variants. */
gllm_status config_keys_gte(const json_t *config, const char *name, struct model_cfg *c, gllm_error *err) {
    const char *norm = NULL;
    json_t *scaling = NULL;
    bool logn = false;
    (void)c;
    TRY(json_str(config, name, "layer_norm_type", &norm, err));
    if (norm && strcmp(norm, "layer_norm")) return err_set(err, GLLM_UNSUPPORTED, "%s: layer_norm_type: found \"%.60s\", expected layer_norm", name, norm);
    TRY(json_flag(config, name, "logn_attention_scale", &logn, err));
    if (logn) return err_set(err, GLLM_UNSUPPORTED, "%s: logn_attention_scale: found true, expected false", name);
    TRY(json_object_at(config, name, "rope_scaling", &scaling, err));
    const json_t *mixed = json_object_get(scaling, "mixed_b");
    return !mixed || json_is_null(mixed) ? GLLM_OK : err_set(err, GLLM_UNSUPPORTED, "%s: rope_scaling: mixed_b: found %s, expected null", name, json_kind(mixed));
}

/* What Nomic-BERT's code can do beside what its models are. */
static gllm_status check_nomic(const json_t *config, const char *name, gllm_error *err) {
    const json_t *xpos = json_object_get(config, "rotary_emb_scale_base");
    bool prenorm = false, causal = false;
    uint32_t moe = 0;
    TRY(json_flag(config, name, "prenorm", &prenorm, err));
    if (prenorm) return err_set(err, GLLM_UNSUPPORTED, "%s: prenorm: found true, expected false", name);
    TRY(json_flag(config, name, "causal", &causal, err));
    if (causal) return err_set(err, GLLM_UNSUPPORTED, "%s: causal: found true, expected false", name);
    TRY(json_u32(config, name, "moe_every_n_layers", &moe, err));
    if (moe) return err_set(err, GLLM_UNSUPPORTED, "%s: moe_every_n_layers: found %u, expected 0: experts are not in this version", name, moe);
    return !xpos || json_is_null(xpos) ? GLLM_OK : err_set(err, GLLM_UNSUPPORTED, "%s: rotary_emb_scale_base: found %s, expected null", name, json_kind(xpos));
}

/* The names of GPT-2's configuration, which the files of Nomic-BERT have. */
gllm_status config_keys_nomic(const json_t *config, const char *name, struct model_cfg *c, gllm_error *err) {
    const char *act = NULL;
    float theta = (float)c->ropes[0].theta, factor = 0;
    uint32_t trained = 2048;
    TRY(check_nomic(config, name, err));
    TRY(json_str(config, name, "activation_function", &act, err));
    if (act && !strcmp(act, "geglu")) c->act = ACT_GELU;
    else if (act && strcmp(act, "swiglu")) return err_set(err, GLLM_UNSUPPORTED, "%s: activation_function: found \"%.60s\", expected swiglu or geglu", name, act);
    TRY(json_f32(config, name, "rotary_emb_base", &theta, err));
    c->ropes[0].theta = theta;
    c->rotary_share = 1;
    TRY(json_f32(config, name, "rotary_emb_fraction", &c->rotary_share, err));
    if (!(c->rotary_share > 0)) return err_set(err, GLLM_UNSUPPORTED, "%s: rotary_emb_fraction: found %g, expected above 0", name, (double)c->rotary_share);
    TRY(json_flag(config, name, "rotary_emb_interleaved", &c->rope_interleaved, err));
    TRY(json_f32(config, name, "rotary_scaling_factor", &factor, err));
    TRY(json_u32(config, name, "max_trained_positions", &trained, err));
    if (factor > 0 && trained && trained < c->n_pos) c->n_pos = trained; /* beyond it the frequencies would depend on each text's length */
    return GLLM_OK;
}

/* ModernBERT: every n-th layer sees all, the others half of local_attention to each side. */
gllm_status config_keys_modern(const json_t *config, const char *name, struct model_cfg *c, gllm_error *err) {
    uint32_t reach = 2 * c->window;
    float theta[N_ROPES] = {(float)c->ropes[0].theta, (float)c->ropes[1].theta};
    TRY(json_u32(config, name, "local_attention", &reach, err));
    if (reach < 2) return err_set(err, GLLM_UNSUPPORTED, "%s: local_attention: found %u, expected 2 or more", name, reach);
    c->window = reach / 2;
    TRY(json_u32(config, name, "global_attn_every_n_layers", &c->window_step, err));
    if (!c->window_step) return err_set(err, GLLM_FORMAT, "%s: global_attn_every_n_layers: found 0, expected 1 or more", name);
    TRY(json_f32(config, name, "global_rope_theta", &theta[0], err));
    TRY(json_f32(config, name, "local_rope_theta", &theta[1], err));
    for (unsigned i = 0; i < N_ROPES; i++) c->ropes[i].theta = theta[i];
    return GLLM_OK;
}
