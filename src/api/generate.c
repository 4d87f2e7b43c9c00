#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/job.h"
#include "api/split.h"
#include "base/arena.h"
#include "base/utf8.h"
#include "engine/generate.h"

void gllm_generate_request_init_sized(gllm_generate_request *r, size_t size) {
    const gllm_generate_request full = {.struct_size = size, .top_p = 1, .typical_p = 1, .repetition_penalty = 1};
    api_init_sized(r, size, &full, sizeof full);
}

struct completion {
    gllm_completion base; /* first: the pointer that the caller has */
    struct arena arena;
    struct generate_call call;
    struct split split;
};

void gllm_completion_free(gllm_completion *r) {
    struct completion *c = (struct completion *)r;
    if (!c) return;
    generate_call_free(&c->call);
    split_free(&c->split);
    arena_free(&c->arena);
    free(c);
}

struct generate_job {
    gllm_job job; /* first */
    gllm_generate_request r;
    struct encoding prompt;
    struct completion *completion; /* until it is the job's result */
};

static bool tell(void *user, const char *text, size_t len, int32_t token, const struct sampled *s) {
    const gllm_generate_request *r = user;
    const gllm_chunk chunk = {.struct_size = sizeof chunk, .text = {text, len}, .token = token, .logprob = s ? s->logprob : 0,
                              .n_top = s ? s->n_top : 0, .top = s ? (const gllm_token_logprob *)(const void *)s->top : NULL};
    return r->on_chunk(r->user, &chunk);
}

static gllm_status fill_stops(const gllm_generate_request *r, struct completion *c, gllm_error *err) {
    if (r->n_stop && !r->stop) return err_set(err, GLLM_INVALID, "stop is NULL, n_stop is %zu", r->n_stop);
    struct stop_string *list = arena_array(&c->arena, r->n_stop, sizeof *list);
    if (!list) return err_nomem(err, "stop strings");
    for (size_t i = 0; i < r->n_stop; i++) {
        list[i] = (struct stop_string){r->stop[i].ptr ? r->stop[i].ptr : "", api_str_len(r->stop[i])};
        size_t bad;
        if (!utf8_valid(list[i].text, list[i].len, &bad)) return err_set(err, GLLM_INVALID, "stop string %zu: not UTF-8 at byte %zu", i, bad);
    }
    c->call.stop = list;
    c->call.n_stop = r->n_stop;
    return GLLM_OK;
}

static gllm_status fill_params(const gllm_generate_request *r, struct completion *c, gllm_error *err) {
    if (r->n_logit_bias && !r->logit_bias) return err_set(err, GLLM_INVALID, "logit_bias is NULL, n_logit_bias is %zu", r->n_logit_bias);
    struct logit_bias *bias = arena_array(&c->arena, r->n_logit_bias, sizeof *bias);
    if (!bias) return err_nomem(err, "logit_bias");
    for (size_t i = 0; i < r->n_logit_bias; i++) bias[i] = (struct logit_bias){r->logit_bias[i].id, r->logit_bias[i].bias};
    if (r->n_prompt_ids > UINT32_MAX) return err_set(err, GLLM_TOO_LONG, "prompt_ids: found %zu, expected at most %u", r->n_prompt_ids, UINT32_MAX);
    if (r->n_top && !r->logprobs) return err_set(err, GLLM_INVALID, "n_top is %u without logprobs", r->n_top);
    if (r->n_top > 1000) return err_set(err, GLLM_INVALID, "n_top: found %u, expected at most 1000", r->n_top);
    c->call.sampler = (struct sampler_params){.temperature = r->temperature, .top_p = r->top_p, .min_p = r->min_p, .typical_p = r->typical_p, .top_k = r->top_k, .repetition_penalty = r->repetition_penalty,
                                              .presence_penalty = r->presence_penalty, .frequency_penalty = r->frequency_penalty, .penalty_last_n = r->penalty_last_n, .bias = bias,
                                              .n_bias = r->n_logit_bias, .seed = r->seed, .logprobs = r->logprobs, .n_top = r->n_top};
    c->call.max_tokens = r->max_tokens;
    c->call.ignore_eos = r->ignore_eos;
    return fill_stops(r, c, err);
}

