/* cohere.c - Cohere's /v1/embed and /v2/embed. Long texts are cut at their end unless `truncate` says otherwise, as there. */
#include <stdlib.h>
#include <string.h>

#include "embedding.h"

enum { FLOATS = 1, BASE64 = 2, BINARY = 4, UBINARY = 8 }; /* bits, in the order in which they are answered */
static const char *const TYPES[] = {"float", "base64", "binary", "ubinary"};

/* One bit a value, set where it is above 0, eight to a byte, the first highest; `binary` counts from -128. */
static void put_bits(struct text *t, const float *v, size_t dim, bool is_signed) {
    text_put(t, "[");
    for (size_t i = 0; i < dim; i += 8) {
        unsigned byte = 0;
        for (size_t k = 0; k < 8; k++) byte = byte << 1 | (i + k < dim && v[i + k] > 0);
        text_format(t, "%s%d", i ? "," : "", is_signed ? (int)byte - 128 : (int)byte);
    }
    text_put(t, "]");
}

static void put_vectors(struct text *t, const gllm_embeddings *e, unsigned type) {
    text_put(t, "[");
    for (size_t i = 0; i < e->count; i++) {
        const float *v = e->data + i * e->dim;
        if (i) text_put(t, ",");
        if (type == FLOATS) text_floats(t, v, e->dim);
        else if (type == BASE64) text_base64(t, v, e->dim * sizeof *v);
        else put_bits(t, v, e->dim, type == BINARY);
    }
    text_put(t, "]");
}

static void put_by_type(struct text *t, const gllm_embeddings *e, unsigned types) {
    bool first = true;
    text_put(t, "{");
    for (unsigned i = 0; i < 4; i++) {
        if (!(types >> i & 1)) continue;
        text_format(t, "%s\"%s\":", first ? "" : ",", TYPES[i]);
        put_vectors(t, e, 1u << i);
        first = false;
    }
    text_put(t, "}");
}

static void answer(struct request *q) {
    const struct ask *a = q->state;
    gllm_embeddings *e = ask_embeddings(q);
    struct text t = {0};
    if (!e) return;
    text_format(&t, "{\"id\":\"req_%llu\",", (unsigned long long)q->id);
    if (a->encoding == 1) text_format(&t, "\"response_type\":\"embeddings_%s\",", a->by_type ? "by_type" : "floats");
    text_put(&t, "\"embeddings\":");
    if (a->by_type) put_by_type(&t, e, a->types);
    else put_vectors(&t, e, FLOATS);
    text_put(&t, ",\"texts\":[");
    for (size_t i = 0; i < a->count; i++) {
        if (i) text_put(&t, ",");
        text_json(&t, a->texts[i].ptr, a->texts[i].len);
    }
    text_format(&t, "],\"meta\":{\"api_version\":{\"version\":\"%d\"},\"billed_units\":{\"input_tokens\":%llu}}}", a->encoding, (unsigned long long)e->usage.prompt_tokens);
    gllm_embeddings_free(e);
    reply_text(q, 200, "application/json", &t);
}

static bool read_types(struct request *q, struct ask *a) {
    const json_t *list = json_object_get(q->json, "embedding_types");
    a->by_type = a->encoding == 2 || json_array_size(list) > 0;
    a->types = json_array_size(list) ? 0 : FLOATS;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *s = json_string_value(json_array_get(list, i));
        unsigned k = 0;
        while (k < 4 && (!s || strcmp(s, TYPES[k]) != 0)) k++;
        if (k == 4) {
            reply_error(q, 400, "unsupported_value", "embedding_types", "embedding_types: \"%.40s\" is not supported; there are float, base64, binary and ubinary", s ? s : "?");
            return false;
        }
        a->types |= 1u << k;
    }
    return true;
}

/* `texts`, or the newer `inputs`: objects whose content is one part of text. */
static bool read_texts(struct request *q, struct ask *a) {
    const json_t *in = json_object_get(q->json, "inputs");
    const size_t n = json_array_size(in);
    if (json_object_get(q->json, "texts") || !json_is_array(in)) return field_texts(q, q->json, "texts", &a->texts, &a->count);
    if (!n || n > request_options(q)->max_items) {
        reply_error(q, 400, "invalid_value", "inputs", "inputs has %zu items, expected 1 to %u", n, request_options(q)->max_items);
        return false;
    }
    if (!(a->texts = malloc(n * sizeof *a->texts))) {
        reply_no_memory(q);
        return false;
    }
    for (a->count = 0; a->count < n; a->count++) {
        const json_t *content = json_object_get(json_array_get(in, a->count), "content"), *text = json_object_get(json_array_get(content, 0), "text");
        if (json_array_size(content) != 1 || !json_is_string(text)) {
            reply_error(q, 400, "unsupported_value", "inputs", "inputs[%zu].content: expected one part with a text; images are not supported", a->count);
            return false;
        }
        a->texts[a->count] = (gllm_str){json_string_value(text), json_string_length(text)};
    }
    return true;
}

static void embed(struct request *q, int version) {
    struct ask *a = ask_open(q, "embed");
    if (!a) return;
    a->encoding = version;
    a->embed.normalize = ask_unit(a);
    if (!read_types(q, a) || !field_refuse(q, q->json, "images", "[]", "the models read texts")) return;
    if (ask_embed_options(q, a, "output_dimension") && read_texts(q, a)) ask_embed(q, a, answer);
}
static void embed1(struct request *q) { embed(q, 1); }
static void embed2(struct request *q) { embed(q, 2); }

const struct route cohere_routes[] = {
    {"POST", "/v1/embed", embed1, FAMILY_COHERE, 0},
    {"POST", "/v2/embed", embed2, FAMILY_COHERE, 0},
    {0},
};
