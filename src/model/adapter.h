/* adapter.h - embedders that hold an adapter for each of several tasks: jina-embeddings-v4, known by config.json's task_names.
 *
 * DIR/adapters/ has adapter_config.json and adapter_model.safetensors, as PEFT writes them, but with the task's name in each tensor's:
 *   PREFIX.MODULE.lora_A.TASK.weight [r, in]    PREFIX.MODULE.lora_B.TASK.weight [out, r]
 * With task t, module W computes (W + alpha / r B_t A_t) x: one task is chosen before the weights are bound, and each row of a matrix gets its
 * share when the backend reads it, so no second copy of the weights is made. */
#ifndef GLLM_MODEL_ADAPTER_H
#define GLLM_MODEL_ADAPTER_H
#include "model/model.h"

/* Reads task_names, and the pooling, the projector and the prompts of such a model from f->dir.config; a model without them is left as it is. GLLM_FORMAT, GLLM_UNSUPPORTED. */
gllm_status tasks_read(struct model_files *f, gllm_error *err);
/* Chooses a task before model_open; name NULL: the first. GLLM_NOT_FOUND lists those that there are; GLLM_UNSUPPORTED: the model has none. */
gllm_status tasks_choose(struct model_files *f, const char *name, gllm_error *err);

struct adapter;
/* Opens m->files' adapters; m->adapter stays NULL where it has none. It lies in m->arena; adapter_close closes its file. */
gllm_status adapter_open(struct model *m, gllm_error *err);
/* Gives `part`, the matrix called `name` ("layers.0.mlp.up_proj.weight") in the body, its delta; a module without one stays as it is. a NULL ok. */
gllm_status adapter_take(struct adapter *a, struct arena *arena, const char *name, uint32_t cols, struct weight_part *part, gllm_error *err);
/* GLLM_UNSUPPORTED names a module of the adapter that nothing took: leaving it out would change the values. NULL ok. */
gllm_status adapter_check(const struct adapter *a, gllm_error *err);
void adapter_close(struct adapter *a); /* NULL ok */
#endif
