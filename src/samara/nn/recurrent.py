"""Recurrent layers and cells."""

from __future__ import annotations

import warnings
from typing import Any

import samara
from samara.errors import ArgumentError, ShapeError
from samara.lookup import choose
from samara.nn.linear import check_size, start_uniform
from samara.nn.module import Module
from samara.nn.parameter import Parameter
from samara.nn.utils.rnn import PackedSequence, gather_steps, layout, spread_steps
from samara.ops import recurrent as _kinds
from samara.tensor import Tensor, from_numpy

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNBase", "RNNCell", "RNNCellBase"]

_NONLINEARITIES = {"tanh": _kinds.TANH, "relu": _kinds.RELU}
_MODES = {
    "RNN_TANH": _kinds.TANH,
    "RNN_RELU": _kinds.RELU,
    "LSTM": _kinds.LSTM,
    "GRU": _kinds.GRU,
}


class RNNBase(Module):
    """What RNN, LSTM and GRU share; `mode` is "RNN_TANH", "RNN_RELU", "LSTM" or "GRU".

    >>> import samara
    >>> RNNBase("GRU", 4, 3)(samara.ones(5, 2, 4))[0].shape
    (5, 2, 3)
    """

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        owner = type(self).__name__
        self.mode = mode
        self._cell = choose(f"{owner}: mode", mode, _MODES)
        self.input_size = check_size(owner, "input_size", input_size)
        self.hidden_size = check_size(owner, "hidden_size", hidden_size)
        self.num_layers = check_size(owner, "num_layers", num_layers)
        self.proj_size = check_size(owner, "proj_size", proj_size)
        self.bias = bool(bias)
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self._check_options(owner)
        self._make_parameters({"device": device, "dtype": dtype})
        self.reset_parameters()

    def _check_options(self, owner: str) -> None:
        wrong = None
        if not (self.hidden_size and self.num_layers):
            wrong = f"hidden_size={self.hidden_size} and num_layers={self.num_layers}"
        elif not 0.0 <= self.dropout <= 1.0:
            wrong = f"dropout={self.dropout}"
        elif self.proj_size and (self._cell != _kinds.LSTM or self.proj_size >= self.hidden_size):
            wrong = f"proj_size={self.proj_size}"
        if wrong is not None:
            raise ArgumentError(
                f"{owner}: {wrong} given. Expected one layer and hidden unit or more, 0 <= dropout "
                "<= 1, and a proj_size, of the LSTM alone, below hidden_size. Fix: choose such "
                "sizes."
            )
        if self.dropout and self.num_layers == 1:
            warnings.warn(
                f"{owner}: dropout={self.dropout} acts between layers, and there is one. "
                "Add layers, or leave it out.",
                stacklevel=4,
            )

    def _make_parameters(self, options: dict[str, Any]) -> None:
        rows = _kinds.GATES[self._cell] * self.hidden_size
        state = self.proj_size or self.hidden_size
        directions = 2 if self.bidirectional else 1
        self._names: list[str] = []
        for layer in range(self.num_layers):
            for direction in range(directions):
                width = state * directions if layer else self.input_size
                shapes: list[tuple[str, tuple[int, ...]]] = [
                    ("weight_ih", (rows, width)),
                    ("weight_hh", (rows, state)),
                ]
                if self.bias:
                    shapes += [("bias_ih", (rows,)), ("bias_hh", (rows,))]
                if self.proj_size:
                    shapes.append(("weight_hr", (self.proj_size, self.hidden_size)))
                end = f"_l{layer}" + ("_reverse" if direction else "")
                for name, shape in shapes:
                    setattr(self, name + end, Parameter(samara.empty(shape, **options)))
                    self._names.append(name + end)

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        start_uniform(self, self.hidden_size, self._names)

    def flatten_parameters(self) -> None:
        """Nothing to do: the weights need not lie side by side."""

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of every layer and direction."""
        own = 2 + 2 * self.bias + bool(self.proj_size)
        flat = [getattr(self, name) for name in self._names]
        return [flat[k : k + own] for k in range(0, len(flat), own)]

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """`[T, N, input_size]` (or as the class says) -> all states of the last layer, and hx."""
        packed = isinstance(input, PackedSequence)
        x, lengths, there = input, None, None
        if packed:
            there, counts = layout(input.batch_sizes)
            x = spread_steps(input.data, there)
            lengths = None if there.all() else from_numpy(counts).to(x.device)
        batched = packed or x.ndim == 3
        self._check_input(x, batched)
        batch_first = self.batch_first and batched and not packed
        if not batched:
            x = x.unsqueeze(1)
        batch = x.shape[0 if batch_first else 1]
        order = input.sorted_indices if packed else None
        states = self._states(hx, x, batch, batched, order)
        y, *last = _kinds.run_layers(
            type(self).__name__,
            self._cell,
            x,
            states,
            [getattr(self, name) for name in self._names],
            self.bias,
            self.num_layers,
            self.dropout,
            self.training,
            self.bidirectional,
            batch_first,
            lengths,
        )
        output: Any = y if batched else y.squeeze(1)
        if there is not None:
            output = PackedSequence(gather_steps(y, there), *input[1:])
            if input.unsorted_indices is not None:
                last = [samara.index_select(s, 1, input.unsorted_indices) for s in last]
        if not batched:
            last = [s.squeeze(1) for s in last]
        return output, (tuple(last) if self._cell == _kinds.LSTM else last[0])

    def _check_input(self, x: Any, batched: bool) -> None:
        if isinstance(x, Tensor) and x.ndim in (2, 3) and x.shape[-1] == self.input_size:
            return
        found = f"shape {tuple(x.shape)}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
        order = "[N, T, " if self.batch_first else "[T, N, "
        raise ShapeError(
            f"{type(self).__name__}: received {found}. Expected {order}{self.input_size}], "
            f"[T, {self.input_size}] for one sequence, or a PackedSequence. Fix: check the last "
            "axis, and unsqueeze or reshape the others."
        )

    def _states(
        self, hx: Any, x: Tensor, batch: int, batched: bool, order: Tensor | None
    ) -> list[Tensor]:
        count = self.num_layers * (2 if self.bidirectional else 1)
        sizes = [self.proj_size or self.hidden_size]
        if self._cell == _kinds.LSTM:
            sizes.append(self.hidden_size)
        if hx is None:
            zero = samara.zeros((count, batch, sizes[0]), dtype=x.dtype, device=x.device)
            if len(sizes) == 1 or not self.proj_size:
                return [zero] * len(sizes)
            return [zero, samara.zeros((count, batch, sizes[1]), dtype=x.dtype, device=x.device)]
        given = list(hx) if self._cell == _kinds.LSTM else [hx]
        middle = (batch,) if batched else ()
        shapes = [(count, *middle, size) for size in sizes]
        found = [tuple(s.shape) if isinstance(s, Tensor) else type(s).__name__ for s in given]
        if found != shapes:
            raise ShapeError(
                f"{type(self).__name__}: the initial state has shape "
                f"{', '.join(map(str, found))}. Expected {', '.join(map(str, shapes))}. Fix: leave "
                "hx out for zeros."
            )
        if not batched:
            given = [s.unsqueeze(1) for s in given]
        if order is not None:
            given = [samara.index_select(s, 1, order) for s in given]
        return given

    def extra_repr(self) -> str:
        """The sizes, and what differs from the defaults."""
        text = f"{self.input_size}, {self.hidden_size}"
        defaults = {
            "proj_size": 0,
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0.0,
            "bidirectional": False,
        }
        for name, usual in defaults.items():
            if getattr(self, name) != usual:
                text += f", {name}={getattr(self, name)}"
        return text


class RNN(RNNBase):
    """h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh), or relu, layer on layer.

    x: `[T, N, input_size]` (`[N, T, input_size]` with batch_first, `[T, input_size]` for one
    sequence, or a PackedSequence) -> `[T, N, D H]`, the states of the last layer, and the last
    state of every layer `[num_layers D, N, H]`; D is 2 where bidirectional, H is hidden_size.
    hx: the initial state, zeros by default. weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0
    and so on, those of the backward direction with _reverse, start from U(-1/sqrt(hidden_size),
    1/sqrt(hidden_size)). dropout acts between layers.

    Raises ShapeError for inputs and states that do not fit, ArgumentError for sequences of
    length 0 and for sizes out of range. Source: Elman, Finding Structure in Time, 1990.

    >>> import samara
    >>> y, h = RNN(4, 3)(samara.ones(5, 2, 4))
    >>> y.shape, h.shape
    ((5, 2, 3), (1, 2, 3))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        choose("RNN: nonlinearity", nonlinearity, _NONLINEARITIES)
        self.nonlinearity = nonlinearity
        super().__init__(
            f"RNN_{nonlinearity.upper()}",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            0,
            device,
            dtype,
        )


