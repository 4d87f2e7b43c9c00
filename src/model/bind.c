#include "model/bind.h"

#include "backend/hostmem.h"
#include "model/adapter.h"
#include "model/bind_quant.h"
#include "model/rope.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_ROOM = 256, FULL_ROOM = QUANT_NAME_ROOM };

struct binder { /* what the functions below share */
    struct bindings *b;
    const struct weights *w;
    const struct model_cfg *cfg;
    bool optional_bias, optional_norm_bias; /* GGUF's names leave any linear layer's bias out; a norm's only where the family does */
    char prefix[NAME_ROOM]; /* before every name: "", "bert.", "0.auto_model." … */
};

/* Checkpoints put the encoder below a prefix of their own: it is what stands before the word table's name. */
static gllm_status find_prefix(struct binder *s, const char *word, gllm_error *err) {
    char stem[NAME_ROOM], first[NAME_ROOM] = "";
    int n = snprintf(stem, sizeof stem, "%s.weight", word);
    s->prefix[0] = '\0';
    if (weights_find(s->w, stem)) return GLLM_OK;
    for (size_t i = 0; i < weights_count(s->w); i++) {
        const char *name = weights_at(s->w, i)->name;
        size_t len = strlen(name);
        if (len <= (size_t)n || len >= NAME_ROOM || strcmp(name + len - (size_t)n, stem) || name[len - (size_t)n - 1] != '.') continue;
        if (*first) return err_set(err, GLLM_FORMAT, "two encoders in one file: %s and %s", first, name);
        memcpy(first, name, len + 1);
        memcpy(s->prefix, name, len - (size_t)n);
        s->prefix[len - (size_t)n] = '\0';
    }
    if (!*first) return err_set(err, GLLM_FORMAT, "%s: no such tensor, nor one that ends so", stem);
    return GLLM_OK;
}

static struct binding *append(struct binder *s, struct weight **slot) {
    struct bindings *b = s->b;
    if (b->count == b->capacity) {
        size_t n = b->capacity ? 2 * b->capacity : 128;
        struct binding *list = realloc(b->list, n * sizeof *list);
        if (!list) return NULL;
        b->list = list;
        b->capacity = n;
    }
    b->list[b->count] = (struct binding){.slot = slot};
    return &b->list[b->count++];
}

/* Finds prefix + name (with its layer) + suffix. `old` is the suffix's spelling in early checkpoints, or NULL. */
static const struct tensor *find(const struct binder *s, const char *name, uint32_t layer, const char *suffix, const char *old, char full[FULL_ROOM]) {
    char stem[NAME_ROOM];
    snprintf(stem, sizeof stem, name, layer); /* the tables of names.c hold at most one %u */
    snprintf(full, FULL_ROOM, "%s%s%s", s->prefix, stem, suffix);
    const struct tensor *t = weights_find(s->w, full);
    if (t || !old) return t;
    char legacy[FULL_ROOM];
    snprintf(legacy, sizeof legacy, "%s%s%s", s->prefix, stem, old);
    return weights_find(s->w, legacy);
}

static const struct quant_cfg *quant_of(const struct binder *s) { return s->cfg && s->cfg->quant.method ? &s->cfg->quant : NULL; }

/* Adds the weight of a module that is stored as codes as the next part of a binding. `name`: as it would be called if it were not. */
static gllm_status add_codes(const struct binder *s, struct binding *b, const char *name, uint32_t rows, uint32_t cols, gllm_error *err) {
    const uint32_t i = b->desc.n_parts++;
    b->desc.parts[i].rows = rows;
    b->desc.cols = cols;
    return quant_take_codes(s->w, quant_of(s), s->b->arena, name, cols, &b->desc.parts[i], &b->tensors[i], err);
}

