/* test_gguf_model.c - GGUF files of whole models, changed in one place: what is missing, wrong or of a variant is refused with one line that names
 * it; what a file may leave to the program that reads it is assumed as llama.cpp does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "format/gguf.h"
#include "model/model.h"
#include "tensor/half.h"

/* ---- editing a file in memory ---- */

enum edit_op { END, RENAME, SET_U32, SET_F32, SET_STR, ADD_U32, ADD_F32, ADD_BOOL, ADD_STR, ADD_U32S, ADD_F32S, ADD_STRS };
struct edit {
    enum edit_op op;
    const char *key; /* of an entry; RENAME: of a tensor as well. Its last letter becomes an X */
    double number;   /* a value; for lists, of each element */
    const char *text;
    unsigned count; /* of a list; odd elements are one less */
};
enum { MAX_EDITS = 5 };
struct image {
    char *data;
    size_t n;
};

static void put(struct image *f, uint64_t v, unsigned n) {
    f->data = realloc(f->data, f->n + n);
    assert_non_null(f->data);
    for (unsigned i = 0; i < n; i++) f->data[f->n++] = (char)(v >> 8 * i);
}
static void put_str(struct image *f, const char *s) {
    put(f, strlen(s), 8);
    for (; *s; s++) put(f, (unsigned char)*s, 1);
}

static void put_value(struct image *f, enum gguf_type type, const struct edit *e, double number) {
    if (type == GGUF_STRING) put_str(f, e->text);
    else put(f, type == GGUF_F32 ? f32_bits((float)number) : (uint64_t)number, type == GGUF_BOOL ? 1 : 4);
}

static void put_entry(struct image *f, const struct edit *e) {
    static const enum gguf_type TYPES[] = {[ADD_U32] = GGUF_U32, [ADD_F32] = GGUF_F32, [ADD_BOOL] = GGUF_BOOL, [ADD_STR] = GGUF_STRING, [ADD_U32S] = GGUF_U32, [ADD_F32S] = GGUF_F32, [ADD_STRS] = GGUF_STRING};
    const bool list = e->op >= ADD_U32S;
    put_str(f, e->key);
    put(f, list ? GGUF_ARRAY : TYPES[e->op], 4);
    if (list) put(f, TYPES[e->op], 4), put(f, e->count, 8);
    for (unsigned i = 0; i < (list ? e->count : 1); i++) put_value(f, TYPES[e->op], e, e->number - i % 2);
}

/* New entries stand first; a filler keeps the tensor data aligned. */
static void insert(struct image *f, const struct edit *edits) {
    struct image in = {0};
    unsigned added = 0;
    for (const struct edit *e = edits; e->op != END; e++)
        if (e->op >= ADD_U32) put_entry(&in, e), added++;
    if (!added) return;
    put_str(&in, "filler"), put(&in, GGUF_STRING, 4);
    const size_t fill = (64 - (in.n + 8) % 32) % 32;
    put(&in, fill, 8);
    for (size_t i = 0; i < fill; i++) put(&in, ' ', 1);
    f->data = realloc(f->data, f->n + in.n);
    assert_non_null(f->data);
    memmove(f->data + 24 + in.n, f->data + 24, f->n - 24);
    memcpy(f->data + 24, in.data, in.n);
    f->n += in.n;
    f->data[16] = (char)(f->data[16] + (int)added + 1); /* below 256 entries */
    free(in.data);
}

static void change(struct image *f, const struct edit *e) {
    struct image name = {0};
    put_str(&name, e->key);
    size_t at = 0;
    while (at + name.n <= f->n && memcmp(f->data + at, name.data, name.n)) at++;
    if (at + name.n > f->n) fail_msg("no %s", e->key);
    char *end = f->data + at + name.n;
    const uint32_t v = e->op == SET_F32 ? f32_bits((float)e->number) : (uint32_t)e->number;
    if (e->op == RENAME) end[-1] = 'X';
    else if (e->op == SET_STR) memcpy(end + 12, e->text, strlen(e->text)); /* of the same length */
    else
        for (unsigned i = 0; i < 4; i++) end[4 + i] = (char)(v >> 8 * i);
    free(name.data);
}

