#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "embedding.h"

static void ask_free(void *state) {
    struct ask *a = state;
    free(a->texts);
    free(a->pairs);
    free(a->ids);
    free(a->id_block);
    free(a);
}

struct ask *ask_open(struct request *q, const char *task) {
    const struct served *m = request_model(q, task);
    struct ask *a = m ? calloc(1, sizeof *a) : NULL;
    if (m && !a) reply_no_memory(q);
    if (!a) return NULL;
    a->model = m;
    gllm_embed_request_init(&a->embed);
    gllm_rerank_request_init(&a->rerank);
    gllm_classify_request_init(&a->classify);
    a->embed.model = a->rerank.model = a->classify.model = m->name;
    q->state = a, q->state_free = ask_free;
    return a;
}

/* ---- token ids in place of texts ---- */
static size_t count_ids(const json_t *in, bool many) {
    size_t total = 0;
    for (size_t i = 0; many && i < json_array_size(in); i++) total += json_array_size(json_array_get(in, i));
    return many ? total : json_array_size(in);
}
static bool read_id_lists(struct request *q, struct ask *a, const json_t *in, const char *key) {
    const bool many = json_is_array(json_array_get(in, 0));
    const size_t n = many ? json_array_size(in) : 1;
    if (field_items(q, key, n) && (!(a->ids = malloc(n * sizeof *a->ids)) || !(a->id_block = malloc((count_ids(in, many) + 1) * sizeof *a->id_block))))
        reply_no_memory(q);
    if (replied(q)) return false;
    int32_t *at = a->id_block;
    for (a->count = 0; a->count < n; a->count++) {
        const json_t *list = many ? json_array_get(in, a->count) : in;
        if (!field_ids(q, list, key, at)) return false;
        a->ids[a->count] = (gllm_ids){at, json_array_size(list)};
        at += json_array_size(list);
    }
    return true;
}

bool ask_inputs(struct request *q, struct ask *a, const char *key) {
    const json_t *in = json_object_get(q->json, key), *first = json_array_get(in, 0);
    if (json_is_integer(first) || json_is_array(first)) return read_id_lists(q, a, in, key);
    return field_texts(q, q->json, key, &a->texts, &a->count);
}

bool ask_truncate(struct request *q, gllm_truncate *out) {
    static const char *const NAMES[] = {[GLLM_TRUNCATE_END] = "end", [GLLM_TRUNCATE_START] = "start", [GLLM_TRUNCATE_NONE] = "none"};
    const json_t *v = json_object_get(q->json, "truncate"), *side = json_object_get(q->json, "truncation_direction");
    const char *s = json_string_value(v), *d = json_string_value(side);
    if (request_options(q)->auto_truncate) *out = GLLM_TRUNCATE_END;
    if (json_is_boolean(v)) *out = json_is_true(v) ? GLLM_TRUNCATE_END : GLLM_TRUNCATE_NONE;
    else if (v && !json_is_null(v)) {
        unsigned i = 0;
        while (i < 3 && (!s || strcasecmp(s, NAMES[i]) != 0)) i++;
        if (i == 3) {
            reply_error(q, 400, "invalid_value", "truncate", "truncate: expected end, start, none, true or false");
            return false;
        }
        *out = (gllm_truncate)i;
    }
    if (!side || json_is_null(side)) return true;
    if (!d || (strcasecmp(d, "left") != 0 && strcasecmp(d, "right") != 0)) {
        reply_error(q, 400, "invalid_value", "truncation_direction", "truncation_direction: expected left or right");
        return false;
    }
    if (*out != GLLM_TRUNCATE_NONE && !strcasecmp(d, "left")) *out = GLLM_TRUNCATE_START;
    return true;
}

gllm_normalize ask_unit(const struct ask *a) { return strcmp(a->model->info->similarity, "dot") ? GLLM_NORMALIZE_ON : GLLM_NORMALIZE_MODEL; }

