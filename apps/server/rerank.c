/* rerank.c - documents by relevance, in four shapes: Jina's and Cohere's first (/v1/rerank), Cohere's second (/v2/rerank), TEI's wherever `texts` stand in
 * place of `documents`. Scores are probabilities unless raw_scores is true. A document is cut before its query is, and told. */
#include <stdlib.h>
#include <string.h>

#include "embedding.h"

enum shape { JINA, COHERE2, TEI };

static void put_told(struct text *t, const gllm_ranking *r) {
    if (r->truncated) text_format(t, ",\"truncated\":true,\"tokens\":%u,\"full_tokens\":%u", r->tokens, r->full_tokens);
}
static void put_results(struct text *t, const struct ask *a, const gllm_rankings *r) {
    for (size_t i = 0; i < r->count; i++) {
        const gllm_ranking *item = &r->items[i];
        text_format(t, "%s{\"index\":%zu,\"%s\":", i ? "," : "", item->index, a->encoding == TEI ? "score" : "relevance_score");
        text_float(t, item->score);
        if (a->want_text) {
            text_put(t, a->encoding == TEI ? ",\"text\":" : ",\"document\":{\"text\":");
            text_json(t, a->texts[item->index].ptr, a->texts[item->index].len);
            text_put(t, a->encoding == TEI ? "" : "}");
        }
        put_told(t, item);
        text_put(t, "}");
    }
}

static void answer(struct request *q) {
    const struct ask *a = q->state;
    gllm_rankings *r = ask_rankings(q);
    struct text t = {0};
    if (!r) return;
    const unsigned long long tokens = r->usage.prompt_tokens;
    if (a->encoding == TEI) text_put(&t, "[");
    else text_format(&t, "{\"id\":\"req_%llu\",", (unsigned long long)q->id);
    if (a->encoding == JINA) {
        text_put(&t, "\"model\":");
        text_json_put(&t, a->model->name);
        text_format(&t, ",\"object\":\"list\",\"usage\":{\"prompt_tokens\":%llu,\"total_tokens\":%llu},", tokens, tokens);
    }
    if (a->encoding != TEI) text_put(&t, "\"results\":[");
    put_results(&t, a, r);
    text_put(&t, "]");
    if (a->encoding != TEI) {
        text_format(&t, ",\"meta\":{\"api_version\":{\"version\":\"%d\"},\"billed_units\":{\"search_units\":1},\"tokens\":{\"input_tokens\":%llu}}", a->encoding == JINA ? 1 : 2, tokens);
        text_put(&t, r->untrained ? ",\"untrained\":true}" : "}");
    }
    gllm_rankings_free(r);
    reply_text(q, 200, "application/json", &t);
}

/* Strings, or objects with a `text`. */
static bool read_documents(struct request *q, struct ask *a, const char *key) {
    const json_t *v = json_object_get(q->json, key);
    const size_t n = json_array_size(v);
    if (!v) return field_missing(q, key, "a list of documents");
    if (!json_is_array(v)) reply_error(q, 400, "invalid_type", key, "%s: expected a list", key);
    else if (!n) reply_error(q, 400, "empty_input", key, "%s is an empty list", key);
    else if (field_items(q, key, n) && !(a->texts = malloc(n * sizeof *a->texts))) reply_no_memory(q);
    if (!a->texts) return false;
    for (a->count = 0; a->count < n; a->count++) {
        const json_t *d = json_array_get(v, a->count), *s = json_is_object(d) ? json_object_get(d, "text") : d;
        if (!json_is_string(s)) {
            reply_error(q, 400, "invalid_type", key, "%s[%zu]: expected a string, or an object with a string `text`", key, a->count);
            return false;
        }
        a->texts[a->count] = (gllm_str){json_string_value(s), json_string_length(s)};
    }
    return true;
}

static bool read_rerank(struct request *q, struct ask *a) {
    const bool tei = a->encoding == TEI;
    bool raw = false;
    gllm_rerank_request *r = &a->rerank;
    const uint32_t longest = a->model->info->max_tokens;
    uint32_t per_document = longest;
    if (!field_text(q, q->json, "query", &r->query)) return false;
    if (!r->query.ptr) return field_missing(q, "query", "a string");
    if (!read_documents(q, a, tei ? "texts" : "documents")) return false;
    if (!field_u32(q, q->json, "top_n", 1, UINT32_MAX, &r->top_n) || !field_bool(q, q->json, "raw_scores", &raw)) return false;
    if (!field_bool(q, q->json, tei ? "return_text" : "return_documents", &a->want_text) || !ask_truncate(q, &r->truncate)) return false;
    if (!field_text(q, q->json, "instruction", &r->instruction) || !field_bool(q, q->json, "as_judge", &r->as_judge)) return false;
    if (!field_refuse(q, q->json, "rank_fields", "[\"text\"]", "documents are ranked by their text") || !field_u32(q, q->json, "max_tokens_per_doc", 1, UINT32_MAX, &per_document)) return false;
    if (per_document < longest) {
        reply_error(q, 400, "unsupported_value", "max_tokens_per_doc", "max_tokens_per_doc below the model's limit of %u is not supported: cut the documents before", longest);
        return false;
    }
    r->documents = a->texts, r->n_documents = a->count;
    r->scores = raw ? GLLM_SCORES_RAW : GLLM_SCORES_PROBABILITY;
    return true;
}

static void rerank(struct request *q, enum shape shape) {
    struct ask *a = ask_open(q, "rerank");
    gllm_submit how;
    gllm_job *job = NULL;
    gllm_error err = {0};
    if (!a) return;
    a->encoding = json_object_get(q->json, "texts") && !json_object_get(q->json, "documents") ? TEI : shape;
    if (!read_rerank(q, a)) return;
    job_prepare(q, &how);
    if (job_started(q, gllm_rerank_async(q->client, &a->rerank, &how, &job, &err), &job, &err)) q->then = answer;
}
static void jina(struct request *q) { rerank(q, JINA); }
static void cohere2(struct request *q) { rerank(q, COHERE2); }

const struct route rerank_routes[] = {
    {"POST", "/v1/rerank", jina, FAMILY_OPENAI, 0},
    {"POST", "/v2/rerank", cohere2, FAMILY_COHERE, 0},
    {"POST", "/rerank", jina, FAMILY_TEI, 0},
    {0},
};
