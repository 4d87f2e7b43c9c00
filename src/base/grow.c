#include "base/grow.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

bool grow_room(void **data, size_t *capacity, size_t need, size_t size) {
    if (need <= *capacity) return true;
    size_t n = *capacity ? *capacity : 64;
    while (n < need) {
        if (n > SIZE_MAX / 2 / size) return false;
        n *= 2;
    }
    void *p = realloc(*data, n * size);
    if (!p) return false;
    *data = p;
    *capacity = n;
    return true;
}

bool grow_text(char **data, size_t *len, size_t *capacity, const char *s, size_t n) {
    void *room = *data;
    if (n >= SIZE_MAX - *len || !grow_room(&room, capacity, *len + n + 1, 1)) return false;
    *data = room;
    if (n) memcpy(*data + *len, s, n);
    *len += n;
    (*data)[*len] = '\0';
    return true;
}
