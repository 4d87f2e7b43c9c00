/* messages.c - conversations, tools and forms of answers in a request's body, as the library takes them. */
#include <stdlib.h>
#include <string.h>

#include "generate.h"

static bool wrong(struct generation *g, const char *param, const char *format, const char *detail) {
    reply_error(g->q, 400, "invalid_value", param, format, detail);
    return false;
}

/* One part of a content; *text NULL: it is no text, and that is answered. */
static bool part_text(struct generation *g, const json_t *part, const char *param, const char **text, size_t *len) {
    const char *type = json_string_value(json_object_get(part, "type"));
    const json_t *v = json_object_get(part, "text");
    if (json_is_string(part)) v = part;
    else if (!type || (strcmp(type, "text") && strcmp(type, "input_text") && strcmp(type, "output_text")))
        return wrong(g, param, "content: a part of type \"%.40s\" is not supported: text alone is read", type ? type : "?");
    if (!json_is_string(v)) return wrong(g, param, "content: a part of type \"%.40s\" has no text", type);
    *text = json_string_value(v), *len = json_string_length(v);
    return true;
}

bool content_read(struct generation *g, const json_t *v, const char *param, gllm_str *out) {
    const json_t *part;
    size_t i, len = 0, n;
    const char *text;
    if (json_is_string(v)) {
        *out = (gllm_str){json_string_value(v), json_string_length(v)};
        return true;
    }
    if (!json_is_array(v)) return wrong(g, param, "content: expected a string or a list of text parts%s", "");
    json_array_foreach(v, i, part) {
        if (!part_text(g, part, param, &text, &n)) return false;
        len += n + 1;
    }
    char *all = generation_keep(g, malloc(len + 1));
    if (!all) return false;
    size_t at = 0;
    json_array_foreach(v, i, part) { /* lines of one text, as others join them */
        if (!part_text(g, part, param, &text, &n)) return false;
        if (i) all[at++] = '\n';
        memcpy(all + at, text, n);
        at += n;
    }
    *out = (gllm_str){all, at};
    return true;
}

/* Calls of earlier answers: arguments that are a text of JSON become what it says, as templates want them. */
static json_t *calls_copy(const json_t *calls) {
    json_t *copy = json_deep_copy(calls), *call;
    size_t i;
    json_array_foreach(copy, i, call) {
        json_t *function = json_object_get(call, "function"), *arguments = json_object_get(function, "arguments");
        json_t *v = json_is_string(arguments) ? json_loadb(json_string_value(arguments), json_string_length(arguments), JSON_ALLOW_NUL, NULL) : NULL;
        if (json_is_object(v)) json_object_set_new(function, "arguments", v);
        else json_decref(v);
    }
    return copy;
}

static bool extra_read(struct generation *g, const json_t *m, const char **out) {
    json_t *extra = json_object(), *value;
    const char *key;
    json_object_foreach((json_t *)(uintptr_t)m, key, value) {
        if (!strcmp(key, "role") || !strcmp(key, "content") || json_is_null(value)) continue;
        if (!strcmp(key, "tool_calls")) json_object_set_new(extra, key, calls_copy(value));
        else if (!strcmp(key, "reasoning") || !strcmp(key, "thinking")) json_object_set(extra, "reasoning_content", value);
        else json_object_set(extra, key, value);
    }
    *out = NULL;
    if (!json_object_size(extra)) return json_decref(extra), true;
    return (*out = generation_hold(g, extra)) != NULL;
}

static bool message_read(struct generation *g, const json_t *m, const char *param, gllm_message *out) {
    const json_t *content = json_object_get(m, "content");
    *out = (gllm_message){0};
    if (!json_is_object(m)) return wrong(g, param, "%s: expected objects with role and content", param);
    if (!field_string(g->q, m, "role", &out->role)) return false;
    if (!out->role) return wrong(g, param, "%s: a message has no role", param);
    if (!strcmp(out->role, "developer")) out->role = "system"; /* the newer name of the same */
    if (content && !json_is_null(content)) {
        if (!content_read(g, content, param, &out->content)) return false;
    } else if (!json_object_get(m, "tool_calls")) return wrong(g, param, "a message of role \"%.40s\" has no content", out->role);
    if (json_array_size(json_object_get(m, "images"))) return wrong(g, "images", "images are not supported%s", "");
    return extra_read(g, m, &out->extra);
}

