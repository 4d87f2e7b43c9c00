#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Opens a regular file and tells its size. Returns the descriptor or -1. */
static int open_regular(const char *path, uint64_t *size, gllm_error *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        err_set(err, errno == ENOENT || errno == ENOTDIR ? GLLM_NOT_FOUND : GLLM_IO, "%s: %s", path, strerror(errno));
        return -1;
    }
    struct stat st;
    if (fstat(fd, &st) != 0) err_set(err, GLLM_IO, "%s: %s", path, strerror(errno));
    else if (!S_ISREG(st.st_mode)) err_set(err, GLLM_IO, "%s: %s, expected a file", path, S_ISDIR(st.st_mode) ? "is a directory" : "is not a regular file");
    else {
        *size = (uint64_t)st.st_size;
        return fd;
    }
    close(fd);
    return -1;
}

gllm_status file_map_open(struct file_map *m, const char *path, gllm_error *err) {
    *m = (struct file_map){0};
    gllm_error local;
    if (!err) err = &local;
    uint64_t size = 0;
    int fd = open_regular(path, &size, err);
    if (fd < 0) return err->status;
    if (size > SIZE_MAX) {
        close(fd);
        return err_set(err, GLLM_IO, "%s: %llu bytes do not fit this machine's address space", path, (unsigned long long)size);
    }
    if (size) {
        void *p = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED) {
            int e = errno;
            close(fd);
            return err_set(err, GLLM_IO, "%s: cannot map: %s", path, strerror(e));
        }
        m->data = p;
        m->size = size;
    }
    close(fd);
    return GLLM_OK;
}

void file_map_close(struct file_map *m) {
    if (m && m->data) munmap((void *)(uintptr_t)m->data, (size_t)m->size);
    if (m) *m = (struct file_map){0};
}

void file_map_release(const void *address, uint64_t len) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = ((uintptr_t)address + page - 1) / page * page, to = ((uintptr_t)address + (uintptr_t)len) / page * page;
    if (to > from) madvise((void *)from, to - from, MADV_DONTNEED);
}

gllm_status file_read(const char *path, uint64_t limit, char **out, size_t *len, gllm_error *err) {
    *out = NULL;
    gllm_error local;
    if (!err) err = &local;
    uint64_t size = 0;
    int fd = open_regular(path, &size, err);
    if (fd < 0) return err->status;
    gllm_status status = GLLM_OK;
    char *text = NULL;
    size_t got = 0;
    if (size > limit) {
        status = err_set(err, GLLM_FORMAT, "%s: %llu bytes, expected at most %llu", path, (unsigned long long)size, (unsigned long long)limit);
        goto done;
    }
    text = malloc((size_t)size + 1);
    if (!text) {
        status = err_nomem(err, path);
        goto done;
    }
    while (got < size) {
        ssize_t n = read(fd, text + got, (size_t)size - got);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            status = err_set(err, GLLM_IO, "%s: %s", path, strerror(errno));
            goto done;
        }
        if (n == 0) break; /* it shrank while we read: what is there is what we parse */
        got += (size_t)n;
    }
    text[got] = '\0';
    *out = text;
    *len = got;
    text = NULL;
done:
    free(text);
    close(fd);
    return status;
}

bool file_exists(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

bool dir_exists(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool path_exists(const char *path) {
    struct stat st;
    return lstat(path, &st) == 0;
}

char *path_join(const char *dir, const char *name) {
    size_t d = strlen(dir), n = strlen(name);
    while (d > 1 && dir[d - 1] == '/') d--;
    bool slash = d > 0 && n > 0 && dir[d - 1] != '/';
    char *p = malloc(d + n + 2);
    if (!p) return NULL;
    memcpy(p, dir, d);
    if (slash) p[d++] = '/';
    memcpy(p + d, name, n + 1);
    return p;
}

const char *path_base(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}