class LSTM(RNNBase):
    """c_t = f c_(t-1) + i g and h_t = o tanh(c_t), layer on layer.

    i, f, o = sigmoid(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh), and g likewise with tanh.

    x: `[T, N, input_size]` (`[N, T, input_size]` with batch_first, `[T, input_size]` for one
    sequence, or a PackedSequence) -> `[T, N, D H]`, the states of the last layer, and the last
    h and c of every layer `[num_layers D, N, H]`; D is 2 where bidirectional, H is hidden_size,
    or of h proj_size, to which weight_hr_l0 brings it. hx: the initial state (h, c), zeros by
    default. weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0 and so on, of the gates i, f, g,
    o, those of the backward direction with _reverse, start from U(-1/sqrt(hidden_size),
    1/sqrt(hidden_size)). dropout acts between layers.

    Raises ShapeError for inputs and states that do not fit, ArgumentError for sequences of
    length 0 and for sizes out of range. Source: Hochreiter and Schmidhuber, Long Short-Term
    Memory, 1997.

    >>> import samara
    >>> y, (h, c) = LSTM(4, 3)(samara.ones(5, 2, 4))
    >>> y.shape, h.shape, c.shape
    ((5, 2, 3), (1, 2, 3), (1, 2, 3))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "LSTM",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
        )


class GRU(RNNBase):
    """h_t = (1 - z) n + z h_(t-1), layer on layer.

    r, z = sigmoid(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh), and n = tanh(W_in x_t + b_in +
    r (W_hn h_(t-1) + b_hn)).

    x: `[T, N, input_size]` (`[N, T, input_size]` with batch_first, `[T, input_size]` for one
    sequence, or a PackedSequence) -> `[T, N, D H]`, the states of the last layer, and the last
    state of every layer `[num_layers D, N, H]`; D is 2 where bidirectional, H is hidden_size.
    hx: the initial state, zeros by default. weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0
    and so on, of the gates r, z, n, those of the backward direction with _reverse, start from
    U(-1/sqrt(hidden_size), 1/sqrt(hidden_size)). dropout acts between layers.

    Raises ShapeError for inputs and states that do not fit, ArgumentError for sequences of
    length 0 and for sizes out of range. Source: Cho et al., Learning Phrase Representations
    using RNN Encoder-Decoder, 2014.

    >>> import samara
    >>> y, h = GRU(4, 3)(samara.ones(5, 2, 4))
    >>> y.shape, h.shape
    ((5, 2, 3), (1, 2, 3))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "GRU",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            0,
            device,
            dtype,
        )