static char work[] = "/tmp/gllm-gguf-model-XXXXXX";
static int make_work(void **state) {
    (void)state;
    const int fd = mkstemp(work);
    return fd < 0 || close(fd);
}
static int drop_work(void **state) {
    (void)state;
    return unlink(work);
}

static gllm_status open_edited(const char *model, const struct edit *edits, struct model **m, gllm_error *err) {
    char path[200];
    struct image f = {0};
    struct model_files files;
    const struct log quiet = {0};
    if (strchr(model, '/')) snprintf(path, sizeof path, "tests/golden/%s.gguf", model);
    else snprintf(path, sizeof path, "tests/golden/decoders/%s/model.gguf", model);
    assert_int_equal(file_read(path, 1 << 24, &f.data, &f.n, err), GLLM_OK);
    for (const struct edit *e = edits; e->op != END; e++)
        if (e->op < ADD_U32) change(&f, e);
    insert(&f, edits);
    FILE *out = fopen(work, "wb");
    assert_true(out && fwrite(f.data, 1, f.n, out) == f.n && !fclose(out));
    free(f.data);
    TRY(model_files_open(&files, work, &quiet, err));
    return model_open(m, &files, NULL, &quiet, err);
}

/* ---- refused ---- */

#define MISSING(name, what) {name, {{.op = RENAME, .key = what}}, GLLM_FORMAT, what ": found nothing, expected a number"}
#define NO_TENSOR(name, tensor) {name, {{.op = RENAME, .key = tensor}}, GLLM_FORMAT, tensor ": no such tensor"}
#define VARIANT(how, what, value, found) {"llama", {{.op = how, .key = "llama." what, .number = value}}, GLLM_UNSUPPORTED, "llama." what ": found " found}
#define BERT "gguf-encoders/bert-mean"
#define RANKER "gguf-encoders/bert-rank"
static const struct {
    const char *model; /* of tests/golden/decoders, or a path */
    struct edit edits[MAX_EDITS];
    gllm_status status;
    const char *says;
} BAD[] = {
    {"llama", {{.op = RENAME, .key = "general.architecture"}}, GLLM_FORMAT, "general.architecture: found nothing, expected a name"},
    {"llama", {{.op = SET_STR, .key = "general.architecture", .text = "gnome"}}, GLLM_UNSUPPORTED, "general.architecture: found \"gnome\", supported: bert, "},
    {"llama", {{.op = SET_STR, .key = "general.type", .text = "mlora"}}, GLLM_UNSUPPORTED, "general.type: found \"mlora\", expected \"model\""},
    MISSING("llama", "llama.block_count"),
    MISSING("llama", "llama.context_length"),
    MISSING("llama", "llama.embedding_length"),
    MISSING("llama", "llama.feed_forward_length"),
    MISSING("llama", "llama.attention.head_count"),
    MISSING("llama", "llama.attention.layer_norm_rms_epsilon"),
    {"llama", {{.op = RENAME, .key = "llama.block_count"}, {.op = ADD_STR, .key = "llama.block_count", .text = "two"}}, GLLM_FORMAT, "llama.block_count: found string, expected a number"},
    {"llama", {{.op = SET_U32, .key = "llama.block_count", .number = 0}}, GLLM_FORMAT, "llama.block_count: found 0, expected more: there is blk.0."},
    {"llama", {{.op = SET_U32, .key = "llama.block_count", .number = 4e9}}, GLLM_FORMAT, "num_hidden_layers: found 4000000000, expected 1 to 1024"},
    {"llama", {{.op = SET_U32, .key = "llama.block_count", .number = 3}}, GLLM_FORMAT, "blk.2.attn_q.weight: no such tensor"},
    {"llama", {{.op = SET_U32, .key = "llama.block_count", .number = 1}}, GLLM_FORMAT, "llama.block_count: found 1, expected more: there is blk.1."},
    {"llama", {{.op = SET_U32, .key = "llama.attention.head_count", .number = 3}}, GLLM_FORMAT, "found 2, expected a divisor of the 3 heads"},
    {"llama", {{.op = SET_U32, .key = "llama.attention.head_count", .number = 0}}, GLLM_FORMAT, "num_attention_heads: found 0, expected 1 to"},
    {"llama", {{.op = SET_U32, .key = "llama.attention.head_count_kv", .number = 4}}, GLLM_FORMAT, "blk.0.attn_k.weight: shape [16,32], expected [32,32]"},
    {"llama", {{.op = SET_U32, .key = "llama.embedding_length", .number = 64}}, GLLM_FORMAT, "token_embd.weight: shape [64,32], expected [64,64]"},
    {"llama", {{.op = SET_U32, .key = "llama.feed_forward_length", .number = 47}}, GLLM_FORMAT, "blk.0.ffn_gate.weight: shape [48,32], expected [47,32]"},
    {"llama", {{.op = SET_F32, .key = "llama.attention.layer_norm_rms_epsilon", .number = -1}}, GLLM_FORMAT, "rms_norm_eps: found -1, expected 0 to 1"},
    {"llama", {{.op = SET_F32, .key = "llama.rope.freq_base", .number = 0}}, GLLM_FORMAT, "rope_theta: found 0"},
    {"llama", {{.op = SET_F32, .key = "llama.rope.freq_base", .number = NAN}}, GLLM_FORMAT, "llama.rope.freq_base: found nan, expected a finite number"},
    {"llama", {{.op = SET_U32, .key = "llama.rope.dimension_count", .number = 7}}, GLLM_FORMAT, "7 rotary values in a head of 8, expected an even number"},
    {"llama", {{.op = RENAME, .key = "llama.attention.head_count_kv"}, {.op = ADD_U32S, .key = "llama.attention.head_count_kv", .number = 2, .count = 2}}, GLLM_UNSUPPORTED, "llama.attention.head_count_kv: found 2 and 1, expected the same for all layers"},
    {"qwen3", {{.op = SET_U32, .key = "qwen3.attention.value_length", .number = 8}}, GLLM_UNSUPPORTED, "qwen3.attention.value_length: found 8, expected the 16 of the keys"},
    VARIANT(ADD_U32, "expert_count", 8, "8 (a mixture of experts), expected 0"),
    {"gguf-gemma3", {{.op = ADD_BOOL, .key = "gemma3.attention.causal", .number = 0}}, GLLM_UNSUPPORTED, "gemma3.attention.causal: found false beside a window of 6, expected one of them"},
    VARIANT(ADD_F32, "attention.temperature_scale", 0.5, "0.5 (attention scaled by position), expected 0"),
    VARIANT(ADD_F32, "attention.clamp_kqv", 8, "8 (clamped keys and values), expected 0"),
    VARIANT(ADD_F32, "logit_scale", 2, "2 (scaled logits), expected 0"),
    {"llama", {{.op = ADD_STR, .key = "llama.rope.scaling.type", .text = "strange"}}, GLLM_UNSUPPORTED, "rope_type: found \"strange\""},
    {"llama", {{.op = ADD_STR, .key = "llama.rope.scaling.type", .text = "longrope"}}, GLLM_FORMAT, "longrope without short_factor and long_factor"},
    {"llama", {{.op = ADD_F32, .key = "llama.rope.scaling.factor", .number = 0.5}}, GLLM_FORMAT, "rope factor: found 0.5, expected 1 or more"},
    {"llama-llama3", {{.op = ADD_STR, .key = "llama.rope.scaling.type", .text = "yarn"}}, GLLM_UNSUPPORTED, "rope_freqs.weight beside rotary scaling of type yarn"},
    {"phi4-mini-long", {{.op = RENAME, .key = "rope_factors_long.weight"}}, GLLM_FORMAT, "rope_factors_long.weight: no such tensor, but there is rope_factors_short.weight"},
    {"phi4-mini-long", {{.op = SET_U32, .key = "phi3.rope.dimension_count", .number = 10}}, GLLM_FORMAT, "short_factor: found 6 factors, expected 5"},
    {"glm4", {{.op = ADD_U32, .key = "glm4.nextn_predict_layers", .number = 2}}, GLLM_FORMAT, "glm4.nextn_predict_layers: found 2, expected less than the 2 layers"},
    {"llama", {{.op = RENAME, .key = "token_embd.weight"}}, GLLM_FORMAT, "token_embd.weight: no such matrix"},
    NO_TENSOR("llama", "output_norm.weight"),
    NO_TENSOR("llama", "blk.0.attn_k.weight"),
    NO_TENSOR("llama", "blk.1.ffn_norm.weight"),
    NO_TENSOR("qwen3", "blk.1.attn_q_norm.weight"),
    NO_TENSOR("olmo2", "blk.0.post_ffw_norm.weight"),
    {"llama-bias-tied", {{.op = RENAME, .key = "blk.0.attn_output.bias"}}, GLLM_UNSUPPORTED, "blk.0.attn_output.biaX: found a tensor that architecture llama does not have"},
    {"llama", {{.op = RENAME, .key = "tokenizer.ggml.model"}}, GLLM_FORMAT, "tokenizer.ggml.model: found nothing"},
    {"llama", {{.op = SET_STR, .key = "tokenizer.ggml.model", .text = "gnome"}}, GLLM_UNSUPPORTED, "tokenizer model \"gnome\""},
    {"llama", {{.op = RENAME, .key = "tokenizer.ggml.tokens"}}, GLLM_FORMAT, "found 64, expected 0: one a token"},
    {"llama", {{.op = RENAME, .key = "tokenizer.ggml.scores"}}, GLLM_FORMAT, "scores: found none, expected one a token"},
    {"llama", {{.op = RENAME, .key = "tokenizer.ggml.scores"}, {.op = ADD_F32S, .key = "tokenizer.ggml.scores", .count = 63}}, GLLM_FORMAT, "tokenizer.ggml.scores: found 63, expected 64: one a token"},
    {"llama", {{.op = RENAME, .key = "tokenizer.ggml.token_type"}, {.op = ADD_U32S, .key = "tokenizer.ggml.token_type", .number = 1, .count = 65}}, GLLM_FORMAT, "tokenizer.ggml.token_type: found 65, expected 64: one a token"},
    {"llama", {{.op = RENAME, .key = "tokenizer.ggml.token_type"}, {.op = ADD_U32S, .key = "tokenizer.ggml.token_type", .number = 9, .count = 64}}, GLLM_FORMAT, "tokenizer.ggml.token_type[0]: expected 0 to 6"},
    {"llama", {{.op = RENAME, .key = "tokenizer.ggml.tokens"}, {.op = ADD_U32S, .key = "tokenizer.ggml.tokens", .number = 9, .count = 64}}, GLLM_FORMAT, "tokenizer.ggml.tokens: found u32, expected strings"},
    {"qwen2", {{.op = RENAME, .key = "tokenizer.ggml.pre"}, {.op = ADD_STR, .key = "tokenizer.ggml.pre", .text = "gnome"}}, GLLM_UNSUPPORTED, "pre-tokeniser \"gnome\" is not known"},
    {"qwen2", {{.op = RENAME, .key = "tokenizer.ggml.merges"}}, GLLM_FORMAT, "merges: found none"},
    {"qwen2", {{.op = RENAME, .key = "tokenizer.ggml.merges"}, {.op = ADD_STRS, .key = "tokenizer.ggml.merges", .text = "ab", .count = 1}}, GLLM_FORMAT, "merges[0]"},
    {"qwen2", {{.op = RENAME, .key = "tokenizer.ggml.merges"}, {.op = ADD_STRS, .key = "tokenizer.ggml.merges", .text = "a nix", .count = 1}}, GLLM_FORMAT, "merges[0]: \"nix\" is not in the vocabulary"},
    {"qwen2", {{.op = RENAME, .key = "tokenizer.ggml.merges"}, {.op = ADD_STRS, .key = "tokenizer.ggml.merges", .text = "b a", .count = 1}}, GLLM_FORMAT, "merges[0]"},
    {"qwen2", {{.op = RENAME, .key = "tokenizer.ggml.token_type"}, {.op = RENAME, .key = "tokenizer.ggml.tokens"}, {.op = ADD_STRS, .key = "tokenizer.ggml.tokens", .text = "ab", .count = 65}, {.op = RENAME, .key = "tokenizer.ggml.merges"}, {.op = ADD_STRS, .key = "tokenizer.ggml.merges", .text = "", .count = 0}},
     GLLM_FORMAT, "tokenizer.ggml.tokens: found 65, expected at most the 64 rows of token_embd.weight"},
    MISSING(BERT, "bert.attention.layer_norm_epsilon"),
    MISSING(BERT, "bert.context_length"),
    {BERT, {{.op = SET_F32, .key = "bert.attention.layer_norm_epsilon", .number = 2}}, GLLM_FORMAT, "layer_norm_eps: found 2, expected 0 to 1"},
    {BERT, {{.op = SET_U32, .key = "bert.context_length", .number = 63}}, GLLM_FORMAT, "position_embd.weight: shape [64,32], expected [63,32]"},
    {BERT, {{.op = RENAME, .key = "bert.attention.causal"}, {.op = ADD_BOOL, .key = "bert.attention.causal", .number = 1}}, GLLM_UNSUPPORTED, "bert.attention.causal: found 1 (an encoder with a causal mask), expected 0"},
    {BERT, {{.op = ADD_U32, .key = "bert.attention.head_count_kv", .number = 2}}, GLLM_UNSUPPORTED, "bert.attention.head_count_kv: found 2, expected the 4 of the queries"},
    {BERT, {{.op = SET_U32, .key = "bert.pooling_type", .number = 5}}, GLLM_UNSUPPORTED, "pooling_type: found 5, expected 0 to 4"},
    {BERT, {{.op = SET_U32, .key = "bert.pooling_type", .number = 4}}, GLLM_FORMAT, "pooling_type: found 4 (rank), expected a classification head"},
    NO_TENSOR(BERT, "position_embd.weight"),
    NO_TENSOR(BERT, "token_embd_norm.bias"),
    NO_TENSOR(BERT, "blk.1.layer_output_norm.weight"),
    {BERT, {{.op = RENAME, .key = "blk.0.ffn_up.bias"}}, GLLM_UNSUPPORTED, "blk.0.ffn_up.biaX: found a tensor that architecture bert does not have"},
    {BERT, {{.op = RENAME, .key = "tokenizer.ggml.unknown_token_id"}}, GLLM_FORMAT, "a bert tokenizer needs the ids of its unknown, cls and separator tokens"},
    {RANKER, {{.op = RENAME, .key = "bert.classifier.output_labels"}, {.op = ADD_STRS, .key = "bert.classifier.output_labels", .text = "a", .count = 2}}, GLLM_FORMAT, "bert.classifier.output_labels: found 2 of string, expected 1 strings"},
    {RANKER, {{.op = RENAME, .key = "bert.classifier.output_labels"}, {.op = ADD_U32S, .key = "bert.classifier.output_labels", .number = 1, .count = 1}}, GLLM_FORMAT, "bert.classifier.output_labels: found 1 of u32, expected 1 strings"},
    {RANKER, {{.op = RENAME, .key = "bert.classifier.output_labels"}, {.op = ADD_STRS, .key = "bert.classifier.output_labels", .text = "\xff", .count = 1}}, GLLM_FORMAT, "bert.classifier.output_labels[0] is not UTF-8"},
    {RANKER, {{.op = RENAME, .key = "cls.output.weight"}, {.op = ADD_U32, .key = "bert.pooling_type", .number = 4}}, GLLM_FORMAT, "pooling_type: found 4 (rank), expected a classification head: there is no cls.weight"},
};

