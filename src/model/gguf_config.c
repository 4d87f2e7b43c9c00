#include "model/gguf_config.h"

#include <stdio.h>
#include <string.h>

struct source {
    const struct gguf *g;
    const char *name, *arch; /* the file; general.architecture */
    json_t *to;
};

static const char *full_key(const struct source *s, const char *key, char *buf, size_t size) {
    snprintf(buf, size, "%s.%s", s->arch, key);
    return buf;
}

/* ARCH.key as the number `as`. A list of numbers (one a layer) counts when all are equal. */
static gllm_status number(const struct source *s, const char *key, const char *as, bool required, gllm_error *err) {
    char full[200];
    double v = 0;
    bool found = false;
    const struct gguf_entry *e = gguf_find(s->g, full_key(s, key, full, sizeof full));
    if (e && e->type == GGUF_ARRAY) {
        for (uint64_t i = 0; i < e->value.count; i++) {
            double x;
            if (!gguf_at_f64(&e->value, i, &x)) return err_set(err, GLLM_FORMAT, "%s: %s: element %llu is no number", s->name, full, (unsigned long long)i);
            if (i && x != v) return err_set(err, GLLM_UNSUPPORTED, "%s: %s: found %g and %g, expected the same for all layers", s->name, full, v, x);
            v = x;
            found = true;
        }
    } else TRY(gguf_f64(s->g, full, &v, &found, err));
    if (!found && required) return err_set(err, GLLM_FORMAT, "%s: %s: found nothing, expected a number", s->name, full);
    return found && json_object_set_new(s->to, as, json_real(v)) ? err_nomem(err, s->name) : GLLM_OK;
}

static gllm_status rope_scaling(const struct source *s, gllm_error *err) {
    char full[200];
    struct gguf_str type = {0};
    bool found = false;
    TRY(gguf_str(s->g, full_key(s, "rope.scaling.type", full, sizeof full), &type, &found, err));
    if (!found || (type.len == 4 && !memcmp(type.data, "none", 4))) return GLLM_OK;
    json_t *rope = json_object();
    if (!rope || json_object_set_new(s->to, "rope_scaling", rope) || json_object_set_new(rope, "type", json_stringn(type.data, type.len))) return err_nomem(err, s->name);
    struct source inner = *s;
    inner.to = rope;
    TRY(number(&inner, "rope.scaling.factor", "factor", false, err));
    TRY(number(&inner, "rope.scaling.original_context_length", "original_max_position_embeddings", false, err));
    TRY(number(&inner, "rope.scaling.yarn_beta_fast", "beta_fast", false, err));
    return number(&inner, "rope.scaling.yarn_beta_slow", "beta_slow", false, err);
}

static double get(const json_t *o, const char *key) { return json_number_value(json_object_get(o, key)); }

/* Where the files leave to the program what config.json says: widths of heads, the scale of Gemma's largest models. */
static gllm_status fill_in(const struct source *s, const struct arch *arch, gllm_error *err) {
    const double d_model = get(s->to, "hidden_size"), heads = get(s->to, "num_attention_heads");
    if (heads >= 1 && !json_object_get(s->to, "head_dim") && json_object_set_new(s->to, "head_dim", json_real((double)(uint64_t)(d_model / heads)))) return err_nomem(err, s->name);
    if (arch->cfg.attn_scale > 0 && heads >= 1) { /* Gemma: by head, but in the 27B models by d_model / heads */
        const bool largest = get(s->to, "num_hidden_layers") == (arch->cfg.qk_norm ? 62 : 46);
        if (json_object_set_new(s->to, "query_pre_attn_scalar", json_real(largest ? d_model / heads : get(s->to, "head_dim")))) return err_nomem(err, s->name);
    }
    return GLLM_OK;
}

