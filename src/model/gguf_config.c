#include "model/gguf_config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

struct source {
    const struct weights *w;
    const struct gguf *g;
    const char *name, *arch; /* the file; general.architecture */
    json_t *to;
};
enum { KEY_ROOM = 200 };
struct full_key {
    char text[KEY_ROOM];
};
static struct full_key full_key(const struct source *s, const char *key) { /* ARCH.key */
    struct full_key k;
    snprintf(k.text, sizeof k.text, "%s.%s", s->arch, key);
    return k;
}

static gllm_status set(const struct source *s, const char *as, json_t *v, gllm_error *err) {
    return v && !json_object_set_new(s->to, as, v) ? GLLM_OK : err_nomem(err, s->name);
}
static double get(const struct source *s, const char *as) { return json_number_value(json_object_get(s->to, as)); }
static bool has(const struct source *s, const char *as) { return json_object_get(s->to, as) != NULL; }

/* Element i as a number; a flag is 0 or 1. */
static bool element(const struct gguf_array *a, uint64_t i, double *out) {
    if (a->type != GGUF_BOOL) return gguf_at_f64(a, i, out);
    *out = a->data[i] != 0;
    return true;
}

/* ARCH.key as one number. A list of numbers (one a layer) counts when all are equal. */
static gllm_status value(const struct source *s, const char *key, double *out, bool *found, gllm_error *err) {
    const struct full_key full = full_key(s, key);
    const struct gguf_entry *e = gguf_find(s->g, full.text);
    *found = e && e->value.count;
    for (uint64_t i = 0; *found && i < e->value.count; i++) {
        double v;
        if (!element(&e->value, i, &v)) return err_set(err, GLLM_FORMAT, "%s: %s: found %s, expected a number", s->name, full.text, gguf_type_name(e->value.type));
        if (!isfinite(v)) return err_set(err, GLLM_FORMAT, "%s: %s: found %g, expected a finite number", s->name, full.text, v);
        if (i && v != *out) return err_set(err, GLLM_UNSUPPORTED, "%s: %s: found %g and %g, expected the same for all layers", s->name, full.text, *out, v);
        *out = v;
    }
    return GLLM_OK;
}

static gllm_status number(const struct source *s, const char *key, const char *as, bool required, gllm_error *err) {
    double v = 0;
    bool found;
    TRY(value(s, key, &v, &found, err));
    if (!found && required) return err_set(err, GLLM_FORMAT, "%s: %s: found nothing, expected a number", s->name, full_key(s, key).text);
    return found ? set(s, as, json_real(v), err) : GLLM_OK;
}

static gllm_status flag(const struct source *s, const char *key, bool *out, gllm_error *err) { /* unchanged where the file does not say it */
    double v = 0;
    bool found;
    TRY(value(s, key, &v, &found, err));
    if (found) *out = v != 0;
    return GLLM_OK;
}

/* Keys of other models under the same architecture's name, which would change the values if they were overlooked. */
static gllm_status refuse_variants(const struct source *s, const struct arch *arch, gllm_error *err) {
    const struct {
        const char *key;
        double harmless;
        const char *what;
    } KEYS[] = {{"expert_count", 0, "a mixture of experts"},
                {"attention.temperature_scale", 0, "attention scaled by position"},
                {"attention.clamp_kqv", 0, "clamped keys and values"},
                {"attention.scale", 0, "a scale of attention of its own"},
                {"logit_scale", 0, "scaled logits"},
                {"rope.scaling.alpha", 0, "rotary positions scaled by alpha"},
                {"rope.scaling.yarn_ext_factor", 1, "YaRN mixed with linear positions"}};
    for (unsigned i = 0; i < sizeof KEYS / sizeof *KEYS; i++) {
        double v = KEYS[i].harmless;
        bool found;
        TRY(value(s, KEYS[i].key, &v, &found, err));
        if (v != KEYS[i].harmless)
            return err_set(err, GLLM_UNSUPPORTED, "%s: %s: found %g (%s), expected %g", s->name, full_key(s, KEYS[i].key).text, v, KEYS[i].what, KEYS[i].harmless);
    }
    bool causal = false;
    if (!arch->cfg.decoder) TRY(flag(s, "attention.causal", &causal, err));
    if (causal) return err_set(err, GLLM_UNSUPPORTED, "%s: %s: found 1 (an encoder with a causal mask), expected 0", s->name, full_key(s, "attention.causal").text);
    struct gguf_str type = {0};
    bool found;
    TRY(gguf_str(s->g, "general.type", &type, &found, err));
    if (found && (type.len != 5 || memcmp(type.data, "model", 5)))
        return err_set(err, GLLM_UNSUPPORTED, "%s: general.type: found \"%.*s\", expected \"model\"", s->name, (int)(type.len < 60 ? type.len : 60), type.data);
    return GLLM_OK;
}