/* Adds one tensor as the next part of a binding after checking its shape: [rows, cols], or [cols] for a vector. */
static gllm_status add_part(const struct binder *s, struct binding *b, const struct tensor *t, const char *name, uint32_t rows, uint32_t cols, gllm_error *err) {
    char found[200];
    bool vector = b->desc.role == WEIGHT_VECTOR;
    if (!t) return err_set(err, GLLM_FORMAT, "%s: no such tensor", name);
    bool ok = vector ? t->rank == 1 && t->shape[0] == rows : t->rank == 2 && t->shape[0] == rows && t->shape[1] == cols;
    tensor_shape_text(t->shape, t->rank, found, sizeof found);
    if (!ok && vector) return err_set(err, GLLM_FORMAT, "%s: shape %s, expected [%u]", name, found, rows);
    if (!ok) return err_set(err, GLLM_FORMAT, "%s: shape %s, expected [%u,%u]", name, found, rows, cols);
    if (!dtype_is_weight(t->dtype)) return err_set(err, GLLM_UNSUPPORTED, "%s: dtype %s, expected a floating-point or quantised type", name, dtype_traits(t->dtype)->name);
    uint32_t i = b->desc.n_parts++;
    b->tensors[i] = t;
    b->desc.parts[i] = (struct weight_part){.data = t->data, .dtype = t->dtype, .rows = rows};
    b->desc.cols = vector ? b->desc.cols + rows : cols;
    return vector || dtype_is_quantised(t->dtype) ? GLLM_OK : quant_take_scale(s->w, quant_of(s), &b->desc.parts[i], name, cols, err);
}

/* One weight from one to three names stacked along rows; rows[i] of each. */
static gllm_status take(struct binder *s, struct weight **slot, enum weight_role role, const char *const *names, uint32_t n_names, uint32_t layer, const char *suffix, const char *old, const uint32_t *rows, uint32_t cols, gllm_error *err) {
    struct binding *b = append(s, slot);
    if (!b) return err_nomem(err, "bindings");
    b->desc.role = role;
    char full[FULL_ROOM];
    for (uint32_t i = 0; i < n_names; i++) {
        const struct tensor *t = find(s, names[i], layer, suffix, old, full);
        if (!b->desc.name) b->desc.name = arena_strdup(s->b->arena, full);
        if (!b->desc.name) return err_nomem(err, full);
        if (role != WEIGHT_VECTOR && quant_has_codes(s->w, full)) TRY(add_codes(s, b, full, rows[i], cols, err));
        else TRY(add_part(s, b, t, full, rows[i], cols, err));
        if (role == WEIGHT_MATRIX) TRY(adapter_take(s->b->adapter, s->b->arena, full + strlen(s->prefix), cols, &b->desc.parts[b->desc.n_parts - 1], err));
    }
    return GLLM_OK;
}

static gllm_status take_table(struct binder *s, struct weight **slot, const char *name, uint32_t rows, uint32_t cols, gllm_error *err) {
    return take(s, slot, WEIGHT_TABLE, &name, 1, 0, ".weight", NULL, &rows, cols, err);
}

static bool present(const struct binder *s, const char *name, uint32_t layer, const char *suffix) {
    char full[FULL_ROOM];
    return name && (find(s, name, layer, suffix, NULL, full) || quant_has_codes(s->w, full));
}

static gllm_status take_linear(struct binder *s, struct weight **w, struct weight **bias, const char *const *names, uint32_t n, uint32_t layer, const uint32_t *rows, uint32_t cols, gllm_error *err) {
    TRY(take(s, w, WEIGHT_MATRIX, names, n, layer, ".weight", NULL, rows, cols, err));
    if (s->optional_bias && !present(s, names[0], layer, ".bias")) return GLLM_OK;
    return take(s, bias, WEIGHT_VECTOR, names, n, layer, ".bias", NULL, rows, 0, err);
}

static gllm_status take_vector(struct binder *s, struct weight **slot, const char *name, uint32_t layer, const char *suffix, const char *old, uint32_t n, gllm_error *err) {
    return take(s, slot, WEIGHT_VECTOR, &name, 1, layer, suffix, old, &n, 0, err);
}

