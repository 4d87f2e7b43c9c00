/* config_quant.c - config.json's quantization_config: weights of 8-bit floats or small whole numbers with scales beside them.
 *
 *   quant_method         weights (bind_quant.c and bind_codes.c find them by name and shape)          modules left out
 *   fp8                  weight_scale_inv in tiles of weight_block_size, or one                       modules_to_not_convert, ignored_layers
 *   fbgemm_fp8           weight_scale, one a row                                                      modules_to_not_convert
 *   compressed-tensors   format float-quantized, pack-quantized or int-quantized;                     ignore ("re:" begins a regular expression)
 *                        strategy tensor, channel, group, or block of float-quantized
 *   awq                  qweight, qzeros, scales; 4 bits; version gemm or gemv                        modules_to_not_convert
 *   gptq                 qweight, qzeros, scales, g_idx; 2, 3, 4 or 8 bits; checkpoint_format         modules_to_not_convert
 *                        gptq (zero points stored less 1) or gptq_v2
 *   bitsandbytes         nf4, fp4 (absmax, quant_map, quant_state) or int8 (SCB): the tensors say     llm_int8_skip_modules
 *
 * How activations would be rounded is not read. The tensors' own dtypes say which 8-bit float it is. */
#include <string.h>
#include <strings.h>

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
    q->bits = 8;
    if (!json_object_get(o, "weight_block_size")) q->row_block = q->col_block = DEFAULT_TILE;
    TRY(read_tile(o, name, "weight_block_size", q, err));
    TRY(read_ignored(o, name, "ignored_layers", a, q, err));
    return read_ignored(o, name, "modules_to_not_convert", a, q, err);
}

static gllm_status read_fbgemm(const json_t *o, const char *name, struct arena *a, struct quant_cfg *q, gllm_error *err) {
    q->bits = 8;
    return read_ignored(o, name, "modules_to_not_convert", a, q, err);
}

static gllm_status wrong_number(const char *name, const char *key, uint32_t found, const char *expected, gllm_error *err) {
    return err_set(err, GLLM_UNSUPPORTED, "%s: quantization_config: %s: found %u, expected %s", name, key, found, expected);
}

/* group_size, where -1 and null mean all inputs of a row. */
static gllm_status read_group_size(const json_t *o, const char *name, const char *key, struct quant_cfg *q, gllm_error *err) {
    const json_t *v = json_object_get(o, key);
    if (json_is_number(v) && json_number_value(v) == -1) return GLLM_OK;
    TRY(json_u32(o, name, key, &q->group, err));
    return v && !json_is_null(v) && !q->group ? err_set(err, GLLM_FORMAT, "%s: quantization_config: %s: found 0, expected -1 or 1 and more", name, key) : GLLM_OK;
}

/* The strategy of one of config_groups: which weights share a scale. */
static gllm_status read_strategy(const json_t *w, const char *name, struct quant_cfg *own, gllm_error *err) {
    const char *strategy = NULL;
    TRY(json_str(w, name, "strategy", &strategy, err));
    if (strategy && !strcmp(strategy, "block") && own->form == QUANT_FLOAT8) {
        TRY(read_tile(w, name, "block_structure", own, err));
        return own->row_block ? GLLM_OK : err_set(err, GLLM_FORMAT, "%s: quantization_config: strategy block without a block_structure", name);
    }
    if (strategy && !strcmp(strategy, "group")) {
        TRY(json_u32(w, name, "group_size", &own->group, err));
        if (!own->group) return err_set(err, GLLM_FORMAT, "%s: quantization_config: strategy group without a group_size", name);
        if (own->form == QUANT_FLOAT8) own->row_block = 1, own->col_block = own->group;
        return GLLM_OK;
    }
    if (strategy && (!strcmp(strategy, "tensor") || !strcmp(strategy, "channel"))) return GLLM_OK;
    return unsupported(name, "strategy", strategy, own->form == QUANT_FLOAT8 ? "tensor, channel, block or group" : "tensor, channel or group", err);
}

static const struct {
    const char *name, *type;
    enum quant_form form;
} FORMATS[] = {{"float-quantized", "float", QUANT_FLOAT8}, {"pack-quantized", "int", QUANT_PACKED}, {"int-quantized", "int", QUANT_INT8}};
enum { N_FORMATS = sizeof FORMATS / sizeof *FORMATS };