static void test_refused(void **state) {
    (void)state;
    for (unsigned i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        struct edit edits[MAX_EDITS + 1] = {{0}};
        struct model *m = NULL;
        gllm_error err = {0};
        memcpy(edits, BAD[i].edits, sizeof BAD[i].edits);
        const gllm_status status = open_edited(BAD[i].model, edits, &m, &err);
        if (status != BAD[i].status || !strstr(err.message, BAD[i].says) || strchr(err.message, '\n'))
            fail_msg("case %u, %s: found %d \"%s\", expected %d and \"%s\"", i, BAD[i].model, (int)status, err.message, (int)BAD[i].status, BAD[i].says);
    }
}

/* ---- assumed ---- */

static struct model_files assumed(const char *model, const struct edit *edits) {
    struct model *m = NULL;
    struct model_files files;
    const struct log quiet = {0};
    gllm_error err = {0};
    open_edited(model, edits, &m, &err); /* sizes that were changed for the sake of a rule do not bind */
    model_close(m);
    if (model_files_open(&files, work, &quiet, &err) != GLLM_OK) fail_msg("%s: %s", model, err.message);
    return files;
}

static unsigned windows(const struct model_cfg *c, uint32_t *width) {
    unsigned n = 0;
    for (uint32_t i = 0; i < c->n_layer; i++)
        if (c->layers[i].window) n++, *width = c->layers[i].window;
    return n;
}

