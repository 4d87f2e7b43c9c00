/* tei.c - the routes of Text Embeddings Inference: /embed /embed_all /embed_sparse /predict /similarity /tokenize /decode /info. Its defaults: long texts are
 * cut, and told (x-truncated); vectors are of length 1. */
#include <stdlib.h>
#include <string.h>

#include "embedding.h"

/* ---- embeddings in three forms ---- */
static void put_dense(struct text *t, const gllm_embeddings *e, size_t i) { ask_embedding(t, e, i); }
static void put_tokens(struct text *t, const gllm_embeddings *e, size_t i) {
    const gllm_token_vectors *v = &e->token_vectors[i];
    text_put(t, "[");
    for (size_t k = 0; k < v->count; k++) {
        if (k) text_put(t, ",");
        text_floats(t, v->data + k * e->token_dim, e->token_dim);
    }
    text_put(t, "]");
}
static void put_sparse(struct text *t, const gllm_embeddings *e, size_t i) {
    const gllm_sparse *s = &e->sparse[i];
    text_put(t, "[");
    for (size_t k = 0; k < s->count; k++) {
        text_format(t, "%s{\"index\":%d,\"value\":", k ? "," : "", s->ids[k]);
        text_float(t, s->weights[k]);
        text_put(t, "}");
    }
    text_put(t, "]");
}

static void answer_embed(struct request *q) {
    const struct ask *a = q->state;
    gllm_embeddings *e = ask_embeddings(q);
    struct text t = {0};
    if (!e) return;
    text_put(&t, "[");
    for (size_t i = 0; i < e->count; i++) {
        if (i) text_put(&t, ",");
        if (a->embed.outputs == GLLM_OUTPUT_SPARSE) put_sparse(&t, e, i);
        else if (a->embed.outputs == GLLM_OUTPUT_TOKENS) put_tokens(&t, e, i);
        else put_dense(&t, e, i);
    }
    text_put(&t, "]");
    gllm_embeddings_free(e);
    reply_text(q, 200, "application/json", &t);
}

static void embed_form(struct request *q, gllm_output output) {
    struct ask *a = ask_open(q, "embed");
    if (!a) return;
    a->embed.outputs = output;
    if (output == GLLM_OUTPUT_DENSE) a->embed.normalize = GLLM_NORMALIZE_ON;
    if (!ask_embed_options(q, a, "dimensions") || !ask_inputs(q, a, "inputs")) return;
    ask_embed(q, a, answer_embed);
}
static void embed(struct request *q) { embed_form(q, GLLM_OUTPUT_DENSE); }
static void embed_all(struct request *q) { embed_form(q, GLLM_OUTPUT_TOKENS); }
static void embed_sparse(struct request *q) { embed_form(q, GLLM_OUTPUT_SPARSE); }

/* ---- similarity ---- */
static void answer_similarity(struct request *q) {
    gllm_embeddings *e = ask_embeddings(q);
    struct text t = {0};
    if (!e) return;
    text_put(&t, "[");
    for (size_t i = 1; i < e->count; i++) {
        double sum = 0;
        for (size_t k = 0; k < e->dim; k++) sum += (double)e->data[k] * (double)e->data[i * e->dim + k];
        if (i > 1) text_put(&t, ",");
        text_float(&t, (float)sum);
    }
    text_put(&t, "]");
    gllm_embeddings_free(e);
    reply_text(q, 200, "application/json", &t);
}

/* The first text is the one that the others are compared with. */
static bool read_sentences(struct request *q, struct ask *a, const json_t *in) {
    gllm_str source = {0}, *others;
    size_t n;
    if (!json_is_object(in)) return field_missing(q, "inputs", "an object with source_sentence and sentences");
    if (!field_text(q, in, "source_sentence", &source)) return false;
    if (!source.ptr) return field_missing(q, "source_sentence", "a string");
    if (!field_texts(q, in, "sentences", &others, &n)) return false;
    a->texts = malloc((n + 1) * sizeof *a->texts);
    if (a->texts) {
        a->texts[0] = source;
        memcpy(a->texts + 1, others, n * sizeof *others);
        a->count = n + 1;
    } else reply_no_memory(q);
    free(others);
    return a->texts != NULL;
}

static void similarity(struct request *q) {
    struct ask *a = ask_open(q, "embed");
    if (!a || !read_sentences(q, a, json_object_get(q->json, "inputs"))) return;
    json_t *parameters = json_object_get(q->json, "parameters"); /* prompt_name, truncate and its direction stand in there */
    if (json_is_object(parameters)) json_object_update_missing(q->json, parameters);
    if (!ask_embed_options(q, a, "dimensions")) return;
    a->embed.normalize = GLLM_NORMALIZE_ON;
    ask_embed(q, a, answer_similarity);
}

