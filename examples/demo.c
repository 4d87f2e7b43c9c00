/* demo.c - semantic search over a few passages, on gllm.h alone: which passage answers which question?
 * usage: gllm-demo MODEL PASSAGES.tsv      (title, source and text, separated by tabs, one passage a line) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "gllm.h"

enum { MAX_PASSAGES = 256, TOP = 3, BAR = 20 };
static const char *const QUESTIONS[] = {
    "Why do fruits keep a crew healthy at sea?",
    "How do insects give each other directions?",
    "A man wakes up as a bug",
    "Do merchants act out of kindness?",
    "What makes the sea level change during the day?",
    "How can two people share a secret when someone listens?",
};
enum { N_QUESTIONS = sizeof QUESTIONS / sizeof *QUESTIONS };

struct passage {
    char *title, *source, *text;
};
static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static size_t read_passages(const char *path, struct passage *out) {
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t room = 0, n = 0;
    if (!f) {
        perror(path);
        return 0;
    }
    while (n < MAX_PASSAGES && getline(&line, &room, f) > 0) {
        line[strcspn(line, "\r\n")] = '\0';
        char *tab = strchr(line, '\t'), *second = tab ? strchr(tab + 1, '\t') : NULL;
        if (!second) continue;
        *tab = *second = '\0';
        out[n++] = (struct passage){strdup(line), strdup(tab + 1), strdup(second + 1)};
    }
    free(line);
    fclose(f);
    return n;
}

/* Prints text in lines of at most `width` characters after an indent. */
static void wrap(const char *text, int indent, int width) {
    int at = 0;
    for (const char *p = text; *p;) {
        int n = (int)strcspn(p, " ");
        if (at && at + 1 + n > width) at = 0, putchar('\n');
        if (!at) printf("%*s", indent, "");
        else at += printf(" ");
        at += printf("%.*s", n, p);
        p += n + (p[n] == ' ');
    }
    putchar('\n');
}

static void show(const struct passage *p, int rank, double score, int width, bool colour) {
    int full = score > 0 ? (int)(score * BAR + 0.5) : 0;
    printf("   %s%d%s  ", colour ? "\033[1m" : "", rank, colour ? "\033[0m" : "");
    if (colour) fputs(rank == 1 ? "\033[32m" : "\033[36m", stdout);
    for (int i = 0; i < BAR; i++) fputs(i < full ? "█" : "·", stdout);
    printf("%s %.3f  %s, %s\n", colour ? "\033[0m" : "", score, p->title, p->source);
    wrap(p->text, 6, width - 8);
}

static void answer(const float *question, const gllm_embeddings *all, const struct passage *passages, size_t n, int width, bool colour) {
    bool used[MAX_PASSAGES] = {false};
    for (int rank = 1; rank <= TOP && (size_t)rank <= n; rank++) {
        size_t best = n;
        double score = -2;
        for (size_t i = 0; i < n; i++) {
            double dot = 0; /* vectors of length 1: the dot product is the cosine */
            for (size_t k = 0; k < all->dim; k++) dot += (double)question[k] * all->data[i * all->dim + k];
            if (!used[i] && dot > score) score = dot, best = i;
        }
        used[best] = true;
        show(&passages[best], rank, score, width, colour);
    }
}

static int embed(gllm_client *c, const gllm_str *texts, size_t n, gllm_embeddings **out) {
    gllm_embed_request r;
    gllm_error err = {0};
    gllm_embed_request_init(&r);
    r.inputs = texts, r.n_inputs = n, r.normalize = GLLM_NORMALIZE_ON;
    if (gllm_embed(c, &r, out, &err) == GLLM_OK) return 0;
    fprintf(stderr, "demo: %s\n", err.message);
    return 1;
}

int main(int argc, char **argv) {
    static struct passage passages[MAX_PASSAGES];
    if (argc != 3) return fprintf(stderr, "usage: %s MODEL PASSAGES.tsv\n", argv[0]), 2;
    size_t n = read_passages(argv[2], passages);
    if (!n) return fprintf(stderr, "demo: %s holds no passages\n", argv[2]), 1;
    struct winsize ws = {0};
    bool terminal = isatty(STDOUT_FILENO), colour = terminal && !getenv("NO_COLOR");
    int width = terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col >= 40 ? ws.ws_col : 100;

    gllm_options opt;
    gllm_error err = {0};
    gllm_client *c;
    gllm_options_init(&opt);
    opt.model = argv[1];
    if (gllm_client_open(&c, &opt, &err) != GLLM_OK) return fprintf(stderr, "demo: %s\n", err.message), 1;
    gllm_client_info info = {.struct_size = sizeof info};
    gllm_client_describe(c, &info, NULL);

    gllm_str texts[MAX_PASSAGES];
    gllm_embeddings *all = NULL, *asked = NULL;
    for (size_t i = 0; i < n; i++) texts[i] = (gllm_str){passages[i].text, GLLM_NTS};
    double start = now_ms();
    int failed = embed(c, texts, n, &all);
    double embedded = now_ms() - start;
    for (size_t i = 0; i < N_QUESTIONS; i++) texts[i] = (gllm_str){QUESTIONS[i], GLLM_NTS};
    start = now_ms();
    if (!failed) failed = embed(c, texts, N_QUESTIONS, &asked);
    for (size_t i = 0; !failed && i < N_QUESTIONS; i++) {
        printf("\n%s%s%s\n", colour ? "\033[1;33m" : "", QUESTIONS[i], colour ? "\033[0m" : "");
        answer(asked->data + i * asked->dim, all, passages, n, width, colour);
    }
    if (!failed)
        printf("\n%zu passages embedded in %.1f ms, %d questions answered in %.1f ms; %s loaded in %.1f ms\non %s, %s, %s, %u threads\n", n, embedded, (int)N_QUESTIONS, now_ms() - start, info.model,
               info.load_ms, info.backend, info.device, info.isa, info.threads);
    gllm_embeddings_free(all);
    gllm_embeddings_free(asked);
    gllm_client_close(c);
    for (size_t i = 0; i < n; i++) free(passages[i].title), free(passages[i].source), free(passages[i].text);
    return failed;
}
