/* logprobs.c - tokens with their log-probabilities, in the shapes of chat and of text completions. */
#include <stdlib.h>
#include <string.h>

#include "../common/token_text.h"
#include "generate.h"

static void one(struct text *t, const struct generation *g, int32_t before, int32_t id, float logprob) {
    char *text = token_text(g->q->client, g->model->name, before, id);
    text_put(t, "{\"token\":");
    text_json_put(t, text ? text : "");
    text_put(t, ",\"logprob\":");
    text_float(t, logprob);
    text_put(t, ",\"bytes\":");
    if (!text || strstr(text, "\xef\xbf\xbd")) text_put(t, "null"); /* a part of a character */
    else {
        text_put(t, "[");
        for (const char *c = text; *c; c++) text_format(t, "%s%u", c == text ? "" : ",", (unsigned)(unsigned char)*c);
        text_put(t, "]");
    }
    gllm_text_free(text);
}

void logprob_entry(struct text *t, const struct generation *g, int32_t before, int32_t id, float logprob, const gllm_token_logprob *top, size_t n_top) {
    one(t, g, before, id, logprob);
    text_put(t, ",\"top_logprobs\":[");
    for (size_t i = 0; i < n_top; i++) {
        if (i) text_put(t, ",");
        one(t, g, before, top[i].id, top[i].logprob);
        text_put(t, "}");
    }
    text_put(t, "]}");
}

static void put_token(struct text *t, const struct generation *g, int32_t before, int32_t id) {
    char *text = token_text(g->q->client, g->model->name, before, id);
    text_json_put(t, text ? text : "");
    gllm_text_free(text);
}

static void put_top(struct text *t, const struct generation *g, int32_t before, const gllm_token_logprob *top, size_t n_top) {
    text_put(t, "{");
    for (size_t i = 0; i < n_top; i++) {
        if (i) text_put(t, ",");
        put_token(t, g, before, top[i].id);
        text_put(t, ":");
        text_float(t, top[i].logprob);
    }
    text_put(t, "}");
}

void logprob_lists(struct text *t, const struct generation *g, size_t n, int32_t before, const int32_t *ids, const float *logprobs, const gllm_token_logprob *top, size_t n_top, size_t *offset) {
    text_put(t, "{\"tokens\":[");
    for (size_t i = 0; i < n; i++) text_put(t, i ? "," : ""), put_token(t, g, i ? ids[i - 1] : before, ids[i]);
    text_put(t, "],\"token_logprobs\":[");
    for (size_t i = 0; i < n; i++) text_put(t, i ? "," : ""), text_float(t, logprobs[i]);
    text_put(t, "],\"top_logprobs\":");
    if (!n_top) text_put(t, "null");
    for (size_t i = 0; n_top && i < n; i++) text_put(t, i ? "," : "["), put_top(t, g, i ? ids[i - 1] : before, top + i * n_top, n_top);
    if (n_top) text_put(t, n ? "]" : "[]");
    text_put(t, ",\"text_offset\":[");
    for (size_t i = 0; i < n; i++) {
        char *text = token_text(g->q->client, g->model->name, i ? ids[i - 1] : before, ids[i]);
        text_format(t, "%s%zu", i ? "," : "", *offset);
        for (const char *s = text ? text : ""; *s; s++) *offset += ((unsigned char)*s & 0xc0) != 0x80;
        gllm_text_free(text);
    }
    text_put(t, "]}");
}
