/* bind.h - names to weights: which tensors an architecture needs, their shapes checked, in the form that a backend prepares.
 *
 * Binding has two steps, so that a model can be inspected without a device: bind_collect fills a list of bindings (host data, nothing copied);
 * bind_prepare gives them to a backend. All that is irregular about storage ends here. */
#ifndef GLLM_MODEL_BIND_H
#define GLLM_MODEL_BIND_H
#include "base/arena.h"
#include "format/hfdir.h"
#include "format/weights.h"
#include "model/arch.h"
#include "model/ranker.h"

struct binding {
    struct weight_desc desc;
    const struct tensor *tensors[WEIGHT_MAX_PARTS]; /* whose pages may be dropped once prepared; NULL: none */
    struct weight **slot;                           /* where the prepared weight goes */
};
struct adapter;
struct bindings {
    struct binding *list;
    size_t count, capacity;
    struct arena *arena; /* names and tables computed at bind time */
    struct adapter *adapter; /* what is added to matrices (adapter.h); NULL: nothing */
};
struct model_weights {
    struct weight *word, *pos, *type, *embd_proj, *embd_proj_bias, *rel, *head, *freq[N_ROPES], *score_dense, *score_dense_bias, *score_out, *score_out_bias;
    float rope_scale[N_ROPES]; /* of freq: what multiplies cos and sin */
    struct norm_weights embd_norm, final_norm, score_norm;
    struct layer *layers; /* [n_layer] */
};
struct dense_weights {
    struct weight *w, *bias;
};

/* n_labels: of a classification head; 0: none is bound. lm_head: whether that head is. GLLM_FORMAT names a tensor that is missing or whose shape or dtype is wrong, GLLM_UNSUPPORTED one
 * in a GGUF file that nothing takes. `w` stays borrowed by the bindings. */
gllm_status bind_collect(struct bindings *b, const struct weights *w, const struct arch *arch, const struct model_cfg *cfg, uint32_t n_labels, bool lm_head, struct model_weights *out, gllm_error *err);
/* The head of a ranker, as score_dense and score_out; of the rows of a language model's head copies in f32. `out` as bind_collect left it. */
gllm_status bind_ranker(struct bindings *b, const struct weights *w, const struct arch *arch, const struct model_cfg *cfg, const struct ranker *r, struct model_weights *out, gllm_error *err);
/* Frequencies of rotary positions for a context of n_ctx tokens, and their scale. A rope that no layer uses is left out. */
gllm_status bind_ropes(struct bindings *b, const struct model_cfg *cfg, uint32_t n_ctx, struct model_weights *out, gllm_error *err);
gllm_status bind_dense(struct bindings *b, const struct weights *w, const struct hf_module *m, struct dense_weights *out, gllm_error *err);
/* The tensor `name` of w as a matrix [rows, cols], or as a vector [rows] where cols is 0. */
gllm_status bind_tensor(struct bindings *b, const struct weights *w, const char *name, uint32_t rows, uint32_t cols, struct weight **slot, gllm_error *err);
/* A weight by its description, whose data is that of `t` (NULL: of nobody's). */
gllm_status bind_add(struct bindings *b, struct weight **slot, const struct weight_desc *desc, const struct tensor *t, gllm_error *err);
gllm_status bind_prepare(const struct bindings *b, const struct weights *w, struct backend *be, gllm_error *err);
size_t bind_activation_scales(const struct weights *w); /* tensors that would round activations; no weight needs them */
void bind_release(const struct bindings *b, struct backend *be); /* frees what was prepared */
#endif