/* ---- rotary positions ---- */

/* A tensor of divisors of the rotary frequencies as a list. Absent: *out NULL. */
static gllm_status divisors(const struct source *s, const char *tensor, json_t **out, gllm_error *err) {
    const struct tensor *t = weights_find(s->w, tensor);
    char shape[100];
    *out = NULL;
    if (!t) return GLLM_OK;
    if (t->rank != 1 || t->dtype != DTYPE_F32)
        return err_set(err, GLLM_FORMAT, "%s: %s: found %s of shape %s, expected a list of F32", s->name, tensor, dtype_traits(t->dtype)->name, tensor_shape_text(t->shape, t->rank, shape, sizeof shape));
    *out = json_array();
    for (uint64_t i = 0; *out && i < t->shape[0]; i++) {
        float f;
        dtype_to_f32(DTYPE_F32, (const char *)t->data + i * sizeof f, &f, 1);
        if (!(f > 0 && f < 1e9f) || json_array_append_new(*out, json_real((double)f))) {
            json_decref(*out);
            *out = NULL;
            return err_set(err, GLLM_FORMAT, "%s: %s: factor %llu: found %g, expected above 0", s->name, tensor, (unsigned long long)i, (double)f);
        }
    }
    return *out ? GLLM_OK : err_nomem(err, s->name);
}

/* The factors of LongRoPE, or the table that Llama 3's formula gives. */
static gllm_status rope_factors(const struct source *s, gllm_error *err) {
    static const char *const TENSORS[] = {"rope_factors_short.weight", "rope_factors_long.weight", "rope_freqs.weight"};
    json_t *list[3] = {NULL};
    for (unsigned i = 0; i < 3; i++) {
        TRY(divisors(s, TENSORS[i], &list[i], err));
        if (list[i]) TRY(set(s, i == 1 ? "long_factor" : "short_factor", list[i], err));
    }
    const bool longrope = list[0] && list[1];
    if (!list[0] != !list[1]) return err_set(err, GLLM_FORMAT, "%s: %s: no such tensor, but there is %s", s->name, TENSORS[!!list[0]], TENSORS[!list[0]]);
    if (!longrope && !list[2]) return GLLM_OK;
    const char *type = json_string_value(json_object_get(s->to, "type")), *now = longrope ? "longrope" : "llama3";
    if (list[2] && (longrope || type)) return err_set(err, GLLM_UNSUPPORTED, "%s: rope_freqs.weight beside rotary scaling of type %s", s->name, longrope ? now : type);
    return set(s, "type", json_string(now), err);
}

