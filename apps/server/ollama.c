/* ollama.c - Ollama's routes: /api/chat, /api/generate, and what tells of models. Streams are lines of JSON, and on unless told otherwise.
 *
 * keep_alive is read where it is 0 in a request without a prompt, which unloads the model; else the server's own --keep-alive counts. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "generate.h"

static json_t *time_json(int64_t seconds) {
    char text[40];
    struct tm tm;
    const time_t t = (time_t)seconds;
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
    return json_string(text);
}

static json_t *now_json(void) {
    char text[48];
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    const size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", gmtime_r(&now.tv_sec, &tm));
    snprintf(text + n, sizeof text - n, ".%06ldZ", now.tv_nsec / 1000);
    return json_string(text);
}

static json_t *line_json(const struct generation *g, bool done) {
    return json_pack("{s:s, s:o, s:b}", "model", g->model->name, "created_at", now_json(), "done", done);
}

static json_int_t nanoseconds(double ms) { return (json_int_t)(ms * 1e6); }

static void add_end(json_t *line, const struct generation *g) {
    const gllm_completion *d = g->choices[0].done;
    json_object_set_new(line, "done_reason", json_string(d->finish == GLLM_FINISH_LENGTH ? "length" : "stop"));
    json_object_set_new(line, "total_duration", json_integer(nanoseconds(d->queue_ms + d->prefill_ms + d->decode_ms)));
    json_object_set_new(line, "load_duration", json_integer(nanoseconds(d->queue_ms)));
    json_object_set_new(line, "prompt_eval_count", json_integer(d->prompt_tokens));
    json_object_set_new(line, "prompt_eval_duration", json_integer(nanoseconds(d->prefill_ms)));
    json_object_set_new(line, "eval_count", json_integer((json_int_t)d->n_tokens));
    json_object_set_new(line, "eval_duration", json_integer(nanoseconds(d->decode_ms)));
}

static json_t *call_json(const char *name, const char *arguments, size_t n) {
    return json_pack("{s:{s:s, s:o}}", "function", "name", name, "arguments", json_loadb(arguments, n, JSON_ALLOW_NUL, NULL));
}

static json_t *message_json(const char *s, size_t n, const char *thought, size_t n_thought, json_t *calls) {
    json_t *m = json_pack("{s:s, s:s%}", "role", "assistant", "content", s, n);
    if (n_thought) json_object_set_new(m, "thinking", json_stringn(thought, n_thought));
    if (json_array_size(calls)) json_object_set(m, "tool_calls", calls);
    json_decref(calls);
    return m;
}

/* ---- /api/chat ---- */
/* Calls come whole (hold_calls): a name, then all of its arguments. */
static bool chat_chunk(struct choice *c, const gllm_chunk *k) {
    json_t *line, *message;
    if (!k->text.len) return true;
    if (k->part == GLLM_PART_CALL) {
        snprintf(c->name, sizeof c->name, "%.*s", (int)k->text.len, k->text.ptr);
        return true;
    }
    if (k->part == GLLM_PART_ARGUMENTS) message = message_json("", 0, NULL, 0, json_pack("[o]", call_json(c->name, k->text.ptr, k->text.len)));
    else if (k->part == GLLM_PART_REASONING) message = message_json("", 0, k->text.ptr, k->text.len, NULL);
    else message = message_json(k->text.ptr, k->text.len, NULL, 0, NULL);
    line = line_json(c->g, false);
    json_object_set_new(line, "message", message);
    return stream_json(c->g->q, line);
}

static void chat_end(struct generation *g) {
    json_t *line = line_json(g, true);
    json_object_set_new(line, "message", message_json("", 0, NULL, 0, NULL));
    add_end(line, g);
    stream_json(g->q, line);
}

