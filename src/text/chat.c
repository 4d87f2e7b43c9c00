#include "text/chat.h"

#include <stdlib.h>
#include <string.h>

/* Written behind the message to go on with, to find its end in the text; transformers writes the same. */
static const char TAG[] = "CONTINUE_FINAL_MESSAGE_TAG ";

/* ---- which template ---- */

static const struct chat_string *find(const struct chat_source *s, const char *name, size_t len) {
    for (size_t i = 0; i < s->n_templates; i++)
        if (strlen(s->templates[i].name) == len && !memcmp(s->templates[i].name, name, len)) return &s->templates[i];
    return NULL;
}

static gllm_status no_default(const struct chat_source *s, gllm_error *err) {
    char names[200] = "";
    if (!s->n_templates) return err_set(err, GLLM_UNSUPPORTED, "the model's files have no chat template");
    for (size_t i = 0; i < s->n_templates && strlen(names) + strlen(s->templates[i].name) + 2 < sizeof names; i++) {
        strcat(names, " ");
        strcat(names, s->templates[i].name);
    }
    return err_set(err, GLLM_UNSUPPORTED, "the model has chat templates, but no default: name one of%s", names);
}

gllm_status chat_choose(const struct chat_source *s, const struct chat_request *r, struct chat_string *out, gllm_error *err) {
    const struct chat_string *t = r->template ? find(s, r->template, r->template_len) : NULL;
    if (r->template && !t) {
        *out = (struct chat_string){"chat template", r->template, r->template_len};
        return GLLM_OK;
    }
    if (!t && r->tools) t = find(s, "tool_use", 8);
    if (!t) t = find(s, "default", 7);
    if (!t) return no_default(s, err);
    *out = *t;
    out->name = "chat template";
    return GLLM_OK;
}

/* ---- messages ---- */

static bool is_role(const char *key, const char *text, size_t len) {
    static const char *const ROLES[] = {"system", "user", "assistant", "tool", "developer", "function", "observation", "ipython", "model", "tool_call", "tool_response", "context"};
    for (unsigned i = 0; i < sizeof ROLES / sizeof *ROLES; i++)
        if (!strcmp(key, "role") && strlen(ROLES[i]) == len && !memcmp(ROLES[i], text, len)) return true;
    return false;
}

/* A copy without the keys that are null. Reasoning goes by three names: a template finds it under the one that it reads. */
static json_t *plain_message(const json_t *message) {
    static const char *const REASONING[] = {"reasoning_content", "thinking", "reasoning"};
    json_t *out = json_object(), *value, *reasoning = NULL;
    const char *key;
    for (unsigned i = 0; i < 3 && !reasoning; i++) {
        reasoning = json_object_get(message, REASONING[i]);
        if (json_is_null(reasoning)) reasoning = NULL;
    }
    if (reasoning && out) json_object_set(out, "thinking", reasoning);
    json_object_foreach((json_t *)(uintptr_t)message, key, value)
        if (out && !json_is_null(value)) json_object_set(out, key, value);
    if (reasoning && out) json_object_set(out, "reasoning_content", reasoning);
    return out;
}

static gllm_status plain_messages(const json_t *messages, json_t *out, gllm_error *err) {
    if (!json_array_size(messages)) return err_set(err, GLLM_INVALID, "found no messages, expected at least one");
    for (size_t i = 0; i < json_array_size(messages); i++) {
        const json_t *m = json_array_get(messages, i);
        if (!json_is_object(m)) return err_set(err, GLLM_INVALID, "message %zu: found %s, expected an object", i, json_kind(m));
        if (!json_is_string(json_object_get(m, "role"))) return err_set(err, GLLM_INVALID, "message %zu: role: found %s, expected a string", i, json_kind(json_object_get(m, "role")));
        if (json_array_append_new(out, plain_message(m))) return err_nomem(err, "messages");
    }
    return GLLM_OK;
}

/* object[key] with the tag behind it. */
static gllm_status tag_text(json_t *object, const char *key, gllm_error *err) {
    const json_t *old = json_object_get(object, key);
    const size_t n = json_string_length(old);
    char *text = malloc(n + sizeof TAG);
    if (!text) return err_nomem(err, "messages");
    memcpy(text, json_string_value(old), n);
    memcpy(text + n, TAG, sizeof TAG);
    int failed = json_object_set_new(object, key, json_stringn(text, n + sizeof TAG - 1));
    free(text);
    return failed ? err_nomem(err, "messages") : GLLM_OK;
}

