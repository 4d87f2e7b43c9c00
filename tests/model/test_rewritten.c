/* test_rewritten.c - golden models with a file written anew: a head that is stored as codes, a tokenizer with more ids than the model has rows, and
 * limits that leave no room for a text. Each was, or would be, a read beyond memory or an error that came only at the first call. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <jansson.h>
#include <math.h>

#include "model/client.h"
#include "model/model.h"
#include "unit/temp_dir.h"

#define JUDGE "tests/golden/rerankers/judge"
static const struct log QUIET = {0};

/* ---- a directory with one file of its own ---- */

/* temp_dir/name has links to all that is in `golden`. */
static void link_all(const char *golden, const char *name) {
    char here[300], target[800], at[300];
    struct dirent **list;
    if (!getcwd(here, sizeof here)) fail();
    snprintf(at, sizeof at, "%s/.keep", name);
    temp_text(at, "");
    const int n = scandir(golden, &list, NULL, NULL);
    assert_true(n > 2);
    for (int i = 0; i < n; i++) {
        snprintf(target, sizeof target, "%s/%s/%s", here, golden, list[i]->d_name);
        snprintf(at, sizeof at, "%s/%.200s", name, list[i]->d_name);
        if (list[i]->d_name[0] != '.' && symlink(target, temp_path(at))) fail_msg("cannot link %s", at);
        free(list[i]);
    }
    free(list);
}

static void rewrite(const char *name, const char *file, const void *data, size_t n) {
    char at[300];
    snprintf(at, sizeof at, "%s/%s", name, file);
    unlink(temp_path(at));
    temp_write(at, data, n);
}

/* The file with `now` in place of the first `old`. */
static void replace(const char *name, const char *file, const char *old, const char *now) {
    char at[300], *text = calloc(1, 1 << 16), *out = calloc(1, 1 << 17);
    snprintf(at, sizeof at, "%s/%s", name, file);
    FILE *f = fopen(temp_path(at), "rb");
    assert_true(f && text && out && fread(text, 1, (1 << 16) - 1, f));
    fclose(f);
    const char *found = strstr(text, old);
    if (!found) fail_msg("%s has no %s", at, old);
    snprintf(out, 1 << 17, "%.*s%s%s", (int)(found - text), text, now, found + strlen(old));
    rewrite(name, file, out, strlen(out));
    free(text);
    free(out);
}

struct tensors { /* a safetensors file in the making */
    char header[1 << 14];
    size_t n_header, size;
    uint8_t *data;
};

static void add_tensor(struct tensors *w, const char *name, const char *dtype, const char *shape, const void *data, size_t bytes) {
    w->n_header += (size_t)snprintf(w->header + w->n_header, sizeof w->header - w->n_header, "%c\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}", w->n_header ? ',' : '{', name, dtype, shape,
                                    w->size, w->size + bytes);
    w->data = realloc(w->data, w->size + bytes);
    assert_true(w->data && w->n_header < sizeof w->header - 1);
    memcpy(w->data + w->size, data, bytes);
    w->size += bytes;
}

/* All tensors of the golden but `left_out`; of tables with more than `rows` rows the first ones. */
static void copy_tensors(struct tensors *w, const char *golden, const char *left_out, uint64_t rows) {
    struct weights *from;
    gllm_error err = {0};
    if (weights_open(&from, golden, &err) != GLLM_OK) fail_msg("%s", err.message);
    for (size_t i = 0; i < weights_count(from); i++) {
        struct tensor t = *weights_at(from, i);
        char shape[100];
        if (!strcmp(t.name, left_out)) continue;
        if (t.shape[0] > rows) t.bytes = t.bytes / t.shape[0] * rows, t.shape[0] = rows;
        add_tensor(w, t.name, dtype_traits(t.dtype)->safetensors, tensor_shape_text(t.shape, t.rank, shape, sizeof shape), t.data, (size_t)t.bytes);
    }
    weights_close(from);
}

static void save_tensors(struct tensors *w, const char *name) {
    w->header[w->n_header++] = '}';
    const uint64_t n = w->n_header;
    uint8_t *file = malloc(8 + w->n_header + w->size);
    assert_non_null(file);
    memcpy(file, &n, 8);
    memcpy(file + 8, w->header, w->n_header);
    memcpy(file + 8 + w->n_header, w->data, w->size);
    rewrite(name, "model.safetensors", file, 8 + w->n_header + w->size);
    free(file);
    free(w->data);
}

