/* bind_quant.c - which modules a file leaves as they are, and the scales beside weights that are 8-bit floats. */
#include "model/bind_quant.h"

#include "text/regex.h"

#include <stdio.h>
#include <string.h>

/* A key of a list of modules: a name, what it begins with, or what it ends with; or a regular expression from its first letter on. */
static gllm_status module_matches(const char *key, const char *module, size_t len, bool *out, gllm_error *err) {
    const size_t n = strlen(key);
    if (strncmp(key, "re:", 3)) {
        *out = n <= len && ((!strncmp(key, module, n) && (n == len || module[n] == '.')) || (!strncmp(key, module + len - n, n) && (n == len || module[len - n - 1] == '.')));
        return GLLM_OK;
    }
    struct regex *re;
    struct regex_scan scan = {0};
    struct regex_span span = {0};
    TRY(regex_open(&re, key + 3, n - 3, "config.json: quantization_config", err));
    regex_begin(&scan, re, module, len);
    *out = regex_next(&scan, &span) && span.match; /* the first span begins the text */
    regex_end(&scan);
    regex_free(re);
    return GLLM_OK;
}

gllm_status quant_left_out(const struct quant_cfg *q, const char *name, bool *out, gllm_error *err) {
    const size_t len = strlen(name) - strlen(".weight");
    *out = false;
    for (size_t i = 0; !*out && i < q->n_ignored; i++) TRY(module_matches(q->ignored[i], name, len, out, err));
    return GLLM_OK;
}

static gllm_status check_ignored(const struct quant_cfg *q, const char *name, enum dtype t, gllm_error *err) {
    bool found;
    TRY(quant_left_out(q, name, &found, err));
    return found ? GLLM_OK : err_set(err, GLLM_FORMAT, "%s_scale: no such tensor, nor %s_scale_inv; quantization_config does not leave out %s, which is %s", name, name, name, dtype_traits(t)->name);
}

static bool is_f8(enum dtype t) { return t == DTYPE_F8_E4M3 || t == DTYPE_F8_E5M2; }

/* The scale beside X.weight [rows, cols]: one for all, one a row, or in the tiles that config.json tells; its shape says which. */
gllm_status quant_take_scale(const struct weights *w, const struct quant_cfg *q, struct weight_part *p, const char *name, uint32_t cols, gllm_error *err) {
    char full[QUANT_NAME_ROOM + 16], found[200], tiles[64] = "";
    snprintf(full, sizeof full, "%s_scale_inv", name);
    const struct tensor *t = weights_find(w, full);
    if (!t) {
        snprintf(full, sizeof full, "%s_scale", name);
        t = weights_find(w, full);
    }
    if (!t) return !q ? GLLM_OK : is_f8(p->dtype) ? check_ignored(q, name, p->dtype, err) : quant_check_plain(w, q, name, err);
    if (!is_f8(p->dtype)) return err_set(err, GLLM_UNSUPPORTED, "%s: a scale beside values of %s, expected F8_E4M3 or F8_E5M2", full, dtype_traits(p->dtype)->name);
    if (t->dtype != DTYPE_F32 && t->dtype != DTYPE_F16 && t->dtype != DTYPE_BF16) return err_set(err, GLLM_UNSUPPORTED, "%s: dtype %s, expected F32, F16 or BF16", full, dtype_traits(t->dtype)->name);
    p->scale = (struct weight_scale){.data = t->data, .dtype = t->dtype, .row_block = p->rows, .col_block = cols};
    if (tensor_count(t) == 1) return GLLM_OK;
    if (t->shape[0] == p->rows && tensor_count(t) == p->rows) {
        p->scale.row_block = 1;
        return GLLM_OK;
    }
    if (q && q->row_block) {
        const uint32_t down = (p->rows - 1) / q->row_block + 1, across = (cols - 1) / q->col_block + 1;
        p->scale.row_block = q->row_block, p->scale.col_block = q->col_block;
        if (t->rank == 2 && t->shape[0] == down && t->shape[1] == across) return GLLM_OK;
        snprintf(tiles, sizeof tiles, " or [%u,%u] for tiles of %u x %u", down, across, q->row_block, q->col_block);
    }
    return err_set(err, GLLM_FORMAT, "%s: shape %s, expected [], [%u,1]%s", full, tensor_shape_text(t->shape, t->rank, found, sizeof found), p->rows, tiles);
}
