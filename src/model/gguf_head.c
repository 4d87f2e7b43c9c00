#include "model/gguf_head.h"

#include "model/gguf_config.h"

gllm_status gguf_head(struct hfdir *d, bool assume_mean, const struct log *log, gllm_error *err) {
    static const enum hf_pool POOLS[] = {[GGUF_POOL_MEAN] = HF_POOL_MEAN, [GGUF_POOL_CLS] = HF_POOL_CLS, [GGUF_POOL_LAST] = HF_POOL_LAST};
    const double type = json_number_value(json_object_get(d->config, "pooling_type"));
    const bool classifier = json_object_get(d->config, "architectures") != NULL;
    if (classifier || (type == GGUF_POOL_NONE && !assume_mean)) return GLLM_OK;
    if (type == GGUF_POOL_RANK) return err_set(err, GLLM_FORMAT, "%s: pooling_type: found 4 (rank), expected a classification head: there is no cls.weight or cls.output.weight", d->dir);
    if (type != GGUF_POOL_NONE && type != GGUF_POOL_MEAN && type != GGUF_POOL_CLS && type != GGUF_POOL_LAST)
        return err_set(err, GLLM_UNSUPPORTED, "%s: pooling_type: found %g, expected 0 to 4", d->dir, type);
    if (type == GGUF_POOL_NONE) log_line(log, GLLM_LOG_WARN, "%s: pooling_type: no pooling is said: mean pooling is assumed", d->name);
    return hfdir_pool_by(d, type == GGUF_POOL_NONE ? HF_POOL_MEAN : POOLS[(int)type], true, err);
}
