#include "model/late.h"

#include <stdio.h>
#include <string.h>

#include "model/side_files.h"

static const char *const PUNCTUATION[] = {"!", "\"", "#", "$", "%", "&", "'", "(", ")", "*", "+", ",", "-", ".", "/", ":", ";", "<", "=", ">", "?", "@", "[", "\\", "]", "^", "_", "`", "{", "|", "}", "~"};
enum { N_PUNCTUATION = sizeof PUNCTUATION / sizeof *PUNCTUATION };

/* The vocabulary entries among the words; one that is no entry skips nothing. */
static gllm_status read_skipped(struct model_files *f, const char *const *words, size_t n, bool queries, gllm_error *err) {
    struct outputs_cfg *o = &f->outputs;
    int32_t *ids = arena_array(&f->arena, n, sizeof *ids);
    if (!ids) return err_nomem(err, "skiplist_words");
    o->n_skipped = 0;
    for (size_t i = 0; i < n; i++) o->n_skipped += tokenizer_id(f->tokenizer, words[i], strlen(words[i]), &ids[o->n_skipped]);
    o->skipped = ids;
    o->skip_queries = queries;
    return GLLM_OK;
}

/* A token that is not attended to must itself see one that is. */
static gllm_status check_windows(const struct model_files *f, uint32_t length, gllm_error *err) {
    for (uint32_t i = 0; i < f->cfg.n_layer; i++)
        if (f->cfg.layers[i].window && f->cfg.layers[i].window < length)
            return err_set(err, GLLM_UNSUPPORTED, "%s: query_expansion: length: found %u without attend, expected at most the window of %u", f->dir.name, length, f->cfg.layers[i].window);
    return GLLM_OK;
}

static gllm_status read_expansion(struct model_files *f, gllm_error *err) {
    const struct hf_expansion *e = &f->dir.expansion;
    struct outputs_cfg *o = &f->outputs;
    o->query.max_tokens = e->length ? e->length : f->dir.query_length;
    o->document.max_tokens = f->dir.document_length;
    if (!e->length) return GLLM_OK;
    o->expand.length = e->length;
    o->expand.unseen = !e->attend;
    o->expand.token = -1;
    if (!e->token) TRY(side_tokens(f, &(const char *){"mask_token"}, 1, &o->expand.token, err));
    else if (!tokenizer_id(f->tokenizer, e->token, strlen(e->token), &o->expand.token)) o->expand.token = -1;
    if (o->expand.token < 0) return err_set(err, GLLM_FORMAT, "%s: query_expansion: token: found \"%.40s\", expected a token of the vocabulary", f->dir.name, e->token ? e->token : "");
    return e->attend ? GLLM_OK : check_windows(f, e->length, err);
}

/* ---- prefixes ---- */

static gllm_status is_one_piece(const struct model_files *f, const char *text, size_t len, int32_t id, bool *out, gllm_error *err) {
    const struct encode_options opt = {.parse_special = true, .lowercase = f->dir.do_lower_case};
    struct encoding e = {0};
    gllm_status status = tokenizer_encode(f->tokenizer, text, len, NULL, 0, &opt, &e, err);
    *out = status == GLLM_OK && e.count == 1 && e.ids[0] == id;
    encoding_free(&e);
    return status;
}

/* A prefix that is a token of the vocabulary but would be read as several stands in the model's input as that token; *rest is what remains of it as text. */
static gllm_status read_marker(const struct model_files *f, const char *prefix, int32_t *marker, const char **rest, gllm_error *err) {
    const size_t lengths[] = {strlen(prefix), strcspn(prefix, " \t\r\n")};
    *rest = prefix;
    for (unsigned i = 0; i < 2; i++) {
        int32_t id;
        bool whole;
        if (!lengths[i] || !tokenizer_id(f->tokenizer, prefix, lengths[i], &id)) continue;
        TRY(is_one_piece(f, prefix, lengths[i], id, &whole, err));
        if (!whole) *marker = id, *rest = prefix + lengths[i];
        return GLLM_OK;
    }
    return GLLM_OK;
}

/* The prompt `name` begins with the prefix: what is left of that, then the prompt's own text. */
static gllm_status add_prefix(struct model_files *f, const char *name, const char *prefix, int32_t *marker, gllm_error *err) {
    struct hfdir *d = &f->dir;
    const char *rest, *own = "";
    if (!prefix || !*prefix) return GLLM_OK;
    TRY(read_marker(f, prefix, marker, &rest, err));
    struct hf_prompt *p = hfdir_prompt(d, name);
    if (p) own = strncmp(p->text, prefix, strlen(prefix)) ? p->text : p->text + strlen(prefix);
    else {
        struct hf_prompt *all = arena_array(&d->arena, d->n_prompts + 1, sizeof *all);
        if (!all) return err_nomem(err, name);
        if (d->n_prompts) memcpy(all, d->prompts, d->n_prompts * sizeof *all);
        d->prompts = all;
        p = &all[d->n_prompts++];
    }
    const size_t room = strlen(rest) + strlen(own) + 1;
    char *text = arena_alloc(&d->arena, room);
    if (!text) return err_nomem(err, name);
    snprintf(text, room, "%s%s", rest, own);
    *p = (struct hf_prompt){name, text};
    return GLLM_OK;
}

