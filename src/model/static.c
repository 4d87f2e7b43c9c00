#include "model/static.h"

#include <stdlib.h>
#include <string.h>

#include "model/head.h"
#include "model/side_files.h"

enum { NO_LIMIT = 1 << 22, MODEL2VEC_TOKENS = 512, MAX_FOLDED = 1 << 30 };

static bool has_module(const struct hfdir *d) { return d->n_modules && d->modules[0].kind == HF_STATIC; }

bool static_is(const struct hfdir *d) {
    const char *type = json_string_value(json_object_get(d->config, "model_type"));
    return has_module(d) || (type && !strcmp(type, "model2vec"));
}

/* The unknown token of tokenizer.json's model: by name, or by number (Unigram). */
static gllm_status read_unknown(struct model_files *f, int32_t *id, gllm_error *err) {
    json_t *root;
    TRY(side_json(f, "tokenizer.json", &root, err));
    const json_t *model = json_object_get(root, "model"), *number = json_object_get(model, "unk_id");
    const char *text = json_string_value(json_object_get(model, "unk_token"));
    if (!text || !tokenizer_id(f->tokenizer, text, strlen(text), id)) *id = json_number_value(number) >= 0 && json_number_value(number) <= INT32_MAX && json_is_number(number) ? (int32_t)json_number_value(number) : -1;
    json_decref(root);
    return GLLM_OK;
}

static const struct tensor *table_of(const struct weights *w) {
    const struct tensor *t = weights_find(w, "embedding.weight");
    return t ? t : weights_find(w, "embeddings");
}

static gllm_status check_table(const struct model_files *f, const struct tensor *t, gllm_error *err) {
    char text[200];
    if (!t) return err_set(err, GLLM_FORMAT, "%s: no tensor embedding.weight or embeddings, expected a table of vectors", f->dir.dir);
    if (t->rank != 2 || !t->shape[0] || !t->shape[1] || t->shape[0] > 1 << 24 || t->shape[1] > 1 << 16 || !dtype_is_weight(t->dtype))
        return err_set(err, GLLM_FORMAT, "%s: %s: %s of %s, expected a table of floating-point vectors", f->dir.dir, t->name, tensor_shape_text(t->shape, t->rank, text, sizeof text), dtype_traits(t->dtype)->name);
    return GLLM_OK;
}

/* `mapping` gives as many tokens as it has entries, `weights` an entry for each. */
static gllm_status check_folds(const struct model_files *f, const struct tensor *table, uint32_t *n_tokens, gllm_error *err) {
    const struct tensor *mapping = weights_find(f->weights, "mapping"), *scale = weights_find(f->weights, "weights");
    if (mapping && (mapping->rank != 1 || !mapping->shape[0] || mapping->shape[0] > 1 << 24 || (mapping->dtype != DTYPE_I64 && mapping->dtype != DTYPE_I32)))
        return err_set(err, GLLM_FORMAT, "%s: mapping: expected whole numbers, one a token", f->dir.dir);
    *n_tokens = (uint32_t)(mapping ? mapping->shape[0] : table->shape[0]);
    if (scale && (scale->rank != 1 || scale->shape[0] != *n_tokens || !dtype_is_weight(scale->dtype)))
        return err_set(err, GLLM_FORMAT, "%s: weights: expected %u floating-point numbers, one a token", f->dir.dir, *n_tokens);
    return GLLM_OK;
}

/* A mapping costs what the tokenizer can ask for, however long it is and however few rows it points to. */
static gllm_status check_tokens(struct model_files *f, gllm_error *err) {
    struct model_cfg *c = &f->cfg;
    const uint32_t n = tokenizer_vocab_size(f->tokenizer);
    if (n > c->n_vocab) return err_set(err, GLLM_FORMAT, "%s: the tokenizer has %u tokens, expected at most the %u of the table", f->dir.dir, n, c->n_vocab);
    if (!n || !weights_find(f->weights, "mapping")) return GLLM_OK;
    c->n_vocab = n;
    if ((uint64_t)n * c->d_model <= MAX_FOLDED) return GLLM_OK;
    return err_set(err, GLLM_UNSUPPORTED, "%s: mapping: found %u tokens with vectors of %u, expected at most %d values", f->dir.dir, n, c->d_model, MAX_FOLDED);
}

