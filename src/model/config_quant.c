/* config_quant.c - config.json's quantization_config: weights of 8-bit floats with scales beside them, and nothing else.
 *
 *   quant_method         scales (bind.c finds them by name and shape)                 modules left out
 *   fp8                  weight_scale_inv in tiles of weight_block_size, or one       modules_to_not_convert, ignored_layers
 *   fbgemm_fp8           weight_scale, one a row                                      modules_to_not_convert
 *   compressed-tensors   weight_scale: strategy tensor, channel, block or group;      ignore ("re:" begins a regular expression)
 *                        format float-quantized only
 *
 * How activations would be rounded is not read: they stay in f32. The tensors' own dtypes say which 8-bit float it is. */
#include <string.h>

#include "model/config.h"

enum { DEFAULT_TILE = 128 }; /* transformers' default for weight_block_size */

static gllm_status unsupported(const char *name, const char *key, const char *found, const char *expected, gllm_error *err) {
    return err_set(err, GLLM_UNSUPPORTED, "%s: quantization_config: %s: found \"%.60s\", expected %s", name, key, found ? found : "nothing", expected);
}

/* obj[key] = [rows, cols] of a tile; null: none. */
static gllm_status read_tile(const json_t *obj, const char *name, const char *key, struct quant_cfg *q, gllm_error *err) {
    json_t *list = NULL;
    TRY(json_array_at(obj, name, key, &list, err));
    uint32_t *const sides[] = {&q->row_block, &q->col_block};
    for (size_t i = 0; list && i < 2; i++) {
        const double v = json_number_value(json_array_get(list, i));
        if (json_array_size(list) != 2 || !(v >= 1 && v <= 1 << 20) || v != (uint32_t)v)
            return err_set(err, GLLM_FORMAT, "%s: quantization_config: %s: expected two whole numbers of 1 or more", name, key);
        *sides[i] = (uint32_t)v;
    }
    return GLLM_OK;
}

static gllm_status read_ignored(const json_t *obj, const char *name, const char *key, struct arena *a, struct quant_cfg *q, gllm_error *err) {
    json_t *list = NULL;
    TRY(json_array_at(obj, name, key, &list, err));
    const size_t n = json_array_size(list);
    if (!n) return GLLM_OK;
    const char **names = arena_array(a, n, sizeof *names);
    if (!names) return err_nomem(err, name);
    for (size_t i = 0; i < n; i++) {
        const char *s = json_string_value(json_array_get(list, i));
        if (!s) return err_set(err, GLLM_FORMAT, "%s: quantization_config: %s[%zu]: found %s, expected a module's name", name, key, i, json_kind(json_array_get(list, i)));
        names[i] = arena_strdup(a, s);
        if (!names[i]) return err_nomem(err, name);
    }
    q->ignored = names;
    q->n_ignored = n;
    return GLLM_OK;
}

static gllm_status read_fp8(const json_t *o, const char *name, struct arena *a, struct quant_cfg *q, gllm_error *err) {
    if (!json_object_get(o, "weight_block_size")) q->row_block = q->col_block = DEFAULT_TILE;
    TRY(read_tile(o, name, "weight_block_size", q, err));
    TRY(read_ignored(o, name, "ignored_layers", a, q, err));
    return read_ignored(o, name, "modules_to_not_convert", a, q, err);
}

static gllm_status read_fbgemm(const json_t *o, const char *name, struct arena *a, struct quant_cfg *q, gllm_error *err) { return read_ignored(o, name, "modules_to_not_convert", a, q, err); }

