"""What programs written for the library sentence-transformers call, on a gllm client: encode and its kin, with their arguments."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Union

import numpy as np

from .client import Client

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .requests import ModelOptions


class SentenceTransformer:
    """Loads a model and gives the same vectors as the class of that name.

    `device` is accepted and not used: the options of gllm.Client say where a model runs. Prompts given here come before the model's own."""

    def __init__(self, model_name_or_path: str, device: Optional[str] = None, *, prompts: Optional[Dict[str, str]] = None,
                 default_prompt_name: Optional[str] = None, truncate_dim: Optional[int] = None, **options: Unpack[ModelOptions]) -> None:
        self.client = Client(model_name_or_path, **options)
        self.prompts = dict(prompts or {})
        self.default_prompt_name = default_prompt_name
        self.truncate_dim = truncate_dim

    def encode(self, sentences: Union[str, Sequence[str]], prompt_name: Optional[str] = None, prompt: Optional[str] = None, batch_size: int = 32,
               show_progress_bar: Optional[bool] = None, output_value: str = "sentence_embedding", precision: str = "float32", convert_to_numpy: bool = True,
               convert_to_tensor: bool = False, device: Optional[str] = None, normalize_embeddings: bool = False, truncate_dim: Optional[int] = None) -> Any:
        """[dim] for one text, [count, dim] for several: numpy, or torch with convert_to_tensor; a list of vectors with neither.

        batch_size, show_progress_bar and device are accepted and not used: texts are packed by their tokens, and a vector does not depend on its batch."""
        return self._encode(sentences, {}, prompt_name or self.default_prompt_name, prompt, output_value, precision, convert_to_numpy, convert_to_tensor,
                            normalize_embeddings, truncate_dim)

    def encode_query(self, sentences: Union[str, Sequence[str]], **arguments: Any) -> Any:
        return self._encode_as("query", sentences, arguments)

    def encode_document(self, sentences: Union[str, Sequence[str]], **arguments: Any) -> Any:
        return self._encode_as("document", sentences, arguments)

    def _encode_as(self, input_type: str, sentences: Union[str, Sequence[str]], arguments: Dict[str, Any]) -> Any:
        if arguments.get("prompt") or arguments.get("prompt_name") or input_type in self.prompts:
            arguments.setdefault("prompt_name", None if arguments.get("prompt") else input_type)
            return self.encode(sentences, **arguments)
        accepted = ("batch_size", "show_progress_bar", "device", "prompt", "prompt_name")
        return self._encode(sentences, {"input_type": input_type}, None, None, **{name: value for name, value in arguments.items() if name not in accepted})

    def _encode(self, sentences: Union[str, Sequence[str]], options: Dict[str, Any], prompt_name: Optional[str], prompt: Optional[str],
                output_value: str = "sentence_embedding", precision: str = "float32", convert_to_numpy: bool = True, convert_to_tensor: bool = False,
                normalize_embeddings: bool = False, truncate_dim: Optional[int] = None) -> Any:
        if output_value != "sentence_embedding" or precision != "float32":
            raise ValueError(f"output_value {output_value!r} with precision {precision!r}; expected 'sentence_embedding' with 'float32'")
        if prompt is None and prompt_name in self.prompts:
            prompt, prompt_name = self.prompts[prompt_name], None
        one = isinstance(sentences, str)
        texts: List[str] = [sentences] if isinstance(sentences, str) else list(sentences)
        vectors: Any = np.empty((0, self.get_sentence_embedding_dimension()), dtype=np.float32)
        if texts:
            options.update(prompt_name=prompt_name, prompt=prompt, normalize="on" if normalize_embeddings else "model", dimensions=truncate_dim or self.truncate_dim)
            vectors = self.client.embed(texts, **options).vectors
        if convert_to_tensor:
            import torch

            vectors = torch.from_numpy(vectors)
        if one:
            return vectors[0]
        return vectors if convert_to_numpy or convert_to_tensor else list(vectors)

    def similarity(self, a: Any, b: Any) -> np.ndarray:
        """The cosine of each row of a with each of b: [len(a), len(b)]."""
        a, b = (np.atleast_2d(np.asarray(rows, dtype=np.float32)) for rows in (a, b))
        lengths = np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1)
        return (a @ b.T) / np.where(lengths == 0, 1, lengths)

    def get_sentence_embedding_dimension(self) -> int:
        return self.truncate_dim or self.client.describe().dim

    @property
    def max_seq_length(self) -> int:
        return self.client.describe().max_tokens

    def close(self) -> None:
        self.client.close()
