#!/usr/bin/env python3
"""Makes tests/golden/rerankers: tiny random causal rerankers in the layouts of real ones, with the scores that the reference code gives.

    pip install -r tools/requirements.txt && python3 tools/make_reranker_goldens.py

The tokenizer is byte-level BPE with Qwen's splitting expression, a few merges (so that "yes" and "no" are tokens) and Qwen's special tokens.
  logit-score    Qwen3ForCausalLM as sentence-transformers saves a CrossEncoder: modules.json with LogitScore, a template of the roles query and document
  roles          the same model without modules.json: the chat template alone tells that it is a reranker (Qwen3-Reranker today)
  plain          the same model with Qwen's chat template of conversations: nothing tells (early Qwen3-Reranker); the published code's scores
  labels         Qwen3ForSequenceClassification with one label, as converted Qwen3-Rerankers are
  list           jina-reranker-v3: projector and special tokens; the scores by an independent reading of its published code
  judge          a Llama whose template has no system message: scores of the published question, asked by its template
Beside them as GGUF: plain.gguf (nothing tells) and rank.gguf (cls.output of two rows, the prompt as template "rerank").
Where the real file is, it also makes tests/golden/real/qwen2.5-coder-judge.json. expected.json of each: queries, documents, instructions, raw scores; one prompt at a time, in f32, attention in its plain form.
"""
import json
import os
import shutil

import gguf
import numpy as np
import torch
import transformers as T
from safetensors.torch import load_file, save_file
from sentence_transformers import CrossEncoder
from sentence_transformers.base.modules import Transformer
from sentence_transformers.cross_encoder.modules.logit_score import LogitScore
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests/golden/rerankers")
SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|embed_token|>", "<|rerank_token|>"]
ADDED = ["<think>", "</think>"]  # no special tokens, as in Qwen's
MERGES = [("y", "e"), ("ye", "s"), ("n", "o"), ("\u0120", "t"), ("h", "e"), ("\u0120t", "he"), ("i", "n"), ("e", "r")]
JUDGE = 'Judge whether the Document meets the requirements based on the Query and the Instruct provided. Note that the answer can only be "yes" or "no".'
INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"
PREFIX = f"<|im_start|>system\n{JUDGE}<|im_end|>\n<|im_start|>user\n"
SUFFIX = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
ROLES = ('{%- set instruction = messages | selectattr("role", "eq", "system") | map(attribute="content") | first | default("' + INSTRUCTION + '") -%}\n'
         '{%- set q = messages | selectattr("role", "eq", "query") | map(attribute="content") | first -%}\n'
         '{%- set d = messages | selectattr("role", "eq", "document") | map(attribute="content") | first -%}\n'
         + PREFIX + "<Instruct>: {{ instruction }}\n<Query>: {{ q }}\n<Document>: {{ d }}" + SUFFIX + "\n")
CONVERSATION = ("{%- for m in messages %}{%- if m.role == 'system' %}{{- '<|im_start|>system\\n' + m.content + '<|im_end|>\\n' }}{%- elif m.role == 'user' %}"
                "{{- '<|im_start|>user\\n' + m.content + '<|im_end|>\\n' }}{%- endif %}{%- endfor %}"
                "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}{%- endif %}")
NO_SYSTEM = ("{%- if messages[0].role == 'system' %}{{ raise_exception('no system message here') }}{%- endif %}"
             "{%- for m in messages %}{{- '<|im_start|>' + m.content | trim + '<|im_end|>' }}{%- endfor %}{{- 'answer:' }}")
DOCUMENTS = ["Citrus fruit cured the sailors of scurvy.", "", "yes", "the the the in her", "Gr\u00fc\u00dfe \u4e2d\u6587 \U0001f600\n\n  two lines \n", "Octopuses have three hearts, " * 3]
QUERIES = [("what cured scurvy?", None), ("hearts", "Find the animal"), ("", "")]
BODY = dict(hidden_size=32, num_hidden_layers=2, intermediate_size=48, num_attention_heads=4, num_key_value_heads=2, head_dim=16, max_position_embeddings=2048,
            bos_token_id=None, eos_token_id=2, pad_token_id=0, tie_word_embeddings=True, rope_parameters=dict(rope_type="default", rope_theta=1e6))


