/* listen.c - the socket that the server listens on: one of our own, of a path, or one that systemd handed over. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core.h"

enum { FIRST_FD = 3, BACKLOG = 4096 };

/* A socket of LISTEN_FDS (systemd's protocol of socket activation); -1: none. */
static int handed_over(void) {
    const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
    struct stat st;
    if (!pid || !fds || strtol(pid, NULL, 10) != (long)getpid() || strtol(fds, NULL, 10) < 1) return -1;
    unsetenv("LISTEN_PID"), unsetenv("LISTEN_FDS");
    return fstat(FIRST_FD, &st) == 0 && S_ISSOCK(st.st_mode) ? FIRST_FD : -1;
}

static int unix_socket(const char *path, char *why, size_t size) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct stat st;
    if (!*path || strlen(path) >= sizeof a.sun_path) {
        snprintf(why, size, "--host unix:%s: a path of 1 to %zu bytes is expected", path, sizeof a.sun_path - 1);
        return -1;
    }
    memcpy(a.sun_path, path, strlen(path));
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) && connect(fd, (struct sockaddr *)&a, sizeof a) != 0 && errno == ECONNREFUSED) unlink(path); /* of one that died */
    if (fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, BACKLOG) == 0) return fd;
    snprintf(why, size, "cannot listen on %s: %s", path, strerror(errno));
    if (fd >= 0) close(fd);
    return -1;
}

static bool is_loopback(const struct sockaddr *a) {
    if (a->sa_family == AF_INET) return ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr) >> 24 == 127;
    if (a->sa_family == AF_INET6) return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr);
    return true;
}

static int inet_socket(const struct addrinfo *a) {
    const int one = 1;
    const int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0) return fd;
    const int e = errno;
    close(fd);
    errno = e;
    return -1;
}

static bool guarded(const struct server *s) { return s->options.key_file || s->options.public_without_key; }

int listen_open(struct server *s, char *why, size_t size) {
    const struct server_options *o = &s->options;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found;
    char port[16];
    int fd = handed_over();
    if (fd >= 0) { /* whoever made it has decided who reaches it */
        struct sockaddr_storage a = {0};
        socklen_t len = sizeof a;
        s->loopback = getsockname(fd, (struct sockaddr *)&a, &len) == 0 && (a.ss_family == AF_UNIX || is_loopback((const struct sockaddr *)&a));
        return fd;
    }
    if (!strncmp(o->host, "unix:", 5)) {
        s->loopback = true;
        return unix_socket(o->host + 5, why, size);
    }
    snprintf(port, sizeof port, "%u", o->port);
    const int e = getaddrinfo(o->host, port, &hints, &found);
    if (e) {
        snprintf(why, size, "--host %s: %s", o->host, gai_strerror(e));
        return -1;
    }
    s->loopback = is_loopback(found->ai_addr);
    if (!s->loopback && !guarded(s)) {
        snprintf(why, size, "--host %s lets others in: give --api-key-file FILE, or --public to let everyone use the models", o->host);
    } else if ((fd = inet_socket(found)) < 0) {
        snprintf(why, size, "cannot listen on %s port %s: %s", o->host, port, strerror(errno));
    }
    freeaddrinfo(found);
    return fd;
}

void listen_name(const struct server *s, int fd, char *out, size_t size) {
    struct sockaddr_storage a = {0};
    socklen_t len = sizeof a;
    char host[INET6_ADDRSTRLEN] = "";
    snprintf(out, size, "%s", s->options.host);
    if (getsockname(fd, (struct sockaddr *)&a, &len) != 0) return;
    if (a.ss_family == AF_INET) {
        const struct sockaddr_in *i = (const void *)&a;
        snprintf(out, size, "http://%s:%u", inet_ntop(AF_INET, &i->sin_addr, host, sizeof host), ntohs(i->sin_port));
    } else if (a.ss_family == AF_INET6) {
        const struct sockaddr_in6 *i = (const void *)&a;
        snprintf(out, size, "http://[%s]:%u", inet_ntop(AF_INET6, &i->sin6_addr, host, sizeof host), ntohs(i->sin6_port));
    }
}

/* Files for so many connections, as far as the hard limit lets; the connections that there is room for. */
uint32_t listen_room(uint32_t connections) {
    enum { OWN = 64 }; /* models, log, threads' events */
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0) return connections;
    const rlim_t want = (rlim_t)connections + OWN;
    if (r.rlim_cur < want) {
        r.rlim_cur = r.rlim_max < want ? r.rlim_max : want;
        setrlimit(RLIMIT_NOFILE, &r);
        getrlimit(RLIMIT_NOFILE, &r);
    }
    return r.rlim_cur >= want ? connections : r.rlim_cur > 2 * OWN ? (uint32_t)(r.rlim_cur - OWN) : OWN;
}
