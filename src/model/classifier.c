#include "model/classifier.h"

#include "model/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool ends_with(const char *s, const char *end) {
    const size_t n = strlen(s), k = strlen(end);
    return n >= k && !strcmp(s + n - k, end);
}

/* A class of that name; the body of one in a sentence-transformers directory that pools is an embedder. */
static bool is_classifier(const struct hfdir *d) {
    const json_t *list = json_object_get(d->config, "architectures");
    for (size_t i = 0; i < d->n_modules; i++)
        if (d->modules[i].kind == HF_POOLING) return false;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        if (name && ends_with(name, "ForSequenceClassification")) return true;
    }
    return false;
}

/* id2label's keys are the decimal numbers of the labels, each once. */
static gllm_status read_labels(struct model_files *f, const char *name, gllm_error *err) {
    struct classifier *c = &f->classifier;
    json_t *labels;
    c->n_labels = 2;
    TRY(json_u32(f->dir.config, name, "num_labels", &c->n_labels, err));
    TRY(json_object_at(f->dir.config, name, "id2label", &labels, err));
    if (labels) c->n_labels = (uint32_t)json_object_size(labels);
    if (!c->n_labels || c->n_labels > MAX_LABELS) return err_set(err, GLLM_FORMAT, "%s: %u labels, expected 1 to %d", name, c->n_labels, MAX_LABELS);
    const char **list = arena_array(&f->arena, c->n_labels, sizeof *list);
    if (!list) return err_nomem(err, "labels");
    for (uint32_t i = 0; i < c->n_labels; i++) {
        char key[32];
        snprintf(key, sizeof key, "%u", i);
        const json_t *v = json_object_get(labels, key);
        if (labels && !json_is_string(v)) return err_set(err, GLLM_FORMAT, "%s: id2label: \"%s\": found %s, expected a string", name, key, json_kind(v));
        if (!v) snprintf(key, sizeof key, "LABEL_%u", i);
        if (!(list[i] = arena_strdup(&f->arena, v ? json_string_value(v) : key))) return err_nomem(err, "labels");
    }
    c->labels = list;
    return GLLM_OK;
}

/* What sentence-transformers' CrossEncoder applies: the word of its own file, else config.json's in its new or old place; a class by its last name. */
gllm_status classifier_activation(const struct model_files *f, uint32_t n_labels, enum score_act *act, gllm_error *err) {
    static const struct {
        const char *name;
        enum score_act act;
    } KINDS[] = {{"Identity", SCORE_IDENTITY}, {"Sigmoid", SCORE_SIGMOID}, {"Softmax", SCORE_SOFTMAX}, {"Tanh", SCORE_TANH}};
    static const char name[] = "config.json";
    json_t *own;
    const char *text = f->dir.activation;
    *act = n_labels == 1 ? SCORE_SIGMOID : SCORE_IDENTITY;
    TRY(json_object_at(f->dir.config, name, "sentence_transformers", &own, err));
    if (own && !text) TRY(json_str(own, name, "activation_fn", &text, err));
    if (!text) TRY(json_str(f->dir.config, name, "sbert_ce_default_activation_function", &text, err));
    if (!text) return GLLM_OK;
    const char *dot = strrchr(text, '.'), *last = dot ? dot + 1 : text;
    for (unsigned i = 0; i < sizeof KINDS / sizeof *KINDS; i++)
        if (!strcmp(last, KINDS[i].name)) {
            *act = KINDS[i].act;
            return GLLM_OK;
        }
    return err_set(err, GLLM_UNSUPPORTED, "%s: activation_fn: found \"%.80s\", expected Identity, Sigmoid, Softmax or Tanh", name, text);
}

/* What makes probabilities of the logits: transformers' text-classification pipeline. */
static gllm_status read_problem(struct model_files *f, const char *name, gllm_error *err) {
    struct classifier *c = &f->classifier;
    const char *type = NULL;
    TRY(json_str(f->dir.config, name, "problem_type", &type, err));
    c->class_act = c->n_labels == 1 ? SCORE_SIGMOID : SCORE_SOFTMAX;
    if (!type || !strcmp(type, "single_label_classification")) return GLLM_OK;
    if (!strcmp(type, "multi_label_classification")) c->class_act = SCORE_SIGMOID;
    else if (!strcmp(type, "regression")) c->class_act = SCORE_IDENTITY;
    else return err_set(err, GLLM_UNSUPPORTED, "%s: problem_type: found \"%.60s\", expected single_label_classification, multi_label_classification or regression", name, type);
    return GLLM_OK;
}

/* ModernBERT's keys: what the head looks at, and its activation. */
static gllm_status read_head(struct model_files *f, const char *name, gllm_error *err) {
    struct classifier *c = &f->classifier;
    const char *pooling = NULL;
    TRY(json_str(f->dir.config, name, "classifier_pooling", &pooling, err));
    if (pooling && strcmp(pooling, "cls") && strcmp(pooling, "mean")) return err_set(err, GLLM_UNSUPPORTED, "%s: classifier_pooling: found \"%.60s\", expected cls or mean", name, pooling);
    c->pool = pooling && !strcmp(pooling, "mean") ? POOL_MEAN : POOL_CLS;
    c->dense_act = arch_family(&f->arch)->score_act;
    return config_read_act(f->dir.config, name, "classifier_activation", &c->dense_act, err);
}

gllm_status classifier_read(struct model_files *f, gllm_error *err) {
    char name[4096];
    snprintf(name, sizeof name, "%s%s", f->dir.weights_dir, weights_gguf(f->weights) ? "" : "/config.json");
    if (!is_classifier(&f->dir)) return GLLM_OK;
    if (!f->cfg.causal && !arch_family(&f->arch)->score_out) return err_set(err, GLLM_UNSUPPORTED, "%s: architectures: a classification head of a %s model is not in this version", name, f->arch.name);
    TRY(read_labels(f, name, err));
    if (!f->cfg.causal) TRY(read_head(f, name, err));
    TRY(classifier_activation(f, f->classifier.n_labels, &f->classifier.model_act, err));
    return read_problem(f, name, err);
}
