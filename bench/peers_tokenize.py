#!/usr/bin/env python3
"""Runs gllm's tokenizers beside HF `tokenizers` and `sentencepiece`, each with one thread, on the same texts in the same minutes.

    pip install -r bench/requirements.txt
    python3 bench/peers_tokenize.py build/release/bench/bench_tokenize [--models ~/.gllm/models] [--rounds 7] [--json FILE]

The text is 1 MB made here from a seed: prose in six scripts, code, numbers and emoji, line by line. One round lets each program encode all of
it; the table gives medians in MB/s and the median over the rounds of gllm's speed over the peer's. HF gets the better of encode and
encode_batch_fast. Times are processor time, so that what else the machine does counts little. Before anything is timed the ids are compared. Then lines without a space of 0.25, 0.5 and 1 MB: time for each byte.
"""
import argparse, json, os, pathlib, random, statistics, subprocess, sys, tempfile, time

os.environ.update(TOKENIZERS_PARALLELISM="false", RAYON_NUM_THREADS="1", HF_HUB_OFFLINE="1")
import sentencepiece as spm
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tools"))
import make_gguf_tokenizer_goldens as published  # the pipelines of the GGUF files

SYLLABLES = {
    "latin": "ka lo mer ti san der ing est ro va pre con ter al min por tion ble qu wh th str ou ea ght ness ly er".split(),
    "accents": "é ü ß ö ñ ção ère für ça île naï über año".split(), "cyrillic": "при во на ста ение ть ная пере ко ль ры сть ого ми".split(),
    "greek": "και το ση μα της ρο λό νι κό θα".split(), "arabic": "ال ية من في كان ون تم را".split(), "hindi": "है में का ने कि राज नी ति वा".split(),
}
HAN, KANA, EMOJI = "的一是不了人我在有他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可她里后", "あいうえおかきくけこさしすせそたちつてとなにはひふへほまもらりるれろアイウエオカキクケコ", "😀🚀✨👩‍💻❤️🇩🇪👍🏽🎉"
CODE = ["for (int i = 0; i < n; i++) sum += a[i] * b[%d];", "def f_%d(self, x: int = 0) -> dict[str, int]:", "    return {'key': value[%d], \"other\": None}  # todo", "<div class=\"col-%d\"><a href=\"/x?y=1&amp;z=2\">link</a></div>", "0x%08x 3.14159e-10 2024-11-24T13:31:44Z"]


def make_text(size, seed=1):
    rng = random.Random(seed)
    words = {k: ["".join(rng.choice(s) for _ in range(rng.randint(1, 4))) for _ in range(4000)] for k, s in SYLLABLES.items()}
    lines, total = [], 0
    while total < size:
        kind = rng.choices(["latin", "accents", "cyrillic", "greek", "arabic", "hindi", "han", "kana", "code", "emoji"], [40, 8, 12, 4, 6, 6, 10, 6, 12, 2])[0]
        if kind == "code":
            line = rng.choice(CODE) % rng.randint(0, 99999) if rng.random() < 0.9 else "\t\tif x == y:"
        elif kind in ("han", "kana"):
            line = "".join(rng.choice(HAN if kind == "han" else KANA) + ("，" if rng.random() < 0.08 else "") for _ in range(rng.randint(10, 80))) + "。"
        else:
            pool = words["latin" if kind == "emoji" else kind]
            picked = [pool[min(int(rng.paretovariate(0.7)), len(pool)) - 1] for _ in range(rng.randint(5, 30))]
            line = " ".join(w.capitalize() if rng.random() < 0.1 else w + rng.choice(["", "", "", ",", "!", " 42", " 1,234.5"]) for w in picked) + rng.choice([".", "?", "..."])
            if kind == "emoji":
                line += " " + rng.choice(EMOJI)
        lines.append(line)
        total += len(line.encode()) + 1
    return lines


# ---- the peers ---------------------------------------------------------------------------------------------------------------------------
def hf_runs(tok):
    return [lambda lines: [e.ids for e in tok.encode_batch_fast(lines, add_special_tokens=False)], lambda lines: [tok.encode(x, add_special_tokens=False).ids for x in lines]]


def spm_runs(data):
    sp = spm.SentencePieceProcessor(model_proto=data)
    return [lambda lines: [sp.encode(x) for x in lines]]


def gguf_hf(path, nfc, steps):
    import gguf
    fields = gguf.GGUFReader(path).fields
    vocab = {t: i for i, t in enumerate(fields["tokenizer.ggml.tokens"].contents())}
    merges = [tuple(m.split(" ")) for m in fields["tokenizer.ggml.merges"].contents()]
    return published.pipeline(Tokenizer(models.BPE(vocab, merges)), nfc, steps)


def unigram_json(lines):
    tok = Tokenizer(models.Unigram())
    tok.normalizer, tok.pre_tokenizer = normalizers.NFKC(), pre_tokenizers.Metaspace()
    tok.train_from_iterator(lines, trainers.UnigramTrainer(vocab_size=8000, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False))
    return tok