static gllm_status rope_scaling(const struct source *outer, gllm_error *err) {
    struct source s = *outer;
    struct gguf_str type = {0};
    bool found = false;
    s.to = json_object();
    TRY(set(outer, "rope_scaling", s.to, err));
    TRY(number(&s, "rope.scale_linear", "factor", false, err)); /* the key of early files */
    TRY(number(&s, "rope.scaling.factor", "factor", false, err));
    if (get(&s, "factor") == 0) json_object_del(s.to, "factor");
    TRY(gguf_str(s.g, full_key(&s, "rope.scaling.type").text, &type, &found, err));
    if (found && type.len == 4 && !memcmp(type.data, "none", 4)) json_object_clear(s.to);
    else if (found) {
        if (!utf8_valid(type.data, type.len, NULL)) return err_set(err, GLLM_FORMAT, "%s: %s is not UTF-8", s.name, full_key(&s, "rope.scaling.type").text);
        TRY(set(&s, "type", json_stringn(type.data, type.len), err));
    } else if (has(&s, "factor")) TRY(set(&s, "type", json_string("linear"), err));
    static const char *const NUMBERS[][2] = {{"original_context_length", "original_max_position_embeddings"}, {"yarn_beta_fast", "beta_fast"}, {"yarn_beta_slow", "beta_slow"},
                                             {"yarn_log_multiplier", "mscale_all_dim"}, {"yarn_attn_factor", "attention_factor"}, {"attn_factor", "attention_factor"}};
    for (unsigned i = 0; i < sizeof NUMBERS / sizeof *NUMBERS; i++) {
        char key[64];
        snprintf(key, sizeof key, "rope.scaling.%s", NUMBERS[i][0]);
        TRY(number(&s, key, NUMBERS[i][1], false, err));
    }
    if (has(&s, "mscale_all_dim")) TRY(set(&s, "mscale", json_real(1), err));
    return rope_factors(&s, err);
}

/* ---- what the files leave to the program ---- */

static gllm_status default_to(const struct source *s, const char *as, double v, gllm_error *err) { return has(s, as) ? GLLM_OK : set(s, as, json_real(v), err); }

static gllm_status fill_in(const struct source *s, const struct arch *arch, gllm_error *err) {
    const double heads = get(s, "num_attention_heads"), by_width = heads >= 1 ? floor(get(s, "hidden_size") / heads) : 0;
    double width = 0;
    bool found;
    TRY(default_to(s, "head_dim", by_width, err));
    TRY(value(s, "attention.value_length", &width, &found, err));
    if (found && width != get(s, "head_dim"))
        return err_set(err, GLLM_UNSUPPORTED, "%s: %s: found %g, expected the %g of the keys", s->name, full_key(s, "attention.value_length").text, width, get(s, "head_dim"));
    TRY(default_to(s, "rope_dimension_count", get(s, "head_dim"), err));
    TRY(default_to(s, "rope_theta", 1e4, err));
    if (arch->cfg.attn_scale > 0) { /* Gemma: by head, but in the 27B models by d_model / heads. Converters write no key for it, and llama.cpp knows them by their layers, too */
        const bool largest = get(s, "num_hidden_layers") == (arch->cfg.qk_norm ? 62 : 46);
        TRY(set(s, "query_pre_attn_scalar", json_real(largest ? by_width : get(s, "head_dim")), err));
    }
    return GLLM_OK;
}

/* attention.sliding_window and which layers have it: a flag for each, or every how many-th has not. 0: no layer. Only Gemma 2's files may leave
 * out a window that the model has. */
static gllm_status window(const struct source *s, const struct arch *arch, gllm_error *err) {
    TRY(number(s, "attention.sliding_window", "sliding_window", false, err));
    if (!has(s, "sliding_window") && arch->cfg.window_rule == WINDOW_EVEN) return GLLM_OK;
    if (get(s, "sliding_window") == 0) return set(s, "sliding_window", json_null(), err);
    const struct full_key full = full_key(s, "attention.sliding_window_pattern");
    const struct gguf_entry *e = gguf_find(s->g, full.text);
    if (!e || e->type != GGUF_ARRAY) return number(s, "attention.sliding_window_pattern", "sliding_window_pattern", false, err);
    json_t *types = json_array();
    TRY(set(s, "layer_types", types, err));
    for (uint64_t i = 0; i < e->value.count && i < get(s, "num_hidden_layers"); i++) {
        double sliding;
        if (!element(&e->value, i, &sliding)) return err_set(err, GLLM_FORMAT, "%s: %s: found %s, expected flags", s->name, full.text, gguf_type_name(e->value.type));
        if (json_array_append_new(types, json_string(sliding != 0 ? "sliding_attention" : "full_attention"))) return err_nomem(err, s->name);
    }
    return GLLM_OK;
}

