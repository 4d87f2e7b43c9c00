/* pty.c - drives a program on a pseudo-terminal: pty COMMAND ARGUMENT… <STEPS
 *
 * Steps are lines: "expect TEXT" waits until TEXT came after what was expected before, "refuse TEXT" fails when it came since the beginning,
 * "send TEXT" types it (\r, \n, \e, \\ and \xHH are bytes), "signal N" sends the program signal N.
 * All that the program writes goes to standard output. Exit: the program's status, 128 + N when signal N ended it, 99 when a step failed. */
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROOM = 1 << 22, WAIT_MS = 60000, FAILED = 99 };
static char seen[ROOM + 1];
static size_t n_seen, n_expected;
static int terminal;
static pid_t child;

static size_t unescape(char *s) {
    char *to = s;
    for (char *from = s; *from;) {
        if (*from != '\\') *to++ = *from++;
        else if (from[1] == 'x') {
            char hex[3] = {from[2], from[2] ? from[3] : '\0', '\0'};
            *to++ = (char)strtoul(hex, NULL, 16);
            from += 2 + strlen(hex);
        } else {
            *to++ = from[1] == 'r' ? '\r' : from[1] == 'n' ? '\n' : from[1] == 'e' ? '\033' : from[1];
            from += from[1] ? 2 : 1;
        }
    }
    *to = '\0';
    return (size_t)(to - s);
}

/* Reads what comes within `ms`; false at the end. */
static int more(int ms) {
    struct pollfd p = {.fd = terminal, .events = POLLIN};
    if (poll(&p, 1, ms) <= 0) return 0;
    const ssize_t n = read(terminal, seen + n_seen, ROOM - n_seen);
    if (n <= 0) return 0;
    fwrite(seen + n_seen, 1, (size_t)n, stdout);
    fflush(stdout);
    n_seen += (size_t)n;
    return 1;
}

static void fail(const char *what, const char *text) {
    fprintf(stderr, "\npty: %s \"%s\"\n", what, text);
    kill(child, SIGKILL);
    exit(FAILED);
}

static void expect(const char *text, size_t len) {
    for (;;) {
        const char *hit = memmem(seen + n_expected, n_seen - n_expected, text, len);
        if (hit) {
            n_expected = (size_t)(hit - seen) + len;
            return;
        }
        if (!more(WAIT_MS)) fail("waited in vain for", text);
    }
}

static void step(char *line) {
    char *text = strchr(line, ' ');
    if (!text) return;
    *text++ = '\0';
    if (!strcmp(line, "signal")) {
        kill(child, atoi(text));
        return;
    }
    const size_t len = unescape(text);
    if (!strcmp(line, "expect")) expect(text, len);
    else if (!strcmp(line, "send")) {
        if (write(terminal, text, len) != (ssize_t)len) fail("cannot type", text);
    } else if (!strcmp(line, "refuse")) {
        if (memmem(seen, n_seen, text, len)) fail("found", text);
    } else fail("no such step:", line);
}

int main(int argc, char **argv) {
    struct winsize size = {.ws_row = 24, .ws_col = 200};
    char *line = NULL;
    size_t room = 0;
    int status;
    if (argc < 2) return FAILED;
    child = forkpty(&terminal, NULL, NULL, &size);
    if (child < 0) return FAILED;
    if (!child) {
        execvp(argv[1], argv + 1);
        _exit(127);
    }
    while (getline(&line, &room, stdin) > 0) {
        line[strcspn(line, "\n")] = '\0';
        step(line);
    }
    free(line);
    while (more(WAIT_MS)) {
    }
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