/* Puts the tag behind the last message's text, or the last part of it that is text. */
static gllm_status tag_last(json_t *messages, gllm_error *err) {
    const size_t at = json_array_size(messages) - 1;
    json_t *last = json_array_get(messages, at), *content = json_object_get(last, "content");
    if (json_is_string(content)) return tag_text(last, "content", err);
    for (size_t i = json_array_size(content); i-- > 0;) {
        if (!json_is_string(json_object_get(json_array_get(content, i), "text"))) continue;
        json_t *copy = json_deep_copy(content);
        if (json_object_set_new(last, "content", copy)) return err_nomem(err, "messages");
        return tag_text(json_array_get(copy, i), "text", err);
    }
    return err_set(err, GLLM_INVALID, "message %zu: found no text to continue", at);
}

/* ---- the text ---- */

static size_t find_last(const struct jinja_text *t, const char *what, size_t n) {
    for (size_t i = t->len + 1; i-- > 0;)
        if (n <= t->len - i && !memcmp(t->data + i, what, n)) return i;
    return SIZE_MAX;
}

static void cut(struct jinja_text *t, size_t len) {
    t->len = len;
    t->data[len] = '\0';
    while (t->n_caller && t->caller[t->n_caller - 1].at >= len) t->n_caller--;
    if (t->n_caller) {
        struct text_span *last = &t->caller[t->n_caller - 1];
        if (last->len > len - last->at) last->len = len - last->at;
    }
}

/* Cuts at the tag. A template that trims a message's end took the tag's blank with it: then the text ends without blanks too. */
static gllm_status cut_at_tag(struct jinja_text *t, gllm_error *err) {
    const size_t n = sizeof TAG - 2, at = find_last(t, TAG, n);
    if (at == SIZE_MAX) return err_set(err, GLLM_INVALID, "the chat template does not show the last message as it is: it cannot be continued");
    const bool whole = at + n < t->len && t->data[at + n] == ' ';
    cut(t, at);
    while (!whole && t->len && strchr(" \t\n\v\f\r", t->data[t->len - 1])) cut(t, t->len - 1);
    return GLLM_OK;
}

enum { N_FIXED = 4 }; /* messages, tools, documents, add_generation_prompt */

static size_t fill_vars(const struct chat_source *s, const struct chat_request *r, const json_t *messages, json_t **strings, struct jinja_var *vars) {
    size_t n = 0;
    for (size_t i = 0; i < s->n_tokens; i++) {
        strings[i] = json_stringn(s->tokens[i].text, s->tokens[i].len);
        if (strings[i]) vars[n++] = (struct jinja_var){s->tokens[i].name, strings[i], true}; /* not UTF-8: no template can show it */
    }
    vars[n++] = (struct jinja_var){"documents", json_null(), true};
    vars[n++] = (struct jinja_var){"add_generation_prompt", r->continue_final ? json_false() : json_true(), true};
    const char *key;
    json_t *value;
    if (r->args) json_object_foreach((json_t *)(uintptr_t)r->args, key, value) vars[n++] = (struct jinja_var){key, value, false};
    vars[n++] = (struct jinja_var){"messages", messages, false};
    vars[n++] = (struct jinja_var){"tools", r->tools ? r->tools : json_null(), !r->tools};
    return n;
}

static gllm_status render(const struct chat_source *s, const struct chat_request *r, const struct jinja *t, json_t *messages, struct jinja_text *out, gllm_error *err) {
    TRY(plain_messages(r->messages, messages, err));
    if (r->continue_final) TRY(tag_last(messages, err));
    json_t **strings = calloc(s->n_tokens + 1, sizeof *strings);
    struct jinja_var *vars = calloc(s->n_tokens + json_object_size(r->args) + N_FIXED, sizeof *vars);
    gllm_status status = strings && vars ? GLLM_OK : err_nomem(err, "chat template");
    if (status == GLLM_OK) {
        const struct jinja_input in = {.vars = vars, .n_vars = fill_vars(s, r, messages, strings, vars), .trust = is_role, .now = r->now};
        status = jinja_render(t, &in, out, err);
    }
    for (size_t i = 0; strings && i < s->n_tokens; i++) json_decref(strings[i]);
    free(strings);
    free(vars);
    return status;
}

gllm_status chat_render(const struct chat_source *source, const struct chat_request *r, struct jinja_text *out, gllm_error *err) {
    struct chat_string chosen = {0};
    struct jinja *t;
    *out = (struct jinja_text){0};
    TRY(chat_choose(source, r, &chosen, err));
    TRY(jinja_open(&t, chosen.text, chosen.len, chosen.name, err));
    json_t *messages = json_array();
    gllm_status status = messages ? render(source, r, t, messages, out, err) : err_nomem(err, "messages");
    if (status == GLLM_OK && r->continue_final) status = cut_at_tag(out, err);
    json_decref(messages);
    jinja_close(t);
    if (status != GLLM_OK) jinja_text_free(out);
    return status;
}
