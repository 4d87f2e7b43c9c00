#include "model/config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Sizes and the spellings under which config.json gives them; the first that is present counts. `max` keeps products far from overflow. */
struct size_key {
    size_t field;
    const char *keys[3];
    uint32_t min, max;
    bool required;
};
#define FIELD(f) offsetof(struct model_cfg, f)
static const struct size_key SIZE_KEYS[] = {
    {FIELD(n_layer), {"num_hidden_layers", "n_layers", "n_layer"}, 1, 1024, true},
    {FIELD(d_model), {"hidden_size", "dim", "n_embd"}, 1, 1 << 16, true},
    {FIELD(n_head), {"num_attention_heads", "n_heads", "n_head"}, 1, 1 << 12, true},
    {FIELD(d_ff), {"intermediate_size", "hidden_dim", "n_inner"}, 1, 1 << 18, true},
    {FIELD(n_vocab), {"vocab_size"}, 1, 1 << 24, true},
    {FIELD(n_pos), {"n_positions", "max_position_embeddings"}, 1, 1 << 22, true},
    {FIELD(pad_id), {"pad_token_id"}, 0, 1 << 24, false},
};

static gllm_status read_size(const json_t *config, const char *name, const struct size_key *k, struct model_cfg *cfg, gllm_error *err) {
    uint32_t *out = (uint32_t *)(void *)((char *)cfg + k->field);
    for (unsigned i = 0; i < 3 && k->keys[i]; i++) {
        const json_t *v = json_object_get(config, k->keys[i]);
        if (!v || json_is_null(v)) continue;
        TRY(json_u32(config, name, k->keys[i], out, err));
        if (*out < k->min || *out > k->max)
            return err_set(err, GLLM_FORMAT, "%s: %s: found %u, expected %u to %u", name, k->keys[i], *out, k->min, k->max);
        return GLLM_OK;
    }
    if (k->required) return err_set(err, GLLM_FORMAT, "%s: %s: found nothing, expected a number", name, k->keys[0]);
    return GLLM_OK;
}

gllm_status config_read_act(const json_t *config, const char *name, const char *key, enum act_kind *out, gllm_error *err) {
    static const struct {
        const char *name;
        enum act_kind act;
    } ACTS[] = {
        {"gelu", ACT_GELU},           {"gelu_python", ACT_GELU},      {"gelu_new", ACT_GELU_TANH}, {"gelu_fast", ACT_GELU_TANH},
        {"gelu_pytorch_tanh", ACT_GELU_TANH}, {"gelu_python_tanh", ACT_GELU_TANH}, {"gelu_accurate", ACT_GELU_TANH}, {"quick_gelu", ACT_GELU_QUICK}, {"relu", ACT_RELU},  {"silu", ACT_SILU},
        {"swish", ACT_SILU},          {"tanh", ACT_TANH},             {"linear", ACT_NONE},
    };
    const char *text = NULL;
    TRY(json_str(config, name, key, &text, err));
    if (!text) return GLLM_OK;
    for (unsigned i = 0; i < sizeof ACTS / sizeof *ACTS; i++)
        if (!strcmp(ACTS[i].name, text)) {
            *out = ACTS[i].act;
            return GLLM_OK;
        }
    return err_set(err, GLLM_UNSUPPORTED, "%s: %s: found \"%.60s\", which is not supported", name, key, text);
}

static gllm_status read_act(const json_t *config, const char *name, enum act_kind *out, gllm_error *err) {
    static const char *const KEYS[] = {"hidden_activation", "hidden_act", "activation"}; /* Gemma has the first two, and uses the first */
    for (unsigned i = 0; i < sizeof KEYS / sizeof *KEYS; i++)
        if (json_object_get(config, KEYS[i]) && !json_is_null(json_object_get(config, KEYS[i]))) return config_read_act(config, name, KEYS[i], out, err);
    return GLLM_OK;
}

/* What would silently change the values if it were overlooked. */
static gllm_status refuse_variants(const json_t *config, const char *name, const struct arch *arch, const char *positions, gllm_error *err) {
    const char *expected = arch->positions ? arch->positions : "absolute";
    bool decoder = false;
    if (positions && strcmp(positions, expected))
        return err_set(err, GLLM_UNSUPPORTED, "%s: position_embedding_type: found \"%.60s\", expected \"%s\"", name, positions, expected);
    TRY(json_flag(config, name, "is_decoder", &decoder, err));
    if (decoder) return err_set(err, GLLM_UNSUPPORTED, "%s: is_decoder: found true, expected an encoder (false)", name);
    return GLLM_OK;
}

