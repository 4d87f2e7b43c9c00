/* loop.c - the main thread: signals, clients that hang up while their request waits, requests that do not arrive, and the end. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core.h"

enum { TICK_MS = 1000, LAST_WORDS_MS = 3000 }; /* a look at connections; at the end: for canceled answers to be sent */
static const uint64_t SIGNALS = 0, WAKEUP = UINT64_MAX; /* what an event is of; any other number is an exchange's id */

static bool add(struct server *s, int fd, uint32_t events, uint64_t id) {
    struct epoll_event e = {.events = events, .data.u64 = id};
    return epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &e) == 0;
}

bool loop_open(struct server *s, char *why, size_t size) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    s->wakeup = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (s->signals >= 0 && s->wakeup >= 0 && s->epoll >= 0 && add(s, s->signals, EPOLLIN, SIGNALS) && add(s, s->wakeup, EPOLLIN, WAKEUP)) return true;
    snprintf(why, size, "cannot wait for signals: %s", strerror(errno));
    return false;
}
void loop_close(struct server *s) {
    if (s->signals >= 0) close(s->signals);
    if (s->wakeup >= 0) close(s->wakeup);
    if (s->epoll >= 0) close(s->epoll);
}

/* A client that shuts down its side, even if it would still read, has gone: nothing else can be told from a closed socket before it is written to. */
void loop_watch(struct server *s, struct exchange *x) {
    if (x->fd >= 0 && !x->watched) x->watched = add(s, x->fd, EPOLLRDHUP | EPOLLONESHOT, x->q.id);
}
void loop_unwatch(struct server *s, struct exchange *x) {
    if (x->watched) epoll_ctl(s->epoll, EPOLL_CTL_DEL, x->fd, NULL);
    x->watched = false;
}
void loop_wakeup(struct server *s) {
    const uint64_t one = 1;
    if (write(s->wakeup, &one, sizeof one) < 0) return; /* it is awake */
}

/* With the lock held. */
static void leave(struct exchange *x) {
    exchange_leave(x);
    if (x->streaming) stream_wake(x->stream, false);
}
static void hung_up(struct server *s, uint64_t id) {
    pthread_mutex_lock(&s->lock);
    for (struct exchange *x = s->exchanges; x; x = x->next)
        if (x->q.id == id) leave(x);
    pthread_mutex_unlock(&s->lock);
}

/* Connections that keep silent, or whose request comes in drops: libmicrohttpd's own limit starts again with each byte. */
static void sweep(struct server *s, bool all) {
    const double now = now_ms(), limit = (double)s->options.idle_seconds * 1e3;
    pthread_mutex_lock(&s->connection_lock);
    for (struct connection *k = s->connections; k; k = k->next)
        if (all || (k->since_ms > 0 && now - k->since_ms > limit)) shutdown(k->fd, SHUT_RDWR);
    pthread_mutex_unlock(&s->connection_lock);
}

static void read_keys(struct server *s) {
    char why[512];
    if (!s->options.key_file) return;
    struct keys *fresh = keys_read(s->options.key_file, why, sizeof why), *old = fresh;
    if (fresh) {
        pthread_mutex_lock(&s->lock);
        old = s->keys;
        s->keys = fresh;
        pthread_mutex_unlock(&s->lock);
        server_log(s, "%zu keys of %s are in use", keys_count(fresh), s->options.key_file);
    } else server_log(s, "the old keys stay in use: %s", why);
    keys_free(old);
}

/* Waits once. False: a signal asks for the end. */
static bool turn(struct server *s, int wait_ms) {
    struct epoll_event events[32];
    struct signalfd_siginfo signal;
    bool on = true;
    const int n = epoll_wait(s->epoll, events, 32, wait_ms);
    for (int i = 0; i < n; i++) {
        uint64_t woken;
        if (events[i].data.u64 == WAKEUP && read(s->wakeup, &woken, sizeof woken) < 0) continue;
        if (events[i].data.u64 != SIGNALS && events[i].data.u64 != WAKEUP) hung_up(s, events[i].data.u64);
        while (events[i].data.u64 == SIGNALS && read(s->signals, &signal, sizeof signal) == sizeof signal) {
            if (signal.ssi_signo == SIGHUP) read_keys(s);
            else on = false;
        }
    }
    return on;
}

static void drain(struct server *s) {
    const double end = now_ms() + (double)s->options.drain_seconds * 1e3;
    server_log(s, "shutting down: %u requests are in flight, for at most %u s", atomic_load(&s->active), s->options.drain_seconds);
    while (atomic_load(&s->active) && now_ms() < end && turn(s, 50)) sweep(s, false);
}
static void cancel_all(struct server *s) {
    pthread_mutex_lock(&s->lock);
    for (struct exchange *x = s->exchanges; x; x = x->next) { /* who waits for a whole answer gets an error instead */
        if (x->streaming) leave(x);
        else exchange_cancel(x);
    }
    pthread_mutex_unlock(&s->lock);
}

void loop_run(struct server *s) {
    double swept = now_ms();
    while (turn(s, TICK_MS) && !atomic_load(&s->failed)) {
        if (now_ms() - swept < TICK_MS) continue;
        swept = now_ms();
        sweep(s, false);
    }
    atomic_store(&s->draining, true);
    http_stop_listening(s);
    if (!atomic_load(&s->failed)) drain(s);
    atomic_store(&s->closing, true);
    for (const double start = now_ms(); atomic_load(&s->active);) { /* a running forward is finished: libmicrohttpd must not be stopped while a request waits */
        cancel_all(s);
        if (now_ms() - start > LAST_WORDS_MS) sweep(s, true);
        turn(s, 50);
    }
}