/* ---- a head in codes ---- */

enum { VOCAB = 271, WIDTH = 32, MIDDLE_4 = 8 };
struct rounded { /* the judge's own, rounded: weight = scale code */
    int8_t codes[VOCAB][WIDTH];
    float scales[VOCAB], values[VOCAB][WIDTH];
};

static void round_head(struct rounded *h, int most) {
    struct weights *w;
    gllm_error err;
    assert_int_equal(weights_open(&w, JUDGE, &err), GLLM_OK);
    const struct tensor *t = weights_find(w, "lm_head.weight");
    assert_true(t && t->dtype == DTYPE_F32 && t->shape[0] == VOCAB && t->shape[1] == WIDTH);
    memcpy(h->values, t->data, sizeof h->values);
    weights_close(w);
    for (unsigned r = 0; r < VOCAB; r++) {
        float top = 0;
        for (unsigned c = 0; c < WIDTH; c++) top = fmaxf(top, fabsf(h->values[r][c]));
        h->scales[r] = top / (float)most;
        for (unsigned c = 0; c < WIDTH; c++) {
            h->codes[r][c] = (int8_t)lrintf(h->values[r][c] / h->scales[r]);
            h->values[r][c] = h->scales[r] * (float)h->codes[r][c];
        }
    }
}

static void write_plain(const struct rounded *h, const char *name) {
    struct tensors w = {0};
    link_all(JUDGE, name);
    copy_tensors(&w, JUDGE, "lm_head.weight", VOCAB);
    add_tensor(&w, "lm_head.weight", "F32", "[271,32]", h->values, sizeof h->values);
    save_tensors(&w, name);
}

/* As compressed-tensors writes it, one scale a row. */
static void write_codes(const struct rounded *h, const char *name, unsigned bits) {
    static const int64_t SHAPE[] = {VOCAB, WIDTH};
    struct tensors w = {0};
    uint32_t packed[VOCAB][WIDTH / 8] = {{0}};
    char config[300];
    link_all(JUDGE, name);
    copy_tensors(&w, JUDGE, "lm_head.weight", VOCAB);
    for (unsigned r = 0; r < VOCAB; r++)
        for (unsigned c = 0; c < WIDTH; c++) packed[r][c / 8] |= (uint32_t)((h->codes[r][c] + MIDDLE_4) & 15) << 4 * (c % 8);
    if (bits == 8) add_tensor(&w, "lm_head.weight", "I8", "[271,32]", h->codes, sizeof h->codes);
    else add_tensor(&w, "lm_head.weight_packed", "I32", "[271,4]", packed, sizeof packed), add_tensor(&w, "lm_head.weight_shape", "I64", "[2]", SHAPE, sizeof SHAPE);
    add_tensor(&w, "lm_head.weight_scale", "F32", "[271,1]", h->scales, sizeof h->scales);
    save_tensors(&w, name);
    snprintf(config, sizeof config, "{\"quantization_config\":{\"quant_method\":\"compressed-tensors\",\"format\":\"%s\",\"config_groups\":{\"g\":{\"weights\":{\"type\":\"int\",\"num_bits\":%u,\"strategy\":\"channel\"}}}},",
             bits == 8 ? "int-quantized" : "pack-quantized", bits);
    replace(name, "config.json", "{", config);
}

static void judge(const char *name, const char *backend, float scores[3]) {
    static const gllm_str DOCUMENTS[] = {{"Citrus fruit cured the sailors of scurvy.", GLLM_NTS}, {"yes", GLLM_NTS}, {"the the in her", GLLM_NTS}};
    gllm_client *c = client_open_with(temp_path(name), backend, 2, 0);
    gllm_rerank_request r;
    gllm_rankings *e;
    gllm_error err = {0};
    gllm_rerank_request_init(&r);
    r.query = (gllm_str){"what cured scurvy?", GLLM_NTS}, r.documents = DOCUMENTS, r.n_documents = 3, r.scores = GLLM_SCORES_RAW, r.as_judge = true;
    if (gllm_rerank(c, &r, &e, &err) != GLLM_OK) fail_msg("%s: %s", name, err.message);
    for (size_t i = 0; i < 3; i++) scores[e->items[i].index] = e->items[i].score;
    gllm_rankings_free(e);
    gllm_client_close(c);
}

