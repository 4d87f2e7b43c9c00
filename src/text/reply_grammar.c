/* reply_grammar.c - the grammar of an answer that must call tools.
 *
 * Between the two functions goes a JSON document, since a grammar is read where the model runs: the texts around names and arguments, and the
 * tools' schemas below $defs by the tools' names, so that what is wrong in one is told by its pointer. */
#include <stdlib.h>
#include <string.h>

#include "text/reply_impl.h"
#include "text/schema_reader.h"

/* ---- writing ---- */

/* A copy of a tool's schema in which references begin at `root` rather than at "#". */
static json_t *moved(const json_t *v, const char *root) {
    json_t *copy = json_is_object(v) ? json_object() : json_is_array(v) ? json_array() : json_incref((json_t *)(uintptr_t)v), *value;
    const char *key;
    size_t i;
    if (!json_is_object(v)) {
        json_array_foreach((json_t *)(uintptr_t)v, i, value) json_array_append_new(copy, moved(value, root));
        return copy;
    }
    json_object_foreach((json_t *)(uintptr_t)v, key, value) {
        const char *ref = !strcmp(key, "$ref") ? json_string_value(value) : NULL;
        json_object_set_new(copy, key, ref && ref[0] == '#' ? json_sprintf("%s%s", root, ref + 1) : moved(value, root));
    }
    return copy;
}

static gllm_status add_tool(const json_t *tool, json_t *names, json_t *schemas, gllm_error *err) {
    const json_t *inner = json_object_get(tool, "function"), *function = inner ? inner : tool, *parameters = json_object_get(function, "parameters");
    const char *name = json_string_value(json_object_get(function, "name"));
    if (!name || strpbrk(name, "/~%\"\\")) return err_set(err, GLLM_INVALID, "tools: found the name %s%.60s, expected one of letters, digits, _ and -", name ? "" : json_kind(NULL), name ? name : "");
    json_t *root = json_sprintf("#/$defs/%s", name), *schema = root && parameters ? moved(parameters, json_string_value(root)) : json_object();
    int failed = !root || !schema || (!json_object_get(schema, "type") && !json_object_get(schema, "$ref") && json_object_set_new(schema, "type", json_string("object")));
    failed = failed || json_object_set_new(schemas, name, schema) || json_array_append_new(names, json_string(name));
    json_decref(root);
    return failed ? err_nomem(err, "tools") : GLLM_OK;
}

gllm_status reply_demand_text(const struct reply_demand *d, char **out, gllm_error *err) {
    const struct call_texts *w = d->style.calls ? &d->style.calls->write : NULL;
    json_t *names = json_array(), *schemas = json_object(), *doc = NULL, *tool;
    gllm_status status = names && schemas ? GLLM_OK : err_nomem(err, "tools");
    size_t i;
    *out = NULL;
    if (!w || !w->begin) status = err_set(err, GLLM_UNSUPPORTED, "tool_choice: the model's chat template shows calls %s, and an answer cannot be held to them: only \"auto\" and \"none\" work", w ? "as tags" : "in no known form");
    json_array_foreach((json_t *)(uintptr_t)d->tools, i, tool) {
        const json_t *function = json_object_get(tool, "function"), *name = json_object_get(function ? function : tool, "name");
        if (status == GLLM_OK && (!d->name || (json_is_string(name) && !strcmp(json_string_value(name), d->name)))) status = add_tool(tool, names, schemas, err);
    }
    if (status == GLLM_OK && !json_array_size(names)) status = err_set(err, GLLM_INVALID, d->name ? "tool_choice: there is no tool \"%.80s\" in tools" : "tool_choice: an answer must call, and tools is empty", d->name);
    if (status == GLLM_OK) {
        const struct thought_marks *t = d->style.thought;
        doc = json_pack("{s:s*, s:s, s:b, s:s, s:s, s:s, s:s, s:s*, s:s, s:O, s:O}", "open", t ? t->open : NULL, "close", t ? t->close : "", "opened", t && d->opened, "begin", w->begin, "name", w->name, "args", w->args,
                        "end_call", w->end_call, "between", d->one ? NULL : w->between, "end", w->end, "names", names, "$defs", schemas);
        if (!doc || !(*out = json_dumps(doc, JSON_COMPACT))) status = err_nomem(err, "tools");
    }
    json_decref(names);
    json_decref(schemas);
    json_decref(doc);
    return status;
}

/* ---- reading ---- */
static struct expr *text_of(struct rules *r, const json_t *doc, const char *key) {
    const json_t *v = json_object_get(doc, key);
    return expr_text(r, json_string_value(v), json_string_length(v));
}

