"""test_embed_clients.py - the unmodified Python clients of OpenAI, Cohere, Ollama, LangChain and LlamaIndex get the library's vectors and scores. One that is
not installed is told, and skipped."""
import importlib.util

from serving import Server, check, cli_vectors, close, end, skip

MODEL, RANKER = "tests/golden/models/bert-mean", "tests/golden/classifiers/bert"
TEXTS = ["the whale", "It was the best of times"]
CLIENTS = ("openai", "cohere", "ollama", "langchain_openai", "llama_index.embeddings.openai")


def there(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


present = [c for c in CLIENTS if there(c)]
for name in CLIENTS:
    if name not in present:
        print(f"skipped: the package {name} is not installed")
if not present:
    skip("none of the clients is installed")
s = Server(f"mean={MODEL}", f"ranker={RANKER}")
url = f"http://127.0.0.1:{s.port}"
unit = cli_vectors(MODEL, TEXTS, "--normalize", "on")


def same(found, who):
    for i, v in enumerate(found):
        close(v, unit[i], f"{who}: vector {i}", 1e-7)
    check(len(found) == len(unit), f"{who}: {len(found)} vectors")


if "openai" in present:
    import openai

    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none")
    same([d.embedding for d in client.embeddings.create(model="mean", input=TEXTS).data], "openai, which asks for base64")
    same([d.embedding for d in client.embeddings.create(model="mean", input=TEXTS, encoding_format="float").data], "openai, float")
    check([m.id for m in client.models.list()] == ["mean", "ranker"], "openai: models")
    try:
        client.embeddings.create(model="gpt", input="a")
        check(False, "openai: an unknown model raises")
    except openai.NotFoundError as e:
        check(e.code == "model_not_found" and e.param == "model", f"openai: {e}")
    try:
        client.embeddings.create(model="mean", input="whale " * 300)
        check(False, "openai: a text that is too long raises")
    except openai.BadRequestError as e:
        check(e.code == "context_length_exceeded", f"openai: {e}")
if "cohere" in present:
    import cohere

    v2, v1 = cohere.ClientV2(api_key="none", base_url=url), cohere.Client(api_key="none", base_url=url)
    same(v2.embed(model="mean", texts=TEXTS, input_type="search_document", embedding_types=["float"]).embeddings.float_, "cohere, second")
    same(v1.embed(model="mean", texts=TEXTS).embeddings, "cohere, first")
    best = [v.rerank(model="ranker", query="the whale", documents=TEXTS + ["a rose"], top_n=2).results for v in (v1, v2)]
    check([(r.index, r.relevance_score) for r in best[0]] == [(r.index, r.relevance_score) for r in best[1]], "cohere: both reranks agree")
    close([r.relevance_score for r in best[1] if r.index == 1], [0.741881728], "cohere: the reference's score", 1e-5)
if "ollama" in present:
    import ollama

    client = ollama.Client(host=url)
    same(client.embed(model="mean", input=TEXTS).embeddings, "ollama")
    close(client.embeddings(model="mean", prompt=TEXTS[0]).embedding, cli_vectors(MODEL, TEXTS[:1])[0], "ollama, the older call", 1e-7)
if "langchain_openai" in present:
    from langchain_openai import OpenAIEmbeddings

    e = OpenAIEmbeddings(base_url=f"{url}/v1", api_key="none", model="mean", check_embedding_ctx_length=False)
    same(e.embed_documents(TEXTS), "langchain")
if "llama_index.embeddings.openai" in present:
    from llama_index.embeddings.openai import OpenAIEmbedding

    e = OpenAIEmbedding(api_base=f"{url}/v1", api_key="none", model_name="mean")
    same(e.get_text_embedding_batch(TEXTS), "llama-index")
s.stop()
end()
