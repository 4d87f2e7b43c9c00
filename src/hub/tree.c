#include "hub/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

enum { DEEPEST = 16 };

gllm_status tree_make(const char *path, gllm_error *err) {
    char *copy = strdup(path);
    if (!copy) return err_nomem(err, path);
    gllm_status status = GLLM_OK;
    for (char *slash = copy; slash && status == GLLM_OK;) {
        slash = strchr(slash + 1, '/');
        if (slash) *slash = '\0';
        if (mkdir(copy, 0777) && errno != EEXIST) status = err_set(err, GLLM_IO, "%s: cannot make this folder: %s", copy, strerror(errno));
        if (slash) *slash = '/';
    }
    free(copy);
    return status == GLLM_OK && !dir_exists(path) ? err_set(err, GLLM_IO, "%s: is no folder", path) : status;
}

struct visit {
    gllm_status (*file)(void *user, const char *root, const char *path, const struct stat *st, gllm_error *err);
    gllm_status (*folder)(void *user, const char *path, gllm_error *err); /* after what is in it */
    void *user;
};

static bool is_dots(const char *name) { return !strcmp(name, ".") || !strcmp(name, ".."); }

/* Everything below root/path; path "" is root itself. */
static gllm_status visit(const struct visit *v, const char *root, const char *path, unsigned depth, gllm_error *err) {
    char *full = path_join(root, path);
    struct stat st;
    if (!full) return err_nomem(err, root);
    gllm_status status = GLLM_OK;
    if (lstat(full, &st)) {
        if (errno != ENOENT) status = err_set(err, GLLM_IO, "%s: %s", full, strerror(errno));
        free(full);
        return status;
    }
    if (!S_ISDIR(st.st_mode)) {
        if (v->file) status = v->file(v->user, root, path, &st, err);
        free(full);
        return status;
    }
    DIR *d = depth < DEEPEST ? opendir(full) : NULL;
    if (!d) status = err_set(err, GLLM_IO, "%s: %s", full, depth < DEEPEST ? strerror(errno) : "folders are too deep");
    for (struct dirent *e; d && status == GLLM_OK && (e = readdir(d));) {
        char *below = is_dots(e->d_name) ? NULL : *path ? path_join(path, e->d_name) : strdup(e->d_name);
        if (below) status = visit(v, root, below, depth + 1, err);
        else if (!is_dots(e->d_name)) status = err_nomem(err, full);
        free(below);
    }
    if (d) closedir(d);
    if (status == GLLM_OK && v->folder) status = v->folder(v->user, full, err);
    free(full);
    return status;
}

struct walk {
    tree_visit_fn visit;
    void *user;
};
static gllm_status walk_file(void *user, const char *root, const char *path, const struct stat *st, gllm_error *err) {
    const struct walk *w = user;
    (void)root, (void)st;
    return w->visit(w->user, path, err);
}
gllm_status tree_walk(const char *dir, tree_visit_fn fn, void *user, gllm_error *err) {
    struct walk w = {fn, user};
    char *inside = path_join(dir, "."); /* of a link that leads to it, too */
    gllm_status status = inside ? visit(&(struct visit){.file = walk_file, .user = &w}, inside, "", 0, err) : err_nomem(err, dir);
    free(inside);
    return status;
}

static gllm_status remove_file(void *user, const char *root, const char *path, const struct stat *st, gllm_error *err) {
    uint64_t *bytes = user;
    char *full = path_join(root, path);
    if (!full) return err_nomem(err, root);
    gllm_status status = unlink(full) && errno != ENOENT ? err_set(err, GLLM_IO, "%s: cannot remove: %s", full, strerror(errno)) : GLLM_OK;
    if (status == GLLM_OK && bytes && S_ISREG(st->st_mode)) *bytes += (uint64_t)st->st_size;
    free(full);
    return status;
}
static gllm_status remove_folder(void *user, const char *path, gllm_error *err) {
    (void)user;
    return rmdir(path) && errno != ENOENT ? err_set(err, GLLM_IO, "%s: cannot remove: %s", path, strerror(errno)) : GLLM_OK;
}
gllm_status tree_remove(const char *path, uint64_t *bytes, gllm_error *err) {
    return visit(&(struct visit){remove_file, remove_folder, bytes}, path, "", 0, err);
}

gllm_status tree_sync_one(const char *path, gllm_error *err) {
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool bad = fd < 0 || (fsync(fd) && errno != EINVAL); /* EINVAL: a file system that knows no such thing */
    gllm_status status = bad ? err_set(err, GLLM_IO, "%s: cannot write: %s", path, strerror(errno)) : GLLM_OK;
    if (fd >= 0) close(fd);
    return status;
}
static gllm_status sync_folder(void *user, const char *path, gllm_error *err) {
    (void)user;
    return tree_sync_one(path, err);
}
gllm_status tree_sync(const char *path, gllm_error *err) { return visit(&(struct visit){.folder = sync_folder}, path, "", 0, err); }