static gllm_status fill_constraint(const gllm_generate_request *r, struct completion *c, gllm_error *err) {
    static const char OBJECT[] = "{\"type\":\"object\"}";
    if ((r->grammar != NULL) + (r->json_schema != NULL) + r->json > 1) return err_set(err, GLLM_INVALID, "grammar, json_schema and json exclude each other");
    const char *text = r->grammar ? r->grammar : r->json_schema ? r->json_schema : r->json ? OBJECT : NULL;
    if (text) c->call.constraint = (struct constraint_spec){r->grammar ? CONSTRAINT_GBNF : CONSTRAINT_SCHEMA, text, strlen(text)};
    return GLLM_OK;
}

static gllm_status encode(const struct model *m, gllm_str text, bool parse_special, struct encoding *e, gllm_error *err) {
    const struct encode_options opt = {.add_special = true, .parse_special = parse_special};
    return tokenizer_encode(m->files.tokenizer, text.ptr ? text.ptr : "", api_str_len(text), NULL, 0, &opt, e, err);
}

/* The prompt, or the messages. */
static gllm_status encode_request(const struct model *m, const gllm_generate_request *r, struct completion *c, struct encoding *e, gllm_error *err) {
    struct jinja_text text;
    if (!r->n_messages) return encode(m, r->prompt, r->parse_special, e, err);
    TRY(api_chat_render(m, r, &text, err));
    gllm_status status = r->split_answer ? split_open(&c->split, m, r, &text, &c->call, err) : GLLM_OK;
    if (status == GLLM_OK) status = api_chat_encode(m, &text, e, err);
    jinja_text_free(&text);
    return status;
}

static gllm_status submit(gllm_job *job, gllm_error *err) {
    struct generate_job *j = (struct generate_job *)job;
    gllm_generate_request *r = &j->r;
    struct completion *c = j->completion = calloc(1, sizeof *c);
    if (!c) return err_nomem(err, "completion");
    TRY(fill_params(r, c, err));
    TRY(fill_constraint(r, c, err));
    if (r->on_chunk) c->call.on_text = tell, c->call.user = r;
    if (!r->n_prompt_ids) TRY(encode_request(job->use.model, r, c, &j->prompt, err));
    c->call.prompt = r->n_prompt_ids ? r->prompt_ids : j->prompt.ids;
    c->call.n_prompt = r->n_prompt_ids ? (uint32_t)r->n_prompt_ids : j->prompt.count;
    job_bind(job, &c->call.task);
    return engine_generate_submit(job->use.engine, &c->call, err);
}

static gllm_status finish(gllm_job *job, gllm_error *err) {
    struct generate_job *j = (struct generate_job *)job;
    struct completion *c = j->completion;
    struct generate_call *g = &c->call;
    float *logprobs = NULL;
    const char *model = arena_strdup(&c->arena, job->use.slot->name);
    if (!model) return err_nomem(err, "completion");
    if (g->sampler.logprobs && !(logprobs = arena_array(&c->arena, g->n_tokens, sizeof *logprobs))) return err_nomem(err, "logprobs");
    for (uint32_t i = 0; logprobs && i < g->n_tokens; i++) logprobs[i] = g->sampled[i].logprob;
    _Static_assert(sizeof(gllm_token_logprob) == sizeof(struct token_logprob), "the same pair");
    c->base = (gllm_completion){.text = {g->text ? g->text : "", g->text_len}, .n_tokens = g->n_tokens, .tokens = g->tokens, .logprobs = logprobs, .n_top = g->sampler.n_top,
                                .top = (const gllm_token_logprob *)(const void *)g->top, .finish = g->finish, .context_full = g->context_full, .stop_index = g->stop_hit,
                                .prompt_tokens = g->n_prompt, .cached_tokens = g->n_cached, .prefill_ms = g->prefill_ms, .decode_ms = g->decode_ms, .model = model,
                                .queue_ms = job_queue_ms(job)};
    TRY(split_finish(&c->split, &c->arena, &c->base, err));
    job->result = &c->base;
    j->completion = NULL;
    return GLLM_OK;
}

