/* pull.c - models from a hub: how it is reached, as huggingface_hub reads the environment. */
#include "hub/pull.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/api.h"
#include "base/file.h"
#include "hub/locate.h"
#include "hub/remove.h"

enum { STALL_SECONDS = 20, LONGEST_TOKEN = 4096 };

static bool is_true(const char *value) { return value && (!strcmp(value, "1") || !strcasecmp(value, "ON") || !strcasecmp(value, "YES") || !strcasecmp(value, "TRUE")); }
static bool is_offline(void) { return is_true(env("HF_HUB_OFFLINE")) || is_true(env("TRANSFORMERS_OFFLINE")); }

/* $HF_TOKEN_PATH, else token in $HF_HOME, else in the cache folder's huggingface. */
static char *token_path(void) {
    const char *path = env("HF_TOKEN_PATH"), *home = env("HF_HOME"), *cache = env("XDG_CACHE_HOME"), *user = env("HOME");
    if (path) return strdup(path);
    if (home) return path_join(home, "token");
    if (cache) return path_join(cache, "huggingface/token");
    return path_join(user ? user : ".", ".cache/huggingface/token");
}

/* Owned; NULL: there is none. A token is one printable word, so that it cannot add a header of its own. */
static char *read_token(void) {
    const char *given = env("HF_TOKEN") ? env("HF_TOKEN") : env("HUGGING_FACE_HUB_TOKEN");
    char *token = given ? strdup(given) : NULL;
    size_t len;
    if (!given && !is_true(env("HF_HUB_DISABLE_IMPLICIT_TOKEN"))) {
        char *path = token_path();
        if (path) file_read(path, LONGEST_TOKEN, &token, &len, NULL);
        free(path);
    }
    if (!token) return NULL;
    const size_t start = strspn(token, " \t\r\n");
    memmove(token, token + start, strlen(token + start) + 1);
    for (size_t i = 0; token[i]; i++)
        if (token[i] <= 0x20 || token[i] >= 0x7f) token[i] = '\0';
    if (*token) return token;
    free(token);
    return NULL;
}

struct net { /* the texts are owned */
    struct hub_net hub;
    char *endpoint, *token;
};
static void net_close(struct net *n) {
    free(n->endpoint);
    free(n->token);
}
static gllm_status net_open(struct net *n, gllm_error *err) {
    const char *endpoint = env("HF_ENDPOINT"), *timeout = env("HF_HUB_DOWNLOAD_TIMEOUT"), *ca = env("CURL_CA_BUNDLE");
    const long seconds = timeout ? strtol(timeout, NULL, 10) : 0;
    n->endpoint = strdup(endpoint ? endpoint : "https://huggingface.co"), n->token = read_token();
    if (!n->endpoint) return err_nomem(err, "endpoint");
    for (size_t len = strlen(n->endpoint); len && n->endpoint[len - 1] == '/';) n->endpoint[--len] = '\0';
    n->hub = (struct hub_net){n->endpoint, n->token, ca ? ca : env("SSL_CERT_FILE"), seconds > 0 && seconds < 86400 ? (unsigned)seconds : STALL_SECONDS};
    return GLLM_OK;
}

/* A caller's progress, of our own form to the public one. */
struct listener {
    gllm_pull_fn fn;
    void *user;
};
static bool pass_on(void *user, const struct hub_progress *p) {
    const struct listener *l = user;
    const gllm_pull_state s = {p->repo, p->file, p->file_bytes, p->file_total, p->bytes, p->total, p->n_done, p->n_files};
    return l->fn(l->user, &s);
}

static gllm_status pull(struct hub_request *q, gllm_pull_fn progress, void *user, char **path, gllm_error *err) {
    struct net net = {0};
    struct listener listener = {progress, user};
    gllm_status status = net_open(&net, err);
    q->net = &net.hub;
    if (progress) q->progress = pass_on, q->user = &listener;
    if (status == GLLM_OK) status = hub_pull(q, path, err);
    net_close(&net);
    return status;
}

gllm_status api_fetch(const gllm_options *o, const char *home, char **path, gllm_error *err) {
    const struct log log = {o->log, o->log_user};
    gllm_error local = {0}, *e = err ? err : &local;
    if (o->fetch == GLLM_FETCH_NEVER || !hub_can_pull(o->model)) return GLLM_NOT_FOUND;
    if (is_offline()) return err_set(e, GLLM_NOT_FOUND, "%.440s; HF_HUB_OFFLINE: not fetched", e->message);
    log_line(&log, GLLM_LOG_INFO, "%s: not here; fetching it", o->model);
    struct hub_request q = {.model = o->model, .home = home, .log = &log};
    return pull(&q, o->fetch_progress, o->fetch_user, path, err);
}

void gllm_pull_request_init_sized(gllm_pull_request *r, size_t size) {
    const gllm_pull_request full = {.struct_size = size};
    api_init_sized(r, size, &full, sizeof full);
}

/* A model of the Hugging Face cache is used where it lies. */
static bool lies_in_cache(const struct hub_request *q, const char *cache, char **path) {
    char *name = NULL, *here = NULL;
    if (q->revision || !q->model || !hub_can_pull(q->model)) return false;
    if (asprintf(&name, "%s%s%s", q->model, q->quant ? ":" : "", q->quant ? q->quant : "") < 0) return false;
    const bool at_home = hub_locate(name, q->home, NULL, &here, NULL) == GLLM_OK, cached = !at_home && hub_locate(name, q->home, cache, path, NULL) == GLLM_OK;
    free(here);
    free(name);
    return cached;
}

gllm_status gllm_pull(const gllm_pull_request *request, char **path, gllm_error *err) {
    if (path) *path = NULL;
    if (!request || !request->struct_size) return err_set(err, GLLM_INVALID, "gllm_pull: the request was not set by gllm_pull_request_init");
    gllm_pull_request r;
    gllm_pull_request_init(&r);
    TRY(api_copy_sized("gllm_pull_request", &r, sizeof r, request, request->struct_size, err));
    const struct log log = {r.log, r.log_user};
    struct api_places places;
    char *found = NULL;
    gllm_status status = api_places(r.home, &places, err);
    struct hub_request q = {.model = r.model, .quant = r.quant, .revision = r.revision, .home = places.home, .log = &log};
    if (status == GLLM_OK && lies_in_cache(&q, places.cache, &found)) log_line(&log, GLLM_LOG_INFO, "%s: lies in the Hugging Face cache (%s)", r.model, found);
    else if (status == GLLM_OK && is_offline()) status = err_set(err, GLLM_DOWNLOAD, "%s: not fetched, since HF_HUB_OFFLINE is set", r.model ? r.model : "model");
    else if (status == GLLM_OK) status = pull(&q, r.progress, r.progress_user, &found, err);
    api_places_free(&places);
    if (path) *path = found;
    else free(found);
    return status;
}

gllm_status gllm_models_remove(const char *model, const char *home, uint64_t *bytes, gllm_error *err) {
    struct api_places places;
    gllm_status status = api_places(home, &places, err);
    if (status == GLLM_OK) status = hub_remove(model, places.home, places.cache, bytes, err);
    api_places_free(&places);
    return status;
}