def tokenizer(template):
    vocab = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    for a, b in MERGES:
        vocab[a + b] = len(vocab)
    t = Tokenizer(models.BPE(vocab=vocab, merges=MERGES))
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(SPLIT), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in SPECIAL])
    t.add_tokens([AddedToken(s, special=False, normalized=False) for s in ADDED])
    tok = T.PreTrainedTokenizerFast(tokenizer_object=t, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tok.chat_template = template
    tok.padding_side = "left"
    return tok


def randomise(model, seed):
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=g)
            p.copy_(noise * 0.3 + 1.0 if "norm" in name else noise * (0.6 if "embed" in name else 0.25))
    return model.eval()


def build(cls, config, seed, tok, **more):
    c = config(**{**BODY, **more}, vocab_size=len(tok), dtype="float32")
    c._attn_implementation = "eager"
    m = randomise(cls(c), seed)
    m.tie_weights()
    return m


def prompt_ids(tok, query, document, instruction):
    """The published code, but for special tokens in what the caller wrote; none of the texts here has one."""
    body = f"<Instruct>: {INSTRUCTION if instruction is None else instruction}\n<Query>: {query}\n<Document>: {document}"
    return [tok(t, add_special_tokens=False)["input_ids"] for t in (PREFIX, body, SUFFIX)]


def raw_score(model, tok, ids):
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0, -1].double()
    return float(logits[tok.convert_tokens_to_ids("yes")] - logits[tok.convert_tokens_to_ids("no")])


def pair_cases(model, tok, make):
    cases = []
    for query, instruction in QUERIES:
        ids = [make(query, d, instruction) for d in DOCUMENTS]
        cases.append({"query": query, "instruction": instruction, "documents": DOCUMENTS, "tokens": [len(i) for i in ids], "scores": [float(f"{raw_score(model, tok, i):.9g}") for i in ids]})
    return cases


def published(tok):
    return lambda q, d, i: sum(prompt_ids(tok, q, d, i), [])


def write(name, cases, **more):
    made = f"transformers {T.__version__}, torch {torch.__version__.split('+')[0]}"
    json.dump({"made_with": made, **more, "cases": cases}, open(os.path.join(OUT, name, "expected.json"), "w"), indent=1, ensure_ascii=False)
    print(f"{name:12s} {[round(s, 3) for s in cases[0]['scores']]}")


def save(model, tok, name):
    to = os.path.join(OUT, name)
    model.save_pretrained(to)
    tok.save_pretrained(to)
    for junk in ("generation_config.json",):
        if os.path.exists(os.path.join(to, junk)):
            os.remove(os.path.join(to, junk))
    return to


def make_plain():
    tok = tokenizer(CONVERSATION)
    model = build(T.Qwen3ForCausalLM, T.Qwen3Config, 1, tok)
    save(model, tok, "plain")
    cases = pair_cases(model, tok, published(tok))
    for c in cases:  # asked by the template, the same prompt comes about
        for d, n in zip(c["documents"], c["tokens"]):
            text = f"<Instruct>: {c['instruction'] if c['instruction'] is not None else INSTRUCTION}\n<Query>: {c['query']}\n<Document>: {d}"
            ids = tok.apply_chat_template([{"role": "system", "content": JUDGE}, {"role": "user", "content": text}], add_generation_prompt=True, enable_thinking=False)["input_ids"]
            assert len(ids) == n
    # The body is cut to what prefix and suffix leave of the limit.
    document = "Octopuses have three hearts and the sea. " * 8
    prefix, body, suffix = prompt_ids(tok, "hearts", document, None)
    room = 400 - len(prefix) - len(suffix)
    assert len(body) > room
    cut = {"limit": 400, "query": "hearts", "document": document, "full_tokens": len(prefix + body + suffix), "score": raw_score(model, tok, prefix + body[:room] + suffix)}
    write("plain", cases, cut=cut)
    return model, tok