static bool read_prompt(struct request *q, struct ask *a) {
    /* OpenAI has none of these; Cohere's four, and the words that others use for the same */
    static const char TYPES[] = "query|search_query|document|passage|search_document|classification|clustering|plain";
    const gllm_model_info *m = a->model->info;
    int type = -1;
    const char *name = NULL;
    if (!field_string(q, q->json, "prompt_name", &name) || !field_choice(q, q->json, "input_type", TYPES, &type)) return false;
    if (type >= 0) a->embed.input_type = type < 2 ? GLLM_INPUT_QUERY : type < 5 ? GLLM_INPUT_DOCUMENT : GLLM_INPUT_PLAIN;
    size_t i = 0;
    while (name && i < m->n_prompts && strcmp(m->prompts[i].name, name) != 0) i++;
    if (name && i == m->n_prompts) {
        struct text t = {0};
        for (i = 0; i < m->n_prompts; i++) text_format(&t, "%s%s", i ? ", " : "", m->prompts[i].name);
        reply_error(q, 400, "invalid_value", "prompt_name", "prompt_name: \"%.60s\" is none of the model's: %s", name, t.ptr ? t.ptr : "it has none");
        text_free(&t);
        return false;
    }
    a->embed.prompt_name = name ? name : type < 0 ? request_options(q)->prompt_name : NULL;
    return true;
}

static bool read_dimensions(struct request *q, struct ask *a, const char *key) {
    const uint32_t dim = a->model->info->dim;
    const json_t *v = json_object_get(q->json, key);
    if (!v || json_is_null(v)) return true;
    return field_u32(q, q->json, key, 1, dim ? dim : 1, &a->embed.dimensions);
}

bool ask_embed_options(struct request *q, struct ask *a, const char *dimensions) {
    const json_t *n = json_object_get(q->json, "normalize");
    bool on = true;
    if (!field_bool(q, q->json, "normalize", &on)) return false;
    if (json_is_boolean(n)) a->embed.normalize = on ? GLLM_NORMALIZE_ON : GLLM_NORMALIZE_OFF;
    return read_dimensions(q, a, dimensions) && read_prompt(q, a) && ask_truncate(q, &a->embed.truncate);
}

void ask_embed(struct request *q, struct ask *a, void (*then)(struct request *q)) {
    gllm_submit how;
    gllm_job *job = NULL;
    gllm_error err = {0};
    a->embed.inputs = a->texts, a->embed.ids = a->ids, a->embed.n_inputs = a->count;
    job_prepare(q, &how);
    if (job_started(q, gllm_embed_async(q->client, &a->embed, &how, &job, &err), &job, &err)) q->then = then;
}

/* What was computed and cut, for log, metrics and the client. */
static void note(struct request *q, size_t items, size_t truncated, const gllm_usage *usage, double queue_ms, double compute_ms) {
    char count[24];
    q->items += items, q->truncated += truncated, q->tokens_in += usage->prompt_tokens;
    q->queue_ms = queue_ms, q->compute_ms = compute_ms;
    snprintf(count, sizeof count, "%zu", truncated);
    if (truncated) reply_header(q, "x-truncated", count);
}

gllm_embeddings *ask_embeddings(struct request *q) {
    gllm_embeddings *e = NULL;
    gllm_error err = {0};
    const gllm_status status = gllm_job_take_embeddings(q->jobs[0], &e, &err);
    if (status == GLLM_OK) note(q, e->count, e->n_truncated, &e->usage, e->queue_ms, e->compute_ms);
    else reply_failure(q, status, &err, NULL);
    return status == GLLM_OK ? e : NULL;
}
gllm_rankings *ask_rankings(struct request *q) {
    const struct ask *a = q->state;
    gllm_rankings *r = NULL;
    gllm_error err = {0};
    const gllm_status status = gllm_job_take_rankings(q->jobs[0], &r, &err);
    if (status == GLLM_OK) note(q, a->count, r->n_truncated, &r->usage, r->queue_ms, r->compute_ms);
    else reply_failure(q, status, &err, NULL);
    return status == GLLM_OK ? r : NULL;
}
gllm_classes *ask_classes(struct request *q) {
    gllm_classes *c = NULL;
    gllm_error err = {0};
    const gllm_status status = gllm_job_take_classes(q->jobs[0], &c, &err);
    if (status == GLLM_OK) note(q, c->count, c->n_truncated, &c->usage, c->queue_ms, c->compute_ms);
    else reply_failure(q, status, &err, NULL);
    return status == GLLM_OK ? c : NULL;
}

void ask_embedding(struct text *t, const gllm_embeddings *e, size_t i) { text_floats(t, e->data + i * e->dim, e->dim); }
