"""A softmax over many classes that costs less for rare ones."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import samara
from samara.errors import ArgumentError, IndexOutOfRangeError, ShapeError
from samara.nn import functional as F
from samara.nn.containers import ModuleList, Sequential
from samara.nn.linear import Linear, check_size
from samara.nn.module import Module
from samara.tensor import Tensor

__all__ = ["AdaptiveLogSoftmaxWithLoss"]


class AdaptiveSoftmaxOutput(NamedTuple):
    """log p of each target, and minus their mean."""

    output: Tensor
    loss: Tensor


class AdaptiveLogSoftmaxWithLoss(Module):
    """log p(class) = log p(cluster) + log p(class | cluster), the frequent classes one by one.

    Classes are ordered by frequency, the most frequent first; `cutoffs` divide them into a head,
    which also holds one place for each further cluster, and clusters, of which the i-th sees the
    input through in_features / div_value^i numbers. input `[N, in_features]`, target `[N]` int, or
    both without N -> (output `[N]`, the log-probability of each target, loss `[]`, minus its mean).

    Raises ArgumentError for cutoffs that do not rise from 1 to below n_classes, ShapeError for
    other shapes, IndexOutOfRangeError for a class out of range. Source: Grave et al., Efficient
    softmax approximation for GPUs, 2017.

    >>> import samara
    >>> layer = AdaptiveLogSoftmaxWithLoss(8, 20, [4, 10])
    >>> y = layer(samara.ones(3, 8), samara.tensor([0, 5, 19]))
    >>> y.output.shape, layer.log_prob(samara.ones(3, 8)).shape
    ((3,), (3, 20))
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        owner = type(self).__name__
        self.in_features = check_size(owner, "in_features", in_features)
        self.n_classes = check_size(owner, "n_classes", n_classes)
        ends = [check_size(owner, "a cutoff", end) for end in cutoffs]
        rising = [0, *ends, self.n_classes]
        if not ends or any(a >= b for a, b in itertools.pairwise(rising)):
            raise ArgumentError(
                f"{owner}: cutoffs are {list(cutoffs)} for {n_classes} classes. Expected numbers "
                "that rise, from 1 to below n_classes. Fix: sort them, and drop repeated ones."
            )
        self.cutoffs = [*ends, self.n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = self.cutoffs[0]
        self.n_clusters = len(self.cutoffs) - 1
        self.head_size = self.shortlist_size + self.n_clusters
        options = {"device": device, "dtype": dtype}
        self.head = Linear(self.in_features, self.head_size, head_bias, **options)
        self.tail = ModuleList()
        for i, (start, end) in enumerate(itertools.pairwise(self.cutoffs), 1):
            width = int(self.in_features // div_value**i)
            self.tail.append(
                Sequential(
                    Linear(self.in_features, width, False, **options),
                    Linear(width, end - start, False, **options),
                )
            )

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        self.head.reset_parameters()
        for projection in self.tail:
            for layer in projection:
                layer.reset_parameters()

    def forward(self, input_: Tensor, target_: Tensor) -> AdaptiveSoftmaxOutput:
        """`[N, in_features]`, `[N]` -> (`[N]`, `[]`)."""
        self._check(input_, target_)
        single = target_.ndim == 0
        x, target = (input_.unsqueeze(0), target_.unsqueeze(0)) if single else (input_, target_)
        head = F.log_softmax(self.head(x), dim=1)
        # The place in the head: the class itself, or that of its cluster.
        place = target
        for i, start in enumerate(self.cutoffs[:-1]):
            place = samara.where(target >= start, self.shortlist_size + i, place)
        output = head.gather(1, place.unsqueeze(1)).squeeze(1)
        for projection, start, end in zip(self.tail, self.cutoffs, self.cutoffs[1:], strict=False):
            rows = ((target >= start) & (target < end)).nonzero().reshape(-1)
            if rows.numel():
                inside = F.log_softmax(projection(x[rows]), dim=1)
                own = inside.gather(1, (target[rows] - start).unsqueeze(1)).squeeze(1)
                output = output.index_add(0, rows, own)
        if single:
            output = output.squeeze(0)
        return AdaptiveSoftmaxOutput(output, -output.mean())

    def _check(self, x: Tensor, target: Tensor) -> None:
        fits = x.ndim in (1, 2) and x.shape[-1] == self.in_features
        if not fits or tuple(target.shape) != tuple(x.shape[:-1]):
            raise ShapeError(
                f"{type(self).__name__}: the input has shape {tuple(x.shape)}, the target "
                f"{tuple(target.shape)}. Expected [N, {self.in_features}] and [N], or both without "
                "N. Fix: reshape them."
            )
        for bound in (target.min().item(), target.max().item()) if target.numel() else ():
            if not 0 <= bound < self.n_classes:
                raise IndexOutOfRangeError(
                    f"{type(self).__name__}: the target holds {bound}. Expected classes, 0 to "
                    f"{self.n_classes - 1}. Fix: correct the target, or n_classes."
                )

    def log_prob(self, input: Tensor) -> Tensor:
        """The log-probabilities of all classes, `[N, in_features]` -> `[N, n_classes]`."""
        head = F.log_softmax(self.head(input), dim=1)
        parts = [head[:, : self.shortlist_size]]
        for i, projection in enumerate(self.tail):
            cluster = head[:, self.shortlist_size + i].unsqueeze(1)
            parts.append(cluster + F.log_softmax(projection(input), dim=1))
        joined: Tensor = samara.cat(parts, dim=1)
        return joined

    def predict(self, input: Tensor) -> Tensor:
        """The most probable class, `[N, in_features]` -> `[N]` int64."""
        return self.log_prob(input).argmax(1)
