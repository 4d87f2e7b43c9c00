#include <string.h>

#include "text/parts.h"

struct decoder {
    const char *prefix;
    size_t prefix_len;
    bool cleanup;
};

gllm_status decoder_read(struct decoder **out, struct arena *a, const json_t *v, const char *name, gllm_error *err) {
    *out = NULL;
    if (!v || json_is_null(v)) return GLLM_OK;
    const char *type = NULL, *prefix = "##";
    TRY(json_str(v, name, "type", &type, err));
    if (!type || strcmp(type, "WordPiece")) return err_set(err, GLLM_UNSUPPORTED, "%s: decoder \"%.60s\" is not supported in this version", name, type ? type : "");
    struct decoder *d = arena_alloc(a, sizeof *d);
    if (!d) return err_nomem(err, name);
    d->cleanup = true;
    TRY(json_str(v, name, "prefix", &prefix, err));
    TRY(json_flag(v, name, "cleanup", &d->cleanup, err));
    d->prefix = arena_strdup(a, prefix);
    d->prefix_len = strlen(prefix);
    *out = d;
    return d->prefix ? GLLM_OK : err_nomem(err, name);
}

/* The spaces that WordPiece's cleanup takes away, in the order in which it does. */
static void cleanup(struct textbuf *b, size_t from) {
    static const char *const PAIRS[][2] = {{" .", "."}, {" ?", "?"}, {" !", "!"}, {" ,", ","}, {" ' ", "'"}, {" n't", "n't"}, {" 'm", "'m"},
                                           {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    for (unsigned i = 0; i < sizeof PAIRS / sizeof *PAIRS; i++) {
        size_t k = strlen(PAIRS[i][0]), r = strlen(PAIRS[i][1]), out = from;
        for (size_t at = from; at < b->len;) {
            if (b->len - at >= k && !memcmp(b->data + at, PAIRS[i][0], k)) {
                memmove(b->data + out, PAIRS[i][1], r); /* r <= k */
                out += r;
                at += k;
            } else b->data[out++] = b->data[at++];
        }
        b->len = out;
    }
}

void decoder_token(const struct decoder *d, const char *piece, size_t len, bool first, struct textbuf *out) {
    size_t from = out->len;
    if (!first && d && len >= d->prefix_len && !memcmp(piece, d->prefix, d->prefix_len)) textbuf_add(out, piece + d->prefix_len, len - d->prefix_len);
    else {
        if (!first) textbuf_add(out, " ", 1);
        textbuf_add(out, piece, len);
    }
    if (d && d->cleanup) cleanup(out, from);
}
