/* demo.c - questions answered from a few passages, on gllm.h alone: embed, retrieve, rerank, answer, and check what the answer rests on.
 * usage: gllm-demo EMBEDDER PASSAGES.tsv [GENERATOR [QUESTION…]]
 *
 * PASSAGES.tsv has a title, a source and a text a line, separated by tabs. Without GENERATOR, or when it is not on this machine, the
 * passages are found and nothing is answered. The generator also judges the passages found, which it was not trained for; that is told, and
 * they are answered from in the order of their similarity. How an answer gets its citation: it is embedded too, and the passage nearest to it is
 * what it rests on, if that passage is near to the question as well. A number in brackets that the model writes is told, not trusted. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gllm.h"
#include "page.h"

enum { MAX_PASSAGES = 256, TOP = 3, ANSWER_TOKENS = 64, PROMPT_SIZE = 8192 };
/* Cosines of all-MiniLM-L6-v2: a passage is about the question, or says what the answer says. Both are wanted of a citation: small models
 * like to recite a passage that has nothing to do with the question. */
static const double NEAR_QUESTION = 0.4, NEAR_ANSWER = 0.6;
static const char *const QUESTIONS[] = {
    "What cured sailors of scurvy on long voyages?",
    "How many hearts does an octopus have?",
    "Why do onions make us cry?",
    "How do honeybees tell each other where flowers are?",
    "Who was the first man on the moon?", /* which no passage says */
};
enum { N_QUESTIONS = sizeof QUESTIONS / sizeof *QUESTIONS };
/* One example in the conversation teaches a small model the form of an answer better than any instruction. */
static const char SYSTEM[] = "Answer the question with one short sentence taken from the passages.";
static const char EXAMPLE[] = "[1] Glass is made by melting sand with soda and lime.\n"
                              "[2] The Nile flows north into the Mediterranean.\n\nWhat is glass made of?";
static const char EXAMPLE_ANSWER[] = "Glass is made of sand, soda and lime. [1]";

struct passage {
    char *title, *source, *text;
};
struct found { /* the passages nearest to a question, best first; the first n_given of them go to the generator */
    size_t n, n_given, at[TOP];
    double score[TOP];
};
struct demo {
    struct page page;
    struct passage passages[MAX_PASSAGES];
    size_t n_passages;
    gllm_client *embedder, *generator; /* generator NULL: there is none */
    gllm_embeddings *vectors;          /* of the passages */
    double embed_ms, retrieve_ms, judge_ms, first_ms, decode_ms, check_ms; /* of all questions together */
    double asked_ms;                   /* when the question went to the generator; 0: its first token came */
    size_t n_tokens;
};

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}
static int complain(const char *message) { return fprintf(stderr, "demo: %s\n", message), 1; }
static int complain_of(const char *path, const char *message) { return fprintf(stderr, "demo: %s: %s\n", path, message), 1; }

static int read_passages(struct demo *d, const char *path) {
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t room = 0;
    if (!f) return complain_of(path, strerror(errno));
    while (d->n_passages < MAX_PASSAGES && getline(&line, &room, f) > 0) {
        line[strcspn(line, "\r\n")] = '\0';
        char *tab = strchr(line, '\t'), *second = tab ? strchr(tab + 1, '\t') : NULL;
        if (!second) continue;
        *tab = *second = '\0';
        d->passages[d->n_passages++] = (struct passage){strdup(line), strdup(tab + 1), strdup(second + 1)};
    }
    int unread = ferror(f) ? errno : 0;
    free(line);
    fclose(f);
    if (unread) return complain_of(path, strerror(unread));
    return d->n_passages ? 0 : complain_of(path, "found no line with title, source and text, separated by tabs");
}

static int embed(struct demo *d, const gllm_str *texts, size_t n, gllm_embeddings **out) {
    gllm_embed_request r;
    gllm_error err = {0};
    gllm_embed_request_init(&r);
    r.inputs = texts, r.n_inputs = n, r.normalize = GLLM_NORMALIZE_ON;
    return gllm_embed(d->embedder, &r, out, &err) == GLLM_OK ? 0 : complain(err.message);
}

