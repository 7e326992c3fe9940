"""Normalisation by the statistics of a batch or of each instance."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import samara
from samara.autograd import no_grad
from samara.errors import ArgumentError, ShapeError
from samara.nn import _pending
from samara.nn import init as _init
from samara.nn.fusion import Fused, activation_of
from samara.nn.linear import check_size
from samara.nn.module import Module
from samara.nn.parameter import Parameter, UninitializedParameter
from samara.ops.channel_norm import (
    NO_ACTIVATION,
    Activation,
    batch_norm_with,
    instance_norm_with,
)
from samara.tensor import Tensor

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "LazyBatchNorm3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
]

_SPATIAL = {2: "", 3: ", L", 4: ", H, W", 5: ", D, H, W"}


class _Norm(Module):
    """What batch and instance norm share: parameters, running statistics, checks."""

    # The operation, and the numbers of axes it takes, those without a batch axis last.
    _operation: str
    _ranks: tuple[int, ...]

    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None
    _warned: bool = False

    def __init__(
        self,
        num_features: int | None = None,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if momentum is not None and not 0 <= momentum <= 1:
            raise ArgumentError(
                f"{name}: momentum is {momentum}. Expected a number from 0 to 1, or None for a "
                "plain average over all batches. Fix: momentum=0.1."
            )
        if not eps > 0:
            raise ArgumentError(f"{name}: eps is {eps}. Expected a number above 0. Fix: eps=1e-5.")
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self._options = {"device": device, "dtype": dtype}
        self._has_bias = bool(affine and bias)
        self.num_features: int | None = None
        if num_features is not None:
            self._make_state(check_size(name, "num_features", num_features))
            return
        for own, wanted in (("weight", affine), ("bias", self._has_bias)):
            self.register_parameter(own, UninitializedParameter() if wanted else None)
        for own in ("running_mean", "running_var", "num_batches_tracked"):
            self.register_buffer(own, None)

    def _make_state(self, num_features: int) -> None:
        self.num_features = num_features
        for own, wanted in (("weight", self.affine), ("bias", self._has_bias)):
            value = samara.empty(num_features, **self._options) if wanted else None
            self.register_parameter(own, None if value is None else Parameter(value))
        tracks, device = self.track_running_stats, self._options["device"]
        zeros = samara.zeros(num_features, **self._options) if tracks else None
        ones = samara.ones(num_features, **self._options) if tracks else None
        self.register_buffer("running_mean", zeros)
        self.register_buffer("running_var", ones)
        count = samara.zeros((), dtype=samara.int64, device=device) if tracks else None
        self.register_buffer("num_batches_tracked", count)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Mean to 0, variance to 1, the count of batches to 0."""
        if self.running_mean is None or self.running_var is None:
            return
        with no_grad():
            self.running_mean.copy_(samara.zeros_like(self.running_mean))
            self.running_var.copy_(samara.ones_like(self.running_var))
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.copy_(samara.zeros_like(self.num_batches_tracked))

    def reset_parameters(self) -> None:
        """Weight to 1, bias to 0, and the running statistics to their start."""
        self.reset_running_stats()
        self._initialize("weight", lambda tensor, key: _init.ones_(tensor, key=key))
        self._initialize("bias", lambda tensor, key: _init.zeros_(tensor, key=key))

    # --- the input's size -------------------------------------------------------------------------

    def _infer_sizes(self, *args: Any, **kwargs: Any) -> None:
        if self.num_features is None:
            x = args[0] if args else kwargs["input"]
            self._check_rank(x)
            self._adopt_shape("weight", (x.shape[self._channel_axis(x)],))

    def _adopt_shape(self, name: str, shape: tuple[int, ...]) -> None:
        if name != "weight" or len(shape) != 1:
            return
        placeholders = dict(self.__dict__.get("_pending") or {})
        self._make_state(shape[0])
        for own, placeholder in placeholders.items():
            parameter = self.__dict__["_pending"][own]
            # What was said of the placeholder holds for the parameter.
            if placeholder._initializer is not None:
                parameter._initializer = placeholder._initializer
            parameter.requires_grad_(placeholder.requires_grad)

    def _channel_axis(self, x: Tensor) -> int:
        return 1

    def _wanted(self) -> str:
        channels = "C" if self.num_features is None else self.num_features
        return " or ".join(f"[N, {channels}{_SPATIAL[rank]}]" for rank in self._ranks)

    def _check_rank(self, x: Tensor) -> None:
        if x.ndim not in self._ranks:
            raise ShapeError(
                f"{self._operation}: the input has shape {tuple(x.shape)}, {x.ndim} axes. Expected "
                f"{self._wanted()}. Fix: reshape it, or take {self._sibling(x.ndim)}."
            )

    def _sibling(self, ndim: int) -> str:
        kind = type(self).__name__[:-2]
        fitting = {2: "1d", 3: "1d", 4: "2d", 5: "3d"}.get(ndim)
        return f"{kind}{fitting}" if fitting else "a module for other inputs"

    def _check_channels(self, x: Tensor) -> None:
        axis = self._channel_axis(x)
        given, wanted = x.shape[axis], self.num_features
        if given == wanted:
            return
        name = type(self).__name__
        parameters = [
            f"{own} has shape {tuple(value.shape)}"
            for own in ("weight", "running_mean")
            if (value := getattr(self, own)) is not None
        ]
        fix = f"{name}({given}), or a layer before it that gives {wanted} channels"
        if x.ndim > 2 and x.shape[-1] == wanted:
            order = (0, x.ndim - 1, *range(1, x.ndim - 1))
            fix = f"x.permute{order}, as the channels come last here"
        raise ShapeError(
            f"{self._operation}: the input has shape {tuple(x.shape)}, so {given} channels (axis "
            f"{axis}), and {parameters[0] if parameters else f'num_features is {wanted}'}. "
            f"Expected {wanted} channels, {self._wanted()}. Fix: {fix}."
        )

    # --- the statistics' bookkeeping --------------------------------------------------------------

    def _warn(self) -> None:
        """Say once that a batch left the running statistics alone."""
        if self._warned:
            return
        self.__dict__["_warned"] = True
        root = _pending.find_root(self, Module.__call__.__code__)
        path = next((name for name, module in root.named_modules() if module is self), "")
        place = f"model.{path}" if path else "model"
        warnings.warn(
            f"{place} ({type(self).__name__}): the statistics of a batch are not finite or too "
            "large for the running ones, which keep their values. Expected finite inputs. Fix: "
            "look for NaN and infinities in the data, or lower the learning rate.",
            RuntimeWarning,
            stacklevel=2,
        )

    def extra_repr(self) -> str:
        """The size and options."""
        has_bias = self._has_bias and (self.num_features is None or self._holds("bias"))
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={has_bias}, track_running_stats={self.track_running_stats}"
        )

    def fused_with(self, following: Sequence[Any]) -> Fused | None:
        """With an activation that follows, one pass over memory: see `samara.nn.fusion`."""
        read = activation_of(following)
        if read is None:
            return None
        return Fused(lambda x: self._normalize(x, read()), 1)

    def forward(self, input: Tensor) -> Tensor:
        """`[N, C, *S]`, for instance norm also without N -> the same shape."""
        return self._normalize(input, NO_ACTIVATION)

    def _normalize(self, x: Tensor, activation: Activation) -> Tensor:
        """The norm and an activation in one; batch and instance norm each write theirs."""
        raise NotImplementedError


