#include "model/adapter.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum { MAX_TASKS = 64, NAME_ROOM = 512 };

struct adapter {
    struct weights *w;
    const char *task;
    float scale;
    bool *taken; /* [weights_count] */
};

/* ---- what config.json says ---- */

static gllm_status read_names(struct model_files *f, const json_t *list, gllm_error *err) {
    const size_t n = json_array_size(list);
    const char **names = arena_array(&f->arena, n, sizeof *names);
    if (!names) return err_nomem(err, "task_names");
    if (!n || n > MAX_TASKS) return err_set(err, GLLM_FORMAT, "%s/config.json: task_names: found %zu, expected 1 to %d", f->dir.weights_dir, n, MAX_TASKS);
    for (size_t i = 0; i < n; i++) {
        const char *name = json_string_value(json_array_get(list, i));
        if (!name || !*name) return err_set(err, GLLM_FORMAT, "%s/config.json: task_names[%zu]: found %s, expected a name", f->dir.weights_dir, i, name ? "\"\"" : json_kind(json_array_get(list, i)));
        if (!(names[i] = arena_strdup(&f->arena, name))) return err_nomem(err, name);
    }
    f->tasks.names = names, f->tasks.n = (uint32_t)n;
    return GLLM_OK;
}

/* The words that the model's own code puts before a text; a file of prompts counts more. */
static gllm_status add_prompts(struct hfdir *d, gllm_error *err) {
    static const struct hf_prompt OWN[] = {{"query", "Query: "}, {"passage", "Passage: "}};
    enum { N_OWN = sizeof OWN / sizeof *OWN };
    if (d->n_prompts) return GLLM_OK;
    d->prompts = arena_array(&d->arena, N_OWN, sizeof *d->prompts);
    if (!d->prompts) return err_nomem(err, d->name);
    memcpy(d->prompts, OWN, sizeof OWN);
    d->n_prompts = N_OWN;
    return GLLM_OK;
}

gllm_status tasks_read(struct model_files *f, gllm_error *err) {
    char file[4096];
    json_t *names;
    const char *pooling = NULL;
    if (weights_gguf(f->weights)) return GLLM_OK;
    snprintf(file, sizeof file, "%s/config.json", f->dir.weights_dir);
    TRY(json_str(f->dir.config, file, "single_vector_pool_strategy", &pooling, err));
    TRY(json_array_at(f->dir.config, file, "task_names", &names, err));
    if (!pooling) return GLLM_OK;
    if (strcmp(pooling, "mean")) return err_set(err, GLLM_UNSUPPORTED, "%s: single_vector_pool_strategy: found \"%.60s\", expected \"mean\"", file, pooling);
    if (names) TRY(read_names(f, names, err));
    if (!hfdir_pools(&f->dir)) TRY(hfdir_pool_by(&f->dir, HF_POOL_MEAN, true, err));
    return add_prompts(&f->dir, err);
}

static void list_names(const struct tasks *t, char *buf, size_t size) {
    size_t at = 0;
    buf[0] = '\0';
    for (uint32_t i = 0; i < t->n && at < size; i++) at += (size_t)snprintf(buf + at, size - at, "%s%s", i ? ", " : "", t->names[i]);
}

gllm_status tasks_choose(struct model_files *f, const char *name, gllm_error *err) {
    char known[200];
    if (!name) return GLLM_OK;
    if (!f->tasks.n) return err_set(err, GLLM_UNSUPPORTED, "adapter: found \"%.60s\", expected none: %s has no adapters", name, f->dir.name);
    for (f->tasks.chosen = 0; f->tasks.chosen < f->tasks.n; f->tasks.chosen++)
        if (!strcmp(f->tasks.names[f->tasks.chosen], name)) {
            if (!strcmp(name, "text-matching"))
                for (size_t i = 0; i < f->dir.n_prompts; i++) f->dir.prompts[i].text = "Query: "; /* either side is a query there */
            return GLLM_OK;
        }
    list_names(&f->tasks, known, sizeof known);
    return err_set(err, GLLM_NOT_FOUND, "adapter: found \"%.60s\", %s has: %s", name, f->dir.name, known);
}

