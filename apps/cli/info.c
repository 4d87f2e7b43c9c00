/* info.c - gllm info: what a model is and what memory it takes, from its files alone. */
#include <stdarg.h>
#include <string.h>

#include "cli.h"

#define MIB (1024.0 * 1024.0)

static void field(const char *name, const char *value, bool last) {
    cli_json_text(stdout, name);
    putchar(':');
    cli_json_text(stdout, value);
    if (!last) putchar(',');
}

static void print_json(const gllm_model_info *i, bool tensors) {
    putchar('{');
    field("model", i->name, false), field("path", i->path, false), field("architecture", i->architecture, false), field("format", i->format, false);
    field("dtype", i->dtype, false), field("quantisation", i->quantisation, false), field("tokenizer", i->tokenizer, false), field("task", i->task, false), field("licence", i->licence, false);
    field("pooling", i->pooling, false), field("similarity", i->similarity, false), field("default_prompt", i->default_prompt, false);
    printf("\"normalize\":%s,\"parameters\":%llu,\"file_bytes\":%llu,\"layers\":%u,\"heads\":%u,\"kv_heads\":%u,\"d_model\":%u,\"d_head\":%u,\"d_ff\":%u,\"vocab\":%u,\"max_tokens\":%u,\"dimensions\":%u",
           i->normalize ? "true" : "false", (unsigned long long)i->n_params, (unsigned long long)i->file_bytes, i->n_layer, i->n_head, i->n_kv, i->d_model, i->d_head, i->d_ff, i->n_vocab, i->max_tokens, i->dim);
    fputs(",\"prompts\":{", stdout);
    for (size_t k = 0; k < i->n_prompts; k++) field(i->prompts[k].name, i->prompts[k].text, k + 1 == i->n_prompts);
    printf("},\"alias\":");
    cli_json_text(stdout, i->alias);
    fputs(",\"trained_dimensions\":[", stdout);
    for (size_t k = 0; k < i->n_dims; k++) printf("%s%u", k ? "," : "", i->dims[k]);
    printf("],\"outputs\":[%s%s%s],\"token_dimensions\":%u,\"rope\":", i->outputs & GLLM_OUTPUT_DENSE ? "\"dense\"" : "", i->outputs & GLLM_OUTPUT_SPARSE ? i->outputs & GLLM_OUTPUT_DENSE ? ",\"sparse\"" : "\"sparse\"" : "",
           i->outputs & GLLM_OUTPUT_TOKENS ? i->outputs & (GLLM_OUTPUT_DENSE | GLLM_OUTPUT_SPARSE) ? ",\"tokens\"" : "\"tokens\"" : "", i->token_dim);
    cli_json_text(stdout, i->rope);
    printf(",\"window\":%u,\"chat_templates\":[", i->window);
    for (size_t k = 0; k < i->n_chat_templates; k++) {
        if (k) putchar(',');
        cli_json_text(stdout, i->chat_templates[k]);
    }
    fputs("],\"memory\":[", stdout);
    for (size_t k = 0; k < i->n_plans; k++) {
        const gllm_memory_plan *p = &i->plans[k];
        fputs(k ? ",{" : "{", stdout);
        field("backend", p->backend, false), field("device", p->device, false);
        field("cache_dtype", p->cache_dtype, false);
        printf("\"weight_bytes\":%llu,\"activation_bytes\":%llu,\"cache_bytes\":%llu,\"total_bytes\":%llu,\"free_bytes\":%llu,\"fits\":%s}", (unsigned long long)p->weight_bytes,
               (unsigned long long)p->activation_bytes, (unsigned long long)p->cache_bytes, (unsigned long long)p->total_bytes, (unsigned long long)p->free_bytes, p->fits ? "true" : "false");
    }
    putchar(']');
    for (size_t k = 0; tensors && k < i->n_tensors; k++) {
        const gllm_tensor_info *t = &i->tensors[k];
        fputs(k ? ",{" : ",\"tensors\":[{", stdout);
        field("name", t->name, false), field("dtype", t->dtype, false), field("file", t->file, false);
        fputs("\"shape\":[", stdout);
        for (uint32_t d = 0; d < t->rank; d++) printf("%s%llu", d ? "," : "", (unsigned long long)t->shape[d]);
        printf("],\"bytes\":%llu}%s", (unsigned long long)t->bytes, k + 1 == i->n_tensors ? "]" : "");
    }
    puts("}");
}