static gllm_status copy_messages(gllm_job *job, gllm_generate_request *r, gllm_error *err) {
    gllm_message *list = arena_array(&job->arena, r->n_messages, sizeof *list);
    if (!list) return err_nomem(err, "request");
    for (size_t i = 0; r->messages && i < r->n_messages; i++) {
        list[i] = r->messages[i];
        TRY(job_copy_text(job, &list[i].role, err));
        TRY(job_copy_text(job, &list[i].extra, err));
        TRY(job_copy_str(job, &list[i].content, err));
    }
    if (r->messages) r->messages = list;
    return GLLM_OK;
}

static gllm_status copy(gllm_job *job, gllm_error *err) {
    gllm_generate_request *r = &((struct generate_job *)job)->r;
    const char **texts[] = {&r->tools, &r->template_args, &r->chat_template, &r->grammar, &r->json_schema, &r->tool_choice};
    gllm_logit_bias *bias = arena_array(&job->arena, r->n_logit_bias, sizeof *bias);
    if (!bias) return err_nomem(err, "request");
    if (r->logit_bias) r->logit_bias = memcpy(bias, r->logit_bias, r->n_logit_bias * sizeof *bias);
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) TRY(job_copy_text(job, texts[i], err));
    if (r->n_prompt_ids) {
        int32_t *ids = arena_array(&job->arena, r->n_prompt_ids, sizeof *ids);
        if (!ids) return err_nomem(err, "request");
        r->prompt_ids = memcpy(ids, r->prompt_ids, r->n_prompt_ids * sizeof *ids);
    }
    TRY(job_copy_str(job, &r->prompt, err));
    TRY(job_copy_strs(job, &r->stop, r->n_stop, err));
    return copy_messages(job, r, err);
}

static void drop(gllm_job *job) {
    struct generate_job *j = (struct generate_job *)job;
    encoding_free(&j->prompt);
    if (j->completion) gllm_completion_free(&j->completion->base);
}

static void free_result(void *result) { gllm_completion_free(result); }
static const struct job_kind GENERATE = {sizeof(struct generate_job), copy, submit, finish, drop, free_result};

static gllm_status check(const gllm_generate_request *r, gllm_error *err) {
    if ((r->prompt.ptr != NULL) + (r->n_messages != 0) + (r->n_prompt_ids != 0) > 1) return err_set(err, GLLM_INVALID, "found a prompt and messages, expected one of them");
    if (r->n_prompt_ids && !r->prompt_ids) return err_set(err, GLLM_INVALID, "prompt_ids is NULL, n_prompt_ids is %zu", r->n_prompt_ids);
    if (!r->n_messages && (r->split_answer || r->tools || r->template_args || r->chat_template || r->continue_final))
        return err_set(err, GLLM_INVALID, "%s goes with messages, and there are none", r->split_answer ? "split_answer" : r->tools ? "tools" : r->template_args ? "template_args" : r->chat_template ? "chat_template" : "continue_final");
    if (r->tool_choice && !(r->split_answer && r->tools)) return err_set(err, GLLM_INVALID, "tool_choice goes with split_answer and tools");
    return GLLM_OK;
}

static gllm_status generate_job(const char *where, gllm_client *c, const gllm_generate_request *request, gllm_job **out, gllm_error *err) {
    gllm_generate_request r;
    if (!c || !request || !request->struct_size) return err_set(err, GLLM_INVALID, "%s: a client and a request set by gllm_generate_request_init are required", where);
    gllm_generate_request_init(&r);
    TRY(api_copy_sized("gllm_generate_request", &r, sizeof r, request, request->struct_size, err));
    TRY(check(&r, err));
    if (r.tool_choice && !strcmp(r.tool_choice, "none")) r.tools = NULL;
    struct generate_job *j = job_new(&GENERATE, c, r.model);
    if (!j) return err_nomem(err, "job");
    j->r = r;
    *out = &j->job;
    return GLLM_OK;
}

