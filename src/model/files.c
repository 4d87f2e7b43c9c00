#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/utf8.h"
#include "model/adapter.h"
#include "model/chat_files.h"
#include "model/classifier.h"
#include "model/config.h"
#include "model/end_tokens.h"
#include "model/frame.h"
#include "model/gguf_config.h"
#include "model/gguf_head.h"
#include "model/gguf_tokenizer.h"
#include "model/model.h"
#include "model/ranker.h"
#include "model/static.h"

static uint32_t positions(const struct model_files *f) { return f->cfg.n_pos - (f->cfg.pos == POS_AFTER_PAD ? f->cfg.pad_id + 1 : 0); }

/* sentence_bert_config's max_seq_length, else what the positions and the tokenizer's own limit allow. Never more than there are positions. */
static uint32_t longest_input(const struct model_files *f, const struct log *log) {
    if (f->generates) return f->cfg.n_pos;
    const uint32_t most = positions(f);
    uint32_t limit = f->dir.max_seq_length;
    uint64_t own = tokenizer_model_max_length(f->tokenizer);
    if (!limit) limit = own && own < most ? (uint32_t)own : most;
    if (limit <= most) return limit;
    log_line(log, GLLM_LOG_WARN, "%s: max_seq_length %u is above the model's %u positions, which count", f->dir.name, limit, most);
    return most;
}

static gllm_status open_directory(struct model_files *f, const char *dir, gllm_error *err) {
    const struct arch *arch;
    char path[4096];
    TRY(hfdir_open(&f->dir, dir, err));
    if (static_is(&f->dir)) return static_open(f, err);
    snprintf(path, sizeof path, "%s/config.json", f->dir.weights_dir);
    TRY(config_read(f->dir.config, path, &f->arena, &arch, &f->cfg, err));
    f->arch = *arch;
    TRY(weights_open(&f->weights, f->dir.weights_dir, err));
    return tokenizer_open(&f->tokenizer, f->dir.weights_dir, err);
}

/* general.license, a name or an SPDX expression; best effort, as a directory's. */
static const char *gguf_licence(struct model_files *f) {
    struct gguf_str text = {0};
    bool found = false;
    size_t bad;
    if (gguf_str(weights_gguf(f->weights), "general.license", &text, &found, NULL) != GLLM_OK || !found) return NULL;
    if (!text.len || text.len >= 64 || !utf8_valid(text.data, text.len, &bad)) return NULL;
    return arena_strndup(&f->dir.arena, text.data, text.len);
}

static gllm_status open_gguf(struct model_files *f, const char *path, const struct log *log, gllm_error *err) {
    const struct arch *unused;
    TRY(weights_open(&f->weights, path, err));
    const char *slash = strrchr(path, '/');
    f->dir.dir = f->dir.weights_dir = arena_strdup(&f->dir.arena, path);
    f->dir.name = arena_strdup(&f->dir.arena, slash ? slash + 1 : path);
    if (!f->dir.dir || !f->dir.name) return err_nomem(err, path);
    TRY(gguf_config(f->weights, path, &f->arch, &f->dir.config, err));
    TRY(config_read(f->dir.config, path, &f->arena, &unused, &f->cfg, err));
    TRY(gguf_head(&f->dir, f->weights, !f->cfg.causal && !f->hints.pooling, log, err));
    f->dir.licence = gguf_licence(f);
    f->cfg.rope_interleaved = f->arch.cfg.rope_interleaved;
    f->cfg.norm_plus_one = f->arch.cfg.norm_plus_one;
    TRY(gguf_tokenizer(&f->tokenizer, f->weights, path, err));
    const uint32_t n = tokenizer_vocab_size(f->tokenizer);
    return n <= f->cfg.n_vocab ? GLLM_OK : err_set(err, GLLM_FORMAT, "%s: tokenizer.ggml.tokens: found %u, expected at most the %u rows of token_embd.weight", path, n, f->cfg.n_vocab);
}

/* What stands around a text leaves room for one token of it, and a query can be filled up as far as its files say. */
static gllm_status check_room(const struct model_files *f, const char *path, gllm_error *err) {
    const struct {
        const char *key;
        uint32_t limit; /* 0: none of its own */
    } LIMITS[] = {{"max_seq_length", f->max_tokens}, {"query_length", f->outputs.query.max_tokens}, {"document_length", f->outputs.document.max_tokens}};
    const uint32_t around = f->frame.bare ? f->frame.n_before + f->frame.n_after : tokenizer_special_count(f->tokenizer, false), fill = f->outputs.expand.length;
    for (unsigned i = 0; i < sizeof LIMITS / sizeof *LIMITS; i++)
        if ((!i || LIMITS[i].limit) && LIMITS[i].limit <= around)
            return err_set(err, GLLM_FORMAT, "%s: %s: found %u, expected more than the %u special tokens", path, LIMITS[i].key, LIMITS[i].limit, around);
    return fill <= positions(f) ? GLLM_OK : err_set(err, GLLM_FORMAT, "%s: query_expansion: length: found %u, expected at most the model's %u positions", path, fill, positions(f));
}

static gllm_status open_all(struct model_files *f, const char *path, const struct log *log, gllm_error *err) {
    f->frame.dropped = -1;
    TRY(dir_exists(path) ? open_directory(f, path, err) : open_gguf(f, path, log, err));
    if (!f->cfg.causal) TRY(classifier_read(f, err));
    TRY(tasks_read(f, err));
    TRY(hints_apply(f, log, err));
    if (f->cfg.causal && !hfdir_pools(&f->dir)) {
        TRY(end_tokens_read(f, err));
        TRY(chat_files_read(f, err));
        TRY(ranker_read(f, err));
        f->generates = f->ranker.kind == RANKER_NONE;
    }
    if (f->cfg.decoder && !model_files_cached(f)) TRY(tokenizer_add_end(f->tokenizer, err));
    TRY(outputs_read(f, err));
    TRY(frame_read(f, err));
    f->max_tokens = longest_input(f, log);
    return check_room(f, path, err);
}

gllm_status model_files_open_hinted(struct model_files *f, const char *path, const struct model_hints *hints, const struct log *log, gllm_error *err) {
    *f = (struct model_files){0};
    if (hints) f->hints = *hints;
    gllm_status status = open_all(f, path, log, err);
    if (status != GLLM_OK) model_files_close(f);
    return status;
}

gllm_status model_files_open(struct model_files *f, const char *path, const struct log *log, gllm_error *err) {
    return model_files_open_hinted(f, path, NULL, log, err);
}

void model_files_close(struct model_files *f) {
    tokenizer_close(f->tokenizer);
    weights_close(f->weights);
    hfdir_close(&f->dir);
    arena_free(&f->arena);
    *f = (struct model_files){0};
}