class _BatchNorm(_Norm):
    _operation = "batch_norm"

    def scale_and_shift(self) -> tuple[Tensor, Tensor] | None:
        """In evaluation y = x * scale + shift, `[C]` each; None where the batch decides.

        For a layer before this one that takes both into its own weights; without gradients.
        """
        mean, var = self.running_mean, self.running_var
        if self.training or mean is None or var is None:
            return None
        with no_grad():
            scale = (var + self.eps) ** -0.5
            if self.weight is not None:
                scale = scale * self.weight.detach()
            shift = -mean * scale
            if self.bias is not None:
                shift = shift + self.bias.detach()
        return scale, shift

    def _normalize(
        self, x: Tensor, activation: Activation, residual: Tensor | None = None
    ) -> Tensor:
        self._check_rank(x)
        if x.shape[1] != self.num_features:
            if self.num_features is None:
                self._infer_sizes(x)
            self._check_channels(x)
        mean, var = self.running_mean, self.running_var
        if not self.training:
            own = mean is None and var is None
            return batch_norm_with(
                x, mean, var, self.weight, self.bias, own, 0.0, self.eps, activation, residual
            )
        if not self.track_running_stats or mean is None or var is None:
            return batch_norm_with(
                x, None, None, self.weight, self.bias, True, 0.0, self.eps, activation, residual
            )
        momentum, tracked = self.momentum, self.num_batches_tracked
        if momentum is None:
            momentum = 1.0 / (tracked.item() + 1.0) if tracked is not None else 0.0
        version = var._version
        y = batch_norm_with(
            x, mean, var, self.weight, self.bias, True, momentum, self.eps, activation, residual
        )
        # Only now: an error above leaves everything as it was.
        if var._version != version or momentum == 0:
            if tracked is not None:
                tracked.add_(1)
        elif x.numel():
            self._warn()
        return y