/* Every block in the file is one of block_count: fewer would be another model. */
static gllm_status check_blocks(const struct source *s, gllm_error *err) {
    const double n = get(s, "num_hidden_layers");
    for (size_t i = 0; i < weights_count(s->w); i++) {
        const char *tensor = weights_at(s->w, i)->name;
        if (!strncmp(tensor, "blk.", 4) && (double)strtoul(tensor + 4, NULL, 10) >= n)
            return err_set(err, GLLM_FORMAT, "%s: %s: found %g, expected more: there is %s", s->name, full_key(s, "block_count").text, n, tensor);
    }
    return GLLM_OK;
}

/* The last layers of some files predict more than one token at once; they are no part of the model. */
static gllm_status leave_out_nextn(const struct source *s, gllm_error *err) {
    const double n = get(s, "num_hidden_layers");
    double extra = 0;
    bool found;
    TRY(value(s, "nextn_predict_layers", &extra, &found, err));
    if (!(extra >= 0 && extra < n)) return err_set(err, GLLM_FORMAT, "%s: %s: found %g, expected less than the %g layers", s->name, full_key(s, "nextn_predict_layers").text, extra, n);
    return set(s, "num_hidden_layers", json_real(n - extra), err);
}

/* EmbeddingGemma sees both ways, through a window that is counted from end to end; others may say that they have no causal mask. */
static gllm_status mask(const struct source *s, gllm_error *err) {
    bool causal = true;
    if (!strcmp(s->arch, "gemma-embedding")) return set(s, "use_bidirectional_attention", json_true(), err);
    TRY(flag(s, "attention.causal", &causal, err));
    if (causal) return GLLM_OK;
    if (get(s, "sliding_window") > 0) return err_set(err, GLLM_UNSUPPORTED, "%s: %s: found false beside a window of %g, expected one of them", s->name, full_key(s, "attention.causal").text, get(s, "sliding_window"));
    return set(s, "is_causal", json_false(), err);
}

struct number_key {
    const char *key, *as;
    bool required;
};

static gllm_status convert_decoder(const struct source *s, const struct arch *arch, gllm_error *err) {
    static const struct number_key NUMBERS[] = {
        {"attention.head_count_kv", "num_key_value_heads", false}, {"attention.key_length", "head_dim", false}, {"attention.layer_norm_rms_epsilon", "rms_norm_eps", true},
        {"rope.freq_base", "rope_theta", false}, {"rope.freq_base_swa", "rope_local_base_freq", false}, {"rope.dimension_count", "rope_dimension_count", false},
        {"attn_logit_softcapping", "attn_logit_softcapping", false}, {"final_logit_softcapping", "final_logit_softcapping", false}};
    for (unsigned i = 0; i < sizeof NUMBERS / sizeof *NUMBERS; i++) TRY(number(s, NUMBERS[i].key, NUMBERS[i].as, NUMBERS[i].required, err));
    TRY(leave_out_nextn(s, err));
    TRY(window(s, arch, err));
    TRY(mask(s, err));
    TRY(rope_scaling(s, err));
    return fill_in(s, arch, err);
}

/* What the head looks at. Where no key says it, llama.cpp takes the mean with a head that has a norm. */
static gllm_status classifier_pooling(const struct source *s, const struct arch *arch, gllm_error *err) {
    double type = arch->names->score_norm ? GGUF_POOL_MEAN : GGUF_POOL_CLS;
    bool found;
    TRY(value(s, "classifier.pooling_type", &type, &found, err));
    if (type != GGUF_POOL_MEAN && type != GGUF_POOL_CLS)
        return err_set(err, GLLM_UNSUPPORTED, "%s: %s: found %g, expected 1 (mean) or 2 (cls)", s->name, full_key(s, "classifier.pooling_type").text, type);
    return set(s, "classifier_pooling", json_string(type == GGUF_POOL_MEAN ? "mean" : "cls"), err);
}