static gllm_status read_prefixes(struct model_files *f, gllm_error *err) {
    static const char *const BEGINS[] = {"cls_token", "bos_token"};
    const struct encode_options opt = {.add_special = true};
    struct encoding e = {0};
    int32_t roles[2];
    TRY(side_tokens(f, BEGINS, 2, roles, err));
    TRY(tokenizer_encode(f->tokenizer, "", 0, NULL, 0, &opt, &e, err));
    f->outputs.marker_at = e.count && (e.ids[0] == roles[0] || e.ids[0] == roles[1]);
    encoding_free(&e);
    TRY(add_prefix(f, "query", f->dir.late.query_prefix, &f->outputs.query.marker, err));
    return add_prefix(f, "document", f->dir.late.document_prefix, &f->outputs.document.marker, err);
}

/* ---- ColBERT's own files ---- */

static bool is_colbert(const struct hfdir *d) {
    const json_t *list = json_object_get(d->config, "architectures");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        if (name && !strcmp(name, "HF_ColBERT")) return true;
    }
    return false;
}

/* The marker's own text, and the blank by which it is parted from what follows. */
static gllm_status read_token_text(struct model_files *f, const json_t *root, const char *file, const char *key, const char *otherwise, const char **out, gllm_error *err) {
    char text[128];
    TRY(json_str(root, file, key, &otherwise, err));
    snprintf(text, sizeof text, "%.120s ", otherwise);
    return (*out = arena_strdup(&f->dir.arena, text)) ? GLLM_OK : err_nomem(err, key);
}

static gllm_status read_metadata(struct model_files *f, const json_t *root, gllm_error *err) {
    static const char file[] = "artifact.metadata";
    struct hfdir *d = &f->dir;
    bool attend = false, mask = true;
    uint32_t length = 32;
    TRY(read_token_text(f, root, file, "query_token_id", "[unused0]", &d->late.query_prefix, err));
    TRY(read_token_text(f, root, file, "doc_token_id", "[unused1]", &d->late.document_prefix, err));
    TRY(json_u32(root, file, "doc_maxlen", &d->document_length, err));
    TRY(json_u32(root, file, "query_maxlen", &length, err));
    TRY(json_flag(root, file, "attend_to_mask_tokens", &attend, err));
    TRY(json_flag(root, file, "mask_punctuation", &mask, err));
    if (!length || length > 1 << 16) return err_set(err, GLLM_FORMAT, "%s: query_maxlen: found %u, expected 1 to 65536", file, length);
    d->expansion = (struct hf_expansion){.length = length, .attend = attend};
    d->late.there = true;
    if (!mask) d->late.words = arena_array(&d->arena, 0, sizeof *d->late.words);
    return mask || d->late.words ? GLLM_OK : err_nomem(err, file);
}

static gllm_status read_colbert(struct model_files *f, gllm_error *err) {
    json_t *root;
    const struct tensor *t = weights_find(f->weights, "linear.weight");
    if (!t || t->rank != 2 || !t->shape[0] || t->shape[0] > 1 << 16) return err_set(err, GLLM_FORMAT, "%s: linear.weight: found %s, expected the matrix of HF_ColBERT's token vectors", f->dir.name, t ? "another shape" : "nothing");
    f->outputs.available |= OUTPUT_TOKENS;
    f->outputs.token_dim = (uint32_t)t->shape[0];
    f->outputs.projector = "linear";
    TRY(side_json(f, "artifact.metadata", &root, err));
    gllm_status status = read_metadata(f, root, err);
    json_decref(root);
    return status;
}

static gllm_status read_modules(struct model_files *f, gllm_error *err) {
    for (size_t i = 0; i < f->dir.n_modules; i++) {
        const struct hf_module *m = &f->dir.modules[i];
        if (m->kind != HF_TOKEN_MASK && !m->per_token) continue;
        if (!f->outputs.token_dim) f->outputs.token_dim = f->cfg.d_model;
        f->outputs.available |= OUTPUT_TOKENS;
        if (m->kind == HF_TOKEN_MASK) TRY(read_skipped(f, m->mask.words, m->mask.n_words, m->mask.queries, err));
        if (m->kind != HF_DENSE) continue;
        if (m->dense.in_dim != f->outputs.token_dim)
            return err_set(err, GLLM_FORMAT, "%s: in_features: found %u, expected the %u of the layer before it", m->path, m->dense.in_dim, f->outputs.token_dim);
        f->outputs.token_dim = m->dense.out_dim;
    }
    return GLLM_OK;
}

gllm_status late_read(struct model_files *f, bool *pools, gllm_error *err) {
    const struct hf_late *l = &f->dir.late;
    if (is_colbert(&f->dir)) {
        TRY(read_colbert(f, err));
        *pools = false;
    }
    TRY(read_modules(f, err));
    if (!(f->outputs.available & OUTPUT_TOKENS)) return GLLM_OK;
    if (l->there) {
        TRY(read_prefixes(f, err));
        if (!f->outputs.skipped) TRY(l->words ? read_skipped(f, l->words, l->n_words, false, err) : read_skipped(f, PUNCTUATION, N_PUNCTUATION, false, err));
    }
    return read_expansion(f, err);
}
