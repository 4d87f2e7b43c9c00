#include "text/stop.h"

#include <stdlib.h>
#include <string.h>

struct stop_matcher {
    struct stop_string *list;
    size_t n, longest;
    char *bytes;        /* the strings' */
    char *held;         /* [shown, len) waits; what is before it was let out */
    size_t shown, len, room;
    bool done;
};

gllm_status stop_open(struct stop_matcher **out, const struct stop_string *list, size_t n, gllm_error *err) {
    *out = NULL;
    size_t total = 0;
    for (size_t i = 0; i < n; i++) {
        if (!list[i].len) return err_set(err, GLLM_INVALID, "stop string %zu is empty", i);
        total += list[i].len;
    }
    struct stop_matcher *m = calloc(1, sizeof *m);
    if (m) m->list = malloc((n + 1) * sizeof *m->list), m->bytes = malloc(total + 1);
    if (!m || !m->list || !m->bytes) {
        stop_close(m);
        return err_nomem(err, "stop strings");
    }
    char *at = m->bytes;
    for (size_t i = 0; i < n; i++, at += list[i - 1].len) {
        memcpy(at, list[i].text, list[i].len);
        m->list[i] = (struct stop_string){at, list[i].len};
        if (list[i].len > m->longest) m->longest = list[i].len;
    }
    m->n = n;
    *out = m;
    return GLLM_OK;
}

void stop_close(struct stop_matcher *m) {
    if (!m) return;
    free(m->list);
    free(m->bytes);
    free(m->held);
    free(m);
}

/* The longest string that ends at byte `end` and begins at or after what was let out; -1: none. */
static int ends_at(const struct stop_matcher *m, size_t end) {
    int best = -1;
    for (size_t i = 0; i < m->n; i++) {
        const size_t len = m->list[i].len;
        if (len <= end - m->shown && !memcmp(m->held + end - len, m->list[i].text, len) && (best < 0 || len > m->list[best].len)) best = (int)i;
    }
    return best;
}

/* How many of the last bytes could begin a string that is not complete. */
static size_t pending(const struct stop_matcher *m) {
    const size_t have = m->len - m->shown;
    for (size_t k = have < m->longest ? have : m->longest; k; k--)
        for (size_t i = 0; i < m->n; i++)
            if (k < m->list[i].len && !memcmp(m->held + m->len - k, m->list[i].text, k)) return k;
    return 0;
}

gllm_status stop_push(struct stop_matcher *m, const char *s, size_t n, const char **out, size_t *out_len, int *hit, gllm_error *err) {
    *out = "", *out_len = 0, *hit = -1;
    if (m->done || !n) return GLLM_OK;
    if (m->held) memmove(m->held, m->held + m->shown, m->len - m->shown);
    m->len -= m->shown;
    m->shown = 0;
    if (m->len + n > m->room) {
        char *more = realloc(m->held, 2 * (m->len + n));
        if (!more) return err_nomem(err, "text");
        m->held = more;
        m->room = 2 * (m->len + n);
    }
    memcpy(m->held + m->len, s, n);
    size_t end = m->len + 1;
    m->len += n;
    for (; end <= m->len && *hit < 0; end++) *hit = ends_at(m, end);
    if (*hit >= 0) {
        m->done = true;
        m->len = end - 1 - m->list[*hit].len;
        m->shown = m->len;
    } else m->shown = m->len - pending(m);
    *out = m->held;
    *out_len = m->shown;
    return GLLM_OK;
}

void stop_end(struct stop_matcher *m, const char **out, size_t *out_len) {
    *out = m->held ? m->held + m->shown : "";
    *out_len = m->done ? 0 : m->len - m->shown;
    m->shown = m->len;
    m->done = true;
}
