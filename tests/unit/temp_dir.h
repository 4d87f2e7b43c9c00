/* temp_dir.h - a folder of this test's own, its files, and its end. Included once by a test that needs files. */
#ifndef GLLM_TESTS_TEMP_DIR_H
#define GLLM_TESTS_TEMP_DIR_H
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char temp_dir[64];

static inline const char *temp_path(const char *name) { /* valid until the fourth call from now */
    static char paths[4][512];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", temp_dir, name);
    return path;
}

/* Writes temp_dir/name; folders on the way are made. */
static inline void temp_write(const char *name, const void *data, size_t n) {
    const char *path = temp_path(name);
    for (char *slash = strchr(path + strlen(temp_dir) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, n, f) != n || fclose(f)) fail_msg("cannot write %s", path);
}
static inline void temp_text(const char *name, const char *text) { temp_write(name, text, strlen(text)); }

static inline int temp_remove_one(const char *path, const struct stat *st, int flag, struct FTW *at) {
    (void)st, (void)flag, (void)at;
    return remove(path);
}
static inline int temp_open(void **state) { /* a cmocka set-up function */
    (void)state;
    strcpy(temp_dir, "/tmp/gllm-test-XXXXXX");
    return mkdtemp(temp_dir) ? 0 : -1;
}
static inline int temp_close(void **state) { /* its tear-down */
    (void)state;
    return nftw(temp_dir, temp_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}
#endif
