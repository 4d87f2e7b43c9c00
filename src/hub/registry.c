#include "hub/registry.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *const QUANTS[] = {"int4", "int8", "awq", "gptq", "gguf", "fp8", "bnb4", "bnb8"};

const struct registry_model *registry_by_alias(const char *alias) {
    for (const struct registry_model *m = registry_models; m->aliases; m++)
        for (const char *const *a = m->aliases; *a; a++)
            if (!strcasecmp(*a, alias)) return m;
    return NULL;
}

const struct registry_model *registry_by_repo(const char *repo, const struct registry_variant **variant) {
    *variant = NULL;
    for (const struct registry_model *m = registry_models; m->aliases; m++)
        for (const char *const *r = m->repos; *r; r++)
            if (!strcasecmp(*r, repo)) return m;
    for (const struct registry_model *m = registry_models; m->aliases; m++)
        for (const struct registry_variant *v = m->variants; v && v->quant; v++)
            if (!strcasecmp(v->repo, repo)) return *variant = v, m;
    return NULL;
}

/* A folder's name, "ORG--NAME" or "models--ORG--NAME", as a repository. */
static const struct registry_model *by_folder(const char *name, size_t len) {
    const struct registry_variant *unused;
    char repo[256];
    if (len > 8 && !strncmp(name, "models--", 8)) name += 8, len -= 8;
    const char *dashes = memmem(name, len, "--", 2);
    if (!dashes || len >= sizeof repo) return NULL;
    const int org = (int)(dashes - name);
    snprintf(repo, sizeof repo, "%.*s/%.*s", org, name, (int)len - org - 2, dashes + 2);
    return registry_by_repo(repo, &unused);
}

/* The last component of path[0, *end); *end moves before it. */
static const char *pop(const char *path, size_t *end, size_t *len) {
    while (*end && path[*end - 1] == '/') --*end;
    size_t start = *end;
    while (start && path[start - 1] != '/') start--;
    *len = *end - start;
    *end = start;
    return path + start;
}

/* By the last folder of path[0, end), or the one whose snapshot that is. */
static const struct registry_model *by_last_folder(const char *path, size_t end) {
    size_t len;
    const char *name = pop(path, &end, &len);
    const struct registry_model *m = by_folder(name, len);
    if (m) return m;
    name = pop(path, &end, &len);
    if (len != 9 || strncmp(name, "snapshots", 9)) return NULL;
    name = pop(path, &end, &len);
    return by_folder(name, len);
}

const struct registry_model *registry_by_path(const char *path) {
    size_t end = strlen(path), above = end, len;
    const char *name = pop(path, &above, &len);
    if (len <= 5 || strncasecmp(name + len - 5, ".gguf", 5)) return by_last_folder(path, end);
    const struct registry_model *m = by_last_folder(path, above);
    pop(path, &above, &len); /* a GGUF file may lie one folder deeper: Q8_0/FILE.gguf */
    return m ? m : by_last_folder(path, above);
}

/* Edits that make one text of the other: a letter changed, put in or left out; case is ignored. Above `limit` any larger number. */
static unsigned distance(const char *a, const char *b, unsigned limit) {
    unsigned row[64];
    const size_t n = strlen(a), m = strlen(b);
    if (m >= 64 || (n > m ? n - m : m - n) > limit) return limit + 1;
    for (unsigned j = 0; j <= m; j++) row[j] = j;
    for (unsigned i = 1; i <= n; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= m; j++) {
            unsigned best = diagonal + !!strncasecmp(a + i - 1, b + j - 1, 1);
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            if (row[j] + 1 < best) best = row[j] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[m];
}

const char *registry_nearest(const char *word) {
    const char *best = NULL;
    unsigned least = strlen(word) < 6 ? 1 : 3; /* no further than this */
    for (const struct registry_model *m = registry_models; m->aliases; m++)
        for (const char *const *a = m->aliases; *a; a++) {
            const unsigned d = distance(word, *a, least);
            if (d < least || (d == least && !best)) best = *a, least = d;
        }
    return best;
}

static bool is_quant(const char *word, size_t len) {
    for (unsigned i = 0; i < sizeof QUANTS / sizeof *QUANTS; i++)
        if (strlen(QUANTS[i]) == len && !strncasecmp(QUANTS[i], word, len)) return true;
    return false;
}

static gllm_status refuse_quant(const struct registry_model *m, const char *quant, int len, gllm_error *err) {
    char there[400] = "";
    size_t at = 0;
    for (const struct registry_variant *v = m->variants; v && v->quant && at < sizeof there; v++)
        at += (size_t)snprintf(there + at, sizeof there - at, "%s%s (%s)", at ? ", " : "", v->quant, v->repo);
    return err_set(err, GLLM_NOT_FOUND, "%s:%.*s: no such form is known; there is %s", m->aliases[0], len, quant, at ? there : "the model itself only");
}

static const struct registry_variant *variant_of(const struct registry_model *m, const char *quant, size_t len) {
    for (const struct registry_variant *v = m->variants; v && v->quant; v++)
        if (strlen(v->quant) == len && !strncasecmp(v->quant, quant, len)) return v;
    return NULL;
}

static bool names_file(const char *rest) {
    const size_t n = strlen(rest);
    return n > 5 && !strcasecmp(rest + n - 5, ".gguf");
}

gllm_status registry_resolve(const char *head, const char *rest, struct registry_ref *out, gllm_error *err) {
    *out = (struct registry_ref){.choice = rest};
    if (strchr(head, '/')) {
        out->model = registry_by_repo(head, &out->variant);
        return GLLM_OK;
    }
    out->model = registry_by_alias(head);
    const size_t len = rest ? strcspn(rest, ":") : 0;
    if (!out->model || !rest) return GLLM_OK;
    const bool form = is_quant(rest, len); /* else a GGUF file or a word of its name, of the repository of these */
    out->variant = variant_of(out->model, form ? rest : "gguf", form ? len : strlen("gguf"));
    if (form) out->choice = rest[len] ? rest + len + 1 : NULL;
    return out->variant || (!form && names_file(rest)) ? GLLM_OK : refuse_quant(out->model, rest, (int)len, err);
}