/* The files of some families hold w - 1 of an RMS norm. */
static gllm_status add_one(struct binder *s, gllm_error *err) {
    struct binding *b = &s->b->list[s->b->count - 1];
    float *w = arena_array(s->b->arena, b->desc.cols, sizeof *w);
    if (!w) return err_nomem(err, b->desc.name);
    dtype_to_f32(b->desc.parts[0].dtype, b->desc.parts[0].data, w, b->desc.cols);
    for (uint32_t i = 0; i < b->desc.cols; i++) w[i] += 1;
    b->tensors[0] = NULL;
    b->desc.parts[0].data = w;
    b->desc.parts[0].dtype = DTYPE_F32;
    return GLLM_OK;
}

/* The bias of a layer norm. */
static gllm_status take_norm_bias(struct binder *s, struct weight **slot, const char *name, uint32_t layer, uint32_t n, gllm_error *err) {
    char full[FULL_ROOM];
    if (s->cfg->norm != NORM_LAYER || (s->optional_norm_bias && !find(s, name, layer, ".bias", ".beta", full))) return GLLM_OK;
    return take_vector(s, slot, name, layer, ".bias", ".beta", n, err);
}

static gllm_status take_norm_of(struct binder *s, struct norm_weights *out, const char *name, const char *old, uint32_t layer, uint32_t n, gllm_error *err) {
    TRY(take_vector(s, &out->w, name, layer, ".weight", old, n, err));
    if (s->cfg->norm_plus_one) TRY(add_one(s, err));
    return take_norm_bias(s, &out->b, name, layer, n, err);
}

/* A norm that the family has not is skipped: its name is NULL. */
static gllm_status take_norm(struct binder *s, struct norm_weights *out, const char *name, uint32_t layer, uint32_t n, gllm_error *err) {
    return name ? take_norm_of(s, out, name, ".gamma", layer, n, err) : GLLM_OK;
}

/* The bucket of key - query = delta (T5, bidirectional): half of the buckets for keys after the query; in each half, distances below a quarter of
 * all stand alone and longer ones share buckets by logarithm up to max_distance. The 1e-9 keeps exact powers on their side. */
static uint32_t rel_bucket(int32_t delta, uint32_t n_buckets, uint32_t max_distance) {
    uint32_t half = n_buckets / 2, exact = half / 2, n = (uint32_t)(delta < 0 ? -delta : delta), base = delta > 0 ? half : 0;
    if (n < exact) return base + n;
    double place = log((double)n / exact) / log((double)max_distance / exact) * (half - exact);
    uint32_t bucket = exact + (uint32_t)(place + 1e-9);
    return base + (bucket < half ? bucket : half - 1);
}

/* The table [n_buckets, n_head] spread out to [n_head, 2 R + 1] by distance: beyond R = max_distance a bucket no longer changes. */
static gllm_status take_rel(struct binder *s, struct weight **slot, const char *name, const struct model_cfg *c, gllm_error *err) {
    struct weight *unused = NULL;
    TRY(take_table(s, &unused, name, c->rel_buckets, c->n_head, err));
    struct binding *b = &s->b->list[s->b->count - 1];
    const uint32_t radius = c->rel_distance, cols = 2 * radius + 1;
    float *table = arena_array(s->b->arena, (size_t)c->n_head * cols, sizeof *table), *raw = malloc((size_t)c->rel_buckets * c->n_head * sizeof *raw);
    if (!table || !raw) {
        free(raw);
        return err_nomem(err, name);
    }
    weight_values(&b->desc, raw);
    for (uint32_t h = 0; h < c->n_head; h++)
        for (uint32_t i = 0; i < cols; i++) table[(size_t)h * cols + i] = raw[(size_t)rel_bucket((int32_t)i - (int32_t)radius, c->rel_buckets, radius) * c->n_head + h];
    free(raw);
    b->slot = slot;
    b->tensors[0] = NULL;
    b->desc.cols = cols;
    b->desc.parts[0] = (struct weight_part){.data = table, .dtype = DTYPE_F32, .rows = c->n_head};
    return GLLM_OK;
}

/* ALiBi: a score falls by slope |i - j|. The slopes of 2^m heads are 2^(-8 k / 2^m), k = 1, 2 …; where the heads are no power of two, those of the
 * power below, then every second one of the power above (the reference code of the paper, Press et al. 2021). */
