/* models.c - the list of models: the registry's, and what else lies on this machine. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "hub/cache.h"
#include "hub/registry.h"

struct models { /* the public struct first */
    gllm_models base;
    struct arena arena;
};

static size_t count_models(void) {
    size_t n = 0;
    while (registry_models[n].aliases) n++;
    return n;
}

static gllm_status fill_variants(gllm_model_entry *e, struct arena *a, const struct registry_model *m, gllm_error *err) {
    while (m->variants && m->variants[e->n_variants].quant) e->n_variants++;
    gllm_model_variant *list = arena_array(a, e->n_variants, sizeof *list);
    if (!list) return err_nomem(err, "models");
    for (size_t i = 0; i < e->n_variants; i++) list[i] = (gllm_model_variant){m->variants[i].quant, m->variants[i].repo, m->variants[i].file ? m->variants[i].file : ""};
    e->variants = list;
    return GLLM_OK;
}

/* What the registry says of a model; the texts are its own. */
static gllm_status describe(gllm_model_entry *e, struct arena *a, const struct registry_model *m, gllm_error *err) {
    *e = (gllm_model_entry){.alias = m->aliases[0], .other_alias = m->aliases[1] ? m->aliases[1] : "", .repo = m->repos[0], .task = m->task, .family = m->family, .licence = m->licence,
                            .gated = m->gated, .nearest_public = m->nearest ? m->nearest : "", .dim = m->dim, .max_tokens = m->max_tokens, .dims = m->dims, .path = ""};
    while (m->dims && m->dims[e->n_dims]) e->n_dims++;
    return fill_variants(e, a, m, err);
}

/* A folder that is not a row's own repository: a quantised form of one, or a model that the registry does not know. */
static gllm_status describe_local(gllm_model_entry *e, struct arena *a, const struct registry_model *m, const struct registry_variant *v, const struct hub_local *local, gllm_error *err) {
    char alias[256] = "";
    *e = (gllm_model_entry){.other_alias = "", .repo = local->repo, .task = "", .family = "", .licence = "", .nearest_public = ""};
    if (m) {
        snprintf(alias, sizeof alias, "%s:%s", m->aliases[0], v->quant);
        e->task = m->task, e->family = m->family, e->licence = m->licence, e->dim = m->dim, e->max_tokens = m->max_tokens;
    }
    e->alias = arena_strdup(a, alias);
    e->path = local->path, e->bytes = local->bytes;
    return e->alias ? GLLM_OK : err_nomem(err, "models");
}

static gllm_status fill(struct models *m, const struct api_places *p, gllm_error *err) {
    const struct hub_local *local;
    size_t n_local;
    const size_t known = count_models();
    TRY(hub_local_list(p->home, p->cache, &m->arena, &local, &n_local, err));
    gllm_model_entry *list = arena_array(&m->arena, known + n_local, sizeof *list);
    if (!list) return err_nomem(err, "models");
    m->base.items = list, m->base.count = known;
    for (size_t i = 0; i < known; i++) TRY(describe(&list[i], &m->arena, &registry_models[i], err));
    for (size_t i = 0; i < n_local; i++) {
        const struct registry_variant *v;
        const struct registry_model *r = registry_by_repo(local[i].repo, &v);
        if (!r || v) TRY(describe_local(&list[m->base.count++], &m->arena, r, v, &local[i], err));
        else if (!*list[r - registry_models].path) list[r - registry_models].path = local[i].path, list[r - registry_models].bytes = local[i].bytes;
    }
    return GLLM_OK;
}

static gllm_status fill_families(struct models *m, gllm_error *err) {
    while (registry_families[m->base.n_families].name) m->base.n_families++;
    gllm_model_family *list = arena_array(&m->arena, m->base.n_families, sizeof *list);
    if (!list) return err_nomem(err, "models");
    for (size_t i = 0; i < m->base.n_families; i++) {
        const struct registry_family *f = &registry_families[i];
        list[i] = (gllm_model_family){f->name, f->model_type, f->golden ? f->golden : "", f->made_with ? f->made_with : "", f->missing ? f->missing : ""};
    }
    m->base.families = list;
    return GLLM_OK;
}

gllm_status gllm_models_list(gllm_models **out, const char *home, gllm_error *err) {
    if (!out) return err_set(err, GLLM_INVALID, "gllm_models_list: out is NULL");
    *out = NULL;
    struct api_places p;
    struct models *m = calloc(1, sizeof *m);
    if (!m) return err_nomem(err, "models");
    gllm_status status = api_places(home, &p, err);
    if (status == GLLM_OK) status = fill(m, &p, err);
    if (status == GLLM_OK) status = fill_families(m, err);
    api_places_free(&p);
    if (status != GLLM_OK) gllm_models_free(&m->base);
    else *out = &m->base;
    return status;
}

void gllm_models_free(gllm_models *models) {
    struct models *m = (struct models *)models;
    if (m) arena_free(&m->arena);
    free(m);
}
