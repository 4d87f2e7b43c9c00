/* bind_codes.c - modules whose weight is stored as small whole numbers: the tensors of each method, checked, as struct weight_codes.
 *
 *   method               tensors of a module [rows = outputs, cols = inputs], G groups of inputs, b bits; "/32": packed in words of 32 bits
 *   awq gemm             qweight I32 [cols, rows 4/32]   qzeros I32 [G, rows 4/32]   scales F16 [G, rows]              outputs in AWQ's order
 *   awq gemv             qweight I32 [rows, cols 4/32]   qzeros I32 [rows, Z]        scales F16 [rows, 8 Z]            Z words for G, rounded up
 *   gptq                 qweight I32 [cols b/32, rows]   qzeros I32 [G, rows b/32]   scales [G, rows]   g_idx I32 [cols], where inputs are out of order
 *   pack-quantized       weight_packed I32 [rows, cols b/32]   weight_zero_point I32 [rows b/32, G] or I8 [rows, G]    weight_scale [rows, G]
 *                        weight_shape I64 [2]   weight_g_idx I32 [cols]   codes of signed numbers; before its version 0.20 no code spanned two words:
 *                        32 / b, rounded down, stood in each, which their number of words tells
 *   int-quantized        weight I8 [rows, cols]          weight_zero_point I8 [rows, G]                                weight_scale [rows, G]
 *   bitsandbytes 4 bits  weight U8 [rows cols / 2, 1], the first of two in the high bits   weight.absmax F32 or, quantised itself, U8
 *                        weight.quant_map F32 [16]   weight.quant_state.bitsandbytes__nf4 or __fp4: JSON; blocks run on from row to row
 *   bitsandbytes 8 bits  weight I8 [rows, cols]          SCB F32 [rows]: 127 times the scale
 *
 * Layouts are those that AutoAWQ, AutoGPTQ, compressed-tensors and bitsandbytes write. */
#include "base/json.h"
#include "model/bind_quant.h"
#include "tensor/quant.h"

#include <stdio.h>
#include <string.h>

enum { TEXT_ROOM = 200 };

struct taker { /* what the functions below share */
    const struct weights *w;
    const struct quant_cfg *q;
    struct arena *arena;
    const char *name;            /* of the plain weight */
    char full[QUANT_NAME_ROOM + 48]; /* of the tensor in hand */
    uint32_t rows, cols, group, n_groups;
    struct weight_codes *codes;
    const struct tensor *tensor; /* that holds the codes */
};

/* Name of the tensor that stands beside the weight: `tail` follows the weight's own name (it begins with a dot), or the module's. */
static void beside(const char *name, const char *tail, char full[QUANT_NAME_ROOM + 48]) {
    const size_t len = strlen(name) - (*tail == '.' ? 0 : strlen("weight"));
    snprintf(full, QUANT_NAME_ROOM + 48, "%.*s%s", (int)len, name, tail);
}
static const struct tensor *find(struct taker *t, const char *tail) {
    beside(t->name, tail, t->full);
    return weights_find(t->w, t->full);
}

static gllm_status need(struct taker *t, const char *tail, const struct tensor **out, gllm_error *err) {
    *out = find(t, tail);
    return *out ? GLLM_OK : err_set(err, GLLM_FORMAT, "%s: no such tensor, expected one beside the other tensors of a module stored as %s", t->full, t->q->method);
}

/* The tensor in hand has this dtype and shape; cols 0: [rows]. */
static gllm_status check(const struct taker *t, const struct tensor *x, enum dtype dtype, uint64_t rows, uint64_t cols, gllm_error *err) {
    char found[TEXT_ROOM], expected[TEXT_ROOM];
    const uint64_t shape[] = {rows, cols};
    const uint32_t rank = cols ? 2 : 1;
    if (x->dtype != dtype) return err_set(err, GLLM_UNSUPPORTED, "%s: dtype %s, expected %s", t->full, dtype_traits(x->dtype)->name, dtype_traits(dtype)->name);
    if (x->rank == rank && x->shape[0] == rows && (rank == 1 || x->shape[1] == cols)) return GLLM_OK;
    return err_set(err, GLLM_FORMAT, "%s: shape %s, expected %s", t->full, tensor_shape_text(x->shape, x->rank, found, sizeof found), tensor_shape_text(shape, rank, expected, sizeof expected));
}
static gllm_status take(struct taker *t, const char *tail, enum dtype dtype, uint64_t rows, uint64_t cols, const struct tensor **out, gllm_error *err) {
    TRY(need(t, tail, out, err));
    return check(t, *out, dtype, rows, cols, err);
}