/* Without a pooling the mean is taken; labels are numbered; a head is one only in a file that does not pool as an embedder. */
static void test_heads(void **state) {
    (void)state;
    struct model_files f = assumed(BERT, (const struct edit[]){{.op = RENAME, .key = "bert.pooling_type"}, {.op = END}});
    assert_true(f.dir.n_modules == 3 && f.dir.modules[1].pooling.n_modes == 1 && f.dir.modules[1].pooling.modes[0] == HF_POOL_MEAN && f.dir.modules[2].kind == HF_NORMALIZE && !f.classifier.n_labels);
    model_files_close(&f);
    f = assumed(RANKER, (const struct edit[]){{.op = RENAME, .key = "bert.classifier.output_labels"}, {.op = ADD_U32, .key = "bert.pooling_type", .number = 4}, {.op = END}});
    assert_true(f.classifier.n_labels == 1 && !strcmp(f.classifier.labels[0], "LABEL_0") && f.classifier.model_act == SCORE_SIGMOID && !f.dir.n_modules);
    model_files_close(&f);
    f = assumed(RANKER, (const struct edit[]){{.op = ADD_U32, .key = "bert.pooling_type", .number = 2}, {.op = END}});
    assert_true(!f.classifier.n_labels && f.dir.modules[1].pooling.modes[0] == HF_POOL_CLS);
    model_files_close(&f);
    f = assumed(BERT, (const struct edit[]){{.op = RENAME, .key = "bert.pooling_type"}, {.op = ADD_U32, .key = "bert.pooling_type", .number = 3}, {.op = END}});
    assert_true(f.dir.modules[1].pooling.modes[0] == HF_POOL_LAST);
    model_files_close(&f);
    f = assumed("qwen3", (const struct edit[]){{.op = ADD_U32, .key = "qwen3.pooling_type", .number = 3}, {.op = END}});
    assert_true(!f.generates && f.dir.modules[1].pooling.modes[0] == HF_POOL_LAST);
    model_files_close(&f);
    f = assumed("qwen3", (const struct edit[]){{.op = ADD_U32, .key = "qwen3.pooling_type", .number = 0}, {.op = END}});
    assert_true(f.generates && !f.dir.n_modules);
    model_files_close(&f);
    f = assumed("gguf-encoders/distilbert-three", (const struct edit[]){{.op = END}});
    assert_true(!strcmp(f.arch.name, "distilbert") && f.classifier.n_labels == 3 && !strcmp(f.classifier.labels[1], "entailment"));
    model_files_close(&f);
}