static double alibi_slope(uint32_t head, uint32_t n_head) {
    uint32_t power = 1;
    while (2 * power <= n_head) power *= 2;
    return head < power ? pow(2, -8.0 * (head + 1) / power) : pow(2, -8.0 * (2 * (head - power) + 1) / (2 * power));
}

/* The table [n_head, 2 R + 1] by distance, R the largest there is. */
static gllm_status take_alibi(struct binder *s, struct weight **slot, gllm_error *err) {
    const struct model_cfg *c = s->cfg;
    const uint32_t radius = c->n_pos - 1, cols = 2 * radius + 1;
    float *table = arena_array(s->b->arena, (size_t)c->n_head * cols, sizeof *table);
    if (!table) return err_nomem(err, "alibi");
    for (uint32_t h = 0; h < c->n_head; h++) {
        const float slope = (float)alibi_slope(h, c->n_head);
        for (uint32_t i = 0; i < cols; i++) table[(size_t)h * cols + i] = -slope * fabsf((float)i - (float)radius);
    }
    const struct weight_desc desc = {.name = "alibi", .role = WEIGHT_TABLE, .cols = cols, .n_parts = 1, .parts = {{.data = table, .dtype = DTYPE_F32, .rows = c->n_head}}};
    return bind_add(s->b, slot, &desc, NULL, err);
}

static gllm_status take_attention(struct binder *s, struct layer *l, const struct name_table *n, uint32_t i, gllm_error *err) {
    const struct model_cfg *c = s->cfg;
    const uint32_t d_q = c->n_head * c->d_head, d_kv = c->n_kv * c->d_head, rows[] = {d_q, d_kv, d_kv}, all = d_q + 2 * d_kv;
    const uint32_t q_norm = c->qk_norm == QK_NORM_ALL ? d_q : c->d_head, k_norm = c->qk_norm == QK_NORM_ALL ? d_kv : c->d_head;
    const char *qkv[] = {n->q, n->k, n->v};
    if (!n->q || present(s, n->qkv, i, ".weight")) TRY(take_linear(s, &l->attn.qkv, &l->attn.qkv_bias, &n->qkv, 1, i, &all, c->d_model, err));
    else TRY(take_linear(s, &l->attn.qkv, &l->attn.qkv_bias, qkv, 3, i, rows, c->d_model, err));
    if (c->qk_norm != QK_NORM_NONE && n->q_norm) {
        TRY(take_norm_of(s, &l->attn.q_norm, n->q_norm, NULL, i, q_norm, err));
        TRY(take_norm_of(s, &l->attn.k_norm, n->k_norm, NULL, i, k_norm, err));
    }
    TRY(take_linear(s, &l->attn.o, &l->attn.o_bias, &n->o, 1, i, &c->d_model, d_q, err));
    if (i || !c->no_first_norm) TRY(take_norm(s, &l->attn.norm_in, n->attn_norm_in, i, c->d_model, err));
    TRY(take_norm(s, &l->attn.norm_out, n->attn_norm_out, i, c->d_model, err));
    TRY(take_norm(s, &l->attn.norm_res, n->attn_norm_res, i, c->d_model, err));
    return take_norm(s, &l->attn.norm_again, n->attn_norm_again, i, c->d_model, err);
}

/* A fused matrix whose first half of rows is up: its halves change places. */
static gllm_status take_up_gate(struct binder *s, struct layer *l, const char *name, uint32_t i, gllm_error *err) {
    const struct model_cfg *c = s->cfg;
    const uint32_t both = 2 * c->d_ff;
    TRY(take(s, &l->ffn.up, WEIGHT_MATRIX, &name, 1, i, ".weight", NULL, &both, c->d_model, err));
    struct binding *b = &s->b->list[s->b->count - 1];
    struct weight_part *parts = b->desc.parts;
    if (parts[0].scale.data || parts[0].codes) return err_set(err, GLLM_UNSUPPORTED, "%s: found up and gate in one matrix as codes or with a scale, expected plain values", b->desc.name);
    if (present(s, name, i, ".bias")) return err_set(err, GLLM_UNSUPPORTED, "%s: found a bias beside it, expected none", b->desc.name);
    parts[0].rows = c->d_ff;
    parts[1] = parts[0];
    parts[0].data = (const unsigned char *)parts[0].data + dtype_row_bytes(parts[0].dtype, c->d_model) * c->d_ff;
    b->tensors[1] = b->tensors[0];
    b->desc.n_parts = 2;
    return GLLM_OK;
}