static gllm_status take_scales(struct taker *t, const char *tail, uint64_t rows, uint64_t cols, gllm_error *err) {
    const struct tensor *x;
    TRY(need(t, tail, &x, err));
    if (x->dtype != DTYPE_F16 && x->dtype != DTYPE_BF16 && x->dtype != DTYPE_F32) return err_set(err, GLLM_UNSUPPORTED, "%s: dtype %s, expected F16, BF16 or F32", t->full, dtype_traits(x->dtype)->name);
    t->codes->scales = x->data, t->codes->scale_dtype = x->dtype;
    return check(t, x, x->dtype, rows, cols, err);
}

/* Words of 32 bits that n codes take. */
static uint64_t words(uint64_t n, uint32_t bits) { return (n * bits + 31) / 32; }

/* `n` outputs or inputs fill whole words: no code is left over. */
static gllm_status check_whole(const struct taker *t, const char *what, uint32_t n, uint32_t bits, gllm_error *err) {
    return (uint64_t)n * bits % 32 ? err_set(err, GLLM_FORMAT, "%s: %u %s of %u bits, expected whole words of 32 bits", t->name, n, what, bits) : GLLM_OK;
}

/* The group of each input: kept where they do not just follow each other. */
static gllm_status take_groups(struct taker *t, const char *tail, gllm_error *err) {
    const struct tensor *x = find(t, tail);
    bool in_order = true;
    if (!x) return GLLM_OK;
    TRY(check(t, x, DTYPE_I32, t->cols, 0, err));
    for (uint32_t c = 0; c < t->cols; c++) {
        const uint32_t group = quant_u32((const uint8_t *)x->data + 4 * (size_t)c);
        if (group >= t->n_groups) return err_set(err, GLLM_FORMAT, "%s: input %u is in group %d, expected 0 to %u", t->full, c, (int32_t)group, t->n_groups - 1);
        in_order &= group == c / t->group;
    }
    if (!in_order) t->codes->groups = x->data;
    return GLLM_OK;
}

static gllm_status take_awq_gemm(struct taker *t, gllm_error *err) {
    const struct tensor *zeros = NULL;
    const uint32_t across = t->rows / 8;
    TRY(check_whole(t, "outputs", t->rows, 4, err));
    TRY(take(t, "qweight", DTYPE_I32, t->cols, across, &t->tensor, err));
    if (find(t, "qzeros") || !t->q->symmetric) TRY(take(t, "qzeros", DTYPE_I32, t->n_groups, across, &zeros, err));
    TRY(take_scales(t, "scales", t->n_groups, t->rows, err));
    t->codes->codes = (struct code_grid){.data = t->tensor->data, .bits = 4, .unit = 4, .down = true, .order = CODES_AWQ, .line = across, .step = 1};
    t->codes->zeros = t->codes->codes;
    t->codes->zeros.data = zeros ? zeros->data : NULL;
    t->codes->zero = zeros ? 0 : 8;
    t->codes->scale_row = 1, t->codes->scale_group = t->rows;
    return GLLM_OK;
}

/* Words of zero points in a row: enough for the groups, and for the kernels of groups below 128 in multiples. */
static uint32_t gemv_zero_words(uint32_t group, uint32_t n_groups) {
    const uint32_t multiple = group >= 128 ? 1 : group == 64 ? 2 : 4, n = (n_groups + 7) / 8;
    return (n + multiple - 1) / multiple * multiple;
}
static gllm_status take_awq_gemv(struct taker *t, gllm_error *err) {
    const struct tensor *zeros;
    if (t->group < 128 && t->group != 64 && t->group != 32) return err_set(err, GLLM_UNSUPPORTED, "%s: groups of %u inputs, expected 32, 64, 128 or more in the gemv version of awq", t->name, t->group);
    const uint32_t n_zeros = gemv_zero_words(t->group, t->n_groups);
    TRY(check_whole(t, "inputs", t->cols, 4, err));
    TRY(take(t, "qweight", DTYPE_I32, t->rows, t->cols / 8, &t->tensor, err));
    TRY(take(t, "qzeros", DTYPE_I32, t->rows, n_zeros, &zeros, err));
    TRY(take_scales(t, "scales", t->rows, 8ull * n_zeros, err));
    t->codes->codes = (struct code_grid){.data = t->tensor->data, .bits = 4, .unit = 4, .line = t->cols / 8, .step = 1};
    t->codes->zeros = (struct code_grid){.data = zeros->data, .bits = 4, .unit = 4, .line = n_zeros, .step = 1};
    t->codes->scale_row = 8 * (size_t)n_zeros, t->codes->scale_group = 1;
    return GLLM_OK;
}