static void test_windows(void **state) {
    (void)state;
    uint32_t width = 0;
    struct model_files f = assumed("gguf-gemma3", (const struct edit[]){{.op = RENAME, .key = "gemma3.rope.freq_base_swa"}, {.op = END}});
    assert_true(f.cfg.ropes[1].theta == 1e4 && f.cfg.ropes[0].theta == 1e6);
    assert_true(windows(&f.cfg, &width) == 6 && width == 6 && !f.cfg.layers[5].window);
    model_files_close(&f);
    f = assumed("gguf-gemma3", (const struct edit[]){{.op = RENAME, .key = "gemma3.attention.sliding_window"}, {.op = END}});
    assert_int_equal(windows(&f.cfg, &width), 0);
    model_files_close(&f);
    f = assumed("gguf-gemma3", (const struct edit[]){{.op = ADD_U32, .key = "gemma3.attention.sliding_window_pattern", .number = 2}, {.op = END}});
    assert_true(windows(&f.cfg, &width) == 4 && !f.cfg.layers[1].window && f.cfg.layers[6].window);
    model_files_close(&f);
    f = assumed("gguf-gemma3", (const struct edit[]){{.op = ADD_U32S, .key = "gemma3.attention.sliding_window_pattern", .number = 1, .count = 7}, {.op = END}});
    assert_true(windows(&f.cfg, &width) == 4 && f.cfg.layers[0].window && !f.cfg.layers[1].window);
    model_files_close(&f);
    f = assumed("gguf-gemma2", (const struct edit[]){{.op = RENAME, .key = "gemma2.attention.sliding_window"}, {.op = END}});
    assert_true(windows(&f.cfg, &width) == 1 && width == 4096 && f.cfg.layers[0].window);
    model_files_close(&f);
    f = assumed("gguf-gemma2", (const struct edit[]){{.op = RENAME, .key = "gemma2.attn_logit_softcapping"}, {.op = RENAME, .key = "gemma2.final_logit_softcapping"}, {.op = END}});
    assert_true(f.cfg.attn_cap == 50 && f.cfg.logit_cap == 30);
    model_files_close(&f);
}