static void chat_whole(struct generation *g) {
    const gllm_completion *d = g->choices[0].done;
    json_t *line = line_json(g, true), *calls = json_array();
    for (size_t i = 0; i < d->n_tool_calls; i++) json_array_append_new(calls, call_json(d->tool_calls[i].name, d->tool_calls[i].arguments.ptr, d->tool_calls[i].arguments.len));
    json_object_set_new(line, "message", message_json(d->content.ptr, d->content.len, d->reasoning.ptr, d->reasoning.len, calls));
    add_end(line, g);
    reply_json(g->q, 200, line);
}

/* ---- /api/generate ---- */
static bool generate_chunk(struct choice *c, const gllm_chunk *k) {
    if (!k->text.len) return true;
    const bool thought = k->part == GLLM_PART_REASONING;
    json_t *line = line_json(c->g, false);
    json_object_set_new(line, "response", json_stringn(k->text.ptr, thought ? 0 : k->text.len));
    if (thought) json_object_set_new(line, "thinking", json_stringn(k->text.ptr, k->text.len));
    return stream_json(c->g->q, line);
}

static void generate_end(struct generation *g) {
    json_t *line = line_json(g, true);
    json_object_set_new(line, "response", json_string(""));
    add_end(line, g);
    stream_json(g->q, line);
}

static void generate_whole(struct generation *g) {
    const gllm_completion *d = g->choices[0].done;
    const gllm_str text = g->r.split_answer ? d->content : d->text;
    json_t *line = line_json(g, true);
    json_object_set_new(line, "response", json_stringn(text.ptr, text.len));
    if (d->reasoning.len) json_object_set_new(line, "thinking", json_stringn(d->reasoning.ptr, d->reasoning.len));
    add_end(line, g);
    reply_json(g->q, 200, line);
}

/* ---- requests ---- */
static bool options_read(struct generation *g, const json_t *o) {
    static const char *const REFUSED[][2] = {{"mirostat", "0"}, {"tfs_z", "1"}, {"numa", "false"}};
    const json_t *predict = json_object_get(o, "num_predict");
    uint32_t n_ctx = 0;
    if (!o || json_is_null(o)) return generation_sampling(g, NULL);
    for (unsigned i = 0; i < 3; i++)
        if (!field_refuse(g->q, o, REFUSED[i][0], REFUSED[i][1], "this sampler is not built")) return false;
    if (predict && json_integer_value(predict) < 0) predict = NULL; /* -1, -2: until the end */
    if (predict && !field_u32(g->q, o, "num_predict", 0, UINT32_MAX, &g->r.max_tokens)) return false;
    if (!field_u32(g->q, o, "num_ctx", 1, UINT32_MAX, &n_ctx)) return false;
    if (json_is_integer(json_object_get(o, "repeat_last_n")) && json_integer_value(json_object_get(o, "repeat_last_n")) < 0) {
        json_t *copy = json_copy((json_t *)(uintptr_t)o); /* -1: all, which is 0 here */
        json_array_append_new(g->held, copy);
        json_object_set_new(copy, "repeat_last_n", json_integer(0));
        o = copy;
    }
    return generation_sampling(g, o);
}

static bool form_read(struct generation *g, const json_t *v) {
    if (!v || json_is_null(v) || (json_is_string(v) && !json_string_length(v))) return true;
    if (json_is_string(v) && !strcmp(json_string_value(v), "json")) g->r.json = true;
    else if (json_is_object(v)) return (g->r.json_schema = generation_hold(g, json_incref((json_t *)(uintptr_t)v))) != NULL;
    else return reply_error(g->q, 400, "invalid_value", "format", "format: expected \"json\" or a JSON schema"), false;
    return true;
}

/* think: true, false, or how much. */
static bool think_read(struct generation *g, const json_t *v) {
    if (!v || json_is_null(v)) return true;
    json_t *args = json_is_string(v) ? json_pack("{s:b, s:O}", "enable_thinking", 1, "reasoning_effort", v) : json_is_boolean(v) ? json_pack("{s:O}", "enable_thinking", v) : NULL;
    if (!args) return reply_error(g->q, 400, "invalid_type", "think", "think: expected true, false or a word"), false;
    return (g->r.template_args = generation_hold(g, args)) != NULL;
}

