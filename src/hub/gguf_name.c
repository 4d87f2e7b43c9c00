#include "hub/gguf_name.h"

#include <string.h>
#include <strings.h>

#include "base/file.h"

static const char END[] = ".gguf";

/* Where "-00001-of-00003.gguf" begins in a name that ends so; NULL: it does not. */
static const char *split_mark(const char *name) {
    const char *of = strstr(name, "-of-");
    while (of && strstr(of + 1, "-of-")) of = strstr(of + 1, "-of-");
    return of && of - name >= 6 && of[-6] == '-' && strspn(of - 5, "0123456789") == 5 ? of - 6 : NULL;
}

bool gguf_name_is(const char *path) {
    const char *name = path_base(path);
    const size_t n = strlen(name);
    return n >= sizeof END && !strcasecmp(name + n - strlen(END), END) && *name != '.';
}

bool gguf_name_is_model(const char *path) {
    const char *name = path_base(path), *mark = split_mark(name);
    return gguf_name_is(path) && strncasecmp(name, "mmproj", 6) && (!mark || !strncmp(mark, "-00001", 6));
}

bool gguf_name_same_set(const char *first, const char *path) {
    const char *mark = split_mark(first);
    if (!mark) return !strcmp(first, path);
    const size_t head = (size_t)(mark - first) + 1, rest = head + 5; /* up to the number; after it */
    return strlen(path) == strlen(first) && !strncmp(first, path, head) && strspn(path + head, "0123456789") == 5 && !strcmp(first + rest, path + rest);
}

static bool is_exactly(const char *name, const char *choice) {
    const size_t k = strlen(choice);
    return !strcasecmp(name, choice) || (!strncasecmp(name, choice, k) && !strcasecmp(name + k, END));
}
static bool has_word(const char *name, const char *choice) {
    const size_t k = strlen(choice);
    for (const char *p = name; *p; p++)
        if (!strncasecmp(p, choice, k) && (p == name || strchr("-._/", p[-1])) && p[k] && strchr(".-/", p[k])) return true;
    return false;
}

size_t gguf_name_choose(const char *const *names, size_t n, const char *choice, size_t *hits) {
    size_t hit = n;
    *hits = 0;
    for (size_t i = 0; i < n; i++) {
        if (choice && (is_exactly(names[i], choice) || is_exactly(path_base(names[i]), choice))) return *hits = 1, i;
        if (!choice || has_word(names[i], choice)) ++*hits, hit = i;
    }
    return *hits == 1 ? hit : n;
}