/* ---- classes ---- */
struct label {
    size_t index;
    float score;
};
static int by_score(const void *a, const void *b) {
    const struct label *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static void put_labels(struct text *t, const gllm_classes *c, size_t i, struct label *order) {
    for (size_t k = 0; k < c->n_labels; k++) order[k] = (struct label){k, c->scores[i * c->n_labels + k]};
    qsort(order, c->n_labels, sizeof *order, by_score);
    text_put(t, "[");
    for (size_t k = 0; k < c->n_labels; k++) {
        text_put(t, k ? ",{\"score\":" : "{\"score\":");
        text_float(t, order[k].score);
        text_put(t, ",\"label\":");
        text_json_put(t, c->labels[order[k].index]);
        text_put(t, "}");
    }
    text_put(t, "]");
}

static void answer_predict(struct request *q) {
    const struct ask *a = q->state;
    gllm_classes *c = ask_classes(q);
    struct text t = {0};
    if (!c) return;
    struct label *order = malloc((c->n_labels + 1) * sizeof *order);
    if (!order) t.failed = true;
    if (!a->single) text_put(&t, "[");
    for (size_t i = 0; order && i < c->count; i++) {
        if (i) text_put(&t, ",");
        put_labels(&t, c, i, order);
    }
    if (!a->single) text_put(&t, "]");
    free(order);
    gllm_classes_free(c);
    reply_text(q, 200, "application/json", &t);
}

/* "a" is one text, ["a", "b"] one pair, [["a"], ["b", "c"]] many of either. */
static bool read_one(const json_t *v, gllm_str *text, gllm_str *pair) {
    const json_t *first = json_is_array(v) ? json_array_get(v, 0) : v, *second = json_array_get(v, 1);
    if (!json_is_string(first) || json_array_size(v) > 2 || (second && !json_is_string(second))) return false;
    *text = (gllm_str){json_string_value(first), json_string_length(first)};
    *pair = second ? (gllm_str){json_string_value(second), json_string_length(second)} : (gllm_str){0};
    return true;
}
static bool read_predict(struct request *q, struct ask *a) {
    const json_t *in = json_object_get(q->json, "inputs");
    const bool many = json_is_array(in) && json_is_array(json_array_get(in, 0));
    const size_t n = many ? json_array_size(in) : 1;
    size_t pairs = 0;
    if (!in) return field_missing(q, "inputs", "a string, a pair or a list of them");
    if (json_is_array(in) && !json_array_size(in)) reply_error(q, 400, "empty_input", "inputs", "inputs is an empty list");
    else if (field_items(q, "inputs", n) && (!(a->texts = malloc(n * sizeof *a->texts)) || !(a->pairs = malloc(n * sizeof *a->pairs)))) reply_no_memory(q);
    if (replied(q)) return false;
    a->single = !many;
    for (a->count = 0; a->count < n; a->count++) {
        if (!read_one(many ? json_array_get(in, a->count) : in, &a->texts[a->count], &a->pairs[a->count])) {
            reply_error(q, 400, "invalid_type", "inputs", "inputs[%zu]: expected a string, or a list of one or two strings", a->count);
            return false;
        }
        pairs += a->pairs[a->count].ptr != NULL;
    }
    if (pairs && pairs < n) reply_error(q, 400, "invalid_value", "inputs", "inputs has %zu pairs among %zu texts, expected either pairs or single texts", pairs, n);
    return !pairs || pairs == n;
}

static void predict(struct request *q) {
    struct ask *a = ask_open(q, "classify");
    bool raw = false;
    gllm_submit how;
    gllm_job *job = NULL;
    gllm_error err = {0};
    if (!a || !read_predict(q, a) || !field_bool(q, q->json, "raw_scores", &raw) || !ask_truncate(q, &a->classify.truncate)) return;
    a->classify.inputs = a->texts, a->classify.n_inputs = a->count;
    a->classify.pairs = a->pairs[0].ptr ? a->pairs : NULL;
    a->classify.scores = raw ? GLLM_SCORES_RAW : GLLM_SCORES_PROBABILITY;
    job_prepare(q, &how);
    if (job_started(q, gllm_classify_async(q->client, &a->classify, &how, &job, &err), &job, &err)) q->then = answer_predict;
}

/* ---- tokens ---- */
/* Which of the ids are added around the text: those outside of where it stands when nothing is added. */
static void put_token_list(struct text *t, const gllm_tokens *all, const gllm_tokens *bare) {
    size_t from = 0;
    while (from + bare->count <= all->count && memcmp(all->ids + from, bare->ids, bare->count * sizeof *bare->ids) != 0) from++;
    text_put(t, "[");
    for (size_t i = 0; i < all->count; i++) {
        text_format(t, "%s{\"id\":%d,\"text\":", i ? "," : "", all->ids[i]);
        text_json(t, all->pieces[i].ptr, all->pieces[i].len);
        text_format(t, ",\"special\":%s,\"start\":null,\"stop\":null}", i < from || i >= from + bare->count ? "true" : "false");
    }
    text_put(t, "]");
}

static bool tokenize_one(struct request *q, struct ask *a, gllm_str text, bool special, struct text *t) {
    gllm_tokenize_request r;
    gllm_tokens *all = NULL, *bare = NULL;
    gllm_error err = {0};
    gllm_tokenize_request_init(&r);
    r.text = text, r.model = a->model->name, r.no_special = !special;
    gllm_status status = gllm_tokenize(q->client, &r, &all, &err);
    r.no_special = true;
    if (status == GLLM_OK) status = gllm_tokenize(q->client, &r, &bare, &err);
    if (status == GLLM_OK) put_token_list(t, all, bare);
    else reply_failure(q, status, &err, "inputs");
    gllm_tokens_free(all);
    gllm_tokens_free(bare);
    return status == GLLM_OK;
}

static void tokenize(struct request *q) {
    struct ask *a = ask_open(q, NULL);
    bool special = true;
    struct text t = {0};
    if (!a || !field_bool(q, q->json, "add_special_tokens", &special) || !field_texts(q, q->json, "inputs", &a->texts, &a->count)) return;
    text_put(&t, "[");
    for (size_t i = 0; i < a->count; i++) {
        if (i) text_put(&t, ",");
        if (tokenize_one(q, a, a->texts[i], special, &t)) continue;
        text_free(&t);
        return;
    }
    text_put(&t, "]");
    reply_text(q, 200, "application/json", &t);
}

static bool decode_one(struct request *q, struct ask *a, const json_t *list, bool skip, struct text *t) {
    const size_t n = json_array_size(list);
    int32_t *ids = malloc((n + 1) * sizeof *ids);
    char *text = NULL;
    gllm_error err = {.message = "out of memory"};
    gllm_status status = ids ? GLLM_OK : GLLM_NOMEM;
    if (ids && !field_ids(q, list, "ids", ids)) {
        free(ids);
        return false;
    }
    if (ids) status = gllm_detokenize(q->client, a->model->name, ids, n, !skip, &text, &err);
    if (status == GLLM_OK) text_json_put(t, text);
    else reply_failure(q, status, &err, "ids");
    gllm_text_free(text);
    free(ids);
    return status == GLLM_OK;
}

static void decode(struct request *q) {
    struct ask *a = ask_open(q, NULL);
    const json_t *ids = json_object_get(q->json, "ids");
    const bool many = json_is_array(json_array_get(ids, 0));
    bool skip = true;
    struct text t = {0};
    if (!a || !field_bool(q, q->json, "skip_special_tokens", &skip)) return;
    if (!json_is_array(ids)) {
        field_missing(q, "ids", "a list of token ids, or a list of such lists");
        return;
    }
    text_put(&t, "[");
    for (size_t i = 0; i < (many ? json_array_size(ids) : 1); i++) {
        if (i) text_put(&t, ",");
        if (decode_one(q, a, many ? json_array_get(ids, i) : ids, skip, &t)) continue;
        text_free(&t);
        return;
    }
    text_put(&t, "]");
    reply_text(q, 200, "application/json", &t);
}

/* ---- info ---- */
static json_t *model_type(const gllm_model_info *m) {
    if (!strcmp(m->task, "embed")) return json_pack("{s:{s:s}}", "embedding", "pooling", m->pooling);
    if (!strcmp(m->task, "rerank")) return json_pack("{s:{}}", "reranker");
    if (!strcmp(m->task, "classify")) return json_pack("{s:{s:i}}", "classifier", "labels", (int)m->n_labels);
    return json_pack("{s:{}}", "generator");
}
static void info(struct request *q) {
    const struct server_options *o = request_options(q);
    const struct served *m = served_at(q->server, 0);
    reply_json(q, 200,
               json_pack("{s:s,s:n,s:s,s:s,s:o,s:i,s:i,s:i,s:n,s:i,s:b,s:i,s:s,s:n,s:n}", "model_id", m->name, "model_sha", "model_dtype", m->info->dtype, "served_model_name",
                         m->name, "model_type", model_type(m->info), "max_concurrent_requests", (int)o->base.max_queue, "max_input_length", (int)m->info->max_tokens,
                         "max_batch_tokens", (int)o->base.max_batch_tokens, "max_batch_requests", "max_client_batch_size", (int)o->max_items, "auto_truncate", 1,
                         "tokenization_workers", (int)o->base.threads, "version", gllm_version_string(), "sha", "docker_label"));
}

const struct route tei_routes[] = {
    {"POST", "/embed", embed, FAMILY_TEI, 0},
    {"POST", "/embed_all", embed_all, FAMILY_TEI, 0},
    {"POST", "/embed_sparse", embed_sparse, FAMILY_TEI, 0},
    {"POST", "/predict", predict, FAMILY_TEI, 0},
    {"POST", "/similarity", similarity, FAMILY_TEI, 0},
    {"POST", "/tokenize", tokenize, FAMILY_TEI, 0},
    {"POST", "/decode", decode, FAMILY_TEI, 0},
    {"GET", "/info", info, FAMILY_TEI, 0},
    {0},
};