def spm_model(kind, lines):
    import io
    out = io.BytesIO()
    spm.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=out, model_type=kind, vocab_size=8000, byte_fallback=True, remove_extra_whitespaces=kind == "unigram",
                                   normalization_rule_name="identity" if kind == "bpe" else "nmt_nfkc", minloglevel=2, num_threads=1, hard_vocab_limit=False)
    return out.getvalue()


def cases(home, lines, folder):
    """name, what gllm opens, the peers by name: their ways to encode, of which the better counts."""
    find = lambda pattern: next(iter(sorted(pathlib.Path(home).glob(pattern))), None)
    minilm, smollm, qwen = find("*all-MiniLM-L6-v2"), find("*SmolLM2*/*.gguf"), find("*Qwen2.5*/*.gguf")
    if minilm:
        tok = Tokenizer.from_file(str(minilm / "tokenizer.json"))
        tok.no_truncation()
        tok.no_padding()
        yield "WordPiece (MiniLM)", str(minilm), {"tokenizers": hf_runs(tok)}
    if smollm:
        yield "BPE (SmolLM2, gpt2)", str(smollm), {"tokenizers": hf_runs(gguf_hf(smollm, False, [published.DIGITS, published.GPT2]))}
    if qwen:
        yield "BPE (Qwen2.5)", str(qwen), {"tokenizers": hf_runs(gguf_hf(qwen, True, [published.CL(r"\p{N}")]))}
    some = lines[::3]
    tok = unigram_json(some)
    path = os.path.join(folder, "unigram.json")
    tok.save(path)
    yield "Unigram (tokenizer.json)", path, {"tokenizers": hf_runs(tok)}
    for kind in ("bpe", "unigram"):
        data = spm_model(kind, some)
        path = os.path.join(folder, f"{kind}.model")
        pathlib.Path(path).write_bytes(data)
        peers = {"sentencepiece": spm_runs(data)}
        if kind == "bpe":  # HF's form of the same model: Prepend and Replace, then merges
            peers["tokenizers"] = hf_runs(llama_hf(data))
        yield f"SentencePiece {kind}", path, peers


def llama_hf(data):
    sp = spm.SentencePieceProcessor(model_proto=data)
    vocab = {sp.id_to_piece(i): i for i in range(sp.get_piece_size())}
    pairs = [(vocab[p], p[:k], p[k:]) for p in vocab for k in range(1, len(p)) if p[:k] in vocab and p[k:] in vocab and not sp.is_byte(vocab[p]) and not sp.is_control(vocab[p])]
    merges = [(a, b) for _, a, b in sorted(pairs)]
    tok = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tok.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return tok


# ---- measuring ---------------------------------------------------------------------------------------------------------------------------
def ours(program, model, path, seconds):
    out = subprocess.run([program, model, "time", path, str(seconds)], capture_output=True, text=True, check=True)
    return statistics.median(map(float, out.stdout.split()))


def timed(run, lines):
    start = time.process_time()
    run(lines)
    return time.process_time() - start


def same_ids(program, model, lines, run):
    out = subprocess.run([program, model, "ids"], input="".join(json.dumps(x) + "\n" for x in lines), capture_output=True, text=True, check=True)
    return sum(json.loads(a) == b for a, b in zip(out.stdout.splitlines(), run(lines))) / len(lines)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("program")
    p.add_argument("--models", default=os.path.expanduser("~/.gllm/models"))
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("--json")
    args = p.parse_args()
    lines, results = make_text(1_000_000), []
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "text")
        pathlib.Path(path).write_text("\n".join(lines) + "\n")
        size = os.path.getsize(path)
        flat = "".join("".join(lines).split())
        cut = {n: flat.encode()[:n].decode(errors="ignore") for n in (250_000, 500_000, 1_000_000)}
        for n, text in cut.items():
            pathlib.Path(folder, str(n)).write_text(text)
        for name, model, peers in cases(args.models, lines, folder):
            row = {"tokenizer": name, "bytes": size, "same": {k: same_ids(args.program, model, lines, runs[0]) for k, runs in peers.items()}}
            best = {k: min(runs, key=lambda r: timed(r, lines)) for k, runs in peers.items()}
            rounds = [(ours(args.program, model, path, 0.3), {k: timed(r, lines) for k, r in best.items()}) for _ in range(args.rounds)]
            row["gllm"] = size / statistics.median(r[0] for r in rounds) / 1e6
            row["peers"] = {k: {"MB/s": size / statistics.median(r[1][k] for r in rounds) / 1e6, "ratio": statistics.median(r[1][k] / r[0] for r in rounds)} for k in peers}
            row["ns a byte without spaces"] = {n: ours(args.program, model, os.path.join(folder, str(n)), 0.5) / len(t.encode()) * 1e9 for n, t in cut.items()}
            results.append(row)
            said = ", ".join(f"{k} {v['MB/s']:.2f} ({v['ratio']:.1f} x, ids equal on {row['same'][k]:.1%} of lines)" for k, v in row["peers"].items())
            print(f"{name:26} gllm {row['gllm']:6.2f} MB/s   {said}   one line: " + " ".join(f"{v:.0f}" for v in row["ns a byte without spaces"].values()) + " ns/B", flush=True)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