/* cls and cls.output: a head of one layer or two, cls.norm between them. Its labels stand in a key of their own, or are numbered. A file that pools as an embedder is one. */
static gllm_status classifier(const struct source *s, const struct arch *arch, gllm_error *err) {
    const struct tensor *out = weights_find(s->w, "cls.output.weight"), *last = out ? out : weights_find(s->w, "cls.weight");
    const struct full_key full = full_key(s, "classifier.output_labels");
    struct gguf_array labels = {0};
    struct gguf_str text;
    char number[32], class[80];
    bool found = false;
    json_t *names;
    if (!last || !last->rank || (has(s, "pooling_type") && get(s, "pooling_type") != GGUF_POOL_NONE && get(s, "pooling_type") != GGUF_POOL_RANK)) return GLLM_OK;
    snprintf(class, sizeof class, "%sForSequenceClassification", arch->model_types[0]);
    TRY(set(s, "architectures", json_pack("[s]", class), err));
    TRY(classifier_pooling(s, arch, err));
    TRY(set(s, "num_labels", json_real((double)last->shape[0]), err));
    TRY(gguf_array(s->g, full.text, &labels, &found, err));
    if (!found) return GLLM_OK;
    if (labels.type != GGUF_STRING || labels.count != last->shape[0])
        return err_set(err, GLLM_FORMAT, "%s: %s: found %llu of %s, expected %llu strings", s->name, full.text, (unsigned long long)labels.count, gguf_type_name(labels.type), (unsigned long long)last->shape[0]);
    TRY(set(s, "id2label", names = json_object(), err));
    for (uint64_t i = 0; gguf_next_str(&labels, &text); i++) {
        snprintf(number, sizeof number, "%llu", (unsigned long long)i);
        json_t *name = json_stringn(text.data, text.len);
        if (!name) return err_set(err, GLLM_FORMAT, "%s: %s[%s] is not UTF-8", s->name, full.text, number);
        if (json_object_set_new(names, number, name)) return err_nomem(err, s->name);
    }
    return GLLM_OK;
}

/* Rotary positions, windows of some layers, and the activation, which only newer files of ModernBERT say. */
static gllm_status encoder_ropes(const struct source *s, gllm_error *err) {
    static const struct number_key NUMBERS[] = {{"rope.freq_base", "rope_theta", false}, {"rope.freq_base_swa", "rope_local_base_freq", false}, {"rope.dimension_count", "rope_dimension_count", false},
                                                {"attention.sliding_window", "local_attention", false}, {"attention.sliding_window_pattern", "global_attn_every_n_layers", false}};
    struct gguf_str act = {0};
    bool found;
    for (unsigned i = 0; i < sizeof NUMBERS / sizeof *NUMBERS; i++) TRY(number(s, NUMBERS[i].key, NUMBERS[i].as, NUMBERS[i].required, err));
    if (get(s, "local_attention") == 0) { /* all layers see all */
        json_object_del(s->to, "local_attention");
        TRY(set(s, "global_attn_every_n_layers", json_real(1), err));
    }
    TRY(gguf_str(s->g, full_key(s, "hidden_activation").text, &act, &found, err));
    if (found && !utf8_valid(act.data, act.len, NULL)) return err_set(err, GLLM_FORMAT, "%s: %s is not UTF-8", s->name, full_key(s, "hidden_activation").text);
    if (found) TRY(set(s, "hidden_activation", json_stringn(act.data, act.len), err));
    return rope_scaling(s, err);
}

static gllm_status convert_encoder(const struct source *s, const struct arch *arch, gllm_error *err) {
    const struct tensor *types = weights_find(s->w, "token_types.weight");
    double n_kv = get(s, "num_attention_heads");
    const double n_head = n_kv;
    TRY(number(s, "attention.layer_norm_epsilon", "layer_norm_eps", true, err));
    TRY(value(s, "attention.head_count_kv", &n_kv, &(bool){false}, err));
    if (n_kv != n_head) return err_set(err, GLLM_UNSUPPORTED, "%s: %s: found %g, expected the %g of the queries", s->name, full_key(s, "attention.head_count_kv").text, n_kv, n_head);
    if (types && types->rank) TRY(set(s, "type_vocab_size", json_real((double)types->shape[0]), err));
    if (arch->positions) TRY(set(s, "position_embedding_type", json_string(arch->positions), err));
    if (arch->cfg.alibi) TRY(set(s, "feed_forward_type", json_string("geglu"), err)); /* JinaBert's; no key says it */
    if (arch->cfg.ropes[0].kind != ROPE_NONE) TRY(encoder_ropes(s, err));
    return GLLM_OK;
}