/* ---- the adapter's files ---- */

/* What PEFT can do beside adding B A. */
static gllm_status refuse_variants(const json_t *root, const char *file, gllm_error *err) {
    static const char *const FLAGS[] = {"use_dora", "lora_bias", "fan_in_fan_out"}, *const LISTS[] = {"rank_pattern", "alpha_pattern", "modules_to_save", "layer_replication"};
    const char *type = "LORA", *bias = "none";
    TRY(json_str(root, file, "peft_type", &type, err));
    TRY(json_str(root, file, "bias", &bias, err));
    if (strcmp(type, "LORA") || strcmp(bias, "none")) return err_set(err, GLLM_UNSUPPORTED, "%s: peft_type: found \"%.40s\" with bias \"%.40s\", expected \"LORA\" and \"none\"", file, type, bias);
    for (unsigned i = 0; i < sizeof FLAGS / sizeof *FLAGS; i++) {
        bool on = false;
        TRY(json_flag(root, file, FLAGS[i], &on, err));
        if (on) return err_set(err, GLLM_UNSUPPORTED, "%s: %s: found true, expected false", file, FLAGS[i]);
    }
    for (unsigned i = 0; i < sizeof LISTS / sizeof *LISTS; i++) {
        const json_t *v = json_object_get(root, LISTS[i]);
        if (v && !json_is_null(v) && (json_array_size(v) || json_object_size(v)))
            return err_set(err, GLLM_UNSUPPORTED, "%s: %s: found %zu entries, expected none", file, LISTS[i], json_array_size(v) + json_object_size(v));
    }
    return GLLM_OK;
}

static gllm_status read_scale(const json_t *root, const char *file, float *scale, gllm_error *err) {
    uint32_t rank = 0;
    float alpha = 0;
    bool by_root = false;
    TRY(json_u32(root, file, "r", &rank, err));
    TRY(json_f32(root, file, "lora_alpha", &alpha, err));
    TRY(json_flag(root, file, "use_rslora", &by_root, err));
    if (!rank) return err_set(err, GLLM_FORMAT, "%s: r: found %u, expected 1 or more", file, rank);
    *scale = alpha / (by_root ? sqrtf((float)rank) : (float)rank);
    return GLLM_OK;
}

static gllm_status read_config(struct adapter *a, const char *folder, gllm_error *err) {
    char *file = path_join(folder, "adapter_config.json");
    json_t *root = NULL;
    if (!file) return err_nomem(err, folder);
    gllm_status status = json_read_file(file, (uint64_t)1 << 20, &root, err);
    if (status == GLLM_OK) status = refuse_variants(root, file, err);
    if (status == GLLM_OK) status = read_scale(root, file, &a->scale, err);
    json_decref(root);
    free(file);
    return status;
}

static gllm_status open_files(struct model *m, struct adapter *a, const char *folder, gllm_error *err) {
    char *weights = path_join(folder, "adapter_model.safetensors");
    gllm_status status = weights ? read_config(a, folder, err) : err_nomem(err, folder);
    if (status == GLLM_OK) status = weights_open(&a->w, weights, err);
    free(weights);
    TRY(status);
    a->taken = arena_array(&m->arena, weights_count(a->w), sizeof *a->taken);
    return a->taken ? GLLM_OK : err_nomem(err, folder);
}

gllm_status adapter_open(struct model *m, gllm_error *err) {
    const struct model_files *f = &m->files;
    if (!f->tasks.n) return GLLM_OK;
    char *folder = path_join(f->dir.dir, "adapters");
    struct adapter *a = m->adapter = arena_alloc(&m->arena, sizeof *a);
    gllm_status status = GLLM_OK;
    if (!folder || !a) status = err_nomem(err, f->dir.name);
    else {
        *a = (struct adapter){.task = f->tasks.names[f->tasks.chosen]};
        if (dir_exists(folder)) status = open_files(m, a, folder, err);
        else {
            m->adapter = NULL; /* merged before it was saved */
            log_line(&m->log, GLLM_LOG_INFO, "%s: no adapters beside it: its weights count as they are", f->dir.name);
        }
    }
    if (status == GLLM_OK && m->adapter) log_line(&m->log, GLLM_LOG_INFO, "%s: the adapter for %s is added to its weights", f->dir.name, a->task);
    free(folder);
    return status;
}