gllm_status gllm_generate(gllm_client *c, const gllm_generate_request *request, gllm_completion **out, gllm_error *err) {
    gllm_job *j;
    void *result;
    if (!out) return err_set(err, GLLM_INVALID, "gllm_generate: out is NULL");
    *out = NULL;
    TRY(generate_job("gllm_generate", c, request, &j, err));
    gllm_status status = job_call(j, &result, err);
    *out = result;
    return status;
}

gllm_status gllm_generate_async(gllm_client *c, const gllm_generate_request *request, const gllm_submit *how, gllm_job **job, gllm_error *err) {
    gllm_job *j;
    if (!job) return err_set(err, GLLM_INVALID, "gllm_generate_async: job is NULL");
    *job = NULL;
    TRY(generate_job("gllm_generate_async", c, request, &j, err));
    return job_post(j, how, job, err);
}

gllm_status gllm_job_take_completion(gllm_job *j, gllm_completion **out, gllm_error *err) {
    void *result;
    if (!out) return err_set(err, GLLM_INVALID, "gllm_job_take_completion: out is NULL");
    gllm_status status = job_take(j, &GENERATE, &result, err);
    *out = result;
    return status;
}

struct score {
    gllm_score base;
    struct encoding tokens;
    float *logprobs;
    int32_t *top1;
};

void gllm_score_free(gllm_score *p) {
    struct score *s = (struct score *)p;
    if (!s) return;
    encoding_free(&s->tokens);
    free(s->logprobs);
    free(s->top1);
    free(s);
}

struct score_job {
    gllm_job job; /* first */
    gllm_str text;
    struct score *score; /* until it is the job's result */
    struct score_call call;
};

static gllm_status submit_score(gllm_job *job, gllm_error *err) {
    struct score_job *j = (struct score_job *)job;
    struct score *s = j->score = calloc(1, sizeof *s);
    if (!s) return err_nomem(err, "score");
    TRY(encode(job->use.model, j->text, false, &s->tokens, err));
    s->logprobs = malloc((s->tokens.count + 1) * sizeof *s->logprobs);
    s->top1 = malloc((s->tokens.count + 1) * sizeof *s->top1);
    if (!s->logprobs || !s->top1) return err_nomem(err, "score");
    j->call = (struct score_call){.tokens = s->tokens.ids, .n = s->tokens.count, .logprob = s->logprobs, .best = s->top1};
    job_bind(job, &j->call.task);
    return engine_score_submit(job->use.engine, &j->call, err);
}

static gllm_status finish_score(gllm_job *job, gllm_error *err) {
    struct score_job *j = (struct score_job *)job;
    struct score *s = j->score;
    (void)err;
    s->base = (gllm_score){.n_tokens = s->tokens.count, .tokens = s->tokens.ids, .logprobs = s->logprobs, .top1 = s->top1, .compute_ms = j->call.ms};
    job->result = &s->base;
    j->score = NULL;
    return GLLM_OK;
}

static void drop_score(gllm_job *job) {
    struct score_job *j = (struct score_job *)job;
    if (j->score) gllm_score_free(&j->score->base);
}

static void free_score(void *result) { gllm_score_free(result); }
static const struct job_kind SCORE = {sizeof(struct score_job), NULL, submit_score, finish_score, drop_score, free_score}; /* it is always waited for */

gllm_status gllm_score_text(gllm_client *client, const char *model, gllm_str text, gllm_score **out, gllm_error *err) {
    void *result;
    if (!out) return err_set(err, GLLM_INVALID, "gllm_score_text: out is NULL");
    *out = NULL;
    if (!client) return err_set(err, GLLM_INVALID, "gllm_score_text: client is NULL");
    struct score_job *j = job_new(&SCORE, client, model);
    if (!j) return err_nomem(err, "score");
    j->text = text;
    gllm_status status = job_call(&j->job, &result, err);
    *out = result;
    return status;
}