class RNNCellBase(Module):
    """What the cells share; `num_chunks` is the number of gates.

    >>> RNNCellBase(4, 3, True, 2).weight_ih.shape
    (6, 4)
    """

    _cell = _kinds.TANH

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        owner = type(self).__name__
        self.input_size = check_size(owner, "input_size", input_size)
        self.hidden_size = check_size(owner, "hidden_size", hidden_size)
        self.bias = bool(bias)
        rows = num_chunks * self.hidden_size
        options = {"device": device, "dtype": dtype}
        self.weight_ih = Parameter(samara.empty((rows, self.input_size), **options))
        self.weight_hh = Parameter(samara.empty((rows, self.hidden_size), **options))
        self._names = ["weight_ih", "weight_hh"]
        for name in ("bias_ih", "bias_hh"):
            if bias:
                setattr(self, name, Parameter(samara.empty(rows, **options)))
                self._names.append(name)
            else:
                self.register_parameter(name, None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        start_uniform(self, self.hidden_size, self._names)

    def _run(self, x: Tensor, states: tuple[Tensor, ...] | None, count: int) -> Any:
        batched = isinstance(x, Tensor) and x.ndim == 2
        if not batched:
            self._check(x)
            x = x.unsqueeze(0)
        if states is None:
            zero = samara.zeros((x.shape[0], self.hidden_size), dtype=x.dtype, device=x.device)
            states = (zero,) * count
        elif not batched:
            states = tuple(s.unsqueeze(0) if s.ndim == 1 else s for s in states)
        try:
            new = _kinds.run_cell(
                type(self).__name__,
                self._cell,
                x,
                states,
                self.weight_ih,
                self.weight_hh,
                self.bias_ih,
                self.bias_hh,
            )
        except ShapeError:
            self._check(x)
            raise
        return new if batched else tuple(s.squeeze(0) for s in new)

    def _check(self, x: Any) -> None:
        if isinstance(x, Tensor) and x.ndim in (1, 2) and x.shape[-1] == self.input_size:
            return
        found = f"shape {tuple(x.shape)}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
        raise ShapeError(
            f"{type(self).__name__}: received {found}. Expected [N, {self.input_size}], or "
            f"[{self.input_size}] for one. Fix: check the last axis; whole sequences are for "
            f"nn.{type(self).__name__.removesuffix('Cell')}."
        )

    def extra_repr(self) -> str:
        """The sizes, and what differs from the defaults."""
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class _OneState(RNNCellBase):
    """The cells whose state is h alone."""

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """`[N, input_size]`, h -> h'."""
        state: Tensor = self._run(input, None if hx is None else (hx,), 1)[0]
        return state


class RNNCell(_OneState):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or with relu.

    x: `[N, input_size]`, hx: h `[N, hidden_size]`, zeros by default, or both without N ->
    `[N, hidden_size]`. Raises ShapeError for other sizes, ArgumentError for another nonlinearity.

    >>> import samara
    >>> RNNCell(4, 3)(samara.ones(2, 4)).shape
    (2, 3)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity
        self._cell = choose("RNNCell: nonlinearity", nonlinearity, _NONLINEARITIES)


class LSTMCell(RNNCellBase):
    """c' = f c + i g and h' = o tanh(c'), with the gates of `LSTM`.

    x: `[N, input_size]`, hx: (h, c) each `[N, hidden_size]`, zeros by default, or all without N ->
    (h', c'). Raises ShapeError for other sizes.

    >>> import samara
    >>> h, c = LSTMCell(4, 3)(samara.ones(2, 4))
    >>> h.shape, c.shape
    ((2, 3), (2, 3))
    """

    _cell = _kinds.LSTM

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """`[N, input_size]`, (h, c) -> (h', c')."""
        h, c = self._run(input, None if hx is None else tuple(hx), 2)
        return h, c


class GRUCell(_OneState):
    """h' = (1 - z) n + z h, with the gates of `GRU`.

    x: `[N, input_size]`, hx: h `[N, hidden_size]`, zeros by default, or both without N ->
    `[N, hidden_size]`. Raises ShapeError for other sizes.

    >>> import samara
    >>> GRUCell(4, 3)(samara.ones(2, 4)).shape
    (2, 3)
    """

    _cell = _kinds.GRU

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)