static gllm_status convert(const struct source *s, const struct arch *arch, gllm_error *err) {
    static const struct number_key NUMBERS[] = {{"block_count", "num_hidden_layers", true}, {"embedding_length", "hidden_size", true}, {"feed_forward_length", "intermediate_size", true},
                                                {"attention.head_count", "num_attention_heads", true}, {"context_length", "max_position_embeddings", true}, {"pooling_type", "pooling_type", false}};
    TRY(refuse_variants(s, arch, err));
    for (unsigned i = 0; i < sizeof NUMBERS / sizeof *NUMBERS; i++) TRY(number(s, NUMBERS[i].key, NUMBERS[i].as, NUMBERS[i].required, err));
    const struct tensor *embd = weights_find(s->w, "token_embd.weight");
    if (!embd || embd->rank != 2) return err_set(err, GLLM_FORMAT, "%s: token_embd.weight: no such matrix", s->name);
    TRY(set(s, "vocab_size", json_real((double)embd->shape[0]), err));
    TRY(set(s, "model_type", json_string(arch->model_types[0]), err));
    TRY(check_blocks(s, err));
    TRY(arch->cfg.decoder ? convert_decoder(s, arch, err) : convert_encoder(s, arch, err));
    return classifier(s, arch, err);
}

/* Rotary positions of several axes come with halves apart, whatever the architecture; for text all axes are equal. */
static bool has_axes(const struct source *s) {
    const struct gguf_entry *e = gguf_find(s->g, full_key(s, "rope.dimension_sections").text);
    double v;
    for (uint64_t i = 0; e && i < e->value.count; i++)
        if (element(&e->value, i, &v) && v > 0) return true;
    return false;
}

/* The converter writes DistilBERT as `bert`: a bert without token types. */
static const struct arch *entry_of(const struct weights *w, const char *kind) {
    return !strcmp(kind, "bert") && !weights_find(w, "token_types.weight") ? arch_find("distilbert", NULL) : arch_find_gguf(kind);
}

gllm_status gguf_config(const struct weights *w, const char *name, struct arch *arch, json_t **config, gllm_error *err) {
    struct source s = {.w = w, .g = weights_gguf(w), .name = name};
    struct gguf_str kind = {0};
    char text[64], known[400];
    bool found = false;
    *config = NULL;
    TRY(gguf_str(s.g, "general.architecture", &kind, &found, err));
    if (!found) return err_set(err, GLLM_FORMAT, "%s: general.architecture: found nothing, expected a name", name);
    snprintf(text, sizeof text, "%.*s", (int)(kind.len < 60 ? kind.len : 60), kind.data);
    const struct arch *a = entry_of(w, text);
    arch_list_gguf(known, sizeof known);
    if (!a) return err_set(err, GLLM_UNSUPPORTED, "%s: general.architecture: found \"%s\", supported: %s", name, text, known);
    s.arch = text;
    *arch = *a;
    arch->names = &NAMES_GGUF;
    arch->slots = a->others && weights_find(w, "blk.0.attn_q_norm.weight") ? a->others : a->names; /* JinaBert's code model */
    arch->others = NULL;
    arch->cfg.rope_interleaved = a->gguf_interleaved && !has_axes(&s);
    arch->cfg.norm_plus_one = false; /* the files hold w + 1 already */
    s.to = *config = json_object();
    if (!s.to) return err_nomem(err, name);
    gllm_status status = convert(&s, a, err);
    if (status != GLLM_OK) {
        json_decref(*config);
        *config = NULL;
    }
    return status;
}