gllm_status static_open(struct model_files *f, gllm_error *err) {
    struct model_cfg *c = &f->cfg;
    f->arch = *arch_find("model2vec", NULL);
    *c = f->arch.cfg;
    TRY(weights_open(&f->weights, f->dir.weights_dir, err));
    const struct tensor *t = table_of(f->weights);
    TRY(check_table(f, t, err));
    TRY(check_folds(f, t, &c->n_vocab, err));
    c->d_model = c->d_embd = c->d_head = (uint32_t)t->shape[1];
    c->n_head = c->n_kv = 1;
    c->n_pos = NO_LIMIT;
    TRY(tokenizer_open(&f->tokenizer, f->dir.weights_dir, err));
    TRY(check_tokens(f, err));
    f->frame.bare = true;
    f->dir.max_seq_length = NO_LIMIT;
    if (has_module(&f->dir)) return GLLM_OK;
    f->dir.max_seq_length = MODEL2VEC_TOKENS;
    return read_unknown(f, &f->frame.dropped, err);
}

/* out[i] = weights[i] embeddings[mapping[i]] */
static gllm_status fold(struct model *m, const struct tensor *table, const struct tensor *mapping, const struct tensor *scale, float **out, gllm_error *err) {
    const uint32_t n = m->files.cfg.n_vocab, d = m->files.cfg.d_model;
    const size_t row_bytes = dtype_row_bytes(table->dtype, d);
    *out = arena_array(&m->arena, (size_t)n * d, sizeof **out);
    if (!*out) return err_nomem(err, table->name);
    for (uint32_t i = 0; i < n; i++) {
        float at = (float)i, factor = 1, *row = *out + (size_t)i * d;
        if (mapping) dtype_to_f32(mapping->dtype, (const uint8_t *)mapping->data + i * dtype_row_bytes(mapping->dtype, 1), &at, 1);
        if (scale) dtype_to_f32(scale->dtype, (const uint8_t *)scale->data + i * dtype_row_bytes(scale->dtype, 1), &factor, 1);
        if (!(at >= 0 && at < (float)table->shape[0])) return err_set(err, GLLM_FORMAT, "%s: mapping: entry %u: found %g, expected a row of %llu", m->files.dir.dir, i, (double)at, (unsigned long long)table->shape[0]);
        dtype_to_f32(table->dtype, (const uint8_t *)table->data + (size_t)at * row_bytes, row, d);
        for (uint32_t k = 0; k < d; k++) row[k] *= factor;
    }
    return GLLM_OK;
}

static gllm_status collect_head(struct model *m, gllm_error *err) {
    const struct model_files *f = &m->files;
    if (f->dir.n_modules) return head_read(&m->head, &m->arena, &f->dir, f->cfg.d_model, &m->log, err);
    m->head = (struct head){.modes = {POOL_MEAN}, .n_modes = 1, .include_prompt = true, .dim = f->cfg.d_model};
    return json_flag(f->dir.config, f->dir.dir, "normalize", &m->head.normalize, err);
}

gllm_status static_collect(struct model *m, gllm_error *err) {
    const struct weights *w = m->files.weights;
    const struct tensor *t = table_of(w), *mapping = weights_find(w, "mapping"), *scale = weights_find(w, "weights");
    const uint32_t n = m->files.cfg.n_vocab, d = m->files.cfg.d_model;
    struct weight_desc desc = {.name = t->name, .role = WEIGHT_TABLE, .cols = d, .n_parts = 1, .parts = {{.data = t->data, .dtype = t->dtype, .rows = n}}};
    TRY(collect_head(m, err));
    if (!mapping && !scale) return bind_add(&m->bindings, &m->net.word, &desc, t, err);
    float *rows;
    TRY(fold(m, t, mapping, scale, &rows, err));
    desc.parts[0].data = rows, desc.parts[0].dtype = DTYPE_F32;
    return bind_add(&m->bindings, &m->net.word, &desc, NULL, err);
}
