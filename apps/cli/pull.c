/* pull.c - gllm pull and gllm rm, and the bar while a model is fetched. */
#include <string.h>

#include "cli.h"

enum { EVERY_MS = 100 };

/* ---- the bar ---- */

static void size_text(char *out, size_t size, double bytes) {
    if (bytes < 1e6) snprintf(out, size, "%.1f kB", bytes / 1e3);
    else if (bytes < 1e9) snprintf(out, size, "%.1f MB", bytes / 1e6);
    else snprintf(out, size, "%.2f GB", bytes / 1e9);
}

static void show(const struct cli_fetch *f, const gllm_pull_state *s, double seconds, unsigned columns) {
    char done[200], rate[32], here[32], all[32];
    const double fetched = (double)(s->bytes - f->first_bytes), left = (double)(s->total - f->first_bytes);
    size_text(here, sizeof here, (double)s->bytes);
    size_text(all, sizeof all, (double)s->total);
    size_text(rate, sizeof rate - 2, seconds > 0 ? fetched / seconds : 0);
    strcat(rate, "/s");
    snprintf(done, sizeof done, "%s  %s of %s", s->repo, here, all);
    cli_bar_show(done, rate, left > 0 ? fetched / left : 0, seconds, columns);
}

/* To a file or pipe: a line for each tenth. */
static void tell_tenth(struct cli_fetch *f, const gllm_pull_state *s) {
    char here[32], all[32];
    const uint64_t tenth = s->bytes * 10 / s->total;
    if (tenth <= f->told || tenth >= 10) return;
    f->told = tenth;
    size_text(here, sizeof here, (double)s->bytes);
    size_text(all, sizeof all, (double)s->total);
    cli_note(f->options, "%s: %s of %s", s->repo, here, all);
}

bool cli_fetch_progress(void *user, const gllm_pull_state *s) {
    struct cli_fetch *f = user;
    const double now = cli_now_ms();
    if (cli_interrupted()) return cli_fetch_clear(f), false;
    if (!s->total || f->options->quiet) return true;
    if (!f->begun) f->begun = true, f->start_ms = now, f->first_bytes = s->bytes, f->told = s->bytes * 10 / s->total, snprintf(f->repo, sizeof f->repo, "%s", s->repo);
    if (now - f->shown_ms < EVERY_MS) return true;
    f->shown_ms = now;
    const unsigned columns = cli_columns(stderr);
    if (!columns) return tell_tenth(f, s), true;
    show(f, s, (now - f->start_ms) / 1e3, columns);
    f->shown = true;
    return true;
}

void cli_fetch_clear(struct cli_fetch *f) {
    if (f->shown) fputs("\r\033[K", stderr);
    f->shown = false;
}

/* ---- for the verbs that open a model ---- */

static struct cli_fetch fetch_now; /* a program opens one model at a time */

/* The log's lines stand where the bar was. */
static void log_line(void *user, gllm_log_level level, const char *line) {
    const struct cli_options *o = user;
    if (level <= GLLM_LOG_WARN ? o->quiet : !o->verbose) return;
    cli_fetch_clear(&fetch_now);
    fprintf(stderr, "gllm: %s\n", line);
}

static bool on_demand(void *user, const gllm_pull_state *s) {
    if (!fetch_now.begun && s->total && s->bytes < s->total) {
        cli_catch_signals();
        cli_note(fetch_now.options, "%s is not here; fetching it", s->repo);
    }
    if (!cli_fetch_progress(user, s)) return cli_note(fetch_now.options, "stopped; what has come is kept, and the same command goes on from there"), false;
    if (s->bytes == s->total) cli_fetch_clear(&fetch_now);
    return true;
}

void cli_fetch_options(const struct cli_options *o, gllm_options *out) {
    fetch_now = (struct cli_fetch){.options = o};
    out->fetch_progress = on_demand, out->fetch_user = &fetch_now;
    out->log = log_line, out->log_user = (void *)(uintptr_t)o;
}

/* ---- the verbs ---- */

static int pull_one(const struct cli_options *o, const char *model) {
    gllm_pull_request r;
    gllm_error err = {0};
    char *path;
    fetch_now = (struct cli_fetch){.options = o};
    gllm_pull_request_init(&r);
    r.model = model, r.revision = o->revision, r.quant = o->quant;
    r.progress = cli_fetch_progress, r.progress_user = &fetch_now;
    r.log = log_line, r.log_user = (void *)(uintptr_t)o;
    const gllm_status status = gllm_pull(&r, &path, &err);
    cli_fetch_clear(&fetch_now);
    if (status == GLLM_CANCELED) cli_note(o, "%s: stopped; what has come is kept, and the same command goes on from there", model);
    if (status != GLLM_OK) return cli_fail(&err);
    puts(path);
    gllm_text_free(path);
    return EXIT_OK;
}

/* Each model, also after one that failed; the first failure is the exit status. */
static int each_model(const struct cli_options *o, int (*one)(const struct cli_options *o, const char *model)) {
    int first = EXIT_OK;
    for (size_t i = 0; i < o->n_operands && !cli_interrupted(); i++) {
        const int status = one(o, o->operands[i]);
        if (!first) first = status;
    }
    const int status = cli_flush(stdout, "standard output");
    return first ? first : status;
}

int verb_pull(const struct cli_options *o) {
    cli_catch_signals();
    return each_model(o, pull_one);
}

static int rm_one(const struct cli_options *o, const char *model) {
    gllm_error err = {0};
    uint64_t bytes;
    char size[32];
    if (gllm_models_remove(model, NULL, &bytes, &err) != GLLM_OK) return cli_fail(&err);
    size_text(size, sizeof size, (double)bytes);
    cli_note(o, "%s: removed, %s", model, size);
    return EXIT_OK;
}

int verb_rm(const struct cli_options *o) { return each_model(o, rm_one); }
