/* commands.c - what a conversation takes beside messages: /help, /clear, /system, /set … */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

static char *trim(char *s) {
    s += strspn(s, " \t");
    size_t n = strlen(s);
    while (n && strchr(" \t\r\n", s[n - 1])) s[--n] = '\0';
    return s;
}

static size_t last_of(const struct talk *t, const char *role) { /* t->count: none */
    for (size_t i = t->count; i-- > 0;)
        if (!strcmp(t->list[i].role, role)) return i;
    return t->count;
}

static size_t turns(const struct talk *t, size_t from, size_t to) {
    size_t n = 0;
    for (size_t i = from; i < to; i++) n += !strcmp(t->list[i].role, "user");
    return n;
}

/* ---- /set, /show ---- */

/* What may change while a conversation goes on. */
static bool settable(const struct cli_option *o) {
    static const char *const NAMES[] = {"max-tokens", "temperature", "stop", "template-arg"};
    if (o->group == 's') return true;
    for (unsigned i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
        if (o->group == 'r' && !strcmp(o->name, NAMES[i])) return true;
    return false;
}

static const struct cli_option *find_settable(const char *name) {
    const char *names[64];
    size_t n = 0;
    for (const struct cli_option *o = cli_table; o->name; o++) {
        if (!settable(o)) continue;
        if (!strcmp(o->name, name)) return o;
        if (n + 1 < sizeof names / sizeof *names) names[n++] = o->name;
    }
    names[n] = NULL;
    const char *hint = cli_nearest(name, names);
    if (hint) cli_error("/set: no setting \"%s\"; did you mean %s?", name, hint);
    else cli_error("/set: no setting \"%s\"; /set alone lists them", name);
    return NULL;
}

/* The option's value, or "" where it was never given. */
static void value_text(const struct cli_option *o, const struct cli_options *from, char *out, size_t size) {
    const void *field = (const char *)from + o->offset;
    *out = '\0';
    if (o->kind == CLI_NUMBER && *(const uint32_t *)field) snprintf(out, size, "%u", *(const uint32_t *)field);
    if ((o->kind == CLI_SHARE || o->kind == CLI_SIGNED) && ((const struct cli_share *)field)->given) snprintf(out, size, "%g", ((const struct cli_share *)field)->value);
    if (o->kind != CLI_LIST) return;
    const struct cli_list *l = field;
    for (size_t i = 0, at = 0; i < l->count && at < size; i++) at += (size_t)snprintf(out + at, size - at, "%s%s", i ? "  " : "", l->items[i]);
}

static void list_settings(const struct talk *t, bool all) {
    for (const struct cli_option *o = cli_table; o->name; o++) {
        char value[256], text[256];
        if (!settable(o)) continue;
        value_text(o, &t->options, value, sizeof value);
        if (!all && !*value) continue;
        cli_option_text(o, text, sizeof text);
        if (all) fprintf(t->out, "  %-20s %-8s %s\n", o->name, *value ? value : "-", text);
        else fprintf(t->out, "  %-12s  %s\n", o->name, value);
    }
}

static void set(struct talk *t, char *rest, bool *leave) {
    (void)leave;
    char *value = rest + strcspn(rest, " \t");
    if (*value) *value++ = '\0';
    value = trim(value);
    if (!*rest) {
        list_settings(t, true);
        return;
    }
    const struct cli_option *o = find_settable(rest);
    const char *kept = NULL;
    struct cli_request q;
    if (!o || (*value && talk_keep(t, value, &kept)) || cli_option_set(o, kept, &t->options)) return;
    if (cli_request_open(&q, &t->options) && o->kind == CLI_LIST && kept) ((struct cli_list *)((char *)&t->options + o->offset))->count--;
    cli_request_close(&q);
}

static void show(struct talk *t, char *rest, bool *leave) {
    (void)rest, (void)leave;
    const size_t start = talk_start(t), out = t->from > start ? turns(t, start, t->from) : 0;
    fprintf(t->out, "  %-12s  %s\n", "model", t->model);
    fprintf(t->out, "  %-12s  %u of %u tokens used\n", "context", t->used, t->n_ctx);
    fprintf(t->out, "  %-12s  %zu", "turns", turns(t, start, t->count));
    if (out) fprintf(t->out, ", the oldest %zu left out", out);
    fputc('\n', t->out);
    if (start) fprintf(t->out, "  %-12s  %s\n", "system", t->list[0].content);
    list_settings(t, false);
}

/* ---- the conversation itself ---- */

static void clear(struct talk *t, char *rest, bool *leave) {
    (void)rest, (void)leave;
    talk_cut(t, talk_start(t));
    t->used = 0;
    fputs("The conversation is forgotten.\n", t->out);
}

static void set_system(struct talk *t, char *rest, bool *leave) {
    (void)leave;
    if (*rest) talk_system(t, strcmp(rest, "\"\"") ? rest : "");
    else fprintf(t->out, "%s\n", talk_start(t) ? t->list[0].content : "There is no system message.");
}

static void undo(struct talk *t, char *rest, bool *leave) {
    (void)rest, (void)leave;
    const size_t at = last_of(t, "user");
    if (at == t->count) {
        cli_error("/undo: there is no turn to take back");
        return;
    }
    talk_cut(t, at);
    fprintf(t->out, "Taken back; %zu turn%s left.\n", turns(t, 0, at), turns(t, 0, at) == 1 ? " is" : "s are");
}

static void retry(struct talk *t, char *rest, bool *leave) {
    (void)rest, (void)leave;
    const size_t at = last_of(t, "user");
    if (at == t->count) {
        cli_error("/retry: there is no question yet");
        return;
    }
    if (!(t->options.temperature.value > 0)) cli_note(&t->options, "at temperature 0 the answer is the same again; /set temperature 0.8 changes that");
    struct talk_message old = {0};
    const bool had = at + 1 < t->count;
    if (had) old = t->list[at + 1], t->list[at + 1] = (struct talk_message){0};
    talk_cut(t, at + 1);
    t->tries++;
    if (!talk_answer(t) || !had) {
        free(old.role), free(old.content), free(old.extra);
        return;
    }
    t->list[t->count++] = old; /* the room is there: the old answer stood in it */
}

/* ---- /save, /load ---- */

static json_t *conversation_json(const struct talk *t) {
    json_t *list = json_array();
    for (size_t i = 0; i < t->count; i++) {
        const struct talk_message *m = &t->list[i];
        json_t *o = m->extra ? json_loads(m->extra, 0, NULL) : json_object();
        if (m->len || !m->extra) json_object_set_new(o, "content", json_stringn(m->content, m->len));
        json_object_set_new(o, "role", json_string(m->role));
        if (m->partial) json_object_set_new(o, "partial", json_true());
        json_array_append_new(list, o);
    }
    return json_pack("{s:s, s:o}", "model", t->model, "messages", list);
}

/* The list of messages in a file of /save, or a bare list; NULL after telling what is wrong (silent: without). */
static json_t *read_conversation(const char *path, bool silent) {
    json_error_t e;
    json_t *whole = json_load_file(path, 0, &e), *list = json_is_array(whole) ? whole : json_object_get(whole, "messages");
    const char *why = !whole ? e.text : !json_is_array(list) ? "found no list \"messages\"" : NULL;
    for (size_t i = 0; !why && i < json_array_size(list); i++) {
        const json_t *m = json_array_get(list, i), *content = json_object_get(m, "content");
        if (!json_is_string(json_object_get(m, "role"))) why = "a message has no role";
        else if (content && !json_is_string(content) && !json_is_null(content) && !json_is_array(content)) why = "a message's content is neither text nor a list of parts";
    }
    if (why && !silent) cli_error("%s: %s", path, why);
    list = why ? NULL : json_incref(list);
    json_decref(whole);
    return list;
}

static void save(struct talk *t, char *path, bool *leave) {
    (void)leave;
    if (!*path) {
        cli_error("/save: expected a file's name");
        return;
    }
    json_t *other = access(path, F_OK) == 0 ? read_conversation(path, true) : json_null();
    json_t *j = conversation_json(t);
    errno = 0;
    if (!other) cli_error("/save: %s exists and holds no conversation: it stays as it is", path);
    else if (!j || json_dump_file(j, path, JSON_INDENT(1)) != 0) cli_error("/save: cannot write %s: %s", path, errno ? strerror(errno) : "not UTF-8");
    else fprintf(t->out, "Saved %zu messages.\n", t->count);
    json_decref(other);
    json_decref(j);
}

static int add_json(struct talk *t, const json_t *m) {
    const json_t *content = json_object_get(m, "content");
    const char *role = json_string_value(json_object_get(m, "role"));
    json_t *rest = json_copy((json_t *)(uintptr_t)m);
    json_object_del(rest, "role");
    if (!json_is_array(content)) json_object_del(rest, "content");
    const bool partial = json_is_true(json_object_get(rest, "partial"));
    json_object_del(rest, "partial");
    char *extra = json_object_size(rest) ? json_dumps(rest, JSON_COMPACT) : NULL;
    int status = talk_add(t, role, json_is_string(content) ? json_string_value(content) : "", json_string_length(content), extra);
    if (!status) t->list[t->count - 1].partial = partial;
    free(extra);
    json_decref(rest);
    return status;
}

static void load(struct talk *t, char *path, bool *leave) {
    (void)leave;
    if (!*path) {
        cli_error("/load: expected a file's name");
        return;
    }
    json_t *list = read_conversation(path, false);
    if (!list) return;
    talk_cut(t, 0);
    t->used = 0;
    int status = EXIT_OK;
    for (size_t i = 0; !status && i < json_array_size(list); i++) status = add_json(t, json_array_get(list, i));
    if (!status) fprintf(t->out, "Loaded %zu messages.\n", t->count);
    json_decref(list);
}

/* ---- the table ---- */

static void bye(struct talk *t, char *rest, bool *leave) {
    (void)t, (void)rest;
    *leave = true;
}
static void help(struct talk *t, char *rest, bool *leave);

static const struct command {
    const char *name, *value, *help;
    void (*run)(struct talk *t, char *rest, bool *leave);
} COMMANDS[] = {
    {"/help", "", "this list", help},
    {"/clear", "", "forget the conversation; the system message stays", clear},
    {"/system", " [TEXT]", "set the system message, or show it; \"\" takes it away", set_system},
    {"/set", " [KEY [VALUE]]", "change a setting, take it back, or list all", set},
    {"/show", "", "model, tokens used, settings", show},
    {"/retry", "", "answer the last question again", retry},
    {"/undo", "", "take back the last question and its answer", undo},
    {"/save", " FILE", "write the conversation as JSON", save},
    {"/load", " FILE", "go on with one that was saved", load},
    {"/bye", "", "leave (as Ctrl-D)", bye},
};
enum { N_COMMANDS = sizeof COMMANDS / sizeof *COMMANDS };

static void help(struct talk *t, char *rest, bool *leave) {
    (void)rest, (void)leave;
    for (unsigned i = 0; i < N_COMMANDS; i++) {
        char left[40];
        snprintf(left, sizeof left, "%s%s", COMMANDS[i].name, COMMANDS[i].value);
        fprintf(t->out, "  %-21s  %s\n", left, COMMANDS[i].help);
    }
    fputs("A line that ends in \\ goes on with the next; \"\"\" opens and closes several lines.\n"
          "Ctrl-C stops an answer, Ctrl-D leaves; up and down walk through what was typed before.\n",
          t->out);
}

void talk_command(struct talk *t, char *line, bool *leave) {
    const char *names[N_COMMANDS + 1] = {0};
    char *rest = line + strcspn(line, " \t");
    if (*rest) *rest++ = '\0';
    rest = trim(rest);
    for (unsigned i = 0; i < N_COMMANDS; i++) {
        names[i] = COMMANDS[i].name;
        if (strcmp(line, names[i])) continue;
        COMMANDS[i].run(t, rest, leave);
        fflush(t->out);
        return;
    }
    const char *hint = cli_nearest(line, names);
    if (hint) cli_error("unknown command %s; did you mean %s?", line, hint);
    else cli_error("unknown command %s; /help lists them (a message that begins with / has a space before it)", line);
}