/* The rows of "yes" and "no" are read as codes: to the bit the scores of the head dequantised. */
static void test_codes(void **state) {
    (void)state;
    static struct rounded h;
    static const struct {
        const char *plain, *codes;
        unsigned bits;
        int most;
    } FORMS[] = {{"plain-8", "codes-8", 8, 127}, {"plain-4", "codes-4", 4, 7}};
    static const char *const BACKENDS[] = {"ref", "cpu"};
    for (unsigned i = 0; i < 2; i++) {
        round_head(&h, FORMS[i].most);
        write_plain(&h, FORMS[i].plain);
        write_codes(&h, FORMS[i].codes, FORMS[i].bits);
        for (unsigned b = 0; b < 2; b++) {
            float expected[3], found[3];
            judge(FORMS[i].plain, BACKENDS[b], expected);
            judge(FORMS[i].codes, BACKENDS[b], found);
            assert_true(expected[0] != expected[1] && expected[1] != expected[2]);
            assert_memory_equal(found, expected, sizeof found);
        }
    }
}

/* ---- a tokenizer with more ids than the model has rows ---- */

static void refused_file(const char *name, const struct model_hints *hints, const char *says) {
    struct model_files files;
    gllm_error err = {0};
    const gllm_status status = model_files_open_hinted(&files, temp_path(name), hints, &QUIET, &err);
    if (status != GLLM_FORMAT || !strstr(err.message, says)) fail_msg("%s: found %d \"%s\", expected \"%s\"", name, (int)status, err.message, says);
}

/* "yes" and "no" are tokens 257 and 258 of 271; the model has 257 rows. A grammar that wants them is spelled with the tokens that there are. */
static void test_small_vocabulary(void **state) {
    (void)state;
    struct tensors w = {0};
    const gllm_str document = {"sea", GLLM_NTS};
    gllm_rerank_request r;
    gllm_rankings *e;
    gllm_error err = {0};
    gllm_generate_request g;
    gllm_completion *said = NULL;
    link_all(JUDGE, "small");
    copy_tensors(&w, JUDGE, "", 257);
    save_tensors(&w, "small");
    replace("small", "config.json", "\"vocab_size\": 271", "\"vocab_size\": 257");
    gllm_client *c = client_open_with(temp_path("small"), "cpu", 2, 0);
    gllm_rerank_request_init(&r);
    r.query = document, r.documents = &document, r.n_documents = 1, r.as_judge = true;
    assert_int_equal(gllm_rerank(c, &r, &e, &err), GLLM_UNSUPPORTED);
    assert_non_null(strstr(err.message, "cannot judge"));
    gllm_generate_request_init(&g);
    g.prompt = (gllm_str){"sea", GLLM_NTS}, g.grammar = "root ::= \"yes no\"", g.logprobs = true, g.n_top = 300;
    if (gllm_generate(c, &g, &said, &err) != GLLM_OK) fail_msg("%s", err.message);
    assert_string_equal(said->text.ptr, "yes no");
    for (size_t i = 0; i < said->n_tokens; i++) assert_true(said->tokens[i] < 257);
    assert_true(said->n_top <= 257);
    gllm_completion_free(said);
    g.prompt = (gllm_str){"yes", GLLM_NTS};
    assert_int_equal(gllm_generate(c, &g, &said, &err), GLLM_INVALID);
    assert_non_null(strstr(err.message, "token id 257: expected 0 to 256"));
    gllm_client_close(c);

    link_all("tests/golden/rerankers/logit-score", "score");
    unlink(temp_path("score/1_LogitScore"));
    temp_text("score/1_LogitScore/config.json", "{\"true_token_id\": 257, \"false_token_id\": 5000}");
    refused_file("score", NULL, "token ids 257 and 5000, expected below the vocabulary's 271");
}

/* ---- no room for a text ---- */