/* "  name           value", the value folded at commas and spaces to the terminal's width. */
static void row(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void row(const char *name, const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    printf("  %-13s  ", name);
    cli_wrap(stdout, text, 17);
}

static void print_generator(const gllm_model_info *i) {
    char window[64] = "", names[256] = "no";
    if (i->window) snprintf(window, sizeof window, ", windows of %u tokens", i->window);
    row("context", "at most %u tokens, rope %s, %u key and value heads%s", i->max_tokens, i->rope, i->n_kv, window);
    for (size_t k = 0, at = 0; k < i->n_chat_templates && at < sizeof names; k++) at += (size_t)snprintf(names + at, sizeof names - at, "%s%s", k ? ", " : "yes: ", i->chat_templates[k]);
    row("chat template", "%s", names);
}

/* What an embedder gives of a text, and how it knows the tokens' places. */
static void print_embedder(const gllm_model_info *i) {
    char tokens[80] = "";
    if (i->token_dim) snprintf(tokens, sizeof tokens, "a vector of %u values for each token", i->token_dim);
    if (!i->outputs || i->outputs & GLLM_OUTPUT_DENSE) row("vectors", "%u values, %s pooling, %s, compare by %s", i->dim, i->pooling, i->normalize ? "length 1" : "not normalised", i->similarity);
    if (i->outputs & ~(uint32_t)GLLM_OUTPUT_DENSE)
        row(i->outputs & GLLM_OUTPUT_DENSE ? "other outputs" : "outputs", "%s%s%s", i->outputs & GLLM_OUTPUT_SPARSE ? "weights of vocabulary entries (sparse)" : "", i->outputs & GLLM_OUTPUT_SPARSE && *tokens ? ", " : "", tokens);
    if (*i->rope && i->window) row("positions", "rope %s, windows of %u tokens", i->rope, i->window);
    else if (*i->rope) row("positions", "rope %s", i->rope);
}

/* What the registry knows beside the files. */
static void print_known(const gllm_model_info *i) {
    row("alias", "%s", i->alias);
    if (strcmp(i->task, "embed")) return;
    if (i->n_dims) row("dimensions", "%u to %u: trained to be cut (Matryoshka)", i->dims[0], i->dim);
    else row("dimensions", "%u alone: not trained to be cut", i->dim);
}

static void print_text(const gllm_model_info *i, bool tensors) {
    printf("%s%s%s\n", cli_style(stdout, STYLE_BOLD), i->name, cli_style(stdout, STYLE_PLAIN));
    row("path", "%s", i->path);
    row("architecture", "%s, %u layers, %u heads of %u, width %u, feed-forward %u", i->architecture, i->n_layer, i->n_head,
        i->d_head, i->d_model, i->d_ff);
    row("parameters", "%.*f million, %s, %s, %.1f MiB", i->n_params < 1000000 ? 3 : 1, (double)i->n_params / 1e6, i->dtype,
        i->format, (double)i->file_bytes / MIB);
    if (*i->quantisation) row("quantisation", "%s", i->quantisation);
    row("tokenizer", "%s, %u entries, at most %u tokens a text", i->tokenizer, i->n_vocab, i->max_tokens);
    if (!strcmp(i->task, "generate")) print_generator(i);
    else if (i->n_labels) row("scores", "%u label%s: the model %s", i->n_labels, i->n_labels == 1 ? "" : "s", i->n_labels == 1 ? "reranks pairs of texts" : "classifies texts");
    else print_embedder(i);
    if (*i->alias) print_known(i);
    row("licence", "%s", *i->licence ? i->licence : "not said");
    for (size_t k = 0; k < i->n_prompts; k++)
        row("prompt", "%s%s: \"%s\"", i->prompts[k].name, !strcmp(i->prompts[k].name, i->default_prompt) ? " (default)" : "",
            i->prompts[k].text);
    for (size_t k = 0; k < i->n_plans; k++) {
        const gllm_memory_plan *p = &i->plans[k];
        char name[16], cache[64] = "";
        snprintf(name, sizeof name, "on %.9s", p->backend);
        if (p->cache_bytes) snprintf(cache, sizeof cache, " + cache (%s) %.1f MiB", p->cache_dtype, (double)p->cache_bytes / MIB);
        row(name, "weights %.1f MiB + activations %.1f MiB%s = %.1f MiB: %s in %.0f MiB free; %s", (double)p->weight_bytes / MIB,
            (double)p->activation_bytes / MIB, cache, (double)p->total_bytes / MIB, p->fits ? "fits" : "does NOT fit",
            (double)p->free_bytes / MIB, p->device);
    }
    for (size_t k = 0; tensors && k < i->n_tensors; k++) {
        const gllm_tensor_info *t = &i->tensors[k];
        printf("  %-5s %11llu  %s [", t->dtype, (unsigned long long)t->bytes, t->name);
        for (uint32_t d = 0; d < t->rank; d++) printf("%s%llu", d ? "," : "", (unsigned long long)t->shape[d]);
        puts("]");
    }
}

int verb_info(const struct cli_options *o) {
    gllm_options opt;
    gllm_model_info *i;
    gllm_error err = {0};
    cli_model_options(o, &opt);
    opt.fetch = GLLM_FETCH_NEVER; /* gllm pull does that: a question should cost nothing */
    if (gllm_inspect(&i, &opt, o->ctx, o->batch, &err) != GLLM_OK) return cli_fail(&err);
    if (o->json) print_json(i, o->tensors);
    else print_text(i, o->tensors);
    gllm_model_info_free(i);
    return cli_flush(stdout, "standard output");
}
