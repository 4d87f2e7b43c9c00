#!/usr/bin/env python3
"""Keeps a server of gllm's routes, or of a peer's, busy from many connections at once, and tells what each kind of request took.

    python3 bench/serve_load.py --port 8080 --embed MODEL --rerank MODEL --chat MODEL [--connections 64] [--seconds 60]
        [--mix embed=6,rerank=2,chat=2] [--words 16] [--documents 10] [--tokens 32] [--cancel 0.1] [--pid PID] [--json FILE]

Every connection sends one request after the other, of a kind drawn by the weights of --mix, with texts drawn by a fixed seed; a request of chat streams, and a
share of --cancel of them is hung up after the first bytes. An answer is complete when its body has come whole and is JSON, or its stream has ended with [DONE].
A 429 is counted apart: the connection waits as long as Retry-After says. --pid: resident memory of that process after a tenth of the time and at the end.
Exit 1: some request failed other than by 429. Only the standard library is needed.
"""
import argparse, asyncio, json, os, random, sys, time

WORDS = "time water house music river light story world paper stone winter garden bridge letter window engine harbour forest mountain market".split()


class Failed(Exception):
    pass


class Connection:
    def __init__(self, host, port):
        self.host, self.port, self.reader, self.writer = host, port, None, None

    async def open(self):
        if not self.writer:
            self.reader, self.writer = await asyncio.open_connection(self.host, self.port)

    def close(self):
        if self.writer:
            self.writer.transport.abort()
        self.reader = self.writer = None

    async def send(self, path, body, key):
        kept = self.writer is not None
        try:
            return await self.exchange(path, body, key)
        except (asyncio.IncompleteReadError, ConnectionError) as e:
            if not kept or getattr(e, "partial", b""):
                raise
        self.close()  # a server may close a connection that is kept, without a word
        return await self.exchange(path, body, key)

    async def exchange(self, path, body, key):
        await self.open()
        head = f"POST {path} HTTP/1.1\r\nHost: {self.host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        if key:
            head += f"Authorization: Bearer {key}\r\n"
        self.writer.write(head.encode() + b"\r\n" + body)
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:] if line)}
        return int(lines[0].split()[1]), headers

    async def chunks(self, headers):
        """The pieces of a body, until it ends."""
        if "chunked" in headers.get("transfer-encoding", "").lower():
            while size := int((await self.reader.readline()).split(b";")[0], 16):
                yield await self.reader.readexactly(size)
                await self.reader.readexactly(2)
            await self.reader.readline()
        else:
            yield await self.reader.readexactly(int(headers["content-length"]))
        if headers.get("connection", "").lower() == "close":
            self.close()


def text(rng, words):
    return " ".join(rng.choice(WORDS) for _ in range(words))


def make(kind, o, rng):
    if kind == "embed":
        return "/v1/embeddings", {"model": o.embed, "input": [text(rng, o.words) for _ in range(o.inputs)]}
    if kind == "rerank":
        return "/v1/rerank", {"model": o.rerank, "query": text(rng, 6), "documents": [text(rng, o.words) for _ in range(o.documents)], **({"as_judge": True} if o.judge else {})}
    return "/v1/chat/completions", {"model": o.chat, "messages": [{"role": "user", "content": text(rng, 12)}], "max_tokens": o.tokens, "stream": True, "temperature": 0.7, "seed": rng.randrange(1 << 30)}


class Tally:
    def __init__(self):
        self.ms, self.first, self.busy, self.canceled, self.tokens, self.errors = [], [], 0, 0, 0, {}

    def row(self, seconds):
        q = lambda list, p: round(sorted(list)[min(len(list) - 1, int(p * len(list)))], 1) if list else None
        return {"requests": len(self.ms), "per_s": round(len(self.ms) / seconds, 2), "p50_ms": q(self.ms, .5), "p90_ms": q(self.ms, .9), "p99_ms": q(self.ms, .99), "max_ms": q(self.ms, 1),
                "first_p50_ms": q(self.first, .5), "first_p99_ms": q(self.first, .99), "chunks": self.tokens, "busy_429": self.busy, "hung_up": self.canceled, "errors": self.errors}


async def one(c, kind, o, rng, tally):
    path, body = make(kind, o, rng)
    start = time.perf_counter()
    status, headers = await c.send(path, json.dumps(body).encode(), o.key)
    hang_up = kind == "chat" and status == 200 and rng.random() < o.cancel
    whole = b""
    async for piece in c.chunks(headers):
        if not whole:
            tally.first.append(1000 * (time.perf_counter() - start))
        whole += piece
        if hang_up:
            tally.canceled += 1
            c.close()
            return
    if status == 429:
        tally.busy += 1
        await asyncio.sleep(min(float(headers.get("retry-after", "1")), 5))
        return
    if status != 200:
        raise Failed(f"{status} {whole[:200].decode('utf-8', 'replace')}")
    if kind == "chat":
        if not whole.rstrip().endswith(b"data: [DONE]"):
            raise Failed("a stream without its end: …" + whole[-120:].decode("utf-8", "replace"))
        tally.tokens += whole.count(b"data: {")
    else:
        json.loads(whole)
    tally.ms.append(1000 * (time.perf_counter() - start))


