#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

/* NPY 1.0: 128 bytes of header, so that the row count can be put in at the end. */
static void npy_header(FILE *f, size_t rows, size_t dim) {
    char text[118];
    int n = snprintf(text, sizeof text, "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }", rows, dim);
    fwrite("\x93NUMPY\x01\x00\x76\x00", 1, 10, f);
    fprintf(f, "%.*s%*s\n", n, text, 117 - n, "");
}

/* A regular file is written beside its place and renamed at the end; a link keeps pointing to it. A device or a pipe is written
 * as it is: renaming would replace it. */
static int open_file(struct cli_writer *w, const char *path) {
    struct stat st;
    bool there = stat(path, &st) == 0;
    w->name = path;
    w->to_file = true;
    if (there && S_ISDIR(st.st_mode)) return cli_error("--out %s: is a directory, expected a file", path);
    if (there && !S_ISREG(st.st_mode)) {
        w->f = w->format == FORMAT_NPY ? stdout : fopen(path, "wb"); /* a scratch file takes its place, see below */
        return w->f ? EXIT_OK : cli_error("cannot write %s: %s", path, strerror(errno));
    }
    w->target = there ? realpath(path, NULL) : strdup(path);
    size_t n = w->target ? strlen(w->target) + 32 : 0;
    w->temporary = malloc(n + 1);
    if (!w->target || !w->temporary) return cli_no_memory();
    snprintf(w->temporary, n, "%s.part.%ld", w->target, (long)getpid());
    w->f = fopen(w->temporary, "wbx");
    if (!w->f) {
        w->temporary[0] = '\0'; /* not ours */
        return cli_error("cannot write %s: %s", path, strerror(errno));
    }
    if (there) (void)!fchmod(fileno(w->f), st.st_mode & 07777);
    return EXIT_OK;
}

int cli_writer_open(struct cli_writer *w, const struct cli_options *o) {
    *w = (struct cli_writer){.f = stdout, .name = "standard output", .format = (enum cli_format)o->format};
    if (o->json) w->format = FORMAT_OPENAI;
    bool binary = w->format == FORMAT_NPY || w->format == FORMAT_F32;
    if (binary && !o->out && isatty(STDOUT_FILENO))
        return cli_usage("embed: --format %s is no text for a terminal; use --out FILE or redirect", w->format == FORMAT_NPY ? "npy" : "f32");
    int status = EXIT_OK;
    if (o->out) status = open_file(w, o->out);
    if (!status && w->format == FORMAT_NPY && !w->temporary) { /* the header, which holds the number of rows, goes first */
        w->copied = true;
        w->f = tmpfile();
        if (!w->f) status = cli_error("cannot make a scratch file: %s", strerror(errno));
    }
    if (status) {
        w->f = NULL;
        status = cli_writer_close(w, "", status);
    }
    return status;
}

