/* config_encoder.c - the keys of config.json that one family of encoders or another has. */
#include <string.h>

#include "model/config.h"

/* The largest position of a model whose scores fall with distance: there is a table of them for each head. */
enum { MAX_ALIBI_POSITIONS = 1 << 17 };

/* JinaBert's name of its feed-forward. */
static gllm_status read_alibi(const json_t *config, const char *name, struct model_cfg *c, gllm_error *err) {
    const char *kind = NULL;
    TRY(json_str(config, name, "feed_forward_type", &kind, err));
    if (kind && !strcmp(kind, "geglu")) c->act = ACT_GELU;
    else if (kind && !strcmp(kind, "reglu")) c->act = ACT_RELU;
    else return err_set(err, GLLM_UNSUPPORTED, "%s: feed_forward_type: found \"%.60s\", expected geglu or reglu", name, kind ? kind : "");
    if (c->n_pos > MAX_ALIBI_POSITIONS) return err_set(err, GLLM_UNSUPPORTED, "%s: max_position_embeddings: found %u, expected at most %d with alibi", name, c->n_pos, MAX_ALIBI_POSITIONS);
    return GLLM_OK;
}

gllm_status config_read_encoder(const json_t *config, const char *name, struct model_cfg *c, gllm_error *err) {
    if (c->alibi) TRY(read_alibi(config, name, c, err));
    return GLLM_OK;
}