class _InstanceNorm(_Norm):
    _operation = "instance_norm"

    def __init__(
        self,
        num_features: int | None = None,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )

    def _channel_axis(self, x: Tensor) -> int:
        return 0 if x.ndim == self._ranks[-1] else 1

    def _wanted(self) -> str:
        batched = super()._wanted().split(" or ")[0]
        return f"{batched} or {batched.replace('N, ', '')}"

    def _normalize(self, x: Tensor, activation: Activation) -> Tensor:
        self._check_rank(x)
        axis = self._channel_axis(x)
        if self.num_features is None:
            self._infer_sizes(x)
        if x.shape[axis] != self.num_features:
            if self.affine or self.running_mean is not None:
                self._check_channels(x)
            warnings.warn(
                f"instance_norm: the input has shape {tuple(x.shape)}, so {x.shape[axis]} channels "
                f"(axis {axis}), and num_features is {self.num_features}, which nothing here uses.",
                stacklevel=2,
            )
        if axis == 0:
            y: Tensor = self._batched(x[None], activation)[0]
            return y
        return self._batched(x, activation)

    def _batched(self, x: Tensor, activation: Activation) -> Tensor:
        mean, var = self.running_mean, self.running_var
        own = self.training or not self.track_running_stats
        momentum = 0.0 if self.momentum is None else self.momentum
        version = None if var is None else var._version
        y = instance_norm_with(
            x, mean, var, self.weight, self.bias, own, momentum, self.eps, activation
        )
        if own and var is not None and var._version == version and momentum and x.numel():
            self._warn()
        return y