static unsigned format_of(const char *format) {
    unsigned i = 0;
    while (i < N_FORMATS && (!format || strcmp(format, FORMATS[i].name))) i++;
    return i;
}

/* One of config_groups: how its weights are stored, the file's format being FORMATS[f]. */
static gllm_status read_group(const json_t *group, const char *name, unsigned f, struct quant_cfg *own, gllm_error *err) {
    const char *type = NULL, *format = NULL;
    json_t *w = NULL;
    *own = (struct quant_cfg){.form = FORMATS[f].form, .symmetric = true};
    TRY(json_object_at(group, name, "weights", &w, err));
    if (!w) return err_set(err, GLLM_FORMAT, "%s: quantization_config: config_groups: a group without weights", name);
    TRY(json_str(group, name, "format", &format, err));
    TRY(json_str(w, name, "type", &type, err));
    TRY(json_u32(w, name, "num_bits", &own->bits, err));
    TRY(json_flag(w, name, "symmetric", &own->symmetric, err));
    if (format && strcmp(format, FORMATS[f].name)) return unsupported(name, "format", format, FORMATS[f].name, err);
    if (!type || strcmp(type, FORMATS[f].type)) return unsupported(name, "type", type, FORMATS[f].type, err);
    if (own->form == QUANT_PACKED ? own->bits < 2 || own->bits > 8 : own->bits != 8) return wrong_number(name, "num_bits", own->bits, own->form == QUANT_PACKED ? "2 to 8" : "8", err);
    if (own->form == QUANT_FLOAT8 && !own->symmetric) return err_set(err, GLLM_UNSUPPORTED, "%s: quantization_config: symmetric: found false, expected true", name);
    return read_strategy(w, name, own, err);
}

/* Groups of FP8 weights may differ in all but their tiles; those of codes may not differ. */
static gllm_status merge_group(struct quant_cfg *q, const struct quant_cfg *own, bool first, const char *name, gllm_error *err) {
    if (own->row_block && q->row_block && (own->row_block != q->row_block || own->col_block != q->col_block))
        return err_set(err, GLLM_UNSUPPORTED, "%s: quantization_config: config_groups with blocks of %u x %u and of %u x %u", name, q->row_block, q->col_block, own->row_block, own->col_block);
    if (!first && own->form != QUANT_FLOAT8 && (own->bits != q->bits || own->group != q->group || own->symmetric != q->symmetric))
        return err_set(err, GLLM_UNSUPPORTED, "%s: quantization_config: config_groups of %u bits in groups of %u and of %u bits in groups of %u, expected one kind", name, q->bits, q->group, own->bits, own->group);
    if (own->row_block) q->row_block = own->row_block, q->col_block = own->col_block;
    q->form = own->form, q->bits = own->bits, q->group = own->group, q->symmetric = own->symmetric;
    return GLLM_OK;
}

static gllm_status read_compressed(const json_t *o, const char *name, struct arena *a, struct quant_cfg *q, gllm_error *err) {
    const char *format = NULL, *sparsity = NULL;
    json_t *groups = NULL, *sparse = NULL;
    TRY(json_str(o, name, "format", &format, err));
    const unsigned f = format_of(format);
    if (f == N_FORMATS) return unsupported(name, "format", format, "float-quantized, pack-quantized or int-quantized", err);
    TRY(json_object_at(o, name, "sparsity_config", &sparse, err));
    if (sparse) TRY(json_str(sparse, name, "format", &sparsity, err));
    if (sparsity && strcmp(sparsity, "dense")) return unsupported(name, "sparsity_config", sparsity, "dense", err);
    TRY(json_object_at(o, name, "config_groups", &groups, err));
    if (!json_object_size(groups)) return err_set(err, GLLM_FORMAT, "%s: quantization_config: config_groups: found none", name);
    const char *key;
    json_t *group;
    bool first = true;
    json_object_foreach(groups, key, group) {
        struct quant_cfg own;
        if (!json_is_object(group)) return err_set(err, GLLM_FORMAT, "%s: quantization_config: config_groups: %s: found %s, expected an object", name, key, json_kind(group));
        TRY(read_group(group, name, f, &own, err));
        TRY(merge_group(q, &own, first, name, err));
        first = false;
    }
    return read_ignored(o, name, "ignore", a, q, err);
}

