/* responses.c - /v1/responses: OpenAI's newer route, for text. Nothing is stored, so earlier responses cannot be named.
 *
 * An answer is a list of output items: a thought, a message, calls. A stream tells each of them as it begins, grows and ends; its events are numbered. */
#include <stdio.h>
#include <string.h>

#include "generate.h"

static const char *const TYPES[] = {[GLLM_PART_TEXT] = "message", [GLLM_PART_CONTENT] = "message", [GLLM_PART_REASONING] = "reasoning", [GLLM_PART_CALL] = "function_call", [GLLM_PART_ARGUMENTS] = "function_call"};
static const char *const PREFIXES[] = {[GLLM_PART_TEXT] = "msg_", [GLLM_PART_CONTENT] = "msg_", [GLLM_PART_REASONING] = "rs_", [GLLM_PART_CALL] = "fc_", [GLLM_PART_ARGUMENTS] = "fc_"};

static json_t *text_part(int part, const char *s, size_t n) {
    if (part == GLLM_PART_REASONING) return json_pack("{s:s, s:s%}", "type", "reasoning_text", "text", s, n);
    return json_pack("{s:s, s:s%, s:[], s:[]}", "type", "output_text", "text", s, n, "annotations", "logprobs");
}

/* One item; text is a message's or thought's, or a call's arguments. */
static json_t *item_json(const struct choice *c, int part, uint32_t place, const char *name, uint32_t call, const char *text, size_t n, bool done) {
    char id[ID_BYTES + 24];
    snprintf(id, sizeof id, "%s%s_%u", PREFIXES[part], c->g->id + 5, place);
    const char *status = done ? "completed" : "in_progress";
    if (part == GLLM_PART_CALL) {
        char call_id[CALL_ID_BYTES];
        generation_call_id(c, call, call_id);
        return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s%}", "type", "function_call", "id", id, "status", status, "call_id", call_id, "name", name, "arguments", text, n);
    }
    json_t *content = done ? json_pack("[o]", text_part(part, text, n)) : json_array();
    if (part == GLLM_PART_REASONING) return json_pack("{s:s, s:s, s:[], s:o, s:s}", "type", TYPES[part], "id", id, "summary", "content", content, "status", status);
    return json_pack("{s:s, s:s, s:s, s:s, s:o}", "type", TYPES[part], "id", id, "status", status, "role", "assistant", "content", content);
}

static json_t *output_json(const struct generation *g) {
    const struct choice *c = &g->choices[0];
    const gllm_completion *d = c->done;
    json_t *list = json_array();
    uint32_t place = 0;
    if (!d) return list;
    if (d->reasoning.len) json_array_append_new(list, item_json(c, GLLM_PART_REASONING, place++, NULL, 0, d->reasoning.ptr, d->reasoning.len, true));
    if (d->content.len || !d->n_tool_calls) json_array_append_new(list, item_json(c, GLLM_PART_CONTENT, place++, NULL, 0, d->content.ptr, d->content.len, true));
    for (size_t i = 0; i < d->n_tool_calls; i++)
        json_array_append_new(list, item_json(c, GLLM_PART_CALL, place++, d->tool_calls[i].name, (uint32_t)i, d->tool_calls[i].arguments.ptr, d->tool_calls[i].arguments.len, true));
    return list;
}

static json_t *given(const json_t *o, const char *key, json_t *otherwise) {
    json_t *v = json_object_get(o, key);
    if (!v || json_is_null(v)) return otherwise;
    json_decref(otherwise);
    return json_incref(v);
}