static void test_limits(void **state) {
    (void)state;
    static const char *const ROOM = "sentence_bert_config.json";
    static char many[64 * sizeof "[CLS]"];
    struct model_files files;
    gllm_error err = {0};
    link_all("tests/golden/outputs/colbert-filled", "filled");
    replace("filled", ROOM, "\"length\": 12", "\"length\": 65");
    refused_file("filled", NULL, "query_expansion: length: found 65, expected at most the model's 64 positions");
    replace("filled", ROOM, "\"length\": 65", "\"length\": 2");
    refused_file("filled", NULL, "query_length: found 2, expected more than the 2 special tokens");
    replace("filled", ROOM, "\"length\": 2", "\"length\": 64");
    replace("filled", ROOM, "\"document_length\": 20", "\"document_length\": 1");
    refused_file("filled", NULL, "document_length: found 1, expected more than the 2 special tokens");
    replace("filled", ROOM, "\"document_length\": 1", "\"document_length\": 3");
    if (model_files_open(&files, temp_path("filled"), &QUIET, &err) != GLLM_OK) fail_msg("%s", err.message);
    model_files_close(&files);

    link_all("tests/golden/models/bert-mean", "framed");
    for (unsigned i = 0; i < 46; i++) strcat(many, "[CLS]");
    const struct model_hints hints = {.name = "framed", .licence = "", .input_before = many, .input_after = "[SEP]"};
    if (model_files_open_hinted(&files, temp_path("framed"), &hints, &QUIET, &err) != GLLM_OK) fail_msg("%s", err.message);
    assert_int_equal(files.max_tokens - files.frame.n_before - files.frame.n_after, 1);
    model_files_close(&files);
    strcat(many, "[CLS]");
    refused_file("framed", &hints, "max_seq_length: found 48, expected more than the 48 special tokens");
}

/* A mapping longer than the tokenizer costs no more than its tokens, and gives the same vectors. */
static void test_mapping(void **state) {
    (void)state;
    enum { TOKENS = 180, LONGER = 100000, ROWS = 40, DIM = 24 };
    static const char GOLDEN[] = "tests/golden/outputs/static-model2vec-mapped";
    static int64_t mapping[LONGER];
    static double scale[LONGER];
    struct tensors w = {0};
    struct weights *from;
    gllm_error err = {0};
    const gllm_str text = {"the sea and the whale", GLLM_NTS};
    assert_int_equal(weights_open(&from, GOLDEN, &err), GLLM_OK);
    memcpy(mapping, weights_find(from, "mapping")->data, TOKENS * sizeof *mapping);
    memcpy(scale, weights_find(from, "weights")->data, TOKENS * sizeof *scale);
    add_tensor(&w, "embeddings", "F16", "[40,24]", weights_find(from, "embeddings")->data, ROWS * DIM * 2);
    weights_close(from);
    add_tensor(&w, "mapping", "I64", "[100000]", mapping, sizeof mapping);
    add_tensor(&w, "weights", "F64", "[100000]", scale, sizeof scale);
    link_all(GOLDEN, "longer");
    save_tensors(&w, "longer");
    gllm_client *a = client_open_with(GOLDEN, "cpu", 1, 0), *b = client_open_with(temp_path("longer"), "cpu", 1, 0);
    const gllm_embed_request r = client_request(&text);
    gllm_embeddings *x = client_embed(a, &r), *y = client_embed(b, &r);
    assert_int_equal(x->dim, DIM);
    assert_memory_equal(x->data, y->data, DIM * sizeof *x->data);
    gllm_embeddings_free(x), gllm_embeddings_free(y);
    gllm_client_close(a), gllm_client_close(b);
    struct model_files files;
    assert_int_equal(model_files_open(&files, temp_path("longer"), &QUIET, &err), GLLM_OK);
    assert_int_equal(files.cfg.n_vocab, tokenizer_vocab_size(files.tokenizer));
    assert_true(files.cfg.n_vocab <= TOKENS);
    model_files_close(&files);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_codes), cmocka_unit_test(test_small_vocabulary), cmocka_unit_test(test_limits), cmocka_unit_test(test_mapping)};
    return cmocka_run_group_tests(tests, temp_open, temp_close);
}
