/* request.c - the options of run as a gllm_generate_request. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

static int fill_stop(struct cli_request *q, const struct cli_options *o) {
    const struct cli_list *l = &o->stop;
    if (!(q->stop = calloc(l->count + 1, sizeof *q->stop))) return cli_no_memory();
    for (size_t i = 0; i < l->count; i++) q->stop[i] = (gllm_str){l->items[i], GLLM_NTS};
    q->r.stop = q->stop, q->r.n_stop = l->count;
    return EXIT_OK;
}

static int fill_bias(struct cli_request *q, const struct cli_options *o) {
    const struct cli_list *l = &o->logit_bias;
    if (!(q->bias = calloc(l->count + 1, sizeof *q->bias))) return cli_no_memory();
    for (size_t i = 0; i < l->count; i++) {
        char *equals, *end = NULL;
        const long id = strtol(l->items[i], &equals, 10);
        const float bias = *equals == '=' ? strtof(equals + 1, &end) : 0;
        if (equals == l->items[i] || !end || end == equals + 1 || *end || id < 0 || id > INT32_MAX || bias != bias)
            return cli_usage("--logit-bias: found \"%s\", expected ID=B, a token's id and a number", l->items[i]);
        q->bias[i] = (gllm_logit_bias){(int32_t)id, bias};
    }
    q->r.logit_bias = q->bias, q->r.n_logit_bias = l->count;
    return EXIT_OK;
}

static int fill_args(struct cli_request *q, const struct cli_options *o) {
    json_t *args = json_object();
    int status = EXIT_OK;
    for (size_t i = 0; !status && i < o->template_args.count; i++) {
        const char *text = o->template_args.items[i], *equals = strchr(text, '=');
        json_t *value = equals && equals > text ? json_loads(equals + 1, JSON_DECODE_ANY, NULL) : NULL;
        char *key = value ? strndup(text, (size_t)(equals - text)) : NULL;
        if (!value) status = cli_usage("--template-arg: found \"%s\", expected KEY=JSON (true, 3, '\"a text\"' …)", text);
        else if (!key || json_object_set(args, key, value)) status = cli_error("--template-arg: cannot keep \"%s\" (is it UTF-8?)", text);
        json_decref(value);
        free(key);
    }
    if (!status && !(q->args = json_dumps(args, JSON_COMPACT))) status = cli_no_memory();
    json_decref(args);
    if (o->template_args.count) q->r.template_args = q->args;
    return status;
}

/* The text of a file, for a field that is a C string. */
static int read_field(const char *path, char **out) {
    size_t len;
    int status = cli_read_all(path, out, &len);
    return !status && strlen(*out) != len ? cli_error("%s: holds a NUL byte", path) : status;
}

/* A file's text, a template written as the value, or the name of one of the model's. */
static int fill_template(struct cli_request *q, const struct cli_options *o) {
    const char *value = o->chat_template;
    if (!value) return EXIT_OK;
    const bool file = !strchr(value, '{') && access(value, R_OK) == 0;
    int status = file ? read_field(value, &q->template) : EXIT_OK;
    q->r.chat_template = file ? q->template : value;
    return status;
}

static int fill_tools(struct cli_request *q, const struct cli_options *o) {
    int status = o->tools ? read_field(o->tools, &q->tools) : EXIT_OK;
    q->r.tools = q->tools;
    return status;
}

/* --grammar and --json-schema: the text of the file, or of the option itself where it is the schema. */
static int fill_form(struct cli_request *q, const struct cli_options *o) {
    const char *path = o->grammar ? o->grammar : o->json_schema;
    if (!path) return EXIT_OK;
    const bool inside = o->json_schema && *path == '{';
    int status = inside ? EXIT_OK : read_field(path, &q->form);
    *(o->grammar ? &q->r.grammar : &q->r.json_schema) = inside ? path : q->form;
    return status;
}

int cli_request_open(struct cli_request *q, const struct cli_options *o) {
    *q = (struct cli_request){0};
    gllm_generate_request_init(&q->r);
    q->r.max_tokens = o->max_tokens;
    q->r.temperature = (float)o->temperature.value;
    q->r.top_k = o->top_k;
    q->r.min_p = (float)o->min_p.value;
    if (o->top_p.given) q->r.top_p = (float)o->top_p.value;
    if (o->typical_p.given) q->r.typical_p = (float)o->typical_p.value;
    if (o->repetition_penalty.given) q->r.repetition_penalty = (float)o->repetition_penalty.value;
    q->r.presence_penalty = (float)o->presence_penalty.value;
    q->r.frequency_penalty = (float)o->frequency_penalty.value;
    q->r.seed = o->seed;
    q->r.logprobs = o->logprobs > 0;
    q->r.n_top = o->logprobs;
    int status = fill_stop(q, o);
    if (!status) status = fill_bias(q, o);
    if (!status) status = fill_args(q, o);
    if (!status) status = fill_template(q, o);
    if (!status) status = fill_tools(q, o);
    return status ? status : fill_form(q, o);
}

void cli_request_close(struct cli_request *q) {
    free(q->stop);
    free(q->bias);
    free(q->args);
    free(q->template);
    free(q->tools);
    free(q->form);
    *q = (struct cli_request){0};
}
