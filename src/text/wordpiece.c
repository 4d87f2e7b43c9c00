/* wordpiece.c - greedy, longest first: each next piece is the longest entry that the rest of the word begins with. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "text/models.h"

static bool cut(const struct wordpiece *m, const struct vocab *v, const char *word, size_t len, struct encoding *out) {
    uint32_t first = out->count, id;
    char local[512], *joined = local;
    if (m->prefix_len + v->longest > sizeof local && !(joined = malloc(m->prefix_len + v->longest))) return false;
    memcpy(joined, m->prefix, m->prefix_len);
    bool ok = true, known = true;
    for (size_t at = 0; at < len && known && ok;) {
        size_t skip = at ? m->prefix_len : 0, n = len - at, most = v->longest > skip ? v->longest - skip : 0;
        n = n < most ? n : utf8_cut(word + at, n, most);
        const char *text = word + at;
        if (at) {
            memcpy(joined + m->prefix_len, text, n);
            text = joined;
        }
        known = false;
        while (n && !(known = map_get(&v->ids, text, skip + n, &id))) n = utf8_cut(word + at, n, n - 1);
        if (known) ok = encoding_push(out, (int32_t)id, 0, false);
        at += n;
    }
    if (!known) {
        out->count = first;
        ok = encoding_push(out, m->unk, 0, false);
    }
    if (joined != local) free(joined);
    return ok;
}

bool wordpiece_run(const struct wordpiece *m, const struct vocab *v, const char *word, size_t len, struct encoding *out) {
    if (len > m->max_chars && utf8_count(word, len) > m->max_chars) return encoding_push(out, m->unk, 0, false);
    return cut(m, v, word, len, out);
}
