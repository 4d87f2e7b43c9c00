/* jobs.c - one thread, many requests: texts from stdin become vectors while the loop goes on reading.
 * usage: jobs MODEL < TEXTS        one text a line; prints for each, as it is done, its number, tokens and first value
 * cc jobs.c $(pkg-config --cflags --libs gllm) */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gllm.h>

enum { MOST = 256 }; /* jobs in flight; more lines wait in the pipe */

struct loop {
    gllm_client *client;
    char line[65536]; /* what was read and is no whole line yet */
    size_t len, number, in_flight;
    int failed;
    int at_end;
};

/* The text is copied by the library, so the line may be overwritten. */
static void submit(struct loop *l, const char *text, size_t len) {
    gllm_str input = {text, len};
    gllm_embed_request request;
    gllm_embed_request_init(&request);
    request.inputs = &input, request.n_inputs = 1;
    gllm_submit how;
    gllm_submit_init(&how);
    how.notify = true;
    how.user = (void *)++l->number; /* the job brings it back */
    gllm_error err = {0};
    gllm_job *job;
    if (gllm_embed_async(l->client, &request, &how, &job, &err) == GLLM_OK) l->in_flight++;
    else {
        fprintf(stderr, "jobs: line %zu: %s\n", l->number, err.message);
        l->failed = 1;
    }
}

/* Whole lines become jobs, as far as there is room; the rest stays. */
static void submit_lines(struct loop *l) {
    size_t at = 0;
    for (char *end; l->in_flight < MOST && (end = memchr(l->line + at, '\n', l->len - at)); at = (size_t)(end - l->line) + 1) submit(l, l->line + at, (size_t)(end - l->line) - at);
    if (!at && l->len && (l->at_end || l->len == sizeof l->line) && l->in_flight < MOST) { /* a last line without its end, or one that is too long */
        submit(l, l->line, l->len);
        at = l->len;
    }
    memmove(l->line, l->line + at, l->len - at);
    l->len -= at;
}

static void read_more(struct loop *l) {
    const ssize_t n = read(STDIN_FILENO, l->line + l->len, sizeof l->line - l->len);
    if (n > 0) l->len += (size_t)n;
    else l->at_end = 1;
}

static void print_done(struct loop *l) {
    for (gllm_job *job; (job = gllm_client_next_done(l->client)); l->in_flight--) {
        const size_t number = (size_t)gllm_job_user(job);
        gllm_embeddings *vector;
        gllm_error err = {0};
        if (gllm_job_take_embeddings(job, &vector, &err) == GLLM_OK) printf("%zu\t%u tokens\t%+.6f\n", number, vector->tokens[0], (double)vector->data[0]);
        else {
            fprintf(stderr, "jobs: line %zu: %s\n", number, err.message);
            l->failed = 1;
        }
        gllm_embeddings_free(vector);
        gllm_job_free(job);
    }
}

static void run(struct loop *l, int done) {
    while (!l->at_end || l->len || l->in_flight) {
        const int room = !l->at_end && l->len < sizeof l->line;
        struct pollfd fds[] = {{.fd = done, .events = POLLIN}, {.fd = room ? STDIN_FILENO : -1, .events = POLLIN}};
        if ((l->in_flight || room) && poll(fds, 2, -1) < 0) continue;
        if (fds[0].revents) print_done(l);
        if (fds[1].revents) read_more(l);
        submit_lines(l);
    }
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s MODEL < TEXTS\n", argv[0]);
        return 2;
    }
    struct loop *l = calloc(1, sizeof *l);
    gllm_error err = {0};
    gllm_options options;
    gllm_options_init(&options);
    options.model = argv[1];
    options.load = GLLM_LOAD_LAZY; /* the first lines are read while it loads */
    int done;
    if (!l || gllm_client_open(&l->client, &options, &err) != GLLM_OK || gllm_client_fd(l->client, &done, &err) != GLLM_OK) {
        fprintf(stderr, "jobs: %s\n", err.message);
        return 1;
    }
    run(l, done);
    gllm_client_close(l->client);
    const int failed = l->failed;
    free(l);
    return failed;
}