static gllm_status take_gptq(struct taker *t, gllm_error *err) {
    const struct tensor *zeros;
    const uint32_t bits = t->q->bits;
    const uint64_t across = words(t->rows, bits);
    TRY(check_whole(t, "inputs", t->cols, bits, err));
    TRY(take(t, "qweight", DTYPE_I32, words(t->cols, bits), t->rows, &t->tensor, err));
    TRY(take(t, "qzeros", DTYPE_I32, t->n_groups, across, &zeros, err));
    TRY(take_scales(t, "scales", t->n_groups, t->rows, err));
    t->codes->codes = (struct code_grid){.data = t->tensor->data, .bits = (uint8_t)bits, .unit = 4, .line = 1, .step = t->rows};
    t->codes->zeros = (struct code_grid){.data = zeros->data, .bits = (uint8_t)bits, .unit = 4, .down = true, .line = (uint32_t)across, .step = 1};
    t->codes->zero = t->q->zeros_less_one;
    t->codes->scale_row = 1, t->codes->scale_group = t->rows;
    return take_groups(t, "g_idx", err);
}

/* How the n codes of a line lie in the `found` words that it has: as one stream, or whole in each word. */
static gllm_status take_padding(const struct taker *t, uint64_t found, uint32_t n, struct code_grid *g, uint64_t *n_words, gllm_error *err) {
    const uint32_t per = 32 / g->bits;
    const uint64_t stream = words(n, g->bits), padded = (n + (uint64_t)per - 1) / per;
    g->padded = found == padded && 32 % g->bits;
    *n_words = g->padded ? padded : stream;
    if (stream == padded && g->padded && n > per)
        return err_set(err, GLLM_UNSUPPORTED, "%s: %u codes of %u bits in %llu words, which do not tell whether codes span them", t->full, n, g->bits, (unsigned long long)found);
    return GLLM_OK;
}

/* Zero points of compressed-tensors, of codes whose middle stands for 0 without them. */
static gllm_status take_compressed_zeros(struct taker *t, uint32_t bits, gllm_error *err) {
    const struct tensor *x = find(t, "weight_zero_point");
    const int middle = 1 << (bits - 1);
    t->codes->zero = middle;
    if (!x && t->q->symmetric) return GLLM_OK;
    TRY(need(t, "weight_zero_point", &x, err));
    if (x->dtype == DTYPE_I8) {
        t->codes->zeros = (struct code_grid){.data = x->data, .bits = 8, .unit = 1, .flip = 0x80, .line = t->n_groups, .step = 1};
        t->codes->zero = middle - 128;
        return check(t, x, DTYPE_I8, t->rows, t->n_groups, err);
    }
    t->codes->zeros = (struct code_grid){.data = x->data, .bits = (uint8_t)bits, .unit = 4, .line = 1, .step = t->n_groups};
    t->codes->zeros.down = true, t->codes->zero = 0;
    uint64_t down;
    TRY(take_padding(t, x->rank ? x->shape[0] : 0, t->rows, &t->codes->zeros, &down, err));
    return check(t, x, DTYPE_I32, down, t->n_groups, err);
}

/* One scale for all, or one a row and group. */
static gllm_status take_compressed_scales(struct taker *t, gllm_error *err) {
    const struct tensor *x;
    TRY(need(t, "weight_scale", &x, err));
    if (tensor_count(x) == 1 && !t->q->group) return take_scales(t, "weight_scale", 1, x->rank == 2, err);
    t->codes->scale_row = t->n_groups, t->codes->scale_group = 1;
    return take_scales(t, "weight_scale", t->rows, t->n_groups, err);
}

