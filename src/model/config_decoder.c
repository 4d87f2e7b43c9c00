/* config_decoder.c - the keys of config.json that only decoders have: heads, norms, caps. */
#include <math.h>

#include "model/config.h"

gllm_status config_read_decoder(const json_t *config, const char *name, struct arena *a, struct model_cfg *c, gllm_error *err) {
    c->n_kv = c->n_head;
    if (!c->d_head) c->d_head = c->d_model / c->n_head;
    TRY(json_u32(config, name, "num_key_value_heads", &c->n_kv, err));
    TRY(json_u32(config, name, "head_dim", &c->d_head, err));
    if (!c->n_kv || c->n_head % c->n_kv) return err_set(err, GLLM_FORMAT, "%s: num_key_value_heads: found %u, expected a divisor of the %u heads", name, c->n_kv, c->n_head);
    if (!c->d_head || c->d_head > 1024) return err_set(err, GLLM_FORMAT, "%s: head_dim: found %u, expected 1 to 1024", name, c->d_head);
    TRY(json_f32(config, name, "rms_norm_eps", &c->norm_eps, err));
    if (!(c->norm_eps >= 0 && c->norm_eps < 1)) return err_set(err, GLLM_FORMAT, "%s: rms_norm_eps: found %g, expected 0 to 1", name, (double)c->norm_eps);
    TRY(json_f32(config, name, "query_pre_attn_scalar", &c->attn_scale, err));
    if (c->attn_scale < 0) return err_set(err, GLLM_FORMAT, "%s: query_pre_attn_scalar: found %g, expected above 0", name, (double)c->attn_scale);
    c->attn_scale = 1.0f / sqrtf(c->attn_scale > 0 ? c->attn_scale : (float)c->d_head);
    const char *const CAPS[] = {"attn_logit_softcapping", "final_logit_softcapping"};
    float *const caps[] = {&c->attn_cap, &c->logit_cap};
    for (unsigned i = 0; i < 2; i++) {
        const json_t *v = json_object_get(config, CAPS[i]);
        if (v && json_is_null(v)) *caps[i] = 0;
        TRY(json_f32(config, name, CAPS[i], caps[i], err));
        if (!(*caps[i] >= 0)) return err_set(err, GLLM_FORMAT, "%s: %s: found %g, expected 0 or more", name, CAPS[i], (double)*caps[i]);
    }
    return config_read_positions(config, name, a, c, err);
}