/* The response as it stands: `done` of the choice NULL while it is made. */
static json_t *response_json(const struct generation *g) {
    const json_t *o = g->q->json;
    const gllm_completion *d = g->choices[0].done;
    const bool cut = d && d->finish == GLLM_FINISH_LENGTH;
    json_t *v = json_pack("{s:s, s:s, s:I, s:s, s:n, s:o, s:s, s:o, s:b, s:n, s:b, s:s, s:f, s:f}", "id", g->id, "object", "response", "created_at", (json_int_t)g->created, "status",
                          !d ? "in_progress" : cut ? "incomplete" : "completed", "error", "incomplete_details", cut ? json_pack("{s:s}", "reason", "max_output_tokens") : json_null(), "model", g->model->name, "output",
                          output_json(g), "parallel_tool_calls", !g->r.single_call, "previous_response_id", "store", 0, "truncation", "disabled", "temperature", (double)g->r.temperature, "top_p", (double)g->r.top_p);
    if (!v) return NULL;
    json_object_set_new(v, "instructions", given(o, "instructions", json_null()));
    json_object_set_new(v, "max_output_tokens", given(o, "max_output_tokens", json_null()));
    json_object_set_new(v, "metadata", given(o, "metadata", json_object()));
    json_object_set_new(v, "reasoning", given(o, "reasoning", json_pack("{s:n, s:n}", "effort", "summary")));
    json_object_set_new(v, "text", given(o, "text", json_pack("{s:{s:s}}", "format", "type", "text")));
    json_object_set_new(v, "tool_choice", given(o, "tool_choice", json_string("auto")));
    json_object_set_new(v, "tools", given(o, "tools", json_array()));
    json_object_set_new(v, "user", given(o, "user", json_null()));
    if (!d) return json_object_set_new(v, "usage", json_null()), v;
    uint64_t prompt, completion, cached, reasoning;
    generation_usage(g, &prompt, &completion, &cached, &reasoning);
    json_object_set_new(v, "usage", json_pack("{s:I, s:{s:I}, s:I, s:{s:I}, s:I}", "input_tokens", (json_int_t)prompt, "input_tokens_details", "cached_tokens", (json_int_t)cached, "output_tokens", (json_int_t)completion,
                                              "output_tokens_details", "reasoning_tokens", (json_int_t)reasoning, "total_tokens", (json_int_t)(prompt + completion)));
    return v;
}

/* ---- streamed ---- */
/* An event with what its fields are; moves `fields`. */
static bool send(struct generation *g, const char *type, json_t *fields) {
    if (fields) json_object_set_new(fields, "type", json_string(type)), json_object_set_new(fields, "sequence_number", json_integer(g->sequence++));
    char *text = fields ? json_dumps(fields, JSON_COMPACT) : NULL;
    const bool on = text && stream_named(g->q, type, text, strlen(text));
    free(text);
    json_decref(fields);
    return on;
}

static json_t *at_item(const struct choice *c, bool in_content) {
    char id[ID_BYTES + 24];
    snprintf(id, sizeof id, "%s%s_%u", PREFIXES[c->part], c->g->id + 5, c->items);
    json_t *v = json_pack("{s:s, s:i}", "item_id", id, "output_index", (int)c->items);
    if (v && in_content) json_object_set_new(v, "content_index", json_integer(0));
    return v;
}

static json_t *with(json_t *v, const char *key, json_t *value) {
    if (v) json_object_set_new(v, key, value);
    else json_decref(value);
    return v;
}

static bool begin(struct generation *g) {
    if (g->choices[0].begun) return true;
    g->choices[0].begun = true;
    return send(g, "response.created", json_pack("{s:o}", "response", response_json(g))) && send(g, "response.in_progress", json_pack("{s:o}", "response", response_json(g)));
}

