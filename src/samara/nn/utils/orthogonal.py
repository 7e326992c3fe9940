"""Orthogonal weights as parametrizations."""

from __future__ import annotations

import samara
from samara.autograd import no_grad
from samara.errors import ArgumentError, ShapeError
from samara.lookup import choose
from samara.nn.module import Module
from samara.nn.utils.parametrize import register_parametrization
from samara.tensor import Tensor

__all__ = ["orthogonal"]

_MAPS = dict.fromkeys(("matrix_exp", "cayley", "householder"))


def _diagonal(x: Tensor) -> Tensor:
    """The diagonal of R, which is real."""
    diagonal: Tensor = x.diagonal(dim1=-2, dim2=-1)
    return diagonal.real if x.dtype.is_complex else diagonal


def _nearest(matrix: Tensor) -> Tensor:
    """The orthogonal factor of a tall matrix, its signs those of a positive diagonal of R."""
    q, r = samara.linalg.qr(matrix)
    signs = samara.where(_diagonal(r) < 0, -1.0, 1.0).to(q.dtype)
    found: Tensor = q * signs.unsqueeze(-2)
    return found


class _Orthogonal(Module):
    """A matrix of any numbers -> one with orthonormal columns, or rows where it is wide."""

    def __init__(self, weight: Tensor, orthogonal_map: str, use_trivialization: bool) -> None:
        super().__init__()
        self.orthogonal_map = orthogonal_map
        self.shape = tuple(weight.shape)
        self.register_buffer("base", None)
        self._trivial = use_trivialization

    def forward(self, x: Tensor) -> Tensor:
        wide = x.shape[-2] < x.shape[-1]
        x = x.mT if wide else x
        q = self._reflected(x) if self.orthogonal_map == "householder" else self._turned(x)
        if self.base is not None:
            q = self.base @ q
        return q.mT if wide else q

    def _turned(self, x: Tensor) -> Tensor:
        """e^A, or (1 - A / 2)^-1 (1 + A / 2), of the skew matrix A with x's lower triangle."""
        rows, columns = x.shape[-2:]
        x = x.tril()
        if rows != columns:
            x = samara.nn.functional.pad(x, (0, rows - columns))
        skew = x - x.mH
        if self.orthogonal_map == "matrix_exp":
            q = samara.matrix_exp(skew)
        else:
            one = samara.eye(rows, dtype=x.dtype, device=x.device)
            q = samara.linalg.solve(one - skew / 2, one + skew / 2)
        made: Tensor = q[..., :columns]
        return made

    def _reflected(self, x: Tensor) -> Tensor:
        """The product of the reflections whose vectors stand below x's diagonal, with its signs."""
        vectors = x.tril(-1)
        tau = 2.0 / (1.0 + (vectors * vectors.conj()).sum(dim=-2))
        q = samara.linalg.householder_product(vectors, tau)
        made: Tensor = q * _diagonal(x.detach()).round().unsqueeze(-2)
        return made

    def right_inverse(self, weight: Tensor) -> Tensor:
        if tuple(weight.shape) != self.shape:
            raise ShapeError(
                f"orthogonal: a weight of shape {tuple(weight.shape)} was assigned. Expected "
                f"{self.shape}. Fix: reshape it."
            )
        wide = weight.shape[-2] < weight.shape[-1]
        tall = weight.mT if wide else weight
        if not self._trivial:
            if self.orthogonal_map != "householder":
                raise ArgumentError(
                    f"orthogonal: {self.orthogonal_map} has no inverse without a base. Expected "
                    'use_trivialization=True, or the map "householder". Fix: take one of them.'
                )
            return self._reflections(tall, wide)
        rows, columns = tall.shape[-2:]
        if rows > columns:
            more = (*tall.shape[:-1], rows - columns)
            rest = samara.randn(more, dtype=tall.dtype, device=tall.device)
            tall = samara.cat([tall, rest], dim=-1)
        self.base = _nearest(tall)
        one = samara.eye(rows, columns, dtype=weight.dtype, device=weight.device)
        minus = (-(one.mT if wide else one)).expand(weight.shape)
        made: Tensor = minus.clone()
        return made

    def _reflections(self, tall: Tensor, wide: bool) -> Tensor:
        """LAPACK's form of the nearest orthogonal matrix: vectors below the signs of R."""
        vectors, tau = samara.geqrf(_nearest(tall))
        diagonal = _diagonal(vectors)
        # Where LAPACK reflects nothing, tau = 0, the map reflects one axis all the same.
        signs = samara.where((diagonal < 0) == (tau == 0), 1.0, -1.0).to(tall.dtype)
        rows, columns = tall.shape[-2:]
        on = samara.eye(rows, columns, dtype=samara.bool, device=tall.device)
        made: Tensor = samara.where(on, signs.unsqueeze(-2), vectors)
        return made.mT if wide else made


def orthogonal(
    module: Module,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
) -> Module:
    """Keeps a matrix orthogonal: orthonormal rows or columns, the fewer; gives the module back.

    orthogonal_map: "matrix_exp", e^A of a skew matrix A; "cayley", (1 - A / 2)^-1 (1 + A / 2);
    "householder", a product of reflections. By default the first for square matrices, the last for
    others. The weight starts as the orthogonal matrix that QR makes of its value; with
    use_trivialization it is a fixed base times the map, and any value may be assigned.

    Raises ArgumentError when there is no such tensor or map, ShapeError for fewer than two axes.
    Source: Lezcano-Casado, Trivializations for Gradient-Based Optimization on Manifolds, 2019.

    >>> import samara
    >>> from samara import nn
    >>> w = orthogonal(nn.Linear(4, 3)).weight.detach()
    >>> bool(((w @ w.T - samara.eye(3)).abs() < 1e-5).all())
    True
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ArgumentError(
            f"orthogonal: {type(module).__name__} has no parameter or buffer {name!r}. Expected "
            "one of its tensors. Fix: name it as in state_dict()."
        )
    if weight.ndim < 2:
        raise ShapeError(
            f"orthogonal: {name!r} has shape {tuple(weight.shape)}. Expected a matrix, or a stack "
            "of them. Fix: leave vectors out."
        )
    if orthogonal_map is None:
        square = weight.shape[-2] == weight.shape[-1] or weight.dtype.is_complex
        orthogonal_map = "matrix_exp" if square else "householder"
    choose("orthogonal: orthogonal_map", orthogonal_map, _MAPS)
    with no_grad():
        made = _Orthogonal(weight, orthogonal_map, use_trivialization)
        return register_parametrization(module, name, made, unsafe=True)