static gllm_status take_packed(struct taker *t, gllm_error *err) {
    const struct tensor *shape;
    const uint32_t bits = t->q->bits;
    TRY(need(t, "weight_shape", &shape, err));
    if (shape->dtype != DTYPE_I64 && shape->dtype != DTYPE_I32) return err_set(err, GLLM_UNSUPPORTED, "%s: dtype %s, expected I64 or I32", t->full, dtype_traits(shape->dtype)->name);
    TRY(check(t, shape, shape->dtype, 2, 0, err));
    float sides[2];
    dtype_to_f32(shape->dtype, shape->data, sides, 2);
    if (sides[0] != (float)t->rows || sides[1] != (float)t->cols) return err_set(err, GLLM_FORMAT, "%s: found [%.9g,%.9g], expected [%u,%u]", t->full, (double)sides[0], (double)sides[1], t->rows, t->cols);
    TRY(need(t, "weight_packed", &t->tensor, err));
    struct code_grid *g = &t->codes->codes;
    uint64_t across;
    *g = (struct code_grid){.data = t->tensor->data, .bits = (uint8_t)bits, .unit = 4, .step = 1};
    TRY(take_padding(t, t->tensor->rank == 2 ? t->tensor->shape[1] : 0, t->cols, g, &across, err));
    g->line = (uint32_t)across;
    TRY(check(t, t->tensor, DTYPE_I32, t->rows, across, err));
    TRY(take_compressed_scales(t, err));
    TRY(take_compressed_zeros(t, bits, err));
    return take_groups(t, "weight_g_idx", err);
}

static gllm_status take_int8(struct taker *t, gllm_error *err) {
    TRY(take(t, "weight", DTYPE_I8, t->rows, t->cols, &t->tensor, err));
    t->codes->codes = (struct code_grid){.data = t->tensor->data, .bits = 8, .unit = 1, .flip = 0x80, .line = t->cols, .step = 1};
    TRY(take_compressed_scales(t, err));
    TRY(take_compressed_zeros(t, 8, err));
    return take_groups(t, "weight_g_idx", err);
}

static gllm_status take_bnb8(struct taker *t, gllm_error *err) {
    const struct tensor *scb, *format = find(t, "weight_format");
    if (format && (format->bytes != 1 || *(const uint8_t *)format->data)) return err_set(err, GLLM_UNSUPPORTED, "%s: weights in another order than by rows", t->full);
    TRY(take(t, "weight", DTYPE_I8, t->rows, t->cols, &t->tensor, err));
    TRY(take(t, "SCB", DTYPE_F32, t->rows, 0, &scb, err));
    float *scales = arena_array(t->arena, t->rows, sizeof *scales);
    if (!scales) return err_nomem(err, t->full);
    dtype_to_f32(DTYPE_F32, scb->data, scales, t->rows);
    for (uint32_t r = 0; r < t->rows; r++) scales[r] /= 127;
    t->codes->codes = (struct code_grid){.data = t->tensor->data, .bits = 8, .unit = 1, .flip = 0x80, .line = t->cols, .step = 1};
    t->codes->zero = 128;
    t->codes->scales = scales, t->codes->scale_dtype = DTYPE_F32, t->codes->scale_row = 1;
    return GLLM_OK;
}

struct bnb_state { /* quant_state */
    uint32_t block, nested_block;
    float offset;
};

/* The JSON in a tensor of bytes; its shape must be the module's. */
static gllm_status read_bnb_state(struct taker *t, struct bnb_state *s, gllm_error *err) {
    const struct tensor *x = find(t, ".quant_state.bitsandbytes__nf4");
    if (!x) TRY(need(t, ".quant_state.bitsandbytes__fp4", &x, err));
    json_t *root = NULL, *shape = NULL;
    if (x->dtype != DTYPE_U8) return err_set(err, GLLM_UNSUPPORTED, "%s: dtype %s, expected U8", t->full, dtype_traits(x->dtype)->name);
    TRY(json_parse(x->data, (size_t)x->bytes, t->full, &root, err));
    gllm_status status = json_is_object(root) ? GLLM_OK : err_set(err, GLLM_FORMAT, "%s: found %s, expected an object", t->full, json_kind(root));
    if (status == GLLM_OK) status = json_u32(root, t->full, "blocksize", &s->block, err);
    if (status == GLLM_OK) status = json_u32(root, t->full, "nested_blocksize", &s->nested_block, err);
    if (status == GLLM_OK) status = json_f32(root, t->full, "nested_offset", &s->offset, err);
    if (status == GLLM_OK) status = json_array_at(root, t->full, "shape", &shape, err);
    const double rows = json_number_value(json_array_get(shape, 0)), cols = json_number_value(json_array_get(shape, 1));
    if (status == GLLM_OK && (json_array_size(shape) != 2 || rows != t->rows || cols != t->cols))
        status = err_set(err, GLLM_FORMAT, "%s: shape: found [%.9g,%.9g], expected [%u,%u]", t->full, rows, cols, t->rows, t->cols);
    if (status == GLLM_OK && !s->block) status = err_set(err, GLLM_FORMAT, "%s: blocksize: found 0 or nothing, expected 1 or more", t->full);
    json_decref(root);
    return status;
}