static gllm_status convert(const struct source *s, const struct weights *w, const struct arch *arch, gllm_error *err) {
    static const struct {
        const char *key, *as;
        bool required;
    } NUMBERS[] = {{"block_count", "num_hidden_layers", true}, {"embedding_length", "hidden_size", true}, {"feed_forward_length", "intermediate_size", true},
                   {"attention.head_count", "num_attention_heads", true}, {"attention.head_count_kv", "num_key_value_heads", false}, {"attention.key_length", "head_dim", false},
                   {"attention.layer_norm_rms_epsilon", "rms_norm_eps", false}, {"context_length", "max_position_embeddings", true}, {"rope.freq_base", "rope_theta", false},
                   {"rope.dimension_count", "rope_dimension_count", false}, {"attention.sliding_window", "sliding_window", false},
                   {"attn_logit_softcapping", "attn_logit_softcapping", false}, {"final_logit_softcapping", "final_logit_softcapping", false}};
    for (unsigned i = 0; i < sizeof NUMBERS / sizeof *NUMBERS; i++) TRY(number(s, NUMBERS[i].key, NUMBERS[i].as, NUMBERS[i].required, err));
    const struct tensor *embd = weights_find(w, "token_embd.weight");
    if (!embd || embd->rank != 2) return err_set(err, GLLM_FORMAT, "%s: token_embd.weight: no such matrix", s->name);
    if (json_object_set_new(s->to, "vocab_size", json_real((double)embd->shape[0])) || json_object_set_new(s->to, "model_type", json_string(arch->model_types[0]))) return err_nomem(err, s->name);
    if (get(s->to, "sliding_window") == 0) json_object_set_new(s->to, "sliding_window", json_null());
    TRY(rope_scaling(s, err));
    return fill_in(s, arch, err);
}

gllm_status gguf_config(const struct weights *w, const char *name, struct arch *arch, json_t **config, gllm_error *err) {
    struct source s = {.g = weights_gguf(w), .name = name};
    struct gguf_str kind = {0};
    char text[64], known[400];
    bool found = false;
    *config = NULL;
    TRY(gguf_str(s.g, "general.architecture", &kind, &found, err));
    if (!found) return err_set(err, GLLM_FORMAT, "%s: general.architecture: found nothing, expected a name", name);
    snprintf(text, sizeof text, "%.*s", (int)(kind.len < 60 ? kind.len : 60), kind.data);
    const struct arch *a = arch_find_gguf(text);
    arch_list_gguf(known, sizeof known);
    if (!a) return err_set(err, GLLM_UNSUPPORTED, "%s: general.architecture: found \"%s\", supported: %s", name, text, known);
    *arch = *a;
    arch->names = &NAMES_GGUF;
    arch->slots = a->names;
    arch->cfg.rope_interleaved = a->gguf_interleaved;
    arch->cfg.norm_plus_one = false; /* the files hold w + 1 already */
    s.arch = text;
    s.to = *config = json_object();
    if (!s.to) return err_nomem(err, name);
    gllm_status status = convert(&s, w, a, err);
    if (status != GLLM_OK) {
        json_decref(*config);
        *config = NULL;
    }
    return status;
}

static gllm_status factors(const struct weights *w, const char *tensor, struct arena *a, uint32_t n, const float **out, gllm_error *err) {
    const struct tensor *t = weights_find(w, tensor);
    if (!t) return GLLM_OK;
    if (t->rank != 1 || t->shape[0] != n || t->dtype != DTYPE_F32) return err_set(err, GLLM_FORMAT, "%s: expected %u values of F32", tensor, n);
    float *f = arena_array(a, n, sizeof *f);
    if (!f) return err_nomem(err, tensor);
    memcpy(f, t->data, n * sizeof *f);
    for (uint32_t i = 0; i < n; i++)
        if (!(f[i] > 0)) return err_set(err, GLLM_FORMAT, "%s: factor %u: found %g, expected above 0", tensor, i, (double)f[i]);
    *out = f;
    return GLLM_OK;
}

gllm_status gguf_rope_factors(const struct weights *w, struct arena *a, struct model_cfg *cfg, gllm_error *err) {
    struct rope_cfg *r = &cfg->ropes[0];
    const float *freqs = NULL;
    const struct gguf *g = weights_gguf(w);
    TRY(factors(w, "rope_factors_short.weight", a, cfg->n_rot / 2, &r->short_factor, err));
    TRY(factors(w, "rope_factors_long.weight", a, cfg->n_rot / 2, &r->long_factor, err));
    TRY(factors(w, "rope_freqs.weight", a, cfg->n_rot / 2, &freqs, err));
    if (r->short_factor && r->long_factor) {
        r->kind = ROPE_LONGROPE;
        TRY(gguf_f64(g, "phi3.rope.scaling.attn_factor", &r->attention_factor, NULL, err));
        uint64_t trained = r->n_pos_trained;
        TRY(gguf_u64(g, "phi3.rope.scaling.original_context_length", &trained, NULL, err));
        r->n_pos_trained = (uint32_t)trained;
    } else if (freqs) {
        r->kind = ROPE_LLAMA3;
        r->short_factor = freqs;
    }
    return GLLM_OK;
}