/* Ends the open item, if there is one. */
static void close_item(struct choice *c) {
    struct generation *g = c->g;
    const char *s = c->text.ptr ? c->text.ptr : "";
    const size_t n = c->text.len;
    if (c->part < 0) return;
    if (c->part == GLLM_PART_CALL) send(g, "response.function_call_arguments.done", with(with(at_item(c, false), "name", json_string(c->name)), "arguments", json_stringn(s, n)));
    else {
        send(g, c->part == GLLM_PART_REASONING ? "response.reasoning_text.done" : "response.output_text.done", with(with(at_item(c, true), "text", json_stringn(s, n)), "logprobs", json_array()));
        send(g, "response.content_part.done", with(at_item(c, true), "part", text_part(c->part, s, n)));
    }
    send(g, "response.output_item.done", json_pack("{s:i, s:o}", "output_index", (int)c->items, "item", item_json(c, c->part, c->items, c->name, c->call, s, n, true)));
    text_free(&c->text);
    c->part = -1;
    c->items++;
}

static bool open_item(struct choice *c, int part, const gllm_chunk *k) {
    struct generation *g = c->g;
    close_item(c);
    c->part = part;
    if (part == GLLM_PART_CALL) c->call = k->call, snprintf(c->name, sizeof c->name, "%.*s", (int)k->text.len, k->text.ptr);
    if (!send(g, "response.output_item.added", json_pack("{s:i, s:o}", "output_index", (int)c->items, "item", item_json(c, part, c->items, c->name, c->call, "", 0, false)))) return false;
    return part == GLLM_PART_CALL || send(g, "response.content_part.added", with(at_item(c, true), "part", text_part(part, "", 0)));
}

static bool chunk(struct choice *c, const gllm_chunk *k) {
    static const char *const DELTAS[] = {[GLLM_PART_CONTENT] = "response.output_text.delta", [GLLM_PART_REASONING] = "response.reasoning_text.delta", [GLLM_PART_CALL] = "response.function_call_arguments.delta"};
    const int part = k->part == GLLM_PART_ARGUMENTS ? GLLM_PART_CALL : k->part == GLLM_PART_TEXT ? GLLM_PART_CONTENT : (int)k->part;
    if (!begin(c->g)) return false;
    if (!k->text.len) return true;
    if (k->part == GLLM_PART_CALL || c->part != part) {
        if (!open_item(c, part, k)) return false;
        if (k->part == GLLM_PART_CALL) return true;
    }
    text_bytes(&c->text, k->text.ptr, k->text.len);
    json_t *v = with(at_item(c, part != GLLM_PART_CALL), "delta", json_stringn(k->text.ptr, k->text.len));
    return send(c->g, DELTAS[part], part == GLLM_PART_CONTENT ? with(v, "logprobs", json_array()) : v);
}

static void end(struct generation *g) {
    struct choice *c = &g->choices[0];
    begin(g);
    if (!c->items && c->part < 0) open_item(c, GLLM_PART_CONTENT, NULL); /* an answer without a character is a message */
    close_item(c);
    send(g, c->done->finish == GLLM_FINISH_LENGTH ? "response.incomplete" : "response.completed", json_pack("{s:o}", "response", response_json(g)));
}

static void whole(struct generation *g) { reply_json(g->q, 200, response_json(g)); }

/* ---- the request ---- */
/* An item of `input` as a message of a chat; NULL: it says nothing (a thought). */
static json_t *message_of(const json_t *item) {
    const char *type = json_string_value(json_object_get(item, "type"));
    json_t *output = json_object_get(item, "output");
    if (type && !strcmp(type, "function_call"))
        return json_pack("{s:s, s:n, s:[{s:s, s:O*, s:{s:O*, s:O*}}]}", "role", "assistant", "content", "tool_calls", "type", "function", "id", json_object_get(item, "call_id"), "function", "name",
                         json_object_get(item, "name"), "arguments", json_object_get(item, "arguments"));
    if (type && !strcmp(type, "function_call_output")) return json_pack("{s:s, s:O*, s:O*}", "role", "tool", "tool_call_id", json_object_get(item, "call_id"), "content", output);
    if (type && !strcmp(type, "reasoning")) return NULL;
    return json_pack("{s:O*, s:O*}", "role", json_object_get(item, "role"), "content", json_object_get(item, "content"));
}

