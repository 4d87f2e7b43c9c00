/* end_tokens.c - which tokens end an answer: as the files say, and control tokens by the names that chat formats give the end of a turn. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "format/gguf.h"
#include "model/end_tokens.h"

static void add(struct model_files *f, double id) {
    if (!(id >= 0 && id < f->cfg.n_vocab) || f->n_eos == MAX_EOS) return;
    for (uint32_t i = 0; i < f->n_eos; i++)
        if (f->eos[i] == (int32_t)id) return;
    f->eos[f->n_eos++] = (int32_t)id;
}

static void add_json(struct model_files *f, const json_t *v) {
    if (json_is_number(v)) add(f, json_number_value(v));
    for (size_t i = 0; i < json_array_size(v); i++)
        if (json_is_number(json_array_get(v, i))) add(f, json_number_value(json_array_get(v, i)));
}

static gllm_status from_directory(struct model_files *f, gllm_error *err) {
    char *path = path_join(f->dir.weights_dir, "generation_config.json");
    json_t *v = NULL;
    if (!path) return err_nomem(err, "generation_config.json");
    gllm_status status = path_exists(path) ? json_read_file(path, 1 << 20, &v, err) : GLLM_OK;
    free(path);
    TRY(status);
    const json_t *own = json_object_get(v, "eos_token_id");
    add_json(f, own ? own : json_object_get(f->dir.config, "eos_token_id"));
    json_decref(v);
    return GLLM_OK;
}

static void from_gguf(struct model_files *f) {
    static const char *const KEYS[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"};
    for (unsigned i = 0; i < sizeof KEYS / sizeof *KEYS; i++) {
        const struct gguf_entry *e = gguf_find(weights_gguf(f->weights), KEYS[i]);
        double v;
        if (e && gguf_at_f64(&e->value, 0, &v)) add(f, v);
    }
}

gllm_status end_tokens_read(struct model_files *f, gllm_error *err) {
    static const char *const TURN_ENDS[] = {"<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<end_of_turn>", "<|end|>", "<|endoftext|>", "<|end_of_text|>", "<|user|>", "<|observation|>"};
    if (weights_gguf(f->weights)) from_gguf(f);
    else TRY(from_directory(f, err));
    for (unsigned i = 0; i < sizeof TURN_ENDS / sizeof *TURN_ENDS; i++) {
        int32_t id;
        if (tokenizer_id(f->tokenizer, TURN_ENDS[i], strlen(TURN_ENDS[i]), &id) && tokenizer_is_special(f->tokenizer, id)) add(f, id);
    }
    return GLLM_OK;
}