/* One of config_groups: how its weights are stored. */
static gllm_status read_group(const json_t *group, const char *name, struct quant_cfg *q, gllm_error *err) {
    const char *type = NULL, *strategy = NULL, *format = NULL;
    uint32_t bits = 0, size = 0;
    bool symmetric = true;
    json_t *w = NULL;
    struct quant_cfg own = {0};
    TRY(json_object_at(group, name, "weights", &w, err));
    if (!w) return err_set(err, GLLM_FORMAT, "%s: quantization_config: config_groups: a group without weights", name);
    TRY(json_str(group, name, "format", &format, err));
    TRY(json_str(w, name, "type", &type, err));
    TRY(json_str(w, name, "strategy", &strategy, err));
    TRY(json_u32(w, name, "num_bits", &bits, err));
    TRY(json_flag(w, name, "symmetric", &symmetric, err));
    if (format && strcmp(format, "float-quantized")) return unsupported(name, "format", format, "float-quantized", err);
    if (!type || strcmp(type, "float")) return unsupported(name, "type", type, "float", err);
    if (bits != 8) return err_set(err, GLLM_UNSUPPORTED, "%s: quantization_config: num_bits: found %u, expected 8", name, bits);
    if (!symmetric) return err_set(err, GLLM_UNSUPPORTED, "%s: quantization_config: symmetric: found false, expected true", name);
    if (strategy && !strcmp(strategy, "block")) {
        TRY(read_tile(w, name, "block_structure", &own, err));
        if (!own.row_block) return err_set(err, GLLM_FORMAT, "%s: quantization_config: strategy block without a block_structure", name);
    } else if (strategy && !strcmp(strategy, "group")) {
        TRY(json_u32(w, name, "group_size", &size, err));
        if (!size) return err_set(err, GLLM_FORMAT, "%s: quantization_config: strategy group without a group_size", name);
        own.row_block = 1, own.col_block = size;
    } else if (!strategy || (strcmp(strategy, "tensor") && strcmp(strategy, "channel"))) return unsupported(name, "strategy", strategy, "tensor, channel, block or group", err);
    if (own.row_block && q->row_block && (own.row_block != q->row_block || own.col_block != q->col_block))
        return err_set(err, GLLM_UNSUPPORTED, "%s: quantization_config: config_groups with blocks of %u x %u and of %u x %u", name, q->row_block, q->col_block, own.row_block, own.col_block);
    if (own.row_block) q->row_block = own.row_block, q->col_block = own.col_block;
    return GLLM_OK;
}

static gllm_status read_compressed(const json_t *o, const char *name, struct arena *a, struct quant_cfg *q, gllm_error *err) {
    const char *format = NULL, *sparsity = NULL;
    json_t *groups = NULL, *sparse = NULL;
    TRY(json_str(o, name, "format", &format, err));
    if (!format || strcmp(format, "float-quantized")) return unsupported(name, "format", format, "float-quantized", err);
    TRY(json_object_at(o, name, "sparsity_config", &sparse, err));
    if (sparse) TRY(json_str(sparse, name, "format", &sparsity, err));
    if (sparsity && strcmp(sparsity, "dense")) return unsupported(name, "sparsity_config", sparsity, "dense", err);
    TRY(json_object_at(o, name, "config_groups", &groups, err));
    if (!json_object_size(groups)) return err_set(err, GLLM_FORMAT, "%s: quantization_config: config_groups: found none", name);
    const char *key;
    json_t *group;
    json_object_foreach(groups, key, group) {
        if (!json_is_object(group)) return err_set(err, GLLM_FORMAT, "%s: quantization_config: config_groups: %s: found %s, expected an object", name, key, json_kind(group));
        TRY(read_group(group, name, q, err));
    }
    return read_ignored(o, name, "ignore", a, q, err);
}

gllm_status config_read_quant(const json_t *config, const char *name, struct arena *a, struct quant_cfg *q, gllm_error *err) {
    static const struct {
        const char *method;
        gllm_status (*read)(const json_t *o, const char *name, struct arena *a, struct quant_cfg *q, gllm_error *err);
    } METHODS[] = {{"fp8", read_fp8}, {"fbgemm_fp8", read_fbgemm}, {"compressed-tensors", read_compressed}};
    json_t *o = NULL;
    const char *method = NULL;
    *q = (struct quant_cfg){0};
    TRY(json_object_at(config, name, "quantization_config", &o, err));
    if (!o) return GLLM_OK;
    TRY(json_str(o, name, "quant_method", &method, err));
    for (unsigned i = 0; method && i < sizeof METHODS / sizeof *METHODS; i++)
        if (!strcmp(METHODS[i].method, method)) {
            q->method = METHODS[i].method;
            return METHODS[i].read(o, name, a, q, err);
        }
    return unsupported(name, "quant_method", method, "fp8, fbgemm_fp8 or compressed-tensors", err);
}
