#include "hub/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/sha256.h"
#include "hub/curl.h"

enum {
    MOST_TRIES = 6, MOST_CONNECTS = 3, /* without a byte between them; without any answer */
    FIRST_PAUSE_MS = 300, LONGEST_PAUSE_MS = 30000, LONGEST_WAIT_S = 300, /* a Retry-After above it ends the transfer */
    MOST_REDIRECTS = 10, CONNECT_SECONDS = 15, TICK_MS = 100, CURL_BUFFER = 512 << 10, READ_BYTES = 1 << 20
};

enum state { WAITING, RUNNING, DONE };
struct run;
struct transfer {
    struct run *run;
    struct fetch_item *item;
    enum state state;
    double due_ms; /* WAITING: when it begins */
    CURL *easy;
    struct curl_slist *headers;
    char *url; /* after redirects; NULL: the item's */
    char *part;
    int fd; /* of part; -1: not open yet */
    struct sha256 sum; /* of the item's `at` bytes */
    unsigned tries, redirects, restarts;
    /* this try's answer */
    uint64_t first_at, range; /* bytes that were there when it began; where Content-Range says that the body begins */
    double heard_ms;          /* when something came last */
    bool answered, too_long;
    int disk_errno;
    char message[160]; /* X-Error-Message */
};
struct run {
    const struct hub_net *net;
    const struct curl_table *curl;
    const struct log *log;
    CURLM *multi;
    struct transfer *list;
    size_t n, n_running, n_done;
    fetch_tick_fn tick;
    void *user;
    const struct fetch_item *last;
    double ticked_ms;
    uint64_t random;
};

/* ---- addresses ---- */

static bool begins(const char *url, const char *scheme) { return !strncasecmp(url, scheme, strlen(scheme)); }
/* "https://host:port" of a URL, its length. */
static size_t origin(const char *url) {
    const char *host = strstr(url, "://");
    return host ? (size_t)(host + 3 - url) + strcspn(host + 3, "/?#") : 0;
}
static bool same_origin(const char *a, const char *b) { return origin(a) && origin(a) == origin(b) && !strncasecmp(a, b, origin(a)); }
/* TLS always, unless the endpoint itself goes without. */
static bool may_visit(const char *url, const char *endpoint) { return begins(url, "https://") || (begins(url, "http://") && begins(endpoint, "http://")); }
static const char *url_of(const struct transfer *t) { return t->url ? t->url : t->item->url; }

/* ---- the file ---- */

static gllm_status disk_error(const struct transfer *t, const char *what, int number, gllm_error *err) {
    return err_set(err, GLLM_IO, "%s: cannot %s: %s", t->part ? t->part : t->item->name, what, strerror(number));
}

static gllm_status tell(struct run *r, bool now, gllm_error *err) {
    const double ms = clock_ms();
    if (!now && ms - r->ticked_ms < TICK_MS) return GLLM_OK;
    r->ticked_ms = ms;
    return !r->tick || r->tick(r->user, r->last) ? GLLM_OK : err_set(err, GLLM_CANCELED, "fetching was canceled");
}

/* Forgets all bytes from `at` = 0 on. */
static gllm_status rewind_part(struct transfer *t, gllm_error *err) {
    t->item->at = 0;
    sha256_init(&t->sum);
    return t->fd < 0 || !ftruncate(t->fd, 0) ? GLLM_OK : disk_error(t, "write", errno, err);
}

/* The sum of what an earlier run left. */
static gllm_status read_part(struct transfer *t, gllm_error *err) {
    gllm_status status = GLLM_OK;
    char *buffer = malloc(READ_BYTES);
    if (!buffer) return err_nomem(err, t->item->name);
    for (ssize_t n; status == GLLM_OK && (n = pread(t->fd, buffer, READ_BYTES, (off_t)t->item->at));) {
        if (n < 0) status = disk_error(t, "read", errno, err);
        else {
            sha256_add(&t->sum, buffer, (size_t)n);
            t->item->at += (uint64_t)n;
            t->run->last = t->item;
            status = tell(t->run, false, err);
        }
    }
    free(buffer);
    return status;
}