def make_roles(model):
    tok = tokenizer(ROLES)
    save(model, tok, "roles")
    write("roles", pair_cases(model, tok, published(tok))[:2])


def make_logit_score(model):
    """Saved and computed by sentence-transformers."""
    tok = tokenizer(ROLES)
    source = save(model, tok, "logit-score")
    method = {"method": "forward", "method_output_name": "logits"}
    body = Transformer(source, transformer_task="text-generation", modality_config={"text": method, "message": {**method, "format": "flat"}}, module_output_name="causal_logits",
                       config_kwargs={"attn_implementation": "eager"})
    score = LogitScore(true_token_id=tok.convert_tokens_to_ids("yes"), false_token_id=tok.convert_tokens_to_ids("no"))
    prompts = {"general": "Find the passage that answers"}
    ce = CrossEncoder(modules=[body, score], device="cpu", prompts=prompts, default_prompt_name="general")
    shutil.rmtree(source)
    ce.save(source, create_model_card=False)
    for junk in ("generation_config.json",):
        if os.path.exists(os.path.join(source, junk)):
            os.remove(os.path.join(source, junk))
    cases = []
    for query, instruction in QUERIES[:2]:
        pairs = [(query, d) for d in DOCUMENTS]
        more = {} if instruction is None else {"prompt": instruction}
        raw = [float(ce.predict([p], activation_fn=torch.nn.Identity(), **more)[0]) for p in pairs]
        cases.append({"query": query, "instruction": instruction, "documents": DOCUMENTS, "scores": [float(f"{x:.9g}") for x in raw],
                      "model": [float(f"{float(ce.predict([p], **more)[0]):.9g}") for p in pairs]})
    write("logit-score", cases)


def make_labels():
    tok = tokenizer(CONVERSATION)
    model = build(T.Qwen3ForSequenceClassification, T.Qwen3Config, 3, tok, num_labels=1)
    save(model, tok, "labels")
    cases = []
    for query, instruction in QUERIES[:2]:
        scores = []
        for d in DOCUMENTS:
            with torch.no_grad():
                scores.append(float(model(torch.tensor([published(tok)(query, d, instruction)])).logits[0, 0]))
        cases.append({"query": query, "instruction": instruction, "documents": DOCUMENTS, "scores": [float(f"{x:.9g}") for x in scores]})
    write("labels", cases)


def make_judge():
    tok = tokenizer(NO_SYSTEM)
    shape = {k: v for k, v in BODY.items() if k not in ("tie_word_embeddings",)}
    c = T.LlamaConfig(**shape, tie_word_embeddings=False, vocab_size=len(tok), dtype="float32")
    c._attn_implementation = "eager"
    model = randomise(T.LlamaForCausalLM(c), 4)
    save(model, tok, "judge")

    def ask(query, document, instruction):
        body = f"<Instruct>: {INSTRUCTION if instruction is None else instruction}\n<Query>: {query}\n<Document>: "
        return [t for part in ("<|im_start|>" + JUDGE + "\n\n" + body + document, "<|im_end|>answer:") for t in tok(part, add_special_tokens=False)["input_ids"]]

    write("judge", pair_cases(model, tok, ask))


def cosine(a, b):
    return float(np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)))