static bool common_read(struct generation *g, const json_t *o) {
    g->stream = true;
    return options_read(g, json_object_get(o, "options")) && form_read(g, json_object_get(o, "format")) && think_read(g, json_object_get(o, "think")) && field_bool(g->q, o, "stream", &g->stream) &&
           field_refuse(g->q, o, "logprobs", "false", "use /v1/chat/completions");
}

/* A request without a prompt loads the model, or unloads it. */
static void load_only(struct generation *g, bool chat) {
    const json_t *keep = json_object_get(g->q->json, "keep_alive");
    const char *text = json_string_value(keep);
    const bool unload = (json_is_number(keep) && json_number_value(keep) == 0) || (text && *text == '0' && text[1 + strspn(text + 1, "0.smh")] == '\0');
    gllm_error err;
    const gllm_status status = unload ? gllm_client_unload(g->q->client, g->model->name, &err) : GLLM_OK;
    if (status != GLLM_OK) {
        reply_failure(g->q, status, &err, NULL);
        return;
    }
    json_t *line = line_json(g, true);
    if (chat) json_object_set_new(line, "message", message_json("", 0, NULL, 0, NULL));
    else json_object_set_new(line, "response", json_string(""));
    json_object_set_new(line, "done_reason", json_string(unload ? "unload" : "load"));
    reply_json(g->q, 200, line);
}

static void chat(struct request *q) {
    static const struct generation_shape SHAPE = {chat_chunk, chat_end, chat_whole, STREAM_NDJSON};
    struct generation *g = generation_open(q, &SHAPE, "chat-");
    if (!g) return;
    g->r.split_answer = g->r.hold_calls = true;
    const json_t *list = json_object_get(q->json, "messages");
    if (!list || json_is_null(list) || (json_is_array(list) && !json_array_size(list))) load_only(g, true);
    else if (messages_read(g, list, "messages") && tools_read(g, json_object_get(q->json, "tools"), false) && common_read(g, q->json)) generation_start(g);
}

static bool refused(struct request *q) {
    return field_refuse(q, q->json, "suffix", "\"\"", "a text is continued, not filled in") && field_refuse(q, q->json, "images", "[]", "the models read text") &&
           field_refuse(q, q->json, "template", "\"\"", "the model's own is used") && field_refuse(q, q->json, "context", "[]", "send the conversation to /api/chat");
}

static bool generate_read(struct generation *g, const json_t *o) {
    gllm_message messages[2];
    gllm_str prompt = {0}, system = {0};
    bool raw = false;
    size_t n = 0;
    if (!refused(g->q) || !field_text(g->q, o, "prompt", &prompt) || !field_text(g->q, o, "system", &system) || !field_bool(g->q, o, "raw", &raw)) return false;
    g->r.split_answer = !raw;
    if (raw) g->r.prompt = prompt;
    if (system.len) messages[n++] = (gllm_message){.role = "system", .content = system};
    messages[n++] = (gllm_message){.role = "user", .content = prompt};
    return (raw || messages_set(g, n, messages)) && common_read(g, o);
}

static void generate(struct request *q) {
    static const struct generation_shape SHAPE = {generate_chunk, generate_end, generate_whole, STREAM_NDJSON};
    struct generation *g = generation_open(q, &SHAPE, "gen-");
    const json_t *prompt = g ? json_object_get(q->json, "prompt") : NULL;
    if (!g) return;
    if (!prompt || json_is_null(prompt) || (json_is_string(prompt) && !json_string_length(prompt))) load_only(g, false);
    else if (generate_read(g, q->json)) generation_start(g);
}

/* ---- what tells of models ---- */
static json_t *details_json(const gllm_model_info *i) {
    char size[32];
    const double n = (double)i->n_params;
    snprintf(size, sizeof size, n >= 1e9 ? "%.1fB" : "%.0fM", n >= 1e9 ? n / 1e9 : n / 1e6);
    return json_pack("{s:s, s:s, s:s, s:[s], s:s, s:s}", "parent_model", "", "format", i->format, "family", i->architecture, "families", i->architecture, "parameter_size", size, "quantization_level",
                     i->quantisation && *i->quantisation ? i->quantisation : i->dtype);
}

