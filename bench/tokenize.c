/* tokenize.c - a tokenizer alone, for bench/peers_tokenize.py.
 *
 *   bench_tokenize MODEL ids               texts as JSON strings, one a line, on standard input; their ids as JSON arrays on standard output
 *   bench_tokenize MODEL time FILE SECONDS each line of FILE is encoded, again and again; seconds of processor time of each whole pass on standard output
 * MODEL: a directory, a .gguf file, a tokenizer.json or a SentencePiece .model. Special tokens are neither read nor added. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/json.h"
#include "model/gguf_tokenizer.h"

static const struct encode_options PLAIN = {0};

static bool ends_with(const char *s, const char *end) { return strlen(s) >= strlen(end) && !strcmp(s + strlen(s) - strlen(end), end); }

static gllm_status open_model(struct tokenizer **t, const char *path, gllm_error *err) {
    char *data;
    size_t len;
    if (dir_exists(path)) return tokenizer_open(t, path, err);
    if (ends_with(path, ".gguf")) {
        struct weights *w;
        TRY(weights_open(&w, path, err));
        gllm_status status = gguf_tokenizer(t, w, path, err);
        weights_close(w);
        return status;
    }
    TRY(file_read(path, 512u << 20, &data, &len, err));
    gllm_status status = ends_with(path, ".json") ? tokenizer_read(t, data, len, path, err) : tokenizer_read_sentencepiece(t, data, len, path, err);
    free(data);
    return status;
}

static gllm_status print_ids(const struct tokenizer *t, gllm_error *err) {
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    struct encoding e = {0};
    gllm_status status = GLLM_OK;
    while (status == GLLM_OK && (n = getline(&line, &room, stdin)) > 0) {
        json_t *text = json_loadb(line, (size_t)n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        status = tokenizer_encode(t, json_string_value(text), json_string_length(text), NULL, 0, &PLAIN, &e, err);
        putchar('[');
        for (uint32_t i = 0; status == GLLM_OK && i < e.count; i++) printf("%s%d", i ? "," : "", e.ids[i]);
        puts("]");
        json_decref(text);
    }
    encoding_free(&e);
    free(line);
    return status;
}

static gllm_status pass(const struct tokenizer *t, const char *text, size_t len, struct encoding *e, gllm_error *err) {
    for (size_t at = 0; at < len;) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t n = end ? (size_t)(end - (text + at)) : len - at;
        TRY(tokenizer_encode(t, text + at, n, NULL, 0, &PLAIN, e, err));
        at += n + 1;
    }
    return GLLM_OK;
}

static double cpu_seconds(void) { return (double)clock() / CLOCKS_PER_SEC; }

static gllm_status time_passes(const struct tokenizer *t, const char *path, double seconds, gllm_error *err) {
    struct encoding e = {0};
    char *text;
    size_t len;
    TRY(file_read(path, 512u << 20, &text, &len, err));
    gllm_status status = pass(t, text, len, &e, err);
    for (double begin = cpu_seconds(), now = begin, last; status == GLLM_OK && now - begin < seconds; printf("%.6f\n", now - last)) {
        last = now;
        status = pass(t, text, len, &e, err);
        now = cpu_seconds();
    }
    encoding_free(&e);
    free(text);
    return status;
}

int main(int argc, char **argv) {
    struct tokenizer *t = NULL;
    gllm_error err = {0};
    const bool ids = argc == 3 && !strcmp(argv[2], "ids"), timed = argc == 5 && !strcmp(argv[2], "time");
    if (!ids && !timed) {
        fprintf(stderr, "usage: bench_tokenize MODEL ids | bench_tokenize MODEL time FILE SECONDS\n");
        return 2;
    }
    gllm_status status = open_model(&t, argv[1], &err);
    if (status == GLLM_OK) status = ids ? print_ids(t, &err) : time_passes(t, argv[3], strtod(argv[4], NULL), &err);
    if (status != GLLM_OK) fprintf(stderr, "bench_tokenize: %s\n", err.message);
    tokenizer_close(t);
    return status != GLLM_OK;
}
