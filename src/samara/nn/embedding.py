"""Tables of vectors looked up by integer."""

from __future__ import annotations

from typing import Any

import samara
from samara.errors import ArgumentError, ShapeError
from samara.lookup import choose
from samara.nn import functional as F
from samara.nn import init as _init
from samara.nn.linear import check_size
from samara.nn.module import Module
from samara.nn.parameter import Parameter
from samara.ops.bags import refuse_sparse
from samara.tensor import Tensor

__all__ = ["Embedding", "EmbeddingBag"]


class Embedding(Module):
    """y = weight[ids], with weight `[num_embeddings, embedding_dim]` from N(0, 1).

    `ids: [*] int` -> `[*, embedding_dim]`. The row `padding_idx` starts at zero and gets no
    gradient. With `max_norm` rows are scaled down to that norm, in the table, before they are
    looked up; `scale_grad_by_freq` divides a row's gradient by its number of occurrences. Raises
    IndexOutOfRangeError for an id outside of the table, NotImplementedError for `sparse`.

    >>> import samara
    >>> Embedding(10, 3)(samara.tensor([[1, 2], [3, 4]])).shape
    (2, 2, 3)
    """

    weight: Parameter

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        refuse_sparse(type(self).__name__, sparse)
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.sparse = sparse
        self.num_embeddings = check_size("Embedding", "num_embeddings", num_embeddings)
        self.embedding_dim = check_size("Embedding", "embedding_dim", embedding_dim)
        self.padding_idx = self._check_padding(padding_idx)
        shape = (self.num_embeddings, self.embedding_dim)
        if _weight is None:
            self.weight = Parameter(
                samara.empty(shape, dtype=dtype, device=device), requires_grad=not _freeze
            )
            self.reset_parameters()
        else:
            if tuple(_weight.shape) != shape:
                raise ShapeError(
                    f"Embedding: _weight has shape {tuple(_weight.shape)}. Expected {shape}. "
                    "Fix: use Embedding.from_pretrained(weight)."
                )
            self.weight = Parameter(_weight, requires_grad=not _freeze)

    def _check_padding(self, padding_idx: int | None) -> int | None:
        if padding_idx is None:
            return None
        if not -self.num_embeddings <= padding_idx < self.num_embeddings:
            raise ArgumentError(
                f"Embedding: padding_idx is {padding_idx}. Expected a row of the table, "
                f"{-self.num_embeddings} to {self.num_embeddings - 1}. Fix: choose one of these."
            )
        return padding_idx % self.num_embeddings

    def reset_parameters(self) -> None:
        """Draw the table anew; the padding row becomes zero."""

        def fill(tensor: Tensor, key: Any) -> None:
            _init.normal_(tensor, key=key)
            if self.padding_idx is not None:
                tensor[self.padding_idx] = 0.0

        self._initialize("weight", fill)

    def forward(self, input: Tensor) -> Tensor:
        """`[*]` -> `[*, embedding_dim]`."""
        return F.embedding(
            input,
            self.weight,
            self.padding_idx,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
        )

    def extra_repr(self) -> str:
        """The sizes."""
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Embedding:
        """An embedding over a given table `[num_embeddings, embedding_dim]`.

        >>> import samara
        >>> Embedding.from_pretrained(samara.eye(3))(samara.tensor([2])).tolist()
        [[0.0, 0.0, 1.0]]
        """
        if embeddings.ndim != 2:
            raise ShapeError(
                f"Embedding.from_pretrained: received shape {tuple(embeddings.shape)}. Expected "
                "[num_embeddings, embedding_dim]. Fix: reshape the table to two dimensions."
            )
        rows, columns = embeddings.shape
        return cls(
            rows,
            columns,
            padding_idx,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            sparse,
            _weight=embeddings,
            _freeze=freeze,
        )


class EmbeddingBag(Module):
    """Sums, means or maxima of rows of a table over bags of ids.

    `ids: [B, N]`, or `[N]` with the start of each bag in `offsets: [B]` -> `[B, embedding_dim]`; an
    empty bag gives 0. Ids `padding_idx` count for nothing. Raises ArgumentError for an unknown
    mode, NotImplementedError for `sparse`.

    >>> import samara
    >>> EmbeddingBag(10, 3)(samara.tensor([1, 2, 4]), samara.tensor([0, 2])).shape
    (2, 3)
    """

    weight: Parameter

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        refuse_sparse("EmbeddingBag", sparse)
        choose("EmbeddingBag: mode", mode, dict.fromkeys(("sum", "mean", "max")))
        self.num_embeddings = check_size("EmbeddingBag", "num_embeddings", num_embeddings)
        self.embedding_dim = check_size("EmbeddingBag", "embedding_dim", embedding_dim)
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.mode = mode
        self.sparse = sparse
        self.include_last_offset = include_last_offset
        self.padding_idx = None if padding_idx is None else padding_idx % self.num_embeddings
        shape = (self.num_embeddings, self.embedding_dim)
        if _weight is None:
            self.weight = Parameter(samara.empty(shape, dtype=dtype, device=device))
            self.reset_parameters()
        else:
            self.weight = Parameter(_weight)

    def reset_parameters(self) -> None:
        """Draw the table anew; the padding row becomes zero."""

        def fill(tensor: Tensor, key: Any) -> None:
            _init.normal_(tensor, key=key)
            if self.padding_idx is not None:
                tensor[self.padding_idx] = 0.0

        self._initialize("weight", fill)

    def forward(
        self,
        input: Tensor,
        offsets: Tensor | None = None,
        per_sample_weights: Tensor | None = None,
    ) -> Tensor:
        """`[B, N]`, or `[N]` and `[B]` -> `[B, embedding_dim]`."""
        return F.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self) -> str:
        """The sizes and the mode."""
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}, mode={self.mode!r}"