static void write_row(struct cli_writer *w, const float *v, size_t dim) {
    char text[32];
    if (w->format == FORMAT_NPY || w->format == FORMAT_F32) {
        fwrite(v, sizeof *v, dim, w->f);
        return;
    }
    const bool array = w->format != FORMAT_TEXT, openai = w->format == FORMAT_OPENAI;
    if (openai) fprintf(w->f, "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":", w->rows ? "," : "", w->rows);
    if (array) fputc('[', w->f);
    for (size_t i = 0; i < dim; i++) {
        cli_float(text, v[i]);
        if (i) fputc(array ? ',' : ' ', w->f);
        fputs(text, w->f);
    }
    if (array) fputc(']', w->f);
    fputs(openai ? "}" : "\n", w->f);
}

static void write_floats(struct cli_writer *w, const float *v, size_t n) {
    char text[32];
    for (size_t i = 0; i < n; i++) {
        cli_float(text, v[i]);
        fprintf(w->f, "%s%s", i ? "," : "", text);
    }
}

/* One line of JSON a text: {"indices":[…],"values":[…]}, or the list of its tokens' vectors. */
static void write_object(struct cli_writer *w, const gllm_embeddings *e, size_t i) {
    const bool openai = w->format == FORMAT_OPENAI;
    if (openai) fprintf(w->f, "%s{\"object\":\"embedding\",\"index\":%zu,\"%s\":", w->rows ? "," : "", w->rows, e->sparse ? "sparse" : "vectors");
    if (e->sparse) {
        fputs("{\"indices\":[", w->f);
        for (size_t k = 0; k < e->sparse[i].count; k++) fprintf(w->f, "%s%d", k ? "," : "", e->sparse[i].ids[k]);
        fputs("],\"values\":[", w->f);
        write_floats(w, e->sparse[i].weights, e->sparse[i].count);
        fputs("]}", w->f);
    } else {
        fputc('[', w->f);
        for (size_t k = 0; k < e->token_vectors[i].count; k++) {
            fputs(k ? ",[" : "[", w->f);
            write_floats(w, e->token_vectors[i].data + k * e->token_dim, e->token_dim);
            fputc(']', w->f);
        }
        fputc(']', w->f);
    }
    fputs(openai ? "}" : "\n", w->f);
}

static const char *file_name(const struct cli_writer *w) { return w->copied ? "the scratch file" : w->name; }

int cli_writer_add(struct cli_writer *w, const gllm_embeddings *e) {
    if (!e->dim && (w->format == FORMAT_NPY || w->format == FORMAT_F32)) return cli_usage("embed: --format npy and f32 hold one vector a text; use jsonl or --json");
    if (!w->rows && w->format == FORMAT_NPY) npy_header(w->f, 0, e->dim);
    if (!w->rows && w->format == FORMAT_OPENAI) fputs("{\"object\":\"list\",\"data\":[", w->f);
    w->dim = e->dim;
    w->tokens += e->usage.prompt_tokens;
    for (size_t i = 0; i < e->count; i++, w->rows++) {
        if (e->dim) write_row(w, e->data + i * e->dim, e->dim);
        else write_object(w, e, i);
    }
    return cli_flush(w->f, file_name(w));
}

/* The scratch file to where it belongs. */
static int copy_out(struct cli_writer *w) {
    char block[1 << 14];
    FILE *sink = w->to_file ? fopen(w->name, "wb") : stdout;
    if (!sink) return cli_error("cannot write %s: %s", w->name, strerror(errno));
    rewind(w->f);
    for (size_t n; !ferror(sink) && (n = fread(block, 1, sizeof block, w->f));) fwrite(block, 1, n, sink);
    int status = ferror(w->f) ? cli_error("cannot read the scratch file: %s", strerror(errno)) : cli_flush(sink, w->name);
    if (sink != stdout) fclose(sink);
    return status;
}

static int finish(struct cli_writer *w, const char *model) {
    if (w->format == FORMAT_OPENAI) {
        fputs("],\"model\":", w->f);
        cli_json_text(w->f, model);
        fprintf(w->f, ",\"usage\":{\"prompt_tokens\":%llu,\"total_tokens\":%llu}}\n", w->tokens, w->tokens);
    }
    if (w->format == FORMAT_NPY) {
        rewind(w->f);
        npy_header(w->f, w->rows, w->dim);
    }
    int status = cli_flush(w->f, file_name(w));
    if (!status && w->copied) status = copy_out(w);
    return status;
}

int cli_writer_close(struct cli_writer *w, const char *model, int status) {
    if (w->f && !status) status = finish(w, model);
    else if (w->f == stdout) fflush(stdout);
    bool kept = w->temporary && *w->temporary;
    if (w->f && w->f != stdout && fclose(w->f) != 0 && !status && !w->copied)
        status = cli_error("cannot write %s: %s", w->name, strerror(errno));
    if (kept && !status && rename(w->temporary, w->target) != 0)
        status = cli_error("cannot rename %s to %s: %s", w->temporary, w->target, strerror(errno));
    if (kept && status) unlink(w->temporary);
    free(w->temporary);
    free(w->target);
    *w = (struct cli_writer){0};
    return status;
}