static json_t *entry_json(const struct served *m) {
    return json_pack("{s:s, s:s, s:o, s:I, s:o}", "name", m->name, "model", m->name, "modified_at", time_json(m->created), "size", (json_int_t)m->info->file_bytes, "details", details_json(m->info));
}

static void tags(struct request *q) {
    json_t *list = json_array();
    for (size_t i = 0; i < served_count(q->server); i++) json_array_append_new(list, entry_json(served_at(q->server, i)));
    reply_json(q, 200, json_pack("{s:o}", "models", list));
}

static void ps(struct request *q) {
    gllm_client_status *s;
    gllm_error err;
    const gllm_status status = gllm_client_get_status(q->client, &s, &err);
    if (status != GLLM_OK) {
        reply_failure(q, status, &err, NULL);
        return;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < s->count; i++) {
        const struct served *m = s->models[i].state == GLLM_MODEL_READY ? served_find(q->server, s->models[i].name) : NULL;
        json_t *entry = m ? entry_json(m) : NULL;
        if (!entry) continue;
        json_object_set_new(entry, "size", json_integer((json_int_t)s->models[i].memory_bytes));
        json_object_set_new(entry, "size_vram", json_integer(0));
        json_array_append_new(list, entry);
    }
    gllm_client_status_free(s);
    reply_json(q, 200, json_pack("{s:o}", "models", list));
}

static void show(struct request *q) {
    const char *name = NULL;
    if (!field_string(q, q->json, "model", &name) || (!name && !field_string(q, q->json, "name", &name))) return;
    const struct served *m = name ? served_find(q->server, name) : NULL;
    if (!m) {
        if (name) reply_error(q, 404, "model_not_found", "model", "there is no model \"%.200s\"", name);
        else field_missing(q, "model", "a model's name");
        return;
    }
    const gllm_model_info *i = m->info;
    char key[96];
    json_t *more = json_pack("{s:s, s:I}", "general.architecture", i->architecture, "general.parameter_count", (json_int_t)i->n_params), *can = json_array();
    const struct {
        const char *key;
        uint32_t value;
    } NUMBERS[] = {{"context_length", i->max_tokens}, {"embedding_length", i->d_model}, {"block_count", i->n_layer}, {"attention.head_count", i->n_head}, {"attention.head_count_kv", i->n_kv}, {"vocab_size", i->n_vocab}};
    for (size_t k = 0; k < sizeof NUMBERS / sizeof *NUMBERS; k++) {
        snprintf(key, sizeof key, "%.60s.%s", i->architecture, NUMBERS[k].key);
        json_object_set_new(more, key, json_integer(NUMBERS[k].value));
    }
    const bool generates = !strcmp(i->task, "generate");
    json_array_append_new(can, json_string(generates ? "completion" : !strcmp(i->task, "embed") ? "embedding" : i->task));
    reply_json(q, 200, json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "modelfile", "", "parameters", "", "template", "", "details", details_json(i), "model_info", more, "capabilities", can, "modified_at", time_json(m->created)));
}

static void version(struct request *q) { reply_json(q, 200, json_pack("{s:s}", "version", gllm_version_string())); }

const struct route ollama_routes[] = {{"POST", "/api/chat", chat, FAMILY_OLLAMA, 0},   {"POST", "/api/generate", generate, FAMILY_OLLAMA, 0}, {"GET", "/api/tags", tags, FAMILY_OLLAMA, 0},
                                      {"GET", "/api/ps", ps, FAMILY_OLLAMA, 0},        {"POST", "/api/show", show, FAMILY_OLLAMA, 0},         {"GET", "/api/version", version, FAMILY_OLLAMA, 0},
                                      {0}};