bool messages_set(struct generation *g, size_t n, const gllm_message *messages) {
    gllm_message *list = generation_keep(g, malloc((n + 1) * sizeof *list));
    if (!list) return false;
    if (n) memcpy(list, messages, n * sizeof *list);
    g->r.messages = list;
    g->r.n_messages = n;
    return true;
}

bool messages_read(struct generation *g, const json_t *list, const char *param) {
    const size_t n = json_array_size(list);
    if (!list || json_is_null(list)) return field_missing(g->q, param, "a list of messages");
    if (!json_is_array(list) || !n) return wrong(g, param, "%s: expected a list of at least one message", param);
    gllm_message *messages = generation_keep(g, malloc(n * sizeof *messages));
    if (!messages) return false;
    for (size_t i = 0; i < n; i++)
        if (!message_read(g, json_array_get(list, i), param, &messages[i])) return false;
    g->r.messages = messages;
    g->r.n_messages = n;
    return true;
}

/* ---- tools ---- */
bool tools_read(struct generation *g, const json_t *list, bool flat) {
    const json_t *tool;
    size_t i;
    if (!list || json_is_null(list) || (json_is_array(list) && !json_array_size(list))) return true;
    if (!json_is_array(list)) return wrong(g, "tools", "tools: expected a list of functions%s", "");
    json_t *all = json_array();
    json_array_foreach(list, i, tool) {
        const char *type = json_string_value(json_object_get(tool, "type"));
        const json_t *function = flat ? tool : json_object_get(tool, "function"), *name = json_object_get(function, "name");
        if ((type && strcmp(type, "function")) || !json_is_string(name)) {
            json_decref(all);
            return wrong(g, "tools", type && strcmp(type, "function") ? "tools: a tool of type \"%.40s\" is not supported: functions alone are" : "tools: a function has no name%s", type && strcmp(type, "function") ? type : "");
        }
        json_t *copy = json_copy((json_t *)(uintptr_t)function);
        if (flat) json_object_del(copy, "type");
        json_object_del(copy, "strict");
        json_array_append_new(all, json_pack("{s:s, s:o}", "type", "function", "function", copy));
    }
    return (g->r.tools = generation_hold(g, all)) != NULL;
}

bool tool_choice_read(struct generation *g, const json_t *v, bool flat) {
    if (!v || json_is_null(v)) return true;
    const char *word = json_string_value(v), *type = json_string_value(json_object_get(v, "type"));
    const char *name = json_string_value(json_object_get(flat ? v : json_object_get(v, "function"), "name"));
    if (word && strcmp(word, "none") && strcmp(word, "auto") && strcmp(word, "required")) return wrong(g, "tool_choice", "tool_choice: found \"%.40s\", expected none, auto, required or a function", word);
    if (!word && (!type || strcmp(type, "function") || !name)) return wrong(g, "tool_choice", "tool_choice: expected none, auto, required or {\"type\":\"function\"} with a name%s", "");
    if (!g->r.tools && (!word || !strcmp(word, "required"))) return wrong(g, "tool_choice", "tool_choice: %s goes with tools, and there are none", word ? word : name);
    if (g->r.tools) g->r.tool_choice = word ? word : name;
    return true;
}

/* ---- the form of the answer ---- */
bool format_read(struct generation *g, const json_t *v, const char *param, bool flat) {
    const char *type = json_string_value(json_object_get(v, "type"));
    if (!v || json_is_null(v) || (type && !strcmp(type, "text"))) return true;
    if (type && !strcmp(type, "json_object")) g->r.json = true;
    else if (type && !strcmp(type, "json_schema")) {
        const json_t *schema = json_object_get(flat ? v : json_object_get(v, "json_schema"), "schema");
        if (!schema || json_is_null(schema)) return wrong(g, param, "%s: type json_schema needs a schema", param);
        g->r.json_schema = generation_hold(g, json_incref((json_t *)(uintptr_t)schema));
        return g->r.json_schema != NULL;
    } else return wrong(g, param, "%s: expected a type of text, json_object or json_schema", param);
    return true;
}