static struct expr *one_of(struct rules *r, const char *bytes, bool negate) {
    struct char_range ranges[2];
    size_t n = 0;
    for (; bytes[n]; n++) ranges[n] = (struct char_range){(unsigned char)bytes[n], (unsigned char)bytes[n]};
    if (n == 2 && ranges[0].from > ranges[1].from) ranges[0] = ranges[1], ranges[1] = (struct char_range){(unsigned char)bytes[0], (unsigned char)bytes[0]};
    return expr_chars(r, ranges, n, negate);
}

/* A thought up to its closing mark, and the white space behind it. In it the mark's first two characters never follow each other. */
static struct expr *thought(struct rules *r, const json_t *doc) {
    const char *close = json_string_value(json_object_get(doc, "close"));
    const char first[2] = {close[0], '\0'}, both[3] = {close[0], close[1], '\0'};
    struct expr *other = expr_seq(r), *any = expr_alt(r), *all = expr_seq(r);
    expr_add(r, expr_add(r, other, expr_repeat(r, one_of(r, first, false), 1, EXPR_FOREVER)), one_of(r, both, true));
    expr_add(r, expr_add(r, any, one_of(r, first, true)), other);
    expr_add(r, expr_add(r, all, expr_repeat(r, any, 0, EXPR_FOREVER)), expr_repeat(r, one_of(r, first, false), 0, EXPR_FOREVER));
    expr_add(r, all, text_of(r, doc, "close"));
    return expr_add(r, all, expr_repeat(r, one_of(r, "\n", false), 0, 2));
}

/* One call: an alternative for each tool. */
static gllm_status read_call(struct reader *r, struct expr **out, gllm_error *err) {
    static const struct pointer ROOT = {NULL, "#", 0};
    const json_t *names = json_object_get(r->root, "names");
    struct expr *alt = expr_alt(&r->rules), *args;
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        struct expr *call = expr_seq(&r->rules);
        struct target t;
        const json_t *ref = reader_hold(r, json_pack("{s:o}", "$ref", json_sprintf("#/$defs/%s", name)));
        if (!ref) return err_nomem(err, "tools");
        TRY(reader_resolve(r, ref, &ROOT, &t, err));
        TRY(reader_call(r, t, &args, err));
        expr_add(&r->rules, expr_add(&r->rules, call, text_of(&r->rules, r->root, "name")), expr_text(&r->rules, name, strlen(name)));
        expr_add(&r->rules, expr_add(&r->rules, expr_add(&r->rules, call, text_of(&r->rules, r->root, "args")), args), text_of(&r->rules, r->root, "end_call"));
        expr_add(&r->rules, alt, call);
    }
    *out = alt;
    return GLLM_OK;
}

static gllm_status read_answer(struct reader *r, struct grammar **out, gllm_error *err) {
    struct rules *rules = &r->rules;
    struct expr *body = NULL;
    json_define(rules);
    const uint32_t root = rules_name(rules, "answer", 6), call = rules_name(rules, "call", 4);
    TRY(read_call(r, &body, err));
    rules_define(rules, call, body);
    struct expr *all = expr_seq(rules);
    if (json_is_true(json_object_get(r->root, "opened"))) expr_add(rules, all, thought(rules, r->root));
    else if (json_object_get(r->root, "open")) expr_add(rules, all, expr_repeat(rules, json_pair(rules, text_of(rules, r->root, "open"), thought(rules, r->root)), 0, 1));
    expr_add(rules, expr_add(rules, all, text_of(rules, r->root, "begin")), expr_call(rules, call));
    if (json_object_get(r->root, "between")) expr_add(rules, all, expr_repeat(rules, json_pair(rules, text_of(rules, r->root, "between"), expr_call(rules, call)), 0, EXPR_FOREVER));
    rules_define(rules, root, expr_add(rules, all, text_of(rules, r->root, "end")));
    TRY(reader_targets(r, err));
    const gllm_status status = grammar_compile(out, rules, "answer", err);
    return status == GLLM_OK ? status : err_wrap(err, status, "tools");
}

gllm_status reply_grammar_read(struct grammar **out, const char *text, size_t len, gllm_error *err) {
    struct reader r = {.made = json_array()};
    json_t *doc = NULL;
    *out = NULL;
    gllm_status status = r.made ? json_parse(text, len, "tools", &doc, err) : err_nomem(err, "tools");
    r.root = doc;
    if (status == GLLM_OK) status = read_answer(&r, out, err);
    reader_free(&r);
    json_decref(doc);
    return status;
}