class BatchNorm1d(_BatchNorm):
    """y = (x - mean) / sqrt(var + eps) * weight + bias for each channel (Ioffe, Szegedy, 2015).

    `x: [N, C]` or `[N, C, L]` -> the same shape. In training mean and variance are the batch's,
    and the running ones follow with `momentum` (None: their plain average over all batches); in
    evaluation the running ones are used, or the batch's when `track_running_stats=False`. A batch
    that is not finite leaves the running statistics alone, with one warning. Without
    `num_features` the first batch gives it. Raises ShapeError for other inputs, ArgumentError for
    one value per channel in training.

    >>> import samara
    >>> BatchNorm1d(2)(samara.tensor([[0.0, 1.0], [4.0, 1.0]])).detach().round().tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """

    _ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch norm for images: see `BatchNorm1d`.

    `x: [N, C, H, W]` -> the same shape and memory order. Raises ShapeError for other inputs.

    >>> import samara
    >>> BatchNorm2d(3)(samara.ones(2, 3, 4, 4)).shape
    (2, 3, 4, 4)
    """

    _ranks = (4,)


class BatchNorm3d(_BatchNorm):
    """Batch norm for volumes: see `BatchNorm1d`.

    `x: [N, C, D, H, W]` -> the same shape and memory order. Raises ShapeError for other inputs.

    >>> import samara
    >>> BatchNorm3d(3)(samara.ones(2, 3, 4, 4, 4)).shape
    (2, 3, 4, 4, 4)
    """

    _ranks = (5,)


class InstanceNorm1d(_InstanceNorm):
    """y = (x - mean) / sqrt(var + eps) for each channel of each sample (Ulyanov et al., 2016).

    `x: [N, C, L]` or `[C, L]` -> the same shape. `affine=True` adds weight and bias per channel;
    `track_running_stats=True` keeps running statistics, used in evaluation. Raises ShapeError for
    other inputs, ArgumentError for one value per channel and sample.

    >>> import samara
    >>> InstanceNorm1d(1)(samara.tensor([[[0.0, 4.0]]])).round().tolist()
    [[[-1.0, 1.0]]]
    """

    _ranks = (3, 2)


class InstanceNorm2d(_InstanceNorm):
    """Instance norm for images: see `InstanceNorm1d`.

    `x: [N, C, H, W]` or `[C, H, W]` -> the same shape. Raises ShapeError for other inputs.

    >>> import samara
    >>> InstanceNorm2d(3)(samara.ones(2, 3, 4, 4)).shape
    (2, 3, 4, 4)
    """

    _ranks = (4, 3)


class InstanceNorm3d(_InstanceNorm):
    """Instance norm for volumes: see `InstanceNorm1d`.

    `x: [N, C, D, H, W]` or `[C, D, H, W]` -> the same shape. Raises ShapeError for other inputs.

    >>> import samara
    >>> InstanceNorm3d(3)(samara.ones(2, 3, 4, 4, 4)).shape
    (2, 3, 4, 4, 4)
    """

    _ranks = (5, 4)


class _Lazy(_Norm):
    """The constructor without a size."""

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        kind: Any = super()
        kind.__init__(None, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)


class LazyBatchNorm1d(_Lazy, BatchNorm1d):
    """A `BatchNorm1d` that takes its number of channels from the first batch.

    >>> import samara
    >>> LazyBatchNorm1d()(samara.ones(2, 9)).shape
    (2, 9)
    """


class LazyBatchNorm2d(_Lazy, BatchNorm2d):
    """A `BatchNorm2d` that takes its number of channels from the first batch.

    >>> import samara
    >>> LazyBatchNorm2d()(samara.ones(2, 9, 1, 1)).shape
    (2, 9, 1, 1)
    """


class LazyBatchNorm3d(_Lazy, BatchNorm3d):
    """A `BatchNorm3d` that takes its number of channels from the first batch.

    >>> import samara
    >>> LazyBatchNorm3d()(samara.ones(2, 9, 1, 1, 1)).shape
    (2, 9, 1, 1, 1)
    """


class LazyInstanceNorm1d(_Lazy, InstanceNorm1d):
    """An `InstanceNorm1d` that takes its number of channels from the first batch.

    >>> import samara
    >>> LazyInstanceNorm1d()(samara.ones(2, 9, 2)).shape
    (2, 9, 2)
    """


class LazyInstanceNorm2d(_Lazy, InstanceNorm2d):
    """An `InstanceNorm2d` that takes its number of channels from the first batch.

    >>> import samara
    >>> LazyInstanceNorm2d()(samara.ones(2, 9, 2, 2)).shape
    (2, 9, 2, 2)
    """


class LazyInstanceNorm3d(_Lazy, InstanceNorm3d):
    """An `InstanceNorm3d` that takes its number of channels from the first batch.

    >>> import samara
    >>> LazyInstanceNorm3d()(samara.ones(2, 9, 2, 2, 2)).shape
    (2, 9, 2, 2, 2)
    """
