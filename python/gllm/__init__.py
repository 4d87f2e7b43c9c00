"""gllm: text embeddings, reranking, classification and text generation in this process, over the C library of that name."""
from . import _c
from .aio import AsyncClient
from .client import Client, Stream
from .errors import (BusyError, CanceledError, ClosedError, DeviceError, DownloadError, FileError, FormatError, GllmError, InvalidError, NotFoundError, OutOfMemoryError,
                     TimedOutError, TooLongError, UnsupportedError)
from .results import Chunk, Classes, ClientInfo, Completion, Embeddings, ModelStatus, Ranking, Rankings, Tokens, ToolCall
from .sentence_transformers import SentenceTransformer

__version__ = _c.lib.gllm_version_string().decode()
__all__ = ["AsyncClient", "BusyError", "CanceledError", "Chunk", "Classes", "Client", "ClientInfo", "ClosedError", "Completion", "DeviceError", "DownloadError", "Embeddings",
           "FileError", "FormatError", "GllmError", "InvalidError", "ModelStatus", "NotFoundError", "OutOfMemoryError", "Ranking", "Rankings",
           "SentenceTransformer", "Stream", "TimedOutError", "TooLongError", "ToolCall", "Tokens", "UnsupportedError"]
