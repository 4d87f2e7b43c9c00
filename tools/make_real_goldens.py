#!/usr/bin/env python3
"""Makes tests/golden/real: what transformers gives for real GGUF files, computed in f32 on the dequantised weights.

    pip install -r tools/requirements.txt && scripts/models smollm2 qwen && python3 tools/make_real_goldens.py [NAME…]

For each model a JSON with
  text, ids     a mixed text (prose, code, several scripts, emoji) and its ids, by the rules of the original model's tokenizer.json
  logprobs      [n - 1] natural logarithm of the probability of ids[i + 1] after ids[0..i]
  top1          [n - 1] the most likely id at that place
  llama.cpp     what llama.cpp's own log-probabilities and first choices are against these (pip install llama-cpp-python==0.3.36)
  greedy        prompts as ids and their most likely continuations; `margin` is how far the closest second choice was, in logits
The ids are made from the file's own vocabulary and merges by HF tokenizers: what transformers makes of a GGUF's tokenizer is not the original.
"""
import json
import os
import sys
from importlib.metadata import version

import gguf
import tokenizers as tk
import torch
import transformers as T

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests/golden/real")
MODELS = os.path.join(os.environ.get("GLLM_HOME", os.path.expanduser("~/.gllm")), "models")
QWEN2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
FILES = {
    "smollm2": ("HuggingFaceTB/SmolLM2-135M-Instruct-GGUF", "SmolLM2-135M-Instruct.Q4_1.gguf"),
    "qwen2.5-coder": ("Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF", "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"),
}
TEXT = """The lighthouse keeper wrote a letter every evening, although nobody had answered since 1874. "Dear sister," it began, "the sea is calm tonight."

def mean(values: list[float]) -> float:
    if not values:
        raise ValueError("empty")
    return sum(values) / len(values)

int main(void) { for (int i = 0; i < 10; i++) printf("%d\\n", i * i); return 0; }

Der Zug nach München fährt um 17:45 Uhr ab. La bibliothèque est fermée le dimanche. Москва — столица России. 東京は日本の首都です。今天天气很好。 مرحبا بالعالم. 🚀 👩‍💻 E = mc², π ≈ 3.14159.
"""
PROMPTS = {
    "smollm2": ["The capital of France is", "Once upon a time, there was a little girl who", "def fibonacci(n):\n", "<|im_start|>user\nName three colours.<|im_end|>\n<|im_start|>assistant\n",
                "Water boils at"],
    "qwen2.5-coder": ["The capital of France is", "def fibonacci(n):\n", "#include <stdio.h>\nint main(", "<|im_start|>user\nName three colours.<|im_end|>\n<|im_start|>assistant\n",
                      "SELECT name, COUNT(*) FROM users"],
}
NEW = 24


def make_tokenizer(path, digits):
    """The original tokenizer.json around the file's own tables: SmolLM2 cuts at digits and by GPT-2's pattern, Qwen2 after NFC by its own."""
    fields = gguf.GGUFReader(path).fields
    strings = lambda key: fields[key].contents()
    tokens, types = strings("tokenizer.ggml.tokens"), strings("tokenizer.ggml.token_type")
    merges = [tuple(m.split(" ")) for m in strings("tokenizer.ggml.merges")]
    t = tk.Tokenizer(tk.models.BPE(vocab={s: i for i, s in enumerate(tokens)}, merges=merges))
    if digits:
        t.pre_tokenizer = tk.pre_tokenizers.Sequence([tk.pre_tokenizers.Digits(individual_digits=True), tk.pre_tokenizers.ByteLevel(add_prefix_space=False)])
    else:
        t.normalizer = tk.normalizers.NFC()
        t.pre_tokenizer = tk.pre_tokenizers.Sequence([tk.pre_tokenizers.Split(tk.Regex(QWEN2), "isolated"), tk.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = tk.decoders.ByteLevel()
    t.add_special_tokens([tk.AddedToken(s, special=True, normalized=False) for s, kind in zip(tokens, types) if kind == 3])
    return t


def greedy(model, ids):
    out, margin, cache = [], 1e9, None
    step = torch.tensor([ids])
    for _ in range(NEW):
        r = model(step, past_key_values=cache, use_cache=True)
        cache = r.past_key_values
        best = r.logits[0, -1].topk(2)
        margin = min(margin, float(best.values[0] - best.values[1]))
        out.append(int(best.indices[0]))
        step = torch.tensor([[out[-1]]])
    return out, margin


def peer(path, told):
    """How far llama.cpp, with activations in blocks of 8 bits, is from the reference: the bound for ours."""
    import llama_cpp
    m = llama_cpp.Llama(path, n_ctx=1024, n_batch=512, logits_all=True, verbose=False)
    m.eval(told["ids"])
    logp = torch.log_softmax(torch.tensor(m.scores[: len(told["ids"])]).double(), -1)
    far = [abs(float(logp[i, told["ids"][i + 1]]) - v) for i, v in enumerate(told["logprobs"])]
    same = sum(int(logp[i].argmax()) == v for i, v in enumerate(told["top1"]))
    return {"version": llama_cpp.__version__, "mean": round(sum(far) / len(far), 4), "max": round(max(far), 4), "top1": round(same / len(far), 4)}


def save(name, told):
    os.makedirs(ROOT, exist_ok=True)
    lines = [f" {json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in told.items()]
    with open(os.path.join(ROOT, name + ".json"), "w", encoding="utf-8") as f:
        f.write("{\n" + ",\n".join(lines) + "\n}\n")


def make(name):
    repo, file = FILES[name]
    folder = os.path.join(MODELS, repo.replace("/", "--"))
    tokenizer = make_tokenizer(os.path.join(folder, file), name == "smollm2")
    model = T.AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32, attn_implementation="eager").eval()
    ids = tokenizer.encode(TEXT, add_special_tokens=False).ids
    assert tokenizer.decode(ids) == TEXT
    with torch.no_grad():
        logp = torch.log_softmax(model(torch.tensor([ids])).logits[0].double(), -1)
        n = len(ids) - 1
        told = {"made_with": f"transformers {T.__version__}, torch {torch.__version__.split('+')[0]}, f32 weights dequantised by gguf {version('gguf')}",
                "model": repo, "file": file, "text": TEXT, "ids": ids,
                "logprobs": [round(float(logp[i, ids[i + 1]]), 6) for i in range(n)], "top1": [int(logp[i].argmax()) for i in range(n)], "greedy": []}
        for prompt in PROMPTS[name]:
            p = tokenizer.encode(prompt, add_special_tokens=False).ids
            out, margin = greedy(model, p)
            told["greedy"].append({"text": prompt, "prompt": p, "ids": out, "answer": tokenizer.decode(out, skip_special_tokens=False), "margin": round(margin, 4)})
            print(f"  {prompt!r} -> {told['greedy'][-1]['answer']!r}, margin {margin:.3f}")
    told["llama.cpp"] = peer(os.path.join(folder, file), told)
    save(name, told)
    print(f"{name}: {len(ids)} ids, mean log-probability {sum(told['logprobs']) / n:.4f}")


if __name__ == "__main__":
    for name in sys.argv[1:] or FILES:
        make(name)
