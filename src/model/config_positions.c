/* config_positions.c - the keys of config.json that say where a token looks and how it knows its place: rotary positions, windows, and which layer
 * has which. Encoders and decoders alike. */
#include <math.h>
#include <string.h>

#include "model/config.h"

static gllm_status read_f64(const json_t *o, const char *name, const char *key, double *out, gllm_error *err) {
    const json_t *v = json_object_get(o, key);
    if (!v || json_is_null(v)) return GLLM_OK;
    if (!json_is_number(v) || !isfinite(json_number_value(v))) return err_set(err, GLLM_FORMAT, "%s: %s: found %s, expected a number", name, key, json_kind(v));
    *out = json_number_value(v);
    return GLLM_OK;
}

static gllm_status read_factors(const json_t *o, const char *name, const char *key, uint32_t n, struct arena *a, const float **out, gllm_error *err) {
    json_t *list = NULL;
    TRY(json_array_at(o, name, key, &list, err));
    if (!list) return GLLM_OK;
    if (json_array_size(list) != n) return err_set(err, GLLM_FORMAT, "%s: %s: found %zu factors, expected %u", name, key, json_array_size(list), n);
    float *f = arena_array(a, n, sizeof *f);
    if (!f) return err_nomem(err, name);
    for (uint32_t i = 0; i < n; i++) {
        f[i] = (float)json_number_value(json_array_get(list, i));
        if (!(f[i] > 0)) return err_set(err, GLLM_FORMAT, "%s: %s: factor %u is not above 0", name, key, i);
    }
    *out = f;
    return GLLM_OK;
}

/* rope_scaling or rope_parameters: one object. */
static gllm_status read_rope(const json_t *o, const char *name, const struct model_cfg *cfg, struct arena *a, struct rope_cfg *r, gllm_error *err) {
    static const struct {
        const char *name;
        enum rope_kind kind;
    } KINDS[] = {{"default", ROPE_DEFAULT}, {"mrope", ROPE_DEFAULT} /* of several axes, which are equal for text */, {"linear", ROPE_LINEAR}, {"dynamic", ROPE_DYNAMIC}, {"llama3", ROPE_LLAMA3}, {"yarn", ROPE_YARN}, {"longrope", ROPE_LONGROPE}, {"su", ROPE_LONGROPE}, {"ntk", ROPE_NTK}};
    const char *type = NULL;
    TRY(json_str(o, name, "rope_type", &type, err));
    if (!type) TRY(json_str(o, name, "type", &type, err));
    unsigned k = 0;
    while (type && k < sizeof KINDS / sizeof *KINDS && strcmp(KINDS[k].name, type)) k++;
    if (k == sizeof KINDS / sizeof *KINDS) return err_set(err, GLLM_UNSUPPORTED, "%s: rope_type: found \"%.60s\", which is not supported", name, type);
    r->kind = type ? KINDS[k].kind : ROPE_DEFAULT;
    const struct {
        const char *key;
        double *to;
    } NUMBERS[] = {{"rope_theta", &r->theta}, {"factor", &r->factor}, {"low_freq_factor", &r->low_freq_factor}, {"high_freq_factor", &r->high_freq_factor},
                   {"attention_factor", &r->attention_factor}, {"beta_fast", &r->beta_fast}, {"beta_slow", &r->beta_slow}, {"mscale", &r->mscale}, {"mscale_all_dim", &r->mscale_all_dim}};
    for (unsigned i = 0; i < sizeof NUMBERS / sizeof *NUMBERS; i++) TRY(read_f64(o, name, NUMBERS[i].key, NUMBERS[i].to, err));
    TRY(json_u32(o, name, "original_max_position_embeddings", &r->n_pos_trained, err));
    bool truncate = true;
    TRY(json_flag(o, name, "truncate", &truncate, err));
    r->no_truncate = !truncate;
    TRY(read_factors(o, name, "short_factor", cfg->n_rot / 2, a, &r->short_factor, err));
    TRY(read_factors(o, name, "long_factor", cfg->n_rot / 2, a, &r->long_factor, err));
    if (r->kind == ROPE_LONGROPE && (!r->short_factor || !r->long_factor)) return err_set(err, GLLM_FORMAT, "%s: longrope without short_factor and long_factor", name);
    if (r->kind == ROPE_LLAMA3 && !r->short_factor && !(r->factor >= 1 && r->low_freq_factor > 0 && r->high_freq_factor > r->low_freq_factor && r->n_pos_trained))
        return err_set(err, GLLM_FORMAT, "%s: llama3 rope: factor, low_freq_factor, high_freq_factor or original_max_position_embeddings is missing or out of range", name);
    if ((r->kind == ROPE_LINEAR || r->kind == ROPE_DYNAMIC || r->kind == ROPE_NTK) && !(r->factor >= 1)) return err_set(err, GLLM_FORMAT, "%s: rope factor: found %g, expected 1 or more", name, r->factor);
    if (!(r->factor >= 0 && r->attention_factor >= 0)) return err_set(err, GLLM_FORMAT, "%s: rope factor: found %g, attention_factor %g, expected none below 0", name, r->factor, r->attention_factor);
    return GLLM_OK;
}

