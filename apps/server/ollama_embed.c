/* ollama_embed.c - Ollama's /api/embed, and /api/embeddings before it. Vectors are of length 1; long texts are cut unless `truncate` is false. */
#include "embedding.h"

enum { MANY, ONE };

static void answer(struct request *q) {
    const struct ask *a = q->state;
    gllm_embeddings *e = ask_embeddings(q);
    struct text t = {0};
    if (!e) return;
    if (a->encoding == ONE) text_put(&t, "{\"embedding\":");
    else {
        text_put(&t, "{\"model\":");
        text_json_put(&t, a->model->name);
        text_put(&t, ",\"embeddings\":[");
    }
    for (size_t i = 0; i < e->count; i++) {
        if (i) text_put(&t, ",");
        ask_embedding(&t, e, i);
    }
    if (a->encoding == ONE) text_put(&t, "}");
    else
        text_format(&t, "],\"total_duration\":%.0f,\"load_duration\":0,\"prompt_eval_count\":%llu}", (e->queue_ms + e->compute_ms) * 1e6, (unsigned long long)e->usage.prompt_tokens);
    gllm_embeddings_free(e);
    reply_text(q, 200, "application/json", &t);
}

static void embed(struct request *q, int form) {
    struct ask *a = ask_open(q, "embed");
    if (!a) return;
    a->encoding = form;
    a->embed.normalize = form == ONE ? GLLM_NORMALIZE_MODEL : ask_unit(a);
    if (ask_embed_options(q, a, "dimensions") && field_texts(q, q->json, form == ONE ? "prompt" : "input", &a->texts, &a->count)) ask_embed(q, a, answer);
}
static void embed_many(struct request *q) { embed(q, MANY); }
static void embed_one(struct request *q) { embed(q, ONE); }

const struct route ollama_embed_routes[] = {
    {"POST", "/api/embed", embed_many, FAMILY_OLLAMA, 0},
    {"POST", "/api/embeddings", embed_one, FAMILY_OLLAMA, 0},
    {0},
};
