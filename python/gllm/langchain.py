"""LangChain's embeddings on a gllm client: wants the package langchain-core."""
from __future__ import annotations

from typing import TYPE_CHECKING, List, Optional, Union

from langchain_core.embeddings import Embeddings

from .aio import AsyncClient
from .client import Client

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .requests import ModelOptions


class GllmEmbeddings(Embeddings):
    """Texts as documents and queries, each with the model's own prompt for it if it has one.

    `model` is what Client takes, with its options, or an open Client, of whose models `name` chooses one."""

    def __init__(self, model: Union[str, Client], *, dimensions: Optional[int] = None, **options: Unpack[ModelOptions]) -> None:
        self.client = model if isinstance(model, Client) else Client(model, **options)
        self.name = options.get("name")
        self.dimensions = dimensions
        self._async = AsyncClient(self.client)

    def embed_documents(self, texts: List[str]) -> List[List[float]]:
        if not texts:
            return []
        return self.client.embed(texts, input_type="document", dimensions=self.dimensions, model=self.name).vectors.tolist()

    def embed_query(self, text: str) -> List[float]:
        return self.client.embed(text, input_type="query", dimensions=self.dimensions, model=self.name).vectors[0].tolist()

    async def aembed_documents(self, texts: List[str]) -> List[List[float]]:
        if not texts:
            return []
        return (await self._async.embed(texts, input_type="document", dimensions=self.dimensions, model=self.name)).vectors.tolist()

    async def aembed_query(self, text: str) -> List[float]:
        return (await self._async.embed(text, input_type="query", dimensions=self.dimensions, model=self.name)).vectors[0].tolist()
