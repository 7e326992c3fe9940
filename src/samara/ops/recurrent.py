"""Recurrent networks: RNN, LSTM and GRU, whole and step by step.

Gates are laid out as in PyTorch: i, f, g, o of the LSTM and r, z, n of the GRU, one under the other
in the rows of the weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import samara._core as _core
from samara.dtypes import FLOAT
from samara.errors import ArgumentError, ShapeError
from samara.ops.activation import relu, sigmoid
from samara.ops.checks import require_dtype
from samara.ops.creation import zeros
from samara.ops.elementary import tanh
from samara.ops.join import concat, stack
from samara.ops.matmul import linear
from samara.ops.random_ops import dropout as drop
from samara.ops.record import ErrorSample, Sample, composite
from samara.ops.selection import where
from samara.tensor import Tensor

Array = np.ndarray[Any, Any]
TANH, RELU, LSTM, GRU = range(4)
GATES = (1, 1, 4, 3)


# --- the step in ordinary operations: what gradients of gradients are made of ---------------------


def _step(
    cell: int, sums: Tensor, hidden_part: Tensor, h: Tensor, c: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """The next state from the gates' sums of the input and of the state."""
    if cell == LSTM:
        assert c is not None
        i, f, g, o = (sums + hidden_part).chunk(4, dim=-1)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        return sigmoid(o) * tanh(c), c
    if cell == GRU:
        of_r, of_z, of_n = sums.chunk(3, dim=-1)
        r, z, n = hidden_part.chunk(3, dim=-1)
        update = sigmoid(of_z + z)
        new = tanh(of_n + sigmoid(of_r + r) * n)
        return new + update * (h - new), None
    total = sums + hidden_part
    return (tanh(total) if cell == TANH else relu(total)), None


def _cell_in_steps(
    x: Tensor,
    h: Tensor,
    c: Tensor | None,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    *,
    cell: int,
) -> tuple[Tensor, ...]:
    state = _step(cell, linear(x, w_ih, b_ih), linear(h, w_hh, b_hh), h, c)
    return tuple(part for part in state if part is not None)


def _layer_in_steps(
    x: Tensor,
    h: Tensor,
    c: Tensor | None,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    lengths: Tensor | None,
    *,
    cell: int,
    reverse: bool,
    projection: Tensor | None = None,
) -> tuple[Tensor, ...]:
    steps = x.shape[0]
    sums = linear(x, w_ih, b_ih)
    outputs: list[Tensor] = [h] * steps
    for t in reversed(range(steps)) if reverse else range(steps):
        state, memory = _step(cell, sums[t], linear(h, w_hh, b_hh), h, c)
        if projection is not None:
            state = linear(state, projection)
        outputs[t] = state
        if lengths is not None:
            running = (lengths > t).unsqueeze(1)
            outputs[t] = where(running, state, 0.0)
            state = where(running, state, h)
            memory = None if c is None or memory is None else where(running, memory, c)
        h, c = state, memory
    y = stack(outputs) if steps else zeros((0, *h.shape), dtype=x.dtype)
    return (y, h) if c is None else (y, h, c)


def _second_order(function: Any) -> Any:
    """The rule that differentiates `function`, written in ordinary operations."""

    def rule(gradients: Any, *rest: Any, **options: Any) -> tuple[Tensor | None, ...]:
        tensors = rest[:-1]
        learnt = [
            k
            for k, x in enumerate(tensors)
            if isinstance(x, Tensor) and x.dtype.is_floating_point and x.requires_grad
        ]
        inputs = list(tensors)
        for k in learnt:
            inputs[k] = tensors[k].view(tensors[k].shape)
        outputs = function(*inputs, **options)
        given = gradients if isinstance(gradients, (tuple, list)) else (gradients,)
        wanted = [inputs[k] for k in learnt]
        pairs = [(y, g) for y, g in zip(outputs, given, strict=True) if y.requires_grad]
        found = _core.backward(
            [y for y, _ in pairs], [g for _, g in pairs], wanted, True, True, False
        )
        result: list[Tensor | None] = [None] * len(tensors)
        for k, gradient in zip(learnt, found, strict=True):
            result[k] = gradient
        return tuple(result)

    return rule


