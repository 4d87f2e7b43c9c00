/* keys.c - the keys that a client may show: a file with one a line; what follows a # at a line's beginning, and empty lines, are not keys. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"

struct keys {
    size_t count;
    unsigned char list[][KEY_BYTES]; /* [count] padded with zeros */
};

static struct keys *add(struct keys *k, const char *key, size_t n) {
    struct keys *more = realloc(k, sizeof *k + (k->count + 1) * KEY_BYTES);
    if (!more) return NULL;
    memset(more->list[more->count], 0, KEY_BYTES);
    memcpy(more->list[more->count++], key, n);
    return more;
}

struct keys *keys_read(const char *path, char *why, size_t size) {
    char line[KEY_BYTES + 2];
    struct keys *k = calloc(1, sizeof *k);
    FILE *f = k ? fopen(path, "re") : NULL;
    if (!f) {
        snprintf(why, size, "cannot read the keys of %s: %s", path, strerror(k ? errno : ENOMEM));
        free(k);
        return NULL;
    }
    *why = '\0';
    for (unsigned number = 1; !*why && fgets(line, sizeof line, f); number++) {
        const size_t n = strcspn(line, "\r\n");
        if (line[0] == '#') /* all of it, however long */
            for (int c = strchr(line, '\n') ? '\n' : 0; c != '\n' && c != EOF;) c = fgetc(f);
        if (!n || line[0] == '#') continue;
        if (n >= KEY_BYTES || strcspn(line, " \t") < n) snprintf(why, size, "%s, line %u: expected a key of 1 to %d characters without spaces", path, number, KEY_BYTES - 1);
        else {
            struct keys *more = add(k, line, n);
            if (more) k = more;
            else snprintf(why, size, "%s: out of memory", path);
        }
    }
    if (!*why && ferror(f)) snprintf(why, size, "cannot read the keys of %s", path);
    if (!*why && !k->count) snprintf(why, size, "%s: found no key, expected one a line", path);
    fclose(f);
    explicit_bzero(line, sizeof line);
    if (!*why) return k;
    keys_free(k);
    return NULL;
}

int keys_find(const struct keys *k, const char *given, size_t len) {
    unsigned char padded[KEY_BYTES] = {0};
    int found = -1;
    if (len >= KEY_BYTES) return -1;
    memcpy(padded, given, len);
    for (size_t i = 0; i < k->count; i++) {
        volatile unsigned char differ = 0;
        for (size_t b = 0; b < KEY_BYTES; b++) differ = (unsigned char)(differ | (padded[b] ^ k->list[i][b]));
        if (!differ) found = (int)i;
    }
    return found;
}

size_t keys_count(const struct keys *k) { return k ? k->count : 0; }
void keys_free(struct keys *k) {
    if (k) explicit_bzero(k->list, k->count * KEY_BYTES);
    free(k);
}
