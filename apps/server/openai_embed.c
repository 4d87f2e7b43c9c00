/* openai_embed.c - POST /v1/embeddings. A text above the model's limit is an error, as OpenAI's, unless the request or --auto-truncate says that it is cut. */
#include <string.h>

#include "embedding.h"

enum { FLOATS, BASE64 };

static void answer(struct request *q) {
    const struct ask *a = q->state;
    gllm_embeddings *e = ask_embeddings(q);
    struct text t = {0};
    if (!e) return;
    text_put(&t, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < e->count; i++) {
        text_format(&t, "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":", i ? "," : "", i);
        if (a->encoding == BASE64) text_base64(&t, e->data + i * e->dim, e->dim * sizeof(float));
        else ask_embedding(&t, e, i);
        if (e->truncated[i]) text_format(&t, ",\"truncated\":true,\"tokens\":%u,\"full_tokens\":%u", e->tokens[i], e->full_tokens[i]);
        text_put(&t, "}");
    }
    text_put(&t, "],\"model\":");
    text_json_put(&t, a->model->name);
    const unsigned long long n = e->usage.prompt_tokens;
    text_format(&t, ",\"usage\":{\"prompt_tokens\":%llu,\"total_tokens\":%llu}}", n, n);
    gllm_embeddings_free(e);
    reply_text(q, 200, "application/json", &t);
}

static bool no_empty_text(struct request *q, const struct ask *a) {
    for (size_t i = 0; a->texts && i < a->count; i++)
        if (!a->texts[i].len) {
            reply_error(q, 400, "empty_input", "input", "input[%zu] is an empty string", i);
            return false;
        }
    return true;
}

static void embeddings(struct request *q) {
    struct ask *a = ask_open(q, "embed");
    if (!a) return;
    a->embed.truncate = GLLM_TRUNCATE_NONE;
    a->embed.normalize = ask_unit(a);
    if (!field_choice(q, q->json, "encoding_format", "float|base64", &a->encoding) || !ask_embed_options(q, a, "dimensions")) return;
    if (!ask_inputs(q, a, "input") || !no_empty_text(q, a)) return;
    ask_embed(q, a, answer);
}

const struct route openai_embed_routes[] = {
    {"POST", "/v1/embeddings", embeddings, FAMILY_OPENAI, 0},
    {0},
};
