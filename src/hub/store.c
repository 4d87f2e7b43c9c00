#include "hub/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "hub/gguf_name.h"
#include "hub/tree.h"

static const char RECORD[] = ".gllm.json";
enum { LARGEST_RECORD = 64 << 20, LOCK_POLL_MS = 100 };

/* ---- the lock ---- */

static gllm_status lock_error(const struct hub_store *s, gllm_error *err) { return err_set(err, GLLM_IO, "%s: cannot lock: %s", s->lock, strerror(errno)); }

/* Who has the lock says so in it. */
static void tell_waiting(const struct hub_store *s, const struct log *log) {
    char pid[16] = "";
    const ssize_t n = pread(s->lock_fd, pid, sizeof pid - 1, 0);
    pid[n > 0 ? strspn(pid, "0123456789") : 0] = '\0';
    log_line(log, GLLM_LOG_WARN, "%s: another process%s%s fetches this model; waiting for it", s->folder, *pid ? " " : "", pid);
}

/* Another process that ends removes the file: then what we locked is no longer what a third one would lock. */
static bool is_current(const struct hub_store *s) {
    struct stat ours, there;
    return !fstat(s->lock_fd, &ours) && !stat(s->lock, &there) && ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

static gllm_status take_lock(struct hub_store *s, const struct log *log, fetch_tick_fn tick, void *user, gllm_error *err) {
    for (bool told = false;;) {
        if (s->lock_fd < 0) s->lock_fd = open(s->lock, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (s->lock_fd < 0) return lock_error(s, err);
        if (!flock(s->lock_fd, LOCK_EX | LOCK_NB)) {
            if (is_current(s)) break;
            close(s->lock_fd);
            s->lock_fd = -1;
            continue;
        }
        if (errno != EWOULDBLOCK && errno != EINTR) return lock_error(s, err);
        if (!told) tell_waiting(s, log);
        told = true;
        if (tick && !tick(user, NULL)) return err_set(err, GLLM_CANCELED, "fetching was canceled");
        nanosleep(&(struct timespec){.tv_nsec = LOCK_POLL_MS * 1000000L}, NULL);
    }
    if (ftruncate(s->lock_fd, 0) || dprintf(s->lock_fd, "%ld\n", (long)getpid()) < 0) errno = 0; /* it is for people alone */
    return GLLM_OK;
}

/* ---- names ---- */

/* The folder as it is spelled already, else as `name` is. */
static char *spell(const char *models, const char *name) {
    char *found = path_join(models, name);
    DIR *d = found && !path_exists(found) ? opendir(models) : NULL;
    for (struct dirent *e; d && (e = readdir(d));) {
        if (strcasecmp(e->d_name, name)) continue;
        free(found);
        found = path_join(models, e->d_name);
        break;
    }
    if (d) closedir(d);
    return found;
}

static char *hidden(const struct hub_store *s, const char *kind) {
    char *path;
    return asprintf(&path, "%s/.%s.%s", s->models, kind, path_base(s->folder)) < 0 ? NULL : path;
}

static gllm_status make_names(struct hub_store *s, const char *home, const char *name, gllm_error *err) {
    if (!(s->models = path_join(home, "models"))) return err_nomem(err, home);
    TRY(tree_make(s->models, err));
    if (!(s->folder = spell(s->models, name))) return err_nomem(err, home);
    s->parts = hidden(s, "parts"), s->fresh = hidden(s, "new"), s->lock = hidden(s, "lock");
    return s->parts && s->fresh && s->lock ? GLLM_OK : err_nomem(err, home);
}

gllm_status hub_store_open(struct hub_store *s, const char *home, const char *name, const struct log *log, fetch_tick_fn tick, void *user, gllm_error *err) {
    *s = (struct hub_store){.lock_fd = -1};
    TRY(make_names(s, home, name, err));
    const gllm_status status = take_lock(s, log, tick, user, err);
    if (status != GLLM_OK) { /* the file is its holder's: hub_store_close must leave it */
        if (s->lock_fd >= 0) close(s->lock_fd);
        s->lock_fd = -1;
        return status;
    }
    return tree_remove(s->fresh, NULL, err); /* of a process that was killed */
}

void hub_store_close(struct hub_store *s) {
    if (s->lock_fd >= 0) {
        rmdir(s->parts); /* if nothing is in it */
        unlink(s->lock);
        close(s->lock_fd);
    }
    free(s->models);
    free(s->folder);
    free(s->parts);
    free(s->fresh);
    free(s->lock);
    *s = (struct hub_store){.lock_fd = -1};
}

gllm_status hub_store_part(const struct hub_store *s, const struct hub_file *f, const char *commit, char **out, gllm_error *err) {
    int n;
    if (f->sha256 || f->oid) n = asprintf(out, "%s/%s", s->parts, f->sha256 ? f->sha256 : f->oid);
    else if ((n = asprintf(out, "%s/%s-%s", s->parts, commit ? commit : "latest", f->path)) >= 0)
        for (char *p = *out + strlen(s->parts) + 1; *p; p++) *p = *p == '/' ? '\\' : *p; /* no path has one (hub_path_is_safe) */
    return n < 0 ? err_nomem(err, f->path) : GLLM_OK;
}

/* ---- the record ---- */

void hub_store_record(struct hub_listing *out, const char *folder) {
    char *path = path_join(folder, RECORD), *text = NULL;
    size_t len;
    *out = (struct hub_listing){0};
    if (path && file_read(path, LARGEST_RECORD, &text, &len, NULL) == GLLM_OK && hub_listing_parse(out, text, len, RECORD, NULL) != GLLM_OK) hub_listing_free(out);
    free(text);
    free(path);
}

static json_t *file_entry(const struct hub_file *f) {
    json_t *entry = json_pack("{s:s}", "rfilename", f->path);
    if (f->size >= 0) json_object_set_new(entry, "size", json_integer(f->size));
    if (f->oid) json_object_set_new(entry, "blobId", json_string(f->oid));
    if (f->sha256) json_object_set_new(entry, "lfs", json_pack("{s:s}", "sha256", f->sha256));
    return entry;
}

static gllm_status write_text(const char *path, const char *text, gllm_error *err) {
    FILE *f = fopen(path, "we");
    bool bad = !f || fputs(text, f) < 0 || fflush(f) || fsync(fileno(f));
    const int number = errno;
    if (f && fclose(f)) bad = true;
    return bad ? err_set(err, GLLM_IO, "%s: cannot write: %s", path, strerror(number)) : GLLM_OK;
}

static gllm_status write_record(const struct hub_store *s, const struct hub_origin *from, json_t *entries, gllm_error *err) {
    char when[32], *path = path_join(s->fresh, RECORD);
    const time_t now = time(NULL);
    struct tm utc;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    json_t *root = json_pack("{s:s, s:s, s:s*, s:s, s:s, s:O}", "id", from->repo, "revision", from->revision, "sha", from->listing->commit, "endpoint", from->endpoint, "fetched", when, "siblings", entries);
    char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
    gllm_status status = path && text ? write_text(path, text, err) : err_nomem(err, RECORD);
    json_decref(root);
    free(text);
    free(path);
    return status;
}

/* ---- the new folder ---- */

struct install {
    const struct hub_store *store;
    const struct hub_origin *from;
    struct hub_listing before; /* what the present folder's record says */
    json_t *entries;           /* of the new record */
};

/* from -> fresh/path, folders on the way made; *there: something of that name is in the new folder already. */
static gllm_status link_into(const struct install *in, const char *from, const char *path, bool *there, gllm_error *err) {
    char *to = path_join(in->store->fresh, path), *slash = to ? strrchr(to, '/') : NULL;
    if (!to) return err_nomem(err, path);
    gllm_status status = GLLM_OK;
    *slash = '\0';
    status = tree_make(to, err);
    *slash = '/';
    *there = false;
    if (status == GLLM_OK && linkat(AT_FDCWD, from, AT_FDCWD, to, 0)) {
        *there = errno == EEXIST;
        if (!*there) status = err_set(err, GLLM_IO, "%s: cannot link to %s: %s", from, to, strerror(errno));
    }
    free(to);
    return status;
}

static gllm_status add_entry(struct install *in, const struct hub_file *f, gllm_error *err) {
    return json_array_append_new(in->entries, file_entry(f)) ? err_nomem(err, f->path) : GLLM_OK;
}

static gllm_status install_file(struct install *in, const struct hub_file *f, gllm_error *err) {
    char *part;
    bool there;
    TRY(hub_store_part(in->store, f, in->from->listing->commit, &part, err));
    gllm_status status = link_into(in, part, f->path, &there, err);
    free(part);
    return status == GLLM_OK && !there ? add_entry(in, f, err) : status;
}

static bool stays(const struct install *in, const char *path, const struct hub_file *known) {
    if (!known) return strcmp(path, RECORD) != 0;
    const struct hub_file *now = hub_listing_find(in->from->listing, path);
    return (now && hub_file_same(now, known)) || gguf_name_is(path);
}

/* A file of the present folder, into the new one if it stays. */
static gllm_status carry(void *user, const char *path, gllm_error *err) {
    struct install *in = user;
    const struct hub_file *known = hub_listing_find(&in->before, path);
    if (!stays(in, path, known)) return GLLM_OK;
    char *from = path_join(in->store->folder, path);
    bool there;
    gllm_status status = from ? link_into(in, from, path, &there, err) : err_nomem(err, path);
    free(from);
    return status == GLLM_OK && known && !there ? add_entry(in, known, err) : status;
}

/* The new folder takes the present one's place, in one step where the system can. */
static gllm_status exchange(const struct hub_store *s, gllm_error *err) {
    if (!dir_exists(s->folder)) return rename(s->fresh, s->folder) ? err_set(err, GLLM_IO, "%s: cannot rename to %s: %s", s->fresh, s->folder, strerror(errno)) : GLLM_OK;
#ifdef RENAME_EXCHANGE
    if (!renameat2(AT_FDCWD, s->fresh, AT_FDCWD, s->folder, RENAME_EXCHANGE)) return tree_remove(s->fresh, NULL, err);
#endif
    TRY(tree_remove(s->folder, NULL, err)); /* here an end of the machine loses the folder, not its parts */
    return rename(s->fresh, s->folder) ? err_set(err, GLLM_IO, "%s: cannot rename to %s: %s", s->fresh, s->folder, strerror(errno)) : GLLM_OK;
}

static gllm_status make_fresh(struct install *in, const struct hub_file *const *files, size_t n, gllm_error *err) {
    TRY(tree_make(in->store->fresh, err));
    for (size_t i = 0; i < n; i++) TRY(install_file(in, files[i], err));
    TRY(tree_walk(in->store->folder, carry, in, err));
    TRY(write_record(in->store, in->from, in->entries, err));
    return tree_sync(in->store->fresh, err);
}

gllm_status hub_store_install(const struct hub_store *s, const struct hub_origin *from, const struct hub_file *const *files, size_t n, gllm_error *err) {
    struct install in = {.store = s, .from = from, .entries = json_array()};
    hub_store_record(&in.before, s->folder);
    gllm_status status = in.entries ? make_fresh(&in, files, n, err) : err_nomem(err, from->repo);
    if (status == GLLM_OK) status = exchange(s, err);
    if (status == GLLM_OK) status = tree_sync_one(s->models, err);
    if (status == GLLM_OK) status = tree_remove(s->parts, NULL, err);
    json_decref(in.entries);
    hub_listing_free(&in.before);
    return status;
}