static gllm_status open_part(struct transfer *t, gllm_error *err) {
    struct stat st;
    t->fd = open(t->part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (t->fd < 0 || fstat(t->fd, &st)) return disk_error(t, "write", errno, err);
    if (t->item->size >= 0 && st.st_size > t->item->size) return rewind_part(t, err);
    return read_part(t, err);
}

static bool write_part(struct transfer *t, const char *data, size_t n) {
    for (size_t done = 0; done < n;) {
        const ssize_t k = pwrite(t->fd, data + done, n - done, (off_t)(t->item->at + done));
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) return t->disk_errno = k ? errno : ENOSPC, false;
        done += (size_t)k;
    }
    sha256_add(&t->sum, data, n);
    return true;
}

static bool keep_in_memory(struct transfer *t, const char *data, size_t n) {
    char *grown = realloc(t->item->body, (size_t)t->item->at + n + 1);
    if (!grown) return t->disk_errno = ENOMEM, false;
    memcpy(grown + t->item->at, data, n);
    grown[t->item->at + n] = '\0';
    t->item->body = grown;
    return true;
}

/* ---- what libcurl calls ---- */

static long answer_of(const struct transfer *t) {
    long status = 0;
    t->run->curl->easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

/* Before the first byte of a body: whether it goes on from where we are. A server that ignores Range begins again, and so do we. */
static bool body_begins(struct transfer *t, long status) {
    t->answered = true;
    if (status == 206 && t->range == t->item->at) return true;
    if (status != 206) return rewind_part(t, NULL) == GLLM_OK;
    return false;
}

static size_t on_body(char *data, size_t one, size_t n, void *user) {
    struct transfer *t = user;
    const long status = answer_of(t);
    n *= one;
    t->heard_ms = clock_ms();
    if (status != 200 && status != 206) return n;
    if (!t->answered && !body_begins(t, status)) return 0;
    if (t->item->size >= 0 && n > (uint64_t)t->item->size - t->item->at) return t->too_long = true, 0;
    if (!(t->item->path ? write_part(t, data, n) : keep_in_memory(t, data, n))) return 0;
    t->item->at += n;
    t->run->last = t->item;
    return n;
}

/* The value of a header line called `name`, without white space around it. */
static bool header_is(const char *line, size_t len, const char *name, char *out, size_t size) {
    const size_t k = strlen(name);
    if (len <= k || strncasecmp(line, name, k) || line[k] != ':') return false;
    for (line += k + 1, len -= k + 1; len && (*line == ' ' || *line == '\t'); line++, len--) {}
    while (len && strchr("\r\n \t", line[len - 1])) len--;
    snprintf(out, size, "%.*s", (int)(len < size ? len : size - 1), line);
    return true;
}

static size_t on_header(char *line, size_t one, size_t n, void *user) {
    struct transfer *t = user;
    char value[128];
    unsigned long long first;
    n *= one;
    t->heard_ms = clock_ms();
    if (n > 5 && !strncmp(line, "HTTP/", 5)) t->item->code[0] = t->message[0] = '\0', t->range = UINT64_MAX;
    else if (header_is(line, n, "X-Error-Code", t->item->code, sizeof t->item->code) || header_is(line, n, "X-Error-Message", t->message, sizeof t->message)) return n;
    else if (header_is(line, n, "Content-Range", value, sizeof value) && sscanf(value, "bytes %llu-", &first) == 1) t->range = first;
    return n;
}

/* ---- one try ---- */

static gllm_status add_header(struct transfer *t, const char *line, gllm_error *err) {
    struct curl_slist *longer = t->run->curl->slist_append(t->headers, line);
    if (!longer) return err_nomem(err, t->item->name);
    t->headers = longer;
    return GLLM_OK;
}

static gllm_status make_headers(struct transfer *t, gllm_error *err) {
    char line[1024];
    if (t->item->at) {
        snprintf(line, sizeof line, "Range: bytes=%llu-", (unsigned long long)t->item->at);
        TRY(add_header(t, line, err));
    }
    if (!t->run->net->token || !same_origin(url_of(t), t->run->net->endpoint)) return GLLM_OK;
    snprintf(line, sizeof line, "Authorization: Bearer %s", t->run->net->token);
    return add_header(t, line, err);
}

static gllm_status make_easy(struct transfer *t, gllm_error *err) {
    const struct curl_table *c = t->run->curl;
    const struct hub_net *net = t->run->net;
    TRY(make_headers(t, err));
    if (!(t->easy = c->easy_init())) return err_nomem(err, t->item->name);
    c->easy_setopt(t->easy, CURLOPT_URL, url_of(t));
    c->easy_setopt(t->easy, CURLOPT_PRIVATE, t);
    c->easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
    c->easy_setopt(t->easy, CURLOPT_USERAGENT, "gllm/0.1");
    c->easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L);
    c->easy_setopt(t->easy, CURLOPT_FOLLOWLOCATION, 0L);
    c->easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    c->easy_setopt(t->easy, CURLOPT_BUFFERSIZE, (long)CURL_BUFFER);
    c->easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_body);
    c->easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
    c->easy_setopt(t->easy, CURLOPT_HEADERFUNCTION, on_header);
    c->easy_setopt(t->easy, CURLOPT_HEADERDATA, t);
    if (net->ca_file) c->easy_setopt(t->easy, CURLOPT_CAINFO, net->ca_file);
    return c->multi_add_handle(t->run->multi, t->easy) == CURLM_OK ? GLLM_OK : err_nomem(err, t->item->name);
}

