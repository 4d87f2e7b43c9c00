/* models.c - gllm models: what has an alias and what is on this machine; and doctor --parity's list of families. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const char *yes_no(bool b) { return b ? "true" : "false"; }

static void field(const char *name, const char *value) {
    printf(",\"%s\":", name);
    cli_json_text(stdout, value);
}

static void print_json_model(const gllm_model_entry *m) {
    fputs("{\"id\":", stdout);
    cli_json_text(stdout, *m->alias ? m->alias : m->repo);
    fputs(",\"object\":\"model\"", stdout);
    field("repo", m->repo), field("alias", m->alias), field("other_alias", m->other_alias), field("task", m->task), field("family", m->family), field("licence", m->licence);
    printf(",\"gated\":%s,\"public\":%s", yes_no(m->gated), yes_no(!*m->nearest_public));
    field("nearest_public", m->nearest_public);
    printf(",\"dimensions\":%u,\"max_tokens\":%u,\"trained_dimensions\":[", m->dim, m->max_tokens);
    for (size_t i = 0; i < m->n_dims; i++) printf("%s%u", i ? "," : "", m->dims[i]);
    fputs("],\"quantised\":[", stdout);
    for (size_t i = 0; i < m->n_variants; i++) {
        printf("%s{\"quant\":\"%s\"", i ? "," : "", m->variants[i].quant);
        field("repo", m->variants[i].repo), field("file", m->variants[i].file);
        putchar('}');
    }
    printf("],\"local\":%s", yes_no(*m->path));
    field("path", m->path);
    printf(",\"bytes\":%llu}", (unsigned long long)m->bytes);
}

/* The body of /v1/models, with more about each. */
static void print_json(const gllm_models *list, bool local) {
    fputs("{\"object\":\"list\",\"data\":[", stdout);
    bool any = false;
    for (size_t i = 0; i < list->count; i++) {
        if (local && !*list->items[i].path) continue;
        if (any) putchar(',');
        print_json_model(&list->items[i]);
        any = true;
    }
    puts("]}");
}

static void size_text(char out[16], uint64_t bytes) {
    const double mib = (double)bytes / 0x1p20;
    if (mib < 1024) snprintf(out, 16, "%.1f MiB", mib);
    else snprintf(out, 16, "%.1f GiB", mib / 1024);
}

static const char *or_dash(const char *text) { return *text ? text : "-"; }

static void print_row(const gllm_model_entry *m) {
    char size[16] = "-", dim[16] = "-";
    if (*m->path) size_text(size, m->bytes);
    if (m->dim) snprintf(dim, sizeof dim, "%u", m->dim);
    printf("%-40s  %-8s  %5s  %-22s  %10s  %s%s%s\n", *m->alias ? m->alias : m->repo, or_dash(m->task), dim, or_dash(m->licence), size, m->repo, m->gated ? " (gated)" : "",
           *m->nearest_public ? " (not public)" : "");
}

static void print_text(const gllm_models *list, bool local) {
    printf("%s%-40s  %-8s  %5s  %-22s  %10s  %s%s\n", cli_style(stdout, STYLE_BOLD), "MODEL", "TASK", "DIM", "LICENCE", "ON DISK", "REPOSITORY", cli_style(stdout, STYLE_PLAIN));
    for (size_t i = 0; i < list->count; i++)
        if (!local || *list->items[i].path) print_row(&list->items[i]);
}

int verb_models(const struct cli_options *o) {
    gllm_models *list;
    gllm_error err = {0};
    if (gllm_models_list(&list, NULL, &err) != GLLM_OK) return cli_fail(&err);
    if (o->json) print_json(list, o->local);
    else print_text(list, o->local);
    gllm_models_free(list);
    return cli_flush(stdout, "standard output");
}

/* The aliases of a family, folded to the terminal's width. */
static int print_aliases(const gllm_models *list, const char *family) {
    char *text = NULL;
    size_t n = 0;
    const char *gap = "";
    FILE *f = open_memstream(&text, &n);
    if (!f) return cli_no_memory();
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].family, family) || strchr(list->items[i].alias, ':')) continue;
        fprintf(f, "%s%s", gap, list->items[i].alias);
        gap = ", ";
    }
    const bool failed = fclose(f);
    if (!failed) fputs("    ", stdout), cli_wrap(stdout, text, 4);
    free(text);
    return failed ? cli_no_memory() : EXIT_OK;
}

static void print_json_families(const gllm_models *list) {
    fputs("{\"families\":[", stdout);
    for (size_t i = 0; i < list->n_families; i++) {
        const gllm_model_family *f = &list->families[i];
        const char *gap = "";
        printf("%s{\"family\":\"%s\"", i ? "," : "", f->name);
        field("model_type", f->model_type), field("golden", f->golden), field("made_with", f->made_with), field("missing", f->missing);
        fputs(",\"aliases\":[", stdout);
        for (size_t k = 0; k < list->count; k++) {
            if (strcmp(list->items[k].family, f->name) || strchr(list->items[k].alias, ':')) continue;
            fputs(gap, stdout);
            cli_json_text(stdout, list->items[k].alias);
            gap = ",";
        }
        fputs("]}", stdout);
    }
    puts("]}");
}

int cli_families(const struct cli_options *o) {
    gllm_models *list;
    gllm_error err = {0};
    if (gllm_models_list(&list, NULL, &err) != GLLM_OK) return cli_fail(&err);
    int status = EXIT_OK;
    if (o->json) print_json_families(list);
    for (size_t i = 0; !status && i < list->n_families && !o->json; i++) {
        const gllm_model_family *f = &list->families[i];
        const bool held = *f->golden;
        printf("%s%-16s%s  %-18s  %s%s%s%s\n", cli_style(stdout, held ? STYLE_GOOD : STYLE_BAD), f->name, cli_style(stdout, STYLE_PLAIN), f->model_type, held ? "tests/golden/" : "no golden: ",
               held ? f->golden : f->missing, held ? ", values of " : "", f->made_with);
        status = print_aliases(list, f->name);
    }
    gllm_models_free(list);
    return status ? status : cli_flush(stdout, "standard output");
}
