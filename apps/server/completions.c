/* completions.c - /v1/completions: raw prompts, continued. */
#include <stdlib.h>
#include <string.h>

#include "generate.h"

/* The prompt's text where it is echoed; owned (gllm_text_free) where it came as tokens. */
static char *echo_of(const struct choice *c, gllm_str *out) {
    const struct prompt *p = generation_prompt(c);
    char *text = NULL;
    *out = c->g->echo ? p->text : (gllm_str){0};
    if (!c->g->echo || !p->ids || gllm_detokenize(c->g->q->client, c->g->model->name, p->ids, p->n, true, &text, NULL) != GLLM_OK) return NULL;
    *out = (gllm_str){text, strlen(text)};
    return text;
}

static bool send_piece(struct choice *c, gllm_str text, const gllm_chunk *k, const char *finish) {
    struct text t = {0};
    generation_head(&t, c->g, "text_completion");
    text_format(&t, "{\"index\":%u,\"text\":", c->index);
    text_json(&t, text.ptr ? text.ptr : "", text.len);
    text_put(&t, ",\"logprobs\":");
    if (k && c->g->logprobs && k->token >= 0) logprob_lists(&t, c->g, 1, c->before, &k->token, &k->logprob, k->top, k->n_top, &c->offset);
    else text_put(&t, "null");
    text_format(&t, finish ? ",\"finish_reason\":\"%s\"}]" : ",\"finish_reason\":null}]", finish ? finish : "");
    text_put(&t, c->g->usage ? ",\"usage\":null}" : "}");
    return generation_send(c->g, &t);
}

static bool begin(struct choice *c) {
    gllm_str echo;
    if (c->begun || !c->g->echo) return true;
    c->begun = true;
    char *owned = echo_of(c, &echo);
    const bool on = send_piece(c, echo, NULL, NULL);
    gllm_text_free(owned);
    return on;
}

static bool chunk(struct choice *c, const gllm_chunk *k) {
    if (!begin(c)) return false;
    return (!k->text.len && (k->token < 0 || !c->g->logprobs)) || send_piece(c, k->text, k, NULL);
}

static void end(struct generation *g) {
    for (uint32_t i = 0; i < g->n; i++) {
        begin(&g->choices[i]);
        send_piece(&g->choices[i], (gllm_str){"", 0}, NULL, generation_finish(&g->choices[i]));
    }
    if (g->usage) {
        struct text t = {0};
        generation_head(&t, g, "text_completion");
        text_put(&t, "],\"usage\":");
        generation_put_usage(&t, g);
        text_put(&t, "}");
        generation_send(g, &t);
    }
    stream_event(g->q, "[DONE]", 6);
}

static void put_text(struct text *t, const struct choice *c) {
    struct text all = {0};
    gllm_str echo;
    char *owned = echo_of(c, &echo);
    text_bytes(&all, echo.ptr ? echo.ptr : "", echo.len);
    text_bytes(&all, c->done->text.ptr, c->done->text.len);
    text_json(t, all.ptr ? all.ptr : "", all.len);
    t->failed |= all.failed;
    text_free(&all);
    gllm_text_free(owned);
}

static void whole(struct generation *g) {
    struct text t = {0};
    generation_head(&t, g, "text_completion");
    for (uint32_t i = 0; i < g->n; i++) {
        const struct choice *c = &g->choices[i];
        const gllm_completion *d = c->done;
        size_t offset = 0;
        text_format(&t, "%s{\"index\":%u,\"text\":", i ? "," : "", i);
        put_text(&t, c);
        text_put(&t, ",\"logprobs\":");
        if (d->logprobs) logprob_lists(&t, g, d->n_tokens, -1, d->tokens, d->logprobs, d->top, d->n_top, &offset);
        else text_put(&t, "null");
        text_format(&t, ",\"finish_reason\":\"%s\"}", generation_finish(c));
    }
    text_put(&t, "],\"usage\":");
    generation_put_usage(&t, g);
    text_put(&t, "}");
    reply_text(g->q, 200, "application/json", &t);
}

/* ---- the request ---- */
static bool wrong_prompt(struct generation *g) {
    reply_error(g->q, 400, "invalid_type", "prompt", "prompt: expected a string, a list of token ids, or a list of these");
    return false;
}

static bool prompt_read(struct generation *g, const json_t *v, struct prompt *p) {
    if (json_is_string(v)) {
        p->text = (gllm_str){json_string_value(v), json_string_length(v)};
        return true;
    }
    const size_t n = json_array_size(v);
    if (!n || !(p->ids = generation_keep(g, malloc(n * sizeof *p->ids)))) return n ? false : wrong_prompt(g);
    p->n = n;
    for (size_t i = 0; i < n; i++) {
        const json_t *id = json_array_get(v, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > INT32_MAX) return wrong_prompt(g);
        p->ids[i] = (int32_t)json_integer_value(id);
    }
    return true;
}

static bool prompts_read(struct generation *g, const json_t *v) {
    const bool one = json_is_string(v) || json_is_integer(json_array_get(v, 0));
    const size_t n = one ? 1 : json_array_size(v);
    if (!v || json_is_null(v)) return field_missing(g->q, "prompt", "a string, a list of token ids, or a list of these");
    if (!n || n > MAX_CHOICES) return reply_error(g->q, 400, "invalid_value", "prompt", "prompt: found a list of %zu, expected 1 to %d", n, MAX_CHOICES), false;
    if (!(g->prompts = generation_keep(g, calloc(n, sizeof *g->prompts)))) return false;
    g->n_prompts = (uint32_t)n;
    for (size_t i = 0; i < n; i++)
        if (!prompt_read(g, one ? v : json_array_get(v, i), &g->prompts[i])) return false;
    return true;
}

static bool read_refused(struct request *q) {
    return field_refuse(q, q->json, "suffix", "\"\"", "a text is continued, not filled in") && field_refuse(q, q->json, "best_of", "1", "ask for n answers and choose");
}

static bool read_request(struct generation *g, const json_t *o) {
    struct request *q = g->q;
    const json_t *options = json_object_get(o, "stream_options"), *logprobs = json_object_get(o, "logprobs");
    g->r.max_tokens = 16; /* as OpenAI's route has it */
    if (!read_refused(q) || !prompts_read(g, json_object_get(o, "prompt")) || !generation_sampling(g, o) || !field_u32(q, o, "max_tokens", 1, UINT32_MAX, &g->r.max_tokens)) return false;
    if (!field_u32(q, o, "logprobs", 0, MAX_TOP, &g->r.n_top) || !field_bool(q, o, "echo", &g->echo)) return false;
    g->logprobs = g->r.logprobs = logprobs && !json_is_null(logprobs);
    if (g->echo && g->logprobs) return reply_error(q, 400, "unsupported_value", "echo", "echo with logprobs is not supported: a prompt's tokens have none"), false;
    return format_read(g, json_object_get(o, "response_format"), "response_format", false) && field_u32(q, o, "n", 1, MAX_CHOICES, &g->n) && field_bool(q, o, "stream", &g->stream) &&
           (!json_is_object(options) || field_bool(q, options, "include_usage", &g->usage));
}

static void run(struct request *q) {
    static const struct generation_shape SHAPE = {chunk, end, whole, STREAM_SSE};
    struct generation *g = generation_open(q, &SHAPE, "cmpl-");
    if (g && read_request(g, q->json)) generation_start(g);
}

const struct route completion_routes[] = {{"POST", "/v1/completions", run, FAMILY_OPENAI, 0}, {0}};
