#!/usr/bin/env python3
"""Writes tests/golden/ops.json: small cases of every operation of src/backend/ops.def, computed in float64 by PyTorch and by
sentence-transformers' own pooling module. They check the reference backend, which all others are compared with.

    pip install -r tools/requirements.txt && python tools/make_op_goldens.py
"""
import json
import pathlib

import torch
import torch.nn.functional as F
from sentence_transformers import __version__ as st_version
from sentence_transformers.sentence_transformer.modules import Pooling

torch.manual_seed(20)
torch.set_default_dtype(torch.float64)
LENS = [3, 1, 4]
N_TOK = sum(LENS)


def rand(*shape, scale=1.0, offset=0.0):
    """Values that f32 holds exactly."""
    return (torch.rand(*shape) * 2 - 1).mul(scale).add(offset).float().double()


def flat(t):
    return t.reshape(-1).tolist()


def embed_case(norm):
    d, tokens, pos, types = 6, [4, 0, 7, 7, 2, 5, 1, 6], [2, 3, 4, 2, 2, 3, 4, 5], [0, 1, 1, 0, 0, 0, 1, 1]
    word, position, kind, w, b = rand(8, d), rand(6, d), rand(2, d), rand(d, offset=1), rand(d)
    out = F.embedding(torch.tensor(tokens), word) + F.embedding(torch.tensor(pos), position) + F.embedding(torch.tensor(types), kind)
    case = dict(op="embed", d=d, tokens=tokens, pos=pos, types=types, word=flat(word), position=flat(position), type=flat(kind), eps=1e-12)
    if norm:
        out = F.layer_norm(out, (d,), w, b, 1e-12)
        case |= dict(norm_w=flat(w), norm_b=flat(b))
    return case | dict(out=flat(out))


def norm_case(kind, eps, scale=1.0):
    d = 7
    x, res, w, b = rand(N_TOK, d, scale=scale, offset=scale), rand(N_TOK, d, scale=scale), rand(d, offset=1), rand(d)
    y = x + res
    if kind == "layer":
        out = F.layer_norm(y, (d,), w, b, eps)
    elif kind == "rms":
        out = F.rms_norm(y, (d,), w, eps) + b
    else:
        out = F.normalize(y, dim=-1, eps=eps) * w + b
    return dict(op="norm", kind=kind, eps=eps, d=d, x=flat(x), res=flat(res), w=flat(w), b=flat(b), out=flat(out))


ACTS = {
    "none": lambda y: y,
    "gelu": F.gelu,
    "gelu_tanh": lambda y: F.gelu(y, approximate="tanh"),
    "gelu_quick": lambda y: y * torch.sigmoid(1.702 * y),
    "relu": F.relu,
    "silu": F.silu,
    "tanh": torch.tanh,
}


def linear_case(act):
    k, n = 5, 4
    x, w, bias, res = rand(N_TOK, k, scale=3), rand(n, k, scale=2), rand(n), rand(N_TOK, n)
    out = ACTS[act](F.linear(x, w, bias)) + res
    return dict(op="linear", act=act, k=k, n=n, x=flat(x), w=flat(w), bias=flat(bias), res=flat(res), out=flat(out))


def masked(q, k, v, bias, scale, causal, window, cap):
    """Attention of one sequence as transformers' eager Gemma 2 has it, with masks of what a query may see. q [n_head, n, d]."""
    n, group = q.shape[1], q.shape[0] // k.shape[0]
    k, v = k.repeat_interleave(group, 0), v.repeat_interleave(group, 0)
    distance = torch.arange(n)[:, None] - torch.arange(n)[None, :]
    seen = distance >= 0 if causal else torch.ones(n, n, dtype=torch.bool)
    if window:
        seen = seen & (distance < window if causal else distance.abs() <= window)
    s = q @ k.transpose(1, 2) * scale + (0 if bias is None else bias)
    s = torch.tanh(s / cap) * cap if cap else s
    return (torch.softmax(s.masked_fill(~seen, -torch.inf), -1) @ v).transpose(0, 1).reshape(n, -1)


def attention_case(n_head, n_kv, d_head, radius, causal=False, window=0, cap=0.0):
    q, k, v = rand(N_TOK, n_head, d_head, scale=3), rand(N_TOK, n_kv, d_head, scale=3), rand(N_TOK, n_kv, d_head)
    rel, scale, out, at = rand(n_head, 2 * radius + 1, scale=2) if radius >= 0 else None, 0.375, [], 0
    for length in LENS:
        rows = slice(at, at + length)
        at += length
        bias = None
        if rel is not None:
            i = torch.arange(length)
            bias = rel[:, (i[None, :] - i[:, None]).clamp(-radius, radius) + radius]
        heads = [t[rows].transpose(0, 1)[None] for t in (q, k, v)]
        if causal or window or cap:
            out.append(masked(*(h[0] for h in heads), bias, scale, causal, window, cap))
            continue
        o = F.scaled_dot_product_attention(*heads, attn_mask=bias, scale=scale, enable_gqa=n_kv != n_head)
        out.append(o[0].transpose(0, 1).reshape(length, -1))
    case = dict(op="attention", n_head=n_head, n_kv=n_kv, d_head=d_head, scale=scale, q=flat(q), k=flat(k), v=flat(v), out=flat(torch.cat(out)))
    case |= dict(causal=causal, window=window, soft_cap=cap) if causal or window or cap else {}
    return case | (dict(rel=flat(rel), radius=radius) if rel is not None else {})


