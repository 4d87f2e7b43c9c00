/* chat.c - /v1/chat/completions. */
#include <string.h>

#include "generate.h"

/* ---- streamed ---- */
static bool send_delta(struct choice *c, const struct text *delta, const gllm_chunk *k, const char *finish) {
    struct text t = {0};
    generation_head(&t, c->g, "chat.completion.chunk");
    text_format(&t, "{\"index\":%u,\"delta\":{", c->index);
    text_bytes(&t, delta->ptr ? delta->ptr : "", delta->len);
    text_put(&t, "},\"logprobs\":");
    if (k && c->g->logprobs && k->token >= 0) {
        text_put(&t, "{\"content\":[");
        logprob_entry(&t, c->g, c->before, k->token, k->logprob, k->top, k->n_top);
        text_put(&t, "],\"refusal\":null}");
    } else text_put(&t, "null");
    text_format(&t, finish ? ",\"finish_reason\":\"%s\"}]" : ",\"finish_reason\":null}]", finish ? finish : "");
    text_put(&t, c->g->usage ? ",\"usage\":null}" : "}");
    return generation_send(c->g, &t);
}

static bool send_role(struct choice *c) {
    struct text role = {0};
    if (c->begun) return true;
    c->begun = true;
    text_put(&role, "\"role\":\"assistant\",\"content\":\"\"");
    const bool on = send_delta(c, &role, NULL, NULL);
    text_free(&role);
    return on;
}

static void put_call(struct text *t, const struct choice *c, uint32_t call, const char *name, size_t n) {
    char id[CALL_ID_BYTES];
    generation_call_id(c, call, id);
    text_format(t, "\"id\":\"%s\",\"type\":\"function\",\"function\":{\"name\":", id);
    text_json(t, name, n);
    text_put(t, ",\"arguments\":");
}

static bool chunk(struct choice *c, const gllm_chunk *k) {
    struct text delta = {0};
    if (!send_role(c)) return false;
    if (!k->text.len && (k->token < 0 || !c->g->logprobs)) return true;
    switch (k->part) {
    case GLLM_PART_CALL:
        text_format(&delta, "\"tool_calls\":[{\"index\":%u,", k->call);
        put_call(&delta, c, k->call, k->text.ptr, k->text.len);
        text_put(&delta, "\"\"}}]");
        break;
    case GLLM_PART_ARGUMENTS:
        text_format(&delta, "\"tool_calls\":[{\"index\":%u,\"function\":{\"arguments\":", k->call);
        text_json(&delta, k->text.ptr, k->text.len);
        text_put(&delta, "}}]");
        break;
    default:
        text_put(&delta, k->part == GLLM_PART_REASONING ? "\"reasoning_content\":" : "\"content\":");
        text_json(&delta, k->text.ptr, k->text.len);
    }
    const bool on = send_delta(c, &delta, k, NULL);
    text_free(&delta);
    return on;
}

static void end(struct generation *g) {
    const struct text nothing = {0};
    for (uint32_t i = 0; i < g->n; i++) {
        send_role(&g->choices[i]);
        send_delta(&g->choices[i], &nothing, NULL, generation_finish(&g->choices[i]));
    }
    if (g->usage) {
        struct text t = {0};
        generation_head(&t, g, "chat.completion.chunk");
        text_put(&t, "],\"usage\":");
        generation_put_usage(&t, g);
        text_put(&t, "}");
        generation_send(g, &t);
    }
    stream_event(g->q, "[DONE]", 6);
}

/* ---- whole ---- */
static void put_message(struct text *t, const struct choice *c) {
    const gllm_completion *d = c->done;
    text_put(t, "{\"role\":\"assistant\",\"content\":");
    if (d->n_tool_calls && !d->content.len) text_put(t, "null");
    else text_json(t, d->content.ptr, d->content.len);
    text_put(t, ",\"refusal\":null");
    if (d->reasoning.len) text_put(t, ",\"reasoning_content\":"), text_json(t, d->reasoning.ptr, d->reasoning.len);
    for (size_t i = 0; i < d->n_tool_calls; i++) {
        text_put(t, i ? ",{" : ",\"tool_calls\":[{");
        put_call(t, c, (uint32_t)i, d->tool_calls[i].name, strlen(d->tool_calls[i].name));
        text_json(t, d->tool_calls[i].arguments.ptr, d->tool_calls[i].arguments.len);
        text_put(t, "}}");
    }
    text_put(t, d->n_tool_calls ? "]}" : "}");
}

static void put_logprobs(struct text *t, const struct choice *c) {
    const gllm_completion *d = c->done;
    if (!d->logprobs) {
        text_put(t, "null");
        return;
    }
    text_put(t, "{\"content\":[");
    for (size_t i = 0; i < d->n_tokens; i++) {
        if (i) text_put(t, ",");
        logprob_entry(t, c->g, i ? d->tokens[i - 1] : -1, d->tokens[i], d->logprobs[i], d->top + i * d->n_top, d->n_top);
    }
    text_put(t, "],\"refusal\":null}");
}

