"""What people write when they put sentence-transformers behind uvicorn: OpenAI's embeddings and Jina's rerank, blocking calls on FastAPI's thread pool.

    GLLM_BENCH_EMBED=DIRECTORY GLLM_BENCH_RERANK=DIRECTORY uvicorn st_server:app --port 8090
"""
import os
from fastapi import FastAPI
from pydantic import BaseModel
from sentence_transformers import CrossEncoder, SentenceTransformer

embedder = SentenceTransformer(os.environ["GLLM_BENCH_EMBED"], device="cpu")
reranker = CrossEncoder(os.environ["GLLM_BENCH_RERANK"], device="cpu")
app = FastAPI()


class Embed(BaseModel):
    input: list[str] | str


class Rerank(BaseModel):
    query: str
    documents: list[str]


@app.get("/health")
def health():
    return {}


@app.post("/v1/embeddings")
def embeddings(r: Embed):
    texts = [r.input] if isinstance(r.input, str) else r.input
    vectors = embedder.encode(texts, normalize_embeddings=True)
    return {"object": "list", "data": [{"object": "embedding", "index": i, "embedding": v.tolist()} for i, v in enumerate(vectors)], "model": "m", "usage": {"prompt_tokens": 0, "total_tokens": 0}}


@app.post("/v1/rerank")
def rerank(r: Rerank):
    scores = reranker.predict([(r.query, d) for d in r.documents])
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    return {"results": [{"index": i, "relevance_score": float(scores[i])} for i in order]}