static void drop_easy(struct transfer *t) {
    const struct curl_table *c = t->run->curl;
    if (t->easy) {
        c->multi_remove_handle(t->run->multi, t->easy);
        c->easy_cleanup(t->easy);
    }
    c->slist_free_all(t->headers);
    t->easy = NULL, t->headers = NULL;
}

/* ---- how a try ended ---- */

static void wait_until(struct transfer *t, double due_ms) { t->state = WAITING, t->due_ms = due_ms; }

static double pause_ms(struct transfer *t) {
    double ms = FIRST_PAUSE_MS;
    for (unsigned i = 1; i < t->tries && ms < LONGEST_PAUSE_MS; i++) ms *= 2;
    t->run->random = t->run->random * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX */
    return ms * (0.5 + (double)(t->run->random >> 32) / 0x1p32);
}

/* Once more from where it is, after a pause, unless there were too many. `after_s`: the server asks for as much; 0: it does not. */
static gllm_status try_again(struct transfer *t, const char *why, long after_s, gllm_error *err) {
    if (t->item->at > t->first_at) t->tries = 0;
    const unsigned most = t->item->http || t->item->at ? MOST_TRIES : MOST_CONNECTS;
    free(t->url);
    t->url = NULL, t->redirects = 0;
    if (++t->tries >= most) return err_set(err, GLLM_DOWNLOAD, "%s: %s; gave up after %u tries", t->item->name, why, t->tries);
    if (after_s > LONGEST_WAIT_S) return err_set(err, GLLM_DOWNLOAD, "%s: %s; asked to come back in %ld s", t->item->name, why, after_s);
    const double ms = after_s > 0 ? 1e3 * (double)after_s : pause_ms(t);
    log_line(t->run->log, GLLM_LOG_WARN, "%s: %s; trying again in %.1f s", t->item->name, why, ms / 1e3);
    wait_until(t, clock_ms() + ms);
    return GLLM_OK;
}

/* The bytes are not what they should be: all of them once more, then no more. */
static gllm_status wrong(struct transfer *t, const char *what, const char *found, gllm_error *err) {
    gllm_status status = rewind_part(t, err);
    if (status != GLLM_OK) return status;
    if (t->restarts++) {
        if (t->part) unlink(t->part);
        return err_set(err, GLLM_DOWNLOAD, "%s: found %s%s, expected %s, twice; it was deleted", t->item->name, what, found, t->item->sha256 ? t->item->sha256 : "fewer");
    }
    log_line(t->run->log, GLLM_LOG_WARN, "%s: found %s%s, expected %s; fetching it again", t->item->name, what, found, t->item->sha256 ? t->item->sha256 : "fewer");
    wait_until(t, 0);
    return GLLM_OK;
}

/* All bytes came. */
static gllm_status check(struct transfer *t, gllm_error *err) {
    char hex[65];
    sha256_hex(&t->sum, hex);
    if (t->item->path && t->item->sha256 && strcmp(hex, t->item->sha256)) return wrong(t, "SHA-256 ", hex, err);
    if (t->item->path) {
        if (fsync(t->fd)) return disk_error(t, "write", errno, err);
        close(t->fd);
        t->fd = -1;
        if (rename(t->part, t->item->path)) return disk_error(t, "rename", errno, err);
    }
    t->state = DONE;
    t->run->n_done++;
    return tell(t->run, true, err);
}