static void whole(struct generation *g) {
    struct text t = {0};
    generation_head(&t, g, "chat.completion");
    for (uint32_t i = 0; i < g->n; i++) {
        text_format(&t, "%s{\"index\":%u,\"message\":", i ? "," : "", i);
        put_message(&t, &g->choices[i]);
        text_put(&t, ",\"logprobs\":");
        put_logprobs(&t, &g->choices[i]);
        text_format(&t, ",\"finish_reason\":\"%s\"}", generation_finish(&g->choices[i]));
    }
    text_put(&t, "],\"usage\":");
    generation_put_usage(&t, g);
    text_put(&t, "}");
    reply_text(g->q, 200, "application/json", &t);
}

/* ---- the request ---- */
static bool read_lengths(struct generation *g, const json_t *o) {
    uint32_t old = 0, now = 0;
    if (!field_u32(g->q, o, "max_tokens", 1, UINT32_MAX, &old) || !field_u32(g->q, o, "max_completion_tokens", 1, UINT32_MAX, &now)) return false;
    g->r.max_tokens = now ? now : old;
    return true;
}

static bool read_logprobs(struct generation *g, const json_t *o) {
    if (!field_bool(g->q, o, "logprobs", &g->logprobs) || !field_u32(g->q, o, "top_logprobs", 0, MAX_TOP, &g->r.n_top)) return false;
    if (g->r.n_top && !g->logprobs) return reply_error(g->q, 400, "invalid_value", "top_logprobs", "top_logprobs needs logprobs: true"), false;
    g->r.logprobs = g->logprobs;
    return true;
}

static bool read_template(struct generation *g, const json_t *o) {
    const json_t *args = json_object_get(o, "chat_template_kwargs");
    const char *effort = NULL;
    json_t *all = json_object();
    if (!field_string(g->q, o, "reasoning_effort", &effort)) return json_decref(all), false;
    if (effort) json_object_set_new(all, "reasoning_effort", json_string(effort));
    if (effort && !strcmp(effort, "none")) json_object_set_new(all, "enable_thinking", json_false());
    if (json_is_object(args)) json_object_update(all, (json_t *)(uintptr_t)args);
    else if (args && !json_is_null(args)) return json_decref(all), reply_error(g->q, 400, "invalid_type", "chat_template_kwargs", "chat_template_kwargs: expected an object"), false;
    if (!json_object_size(all)) return json_decref(all), true;
    return (g->r.template_args = generation_hold(g, all)) != NULL;
}

static bool read_refused(struct request *q) {
    static const char *const REFUSED[][3] = {
        {"best_of", "1", "ask for n answers and choose"},      {"functions", "[]", "use tools"},           {"function_call", "\"none\"", "use tool_choice"},
        {"audio", NULL, "text alone is generated"},            {"modalities", "[\"text\"]", "text alone is generated"}, {"prediction", NULL, "there is no speculation"},
        {"web_search_options", NULL, "nothing is searched"},   {"store", "false", "nothing is stored"},    {"chat_template", NULL, "the model's own is used"}};
    for (size_t i = 0; i < sizeof REFUSED / sizeof *REFUSED; i++)
        if (!field_refuse(q, q->json, REFUSED[i][0], REFUSED[i][1], REFUSED[i][2])) return false;
    return true;
}

static bool read_chat(struct generation *g, const json_t *o) {
    struct request *q = g->q;
    const json_t *options = json_object_get(o, "stream_options");
    bool parallel = true;
    g->r.split_answer = true;
    if (!read_refused(q) || !messages_read(g, json_object_get(o, "messages"), "messages") || !generation_sampling(g, o) || !read_lengths(g, o) || !read_logprobs(g, o) || !read_template(g, o)) return false;
    if (!tools_read(g, json_object_get(o, "tools"), false) || !tool_choice_read(g, json_object_get(o, "tool_choice"), false) || !field_bool(q, o, "parallel_tool_calls", &parallel)) return false;
    g->r.single_call = !parallel;
    return format_read(g, json_object_get(o, "response_format"), "response_format", false) && field_u32(q, o, "n", 1, MAX_CHOICES, &g->n) && field_bool(q, o, "stream", &g->stream) &&
           (!json_is_object(options) || field_bool(q, options, "include_usage", &g->usage));
}

static void run(struct request *q) {
    static const struct generation_shape SHAPE = {chunk, end, whole, STREAM_SSE};
    struct generation *g = generation_open(q, &SHAPE, "chatcmpl-");
    if (g && read_chat(g, q->json)) generation_start(g);
}

const struct route chat_routes[] = {{"POST", "/v1/chat/completions", run, FAMILY_OPENAI, 0}, {0}};
