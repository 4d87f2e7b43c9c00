/* arch_encoders.c - the table of encoder architectures. A new one is an entry here, never a forward of its own. */
#include <stdio.h>
#include <string.h>

#include "model/arch.h"

static const struct arch ENCODERS[] = {
    {.name = "bert",
     .model_types = {"bert"},
     .names = &NAMES_BERT,
     .cfg = {.n_type = 2, .pos = POS_FROM_ZERO, .norm = NORM_LAYER, .norm_eps = 1e-12f, .act = ACT_GELU}},
    {.name = "roberta",
     .model_types = {"roberta", "xlm-roberta", "camembert"},
     .names = &NAMES_BERT,
     .cfg = {.n_type = 2, .pad_id = 1, .pos = POS_AFTER_PAD, .norm = NORM_LAYER, .norm_eps = 1e-12f, .act = ACT_GELU}},
    {.name = "mpnet",
     .model_types = {"mpnet"},
     .names = &NAMES_MPNET,
     .cfg = {.pad_id = 1, .pos = POS_AFTER_PAD, .rel_buckets = 32, .rel_distance = 128, .norm = NORM_LAYER, .norm_eps = 1e-12f, .act = ACT_GELU}},
    {.name = "distilbert",
     .model_types = {"distilbert"},
     .names = &NAMES_DISTILBERT,
     .cfg = {.pos = POS_FROM_ZERO, .norm = NORM_LAYER, .norm_eps = 1e-12f, .act = ACT_GELU}},
    {.name = "electra",
     .model_types = {"electra"},
     .names = &NAMES_BERT,
     .cfg = {.n_type = 2, .d_embd = 128, .pos = POS_FROM_ZERO, .norm = NORM_LAYER, .norm_eps = 1e-12f, .act = ACT_GELU}},
};
enum { N_ENCODERS = sizeof ENCODERS / sizeof *ENCODERS, N_TYPES = 4 };

const struct arch *arch_find(const char *model_type) {
    for (unsigned i = 0; i < N_ENCODERS; i++)
        for (unsigned k = 0; k < N_TYPES && ENCODERS[i].model_types[k]; k++)
            if (!strcmp(ENCODERS[i].model_types[k], model_type)) return &ENCODERS[i];
    return NULL;
}

void arch_list(char *buf, size_t size) {
    size_t at = 0;
    if (size) buf[0] = '\0';
    for (unsigned i = 0; i < N_ENCODERS; i++)
        for (unsigned k = 0; k < N_TYPES && ENCODERS[i].model_types[k] && at < size; k++)
            at += (size_t)snprintf(buf + at, size - at, "%s%s", at ? ", " : "", ENCODERS[i].model_types[k]);
}