static gllm_status follow(struct transfer *t, gllm_error *err) {
    char *next = NULL;
    t->run->curl->easy_getinfo(t->easy, CURLINFO_REDIRECT_URL, &next);
    if (!next) return try_again(t, "a redirect to nowhere", 0, err);
    if (++t->redirects > MOST_REDIRECTS) return err_set(err, GLLM_DOWNLOAD, "%s: more than %d redirects", t->item->name, MOST_REDIRECTS);
    if (!may_visit(next, t->run->net->endpoint))
        return err_set(err, GLLM_DOWNLOAD, "%s: redirected to %.*s, expected https", t->item->name, (int)origin(next), next);
    char *copy = strdup(next);
    if (!copy) return err_nomem(err, t->item->name);
    free(t->url);
    t->url = copy;
    wait_until(t, 0);
    return GLLM_OK;
}

static gllm_status refused(const struct transfer *t, gllm_error *err) {
    const long http = t->item->http;
    const gllm_status status = http == 404 || http == 410 ? GLLM_NOT_FOUND : GLLM_DOWNLOAD;
    const char *url = t->item->url;
    return err_set(err, status, "%s: %.*s answered %ld%s%s%s%s", t->item->name, (int)origin(url), url, http, *t->item->code ? " " : "", t->item->code, *t->message ? ": " : "", t->message);
}

static bool passes(long http) { return http == 408 || http == 429 || http == 500 || http == 502 || http == 503 || http == 504; }

static gllm_status answered(struct transfer *t, gllm_error *err) {
    const long http = t->item->http;
    curl_off_t after = 0;
    char why[64];
    if (http == 301 || http == 302 || http == 303 || http == 307 || http == 308) return follow(t, err);
    if (http == 200 || http == 206) {
        if (!t->item->path || t->item->size < 0 || t->item->at == (uint64_t)t->item->size) return check(t, err);
        return try_again(t, "the answer ended early", 0, err);
    }
    if (http == 416) { /* what we hold is no beginning of it */
        TRY(rewind_part(t, err));
        return try_again(t, "the server has no such range", 0, err);
    }
    /* A signed address of another host that has expired is asked for anew. */
    if (!passes(http) && !(t->url && (http == 401 || http == 403) && !same_origin(t->url, t->run->net->endpoint))) return refused(t, err);
    t->run->curl->easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &after);
    snprintf(why, sizeof why, "the server answered %ld", http);
    return try_again(t, why, (long)after, err);
}

static bool lasts(CURLcode code) { /* trying again will not help */
    return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE || code == CURLE_SSL_CERTPROBLEM || code == CURLE_URL_MALFORMAT ||
           code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_OUT_OF_MEMORY;
}

static gllm_status ended(struct transfer *t, CURLcode code, gllm_error *err) {
    const char *reason = t->run->curl->easy_strerror(code);
    t->item->http = answer_of(t);
    if (t->disk_errno) return disk_error(t, "write", t->disk_errno, err);
    if (t->too_long && !t->item->path) return err_set(err, GLLM_FORMAT, "%s: more than %lld bytes", t->item->name, (long long)t->item->size);
    if (t->too_long) return wrong(t, "more bytes than it has", "", err);
    if (code == CURLE_OK) return answered(t, err);
    if (lasts(code)) return err_set(err, GLLM_DOWNLOAD, "%s: %.*s: %s", t->item->name, (int)origin(url_of(t)), url_of(t), reason);
    if (code == CURLE_WRITE_ERROR) { /* body_begins: another range than asked for */
        TRY(rewind_part(t, err));
        reason = "found another range than asked for";
    }
    if (code == CURLE_OPERATION_TIMEDOUT) reason = "nothing came in time"; /* of libcurl when it connects, else of end_stalled */
    if (!t->item->path) TRY(rewind_part(t, err));
    return try_again(t, reason, 0, err);
}

/* ---- all of them ---- */

static gllm_status start(struct transfer *t, gllm_error *err) {
    t->answered = t->too_long = false;
    t->item->http = 0, t->range = UINT64_MAX;
    if (t->part && t->fd < 0) TRY(open_part(t, err));
    t->first_at = t->item->at, t->heard_ms = clock_ms();
    if (t->part && t->item->size >= 0 && t->item->at == (uint64_t)t->item->size) return check(t, err);
    TRY(make_easy(t, err));
    t->state = RUNNING;
    t->run->n_running++;
    return GLLM_OK;
}

