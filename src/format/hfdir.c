#include "format/hfdir.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "format/weights.h"

#define MAX_JSON ((uint64_t)16 << 20)
enum { MAX_MODULES = 64, MAX_PROMPTS = 4096 };

/* The last component of a dotted class path. */
static const char *class_name(const char *path) {
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

static gllm_status join(struct arena *a, const char *dir, const char *name, const char **out, gllm_error *err) {
    char *p = path_join(dir, name);
    *out = p ? arena_strdup(a, p) : NULL;
    free(p);
    return *out ? GLLM_OK : err_nomem(err, dir);
}

/* Reads dir/name as an object; absent: *out NULL and GLLM_OK. */
static gllm_status read_optional(const char *dir, const char *name, json_t **out, gllm_error *err) {
    char *path = path_join(dir, name);
    *out = NULL;
    if (!path) return err_nomem(err, name);
    gllm_status status = json_read_file(path, MAX_JSON, out, err);
    if (status == GLLM_NOT_FOUND) status = GLLM_OK;
    else if (status == GLLM_OK && !json_is_object(*out) && !json_is_array(*out)) {
        status = err_set(err, GLLM_FORMAT, "%s: found %s, expected an object", path, json_kind(*out));
        json_decref(*out);
        *out = NULL;
    }
    free(path);
    return status;
}

static gllm_status want_object(const json_t *v, const char *name, gllm_error *err) {
    return json_is_object(v) ? GLLM_OK : err_set(err, GLLM_FORMAT, "%s: found %s, expected an object", name, json_kind(v));
}

/* ---- pooling ---- */

static const struct {
    const char *mode, *flag;
} POOLS[HF_POOL_COUNT] = {
    [HF_POOL_CLS] = {"cls", "pooling_mode_cls_token"},
    [HF_POOL_MAX] = {"max", "pooling_mode_max_tokens"},
    [HF_POOL_MEAN] = {"mean", "pooling_mode_mean_tokens"},
    [HF_POOL_MEAN_SQRT_LEN] = {"mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens"},
    [HF_POOL_WEIGHTED_MEAN] = {"weightedmean", "pooling_mode_weightedmean_tokens"},
    [HF_POOL_LAST] = {"lasttoken", "pooling_mode_lasttoken"},
};

static gllm_status add_mode(struct hf_module *m, const json_t *v, const char *name, gllm_error *err) {
    const char *text = json_string_value(v);
    for (unsigned i = 0; text && i < HF_POOL_COUNT; i++) {
        if (strcmp(POOLS[i].mode, text)) continue;
        for (uint32_t k = 0; k < m->pooling.n_modes; k++)
            if (m->pooling.modes[k] == i) return err_set(err, GLLM_FORMAT, "%s: pooling_mode: \"%s\" stands twice", name, text);
        m->pooling.modes[m->pooling.n_modes++] = (enum hf_pool)i;
        return GLLM_OK;
    }
    if (text) return err_set(err, GLLM_UNSUPPORTED, "%s: pooling_mode: found \"%.40s\", expected cls, max, mean, mean_sqrt_len_tokens, weightedmean or lasttoken", name, text);
    return err_set(err, GLLM_FORMAT, "%s: pooling_mode: found %s, expected a string", name, json_kind(v));
}

static gllm_status read_pooling(struct hf_module *m, const json_t *root, const char *name, gllm_error *err) {
    m->kind = HF_POOLING;
    m->pooling.include_prompt = true;
    if (!root) { /* sentence-transformers' default */
        m->pooling.modes[m->pooling.n_modes++] = HF_POOL_MEAN;
        return GLLM_OK;
    }
    TRY(want_object(root, name, err));
    TRY(json_u32(root, name, "word_embedding_dimension", &m->pooling.dim, err));
    TRY(json_u32(root, name, "embedding_dimension", &m->pooling.dim, err));
    TRY(json_flag(root, name, "include_prompt", &m->pooling.include_prompt, err));
    const json_t *mode = json_object_get(root, "pooling_mode");
    if (json_is_array(mode)) {
        for (size_t i = 0; i < json_array_size(mode); i++) TRY(add_mode(m, json_array_get(mode, i), name, err));
    } else if (mode && !json_is_null(mode)) TRY(add_mode(m, mode, name, err));
    else {
        for (unsigned i = 0; i < HF_POOL_COUNT; i++) {
            bool on = false;
            TRY(json_flag(root, name, POOLS[i].flag, &on, err));
            if (on) m->pooling.modes[m->pooling.n_modes++] = (enum hf_pool)i;
        }
        if (!m->pooling.n_modes) m->pooling.modes[m->pooling.n_modes++] = HF_POOL_MEAN; /* as there */
    }
    return m->pooling.n_modes ? GLLM_OK : err_set(err, GLLM_FORMAT, "%s: no pooling mode is on, expected at least one", name);
}

/* root[key] may be absent; a value other than `expected` would change the vectors. */
static gllm_status want_text(const json_t *root, const char *name, const char *key, const char *expected, gllm_error *err) {
    const char *text = expected;
    TRY(json_str(root, name, key, &text, err));
    return strcmp(text, expected) ? err_set(err, GLLM_UNSUPPORTED, "%s: %s: found \"%.80s\", expected \"%s\"", name, key, text, expected) : GLLM_OK;
}

/* Normalize and Dense work on the pooled vector or on those of the tokens, and in place. */
static gllm_status read_target(struct hf_module *m, const json_t *root, const char *name, gllm_error *err) {
    const char *in = "sentence_embedding", *out;
    TRY(json_str(root, name, "module_input_name", &in, err));
    out = in;
    TRY(json_str(root, name, "module_output_name", &out, err));
    m->per_token = !strcmp(in, "token_embeddings");
    if (!m->per_token && strcmp(in, "sentence_embedding"))
        return err_set(err, GLLM_UNSUPPORTED, "%s: module_input_name: found \"%.80s\", expected sentence_embedding or token_embeddings", name, in);
    return strcmp(in, out) ? err_set(err, GLLM_UNSUPPORTED, "%s: module_output_name: found \"%.80s\", expected \"%s\"", name, out, in) : GLLM_OK;
}

static gllm_status read_normalize(struct hf_module *m, const json_t *root, const char *name, gllm_error *err) {
    m->kind = HF_NORMALIZE;
    if (!root) return GLLM_OK; /* older versions write none */
    TRY(want_object(root, name, err));
    return read_target(m, root, name, err);
}

static gllm_status read_dense(struct hf_module *m, const json_t *root, const char *name, gllm_error *err) {
    m->kind = HF_DENSE;
    m->dense.bias = true;
    m->dense.act = HF_ACT_TANH;
    TRY(want_object(root, name, err));
    TRY(json_u32(root, name, "in_features", &m->dense.in_dim, err));
    TRY(json_u32(root, name, "out_features", &m->dense.out_dim, err));
    if (!m->dense.in_dim || !m->dense.out_dim || m->dense.in_dim > 1 << 20 || m->dense.out_dim > 1 << 20)
        return err_set(err, GLLM_FORMAT, "%s: in_features %u, out_features %u: expected 1 to 1048576", name, m->dense.in_dim, m->dense.out_dim);
    TRY(json_flag(root, name, "bias", &m->dense.bias, err));
    bool residual = false;
    TRY(json_flag(root, name, "use_residual", &residual, err));
    if (residual) return err_set(err, GLLM_UNSUPPORTED, "%s: use_residual: found true, expected false", name);
    TRY(read_target(m, root, name, err));
    const char *act = NULL;
    TRY(json_str(root, name, "activation_function", &act, err));
    if (!act || !strcmp(class_name(act), "Tanh")) return GLLM_OK;
    m->dense.act = HF_ACT_IDENTITY;
    if (!strcmp(class_name(act), "Identity")) return GLLM_OK;
    return err_set(err, GLLM_UNSUPPORTED, "%s: activation_function: found \"%.80s\", expected Identity or Tanh", name, act);
}

static gllm_status read_logit_score(struct hf_module *m, const json_t *root, const char *name, gllm_error *err) {
    uint32_t yes = UINT32_MAX, no = UINT32_MAX;
    m->kind = HF_LOGIT_SCORE;
    TRY(want_object(root, name, err));
    TRY(json_u32(root, name, "true_token_id", &yes, err));
    TRY(json_u32(root, name, "false_token_id", &no, err));
    TRY(want_text(root, name, "module_input_name", "causal_logits", err));
    if (yes > INT32_MAX) return err_set(err, GLLM_FORMAT, "%s: true_token_id: found %s, expected a token id", name, yes == UINT32_MAX ? "nothing" : "one above 2^31");
    m->logit_score.yes = (int32_t)yes;
    m->logit_score.no = no <= INT32_MAX ? (int32_t)no : -1;
    return GLLM_OK;
}

static gllm_status read_splade(struct hf_module *m, const json_t *root, const char *name, gllm_error *err) {
    const char *act = "relu", *pool = "max";
    m->kind = HF_SPLADE;
    TRY(json_str(root, name, "pooling_strategy", &pool, err));
    m->splade.sum = !strcmp(pool, "sum");
    if (!m->splade.sum && strcmp(pool, "max")) return err_set(err, GLLM_UNSUPPORTED, "%s: pooling_strategy: found \"%.80s\", expected max or sum", name, pool);
    TRY(json_str(root, name, "activation_function", &act, err));
    m->splade.twice = !strcmp(act, "log1p_relu");
    return m->splade.twice || !strcmp(act, "relu") ? GLLM_OK : err_set(err, GLLM_UNSUPPORTED, "%s: activation_function: found \"%.80s\", expected relu or log1p_relu", name, act);
}

static gllm_status read_words(struct hfdir *d, const json_t *list, const char *name, const char ***words, size_t *n_words, gllm_error *err) {
    const size_t n = json_array_size(list);
    if (n > MAX_PROMPTS) return err_set(err, GLLM_FORMAT, "%s: skiplist_words: found %zu, expected at most %d", name, n, MAX_PROMPTS);
    const char **all = *words = arena_array(&d->arena, n, sizeof *all);
    if (!all) return err_nomem(err, name);
    for (*n_words = 0; *n_words < n; ++*n_words) {
        const json_t *v = json_array_get(list, *n_words);
        if (!json_is_string(v)) return err_set(err, GLLM_FORMAT, "%s: skiplist_words: found %s, expected a string", name, json_kind(v));
        if (!(all[*n_words] = arena_strdup(&d->arena, json_string_value(v)))) return err_nomem(err, name);
    }
    return GLLM_OK;
}

static gllm_status read_mask(struct hfdir *d, struct hf_module *m, const json_t *root, const char *name, gllm_error *err) {
    json_t *words, *tasks, *keep;
    m->kind = HF_TOKEN_MASK;
    if (!root) return GLLM_OK;
    TRY(want_object(root, name, err));
    TRY(json_array_at(root, name, "keep_only_token_ids", &keep, err));
    if (keep) return err_set(err, GLLM_UNSUPPORTED, "%s: keep_only_token_ids: found an array, expected null", name);
    TRY(json_array_at(root, name, "skiplist_words", &words, err));
    TRY(json_array_at(root, name, "skiplist_tasks", &tasks, err));
    for (size_t i = 0; i < json_array_size(tasks); i++) {
        const char *task = json_string_value(json_array_get(tasks, i));
        if (task && !strcmp(task, "query")) m->mask.queries = true;
        else if (!task || strcmp(task, "document")) return err_set(err, GLLM_UNSUPPORTED, "%s: skiplist_tasks: found \"%.40s\", expected query or document", name, task ? task : json_kind(json_array_get(tasks, i)));
    }
    return read_words(d, words, name, &m->mask.words, &m->mask.n_words, err);
}

/* ---- modules.json ---- */

static bool path_inside(const char *p) {
    if (*p == '/') return false;
    for (const char *s = p; s; s = strchr(s, '/')) {
        if (*s == '/') s++;
        if (!strncmp(s, "..", 2) && (s[2] == '/' || !s[2])) return false;
    }
    return true;
}

static gllm_status read_module(struct hfdir *d, struct hf_module *m, const char *type, const char *path, const char *file, gllm_error *err) {
    static const struct {
        const char *name;
        gllm_status (*read)(struct hf_module *m, const json_t *root, const char *name, gllm_error *err);
    } KINDS[] = {{"Pooling", read_pooling}, {"Dense", read_dense}, {"SpladePooling", read_splade}, {"LogitScore", read_logit_score}};
    enum { N_KINDS = sizeof KINDS / sizeof *KINDS };
    const char *name = class_name(type);
    unsigned k = 0;
    while (k < N_KINDS && strcmp(KINDS[k].name, name)) k++;
    TRY(join(&d->arena, d->dir, path, &m->path, err));
    if (!strcmp(name, "Transformer") || !strcmp(name, "MLMTransformer") || !strcmp(name, "StaticEmbedding")) {
        m->kind = *name == 'S' ? HF_STATIC : HF_TRANSFORMER;
        d->fill_mask = *name == 'M';
        d->weights_dir = m->path;
        return GLLM_OK;
    }
    json_t *config;
    const char *config_path;
    TRY(join(&d->arena, m->path, "config.json", &config_path, err));
    TRY(read_optional(m->path, "config.json", &config, err));
    gllm_status status;
    if (!strcmp(name, "Normalize")) status = read_normalize(m, config, config_path, err);
    else if (!strcmp(name, "MultiVectorMask")) status = read_mask(d, m, config, config_path, err);
    else if (k == N_KINDS)
        status = err_set(err, GLLM_UNSUPPORTED,
                         "%s: module type: found \"%.120s\", expected Transformer, StaticEmbedding, Pooling, SpladePooling, Dense, Normalize, LogitScore or MultiVectorMask", file, type);
    else if (!config) status = err_set(err, GLLM_NOT_FOUND, "%s: no such file, expected the configuration of module %s", config_path, name);
    else status = KINDS[k].read(m, config, config_path, err);
    m->per_token |= m->kind == HF_DENSE && !strncmp(type, "pylate.", 7);
    json_decref(config);
    return status;
}

static gllm_status read_modules(struct hfdir *d, const json_t *list, const char *file, gllm_error *err) {
    if (!json_is_array(list)) return err_set(err, GLLM_FORMAT, "%s: found %s, expected an array", file, json_kind(list));
    size_t n = json_array_size(list);
    if (!n || n > MAX_MODULES) return err_set(err, GLLM_FORMAT, "%s: found %zu modules, expected 1 to %d", file, n, MAX_MODULES);
    d->modules = arena_array(&d->arena, n, sizeof *d->modules);
    if (!d->modules) return err_nomem(err, file);
    for (size_t i = 0; i < n; i++) {
        const json_t *entry = json_array_get(list, i);
        const char *type = NULL, *path = "";
        TRY(want_object(entry, file, err));
        TRY(json_str(entry, file, "type", &type, err));
        TRY(json_str(entry, file, "path", &path, err));
        if (!type) return err_set(err, GLLM_FORMAT, "%s: module %zu: type: found nothing, expected a class path", file, i);
        if (!path_inside(path)) return err_set(err, GLLM_FORMAT, "%s: module %zu: path \"%.80s\" leaves the model's directory", file, i, path);
        TRY(read_module(d, &d->modules[i], type, path, file, err));
        if ((d->modules[i].kind == HF_TRANSFORMER || d->modules[i].kind == HF_STATIC) != (i == 0))
            return err_set(err, GLLM_UNSUPPORTED, "%s: module %zu is %s, expected a Transformer first and only there", file, i, class_name(type));
        d->n_modules = i + 1;
    }
    return GLLM_OK;
}

/* No modules.json but a pooling folder: the pipeline that it belongs to. */
static gllm_status lone_pooling(struct hfdir *d, gllm_error *err) {
    json_t *config;
    const char *folder, *file;
    TRY(join(&d->arena, d->dir, "1_Pooling", &folder, err));
    TRY(join(&d->arena, folder, "config.json", &file, err));
    TRY(read_optional(folder, "config.json", &config, err));
    if (!config) return GLLM_OK;
    gllm_status status = GLLM_OK;
    d->modules = arena_array(&d->arena, 2, sizeof *d->modules);
    if (!d->modules) status = err_nomem(err, file);
    else {
        d->modules[0] = (struct hf_module){.kind = HF_TRANSFORMER, .path = d->dir};
        d->modules[1].path = folder;
        status = read_pooling(&d->modules[1], config, file, err);
        d->n_modules = 2;
        d->lone_pooling = true;
    }
    json_decref(config);
    return status;
}

/* ---- the other files ---- */

static gllm_status read_expansion(struct hfdir *d, const json_t *root, const char *file, gllm_error *err) {
    json_t *own;
    const char *strategy = "fixed", *token = NULL;
    struct hf_expansion *e = &d->expansion;
    TRY(json_u32(root, file, "query_length", &d->query_length, err));
    TRY(json_u32(root, file, "document_length", &d->document_length, err));
    TRY(json_object_at(root, file, "query_expansion", &own, err));
    if (!own) return GLLM_OK;
    TRY(json_str(own, file, "strategy", &strategy, err));
    TRY(json_u32(own, file, "length", &e->length, err));
    TRY(json_flag(own, file, "attend", &e->attend, err));
    TRY(json_str(own, file, "token", &token, err));
    if (token && !(e->token = arena_strdup(&d->arena, token))) return err_nomem(err, file);
    if (strcmp(strategy, "fixed")) return err_set(err, GLLM_UNSUPPORTED, "%s: query_expansion: strategy: found \"%.40s\", expected \"fixed\"", file, strategy);
    return e->length && e->length <= 1 << 16 ? GLLM_OK : err_set(err, GLLM_FORMAT, "%s: query_expansion: length: found %u, expected 1 to 65536", file, e->length);
}

/* The Transformer module's own file: limits, and what would take something else than what its task gives of each token or text. */
static gllm_status read_transformer(struct hfdir *d, const json_t *root, const char *file, gllm_error *err) {
    static const struct {
        const char *task, *output, *method;
    } TASKS[] = {{"feature-extraction", "token_embeddings", "last_hidden_state"}, {"sequence-classification", "scores", "logits"}, {"fill-mask", "token_embeddings", "logits"}, {"text-generation", "causal_logits", "logits"}};
    enum { N_TASKS = sizeof TASKS / sizeof *TASKS, FILL_MASK = 2 };
    json_t *modality, *text;
    TRY(want_object(root, file, err));
    TRY(json_u32(root, file, "max_seq_length", &d->max_seq_length, err));
    TRY(json_flag(root, file, "do_lower_case", &d->do_lower_case, err));
    const char *task = TASKS[d->fill_mask ? FILL_MASK : 0].task;
    unsigned k = 0;
    TRY(json_str(root, file, "transformer_task", &task, err));
    while (k < N_TASKS && strcmp(TASKS[k].task, task)) k++;
    if (k == N_TASKS) return want_text(root, file, "transformer_task", TASKS[0].task, err);
    d->fill_mask = k == FILL_MASK;
    TRY(want_text(root, file, "module_output_name", TASKS[k].output, err));
    TRY(json_object_at(root, file, "modality_config", &modality, err));
    TRY(json_object_at(modality, file, "text", &text, err));
    TRY(want_text(text, file, "method", "forward", err));
    TRY(want_text(text, file, "method_output_name", TASKS[k].method, err));
    return read_expansion(d, root, file, err);
}

static gllm_status read_limits(struct hfdir *d, gllm_error *err) {
    static const char *const NAMES[] = {"sentence_bert_config.json", "sentence_roberta_config.json", "sentence_distilbert_config.json", "sentence_camembert_config.json",
                                        "sentence_albert_config.json", "sentence_xlm-roberta_config.json", "sentence_xlnet_config.json"};
    for (unsigned i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        json_t *root;
        const char *file;
        TRY(join(&d->arena, d->weights_dir, NAMES[i], &file, err));
        TRY(read_optional(d->weights_dir, NAMES[i], &root, err));
        if (!root) continue;
        gllm_status status = read_transformer(d, root, file, err);
        json_decref(root);
        return status;
    }
    return GLLM_OK;
}

static gllm_status keep(struct arena *a, const char *text, const char **out, gllm_error *err) {
    if (text) *out = arena_strdup(a, text);
    return !text || *out ? GLLM_OK : err_nomem(err, text);
}

/* PyLate's flat keys: prefixes, lengths, and queries that are filled up unless do_query_expansion is false. What stands in the Transformer's own file counts more. */
static gllm_status read_pylate(struct hfdir *d, const json_t *root, const char *file, gllm_error *err) {
    static const char *const KEYS[] = {"query_prefix", "document_prefix", "query_length", "document_length", "skiplist_words", "do_query_expansion", "attend_to_expansion_tokens"};
    enum { N_KEYS = sizeof KEYS / sizeof *KEYS, DEFAULT_LENGTH = 32 };
    struct hf_late *l = &d->late;
    uint32_t query = 0, document = 0;
    bool expand = true, attend = false;
    const char *type = NULL, *prefix[2] = {NULL, NULL};
    json_t *words;
    TRY(json_str(root, file, "model_type", &type, err));
    l->there = type && !strcmp(type, "ColBERT");
    for (unsigned i = 0; i < N_KEYS; i++) l->there |= json_object_get(root, KEYS[i]) != NULL;
    if (!l->there) return GLLM_OK;
    for (unsigned i = 0; i < 2; i++) TRY(json_str(root, file, KEYS[i], &prefix[i], err));
    TRY(json_u32(root, file, "query_length", &query, err));
    TRY(json_u32(root, file, "document_length", &document, err));
    TRY(json_flag(root, file, "do_query_expansion", &expand, err));
    TRY(json_flag(root, file, "attend_to_expansion_tokens", &attend, err));
    TRY(json_array_at(root, file, "skiplist_words", &words, err));
    if (words) TRY(read_words(d, words, file, &l->words, &l->n_words, err));
    if (query > 1 << 16 || document > 1 << 24) return err_set(err, GLLM_FORMAT, "%s: query_length %u, document_length %u: expected at most 65536 and 16777216", file, query, document);
    if (!d->document_length) d->document_length = document;
    if (!d->query_length) d->query_length = query;
    if (expand && !d->expansion.length) d->expansion = (struct hf_expansion){.length = query ? query : DEFAULT_LENGTH, .attend = attend};
    TRY(keep(&d->arena, prefix[0], &l->query_prefix, err));
    return keep(&d->arena, prefix[1], &l->document_prefix, err);
}

static gllm_status read_prompts(struct hfdir *d, const json_t *root, const char *file, gllm_error *err) {
    json_t *prompts, *value;
    const char *name, *text = NULL;
    TRY(want_object(root, file, err));
    TRY(json_object_at(root, file, "prompts", &prompts, err));
    size_t n = json_object_size(prompts);
    if (n > MAX_PROMPTS) return err_set(err, GLLM_FORMAT, "%s: prompts: found %zu, expected at most %d", file, n, MAX_PROMPTS);
    d->prompts = arena_array(&d->arena, n, sizeof *d->prompts);
    if (!d->prompts) return err_nomem(err, file);
    json_object_foreach(prompts, name, value) {
        if (!json_is_string(value)) return err_set(err, GLLM_FORMAT, "%s: prompts: %s: found %s, expected a string", file, name, json_kind(value));
        struct hf_prompt *p = &d->prompts[d->n_prompts];
        TRY(keep(&d->arena, name, &p->name, err));
        TRY(keep(&d->arena, json_string_value(value), &p->text, err));
        d->n_prompts++;
    }
    TRY(json_str(root, file, "default_prompt_name", &text, err));
    TRY(keep(&d->arena, text, &d->default_prompt_name, err));
    if (text && !json_object_get(prompts, text)) return err_set(err, GLLM_FORMAT, "%s: default_prompt_name: found \"%.60s\", expected a name of prompts", file, text);
    text = NULL;
    TRY(json_str(root, file, "similarity_fn_name", &text, err));
    TRY(keep(&d->arena, text, &d->similarity, err));
    text = NULL;
    TRY(json_str(root, file, "activation_fn", &text, err));
    TRY(keep(&d->arena, text, &d->activation, err));
    return read_pylate(d, root, file, err);
}

/* `license: NAME` between the two lines of dashes that open a README. Best effort: no README is no licence. */
static gllm_status read_licence(struct hfdir *d, gllm_error *err) {
    char *path = path_join(d->dir, "README.md"), *text = NULL;
    size_t len = 0;
    gllm_status status = GLLM_OK;
    if (!path) return err_nomem(err, d->dir);
    if (file_read(path, MAX_JSON, &text, &len, NULL) == GLLM_OK && !strncmp(text, "---", 3)) {
        char *end = strstr(text + 3, "\n---"), *at = strstr(text, "\nlicense:");
        if (at && end && at < end) {
            at += strlen("\nlicense:");
            at += strspn(at, " \t\"'");
            size_t n = strcspn(at, " \t\r\n\"'#");
            d->licence = n && n < 64 ? arena_strndup(&d->arena, at, n) : NULL;
        }
    }
    free(text);
    free(path);
    return status;
}

static gllm_status read_config(struct hfdir *d, gllm_error *err) {
    const char *path;
    TRY(join(&d->arena, d->weights_dir, "config.json", &path, err));
    gllm_status status = json_read_file(path, MAX_JSON, &d->config, err);
    if (status == GLLM_NOT_FOUND && d->n_modules && d->modules[0].kind == HF_STATIC) return (d->config = json_object()) ? GLLM_OK : err_nomem(err, path);
    if (status == GLLM_NOT_FOUND) return weights_absent(d->weights_dir, "config.json", err);
    TRY(status);
    return want_object(d->config, path, err);
}

static gllm_status read_all(struct hfdir *d, gllm_error *err) {
    json_t *root;
    const char *file;
    TRY(join(&d->arena, d->dir, "modules.json", &file, err));
    TRY(read_optional(d->dir, "modules.json", &root, err));
    gllm_status status = root ? read_modules(d, root, file, err) : lone_pooling(d, err);
    json_decref(root);
    TRY(status);
    TRY(read_config(d, err));
    TRY(read_limits(d, err));
    TRY(join(&d->arena, d->dir, "config_sentence_transformers.json", &file, err));
    TRY(read_optional(d->dir, "config_sentence_transformers.json", &root, err));
    status = root ? read_prompts(d, root, file, err) : GLLM_OK;
    json_decref(root);
    TRY(status);
    return read_licence(d, err);
}

gllm_status hfdir_open(struct hfdir *out, const char *dir, gllm_error *err) {
    *out = (struct hfdir){0};
    if (!dir_exists(dir)) return err_set(err, GLLM_NOT_FOUND, "%s: no such directory", dir);
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/') n--;
    out->dir = arena_strndup(&out->arena, dir, n);
    if (!out->dir) return err_nomem(err, dir);
    out->name = path_base(out->dir);
    out->weights_dir = out->dir;
    gllm_status status = read_all(out, err);
    if (status != GLLM_OK) hfdir_close(out);
    return status;
}

struct hf_prompt *hfdir_prompt(const struct hfdir *d, const char *name) {
    for (size_t i = 0; i < d->n_prompts; i++)
        if (!strcmp(d->prompts[i].name, name)) return &d->prompts[i];
    return NULL;
}

gllm_status hfdir_pool_by(struct hfdir *d, enum hf_pool pool, bool normalize, gllm_error *err) {
    d->modules = arena_array(&d->arena, 3, sizeof *d->modules);
    if (!d->modules) return err_nomem(err, d->dir);
    d->modules[0] = (struct hf_module){.kind = HF_TRANSFORMER, .path = d->weights_dir};
    d->modules[1] = (struct hf_module){.kind = HF_POOLING, .path = d->dir, .pooling = {.modes = {pool}, .n_modes = 1, .include_prompt = true}};
    d->modules[2] = (struct hf_module){.kind = HF_NORMALIZE, .path = d->dir};
    d->n_modules = normalize ? 3 : 2;
    return GLLM_OK;
}

bool hfdir_pools(const struct hfdir *d) {
    for (size_t i = 0; i < d->n_modules; i++)
        if (d->modules[i].kind == HF_POOLING) return true;
    return false;
}

void hfdir_close(struct hfdir *d) {
    if (!d) return;
    json_decref(d->config);
    arena_free(&d->arena);
    *d = (struct hfdir){0};
}