void adapter_close(struct adapter *a) {
    if (a) weights_close(a->w);
}

static bool ends_so(const char *name, const char *tail) {
    const size_t n = strlen(name), k = strlen(tail);
    return n > k && name[n - k - 1] == '.' && !strcmp(name + n - k, tail);
}

/* The tensor of the module's side 'A' or 'B'; the adapter's prefixes are not the body's, so the end of the name counts. *at: its index. */
static const struct tensor *find_side(const struct adapter *a, const char *name, char side, size_t *at) {
    static const char END[] = ".weight";
    char tail[NAME_ROOM];
    const size_t n = strlen(name);
    if (n < sizeof END || strcmp(name + n - strlen(END), END)) return NULL;
    snprintf(tail, sizeof tail, "%.*s.lora_%c.%s.weight", (int)(n - strlen(END)), name, side, a->task);
    for (*at = 0; *at < weights_count(a->w); ++*at)
        if (ends_so(weights_at(a->w, *at)->name, tail)) return weights_at(a->w, *at);
    return NULL;
}

static gllm_status want_shape(const struct tensor *t, uint64_t rows, uint64_t cols, gllm_error *err) {
    char found[200];
    if (t->rank == 2 && t->shape[0] == rows && t->shape[1] == cols && rows && (t->dtype == DTYPE_F32 || t->dtype == DTYPE_F16 || t->dtype == DTYPE_BF16)) return GLLM_OK;
    return err_set(err, GLLM_FORMAT, "%s: found %s of shape %s, expected F32, F16 or BF16 of shape [%llu,%llu]", t->name, dtype_traits(t->dtype)->name, tensor_shape_text(t->shape, t->rank, found, sizeof found),
                   (unsigned long long)rows, (unsigned long long)cols);
}

gllm_status adapter_take(struct adapter *a, struct arena *arena, const char *name, uint32_t cols, struct weight_part *part, gllm_error *err) {
    size_t at_a, at_b;
    if (!a) return GLLM_OK;
    const struct tensor *down = find_side(a, name, 'A', &at_a), *up = find_side(a, name, 'B', &at_b);
    if (!down && !up) return GLLM_OK;
    if (!down || !up) return err_set(err, GLLM_FORMAT, "%s: no lora_%c beside it for task %s", (down ? down : up)->name, down ? 'B' : 'A', a->task);
    TRY(want_shape(down, down->rank ? down->shape[0] : 0, cols, err));
    TRY(want_shape(up, part->rows, down->shape[0], err));
    if (down->shape[0] > 1 << 16) return err_set(err, GLLM_FORMAT, "%s: a rank of %llu, expected at most 65536", down->name, (unsigned long long)down->shape[0]);
    struct weight_delta *x = arena_alloc(arena, sizeof *x);
    if (!x) return err_nomem(err, name);
    *x = (struct weight_delta){.a = down->data, .b = up->data, .a_dtype = down->dtype, .b_dtype = up->dtype, .rank = (uint32_t)down->shape[0], .scale = a->scale};
    part->delta = x;
    a->taken[at_a] = a->taken[at_b] = true;
    return GLLM_OK;
}

gllm_status adapter_check(const struct adapter *a, gllm_error *err) {
    char tail[NAME_ROOM];
    if (!a) return GLLM_OK;
    snprintf(tail, sizeof tail, "%s.weight", a->task);
    for (size_t i = 0; i < weights_count(a->w); i++) {
        const char *name = weights_at(a->w, i)->name;
        if (!a->taken[i] && ends_so(name, tail)) return err_set(err, GLLM_UNSUPPORTED, "%s: %s: found an adapter of a module that the model does not have", weights_shard_name(a->w, 0), name);
    }
    return GLLM_OK;
}