static gllm_status check_sizes(const struct model_cfg *c, const char *name, gllm_error *err) {
    if (c->d_model % c->n_head)
        return err_set(err, GLLM_FORMAT, "%s: hidden_size %u is no multiple of num_attention_heads %u", name, c->d_model, c->n_head);
    if (c->pos == POS_AFTER_PAD && c->pad_id + 2 > c->n_pos)
        return err_set(err, GLLM_FORMAT, "%s: max_position_embeddings: found %u, expected more than pad_token_id + 1 = %u", name, c->n_pos, c->pad_id + 1);
    if (c->rel_buckets && (c->rel_buckets < 4 || c->rel_buckets % 4 || c->rel_buckets / 4 >= c->rel_distance))
        return err_set(err, GLLM_FORMAT, "%s: relative_attention_num_buckets: found %u, expected a multiple of 4 below %u", name, c->rel_buckets, 4 * c->rel_distance);
    return GLLM_OK;
}

static gllm_status read_sizes(const json_t *config, const char *name, struct model_cfg *cfg, gllm_error *err) {
    for (unsigned i = 0; i < sizeof SIZE_KEYS / sizeof *SIZE_KEYS; i++) {
        const struct size_key *k = &SIZE_KEYS[i];
        if (k->field == FIELD(pad_id) && cfg->pad_fixed) continue;
        TRY(read_size(config, name, k, cfg, err));
    }
    return GLLM_OK;
}

static gllm_status read_decoder(const json_t *config, const char *name, struct arena *a, const struct arch *arch, struct model_cfg *cfg, gllm_error *err) {
    TRY(read_sizes(config, name, cfg, err));
    TRY(read_act(config, name, &cfg->act, err));
    cfg->d_embd = cfg->d_model;
    if (arch->read_keys) TRY(arch->read_keys(config, name, cfg, err));
    return config_read_decoder(config, name, a, cfg, err);
}

gllm_status config_read(const json_t *config, const char *name, struct arena *a, const struct arch **arch, struct model_cfg *cfg, gllm_error *err) {
    if (!json_is_object(config)) return err_set(err, GLLM_FORMAT, "%s: found %s, expected an object", name, json_kind(config));
    const char *type = NULL, *positions = NULL;
    const json_t *root = config;
    json_t *text = NULL;
    TRY(json_object_at(config, name, "text_config", &text, err)); /* a model of text and images: its text part */
    if (text && (json_object_get(text, "model_type") || json_object_get(text, "num_hidden_layers"))) config = text;
    TRY(json_str(config, name, "model_type", &type, err));
    if (!type) TRY(json_str(root, name, "model_type", &type, err));
    TRY(json_str(config, name, "position_embedding_type", &positions, err));
    char known[512];
    arch_list(known, sizeof known);
    if (!type) return err_set(err, GLLM_FORMAT, "%s: model_type: found nothing, expected one of: %s", name, known);
    *arch = arch_find(type, positions);
    if (!*arch) return err_set(err, GLLM_UNSUPPORTED, "%s: model_type: found \"%.60s\", supported: %s", name, type, known);
    *cfg = (*arch)->cfg;
    TRY(config_read_quant(root, name, a, &cfg->quant, err));
    if (cfg->decoder) return read_decoder(config, name, a, *arch, cfg, err);
    TRY(read_sizes(config, name, cfg, err));
    if (cfg->n_type) TRY(json_u32(config, name, "type_vocab_size", &cfg->n_type, err));
    if (cfg->n_type > 1 << 16) return err_set(err, GLLM_FORMAT, "%s: type_vocab_size: found %u, expected at most 65536", name, cfg->n_type);
    if (cfg->rel_buckets) TRY(json_u32(config, name, "relative_attention_num_buckets", &cfg->rel_buckets, err));
    static const char *const EPS_KEYS[] = {"layer_norm_eps", "layer_norm_epsilon", "norm_eps"}; /* a file has one of them */
    for (unsigned i = 0; i < sizeof EPS_KEYS / sizeof *EPS_KEYS; i++) TRY(json_f32(config, name, EPS_KEYS[i], &cfg->norm_eps, err));
    if (!(cfg->norm_eps >= 0 && cfg->norm_eps < 1))
        return err_set(err, GLLM_FORMAT, "%s: layer_norm_eps: found %g, expected 0 to 1", name, (double)cfg->norm_eps);
    if (!cfg->d_embd) cfg->d_embd = cfg->d_model;
    else {
        TRY(json_u32(config, name, "embedding_size", &cfg->d_embd, err));
        if (!cfg->d_embd || cfg->d_embd > 1 << 16) return err_set(err, GLLM_FORMAT, "%s: embedding_size: found %u, expected 1 to 65536", name, cfg->d_embd);
    }
    TRY(read_act(config, name, &cfg->act, err));
    TRY(refuse_variants(config, name, *arch, positions, err));
    if ((*arch)->read_keys) TRY((*arch)->read_keys(config, name, cfg, err));
    cfg->n_kv = cfg->n_head;
    cfg->d_head = cfg->d_model / cfg->n_head;
    cfg->attn_scale = 1.0f / sqrtf((float)cfg->d_head);
    TRY(config_read_positions(config, name, a, cfg, err));
    return check_sizes(cfg, name, err);
}
