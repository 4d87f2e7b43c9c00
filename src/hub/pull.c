#include "hub/pull.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/sha256.h"
#include "hub/gguf_name.h"
#include "hub/pick.h"
#include "hub/registry.h"
#include "hub/store.h"
#include "hub/tree.h"

enum { LARGEST_ANSWER = 64 << 20, LARGEST_LEAD = 64 << 20, SPARE_BYTES = 16 << 20, READ_BYTES = 1 << 20 };

struct target { /* what a name means */
    char *name;       /* owned: the model with its quantised form */
    char repo[256];
    struct registry_ref ref;
    const char *revision, *choice, *fallback;
};
struct pull {
    const struct hub_request *q;
    struct target target;
    struct hub_store store;
    struct hub_listing listing, record; /* of the hub; of the folder that is there */
    bool modelscope;                 /* the hub speaks that, not Hugging Face's */
    const struct hub_file **files;   /* [n] needed; owned */
    struct fetch_item *items;        /* [n_items] to fetch; owned, with their texts */
    size_t n, n_items;
    uint64_t there, total;           /* bytes that need no fetching; of all */
};

/* ---- what is asked for ---- */

static bool is_repo(const char *text) {
    static const char LETTERS[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const size_t org = strspn(text, LETTERS), name = text[org] == '/' ? strspn(text + org + 1, LETTERS) : 0;
    return org && name && !text[org + 1 + name] && *text != '.' && text[org + 1] != '.';
}

bool hub_can_pull(const char *model) {
    char head[256];
    const size_t n = strcspn(model, ":");
    if (n >= sizeof head) return false;
    memcpy(head, model, n);
    head[n] = '\0';
    return is_repo(head) || registry_by_alias(head);
}

/* `t->name` in parts. */
static gllm_status resolve(struct target *t, const char *revision, gllm_error *err) {
    char head[256];
    const char *colon = strchr(t->name, ':');
    snprintf(head, sizeof head, "%.*s", colon ? (int)(colon - t->name) : (int)strlen(t->name), t->name);
    if (!hub_can_pull(t->name)) return err_set(err, GLLM_INVALID, "%s: expected an alias of the list of models or ORG/NAME, to fetch it", t->name);
    if (colon && !colon[1]) return err_set(err, GLLM_INVALID, "%s: found nothing after the colon, expected a quantised form or a file", t->name);
    TRY(registry_resolve(head, colon ? colon + 1 : NULL, &t->ref, err));
    const struct registry_model *m = t->ref.model;
    if (m && m->nearest) return err_set(err, GLLM_NOT_FOUND, "%s: %s is not public; the nearest model that is public: %s", t->name, m->repos[0], m->nearest);
    snprintf(t->repo, sizeof t->repo, "%s", t->ref.variant ? t->ref.variant->repo : m && !strchr(head, '/') ? m->repos[0] : head);
    t->revision = revision ? revision : m && !t->ref.variant && m->revision ? m->revision : "main";
    t->choice = t->ref.choice;
    t->fallback = t->ref.variant ? t->ref.variant->file : NULL;
    return GLLM_OK;
}

static gllm_status target_of(struct target *t, const char *model, const char *quant, const char *revision, gllm_error *err) {
    if (!model || !*model) return err_set(err, GLLM_INVALID, "no model given; expected an alias or ORG/NAME");
    if (asprintf(&t->name, "%s%s%s", model, quant ? ":" : "", quant ? quant : "") < 0) return t->name = NULL, err_nomem(err, model);
    return resolve(t, revision, err);
}

/* ---- addresses ---- */

/* `text` with what an address may not hold as %XX; a slash too unless `path`. Owned; NULL: memory is out. */
static char *escape(const char *text, bool path) {
    char *out = malloc(3 * strlen(text) + 1), *p = out;
    for (; out && *text; text++) {
        const unsigned char c = (unsigned char)*text;
        const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || strchr("-._~", c) || (path && c == '/');
        p += plain ? (*p = (char)c, 1) : sprintf(p, "%%%02X", c);
    }
    if (out) *p = '\0';
    return out;
}

static gllm_status make_url(char **out, const char *format, const char *endpoint, const char *repo, const char *revision, const char *path, gllm_error *err) {
    char *rev = escape(revision, false), *file = escape(path, true);
    const int n = rev && file ? asprintf(out, format, endpoint, repo, rev, file) : -1;
    free(rev);
    free(file);
    return n < 0 ? (*out = NULL, err_nomem(err, repo)) : GLLM_OK;
}

static const char *revision_of(const struct pull *p) {
    return p->listing.commit ? p->listing.commit : p->modelscope && !strcmp(p->target.revision, "main") ? "master" : p->target.revision;
}
static gllm_status file_url(const struct pull *p, const char *path, char **out, gllm_error *err) {
    return make_url(out, p->modelscope ? "%s/models/%s/resolve/%s/%s" : "%s/%s/resolve/%s/%s", p->q->net->endpoint, p->target.repo, revision_of(p), path, err);
}

/* ---- answers that say no ---- */

/* What a refusal means to a person. */
static gllm_status explain(const struct pull *p, const struct fetch_item *item, gllm_status status, gllm_error *err) {
    const char *repo = p->target.repo, *at = p->q->net->endpoint;
    if (status != GLLM_DOWNLOAD && status != GLLM_NOT_FOUND) return status;
    if (!strcmp(item->code, "GatedRepo"))
        return err_set(err, GLLM_DOWNLOAD, "%s is gated: accept its terms at %s/%s, then %s", repo, at, repo, p->q->net->token ? "use a token (HF_TOKEN) of that account" : "set HF_TOKEN to a token of that account");
    if (!strcmp(item->code, "RevisionNotFound")) return err_set(err, GLLM_NOT_FOUND, "%s: %s has no revision \"%s\" of it", repo, at, p->target.revision);
    if (item->http == 401 || (item->http == 404 && item->path == NULL))
        return err_set(err, GLLM_NOT_FOUND, "%s: %s has no such repository, or shows it only to %s", repo, at, p->q->net->token ? "others than the owner of this token" : "those who send a token (HF_TOKEN)");
    return status;
}

/* ---- the list of files ---- */

static bool tick(void *user, const struct fetch_item *item) {
    const struct pull *p = user;
    struct hub_progress g = {.repo = p->target.repo, .file = item ? item->name : "", .file_bytes = item ? item->at : 0, .file_total = item && item->size > 0 ? (uint64_t)item->size : 0,
                             .bytes = p->there, .total = p->total, .n_done = p->n - p->n_items, .n_files = p->n};
    for (size_t i = 0; i < p->n_items; i++) {
        g.bytes += p->items[i].at;
        g.n_done += p->items[i].size >= 0 && p->items[i].at == (uint64_t)p->items[i].size;
    }
    return !p->q->progress || p->q->progress(p->q->user, &g);
}

static gllm_status get_list(struct pull *p, const char *format, const char *revision, struct fetch_item *item, gllm_error *err) {
    char *url;
    TRY(make_url(&url, format, p->q->net->endpoint, p->target.repo, revision, "", err));
    *item = (struct fetch_item){.url = url, .name = p->target.repo, .size = LARGEST_ANSWER};
    gllm_status status = fetch_run(p->q->net, item, 1, p->q->log, tick, p, err);
    if (status == GLLM_OK) status = hub_listing_parse(&p->listing, item->body, (size_t)item->at, p->target.repo, err);
    free(item->body);
    free(url);
    return status;
}

/* Hugging Face's form first; where that is not known ModelScope's. */
static gllm_status list_files(struct pull *p, gllm_error *err) {
    struct fetch_item item, other;
    gllm_status status = get_list(p, "%s/api/models/%s/revision/%s?blobs=true", p->target.revision, &item, err);
    if (status == GLLM_OK || item.http != 404 || *item.code) return status == GLLM_OK ? status : explain(p, &item, status, err);
    p->modelscope = true;
    if (get_list(p, "%s/api/v1/models/%s/repo/files?Revision=%s&Recursive=true", revision_of(p), &other, NULL) == GLLM_OK) return GLLM_OK;
    return explain(p, &item, status, err);
}

/* ---- what is there already ---- */

static bool same_text(const char *a, const char *b) { return a && b ? !strcmp(a, b) : a == b; }

static bool has_size(const char *path, int64_t size) {
    struct stat st;
    return !stat(path, &st) && S_ISREG(st.st_mode) && (size < 0 || st.st_size == size);
}

/* Every file needed lies in the folder, as its record says, from this commit. */
static bool is_current(const struct pull *p) {
    if (!p->record.files || !same_text(p->record.commit, p->listing.commit)) return false;
    for (size_t i = 0; i < p->n; i++) {
        const struct hub_file *known = hub_listing_find(&p->record, p->files[i]->path);
        char *path = path_join(p->store.folder, p->files[i]->path);
        const bool same = path && known && hub_file_same(known, p->files[i]) && has_size(path, p->files[i]->size);
        free(path);
        if (!same) return false;
    }
    return true;
}

/* Whether a file that no record knows has the sum that is expected. */
static gllm_status has_sum(const struct pull *p, const char *path, const char *sha256, bool *same, gllm_error *err) {
    struct sha256 sum;
    char hex[65], *buffer = malloc(READ_BYTES);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = -1;
    gllm_status status = buffer ? GLLM_OK : err_nomem(err, path);
    sha256_init(&sum);
    while (status == GLLM_OK && fd >= 0 && (n = read(fd, buffer, READ_BYTES)) > 0) {
        sha256_add(&sum, buffer, (size_t)n);
        if (!tick((void *)(uintptr_t)p, NULL)) status = err_set(err, GLLM_CANCELED, "fetching was canceled");
    }
    sha256_hex(&sum, hex);
    *same = n == 0 && !strcmp(hex, sha256);
    if (fd >= 0) close(fd);
    free(buffer);
    return status;
}

/* The present folder's file becomes a part when it is what is needed. */
static gllm_status adopt(const struct pull *p, const struct hub_file *f, const char *part, gllm_error *err) {
    const struct hub_file *known = hub_listing_find(&p->record, f->path);
    char *path = path_join(p->store.folder, f->path);
    bool same = false;
    if (!path) return err_nomem(err, f->path);
    gllm_status status = GLLM_OK;
    if (f->size >= 0 && has_size(path, f->size)) {
        if (known) same = hub_file_same(known, f);
        else if (f->sha256) status = has_sum(p, path, f->sha256, &same, err);
    }
    if (same && link(path, part)) same = false; /* then it is fetched */
    free(path);
    return status;
}

/* Where the content of f will lie; *whole: it does. */
static gllm_status part_of(const struct pull *p, const struct hub_file *f, char **part, bool *whole, gllm_error *err) {
    TRY(hub_store_part(&p->store, f, p->listing.commit, part, err));
    gllm_status status = file_exists(*part) ? GLLM_OK : adopt(p, f, *part, err);
    *whole = has_size(*part, f->size);
    if (status != GLLM_OK) free(*part);
    return status;
}

/* ---- which of them ---- */

/* A small file that says which others are needed: into the parts, and read there. */
static gllm_status read_lead(void *user, const struct hub_file *f, char **text, size_t *len, gllm_error *err) {
    struct pull *p = user;
    char *part, *url = NULL;
    bool whole;
    TRY(part_of(p, f, &part, &whole, err));
    gllm_status status = whole ? GLLM_OK : file_url(p, f->path, &url, err);
    if (url) {
        struct fetch_item item = {.url = url, .name = f->path, .path = part, .size = f->size, .sha256 = f->sha256};
        status = fetch_run(p->q->net, &item, 1, p->q->log, tick, p, err);
        if (status != GLLM_OK) status = explain(p, &item, status, err);
    }
    if (status == GLLM_OK) status = file_read(part, LARGEST_LEAD, text, len, err);
    free(url);
    free(part);
    return status;
}

static gllm_status choose_files(struct pull *p, gllm_error *err) {
    const struct hub_want want = {p->target.choice, p->target.fallback, read_lead, p};
    bool *picked = calloc(p->listing.n_files + 1, sizeof *picked);
    p->files = calloc(p->listing.n_files + 1, sizeof *p->files);
    gllm_status status = picked && p->files ? hub_pick(&p->listing, &want, p->target.repo, picked, err) : err_nomem(err, p->target.repo);
    for (size_t i = 0; status == GLLM_OK && i < p->listing.n_files; i++) {
        if (!picked[i]) continue;
        p->files[p->n++] = &p->listing.files[i];
        if (p->listing.files[i].size > 0) p->total += (uint64_t)p->listing.files[i].size;
    }
    free(picked);
    return status;
}

/* ---- the transfers ---- */

static bool is_item(const struct pull *p, const char *part) {
    for (size_t i = 0; i < p->n_items; i++)
        if (!strcmp(p->items[i].path, part)) return true;
    return false;
}

static gllm_status add_item(struct pull *p, const struct hub_file *f, gllm_error *err) {
    const uint64_t size = f->size > 0 ? (uint64_t)f->size : 0;
    char *part, *url = NULL;
    bool whole;
    TRY(part_of(p, f, &part, &whole, err));
    gllm_status status = GLLM_OK;
    if (whole) p->there += size;
    else if (is_item(p, part)) p->total -= size; /* equal contents come once */
    else if ((status = file_url(p, f->path, &url, err)) == GLLM_OK) p->items[p->n_items++] = (struct fetch_item){.url = url, .name = f->path, .path = part, .size = f->size, .sha256 = f->sha256};
    if (!url) free(part);
    return status;
}

static uint64_t bytes_of_part(const struct fetch_item *item) {
    char *part;
    struct stat st;
    if (asprintf(&part, "%s.part", item->path) < 0) return 0;
    const uint64_t n = stat(part, &st) ? 0 : (uint64_t)st.st_size;
    free(part);
    return n;
}

static gllm_status check_space(const struct pull *p, gllm_error *err) {
    struct statvfs fs;
    uint64_t need = 0;
    for (size_t i = 0; i < p->n_items; i++) {
        const uint64_t size = p->items[i].size > 0 ? (uint64_t)p->items[i].size : 0, there = bytes_of_part(&p->items[i]);
        need += size > there ? size - there : 0;
    }
    if (!need || statvfs(p->store.parts, &fs)) return GLLM_OK;
    const uint64_t has = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (has >= need + SPARE_BYTES) return GLLM_OK;
    return err_set(err, GLLM_IO, "%s: %s still needs %.1f MB, found %.1f MB free on this disk", p->store.models, p->target.repo, (double)need / 1e6, (double)has / 1e6);
}

static gllm_status fetch_files(struct pull *p, gllm_error *err) {
    if (!(p->items = calloc(p->n + 1, sizeof *p->items))) return err_nomem(err, p->target.repo);
    for (size_t i = 0; i < p->n; i++) TRY(add_item(p, p->files[i], err));
    TRY(check_space(p, err));
    gllm_status status = fetch_run(p->q->net, p->items, p->n_items, p->q->log, tick, p, err);
    for (size_t i = 0; i < p->n_items && status != GLLM_OK; i++)
        if (p->items[i].http == 401 || p->items[i].http == 403) return explain(p, &p->items[i], status, err);
    return status;
}

/* ---- all together ---- */

static gllm_status open_store(struct pull *p, gllm_error *err) {
    char name[sizeof p->target.repo + 1];
    struct stat st;
    const char *slash = strchr(p->target.repo, '/');
    snprintf(name, sizeof name, "%.*s--%s", (int)(slash - p->target.repo), p->target.repo, slash + 1);
    TRY(hub_store_open(&p->store, p->q->home, name, p->q->log, tick, p, err));
    if (!lstat(p->store.folder, &st) && !S_ISDIR(st.st_mode))
        return err_set(err, GLLM_UNSUPPORTED, "%s: is %s, which is left alone; expected a folder", p->store.folder, S_ISLNK(st.st_mode) ? "a link" : "a file");
    return GLLM_OK;
}

static gllm_status bring(struct pull *p, gllm_error *err) {
    TRY(tree_make(p->store.parts, err));
    hub_store_record(&p->record, p->store.folder);
    TRY(list_files(p, err));
    TRY(choose_files(p, err));
    if (is_current(p)) return tree_remove(p->store.parts, NULL, err);
    const struct hub_origin from = {p->target.repo, p->target.revision, p->q->net->endpoint, &p->listing};
    TRY(fetch_files(p, err));
    return hub_store_install(&p->store, &from, p->files, p->n, err);
}

/* What hub_locate would give for it: the folder, or the GGUF file (its first part). */
static gllm_status path_of(const struct pull *p, char **path, gllm_error *err) {
    const char *gguf = NULL;
    for (size_t i = 0; i < p->n && !gguf; i++)
        if (gguf_name_is_model(p->files[i]->path)) gguf = p->files[i]->path;
    *path = gguf ? path_join(p->store.folder, gguf) : strdup(p->store.folder);
    return *path ? GLLM_OK : err_nomem(err, p->target.repo);
}

static void pull_free(struct pull *p) {
    for (size_t i = 0; i < p->n_items; i++) {
        free((char *)(uintptr_t)p->items[i].url);
        free((char *)(uintptr_t)p->items[i].path);
    }
    free(p->items);
    free(p->files);
    free(p->target.name);
    hub_listing_free(&p->listing);
    hub_listing_free(&p->record);
    hub_store_close(&p->store);
}

gllm_status hub_pull(const struct hub_request *q, char **path, gllm_error *err) {
    struct pull p = {.q = q, .store.lock_fd = -1};
    char *found = NULL;
    gllm_status status = target_of(&p.target, q->model, q->quant, q->revision, err);
    if (status == GLLM_OK) status = open_store(&p, err);
    if (status == GLLM_OK) status = bring(&p, err);
    if (status == GLLM_OK) status = path_of(&p, &found, err);
    pull_free(&p);
    if (path) *path = found;
    else free(found);
    return status;
}
