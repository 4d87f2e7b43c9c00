#include "model/gguf_tokenizer.h"
gllm_status gguf_tokenizer(struct tokenizer **out, const struct weights *w, const char *name, gllm_error *err) { (void)w; *out = NULL; return err_set(err, GLLM_UNSUPPORTED, "%s: no tokenizer yet", name); }
