/* arch_encoders.c - the table of encoder architectures. A new one is an entry here, never a forward of its own. */
#include "model/arch.h"

const struct arch ARCH_ENCODERS[] = {
    {.name = "bert",
     .model_types = {"bert"},
     .names = &NAMES_BERT,
     .cfg = {.n_type = 2, .pos = POS_FROM_ZERO, .norm = NORM_LAYER, .norm_eps = 1e-12f, .act = ACT_GELU}},
    {.name = "roberta",
     .model_types = {"roberta", "xlm-roberta", "camembert"},
     .names = &NAMES_ROBERTA,
     .cfg = {.n_type = 2, .pad_id = 1, .pos = POS_AFTER_PAD, .norm = NORM_LAYER, .norm_eps = 1e-12f, .act = ACT_GELU}},
    {.name = "mpnet",
     .model_types = {"mpnet"},
     .names = &NAMES_MPNET,
     .cfg = {.pad_id = 1, .pad_fixed = true, .pos = POS_AFTER_PAD, .rel_buckets = 32, .rel_distance = 128, .norm = NORM_LAYER, .norm_eps = 1e-12f, .act = ACT_GELU}},
    {.name = "distilbert",
     .model_types = {"distilbert"},
     .names = &NAMES_DISTILBERT,
     .cfg = {.pos = POS_FROM_ZERO, .norm = NORM_LAYER, .norm_eps = 1e-12f, .act = ACT_GELU}},
    {.name = "electra",
     .model_types = {"electra"},
     .names = &NAMES_ELECTRA,
     .cfg = {.n_type = 2, .d_embd = 128, .pos = POS_FROM_ZERO, .norm = NORM_LAYER, .norm_eps = 1e-12f, .act = ACT_GELU}},
    {.name = "static", /* a table alone: static.c */
     .model_types = {"model2vec"},
     .names = &NAMES_STATIC,
     .cfg = {.pos = POS_FROM_ZERO}},
    {0},
};