static double cosine(const float *a, const float *b, size_t dim) { /* of vectors of length 1 */
    double dot = 0;
    for (size_t k = 0; k < dim; k++) dot += (double)a[k] * b[k];
    return dot;
}

static int retrieve(struct demo *d, const char *question, struct found *found) {
    gllm_embeddings *asked;
    size_t dim = d->vectors->dim;
    double start = now_ms();
    if (embed(d, &(gllm_str){question, GLLM_NTS}, 1, &asked)) return 1;
    found->n = 0;
    for (size_t i = 0; i < d->n_passages; i++) {
        double score = cosine(asked->data, d->vectors->data + i * dim, dim);
        size_t at = found->n < TOP ? found->n++ : TOP;
        for (; at > 0 && found->score[at - 1] < score; at--)
            if (at < TOP) found->score[at] = found->score[at - 1], found->at[at] = found->at[at - 1];
        if (at < TOP) found->score[at] = score, found->at[at] = i;
    }
    gllm_embeddings_free(asked);
    for (found->n_given = 1; found->n_given < found->n && found->score[found->n_given] >= NEAR_QUESTION;) found->n_given++;
    d->retrieve_ms += now_ms() - start;
    return 0;
}

static void show_found(struct demo *d, const struct found *found) {
    for (size_t i = 0; i < found->n; i++) {
        const struct passage *p = &d->passages[found->at[i]];
        printf("  [%zu] ", i + 1);
        page_bar(&d->page, found->score[i], found->score[i] >= NEAR_QUESTION ? STYLE_GOOD : STYLE_FAINT);
        printf("  %s, %s\n", p->title, p->source);
        if (i < found->n_given) page_paragraph(&d->page, 6, p->text);
    }
}

/* The generator's opinion of the passages, best first. */
static int judge(struct demo *d, const char *question, const struct found *found) {
    gllm_str texts[TOP];
    gllm_rerank_request r;
    gllm_rankings *judged;
    gllm_error err = {0};
    for (size_t i = 0; i < found->n; i++) texts[i] = (gllm_str){d->passages[found->at[i]].text, GLLM_NTS};
    gllm_rerank_request_init(&r);
    r.query = (gllm_str){question, GLLM_NTS}, r.documents = texts, r.n_documents = found->n, r.as_judge = true;
    const double start = now_ms();
    gllm_status status = gllm_rerank(d->generator, &r, &judged, &err);
    d->judge_ms += now_ms() - start;
    if (status == GLLM_UNSUPPORTED) return printf("  not judged: %s\n", err.message), 0;
    if (status != GLLM_OK) return complain(err.message);
    printf("  %sjudged%s", page_style(&d->page, STYLE_FAINT), judged->untrained ? " by a model not trained to rerank" : "");
    for (size_t i = 0; i < judged->count; i++) printf("  [%zu] %.2f", judged->items[i].index + 1, (double)judged->items[i].score);
    printf("%s\n", page_style(&d->page, STYLE_PLAIN));
    gllm_rankings_free(judged);
    return 0;
}

static bool on_chunk(void *user, const gllm_chunk *chunk) {
    struct demo *d = user;
    if (chunk->token >= 0 && d->asked_ms > 0) d->first_ms += now_ms() - d->asked_ms, d->asked_ms = 0;
    page_write(&d->page, chunk->text.ptr, chunk->text.len);
    return true;
}

/* The bytes of text that fit, whole characters. */
static int cut(const char *text, size_t most) {
    size_t n = strlen(text);
    if (n > most)
        for (n = most; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80;) n--;
    return (int)n;
}