static gllm_status read_ropes(const json_t *config, const char *name, struct model_cfg *cfg, struct arena *a, gllm_error *err) {
    json_t *parameters = NULL, *scaling = NULL, *full = NULL, *sliding = NULL;
    struct rope_cfg *r = cfg->ropes;
    TRY(read_f64(config, name, "rope_theta", &r[0].theta, err));
    TRY(read_f64(config, name, "rope_local_base_freq", &r[1].theta, err));
    TRY(json_u32(config, name, "original_max_position_embeddings", &r[0].n_pos_trained, err));
    TRY(json_object_at(config, name, "rope_parameters", &parameters, err));
    TRY(json_object_at(config, name, "rope_scaling", &scaling, err));
    if (parameters) {
        TRY(json_object_at(parameters, name, "full_attention", &full, err));
        TRY(json_object_at(parameters, name, "sliding_attention", &sliding, err));
        if (full || sliding) { /* one for each kind of layer */
            if (full) TRY(read_rope(full, name, cfg, a, &r[0], err));
            if (sliding) TRY(read_rope(sliding, name, cfg, a, &r[1], err));
        } else TRY(read_rope(parameters, name, cfg, a, &r[0], err));
    } else if (scaling) TRY(read_rope(scaling, name, cfg, a, &r[0], err));
    if (r[1].theta == 0) r[1].theta = r[0].theta;
    for (unsigned i = 0; i < N_ROPES; i++)
        if (r[i].kind != ROPE_NONE && !(r[i].theta >= 1 && r[i].theta < 1e12)) return err_set(err, GLLM_FORMAT, "%s: rope_theta: found %g, expected 1 or more", name, r[i].theta);
    return GLLM_OK;
}

static bool has_window(const struct model_cfg *c, uint32_t i) {
    switch (c->window_rule) {
    case WINDOW_EVEN: return i % 2 == 0;
    case WINDOW_NOT_EVERY_NTH: return (i + 1) % c->window_step != 0;
    case WINDOW_NOT_FIRST_OF_N: return i % c->window_step != 0;
    case WINDOW_FROM_LAYER: return i >= c->window_step;
    default: return true;
    }
}

/* layer_types and no_rope_layers where the file has them, else the family's rule. */
static gllm_status read_layers(const json_t *config, const char *name, struct model_cfg *c, struct arena *a, gllm_error *err) {
    json_t *types = NULL, *with_rope = NULL;
    bool use_window = true;
    TRY(json_flag(config, name, "use_sliding_window", &use_window, err));
    TRY(json_array_at(config, name, "layer_types", &types, err));
    TRY(json_array_at(config, name, "no_rope_layers", &with_rope, err)); /* 1: the layer has rotary positions, despite the name */
    struct layer_cfg *layers = arena_array(a, c->n_layer, sizeof *layers);
    if (!layers) return err_nomem(err, name);
    if ((types && json_array_size(types) != c->n_layer) || (with_rope && json_array_size(with_rope) != c->n_layer))
        return err_set(err, GLLM_FORMAT, "%s: %s: found %zu entries, expected %u", name, types ? "layer_types" : "no_rope_layers", json_array_size(types ? types : with_rope), c->n_layer);
    for (uint32_t i = 0; i < c->n_layer; i++) {
        const char *type = json_string_value(json_array_get(types, i));
        if (types && (!type || (strcmp(type, "full_attention") && strcmp(type, "sliding_attention"))))
            return err_set(err, GLLM_UNSUPPORTED, "%s: layer_types[%u]: found \"%.60s\", expected full_attention or sliding_attention", name, i, type ? type : "");
        const bool sliding = types ? !strcmp(type, "sliding_attention") : c->window && use_window && has_window(c, i);
        if (sliding && !c->window) return err_set(err, GLLM_FORMAT, "%s: layer %u is sliding_attention and sliding_window says nothing", name, i);
        bool rope = c->ropes[0].kind != ROPE_NONE && (!c->no_rope_step || (i + 1) % c->no_rope_step);
        if (with_rope) rope = json_number_value(json_array_get(with_rope, i)) > 0;
        layers[i] = (struct layer_cfg){.window = sliding ? c->window : 0, .rope = !rope ? -1 : sliding && c->ropes[1].kind != ROPE_NONE};
    }
    c->layers = layers;
    return GLLM_OK;
}

