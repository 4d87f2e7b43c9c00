#!/usr/bin/env python3
"""Makes tests/golden/chat-model: a tiny random Llama that converses, with what transformers answers.

    pip install -r tools/requirements.txt && python3 tools/make_chat_model_golden.py

Its tokenizer is byte-level BPE without merges (a token is a byte) and four special tokens; its chat template is ChatML with a variable `thinking`,
which opens a block of reasoning. Only lower-case letters, the full stop and the blank have rows in the output head, so answers are ASCII.
expected.json: conversations, their tokens by apply_chat_template, and the greedy answers.
"""
import json, os, shutil
import torch
import transformers as T
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

OUT = os.path.join(os.path.dirname(__file__), "../tests/golden/chat-model")
SPECIAL = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|pad|>"]
TEMPLATE = ("{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{%- endfor %}"
            "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- if thinking is defined and thinking %}{{- '<think>\\n' }}{%- endif %}{%- endif %}")
CONVERSATIONS = [[{"role": "user", "content": "hello"}],
                 [{"role": "system", "content": "be brief"}, {"role": "user", "content": "Gr\u00fc\u00dfe <|im_end|>"}]]
NEW = 24


def tokenizer():
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    t = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in SPECIAL])
    return T.PreTrainedTokenizerFast(tokenizer_object=t, eos_token="<|im_end|>", pad_token="<|pad|>")


def model(tok):
    n = len(tok)
    config = T.LlamaConfig(vocab_size=n, hidden_size=16, num_hidden_layers=2, intermediate_size=24, num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=16384,
                           bos_token_id=None, eos_token_id=tok.eos_token_id, pad_token_id=tok.pad_token_id, tie_word_embeddings=False, dtype="float32")
    m = T.AutoModelForCausalLM.from_config(config).eval()
    g = torch.Generator().manual_seed(20)
    keep = torch.zeros(n)
    keep[tok(" .abcdefghijklmnopqrstuvwxyz")["input_ids"]] = 1
    with torch.no_grad():
        for name, p in m.named_parameters():
            noise = torch.randn(p.shape, generator=g)
            p.copy_(1 + noise * 0.3 if "norm" in name else noise * 0.6)
        m.lm_head.weight.mul_(keep[:, None])
    return m


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    tok = tokenizer()
    tok.chat_template = TEMPLATE
    m = model(tok)
    m.save_pretrained(OUT)
    tok.save_pretrained(OUT)
    cases = []
    for messages in CONVERSATIONS:
        # What a user writes is never a special token, so the template is tokenised in its parts, not with apply_chat_template(tokenize=True).
        ids = []
        for x in messages:
            ids += tok("<|im_start|>")["input_ids"] + bytes_of(tok, x["role"] + "\n" + x["content"]) + tok("<|im_end|>")["input_ids"] + bytes_of(tok, "\n")
        ids += tok("<|im_start|>")["input_ids"] + bytes_of(tok, "assistant\n")
        assert tok.decode(ids) == tok.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        new = m.generate(torch.tensor([ids]), max_new_tokens=NEW, do_sample=False)[0, len(ids):].tolist()
        cases.append({"messages": messages, "tokens": ids, "answer": tok.decode(new, skip_special_tokens=True)})
    json.dump({"made_with": f"transformers {T.__version__}", "max_tokens": NEW, "cases": cases}, open(os.path.join(OUT, "expected.json"), "w"), indent=1)
    for junk in ("generation_config.json",):
        if os.path.exists(os.path.join(OUT, junk)):
            os.remove(os.path.join(OUT, junk))
    print([c["answer"] for c in cases])


def bytes_of(tok, text):
    alphabet = tok.backend_tokenizer.pre_tokenizer.pre_tokenize_str(text)
    return [tok.convert_tokens_to_ids(c) for piece, _ in alphabet for c in piece]


if __name__ == "__main__":
    main()