/* Heads of 8 in a width of 32 for two heads: the scale of the queries tells the rules apart. */
static void test_query_scale(void **state) {
    (void)state;
    static const struct {
        const char *model, *arch;
        uint32_t n_layer, by;
    } CASES[] = {{"gguf-gemma2", "gemma2", 2, 8}, {"gguf-gemma2", "gemma2", 46, 16}, {"gguf-gemma2", "gemma2", 62, 8}, {"gguf-gemma3", "gemma3", 62, 16}, {"gguf-gemma3", "gemma3", 46, 8}};
    for (unsigned i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        char keys[3][100];
        static const char *const NAMES[] = {"block_count", "attention.key_length", "attention.value_length"};
        for (unsigned k = 0; k < 3; k++) snprintf(keys[k], sizeof keys[k], "%s.%s", CASES[i].arch, NAMES[k]);
        struct model_files f = assumed(CASES[i].model, (const struct edit[]){{.op = SET_U32, .key = keys[0], .number = CASES[i].n_layer}, {.op = SET_U32, .key = keys[1], .number = 8}, {.op = SET_U32, .key = keys[2], .number = 8}, {.op = END}});
        assert_true(f.cfg.attn_scale == 1 / sqrtf((float)CASES[i].by));
        model_files_close(&f);
    }
}