static gllm_status read_window(const json_t *config, const char *name, struct model_cfg *c, gllm_error *err) {
    const json_t *v = json_object_get(config, "sliding_window");
    if (v && json_is_null(v)) c->window = 0;
    TRY(json_u32(config, name, "sliding_window", &c->window, err));
    if (c->window_rule == WINDOW_FROM_LAYER) TRY(json_u32(config, name, "max_window_layers", &c->window_step, err));
    if (c->window_rule == WINDOW_NOT_EVERY_NTH) {
        TRY(json_u32(config, name, "sliding_window_pattern", &c->window_step, err));
        TRY(json_u32(config, name, "_sliding_window_pattern", &c->window_step, err));
        if (!c->window_step) return err_set(err, GLLM_FORMAT, "%s: sliding_window_pattern: found 0, expected 1 or more", name);
    }
    return c->no_rope_step ? json_u32(config, name, "no_rope_layer_interval", &c->no_rope_step, err) : GLLM_OK;
}

static gllm_status read_rotary_width(const json_t *config, const char *name, struct model_cfg *c, gllm_error *err) {
    json_t *rope = NULL;
    TRY(json_f32(config, name, "partial_rotary_factor", &c->rotary_share, err));
    TRY(json_object_at(config, name, "rope_parameters", &rope, err));
    if (rope) TRY(json_f32(rope, name, "partial_rotary_factor", &c->rotary_share, err));
    if (!(c->rotary_share >= 0 && c->rotary_share <= 1)) return err_set(err, GLLM_FORMAT, "%s: partial_rotary_factor: found %g, expected 0 to 1", name, (double)c->rotary_share);
    c->n_rot = c->rotary_share > 0 ? (uint32_t)((float)c->d_head * c->rotary_share) : c->d_head;
    TRY(json_u32(config, name, "rope_dimension_count", &c->n_rot, err)); /* as GGUF says it */
    if (!c->n_rot || c->n_rot % 2 || c->n_rot > c->d_head) return err_set(err, GLLM_FORMAT, "%s: %u rotary values in a head of %u, expected an even number", name, c->n_rot, c->d_head);
    return GLLM_OK;
}

/* `is_causal: false` makes an embedder of any decoder. Gemma's own key also says that a window is counted from end to end. */
static gllm_status read_mask(const json_t *config, const char *name, struct model_cfg *c, gllm_error *err) {
    bool both_ways = false;
    TRY(json_flag(config, name, "is_causal", &c->causal, err));
    TRY(json_flag(config, name, "use_bidirectional_attention", &both_ways, err));
    if (both_ways) c->causal = false, c->window /= 2;
    return GLLM_OK;
}

gllm_status config_read_positions(const json_t *config, const char *name, struct arena *a, struct model_cfg *c, gllm_error *err) {
    TRY(read_window(config, name, c, err));
    if (c->decoder) TRY(read_mask(config, name, c, err));
    if (c->ropes[0].kind != ROPE_NONE) {
        TRY(read_rotary_width(config, name, c, err));
        TRY(read_ropes(config, name, c, a, err));
    }
    return read_layers(config, name, c, a, err);
}
