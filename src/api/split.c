#include "api/split.h"

#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "model/model.h"
#include "text/chat.h"

static gllm_status grow(struct growing *g, const char *s, size_t n, gllm_error *err) {
    return grow_text(&g->data, &g->len, &g->room, s, n) ? GLLM_OK : err_nomem(err, "answer");
}

/* ---- chunks ---- */
static void chunk(struct split *s, gllm_part part, uint32_t call, const char *text, size_t len) {
    gllm_chunk c = {.struct_size = sizeof c, .text = {text, len}, .token = -1, .part = part, .call = call};
    if (!s->r->on_chunk || s->stopped) return;
    if (s->token) {
        c.token = s->token->id, c.logprob = s->token->logprob, c.n_top = s->token->n_top;
        c.top = (const gllm_token_logprob *)(const void *)s->token->top;
        s->token = NULL;
    }
    if (!s->r->on_chunk(s->r->user, &c)) s->stopped = true;
}

static gllm_status add_call(struct split *s, const struct reply_event *e, gllm_error *err) {
    struct split_call *more = realloc(s->calls, (s->n_calls + 1) * sizeof *more);
    if (!more) return err_nomem(err, "answer");
    s->calls = more;
    s->calls[s->n_calls] = (struct split_call){0};
    s->n_calls++;
    TRY(grow(&s->calls[s->n_calls - 1].arguments, "", 0, err));
    return grow(&s->calls[s->n_calls - 1].name, e->text, e->len, err);
}

static gllm_status on_event(void *user, const struct reply_event *e, gllm_error *err) {
    struct split *s = user;
    static const gllm_part PARTS[] = {[REPLY_CONTENT] = GLLM_PART_CONTENT, [REPLY_REASONING] = GLLM_PART_REASONING, [REPLY_CALL] = GLLM_PART_CALL, [REPLY_ARGUMENTS] = GLLM_PART_ARGUMENTS};
    if (e->part == REPLY_CALL && e->call && s->r->single_call) s->over = true;
    if (s->over) return GLLM_OK;
    if (e->part == REPLY_CALL) TRY(add_call(s, e, err));
    else TRY(grow(e->part == REPLY_CONTENT ? &s->content : e->part == REPLY_REASONING ? &s->reasoning : &s->calls[e->call].arguments, e->text, e->len, err));
    chunk(s, PARTS[e->part], e->call, e->text, e->len);
    return GLLM_OK;
}

bool split_tell(void *user, const char *text, size_t len, int32_t token, const struct sampled *t) {
    struct split *s = user;
    if (s->status != GLLM_OK) return false;
    if (token >= 0 && reply_thinks(s->answer)) s->reasoning_tokens++;
    s->token = token >= 0 ? t : NULL;
    s->status = reply_push(s->answer, text, len, &s->error);
    if (s->token || token < 0) chunk(s, reply_thinks(s->answer) ? GLLM_PART_REASONING : GLLM_PART_CONTENT, 0, "", 0); /* one call for each token, and in the prompt */
    s->token = NULL;
    return s->status == GLLM_OK && !s->over && !s->stopped;
}

/* ---- opening ---- */
/* tool_choice as what the answer must be. */
static gllm_status demand(struct split *s, bool opened, struct generate_call *call, gllm_error *err) {
    const char *choice = s->r->tool_choice;
    const bool any = choice && !strcmp(choice, "required");
    if (!choice || !strcmp(choice, "auto") || !strcmp(choice, "none")) return GLLM_OK;
    if (call->constraint.kind != CONSTRAINT_NONE) return err_set(err, GLLM_INVALID, "tool_choice \"%.60s\" and a form of the answer exclude each other", choice);
    const struct reply_demand d = {.style = s->style, .tools = s->tools, .name = any ? NULL : choice, .one = !any || s->r->single_call, .opened = opened};
    TRY(reply_demand_text(&d, &s->demand, err));
    call->constraint = (struct constraint_spec){CONSTRAINT_CALLS, s->demand, strlen(s->demand)};
    return GLLM_OK;
}

gllm_status split_open(struct split *s, const struct model *m, const gllm_generate_request *r, const struct jinja_text *prompt, struct generate_call *call, gllm_error *err) {
    struct chat_request request = {.template = r->chat_template, .template_len = r->chat_template ? strlen(r->chat_template) : 0};
    struct chat_string template;
    s->r = r;
    if (r->tools) TRY(json_parse_values(r->tools, strlen(r->tools), "tools", &s->tools, err));
    request.tools = s->tools;
    TRY(chat_choose(&m->files.chat, &request, &template, err));
    s->style = reply_style(template.text, template.len);
    if (s->tools && !memmem(template.text, template.len, "tools", 5)) return err_set(err, GLLM_UNSUPPORTED, "tools: the model's chat template tells the model of no tools");
    const bool opened = reply_opened(&s->style, prompt->data, prompt->len) && call->constraint.kind == CONSTRAINT_NONE; /* a form holds from the first byte on */
    TRY(demand(s, opened, call, err));
    if (!s->tools) s->style.calls = NULL;
    const struct reply_options o = {.style = s->style, .tools = s->tools, .opened = opened, .hold_calls = r->hold_calls || !r->on_chunk, .fn = on_event, .user = s};
    call->shows = reply_is_mark, call->shows_user = &s->style;
    call->on_text = split_tell, call->user = s;
    return reply_open(&s->answer, &o, err);
}

/* ---- the end ---- */
static gllm_str text_of(const struct growing *g) { return (gllm_str){g->data ? g->data : "", g->len}; }

gllm_status split_finish(struct split *s, struct arena *arena, gllm_completion *out, gllm_error *err) {
    out->content = text_of(&s->content), out->reasoning = text_of(&s->reasoning);
    if (!s->answer) return GLLM_OK;
    if (s->status == GLLM_OK) s->status = reply_end(s->answer, &s->error);
    if (s->status != GLLM_OK) return err_set(err, s->status, "%s", s->error.message);
    gllm_tool_call *calls = arena_array(arena, s->n_calls, sizeof *calls);
    if (!calls) return err_nomem(err, "completion");
    for (uint32_t i = 0; i < s->n_calls; i++) calls[i] = (gllm_tool_call){s->calls[i].name.data, text_of(&s->calls[i].arguments)};
    out->content = text_of(&s->content), out->reasoning = text_of(&s->reasoning);
    out->tool_calls = calls, out->n_tool_calls = s->n_calls;
    out->reasoning_tokens = s->reasoning_tokens;
    if (s->n_calls && (s->over || out->finish == GLLM_FINISH_STOP)) out->finish = GLLM_FINISH_TOOL_CALLS;
    return GLLM_OK;
}

void split_free(struct split *s) {
    reply_close(s->answer);
    json_decref(s->tools);
    free(s->demand);
    free(s->content.data);
    free(s->reasoning.data);
    for (uint32_t i = 0; i < s->n_calls; i++) {
        free(s->calls[i].name.data);
        free(s->calls[i].arguments.data);
    }
    free(s->calls);
}