static gllm_status take_ffn(struct binder *s, struct layer *l, const struct name_table *n, uint32_t i, gllm_error *err) {
    const struct model_cfg *c = s->cfg;
    const uint32_t rows[] = {c->d_ff, c->d_ff}, both = 2 * c->d_ff;
    const char *gate_up[] = {n->gate, n->up};
    if (!c->glu) TRY(take_linear(s, &l->ffn.up, &l->ffn.up_bias, &n->up, 1, i, rows, c->d_model, err));
    else if (n->up_gate) TRY(take_up_gate(s, l, n->up_gate, i, err));
    else if ((present(s, n->gate_up, i, ".weight") || !n->gate) && !present(s, n->gate, i, ".weight"))
        TRY(take_linear(s, &l->ffn.up, &l->ffn.up_bias, &n->gate_up, 1, i, &both, c->d_model, err));
    else TRY(take_linear(s, &l->ffn.up, &l->ffn.up_bias, gate_up, 2, i, rows, c->d_model, err));
    TRY(take_linear(s, &l->ffn.down, &l->ffn.down_bias, &n->down, 1, i, &c->d_model, c->d_ff, err));
    TRY(take_norm(s, &l->ffn.norm_in, n->ffn_norm_in, i, c->d_model, err));
    TRY(take_norm(s, &l->ffn.norm_out, n->ffn_norm_out, i, c->d_model, err));
    return take_norm(s, &l->ffn.norm_res, n->ffn_norm_res, i, c->d_model, err);
}

/* A head stands beside the body: below its prefix or a level further out. Moves s->prefix there; false: nowhere, and the prefix is as it was. */
static bool move_outward(struct binder *s, const char *name) {
    char body[NAME_ROOM];
    memcpy(body, s->prefix, sizeof body);
    while (!present(s, name, 0, ".weight")) {
        char *dot = s->prefix + strlen(s->prefix);
        if (dot == s->prefix) {
            memcpy(s->prefix, body, sizeof body);
            return false;
        }
        for (dot--; dot > s->prefix && dot[-1] != '.'; dot--) {}
        *dot = '\0';
    }
    return true;
}

/* Where there is no head, the word table serves (tied). */
static gllm_status take_head(struct binder *s, const struct name_table *n, struct weight **slot, gllm_error *err) {
    const char *name = move_outward(s, n->head) ? n->head : n->word;
    return take(s, slot, WEIGHT_MATRIX, &name, 1, 0, ".weight", NULL, &s->cfg->n_vocab, s->cfg->d_model, err);
}

static bool is_bound(const struct bindings *b, const struct tensor *t) {
    for (size_t i = 0; i < b->count; i++)
        for (uint32_t k = 0; k < b->list[i].desc.n_parts; k++)
            if (b->list[i].tensors[k] == t) return true;
    return false;
}

static bool is_around_blocks(const char *tensor) {
    static const char *const STEMS[] = {"output", "dense_", "token_embd_norm", "position_embd", "token_types"};
    bool found = false;
    for (unsigned i = 0; i < sizeof STEMS / sizeof *STEMS; i++) found |= !strncmp(tensor, STEMS[i], strlen(STEMS[i]));
    return found;
}

/* A GGUF file holds one model and nothing beside it: a tensor of a block, or around them, that no part of the architecture takes (scales, experts, norms of a
 * relative) would change the values. Tables of rotary positions are read elsewhere, or are as good as computed. */
