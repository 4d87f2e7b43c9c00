"""The cohere package against gllm: embeddings for documents and queries, and reranking.

    gllm serve all-MiniLM-L6-v2 SmolLM2-135M-Instruct-GGUF
    pip install cohere && python3 examples/cohere_client.py"""
import os

import cohere

client = cohere.ClientV2(base_url=os.environ.get("GLLM_URL", "http://127.0.0.1:8080"), api_key=os.environ.get("GLLM_API_KEY", "none"))
documents = ["Ice floats because it is lighter than water.", "Goethe wrote Faust.", "Bach was an organist in Leipzig."]

vectors = client.embed(model="all-MiniLM-L6-v2", texts=documents, input_type="search_document", embedding_types=["float"]).embeddings.float_
query = client.embed(model="all-MiniLM-L6-v2", texts=["Who is the author of Faust?"], input_type="search_query", embedding_types=["float"]).embeddings.float_[0]
scores = [sum(a * b for a, b in zip(vector, query)) for vector in vectors]
for i in sorted(range(len(documents)), key=lambda i: -scores[i]):
    print(f"{scores[i]:.3f}  {documents[i]}")

# No reranker is served here, so that a chat model judges; with one (gllm serve qwen3-reranker-0.6b) leave as_judge out.
ranked = client.rerank(model="SmolLM2-135M-Instruct-GGUF", query="Who is the author of Faust?", documents=documents, top_n=2,
                       request_options={"additional_body_parameters": {"as_judge": True}})
for result in ranked.results:
    print(f"{result.relevance_score:.3f}  {documents[result.index]}")