def list_prompt(query, documents, instruction):
    """The text that jina-reranker-v3's published code builds."""
    head = ("<|im_start|>system\nYou are a search relevance expert who can determine a ranking of the passages based on how relevant they are to the query. "
            "If the query is a question, how relevant a passage is depends on how well it answers the question. "
            "If not, try to analyze the intent of the query and assess how well each passage satisfies the intent. "
            "If an instruction is provided, you should follow the instruction when determining the ranking.<|im_end|>\n<|im_start|>user\n")
    ask = f"I will provide you with {len(documents)} passages, each indicated by a numerical identifier. Rank the passages based on their relevance to query: {query}\n"
    if instruction:
        ask += f"<instruct>\n{instruction}\n</instruct>\n"
    passages = [f'<passage id="{i}">\n{d}<|embed_token|>\n</passage>' for i, d in enumerate(documents)]
    return head + ask + "\n".join(passages) + f"\n<query>\n{query}<|rerank_token|>\n</query>" + SUFFIX


def make_list():
    tok = tokenizer(CONVERSATION)
    model = build(T.Qwen3ForCausalLM, T.Qwen3Config, 5, tok, max_position_embeddings=16384)
    to = save(model, tok, "list")
    g = torch.Generator().manual_seed(6)
    w0, w2 = torch.randn(16, 32, generator=g) * 0.3, torch.randn(12, 16, generator=g) * 0.3
    path = os.path.join(to, "model.safetensors")
    tensors = load_file(path)
    save_file({**tensors, "projector.0.weight": w0, "projector.2.weight": w2}, path, metadata={"format": "pt"})
    config = json.load(open(os.path.join(to, "config.json")))
    config["architectures"] = ["JinaForRanking"]
    json.dump(config, open(os.path.join(to, "config.json"), "w"), indent=1)
    doc_id, query_id = (tok.convert_tokens_to_ids(t) for t in ("<|embed_token|>", "<|rerank_token|>"))

    def block(query, documents, instruction):
        ids = torch.tensor(tok(list_prompt(query, documents, instruction), add_special_tokens=False)["input_ids"])
        with torch.no_grad():
            states = model.model(ids[None]).last_hidden_state[0]
            vectors = (torch.relu(states @ w0.T) @ w2.T).double().numpy()
        return vectors[(ids == doc_id).numpy()], vectors[(ids == query_id).numpy()][0]

    def rank(query, documents, instruction, size):
        vectors, queries, weights = [], [], []
        for at in range(0, len(documents), size):
            v, q = block(query, documents[at:at + size], instruction)
            vectors += list(v)
            queries.append(q)
            weights.append(max((1 + cosine(x, q)) / 2 for x in v))
        mean = np.average(queries, axis=0, weights=weights)
        return [float(f"{cosine(v, mean):.9g}") for v in vectors]

    stripped = "in <|embed_token|>the <|rerank_token|>sea"
    many = [f"document {i} of the sea" for i in range(130)]
    cases = [{"query": "what cured scurvy?", "instruction": None, "documents": DOCUMENTS, "scores": rank("what cured scurvy?", DOCUMENTS, None, 125)},
             {"query": "hearts", "instruction": "Find the animal", "documents": DOCUMENTS, "scores": rank("hearts", DOCUMENTS, "Find the animal", 125)},
             {"query": "hearts" + stripped, "instruction": None, "documents": [stripped, "hearts"], "scores": rank("heartsin the sea", ["in the sea", "hearts"], None, 125)},
             {"query": "hearts", "instruction": None, "documents": many, "scores": rank("hearts", many, None, 125)}]
    write("list", cases)