static gllm_status refuse_unbound(const struct binder *s, const struct arch *arch, bool lm_head, gllm_error *err) {
    for (size_t i = 0; i < weights_count(s->w); i++) {
        const struct tensor *t = weights_at(s->w, i);
        char *end = NULL;
        const bool block = !strncmp(t->name, "blk.", 4) && strtoul(t->name + 4, &end, 10) < s->cfg->n_layer;
        if ((!block && !is_around_blocks(t->name)) || (end && (!strncmp(end, ".rope_", 6) || !strncmp(end, ".attn_rot_embd", 14)))) continue;
        if (!lm_head && !strcmp(t->name, "output.weight")) continue;
        if (!is_bound(s->b, t)) return err_set(err, GLLM_UNSUPPORTED, "%s: found a tensor that architecture %s does not have", t->name, arch->name);
    }
    return GLLM_OK;
}

/* n_labels 0: the model has none. A GGUF file may lack the first of the two layers; one that stands alone may have its name. */
static gllm_status take_classifier(struct binder *s, const struct name_table *n, bool gguf, uint32_t n_labels, struct model_weights *out, gllm_error *err) {
    if (!n_labels) return GLLM_OK;
    const bool alone = gguf && !(present(s, n->score_dense, 0, ".weight") && present(s, n->score_out, 0, ".weight"));
    const char *last = alone && !present(s, n->score_out, 0, ".weight") ? n->score_dense : n->score_out;
    move_outward(s, n->score_dense);
    if (!alone) TRY(take_linear(s, &out->score_dense, &out->score_dense_bias, &n->score_dense, 1, 0, &s->cfg->d_model, s->cfg->d_model, err));
    if (n->score_norm) {
        move_outward(s, n->score_norm);
        TRY(take_norm(s, &out->score_norm, n->score_norm, 0, s->cfg->d_model, err));
    }
    move_outward(s, last);
    return take_linear(s, &out->score_out, &out->score_out_bias, &last, 1, 0, &n_labels, s->cfg->d_model, err);
}

/* The names of `all` for the parts that `family` has. */
static struct name_table names_within(const struct name_table *all, const struct name_table *family) {
    static const size_t PARTS[] = {
        offsetof(struct name_table, pos), offsetof(struct name_table, type), offsetof(struct name_table, embd_norm), offsetof(struct name_table, final_norm), offsetof(struct name_table, head),
        offsetof(struct name_table, attn_norm_in), offsetof(struct name_table, q_norm), offsetof(struct name_table, k_norm), offsetof(struct name_table, attn_norm_out),
        offsetof(struct name_table, attn_norm_res), offsetof(struct name_table, attn_norm_again), offsetof(struct name_table, ffn_norm_in), offsetof(struct name_table, up_gate),
        offsetof(struct name_table, ffn_norm_out), offsetof(struct name_table, ffn_norm_res), offsetof(struct name_table, score_norm)};
    struct name_table out = *all;
    for (unsigned i = 0; i < sizeof PARTS / sizeof *PARTS; i++)
        if (!*(const char *const *)((const char *)family + PARTS[i])) *(const char **)((char *)&out + PARTS[i]) = NULL;
    return out;
}