/* Begins what is due; *next_ms: the time until something else is. */
static gllm_status start_due(struct run *r, double *next_ms, gllm_error *err) {
    const double now = clock_ms();
    *next_ms = TICK_MS;
    for (size_t i = 0; i < r->n; i++) {
        struct transfer *t = &r->list[i];
        if (t->state != WAITING || r->n_running >= FETCH_AT_ONCE) continue;
        if (t->due_ms <= now) TRY(start(t, err));
        else if (t->due_ms - now < *next_ms) *next_ms = t->due_ms - now;
    }
    return GLLM_OK;
}

static gllm_status finish(struct transfer *t, CURLcode code, gllm_error *err) {
    t->run->n_running--;
    gllm_status status = ended(t, code, err);
    drop_easy(t);
    return status;
}

static gllm_status finish_ended(struct run *r, gllm_error *err) {
    int left;
    for (CURLMsg *m; (m = r->curl->multi_info_read(r->multi, &left));) {
        struct transfer *t;
        if (m->msg != CURLMSG_DONE) continue;
        r->curl->easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        TRY(finish(t, m->data.result, err));
    }
    return GLLM_OK;
}

/* libcurl's own limit is a mean over several seconds, which a burst before it holds up. */
static gllm_status end_stalled(struct run *r, gllm_error *err) {
    const double since = clock_ms() - 1e3 * r->net->stall_seconds;
    for (size_t i = 0; i < r->n; i++)
        if (r->list[i].state == RUNNING && r->list[i].heard_ms < since) TRY(finish(&r->list[i], CURLE_OPERATION_TIMEDOUT, err));
    return GLLM_OK;
}

static gllm_status run_all(struct run *r, gllm_error *err) {
    while (r->n_done < r->n) {
        double next_ms;
        int unused;
        TRY(start_due(r, &next_ms, err));
        const size_t running = r->n_running;
        r->curl->multi_perform(r->multi, &unused);
        TRY(finish_ended(r, err));
        TRY(end_stalled(r, err));
        TRY(tell(r, false, err));
        if (r->n_running == running && r->n_done < r->n) r->curl->multi_poll(r->multi, NULL, 0, (int)next_ms, NULL);
    }
    return GLLM_OK;
}

static gllm_status prepare(struct run *r, struct fetch_item *items, gllm_error *err) {
    r->list = calloc(r->n ? r->n : 1, sizeof *r->list);
    r->multi = r->curl->multi_init();
    if (!r->list || !r->multi) return err_nomem(err, "fetching");
    for (size_t i = 0; i < r->n; i++) r->list[i] = (struct transfer){.run = r, .item = &items[i], .fd = -1};
    for (size_t i = 0; i < r->n; i++) {
        struct transfer *t = &r->list[i];
        items[i].at = 0;
        sha256_init(&t->sum);
        if (!may_visit(items[i].url, r->net->endpoint)) return err_set(err, GLLM_INVALID, "%s: expected an address that begins with https:// or http://", r->net->endpoint);
        if (items[i].path && asprintf(&t->part, "%s.part", items[i].path) < 0) return t->part = NULL, err_nomem(err, items[i].name);
    }
    return GLLM_OK;
}

static void close_all(struct run *r) {
    for (size_t i = 0; r->list && i < r->n; i++) {
        drop_easy(&r->list[i]);
        if (r->list[i].fd >= 0) close(r->list[i].fd);
        free(r->list[i].url);
        free(r->list[i].part);
    }
    free(r->list);
    if (r->multi) r->curl->multi_cleanup(r->multi);
}

/* A TLS library may write to a connection that is gone: that must end no program. */
static void hold_sigpipe(sigset_t *before, bool *pending) {
    sigset_t pipe, now;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigpending(&now);
    *pending = sigismember(&now, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, before);
}
static void release_sigpipe(const sigset_t *before, bool pending) {
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    while (!pending && sigtimedwait(&pipe, NULL, &(struct timespec){0}) > 0) {}
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

gllm_status fetch_run(const struct hub_net *net, struct fetch_item *items, size_t n, const struct log *log, fetch_tick_fn tick, void *user, gllm_error *err) {
    struct run r = {.net = net, .log = log, .n = n, .tick = tick, .user = user, .random = (uint64_t)getpid() << 32 ^ (uint64_t)(clock_ms() * 1e3)};
    sigset_t before;
    bool pending;
    TRY(curl_open(&r.curl, err));
    hold_sigpipe(&before, &pending);
    gllm_status status = prepare(&r, items, err);
    if (status == GLLM_OK) status = run_all(&r, err);
    close_all(&r);
    release_sigpipe(&before, pending);
    return status;
}
