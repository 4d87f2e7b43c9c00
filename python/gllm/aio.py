"""The client for asyncio: jobs whose end the event loop sees on the client's descriptor. No thread waits, however many calls are under way."""
from __future__ import annotations

import asyncio
import ctypes
from typing import TYPE_CHECKING, Any, AsyncIterator, Dict, List, NamedTuple, Optional, Sequence, Union

from . import _c, jobs, requests
from .client import Client
from .errors import GllmError, check
from .results import Chunk, Classes, Completion, Embeddings, Rankings

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .requests import ClassifyOptions, EmbedOptions, GenerateOptions, Message, ModelOptions, RerankOptions

_lib = _c.lib


class _Waiting(NamedTuple):
    job: Any
    kind: jobs.Kind
    future: "asyncio.Future[Any]"


class AsyncClient:
    """The calls of Client as coroutines, on one event loop. A task that is cancelled cancels its job within a step.

    >>> async with await AsyncClient.open("sentence-transformers/all-MiniLM-L6-v2") as client:
    ...     await asyncio.gather(*(client.embed(text) for text in texts))
    """

    def __init__(self, client: Client) -> None:
        """Over an open client, which stays its owner's: closing this one waits for its own jobs alone."""
        self.client = client
        self._owned = False
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._fd = -1
        self._jobs: Dict[int, _Waiting] = {}

    @classmethod
    async def open(cls, model: str, **options: Unpack[ModelOptions]) -> "AsyncClient":
        """Loads a model without holding up the loop."""
        loop = asyncio.get_running_loop()
        self = cls(await loop.run_in_executor(None, lambda: Client(model, **options)))
        self._owned = True
        return self

    async def close(self) -> None:
        for waiting in self._jobs.values():
            _lib.gllm_job_cancel(waiting.job)
        while self._jobs:
            await asyncio.wait([waiting.future for waiting in self._jobs.values()])
            await asyncio.sleep(0)
        if self._loop:
            self._loop.remove_reader(self._fd)
            self._loop = None
        if self._owned:
            await asyncio.get_running_loop().run_in_executor(None, self.client.close)

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.close()

    def _attach(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            fd, error = ctypes.c_int(), _c.Error()
            check(_lib.gllm_client_fd(self.client._open(), fd, error), error)
            self._loop, self._fd = loop, fd.value
            loop.add_reader(self._fd, self._drain)
        elif self._loop is not loop:
            raise RuntimeError("this AsyncClient belongs to another event loop")
        return loop

    def _drain(self) -> None:
        """Jobs have ended: gives each its answer."""
        while True:
            job = _lib.gllm_client_next_done(self.client._open())
            if not job:
                return
            number = _lib.gllm_job_user(job)
            jobs.chunk_to.pop(number, None)
            waiting = self._jobs.pop(number)
            try:
                result = jobs.take(job, waiting.kind)
                if not waiting.future.done():
                    waiting.future.set_result(result)
            except GllmError as error:
                if not waiting.future.done():
                    waiting.future.set_exception(error)
            finally:
                _lib.gllm_job_free(job)

    def _submit(self, kind: jobs.Kind, request: Any, timeout: Optional[float], number: int) -> "asyncio.Future[Any]":
        loop = self._attach()
        job = jobs.submit(self.client._open(), kind, request, number, True, timeout)
        future = loop.create_future()
        self._jobs[number] = _Waiting(job, kind, future)
        return future

    async def _run(self, kind: jobs.Kind, request: Any, timeout: Optional[float]) -> Any:
        number = next(jobs.numbers)
        future = self._submit(kind, request, timeout, number)
        try:
            return await future
        except asyncio.CancelledError:
            self._cancel(number)
            raise

    def _cancel(self, number: int) -> None:
        waiting = self._jobs.get(number)
        if waiting:
            _lib.gllm_job_cancel(waiting.job)

    async def embed(self, texts: Union[str, Sequence[str]], *, timeout: Optional[float] = None, **options: Unpack[EmbedOptions]) -> Embeddings:
        keep: List[Any] = []
        return await self._run(jobs.EMBED, requests.embed([texts] if isinstance(texts, str) else texts, options, keep), timeout)

    async def rerank(self, query: str, documents: Sequence[str], *, timeout: Optional[float] = None, **options: Unpack[RerankOptions]) -> Rankings:
        keep: List[Any] = []
        return await self._run(jobs.RERANK, requests.rerank(query, documents, options, keep), timeout)

    async def classify(self, texts: Union[str, Sequence[str]], *, timeout: Optional[float] = None, **options: Unpack[ClassifyOptions]) -> Classes:
        keep: List[Any] = []
        return await self._run(jobs.CLASSIFY, requests.classify([texts] if isinstance(texts, str) else texts, options, keep), timeout)

    async def generate(self, prompt: Union[str, Sequence[Message]], *, timeout: Optional[float] = None, **options: Unpack[GenerateOptions]) -> Completion:
        keep: List[Any] = []
        return await self._run(jobs.GENERATE, requests.generate(prompt, options, keep), timeout)

    async def stream(self, prompt: Union[str, Sequence[Message]], *, timeout: Optional[float] = None,
                     **options: Unpack[GenerateOptions]) -> AsyncIterator[Union[Chunk, Completion]]:
        """The pieces of the answer, and at the end the whole one. Leaving it early cancels the answer."""
        keep: List[Any] = []
        request, number, loop = requests.generate(prompt, options, keep), next(jobs.numbers), asyncio.get_running_loop()
        pieces: "asyncio.Queue[Optional[Chunk]]" = asyncio.Queue()

        def add(chunk: Chunk) -> bool:
            if loop.is_closed():
                return False
            loop.call_soon_threadsafe(pieces.put_nowait, chunk)
            return True

        jobs.chunk_to[number] = add
        request.on_chunk, request.user = jobs.on_chunk, number
        try:
            future = self._submit(jobs.GENERATE, request, timeout, number)
            future.add_done_callback(lambda _: pieces.put_nowait(None))
            while True:
                piece = await pieces.get()
                if piece is None:
                    break
                yield piece
            yield await future
        finally:
            jobs.chunk_to.pop(number, None)
            self._cancel(number)