/* absmax of n blocks, itself in codes of 8 bits: map[code] nested_absmax[block] + offset, rounded as two steps. */
static gllm_status take_nested(struct taker *t, const struct bnb_state *s, const uint8_t *absmax, uint64_t n, gllm_error *err) {
    const struct tensor *nested, *map;
    float values[256];
    if (!s->nested_block) return err_set(err, GLLM_FORMAT, "%s: blocks in codes, but quant_state has no nested_blocksize", t->full);
    TRY(take(t, ".nested_quant_map", DTYPE_F32, 256, 0, &map, err));
    TRY(take(t, ".nested_absmax", DTYPE_F32, (n - 1) / s->nested_block + 1, 0, &nested, err));
    dtype_to_f32(DTYPE_F32, map->data, values, 256);
    float *out = arena_array(t->arena, (size_t)n, sizeof *out);
    if (!out) return err_nomem(err, t->full);
    for (uint64_t i = 0; i < n; i++) {
        float scale;
        dtype_to_f32(DTYPE_F32, (const uint8_t *)nested->data + 4 * (size_t)(i / s->nested_block), &scale, 1);
        const float product = values[absmax[i]] * scale;
        out[i] = product + s->offset;
    }
    t->codes->scales = out;
    return GLLM_OK;
}

static gllm_status take_bnb4(struct taker *t, gllm_error *err) {
    const struct tensor *map, *absmax;
    struct bnb_state s = {0};
    char found[TEXT_ROOM];
    const uint64_t n = (uint64_t)t->rows * t->cols;
    TRY(need(t, "weight", &t->tensor, err));
    if (t->cols % 2 || tensor_count(t->tensor) != n / 2)
        return err_set(err, GLLM_FORMAT, "%s: shape %s, expected [%llu,1]: two of [%u,%u] in a byte", t->full, tensor_shape_text(t->tensor->shape, t->tensor->rank, found, sizeof found), (unsigned long long)n / 2, t->rows, t->cols);
    TRY(read_bnb_state(t, &s, err));
    TRY(take(t, ".quant_map", DTYPE_F32, 16, 0, &map, err));
    float *table = arena_array(t->arena, 16, sizeof *table);
    if (!table) return err_nomem(err, t->full);
    dtype_to_f32(DTYPE_F32, map->data, table, 16);
    const uint64_t n_blocks = (n - 1) / s.block + 1;
    *t->codes = (struct weight_codes){.table = table, .scale_dtype = DTYPE_F32, .scale_group = 1, .group = s.block, .flat = true,
                                      .codes = {.data = t->tensor->data, .bits = 4, .unit = 1, .order = CODES_PAIRS_SWAPPED, .line = t->cols / 2, .step = 1}};
    TRY(need(t, ".absmax", &absmax, err));
    TRY(check(t, absmax, absmax->dtype == DTYPE_U8 ? DTYPE_U8 : DTYPE_F32, n_blocks, 0, err));
    t->codes->scales = absmax->data;
    return absmax->dtype == DTYPE_U8 ? take_nested(t, &s, absmax->data, n_blocks, err) : GLLM_OK;
}

static gllm_status take_bnb(struct taker *t, gllm_error *err) { return find(t, "weight")->dtype == DTYPE_U8 ? take_bnb4(t, err) : take_bnb8(t, err); }

