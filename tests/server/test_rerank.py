"""test_rerank.py - reranking in its four shapes, and classes: scores are the reference's, and the same in every shape."""
import json

from serving import Server, check, close, end, equal

RANKER, LABELS = "tests/golden/classifiers/bert", "tests/golden/classifiers/bert-many"
DOCUMENTS = ["the sea", "It was the best of times", "call me", "a rose"]
LONG = "whale " * 100
s = Server(f"embedder=tests/golden/models/bert-mean", f"ranker={RANKER}", f"labels={LABELS}")
golden = json.load(open(f"{RANKER}/expected.json"))["cases"][0]
QUERY, REFERENCE, LOGIT = golden["text"], golden["probabilities"][0], golden["logits"][0]

jina = s.post("/v1/rerank", {"model": "ranker", "query": QUERY, "documents": DOCUMENTS})
scores = [r["relevance_score"] for r in jina["results"]]
order = [r["index"] for r in jina["results"]]
equal(sorted(order), [0, 1, 2, 3], "every document once")
equal(scores, sorted(scores, reverse=True), "the best first")
close([scores[order.index(1)]], [REFERENCE], "the reference's score", 1e-5)
equal((jina["object"], jina["model"]), ("list", "ranker"), "Jina's frame")
check(jina["usage"]["total_tokens"] > 10 and jina["meta"]["api_version"]["version"] == "1" and jina["id"], "usage, meta and id")
check("document" not in jina["results"][0], "documents only when asked for")
top = s.post("/v1/rerank", {"query": QUERY, "documents": [{"text": d} for d in DOCUMENTS], "top_n": 2, "return_documents": True})
equal([(r["index"], r["relevance_score"], r["document"]["text"]) for r in top["results"]], [(i, x, DOCUMENTS[i]) for i, x in zip(order, scores)][:2], "objects, top_n, documents; the first reranker by default")
two = s.post("/v2/rerank", {"model": "ranker", "query": QUERY, "documents": DOCUMENTS, "top_n": 3})
equal([(r["index"], r["relevance_score"]) for r in two["results"]], list(zip(order, scores))[:3], "/v2/rerank")
check("model" not in two and two["meta"]["api_version"]["version"] == "2" and two["meta"]["billed_units"]["search_units"] == 1, "Cohere's second frame")
tei = s.post("/rerank", {"query": QUERY, "texts": DOCUMENTS, "return_text": True})
equal([(r["index"], r["score"], r["text"]) for r in tei], [(i, x, DOCUMENTS[i]) for i, x in zip(order, scores)], "TEI's shape by `texts`")
raw = s.post("/rerank", {"query": QUERY, "texts": [DOCUMENTS[1]], "raw_scores": True})
close([raw[0]["score"]], [LOGIT], "raw_scores", 1e-5)
equal([r["index"] for r in s.post("/rerank", {"query": QUERY, "documents": DOCUMENTS})["results"]], order, "Jina's shape by `documents` on /rerank")
cut = s.post("/v1/rerank", {"query": QUERY, "documents": [LONG, "a rose"]})
equal([r.get("truncated", False) for r in sorted(cut["results"], key=lambda r: r["index"])], [True, False], "what is cut is told")
equal(s.headers["x-truncated"], "1", "the header tells it too")

REFUSED = [
    ("/v1/rerank", {"documents": ["a"]}, 400, "query"),
    ("/v1/rerank", {"query": "a"}, 400, "documents"),
    ("/v1/rerank", {"query": "a", "documents": []}, 400, "documents"),
    ("/v1/rerank", {"query": "a", "documents": ["b", 3]}, 400, "documents"),
    ("/v1/rerank", {"query": "a", "documents": ["b"], "top_n": 0}, 400, "top_n"),
    ("/v1/rerank", {"query": "a", "documents": ["b"], "max_tokens_per_doc": 3}, 400, "max_tokens_per_doc"),
    ("/v1/rerank", {"query": "a", "documents": ["b"], "rank_fields": ["title"]}, 400, "rank_fields"),
    ("/v1/rerank", {"query": "a", "documents": [LONG], "truncate": "none"}, 400, "documents"),
]
for path, body, status, param in REFUSED:
    equal(s.post(path, body, status)["error"]["param"], param, f"refusal of {str(body)[:60]}")
check("embedder" in s.post("/v1/rerank", {"model": "embedder", "query": "a", "documents": ["b"]}, 400)["error"]["message"], "the wrong task is named")
check("message" in s.post("/v2/rerank", {"query": "a"}, 400), "Cohere's shape of an error")
equal(s.post("/rerank", {"query": "a", "texts": []}, 400)["error_type"], "Empty", "TEI's shape of an error")

golden = json.load(open(f"{LABELS}/expected.json"))
case = golden["cases"][0]
want = sorted(zip(case["probabilities"], golden["labels"]), reverse=True)
for body, found in (({"inputs": [case["text"], case["pair"]]}, lambda r: r), ({"inputs": [[case["text"], case["pair"]], [case["text"], case["pair"]]]}, lambda r: r[1])):
    one = found(s.post("/predict", body))
    equal([x["label"] for x in one], [label for _, label in want], "/predict: labels, the likeliest first")
    close([x["score"] for x in one], [p for p, _ in want], "/predict: the reference's probabilities", 1e-5)
equal(len(s.post("/predict", {"inputs": "one text"})), 4, "/predict of one text")
equal(s.post("/predict", {"inputs": [["a"], ["b", "c"]]}, 422)["error_type"], "Validation", "pairs among single texts")
equal(s.stop(), 0, "the exit status after SIGTERM")
end()
