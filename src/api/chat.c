#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/api.h"
#include "api/client.h"
#include "base/utf8.h"

/* A field that holds JSON; NULL gives NULL. */
static gllm_status parse_field(const char *text, const char *name, bool array, json_t **out, gllm_error *err) {
    *out = NULL;
    if (!text) return GLLM_OK;
    gllm_status status = json_parse_values(text, strlen(text), name, out, err);
    if (status == GLLM_OK && (array ? json_is_array(*out) : json_is_object(*out))) return GLLM_OK;
    if (status == GLLM_OK) status = err_set(err, GLLM_INVALID, "%s: found %s, expected an %s", name, json_kind(*out), array ? "array" : "object");
    else if (status == GLLM_FORMAT) status = err_wrap(err, GLLM_INVALID, "request"), status = GLLM_INVALID;
    json_decref(*out);
    *out = NULL;
    return status;
}

static gllm_status message_json(const gllm_message *m, size_t i, json_t **out, gllm_error *err) {
    char name[64];
    size_t bad, len = api_str_len(m->content);
    json_t *extra = NULL;
    snprintf(name, sizeof name, "message %zu: extra", i);
    *out = NULL;
    if (!m->role) return err_set(err, GLLM_INVALID, "message %zu: role is NULL", i);
    if (!utf8_valid(m->role, strlen(m->role), &bad)) return err_set(err, GLLM_INVALID, "message %zu: role: byte %zu is not UTF-8", i, bad);
    if (m->content.ptr && !utf8_valid(m->content.ptr, len, &bad)) return err_set(err, GLLM_INVALID, "message %zu: content: byte %zu is not UTF-8", i, bad);
    TRY(parse_field(m->extra, name, false, &extra, err));
    json_t *v = *out = json_object();
    int failed = !v || json_object_set_new(v, "role", json_string(m->role));
    if (m->content.ptr) failed |= json_object_set_new(v, "content", json_stringn(m->content.ptr, len));
    if (extra) failed |= json_object_update(v, extra);
    json_decref(extra);
    if (!failed) return GLLM_OK;
    json_decref(v);
    *out = NULL;
    return err_nomem(err, "messages");
}

static gllm_status messages_json(const gllm_generate_request *r, json_t *out, gllm_error *err) {
    if (r->n_messages && !r->messages) return err_set(err, GLLM_INVALID, "messages is NULL, n_messages is %zu", r->n_messages);
    for (size_t i = 0; i < r->n_messages; i++) {
        json_t *m;
        TRY(message_json(&r->messages[i], i, &m, err));
        if (json_array_append_new(out, m)) return err_nomem(err, "messages");
    }
    return GLLM_OK;
}

static void time_of(const gllm_generate_request *r, struct tm *out) {
    const time_t t = r->template_time ? (time_t)r->template_time : time(NULL);
    *out = (struct tm){.tm_mday = 1};
    if (r->template_time) gmtime_r(&t, out);
    else localtime_r(&t, out);
}

gllm_status api_chat_render(const struct model *m, const gllm_generate_request *r, struct jinja_text *out, gllm_error *err) {
    const struct model_files *f = &m->files;
    json_t *messages = json_array(), *tools = NULL, *args = NULL;
    struct chat_request request = {.template = r->chat_template, .template_len = r->chat_template ? strlen(r->chat_template) : 0, .continue_final = r->continue_final};
    gllm_status status;
    *out = (struct jinja_text){0};
    if (!messages) return err_nomem(err, "messages");
    TRY_GO(f->generates ? GLLM_OK : err_set(err, GLLM_UNSUPPORTED, "%s is %s (%s): it answers no messages", f->dir.name, f->ranker.kind != RANKER_NONE ? "a reranker" : f->cfg.decoder ? "an embedder" : "an encoder", f->arch.name));
    TRY_GO(messages_json(r, messages, err));
    TRY_GO(parse_field(r->tools, "tools", true, &tools, err));
    TRY_GO(parse_field(r->template_args, "template_args", false, &args, err));
    request.messages = messages, request.tools = tools, request.args = args;
    time_of(r, &request.now);
    TRY_GO(chat_render(&f->chat, &request, out, err));
done:
    json_decref(messages);
    json_decref(tools);
    json_decref(args);
    return status;
}

gllm_status api_chat_encode(const struct model *m, const struct jinja_text *text, struct encoding *out, gllm_error *err) {
    const struct encode_options opt = {.parse_special = true, .plain = text->caller, .n_plain = text->n_caller};
    return tokenizer_encode(m->files.tokenizer, text->data, text->len, NULL, 0, &opt, out, err);
}

struct rendered {
    gllm_rendered base; /* first: the pointer that the caller has */
    struct jinja_text text;
    struct encoding tokens;
};

void gllm_rendered_free(gllm_rendered *p) {
    struct rendered *r = (struct rendered *)p;
    if (!r) return;
    jinja_text_free(&r->text);
    encoding_free(&r->tokens);
    free(r);
}

static gllm_status render_chat(const struct model *m, const gllm_generate_request *r, gllm_rendered **out, gllm_error *err) {
    struct rendered *p = calloc(1, sizeof *p);
    gllm_status status;
    if (!p) return err_nomem(err, "chat");
    TRY_GO(api_chat_render(m, r, &p->text, err));
    TRY_GO(api_chat_encode(m, &p->text, &p->tokens, err));
    _Static_assert(sizeof(size_t[2]) == sizeof(struct text_span), "the same pair");
    p->base = (gllm_rendered){.text = {p->text.data, p->text.len}, .n_tokens = p->tokens.count, .tokens = p->tokens.ids, .n_caller = p->text.n_caller,
                              .caller = (const size_t(*)[2])(const void *)p->text.caller};
done:
    if (status != GLLM_OK) gllm_rendered_free(&p->base);
    else *out = &p->base;
    return status;
}

gllm_status gllm_render_chat(gllm_client *client, const gllm_generate_request *request, gllm_rendered **out, gllm_error *err) {
    gllm_generate_request r;
    struct use u;
    if (!out) return err_set(err, GLLM_INVALID, "gllm_render_chat: out is NULL");
    *out = NULL;
    if (!client || !request || !request->struct_size) return err_set(err, GLLM_INVALID, "gllm_render_chat: a client and a request set by gllm_generate_request_init are required");
    gllm_generate_request_init(&r);
    TRY(api_copy_sized("gllm_generate_request", &r, sizeof r, request, request->struct_size, err));
    TRY(client_use(client, r.model, &u, err));
    gllm_status status = render_chat(u.model, &r, out, err);
    client_release(&u);
    return status;
}