static const struct {
    gllm_status (*take)(struct taker *t, gllm_error *err);
    const char *tail; /* of the tensor of codes */
} FORMS[] = {
    [QUANT_FLOAT8] = {NULL, NULL}, [QUANT_AWQ_GEMM] = {take_awq_gemm, "qweight"}, [QUANT_AWQ_GEMV] = {take_awq_gemv, "qweight"}, [QUANT_GPTQ] = {take_gptq, "qweight"},
    [QUANT_PACKED] = {take_packed, "weight_packed"}, [QUANT_INT8] = {take_int8, "weight"}, [QUANT_BNB] = {take_bnb, "weight"},
};

/* Tensors that hold codes under a name of their own; under the weight's, their dtype tells. GGUF has none. */
static const struct tensor *find_codes(const struct weights *w, const char *name) {
    static const char *const TAILS[] = {"qweight", "weight_packed"};
    char full[QUANT_NAME_ROOM + 48];
    const size_t len = strlen(name);
    if (weights_gguf(w) || len < 7 || strcmp(name + len - 7, ".weight")) return NULL;
    const struct tensor *t = weights_find(w, name);
    if (t) return t->dtype == DTYPE_I8 || t->dtype == DTYPE_U8 ? t : NULL;
    for (unsigned i = 0; !t && i < sizeof TAILS / sizeof *TAILS; i++) {
        beside(name, TAILS[i], full);
        t = weights_find(w, full);
    }
    return t;
}

gllm_status quant_check_plain(const struct weights *w, const struct quant_cfg *q, const char *name, gllm_error *err) {
    char full[QUANT_NAME_ROOM + 48];
    bool left_out;
    if (!FORMS[q->form].tail || !strcmp(FORMS[q->form].tail, "weight")) return GLLM_OK;
    beside(name, FORMS[q->form].tail, full);
    if (!weights_find(w, full)) return GLLM_OK;
    TRY(quant_left_out(q, name, &left_out, err));
    return left_out ? GLLM_OK : err_set(err, GLLM_FORMAT, "%s: found beside %s, and quantization_config does not leave the module out", full, name);
}

bool quant_has_codes(const struct weights *w, const char *name) { return find_codes(w, name) != NULL; }

/* What follows the last dot of a tensor's name. */
static bool named(const struct tensor *t, const char *tail) {
    const char *dot = strrchr(t->name, '.');
    return !strcmp(dot ? dot + 1 : t->name, tail);
}

uint64_t quant_params(const struct quant_cfg *q, const struct tensor *t) {
    static const char *const BESIDE[] = {"scales", "weight_scale", "SCB", "absmax", "quant_map", "nested_absmax", "nested_quant_map"};
    const char *codes = FORMS[q->form].tail;
    if (!q->method || !codes) return dtype_is_weight(t->dtype) ? tensor_count(t) : 0;
    if (named(t, codes) && t->dtype == DTYPE_I32) return tensor_count(t) * 32 / q->bits;
    if (named(t, codes) && (t->dtype == DTYPE_U8 || t->dtype == DTYPE_I8)) return tensor_count(t) * (t->dtype == DTYPE_U8 ? 2 : 1);
    for (unsigned i = 0; i < sizeof BESIDE / sizeof *BESIDE; i++)
        if (named(t, BESIDE[i])) return 0;
    return dtype_is_weight(t->dtype) ? tensor_count(t) : 0;
}

gllm_status quant_take_codes(const struct weights *w, const struct quant_cfg *q, struct arena *a, const char *name, uint32_t cols, struct weight_part *p, const struct tensor **tensor, gllm_error *err) {
    const struct tensor *codes = find_codes(w, name);
    if (!q) return err_set(err, GLLM_FORMAT, "%s: found codes, but config.json has no quantization_config", codes->name);
    struct taker t = {.w = w, .q = q, .arena = a, .name = name, .rows = p->rows, .cols = cols, .group = q->group && q->group < cols ? q->group : cols};
    t.codes = arena_array(a, 1, sizeof *t.codes);
    if (!t.codes) return err_nomem(err, name);
    if (!FORMS[q->form].take || find(&t, FORMS[q->form].tail) != codes)
        return err_set(err, GLLM_FORMAT, "%s: found codes that quant_method %s does not write", codes->name, q->method);
    t.n_groups = (cols - 1) / t.group + 1;
    t.codes->group = t.group;
    TRY(FORMS[q->form].take(&t, err));
    p->data = t.tensor->data, p->dtype = t.tensor->dtype, p->codes = t.codes;
    *tensor = t.tensor;
    return GLLM_OK;
}