static void test_positions(void **state) {
    (void)state;
    struct model_files f = assumed("gguf-smollm3", (const struct edit[]){{.op = RENAME, .key = "smollm3.rope.freq_base"}, {.op = RENAME, .key = "smollm3.rope.dimension_count"}, {.op = END}});
    assert_true(f.cfg.ropes[0].theta == 1e4 && f.cfg.n_rot == f.cfg.d_head);
    assert_true(f.cfg.layers[2].rope == 0 && f.cfg.layers[3].rope == -1);
    model_files_close(&f);
    f = assumed("llama-linear", (const struct edit[]){{.op = RENAME, .key = "llama.rope.scaling.type"}, {.op = END}});
    assert_true(f.cfg.ropes[0].kind == ROPE_LINEAR && f.cfg.ropes[0].factor == 4);
    model_files_close(&f);
    f = assumed("llama-linear", (const struct edit[]){{.op = RENAME, .key = "llama.rope.scaling.type"}, {.op = RENAME, .key = "llama.rope.scaling.factor"}, {.op = ADD_F32, .key = "llama.rope.scale_linear", .number = 2}, {.op = END}});
    assert_true(f.cfg.ropes[0].kind == ROPE_LINEAR && f.cfg.ropes[0].factor == 2);
    model_files_close(&f);
    f = assumed("llama-linear", (const struct edit[]){{.op = RENAME, .key = "llama.rope.scaling.type"}, {.op = ADD_STR, .key = "llama.rope.scaling.type", .text = "none"}, {.op = END}});
    assert_int_equal(f.cfg.ropes[0].kind, ROPE_DEFAULT);
    model_files_close(&f);
    f = assumed("qwen2", (const struct edit[]){{.op = RENAME, .key = "qwen2.attention.head_count_kv"}, {.op = END}});
    assert_int_equal(f.cfg.n_kv, f.cfg.n_head);
    model_files_close(&f);
    f = assumed("qwen3", (const struct edit[]){{.op = RENAME, .key = "qwen3.attention.key_length"}, {.op = RENAME, .key = "qwen3.attention.value_length"}, {.op = END}});
    assert_int_equal(f.cfg.d_head, 8);
    model_files_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_refused), cmocka_unit_test(test_heads), cmocka_unit_test(test_windows), cmocka_unit_test(test_query_scale), cmocka_unit_test(test_positions)};
    return cmocka_run_group_tests(tests, make_work, drop_work);
}