gllm_status bind_collect(struct bindings *b, const struct weights *w, const struct arch *arch, const struct model_cfg *c, uint32_t n_labels, bool lm_head, struct model_weights *out, gllm_error *err) {
    const struct name_table names = names_within(arch->names, arch_family(arch)), *n = &names;
    struct binder s = {.b = b, .w = w, .cfg = c};
    TRY(find_prefix(&s, n->word, err));
    if (!arch->slots && arch->others && present(&s, arch->others->down, 0, ".weight")) n = arch->others;
    s.optional_bias = n->optional_bias;
    s.optional_norm_bias = arch->slots ? arch->slots->optional_bias : n->optional_bias;
    out->layers = arena_array(b->arena, c->n_layer, sizeof *out->layers);
    if (!out->layers) return err_nomem(err, "layers");
    TRY(take_table(&s, &out->word, n->word, c->n_vocab, c->d_embd, err));
    if (n->pos) TRY(take_table(&s, &out->pos, n->pos, c->n_pos, c->d_embd, err));
    if (n->type && c->n_type) TRY(take_table(&s, &out->type, n->type, c->n_type, c->d_embd, err));
    TRY(take_norm(&s, &out->embd_norm, n->embd_norm, 0, c->d_embd, err));
    if (c->d_embd != c->d_model) {
        if (!n->embd_proj) return err_set(err, GLLM_FORMAT, "embedding size %u differs from hidden size %u", c->d_embd, c->d_model);
        TRY(take_linear(&s, &out->embd_proj, &out->embd_proj_bias, &n->embd_proj, 1, 0, &c->d_model, c->d_embd, err));
    }
    if (n->rel_bias) TRY(take_rel(&s, &out->rel, n->rel_bias, c, err));
    if (c->alibi) TRY(take_alibi(&s, &out->rel, err));
    for (uint32_t i = 0; i < c->n_layer; i++) {
        TRY(take_attention(&s, &out->layers[i], n, i, err));
        TRY(take_ffn(&s, &out->layers[i], n, i, err));
    }
    TRY(take_norm(&s, &out->final_norm, n->final_norm, 0, c->d_model, err));
    if (lm_head) TRY(take_head(&s, n, &out->head, err));
    TRY(take_classifier(&s, n, arch->slots != NULL, n_labels, out, err));
    return arch->slots ? refuse_unbound(&s, arch, lm_head, err) : GLLM_OK;
}

/* The head's rows of r->ids, which are below n_vocab. */
static gllm_status take_token_rows(struct binder *s, const struct name_table *n, const struct ranker *r, struct model_weights *out, gllm_error *err) {
    struct weight *unused = NULL;
    const uint32_t cols = s->cfg->d_model;
    TRY(take_head(s, n, &unused, err));
    struct binding *b = &s->b->list[s->b->count - 1];
    float *rows = arena_array(s->b->arena, (size_t)r->n_out * cols, sizeof *rows);
    if (!rows) return err_nomem(err, b->desc.name);
    for (uint32_t i = 0; i < r->n_out; i++) weight_row(&b->desc.parts[0], cols, (uint32_t)r->ids[i], rows + (size_t)i * cols);
    b->slot = &out->score_out;
    b->tensors[0] = NULL;
    b->desc.parts[0] = (struct weight_part){.data = rows, .dtype = DTYPE_F32, .rows = r->n_out};
    return GLLM_OK;
}

gllm_status bind_ranker(struct bindings *b, const struct weights *w, const struct arch *arch, const struct model_cfg *c, const struct ranker *r, struct model_weights *out, gllm_error *err) {
    static const char *const PROJECTOR[] = {"projector.0", "projector.2"};
    struct binder s = {.b = b, .w = w, .cfg = c, .optional_bias = true};
    if (!r->n_out) return GLLM_OK;
    TRY(find_prefix(&s, arch->names->word, err));
    if (r->head == RANKER_TOKENS) return take_token_rows(&s, arch->names, r, out, err);
    s.prefix[0] = '\0';
    if (r->head == RANKER_LABELS) return take_linear(&s, &out->score_out, &out->score_out_bias, &r->tensor, 1, 0, &r->n_out, c->d_model, err);
    TRY(take_linear(&s, &out->score_dense, &out->score_dense_bias, &PROJECTOR[0], 1, 0, &r->d_inside, c->d_model, err));
    return take_linear(&s, &out->score_out, &out->score_out_bias, &PROJECTOR[1], 1, 0, &r->n_out, r->d_inside, err);
}

gllm_status bind_ropes(struct bindings *b, const struct model_cfg *c, uint32_t n_ctx, struct model_weights *out, gllm_error *err) {
    for (int k = 0; k < N_ROPES; k++) {
        if (!rope_used(c, k)) continue;
        float *freq = arena_array(b->arena, c->n_rot / 2, sizeof *freq);
        if (!freq) return err_nomem(err, "rotary frequencies");
        rope_frequencies(&c->ropes[k], c->n_rot, c->n_pos, n_ctx, freq, &out->rope_scale[k]);
        const struct weight_desc desc = {.name = "rotary frequencies", .role = WEIGHT_VECTOR, .cols = c->n_rot / 2, .n_parts = 1, .parts = {{.data = freq, .dtype = DTYPE_F32, .rows = c->n_rot / 2}}};
        TRY(bind_add(b, &out->freq[k], &desc, NULL, err));
    }
    return GLLM_OK;
}