static int answer(struct demo *d, const char *question, const struct found *found, gllm_completion **out) {
    char prompt[PROMPT_SIZE];
    size_t at = 0;
    for (size_t i = 0; i < found->n_given; i++) {
        const char *text = d->passages[found->at[i]].text; /* a long one is cut, so that the question stays */
        at += (size_t)snprintf(prompt + at, sizeof prompt - at, "[%zu] %.*s\n", i + 1, cut(text, PROMPT_SIZE / (TOP + 1) - 8), text);
    }
    snprintf(prompt + at, sizeof prompt - at, "\n%.*s", cut(question, sizeof prompt - at - 2), question);
    const gllm_message messages[] = {
        {.role = "system", .content = {SYSTEM, GLLM_NTS}},
        {.role = "user", .content = {EXAMPLE, GLLM_NTS}},
        {.role = "assistant", .content = {EXAMPLE_ANSWER, GLLM_NTS}},
        {.role = "user", .content = {prompt, GLLM_NTS}},
    };
    const gllm_str stop = {"\n", GLLM_NTS};
    gllm_generate_request r;
    gllm_error err = {0};
    gllm_generate_request_init(&r); /* temperature 0: the likeliest token each time */
    r.messages = messages, r.n_messages = sizeof messages / sizeof *messages;
    r.max_tokens = ANSWER_TOKENS, r.stop = &stop, r.n_stop = 1;
    r.on_chunk = on_chunk, r.user = d;
    printf("  %s→%s ", page_style(&d->page, STYLE_ANSWER), page_style(&d->page, STYLE_PLAIN));
    page_begin(&d->page, 4);
    d->asked_ms = now_ms();
    gllm_status status = gllm_generate(d->generator, &r, out, &err);
    page_end(&d->page);
    if (status != GLLM_OK) return complain(err.message);
    d->n_tokens += (*out)->n_tokens, d->decode_ms += (*out)->decode_ms;
    return 0;
}

/* The first [n] in the answer; 0: none. */
static int own_citation(const char *text) {
    for (; (text = strchr(text, '[')); text++)
        if (text[1] >= '1' && text[1] <= '9' && text[2] == ']') return text[1] - '0';
    return 0;
}

static int check(struct demo *d, const gllm_completion *said, const struct found *found) {
    gllm_embeddings *e;
    size_t best = 0, dim = d->vectors->dim;
    double score = -1, start = now_ms();
    if (embed(d, &said->text, 1, &e)) return 1;
    for (size_t i = 0; i < found->n_given; i++) {
        double s = cosine(e->data, d->vectors->data + found->at[i] * dim, dim);
        if (s > score) score = s, best = i;
    }
    gllm_embeddings_free(e);
    d->check_ms += now_ms() - start;

    bool recited = score >= NEAR_ANSWER, supported = recited && found->score[best] >= NEAR_QUESTION;
    int own = own_citation(said->text.ptr);
    printf("    %s", page_style(&d->page, supported ? STYLE_GOOD : STYLE_BAD));
    printf("%s%s", supported ? "✓ rests on" : "✗ not supported by the passages:", page_style(&d->page, STYLE_PLAIN));
    if (supported) printf(" [%zu] %s, similarity %.2f", best + 1, d->passages[found->at[best]].title, score);
    else if (recited) printf(" [%zu] is not about the question", best + 1);
    else printf(" nearest [%zu], similarity %.2f", best + 1, score);
    if (own) printf("; the model wrote [%d]", own);
    return printf("\n"), 0;
}

static int ask(struct demo *d, const char *question) {
    struct found found = {0};
    gllm_completion *said = NULL;
    printf("\n%s%s%s\n", page_style(&d->page, STYLE_QUESTION), question, page_style(&d->page, STYLE_PLAIN));
    if (retrieve(d, question, &found)) return 1;
    show_found(d, &found);
    int failed = d->generator && (judge(d, question, &found) || answer(d, question, &found, &said) || check(d, said, &found));
    gllm_completion_free(said);
    return failed;
}

/* Opens a model that does `task`, "embed" or "generate". */
static gllm_status open_model(gllm_client **out, const char *model, const char *task, gllm_error *err) {
    gllm_options opt;
    gllm_model_info *info;
    gllm_options_init(&opt);
    opt.model = model;
    gllm_status status = gllm_inspect(&info, &opt, 0, 0, err);
    if (status != GLLM_OK) return status;
    if (strcmp(info->task, task)) {
        status = err->status = GLLM_INVALID;
        snprintf(err->message, sizeof err->message, "%.400s: found a model to %s, expected one to %s", model, info->task, task);
    }
    gllm_model_info_free(info);
    return status == GLLM_OK ? gllm_client_open(out, &opt, err) : status;
}