def to_gguf(model, tok, name, rank):
    w = gguf.GGUFWriter(os.path.join(OUT, name), "qwen3")
    c = model.config
    w.add_context_length(c.max_position_embeddings), w.add_embedding_length(c.hidden_size), w.add_block_count(c.num_hidden_layers), w.add_feed_forward_length(c.intermediate_size)
    w.add_head_count(c.num_attention_heads), w.add_head_count_kv(c.num_key_value_heads), w.add_key_length(c.head_dim), w.add_value_length(c.head_dim)
    w.add_layer_norm_rms_eps(c.rms_norm_eps), w.add_rope_freq_base(1e6)
    pieces = [tok.convert_ids_to_tokens(i) for i in range(len(tok))]
    w.add_tokenizer_model("gpt2"), w.add_tokenizer_pre("qwen2"), w.add_token_list(pieces)
    w.add_token_types([3 if p in SPECIAL else 4 if p in ADDED else 1 for p in pieces])
    w.add_token_merges([f"{a} {b}" for a, b in MERGES])
    w.add_eos_token_id(tok.convert_tokens_to_ids("<|im_end|>")), w.add_add_bos_token(False)
    if rank:
        w.add_uint32("qwen3.pooling_type", 4)
        w.add_array("qwen3.classifier.output_labels", ["yes", "no"])
        w.add_chat_template([{"name": "rerank", "template": PREFIX + f"<Instruct>: {INSTRUCTION}\n<Query>: {{query}}\n<Document>: {{document}}" + SUFFIX}, {"name": "default", "template": CONVERSATION}])
    else:
        w.add_chat_template(CONVERSATION)
    names = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
             "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
    table = model.model.embed_tokens.weight.detach()
    w.add_tensor("token_embd.weight", table.numpy()), w.add_tensor("output_norm.weight", model.model.norm.weight.detach().numpy())
    for i, layer in enumerate(model.model.layers):
        for n, p in layer.named_parameters():
            w.add_tensor(f"blk.{i}.{names[n.removesuffix('.weight')]}.weight", p.detach().numpy())
    if rank:
        w.add_tensor("cls.output.weight", table[[tok.convert_tokens_to_ids("yes"), tok.convert_tokens_to_ids("no")]].numpy())
    w.write_header_to_file(), w.write_kv_data_to_file(), w.write_tensors_to_file(), w.close()


def make_real():
    """tests/golden/real/qwen2.5-coder-judge.json: the real file as a judge, dequantised, its own template rendered by transformers."""
    from make_real_goldens import FILES, MODELS, ROOT, make_tokenizer
    repo, name = FILES["qwen2.5-coder"]
    folder = os.path.join(MODELS, repo.replace("/", "--"))
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        return print(f"left out: no {path}; scripts/models qwen fetches it")
    tok = T.PreTrainedTokenizerFast(tokenizer_object=make_tokenizer(path, False))
    tok.chat_template = gguf.GGUFReader(path).fields["tokenizer.chat_template"].contents()
    model = T.AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32, attn_implementation="eager").eval()
    documents = ["James Lind showed in 1747 that citrus fruit cures scurvy, and the navy gave its sailors lemon juice.", "An octopus has three hearts and blue blood.",
                 "Sailors on long voyages ate salt beef and biscuit.", ""]

    def ask(query, document, instruction):
        text = f"<Instruct>: {INSTRUCTION if instruction is None else instruction}\n<Query>: {query}\n<Document>: {document}"
        text = tok.apply_chat_template([{"role": "system", "content": JUDGE}, {"role": "user", "content": text}], tokenize=False, add_generation_prompt=True, enable_thinking=False)
        return tok(text, add_special_tokens=False)["input_ids"]

    cases = []
    for query, instruction in [("What cured sailors of scurvy on long voyages?", None), ("How many hearts has an octopus?", "Find the passage that answers the question")]:
        ids = [ask(query, d, instruction) for d in documents]
        scores = [float(f"{raw_score(model, tok, i):.9g}") for i in ids]
        cases.append({"query": query, "instruction": instruction, "documents": documents, "tokens": [len(i) for i in ids], "scores": scores})
        print("qwen2.5-coder", [round(s, 3) for s in scores])
    made = f"transformers {T.__version__}, torch {torch.__version__.split('+')[0]}"
    json.dump({"made_with": made, "cases": cases}, open(os.path.join(ROOT, "qwen2.5-coder-judge.json"), "w"), indent=1)


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    os.makedirs(OUT)
    model, tok = make_plain()
    make_roles(model)
    make_logit_score(model)
    make_labels()
    make_judge()
    make_list()
    to_gguf(model, tok, "plain.gguf", False)
    to_gguf(model, tok, "rank.gguf", True)
    make_real()


if __name__ == "__main__":
    main()
