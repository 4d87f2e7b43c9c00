/* classifier.h - the classification head of a model: what its files say of labels and activation. Its weights are bound with the body's (bind.h). */
#ifndef GLLM_MODEL_CLASSIFIER_H
#define GLLM_MODEL_CLASSIFIER_H
#include "model/model.h"

/* Fills f->classifier in f->arena when config.json's architectures name a class that ends in "ForSequenceClassification"; else it stays without labels.
 * The number of labels is that of id2label, else num_labels, else 2, as transformers has it.
 * GLLM_UNSUPPORTED: the architecture has no such head here; an activation_fn or problem_type that is not built, by name. */
gllm_status classifier_read(struct model_files *f, gllm_error *err);
/* What the files say of a cross-encoder's scores; without a word of it sigmoid for one label, else none. */
gllm_status classifier_activation(const struct model_files *f, uint32_t n_labels, enum score_act *act, gllm_error *err);
#endif