def rotate_case(n_head, n_kv, d, n_rot, interleaved, norm):
    """Queries and keys as transformers prepares them: RMS norm of each head or of all, then rotate_half (Llama) or its interleaved form (GLM)."""
    x, angle, eps = rand(N_TOK, (n_head + n_kv) * d, scale=2), rand(N_TOK, n_rot // 2, scale=3), 1e-6
    cos, sin = angle.cos().float().double(), angle.sin().float().double()
    case, out = dict(op="rotate", n_head=n_head, n_kv=n_kv, d_head=d, n_rot=n_rot, interleaved=interleaved, eps=eps, x=flat(x)), []
    for name, heads, part in (("q", n_head, x[:, : n_head * d]), ("k", n_kv, x[:, n_head * d :])):
        if norm:
            w = rand(d if norm == "head" else heads * d, offset=1)
            case[name + "_norm"] = flat(w)
            part = F.rms_norm(part.reshape(N_TOK, -1, len(w)), (len(w),), w, eps)
        y = part.reshape(N_TOK, heads, d)
        turn, rest = y[..., :n_rot], y[..., n_rot:]
        if interleaved:
            c, s = cos.repeat_interleave(2, -1)[:, None], sin.repeat_interleave(2, -1)[:, None]
            half = torch.stack((-turn[..., 1::2], turn[..., 0::2]), -1).flatten(-2)
        else:
            c, s = torch.cat((cos, cos), -1)[:, None], torch.cat((sin, sin), -1)[:, None]
            half = torch.cat((-turn[..., n_rot // 2 :], turn[..., : n_rot // 2]), -1)
        out.append(torch.cat((turn * c + half * s, rest), -1).reshape(N_TOK, -1))
    return case | dict(rope=flat(torch.cat((cos, sin), -1)), out=flat(torch.cat(out, -1)))


MODES = ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]  # in the order of the bits of pool_kind


def pool_case(modes, skip):
    d, out, at = 5, [], 0
    x = rand(N_TOK, d)
    module = Pooling(d, [m for i, m in enumerate(MODES) if modes >> i & 1], include_prompt=skip == 0)
    lens = [length for length in LENS if length > skip]
    x = x[: sum(lens)]
    for length in lens:
        features = dict(token_embeddings=x[at : at + length][None], attention_mask=torch.ones(1, length, dtype=torch.int64), prompt_length=skip)
        out.append(module(features)["sentence_embedding"][0])
        at += length
    return dict(op="pool", d=d, modes=modes, lens=lens, skip=skip, x=flat(x), out=flat(torch.stack(out)))


cases = [embed_case(False), embed_case(True)]
cases += [norm_case("layer", 1e-5), norm_case("rms", 1e-6), norm_case("l2", 1e-12), norm_case("layer", 0.5, 0.25), norm_case("rms", 0.5, 0.25), norm_case("l2", 4.0, 0.25)]
cases += [linear_case(act) for act in ACTS]
cases += [attention_case(2, 2, 3, -1), attention_case(6, 2, 2, -1), attention_case(2, 1, 4, 2), attention_case(3, 3, 1, 0), attention_case(2, 2, 2, 7)]
cases += [pool_case(1 << i, skip) for i in range(len(MODES)) for skip in (0, 2)] + [pool_case(63, 0), pool_case(42, 1)]
cases += [attention_case(2, 1, 3, -1, causal=True), attention_case(2, 2, 3, -1, causal=True, window=2, cap=2.0), attention_case(2, 2, 3, 1, window=1), attention_case(4, 2, 2, -1, cap=1.5)]
cases += [rotate_case(2, 1, 4, 4, False, None), rotate_case(4, 2, 6, 4, False, "head"), rotate_case(2, 2, 6, 4, True, "all")]

path = pathlib.Path(__file__).parent.parent / "tests" / "golden" / "ops.json"
made = f"tools/make_op_goldens.py, torch {torch.__version__.split('+')[0]}, sentence-transformers {st_version}"
with path.open("w") as f:
    f.write('{"made": %s, "lens": %s, "cases": [\n' % (json.dumps(made), json.dumps(LENS)))
    f.write(",\n".join(json.dumps(c) for c in cases))
    f.write("\n]}\n")