/* Calls that follow each other are one message. */
static void append(json_t *list, json_t *message) {
    json_t *before = json_array_get(list, json_array_size(list) - 1), *calls = json_object_get(message, "tool_calls"), *earlier = json_object_get(before, "tool_calls");
    if (json_array_size(calls) && json_array_size(earlier)) {
        json_array_extend(earlier, calls);
        json_decref(message);
    } else json_array_append_new(list, message);
}

static bool input_read(struct generation *g, const json_t *o) {
    const json_t *input = json_object_get(o, "input"), *item;
    const char *instructions = NULL;
    json_t *list = json_array();
    size_t i;
    json_array_append_new(g->held, list);
    if (!field_string(g->q, o, "instructions", &instructions)) return false;
    if (!input || json_is_null(input)) return field_missing(g->q, "input", "a string or a list of items");
    if (instructions) json_array_append_new(list, json_pack("{s:s, s:s}", "role", "system", "content", instructions));
    if (json_is_string(input)) json_array_append_new(list, json_pack("{s:s, s:O}", "role", "user", "content", input));
    json_array_foreach(input, i, item) {
        const char *type = json_string_value(json_object_get(item, "type"));
        if (type && strcmp(type, "message") && strcmp(type, "function_call") && strcmp(type, "function_call_output") && strcmp(type, "reasoning"))
            return reply_error(g->q, 400, "unsupported_value", "input", "input: an item of type \"%.40s\" is not supported", type), false;
        json_t *message = message_of(item);
        if (message) append(list, message);
    }
    return messages_read(g, list, "input");
}

static bool read_refused(struct request *q) {
    static const char *const REFUSED[][3] = {{"previous_response_id", NULL, "nothing is stored: send the whole conversation as input"}, {"conversation", NULL, "nothing is stored: send the whole conversation as input"},
                                             {"background", "false", "an answer is given while the request waits"}, {"store", "false", "nothing is stored"}, {"truncation", "\"disabled\"", "no input is cut"},
                                             {"prompt", NULL, "there are no stored prompts"}, {"top_logprobs", "0", "use /v1/chat/completions"}, {"include", "[]", "there is nothing more to tell"},
                                             {"max_tool_calls", NULL, "no tool is called here"}};
    for (size_t i = 0; i < sizeof REFUSED / sizeof *REFUSED; i++)
        if (!field_refuse(q, q->json, REFUSED[i][0], REFUSED[i][1], REFUSED[i][2])) return false;
    return true;
}

static bool read_request(struct generation *g, const json_t *o) {
    struct request *q = g->q;
    const char *effort = json_string_value(json_object_get(json_object_get(o, "reasoning"), "effort"));
    bool parallel = true;
    g->r.split_answer = true;
    if (!read_refused(q) || !input_read(g, o) || !generation_sampling(g, o) || !field_u32(q, o, "max_output_tokens", 1, UINT32_MAX, &g->r.max_tokens)) return false;
    if (!tools_read(g, json_object_get(o, "tools"), true) || !tool_choice_read(g, json_object_get(o, "tool_choice"), true) || !field_bool(q, o, "parallel_tool_calls", &parallel)) return false;
    g->r.single_call = !parallel;
    if (effort && !(g->r.template_args = generation_hold(g, json_pack("{s:s}", "reasoning_effort", effort)))) return false;
    return format_read(g, json_object_get(json_object_get(o, "text"), "format"), "text.format", true) && field_bool(q, o, "stream", &g->stream);
}

static void run(struct request *q) {
    static const struct generation_shape SHAPE = {chunk, end, whole, STREAM_SSE};
    struct generation *g = generation_open(q, &SHAPE, "resp_");
    if (g && read_request(g, q->json)) generation_start(g);
}

const struct route response_routes[] = {{"POST", "/v1/responses", run, FAMILY_OPENAI, 0}, {0}};