static int embed_passages(struct demo *d, const char *model) {
    gllm_error err = {0};
    gllm_str texts[MAX_PASSAGES];
    if (open_model(&d->embedder, model, "embed", &err) != GLLM_OK) return complain(err.message);
    for (size_t i = 0; i < d->n_passages; i++) texts[i] = (gllm_str){d->passages[i].text, GLLM_NTS};
    double start = now_ms();
    int failed = embed(d, texts, d->n_passages, &d->vectors);
    d->embed_ms = now_ms() - start;
    return failed;
}

/* One that is not on this machine is told, and is no failure. */
static int open_generator(struct demo *d, const char *model) {
    gllm_error err = {0};
    char note[sizeof err.message + 64];
    gllm_status status = model ? open_model(&d->generator, model, "generate", &err) : GLLM_OK;
    if (status != GLLM_OK && status != GLLM_NOT_FOUND) return complain(err.message);
    if (d->generator) return 0;
    snprintf(note, sizeof note, "No answers, passages alone: %s", model ? err.message : "no generator was named");
    page_paragraph(&d->page, 0, note);
    return 0;
}

static gllm_client_info describe(gllm_client *c) {
    gllm_client_info info = {.struct_size = sizeof info};
    gllm_client_describe(c, NULL, &info, NULL);
    const char *slash = strrchr(info.model, '/');
    if (slash) info.model = slash + 1;
    return info;
}

static void show_times(const struct demo *d, int n_questions) {
    gllm_client_info e = describe(d->embedder);
    printf("\n%sTimes%s on ", page_style(&d->page, STYLE_BOLD), page_style(&d->page, STYLE_PLAIN));
    printf("%s, %s, %s, %u threads\n", e.backend, e.device, e.isa, e.threads);
    printf("  load      %6.1f ms  %s\n", e.load_ms, e.model);
    if (d->generator) {
        gllm_client_info g = describe(d->generator);
        printf("            %6.1f ms  %s\n", g.load_ms, g.model);
    }
    printf("  embed     %6.1f ms  %zu passages\n", d->embed_ms, d->n_passages);
    printf("  retrieve  %6.1f ms  a question\n", d->retrieve_ms / n_questions);
    if (!d->generator) return;
    printf("  judge     %6.1f ms  a question\n", d->judge_ms / n_questions);
    printf("  answer    %6.1f ms  to the first token, then %.0f tokens/s\n", d->first_ms / n_questions,
           d->decode_ms > 0 ? (double)d->n_tokens / d->decode_ms * 1e3 : 0);
    printf("  check     %6.1f ms  an answer\n", d->check_ms / n_questions);
}

int main(int argc, char **argv) {
    static struct demo demo;
    struct demo *d = &demo;
    if (argc < 3) return fprintf(stderr, "usage: %s EMBEDDER PASSAGES.tsv [GENERATOR [QUESTION…]]\n", argv[0]), 2;
    const char *const *questions = argc > 4 ? (const char *const *)argv + 4 : QUESTIONS;
    int n_questions = argc > 4 ? argc - 4 : N_QUESTIONS;
    page_open(&d->page);
    int failed = read_passages(d, argv[2]) || embed_passages(d, argv[1]) || open_generator(d, argc > 3 ? argv[3] : NULL);
    for (int i = 0; !failed && i < n_questions; i++) failed = ask(d, questions[i]);
    if (!failed) show_times(d, n_questions);
    gllm_embeddings_free(d->vectors);
    gllm_client_close(d->generator);
    gllm_client_close(d->embedder);
    for (size_t i = 0; i < d->n_passages; i++) free(d->passages[i].title), free(d->passages[i].source), free(d->passages[i].text);
    return failed;
}
