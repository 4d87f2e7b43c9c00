/* chat_files.h - the chat templates of an open model's files, and the spellings of the special tokens that they may name. */
#ifndef GLLM_MODEL_CHAT_FILES_H
#define GLLM_MODEL_CHAT_FILES_H
#include "model/model.h"

/* Fills f->chat, in f->arena. A directory: chat_template.jinja and additional_chat_templates/NAME.jinja, else tokenizer_config.json's chat_template
 * (one, or a list of names), else chat_template.json. A GGUF file: tokenizer.chat_template and tokenizer.chat_template.NAME. The templates are
 * not parsed: one that cannot be read hurts only who asks for it. */
gllm_status chat_files_read(struct model_files *f, gllm_error *err);
#endif
