"""LlamaIndex on gllm: an index of passages, and the nearest of them.

    gllm serve all-MiniLM-L6-v2
    pip install llama-index-embeddings-openai && python3 examples/llama_index_embed.py"""
import os

from llama_index.core import VectorStoreIndex
from llama_index.core.schema import TextNode
from llama_index.embeddings.openai import OpenAIEmbedding

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "passages.tsv"), encoding="utf-8") as file:
    nodes = [TextNode(text=line.rstrip("\n").split("\t")[2]) for line in file]

embedding = OpenAIEmbedding(model_name="all-MiniLM-L6-v2", api_base=os.environ.get("GLLM_URL", "http://127.0.0.1:8080") + "/v1",
                            api_key=os.environ.get("GLLM_API_KEY", "none"))
index = VectorStoreIndex(nodes, embed_model=embedding)
for found in index.as_retriever(similarity_top_k=3).retrieve("insects that dance"):
    print(f"{found.score:.3f}  {found.node.get_content()}")
