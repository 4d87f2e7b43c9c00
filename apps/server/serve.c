/* serve.c - from options to a server and back. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core.h"

enum { BODIES = 8 }; /* bodies of the largest size that may be in memory at once */

static void tell_error(const char *what) { fprintf(stderr, "gllm: %s\n", what); }

/* Loads the models while the server already tells that they are coming. */
static void *load_models(void *cls) {
    struct server *s = cls;
    gllm_error err = {0};
    char line[640];
    for (size_t i = 0; i < s->n_models && !atomic_load(&s->draining); i++) {
        if (s->options.base.load == GLLM_LOAD_LAZY) break;
        if (gllm_client_load(s->client, s->models[i].name, &err) == GLLM_OK) continue;
        if (atomic_load(&s->draining)) return NULL;
        snprintf(line, sizeof line, "%s: %s", s->models[i].name, err.message);
        tell_error(line);
        atomic_store(&s->failed, true);
        loop_wakeup(s);
        return NULL;
    }
    atomic_store(&s->ready, true);
    notify("READY=1\nSTATUS=serving");
    server_log(s, "ready after %.1f s", (now_ms() - s->start_ms) / 1e3);
    return NULL;
}

static void run(struct server *s, int fd) {
    char name[160];
    pthread_t loader;
    listen_name(s, fd, name, sizeof name);
    server_log(s, "listening on %s", name);
    if (pthread_create(&loader, NULL, load_models, s) != 0) {
        tell_error("cannot start a thread");
        atomic_store(&s->failed, true);
        loop_run(s);
        return;
    }
    loop_run(s);
    notify("STOPPING=1");
    pthread_join(loader, NULL);
}

static bool start(struct server *s, int *fd, char *why, size_t size) {
    gllm_error err = {0};
    if (!loop_open(s, why, size)) return false;
    bus_catch();
    if (s->options.key_file && !(s->keys = keys_read(s->options.key_file, why, size))) return false;
    if ((*fd = listen_open(s, why, size)) < 0) return false;
    if (models_open(s, &err) != GLLM_OK) {
        snprintf(why, size, "%s", err.message);
        return false;
    }
    const uint32_t room = listen_room(s->options.max_connections);
    if (room < s->options.max_connections) server_log(s, "at most %u connections: this process may open no more files", room);
    s->options.max_connections = room;
    if (!http_start(s, *fd, why, size)) return false;
    s->listening = *fd;
    return true;
}

int server_run(const struct server_options *o) {
    struct server *s = calloc(1, sizeof *s);
    char why[640] = "out of memory";
    int fd = -1;
    bool ok = false;
    if (s) {
        s->options = *o;
        s->signals = s->wakeup = s->epoll = s->listening = -1;
        s->start_ms = now_ms(), s->start_time = time(NULL);
        pthread_mutex_init(&s->lock, NULL);
        pthread_mutex_init(&s->connection_lock, NULL);
        atomic_init(&s->body_room, (unsigned long long)o->max_body_mb * BODIES << 20);
        ok = start(s, &fd, why, sizeof why);
    }
    if (ok) run(s, fd);
    else tell_error(why);
    if (!s) return 1;
    ok = ok && !atomic_load(&s->failed);
    http_stop(s);
    models_close(s);
    if (s->listening < 0 && fd >= 0) close(fd);
    if (!strncmp(o->host, "unix:", 5) && s->listening >= 0) unlink(o->host + 5);
    keys_free(s->keys);
    loop_close(s);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->connection_lock);
    free(s);
    return ok ? 0 : 1;
}
