/* generate.c - the jobs of a request that generates. */
#include "generate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static void free_generation(void *state) {
    struct generation *g = state;
    for (uint32_t i = 0; g->choices && i < g->n; i++) {
        gllm_completion_free(g->choices[i].done);
        text_free(&g->choices[i].text);
    }
    for (size_t i = 0; i < g->n_kept; i++) free(g->kept[i]);
    free(g->kept);
    free(g->choices);
    json_decref(g->held);
    free(g);
}

static void *no_memory(struct request *q) {
    reply_error(q, 503, "overloaded", NULL, "out of memory");
    return NULL;
}

struct generation *generation_open(struct request *q, const struct generation_shape *shape, const char *id_prefix) {
    const struct served *model = request_model(q, "generate");
    if (!model) return NULL;
    if (strcmp(model->info->task, "generate")) {
        reply_error(q, 400, "unsupported", "model", "%s is a model for %s: it generates no text", model->name, model->info->task);
        return NULL;
    }
    struct generation *g = calloc(1, sizeof *g);
    if (!g || !(g->held = json_array())) {
        free(g);
        return no_memory(q);
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    q->state = g, q->state_free = free_generation;
    g->q = q, g->model = model, g->shape = shape, g->n = 1;
    g->created = now.tv_sec;
    gllm_generate_request_init(&g->r);
    g->r.model = model->name;
    snprintf(g->id, sizeof g->id, "%s%08llx%08lx%06llx", id_prefix, (unsigned long long)now.tv_sec, now.tv_nsec, (unsigned long long)q->id);
    return g;
}

void *generation_keep(struct generation *g, void *block) {
    void **more = block ? realloc(g->kept, (g->n_kept + 1) * sizeof *more) : NULL;
    if (!more) {
        free(block);
        return no_memory(g->q);
    }
    g->kept = more;
    return more[g->n_kept++] = block;
}

const char *generation_hold(struct generation *g, json_t *v) {
    char *text = v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    json_decref(v);
    return generation_keep(g, text);
}

/* ---- fields ---- */
bool generation_stop(struct generation *g, const json_t *o) {
    const json_t *v = json_object_get(o, "stop");
    if (!v || json_is_null(v) || (json_is_array(v) && !json_array_size(v))) return true;
    gllm_str *list;
    if (!field_texts(g->q, o, "stop", &list, &g->r.n_stop) || !generation_keep(g, list)) return false;
    for (size_t i = 0; i < g->r.n_stop; i++)
        if (!list[i].len) return reply_error(g->q, 400, "invalid_value", "stop", "stop: string %zu is empty", i), false;
    g->r.stop = list;
    return true;
}

bool generation_seed(struct generation *g, const json_t *o) {
    const json_t *v = json_object_get(o, "seed");
    if (json_is_integer(v)) g->r.seed = (uint64_t)json_integer_value(v);
    else if (v && !json_is_null(v)) return reply_error(g->q, 400, "invalid_type", "seed", "seed: expected a whole number of 64 bits"), false;
    else if (getrandom(&g->r.seed, sizeof g->r.seed, GRND_NONBLOCK) != (ssize_t)sizeof g->r.seed) g->r.seed = g->q->id;
    return true;
}

static bool bias_read(struct generation *g, const json_t *o) {
    const json_t *v = json_object_get(o, "logit_bias");
    const char *key;
    json_t *value;
    if (!v || json_is_null(v)) return true;
    if (!json_is_object(v)) return reply_error(g->q, 400, "invalid_type", "logit_bias", "logit_bias: expected an object of token ids and numbers"), false;
    gllm_logit_bias *list = generation_keep(g, malloc((json_object_size(v) + 1) * sizeof *list));
    if (!list) return false;
    json_object_foreach((json_t *)(uintptr_t)v, key, value) {
        char *end;
        errno = 0;
        const long id = strtol(key, &end, 10);
        const double bias = json_number_value(value);
        if (*end || !*key || errno || id < 0 || id > INT32_MAX || !json_is_number(value) || !(bias >= -100 && bias <= 100))
            return reply_error(g->q, 400, "invalid_value", "logit_bias", "logit_bias: at \"%.40s\": expected a token id and a number from -100 to 100", key), false;
        list[g->r.n_logit_bias++] = (gllm_logit_bias){(int32_t)id, (float)bias};
    }
    g->r.logit_bias = list;
    return true;
}

bool generation_sampling(struct generation *g, const json_t *o) {
    struct request *q = g->q;
    gllm_generate_request *r = &g->r;
    const struct {
        const char *key;
        double low, high;
        float *to;
    } REALS[] = {{"temperature", 0, 100, &r->temperature},        {"top_p", 0, 1, &r->top_p},
                 {"min_p", 0, 1, &r->min_p},                      {"typical_p", 0, 1, &r->typical_p},
                 {"repetition_penalty", 0, 100, &r->repetition_penalty}, {"repeat_penalty", 0, 100, &r->repetition_penalty},
                 {"presence_penalty", -2, 2, &r->presence_penalty}, {"frequency_penalty", -2, 2, &r->frequency_penalty}};
    for (size_t i = 0; i < sizeof REALS / sizeof *REALS; i++) {
        double v = (double)*REALS[i].to;
        if (!field_real(q, o, REALS[i].key, REALS[i].low, REALS[i].high, &v)) return false;
        *REALS[i].to = (float)v;
    }
    return field_u32(q, o, "top_k", 0, UINT32_MAX, &r->top_k) && field_u32(q, o, "repeat_last_n", 0, UINT32_MAX, &r->penalty_last_n) && field_bool(q, o, "ignore_eos", &r->ignore_eos) &&
           generation_seed(g, o) && generation_stop(g, o) && bias_read(g, o);
}

/* ---- jobs ---- */
static bool on_chunk(void *user, const gllm_chunk *k) {
    struct choice *c = user;
    const bool on = c->g->shape->chunk(c, k) && !request_gone(c->g->q);
    if (k->token >= 0) c->before = k->token;
    return on;
}

/* Which field a sentence of the library is about. */
static const char *param_of(const char *message) {
    static const char *const PARAMS[][2] = {{"tool_choice", "tool_choice"}, {"tools", "tools"}, {"schema", "response_format"}, {"message", "messages"}, {"stop", "stop"}, {"logit_bias", "logit_bias"},
                                            {"top_p", "top_p"}, {"template_args", "chat_template_kwargs"}, {"chat template", "messages"}};
    for (size_t i = 0; i < sizeof PARAMS / sizeof *PARAMS; i++)
        if (!strncmp(message, PARAMS[i][0], strlen(PARAMS[i][0]))) return PARAMS[i][1];
    return NULL;
}

static void count(struct generation *g) {
    struct request *q = g->q;
    uint64_t cached, reasoning;
    generation_usage(g, &q->tokens_in, &q->tokens_out, &cached, &reasoning);
    q->items = g->n;
    for (uint32_t i = 0; i < g->n; i++) {
        const gllm_completion *d = g->choices[i].done;
        if (d->queue_ms > q->queue_ms) q->queue_ms = d->queue_ms;
        q->compute_ms += d->prefill_ms + d->decode_ms;
    }
}

static void then(struct request *q) {
    struct generation *g = q->state;
    gllm_error err;
    for (uint32_t i = 0; i < g->n; i++) {
        gllm_status status = gllm_job_take_completion(q->jobs[i], &g->choices[i].done, &err);
        if (status == GLLM_OK && g->choices[i].done->finish == GLLM_FINISH_CANCELED) { /* half an answer is none: the server ends, or nobody reads */
            status = GLLM_CLOSED;
            snprintf(err.message, sizeof err.message, "the server is shutting down");
        }
        if (status == GLLM_OK) continue;
        if (g->stream) stream_failure(q, status, &err);
        else reply_failure(q, status, &err, param_of(err.message));
        return;
    }
    count(g);
    if (g->stream) g->shape->end(g);
    else g->shape->whole(g);
}

const struct prompt *generation_prompt(const struct choice *c) {
    const struct generation *g = c->g;
    return g->n_prompts ? &g->prompts[c->index / (g->n / g->n_prompts)] : NULL;
}

bool generation_start(struct generation *g) {
    struct request *q = g->q;
    if (g->n_prompts) g->n *= g->n_prompts;
    if (g->n > MAX_CHOICES) return reply_error(q, 400, "invalid_value", "n", "n: %u prompts and n make %u answers, expected at most %d", g->n_prompts, g->n, MAX_CHOICES), false;
    if (!(g->choices = calloc(g->n, sizeof *g->choices))) return no_memory(q) != NULL;
    if (g->stream && !stream_begin(q, g->shape->kind)) return false;
    for (uint32_t i = 0; i < g->n; i++) g->choices[i] = (struct choice){.g = g, .index = i, .before = -1, .part = -1};
    for (uint32_t i = 0; i < g->n; i++) {
        gllm_generate_request r = g->r;
        gllm_submit how;
        gllm_job *job = NULL;
        gllm_error err;
        const struct prompt *prompt = generation_prompt(&g->choices[i]);
        if (prompt) r.prompt = prompt->text, r.prompt_ids = prompt->ids, r.n_prompt_ids = prompt->n;
        r.seed += g->n_prompts ? i % (g->n / g->n_prompts) : i;
        if (g->stream) r.on_chunk = on_chunk, r.user = &g->choices[i];
        job_prepare(q, &how);
        const gllm_status status = gllm_generate_async(q->client, &r, &how, &job, &err);
        if (job_started(q, status, &job, &err)) continue;
        if (status != GLLM_OK && param_of(err.message)) reply_failure(q, status, &err, param_of(err.message));
        return false;
    }
    q->then = then;
    return true;
}

/* ---- answers ---- */
const char *generation_finish(const struct choice *c) {
    switch (c->done->finish) {
    case GLLM_FINISH_LENGTH: return "length";
    case GLLM_FINISH_TOOL_CALLS: return "tool_calls";
    default: return "stop";
    }
}

void generation_head(struct text *t, const struct generation *g, const char *object) {
    text_format(t, "{\"id\":\"%s\",\"object\":\"%s\",\"created\":%lld,\"model\":", g->id, object, (long long)g->created);
    text_json_put(t, g->model->name);
    text_format(t, ",\"system_fingerprint\":\"" FINGERPRINT "%s\",\"choices\":[", gllm_version_string());
}

void generation_usage(const struct generation *g, uint64_t *prompt, uint64_t *completion, uint64_t *cached, uint64_t *reasoning) {
    const uint32_t each = g->n_prompts ? g->n / g->n_prompts : g->n; /* a prompt counts once, however many answers it has */
    *prompt = *cached = *completion = *reasoning = 0;
    for (uint32_t i = 0; i < g->n; i++) {
        if (i % each == 0) *prompt += g->choices[i].done->prompt_tokens, *cached += g->choices[i].done->cached_tokens;
        *completion += g->choices[i].done->n_tokens;
        *reasoning += g->choices[i].done->reasoning_tokens;
    }
}

void generation_put_usage(struct text *t, const struct generation *g) {
    uint64_t prompt, completion, cached, reasoning;
    generation_usage(g, &prompt, &completion, &cached, &reasoning);
    text_format(t, "{\"prompt_tokens\":%llu,\"completion_tokens\":%llu,\"total_tokens\":%llu,\"prompt_tokens_details\":{\"cached_tokens\":%llu},\"completion_tokens_details\":{\"reasoning_tokens\":%llu}}",
                (unsigned long long)prompt, (unsigned long long)completion, (unsigned long long)(prompt + completion), (unsigned long long)cached, (unsigned long long)reasoning);
}

bool generation_send(struct generation *g, struct text *event) {
    const bool on = !event->failed && stream_event(g->q, event->ptr, event->len);
    text_free(event);
    return on;
}

/* Nine letters and digits, since Mistral's templates take no other ids. */
void generation_call_id(const struct choice *c, uint32_t call, char out[CALL_ID_BYTES]) {
    static const char LETTERS[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    uint64_t h = 14695981039346656037ull ^ call ^ (uint64_t)c->index << 32;
    for (const char *s = c->g->id; *s; s++) h = (h ^ (unsigned char)*s) * 1099511628211ull;
    for (int i = 0; i < CALL_ID_BYTES - 1; i++, h /= 62) out[i] = LETTERS[h % 62];
    out[CALL_ID_BYTES - 1] = '\0';
}