/* The older spelling of a key counts where the newer one is absent. */
static const char *either(const json_t *o, const char *key, const char *old) { return json_object_get(o, key) ? key : old; }

static gllm_status read_awq(const json_t *o, const char *name, struct arena *a, struct quant_cfg *q, gllm_error *err) {
    const char *version = NULL;
    bool zero_point = true;
    q->bits = 4;
    TRY(json_u32(o, name, either(o, "bits", "w_bit"), &q->bits, err));
    TRY(read_group_size(o, name, either(o, "group_size", "q_group_size"), q, err));
    TRY(json_flag(o, name, "zero_point", &zero_point, err));
    TRY(json_str(o, name, "version", &version, err));
    if (q->bits != 4) return wrong_number(name, "bits", q->bits, "4", err);
    if (version && strcasecmp(version, "gemm") && strcasecmp(version, "gemv")) return unsupported(name, "version", version, "gemm or gemv", err);
    q->form = version && !strcasecmp(version, "gemv") ? QUANT_AWQ_GEMV : QUANT_AWQ_GEMM;
    q->symmetric = !zero_point;
    return read_ignored(o, name, "modules_to_not_convert", a, q, err);
}

/* GPTQModel's "dynamic": modules that differ. Those that are left out ("-:") have no codes, which is all we need to know. */
static gllm_status check_dynamic(const json_t *o, const char *name, gllm_error *err) {
    json_t *modules = NULL, *rule;
    const char *key;
    TRY(json_object_at(o, name, "dynamic", &modules, err));
    json_object_foreach(modules, key, rule) if (strncmp(key, "-:", 2)) return unsupported(name, "dynamic", key, "only rules that leave modules out (\"-:\")", err);
    return GLLM_OK;
}

static gllm_status read_gptq(const json_t *o, const char *name, struct arena *a, struct quant_cfg *q, gllm_error *err) {
    const char *format = NULL;
    TRY(json_u32(o, name, "bits", &q->bits, err));
    TRY(read_group_size(o, name, "group_size", q, err));
    TRY(json_str(o, name, "checkpoint_format", &format, err));
    if (!format) TRY(json_str(o, name, "format", &format, err));
    if (q->bits != 2 && q->bits != 3 && q->bits != 4 && q->bits != 8) return wrong_number(name, "bits", q->bits, "2, 3, 4 or 8", err);
    if (format && strcmp(format, "gptq") && strcmp(format, "gptq_v2")) return unsupported(name, "checkpoint_format", format, "gptq or gptq_v2", err);
    TRY(check_dynamic(o, name, err));
    q->form = QUANT_GPTQ;
    q->zeros_less_one = !format || !strcmp(format, "gptq");
    return read_ignored(o, name, "modules_to_not_convert", a, q, err);
}

static gllm_status read_bnb(const json_t *o, const char *name, struct arena *a, struct quant_cfg *q, gllm_error *err) {
    bool four = false, eight = false;
    TRY(json_flag(o, name, "load_in_4bit", &four, err));
    TRY(json_flag(o, name, "load_in_8bit", &eight, err));
    if (!four && !eight) return err_set(err, GLLM_FORMAT, "%s: quantization_config: neither load_in_4bit nor load_in_8bit is true", name);
    q->form = QUANT_BNB;
    q->bits = four ? 4 : 8;
    return read_ignored(o, name, "llm_int8_skip_modules", a, q, err);
}

gllm_status config_read_quant(const json_t *config, const char *name, struct arena *a, struct quant_cfg *q, gllm_error *err) {
    static const struct {
        const char *method;
        gllm_status (*read)(const json_t *o, const char *name, struct arena *a, struct quant_cfg *q, gllm_error *err);
    } METHODS[] = {{"fp8", read_fp8}, {"fbgemm_fp8", read_fbgemm}, {"compressed-tensors", read_compressed}, {"awq", read_awq}, {"gptq", read_gptq}, {"bitsandbytes", read_bnb}};
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
    return unsupported(name, "quant_method", method, "awq, gptq, compressed-tensors, bitsandbytes, fp8 or fbgemm_fp8", err);
}