async def worker(at, o, mix, tallies, end):
    rng, c = random.Random(at), Connection(o.host, o.port)
    while time.perf_counter() < end:
        kind = rng.choices(list(mix), list(mix.values()))[0]
        t = tallies[kind]
        try:
            await asyncio.wait_for(one(c, kind, o, rng, t), o.timeout)
        except (Failed, OSError, ValueError, asyncio.IncompleteReadError, asyncio.TimeoutError) as e:
            what = f"{type(e).__name__}: {e}"[:200]
            t.errors[what] = t.errors.get(what, 0) + 1
            c.close()
    c.close()


def resident(pid):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024


async def memory(o, seconds, out):
    await asyncio.sleep(seconds / 10)
    out["rss_early_mib"] = round(resident(o.pid), 1)
    out["fds_early"] = len(os.listdir(f"/proc/{o.pid}/fd"))


async def run(o):
    mix = {k: float(v) for k, v in (part.split("=") for part in o.mix.split(","))}
    mix = {k: v for k, v in mix.items() if getattr(o, k)}
    if not mix:
        sys.exit("nothing to ask for: name a model by --embed, --rerank or --chat")
    tallies = {k: Tally() for k in mix}
    start, result = time.perf_counter(), {}
    watch = [memory(o, o.seconds, result)] if o.pid else []
    await asyncio.gather(*watch, *(worker(i, o, mix, tallies, start + o.seconds) for i in range(o.connections)))
    took = time.perf_counter() - start
    if o.pid:
        await asyncio.sleep(1)
        result["rss_end_mib"] = round(resident(o.pid), 1)
        result["fds_end"] = len(os.listdir(f"/proc/{o.pid}/fd"))
    result.update(connections=o.connections, seconds=round(took, 1), kinds={k: t.row(took) for k, t in tallies.items()})
    result["errors"] = sum(sum(t.errors.values()) for t in tallies.values())
    return result


def show(r):
    print(f"{r['connections']} connections, {r['seconds']} s" + (f", resident {r['rss_early_mib']} MiB early, {r['rss_end_mib']} at the end; descriptors {r['fds_early']}, {r['fds_end']}" if "rss_end_mib" in r else ""))
    print(f"{'kind':8}{'done':>8}{'per s':>9}{'p50 ms':>9}{'p90':>9}{'p99':>9}{'max':>9}{'first p50':>11}{'p99':>9}{'429':>7}{'hung up':>9}{'errors':>8}")
    for k, v in r["kinds"].items():
        cells = [v[n] if v[n] is not None else "-" for n in ("p50_ms", "p90_ms", "p99_ms", "max_ms", "first_p50_ms", "first_p99_ms")]
        print(f"{k:8}{v['requests']:8}{v['per_s']:9}{cells[0]:>9}{cells[1]:>9}{cells[2]:>9}{cells[3]:>9}{cells[4]:>11}{cells[5]:>9}{v['busy_429']:7}{v['hung_up']:9}{sum(v['errors'].values()):8}")
        for what, n in v["errors"].items():
            print(f"    {n} × {what}")


def options(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--host", default="127.0.0.1")
    p.add_argument("--port", type=int, required=True)
    for kind in ("embed", "rerank", "chat"):
        p.add_argument("--" + kind, help="the model that answers these requests")
    p.add_argument("--mix", default="embed=6,rerank=2,chat=2")
    p.add_argument("--judge", action="store_true", help="rerank by a chat model")
    p.add_argument("--connections", type=int, default=64)
    p.add_argument("--seconds", type=float, default=60)
    p.add_argument("--words", type=int, default=16)
    p.add_argument("--inputs", type=int, default=1, help="texts of a request of embed")
    p.add_argument("--documents", type=int, default=10)
    p.add_argument("--tokens", type=int, default=32)
    p.add_argument("--cancel", type=float, default=0, help="share of streams that are hung up")
    p.add_argument("--timeout", type=float, default=120)
    p.add_argument("--key")
    p.add_argument("--pid", type=int)
    p.add_argument("--json")
    return p.parse_args(argv)


if __name__ == "__main__":
    o = options()
    result = asyncio.run(run(o))
    show(result)
    if o.json:
        json.dump(result, open(o.json, "w"), indent=1)
    sys.exit(1 if result["errors"] else 0)