gllm_status bind_dense(struct bindings *b, const struct weights *w, const struct hf_module *m, struct dense_weights *out, gllm_error *err) {
    struct binder s = {.b = b, .w = w};
    const char *name = m->dense.tensor ? m->dense.tensor : "linear";
    TRY(take(&s, &out->w, WEIGHT_MATRIX, &name, 1, 0, ".weight", NULL, &m->dense.out_dim, m->dense.in_dim, err));
    return m->dense.bias ? take(&s, &out->bias, WEIGHT_VECTOR, &name, 1, 0, ".bias", NULL, &m->dense.out_dim, 0, err) : GLLM_OK;
}

gllm_status bind_tensor(struct bindings *b, const struct weights *w, const char *name, uint32_t rows, uint32_t cols, struct weight **slot, gllm_error *err) {
    struct binder s = {.b = b, .w = w};
    return take(&s, slot, cols ? WEIGHT_MATRIX : WEIGHT_VECTOR, &name, 1, 0, "", NULL, &rows, cols, err);
}

gllm_status bind_add(struct bindings *b, struct weight **slot, const struct weight_desc *desc, const struct tensor *t, gllm_error *err) {
    struct binder s = {.b = b};
    struct binding *x = append(&s, slot);
    if (!x) return err_nomem(err, "bindings");
    x->desc = *desc;
    x->tensors[0] = t;
    return GLLM_OK;
}

struct ordered {
    uint64_t bytes;
    size_t index;
};
static int largest_first(const void *x, const void *y) {
    const struct ordered *a = x, *b = y;
    return a->bytes != b->bytes ? (a->bytes < b->bytes ? 1 : -1) : (a->index > b->index) - (a->index < b->index);
}

/* The largest first: while a weight is prepared its file's pages and its prepared form are both resident, so the peak is least when little else is. */
gllm_status bind_prepare(const struct bindings *b, const struct weights *w, struct backend *be, gllm_error *err) {
    struct ordered *order = malloc((b->count + 1) * sizeof *order);
    gllm_status status = order ? GLLM_OK : err_nomem(err, "weights");
    for (size_t i = 0; order && i < b->count; i++) {
        order[i] = (struct ordered){0, i};
        for (uint32_t k = 0; k < b->list[i].desc.n_parts; k++)
            if (b->list[i].tensors[k]) order[i].bytes += b->list[i].tensors[k]->bytes;
    }
    if (order) qsort(order, b->count, sizeof *order, largest_first);
    for (size_t i = 0; status == GLLM_OK && i < b->count; i++) {
        const struct binding *x = &b->list[order[i].index];
        status = be->ops->weight_prepare(be, &x->desc, x->slot, err);
        for (uint32_t k = 0; status == GLLM_OK && k < x->desc.n_parts; k++)
            if (x->tensors[k] && !be->ops->weight_borrows(*x->slot)) weights_release(w, x->tensors[k]);
    }
    free(order);
    return status;
}

size_t bind_activation_scales(const struct weights *w) {
    static const char *const SUFFIXES[] = {".input_scale", ".activation_scale"};
    size_t n = 0;
    for (size_t i = 0; i < weights_count(w); i++) {
        const char *name = weights_at(w, i)->name;
        for (unsigned k = 0; k < 2; k++) {
            const size_t len = strlen(name), tail = strlen(SUFFIXES[k]);
            n += len > tail && !strcmp(name + len - tail, SUFFIXES[k]);
        }
    }
    return n;
}

void bind_release(const struct bindings *b, struct backend *be) {
    for (size_t i = 0; i < b->count; i++) {
        be->ops->weight_free(be, *b->list[i].slot);
        *b->list[i].slot = NULL;
    }
}