_layer = _core.Operation(
    "recurrent_layer(x, h, c: Tensor?, w_ih, w_hh, b_ih: Tensor?, b_hh: Tensor?, "
    "lengths: Tensor?, cell: int, reverse: bool)",
    "recurrent_layer",
    output_type=tuple,
    rule=_second_order(_layer_in_steps),
)
_cell = _core.Operation(
    "recurrent_cell(x, h, c: Tensor?, w_ih, w_hh, b_ih: Tensor?, b_hh: Tensor?, cell: int)",
    "recurrent_cell",
    output_type=tuple,
    rule=_second_order(_cell_in_steps),
)


# --- whole networks -------------------------------------------------------------------------------


def run_layers(
    place: str,
    cell: int,
    x: Tensor,
    states: Sequence[Tensor],
    params: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
    lengths: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """All layers of a network over [T, N, I]; rows of the batch end after `lengths` steps."""
    directions = 2 if bidirectional else 1
    count = num_layers * directions
    own = _check(
        place, cell, x, states, params, has_biases, num_layers, count, dropout, batch_first
    )
    if batch_first:
        x = x.transpose(0, 1)
    last: list[list[Tensor]] = [[] for _ in states]
    for layer in range(num_layers):
        outputs = []
        for direction in range(directions):
            k = layer * directions + direction
            weights = params[k * own : (k + 1) * own]
            biases = weights[2:4] if has_biases else (None, None)
            h, c = states[0][k], states[1][k] if cell == LSTM else None
            arguments = (x, h, c, weights[0], weights[1], *biases, lengths)
            reverse = direction == 1
            if own % 2:
                result = _layer_in_steps(
                    *arguments, cell=cell, reverse=reverse, projection=weights[-1]
                )
            else:
                result = _layer(*arguments, cell, reverse)
            outputs.append(result[0])
            for collected, state in zip(last, result[1:], strict=True):
                collected.append(state)
        x = concat(outputs, -1) if bidirectional else outputs[0]
        if dropout and train and layer + 1 < num_layers:
            x = drop(x, dropout, True)
    final = [stack(parts) if count > 1 else parts[0].unsqueeze(0) for parts in last]
    return (x.transpose(0, 1) if batch_first else x, *final)


def _check(
    place: str,
    cell: int,
    x: Tensor,
    states: Sequence[Tensor],
    params: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    count: int,
    dropout: float,
    batch_first: bool,
) -> int:
    """How many tensors of `params` make one layer in one direction."""
    require_dtype(place, x, FLOAT)
    if x.ndim != 3:
        raise ShapeError(
            f"{place}: x has shape {tuple(x.shape)}. Expected three axes: steps, batch and "
            "features. Fix: x.unsqueeze(1) makes a batch of one sequence."
        )
    steps = x.shape[1 if batch_first else 0]
    if 0 in (steps, num_layers):
        what = "0 layers" if steps else f"x has shape {tuple(x.shape)}, a sequence of length 0"
        raise ArgumentError(f"{place}: {what}. Expected one or more. Fix: leave it out.")
    if not 0.0 <= dropout <= 1.0:
        raise ArgumentError(
            f"{place}: dropout = {dropout} given. Expected 0 <= dropout <= 1. "
            "Fix: pass the share of values to drop."
        )
    needed = 2 if cell == LSTM else 1
    if len(states) != needed or any(s.ndim != 3 or s.shape[0] != count for s in states):
        raise ShapeError(
            f"{place}: the states have shapes {[tuple(s.shape) for s in states]}. Expected "
            f"{needed} of shape ({count}, N, hidden). Fix: one state per layer and direction."
        )
    plain = 4 if has_biases else 2
    own = plain + (cell == LSTM and len(params) == (plain + 1) * count)
    if len(params) != own * count:
        raise ArgumentError(
            f"{place}: {len(params)} parameters given. Expected {plain} for each of {count} layers "
            "and directions: weight_ih, weight_hh"
            f"{', bias_ih, bias_hh' if has_biases else ''}. Fix: list them layer by layer."
        )
    return own


# --- NumPy ----------------------------------------------------------------------------------------


def _sigmoid(x: Array) -> Array:
    return 0.5 * (1 + np.tanh(0.5 * x))


def _reference_step(cell: int, x: Array, state: list[Array], w: Sequence[Array]) -> list[Array]:
    w_ih, w_hh, *biases = w
    b_ih, b_hh = biases or (np.zeros(len(w_ih)),) * 2
    of_x, of_h = x @ w_ih.T + b_ih, state[0] @ w_hh.T + b_hh
    if cell == LSTM:
        i, f, g, o = np.split(of_x + of_h, 4, axis=-1)
        c = _sigmoid(f) * state[1] + _sigmoid(i) * np.tanh(g)
        return [_sigmoid(o) * np.tanh(c), c]
    if cell == GRU:
        (r, z, n), (hr, hz, hn) = (np.split(part, 3, axis=-1) for part in (of_x, of_h))
        r, z = _sigmoid(r + hr), _sigmoid(z + hz)
        return [(1 - z) * np.tanh(n + r * hn) + z * state[0]]
    return [np.tanh(of_x + of_h) if cell == TANH else np.maximum(of_x + of_h, 0)]


def reference_layers(
    cell: int,
    x: Array,
    states: Sequence[Array],
    params: Sequence[Array],
    has_biases: bool,
    num_layers: int,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Array, ...]:
    """The same in NumPy."""
    x = x.swapaxes(0, 1) if batch_first else x
    own = 4 if has_biases else 2
    last = []
    for layer in range(num_layers):
        outputs = []
        for direction in range(1 + bidirectional):
            k = layer * (1 + bidirectional) + direction
            state = [s[k] for s in states]
            y: list[Array] = [np.empty(0)] * len(x)
            for t in range(len(x))[:: -1 if direction else 1]:
                state = _reference_step(cell, x[t], state, params[k * own : (k + 1) * own])
                y[t] = state[0]
            outputs.append(np.stack(y))
            last.append(state)
        x = np.concatenate(outputs, axis=-1)
    final = [np.stack(parts) for parts in zip(*last, strict=True)]
    return (x.swapaxes(0, 1) if batch_first else x, *final)


# --- the records ----------------------------------------------------------------------------------

_EQUATIONS = {
    "rnn_tanh": (TANH, "h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh)"),
    "rnn_relu": (RELU, "h_t = max(0, W_ih x_t + b_ih + W_hh h_(t-1) + b_hh)"),
    "lstm": (
        LSTM,
        "c_t = f c_(t-1) + i g, h_t = o tanh(c_t); i, f, o = sigmoid(W_ih x_t + b_ih + W_hh "
        "h_(t-1) + b_hh), g with tanh",
    ),
    "gru": (
        GRU,
        "h_t = (1 - z) n + z h_(t-1); r, z = sigmoid(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh), "
        "n = tanh(W_in x_t + b_in + r (W_hn h_(t-1) + b_hn))",
    ),
}
_SOURCES = {
    TANH: "Elman, Finding Structure in Time, 1990",
    RELU: "Le et al., A Simple Way to Initialize Recurrent Networks of ReLUs, 2015",
    LSTM: "Hochreiter and Schmidhuber, Long Short-Term Memory, 1997",
    GRU: "Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, 2014",
}


def _weights(
    rng: np.random.Generator, cell: int, features: int, hidden: int, biases: bool
) -> list[Array]:
    gates = GATES[cell] * hidden
    shapes: list[tuple[int, ...]] = [(gates, features), (gates, hidden)]
    shapes += [(gates,), (gates,)] if biases else []
    return [rng.normal(size=shape) / math.sqrt(max(hidden, 1)) for shape in shapes]


def _network(
    rng: np.random.Generator,
    cell: int,
    sizes: tuple[int, int, int, int],
    layers: int = 1,
    biases: bool = True,
    both: bool = False,
    batch_first: bool = False,
) -> Sample:
    steps, batch, features, hidden = sizes
    directions = 2 if both else 1
    params: list[Array] = []
    for layer in range(layers):
        for _ in range(directions):
            params += _weights(
                rng, cell, hidden * directions if layer else features, hidden, biases
            )
    x = rng.normal(size=(batch, steps, features) if batch_first else (steps, batch, features))
    states = [rng.normal(size=(layers * directions, batch, hidden)) for _ in range(1 + (cell == 2))]
    state: Any = states if cell == LSTM else states[0]
    return Sample(x, state, params, biases, layers, 0.0, False, both, batch_first)


def _network_samples(rng: np.random.Generator, cell: int) -> list[Sample]:
    return [
        _network(rng, cell, (3, 2, 4, 3)),
        _network(rng, cell, (2, 2, 3, 2), layers=2, both=True, batch_first=True),
        _network(rng, cell, (2, 1, 2, 3), biases=False),
        _network(rng, cell, (1, 25, 1, 1)),
        _network(rng, cell, (2, 9, 3, 17), both=True),
        _network(rng, cell, (2, 0, 3, 2)),
        _network(rng, cell, (2, 2, 0, 2)),
        _network(rng, cell, (2, 2, 3, 0)),
    ]


def _network_errors(cell: int) -> list[ErrorSample]:
    rng = np.random.default_rng(0)
    good = _network(rng, cell, (2, 2, 3, 4)).args
    x, state, params, *rest = good
    short = [state[0]] if cell == LSTM else state[:0]
    return [
        ErrorSample(ShapeError, "Expected three axes", x[0], state, params, *rest),
        ErrorSample(ArgumentError, "a sequence of length 0", x[:0], state, params, *rest),
        ErrorSample(ShapeError, "the states have shapes", x, short, params, *rest),
        ErrorSample(ArgumentError, "3 parameters given", x, state, params[:3], *rest),
        ErrorSample(ShapeError, "Expected .steps, N, features", x[..., :2], state, params, *rest),
        ErrorSample(
            ArgumentError, "dropout = 1.5", x, state, params, rest[0], rest[1], 1.5, *rest[3:]
        ),
    ]


def _network_doc(name: str, cell: int) -> str:
    pair = cell == LSTM
    state = "hx: h_0 and c_0, each" if pair else "hx:"
    call = "samara.lstm(x, (h, h), w, False, 1, 0.0, False, False, False)"
    if not pair:
        call = f"samara.{name}(x, h, w, False, 1, 0.0, False, False, False)"
    rows = GATES[cell] * 3
    gates = "" if GATES[cell] == 1 else f"{GATES[cell]} "
    return f"""{_EQUATIONS[name][1]}, for every layer and direction.

    x: [T, N, I] float, or [N, T, I] with batch_first; {state} [layers D, N, H], D = 2 where
    bidirectional; params: weight_ih [{gates}H, I], weight_hh [{gates}H, H] and, with has_biases,
    bias_ih and bias_hh [{gates}H], for every layer and direction -> the states of the last layer
    [T, N, D H] and the last states [layers D, N, H]{" of h and c" if pair else ""}. dropout: the
    share of values dropped between layers, where train.

    Raises ShapeError for sizes that do not fit, ArgumentError for sequences of length 0 and for
    another number of parameters. Source: {_SOURCES[cell]}.

    >>> x, h = samara.ones(5, 2, 4), samara.zeros(1, 2, 3)
    >>> w = [samara.ones({rows}, 4), samara.ones({rows}, 3)]
    >>> [tuple(y.shape) for y in {call}]
    [(5, 2, 3), (1, 2, 3){", (1, 2, 3)" if pair else ""}]
    """


def _declare_network(name: str, cell: int) -> Any:
    state_type = ": Tensor[]" if cell == LSTM else ""

    def reference(
        x: Array, hx: Any, params: Sequence[Array], has_biases: bool, num_layers: int, *rest: Any
    ) -> tuple[Array, ...]:
        states, (_, _, *order) = hx if cell == LSTM else [hx], rest
        return reference_layers(cell, x, states, params, has_biases, num_layers, *order)

    @composite(
        f"{name}(x, hx{state_type}, params: Tensor[], has_biases: bool, num_layers: int, "
        "dropout: float, train: bool, bidirectional: bool, batch_first: bool)",
        doc=_network_doc(name, cell),
        ref=reference,
        ulp=64,
        condition="max",
        samples=lambda rng: _network_samples(rng, cell),
        errors=lambda: _network_errors(cell),
        methods=(),
    )
    def network(
        x: Tensor,
        hx: Any,
        params: Sequence[Tensor],
        has_biases: bool,
        num_layers: int,
        dropout: float,
        train: bool,
        bidirectional: bool,
        batch_first: bool,
    ) -> tuple[Tensor, ...]:
        states = hx if cell == LSTM else [hx]
        return run_layers(
            name,
            cell,
            x,
            states,
            params,
            has_biases,
            num_layers,
            dropout,
            train,
            bidirectional,
            batch_first,
        )

    return network


def run_cell(
    place: str,
    cell: int,
    x: Tensor,
    states: Sequence[Tensor],
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
) -> Any:
    """One step of a cell: (h,), or (h, c) of an LSTM."""
    require_dtype(place, x, FLOAT)
    if len(states) != (2 if cell == LSTM else 1):
        raise ArgumentError(
            f"{place}: hx has {len(states)} tensors. Expected h and c. Fix: hx=(h, c)."
        )
    c = states[1] if cell == LSTM else None
    return _cell(x, states[0], c, w_ih, w_hh, b_ih, b_hh, cell)


def _cell_samples(rng: np.random.Generator, cell: int) -> list[Sample]:
    def sample(batch: int, features: int, hidden: int, biases: int) -> Sample:
        weights = _weights(rng, cell, features, hidden, True)
        states = [rng.normal(size=(batch, hidden)) for _ in range(1 + (cell == LSTM))]
        state: Any = states if cell == LSTM else states[0]
        return Sample(rng.normal(size=(batch, features)), state, *weights[: 2 + biases])

    sizes = [(3, 4, 2, 2), (1, 2, 3, 0), (5, 3, 17, 2), (0, 3, 2, 2), (2, 0, 2, 2), (2, 3, 0, 2)]
    return [sample(*one) for one in sizes]


def _cell_errors(cell: int) -> list[ErrorSample]:
    x, state, w_ih, *rest = _cell_samples(np.random.default_rng(0), cell)[0].args
    errors = [
        ErrorSample(ShapeError, "x has shape", x[0], state, w_ih, *rest),
        ErrorSample(ShapeError, "x has shape", x, state, w_ih[:1], *rest),
    ]
    if cell == LSTM:
        errors.append(ErrorSample(ArgumentError, "h and c", x, state[:1], w_ih, *rest))
    return errors


def _declare_cell(name: str, cell: int) -> Any:
    pair = cell == LSTM
    equation = _EQUATIONS[name.removesuffix("_cell")][1]
    gates = "" if GATES[cell] == 1 else f"{GATES[cell]} "
    rows = GATES[cell] * 3
    doc = f"""One step: {equation}.

    x: [N, I] float, hx: {"h and c, each" if pair else "h"} [N, H], w_ih: [{gates}H, I], w_hh:
    [{gates}H, H], b_ih and b_hh: [{gates}H] -> {"h and c, each" if pair else "h"} [N, H]. Raises
    ShapeError for sizes that do not fit. Source: {_SOURCES[cell]}.

    >>> h = samara.zeros(2, 3)
    >>> w_ih, w_hh = samara.ones({rows}, 4), samara.ones({rows}, 3)
    >>> samara.{name}(samara.ones(2, 4), {"(h, h)" if pair else "h"}, w_ih, w_hh){
        "[0]" if pair else ""
    }.shape
    (2, 3)
    """

    def reference(x: Array, hx: Any, *weights: Array) -> Any:
        state = _reference_step(cell, x, hx if pair else [hx], list(weights))
        return tuple(state) if pair else state[0]

    @composite(
        f"{name}(x, hx{': Tensor[]' if pair else ''}, w_ih, w_hh, b_ih: Tensor? = None, "
        "b_hh: Tensor? = None)",
        doc=doc,
        ref=reference,
        ulp=64,
        condition="max",
        samples=lambda rng: _cell_samples(rng, cell),
        errors=lambda: _cell_errors(cell),
        methods=(),
    )
    def step(
        x: Tensor,
        hx: Any,
        w_ih: Tensor,
        w_hh: Tensor,
        b_ih: Tensor | None = None,
        b_hh: Tensor | None = None,
    ) -> Any:
        state = run_cell(name, cell, x, hx if pair else (hx,), w_ih, w_hh, b_ih, b_hh)
        return state if pair else state[0]

    return step


rnn_tanh, rnn_relu, lstm, gru = (_declare_network(k, cell) for k, (cell, _) in _EQUATIONS.items())
rnn_tanh_cell, rnn_relu_cell, lstm_cell, gru_cell = (
    _declare_cell(f"{k}_cell", cell) for k, (cell, _) in _EQUATIONS.items()
)

__all__ = [
    "gru",
    "gru_cell",
    "lstm",
    "lstm_cell",
    "rnn_relu",
    "rnn_relu_cell",
    "rnn_tanh",
    "rnn_tanh_cell",
]
