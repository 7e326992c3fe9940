"""Linear algebra: defining identities, degenerate matrices, stacks, LAPACK's absence."""

from __future__ import annotations

import math
import subprocess
import sys

import mpmath
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

import samara
from samara import linalg
from samara.errors import (
    ArgumentError,
    DTypeError,
    GradientError,
    LinAlgError,
    MissingLibraryError,
    SamaraError,
    ShapeError,
)
from samara.testing.differentiate import gradcheck

RNG = np.random.default_rng(0)
DTYPES = ["float32", "float64", "complex64", "complex128"]
TOLERANCE = {"float32": 2e-5, "complex64": 2e-5, "float64": 1e-12, "complex128": 1e-12}


def draw(*shape: int, dtype: str = "float64", seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    a = rng.normal(size=shape)
    if dtype.startswith("complex"):
        a = a + 1j * rng.normal(size=shape)
    return a.astype(dtype)


def adjoint(a: np.ndarray) -> np.ndarray:
    return a.conj().swapaxes(-1, -2)


def close(result: samara.Tensor, expected: np.ndarray, dtype: str = "float64") -> None:
    size = max(1.0, float(np.abs(expected).max(initial=0)))
    assert np.allclose(result.numpy(), expected, rtol=0, atol=TOLERANCE[dtype] * 10 * size)


# --- identities -----------------------------------------------------------------------------------

shapes = st.sampled_from(
    [(3, 3), (5, 3), (3, 5), (1, 1), (2, 4, 3), (2, 3, 4), (2, 1, 2, 2), (40, 7)]
)


@settings(max_examples=40)
@given(shape=shapes, dtype=st.sampled_from(DTYPES), seed=st.integers(0, 99))
def test_factors_multiply_to_the_matrix(shape, dtype, seed):
    a = draw(*shape, dtype=dtype, seed=seed)
    x = samara.tensor(a)
    m, n = shape[-2:]
    for mode in ("reduced", "complete"):
        q, r = linalg.qr(x, mode)
        close(q @ r, a, dtype)
        close(
            q.mH @ q,
            np.broadcast_to(np.eye(q.shape[-1]), (*shape[:-2],) + (q.shape[-1],) * 2),
            dtype,
        )
        assert np.array_equal(r.numpy(), np.triu(r.numpy()))
    for full in (True, False):
        u, s, vh = linalg.svd(x, full)
        k = min(m, n)
        close((u[..., :k] * s.unsqueeze(-2)) @ vh[..., :k, :], a, dtype)
        close(
            u.mH @ u,
            np.broadcast_to(np.eye(u.shape[-1]), (*shape[:-2],) + (u.shape[-1],) * 2),
            dtype,
        )
        close(
            vh @ vh.mH,
            np.broadcast_to(np.eye(vh.shape[-2]), (*shape[:-2],) + (vh.shape[-2],) * 2),
            dtype,
        )
        assert (np.diff(s.numpy(), axis=-1) <= 0).all() and (s.numpy() >= 0).all()
    p, lower, upper = linalg.lu(x)
    close(p @ lower @ upper, a, dtype)
    close(linalg.pinv(x) @ x @ linalg.pinv(x), linalg.pinv(x).numpy(), dtype)


@settings(max_examples=30)
@given(
    n=st.integers(1, 9), batch=st.sampled_from([(), (3,), (2, 0)]), dtype=st.sampled_from(DTYPES)
)
def test_square_matrices(n, batch, dtype):
    a = draw(*batch, n, n, dtype=dtype) + 2 * n * np.eye(n, dtype=dtype)
    b = draw(*batch, n, 3, dtype=dtype, seed=1)
    x = samara.tensor(a)
    close(x @ linalg.inv(x), np.broadcast_to(np.eye(n), a.shape), dtype)
    close(x @ linalg.solve(x, samara.tensor(b)), b, dtype)
    close(linalg.solve(x, samara.tensor(adjoint(b)), left=False) @ x, adjoint(b), dtype)
    sign, size = linalg.slogdet(x)
    close(
        sign
        * size.exp()
        / np.prod(np.abs(np.diagonal(a, axis1=-2, axis2=-1)), -1).astype(size.numpy().dtype),
        linalg.det(x).numpy() / np.prod(np.abs(np.diagonal(a, axis1=-2, axis2=-1)), -1),
        dtype,
    )
    values, vectors = linalg.eig(x)
    close(x.astype(vectors.dtype) @ vectors, (vectors * values.unsqueeze(-2)).numpy(), dtype)
    h = samara.tensor(a + adjoint(a))
    values, vectors = linalg.eigh(h)
    close((vectors * values.unsqueeze(-2)) @ vectors.mH, h.numpy(), dtype)
    p = samara.tensor(a @ adjoint(a))
    lower = linalg.cholesky(p)
    close(lower @ lower.mH, p.numpy(), dtype)
    upper = linalg.cholesky(p, upper=True)
    close(upper.mH @ upper, p.numpy(), dtype)
    close(p @ samara.cholesky_solve(samara.tensor(b), lower), b, dtype)


def test_only_the_named_triangle_is_read():
    a = draw(4, 4) + 8 * np.eye(4)
    low, high = np.tril(a), np.triu(a)
    poison_low = low + np.triu(np.full((4, 4), 1e6), 1)
    poison_high = high + np.tril(np.full((4, 4), 1e6), -1)
    close(linalg.eigvalsh(samara.tensor(poison_low)), np.linalg.eigvalsh(low + np.tril(a, -1).T))
    close(
        linalg.eigvalsh(samara.tensor(poison_high), "U"), np.linalg.eigvalsh(high + np.triu(a, 1).T)
    )
    close(linalg.cholesky(samara.tensor(poison_low)), np.linalg.cholesky(low + np.tril(a, -1).T))
    t = linalg.solve_triangular(samara.tensor(poison_high), samara.ones(4, 1).double(), upper=True)
    close(t, np.linalg.solve(high, np.ones((4, 1))))


@pytest.mark.parametrize("hermitian", [True, False])
def test_indefinite_matrices_by_ldl(hermitian):
    a = draw(5, 5, dtype="complex128")
    a = a + (adjoint(a) if hermitian else a.T)
    b = draw(5, 2, dtype="complex128", seed=3)
    factors = linalg.ldl_factor(samara.tensor(a), hermitian=hermitian)
    close(linalg.ldl_solve(*factors, samara.tensor(b), hermitian=hermitian), np.linalg.solve(a, b))


@pytest.mark.parametrize("scale", [1e-8, 1e-3, 1.0, 30.0])
def test_matrix_exp_against_mpmath(scale):
    a = draw(4, 4) * scale
    with mpmath.workdps(40):
        expected = np.array(mpmath.expm(mpmath.matrix(a.tolist())).tolist(), dtype=np.float64)
    result = linalg.matrix_exp(samara.tensor(a)).numpy()
    assert np.allclose(result, expected, rtol=0, atol=1e-12 * np.abs(expected).max())
    both = linalg.matrix_exp(samara.tensor(np.stack([a, 40 * a])))
    assert np.array_equal(both[0].numpy(), result)  # a larger neighbour changes no bit


def test_least_squares():
    a, b = draw(9, 4), draw(9, 2, seed=1)
    for driver in ("gels", "gelsy", "gelsd", "gelss"):
        x, residuals, rank, values = linalg.lstsq(samara.tensor(a), samara.tensor(b), driver=driver)
        expected, sums, _, s = np.linalg.lstsq(a, b)
        close(x, expected)
        if driver != "gelsy":
            close(residuals, sums)
        if driver != "gels":
            assert rank.item() == 4
        if driver in ("gelsd", "gelss"):
            close(values, s)
    deficient = np.outer(a[:, 0], [1.0, 2.0])
    x = linalg.lstsq(samara.tensor(deficient), samara.tensor(b)).solution
    close(x, np.linalg.pinv(deficient) @ b)
    cut = linalg.lstsq(samara.tensor(a), samara.tensor(b), 0.9, driver="gelsd")
    assert cut.rank.item() < 4


def test_ranks_follow_the_tolerance():
    x = samara.tensor(np.diag([1.0, 1e-3, 1e-20]))
    assert linalg.matrix_rank(x).item() == 2
    assert linalg.matrix_rank(x, rtol=1e-2).item() == 1
    assert linalg.matrix_rank(x, atol=0.0, rtol=0.0).item() == 3
    stack = samara.tensor(np.stack([np.eye(2), np.ones((2, 2))]))
    assert linalg.matrix_rank(stack, atol=samara.tensor([0.5, 3.0])).tolist() == [2, 0]


def test_einsum_finds_the_cheap_order():
    """The expensive order would make a product of 10^12 elements."""
    a, b, c = draw(10**4, 2), draw(2, 10**4, seed=1), draw(10**4, 1, seed=2)
    result = samara.einsum("ij,jk,kl->il", samara.tensor(a), samara.tensor(b), samara.tensor(c))
    close(result, a @ (b @ c))


equations = st.lists(
    st.lists(st.sampled_from("abcd"), min_size=0, max_size=3), min_size=1, max_size=4
)


@settings(max_examples=80)
@given(terms=equations, data=st.data())
def test_einsum_against_numpy(terms, data):
    sizes = {label: data.draw(st.integers(1, 3), label) for label in "abcd"}
    known = sorted({label for term in terms for label in term})
    output = data.draw(st.lists(st.sampled_from(known), unique=True)) if known else []
    arrays = [draw(*(sizes[label] for label in term), seed=i) for i, term in enumerate(terms)]
    equation = ",".join("".join(term) for term in terms) + "->" + "".join(output)
    result = samara.einsum(equation, *map(samara.tensor, arrays))
    assert np.allclose(result.numpy(), np.einsum(equation, *arrays), rtol=1e-12, atol=1e-12)


# --- degenerate matrices --------------------------------------------------------------------------


def test_singular_matrices_are_named():
    stack = np.stack([np.eye(2), np.zeros((2, 2)), np.eye(2)]).reshape(3, 1, 2, 2)
    x = samara.tensor(stack)
    for function in (linalg.inv, lambda a: linalg.solve(a, samara.ones(2, 1).double())):
        with pytest.raises(LinAlgError, match=r"matrix \[1, 0\] of the stack is singular"):
            function(x)
    with pytest.raises(LinAlgError, match="matrix is singular: U"):
        linalg.inv(samara.zeros(2, 2))
    assert linalg.inv_ex(x).info.tolist() == [[0], [1], [0]]
    assert linalg.solve_ex(x, samara.ones(2, 1).double()).info.tolist() == [[0], [1], [0]]
    with pytest.raises(LinAlgError, match=r"\[1, 0\] .*not positive-definite: .* minor of order 1"):
        linalg.cholesky(x)
    assert linalg.cholesky_ex(x).info.tolist() == [[0], [1], [0]]
    assert linalg.det(x).tolist() == [[1.0], [0.0], [1.0]]
    assert linalg.slogdet(x).logabsdet.tolist() == [[0.0], [-math.inf], [0.0]]
    assert math.isinf(linalg.cond(samara.zeros(2, 2), 1).item())
    assert isinstance(linalg.LinAlgError("x"), (RuntimeError, SamaraError))


def test_nan_and_infinity():
    for bad in (np.nan, np.inf):
        x = samara.tensor(np.array([[1.0, bad], [bad, 1.0]]))
        for function in (linalg.eigh, linalg.eig, linalg.svd, linalg.svdvals, linalg.pinv):
            with pytest.raises(LinAlgError, match="NaN or infinite"):
                function(x)
    assert np.isnan(linalg.det(samara.tensor([[np.nan]])).item())


def test_det_has_a_gradient_at_singular_matrices():
    for a in (
        np.array([[1.0, 2.0], [2.0, 4.0]]),
        np.array([[1.0, 2.0, 0.5], [2.0, 4.0, 1.0], [0.3, 1.0, 3.0]]),
        np.zeros((2, 2)),
        np.zeros((3, 3)),
    ):
        x = samara.tensor(a, requires_grad=True)
        (g,) = samara.grad(linalg.det(x), x)
        n = a.shape[0]
        cofactors = np.empty((n, n))
        for i in range(n):
            for j in range(n):
                minor = np.delete(np.delete(a, i, 0), j, 1)
                cofactors[i, j] = (-1) ** (i + j) * np.linalg.det(minor)
        assert np.allclose(g.numpy(), cofactors, atol=1e-12)


def test_pinv_gradient_at_repeated_and_zero_singular_values():
    gradcheck(linalg.pinv, [np.eye(3)])
    gradcheck(linalg.pinv, [np.eye(4, 2)])
    # At constant rank: directions inside the matrices of rank 1.
    u, v = draw(4, 1), draw(1, 3, seed=1)
    gradcheck(lambda a, b: linalg.pinv(a @ b, rtol=1e-6), [u, v])


def test_equal_eigenvalues():
    """Values and invariant functions keep their gradient; mixing vectors does not."""
    x = samara.eye(3, dtype=samara.float64).requires_grad_()
    (g,) = samara.grad(linalg.eigvalsh(x).sum(), x)
    close(g, np.eye(3))
    (g,) = samara.grad(linalg.svdvals(x).sum(), x)
    close(g, np.eye(3))
    (g,) = samara.grad(linalg.matrix_norm(x, "nuc"), x)
    close(g, np.eye(3))
    weights = samara.tensor(draw(3, 3))
    (g,) = samara.grad((linalg.eigh(x).eigenvectors * weights).sum(), x)
    assert not np.isfinite(g.numpy()).all()


def test_losses_that_depend_on_phases():
    x = samara.tensor(draw(3, 3, dtype="complex128"), requires_grad=True)
    h = x + x.mH
    weights = samara.tensor(draw(3, 3, dtype="complex128", seed=1))
    for vectors in (linalg.eigh(h).eigenvectors, linalg.svd(x).U, linalg.eig(x).eigenvectors):
        with pytest.raises(GradientError, match="phases"):
            samara.grad((vectors * weights).real.sum(), x)
        size = (abs(vectors) ** 2 * abs(weights)).sum()
        samara.grad(size, x)


def test_gradient_of_the_vectors_that_svd_completes_is_ignored():
    a = draw(4, 2)
    x = samara.tensor(a, requires_grad=True)
    u, s, _ = linalg.svd(x)
    (whole,) = samara.grad((u[:, :2] ** 2 * samara.tensor(draw(4, 2, seed=1))).sum() + s.sum(), x)
    gradcheck(lambda x: (linalg.svd(x, False).U ** 2).cumsum(0) + linalg.svd(x, False).S, [a])
    assert np.isfinite(whole.numpy()).all()
    with pytest.raises(GradientError, match="complete"):
        samara.grad(linalg.qr(x, "complete").Q.sum(), x)


def test_qr_without_q_has_a_gradient():
    gradcheck(lambda a: linalg.qr(a, "r").R, [draw(4, 3)])


def test_cholesky_gradient_is_symmetric():
    x = samara.tensor(draw(3, 3) @ draw(3, 3).T + np.eye(3), requires_grad=True)
    (g,) = samara.grad((linalg.cholesky(x) * samara.tensor(draw(3, 3, seed=2))).sum(), x)
    assert np.allclose(g.numpy(), g.numpy().T, rtol=0, atol=1e-14)


# --- stacks, threads, memory ----------------------------------------------------------------------


def test_broadcast_stacks():
    a, b = draw(2, 1, 3, 3) + 5 * np.eye(3), draw(4, 3, 2)
    expected = np.linalg.solve(np.broadcast_to(a, (2, 4, 3, 3)), b)
    close(linalg.solve(samara.tensor(a), samara.tensor(b)), expected)
    one = a[0, 0]
    close(linalg.solve(samara.tensor(one), samara.tensor(b)), np.linalg.solve(one, b))
    close(
        linalg.solve_triangular(samara.tensor(one), samara.tensor(b), upper=True),
        np.linalg.solve(np.triu(one), b),
    )
    # A 1-D right side is a vector, any other one holds matrices.
    close(
        linalg.solve(samara.tensor(a[:, 0]), samara.tensor(b[0, :, 0])),
        np.linalg.solve(a[:, 0], b[0, :, 0]),
    )


@pytest.mark.parametrize("function", [linalg.inv, linalg.svd, linalg.eigh, linalg.eig, linalg.qr])
def test_bits_do_not_depend_on_threads(function):
    a = draw(300, 12, 12)
    x = samara.tensor(a + adjoint(a))
    count = samara.thread_count()
    try:
        results = []
        for threads in (1, 3):
            samara.set_thread_count(threads)
            result = function(x)
            results.append(result if isinstance(result, tuple) else (result,))
    finally:
        samara.set_thread_count(count)
    for one, other in zip(*results, strict=True):
        assert np.array_equal(one.numpy(), other.numpy())


def test_a_stack_gives_the_bits_of_its_matrices():
    a = draw(20, 9, 9)
    stack = linalg.inv(samara.tensor(a)).numpy()
    for i in range(20):
        assert np.array_equal(stack[i], linalg.inv(samara.tensor(a[i])).numpy())


def test_large_matrices():
    a = draw(300, 300)
    close(linalg.svdvals(samara.tensor(a)), scipy.linalg.svdvals(a))
    close(linalg.inv(samara.tensor(a)) @ samara.tensor(a), np.eye(300))
    close(linalg.eigvalsh(samara.tensor(a + a.T)), scipy.linalg.eigvalsh(a + a.T))


# --- the library ----------------------------------------------------------------------------------


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_lapack_is_opened_at_the_first_call():
    maps = "'scipy_openblas32' in open('/proc/self/maps').read()"
    code = (
        f"import samara, sys; x = samara.eye(2); before = {maps}; samara.linalg.inv(x); "
        f"print(before, {maps}, 'scipy_openblas32' in sys.modules)"
    )
    assert run(code) == "False True False"


def test_without_lapack(monkeypatch):
    monkeypatch.setattr("samara.lapack.PACKAGE", "no_such_package_anywhere")
    from samara.lapack import locate

    with pytest.raises(MissingLibraryError, match="Fix: pip install scipy-openblas32"):
        locate()
    code = (
        "import samara, samara.lapack\n"
        "samara.lapack.PACKAGE = 'no_such_package_anywhere'\n"
        "for attempt in range(2):\n"
        "    try:\n"
        "        samara.linalg.inv(samara.eye(2))\n"
        "    except ImportError as error:\n"
        "        print(type(error).__name__)\n"
        "samara.lapack.PACKAGE = 'scipy_openblas32'\n"
        "print(samara.linalg.det(samara.eye(2)).item())"
    )
    assert run(code).split() == ["MissingLibraryError", "MissingLibraryError", "1.0"]


# --- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "match", "call"),
    [
        (DTypeError, "has dtype int64", lambda: linalg.inv(samara.ones(2, 2, dtype=samara.int64))),
        (DTypeError, "float16", lambda: linalg.svd(samara.ones(2, 2, dtype=samara.float16))),
        (ShapeError, "Expected a matrix", lambda: linalg.det(samara.ones(3))),
        (ShapeError, "Expected square", lambda: linalg.eig(samara.ones(2, 3))),
        (ShapeError, "2 rows meet 3 rows", lambda: linalg.solve(samara.eye(2), samara.ones(3))),
        (ArgumentError, "Expected 'fro', 'nuc'", lambda: linalg.norm(samara.eye(2), "max")),
        (ArgumentError, "twice", lambda: linalg.matrix_norm(samara.eye(2), axis=(0, -2))),
        (IndexError, "out of range", lambda: linalg.vector_norm(samara.eye(2), axis=2)),
        (DTypeError, "A", lambda: linalg.solve([[1.0]], samara.ones(1))),
        (DTypeError, "inv", lambda: linalg.inv(np.eye(2))),
        (ShapeError, "'j' has size", lambda: samara.einsum("ij,jk", samara.eye(2), samara.eye(3))),
    ],
)
def test_mistakes(error, match, call):
    with pytest.raises(SamaraError, match=match) as caught:
        call()
    assert isinstance(caught.value, error)
    assert "Fix:" in str(caught.value)


def test_methods_and_names():
    x = samara.tensor([[4.0, 1.0], [1.0, 3.0]])
    assert x.det().item() == samara.det(x).item() == linalg.det(x).item()
    assert x.inverse().tolist() == samara.inverse(x).tolist()
    assert samara.slogdet(x).sign.item() == 1.0
    assert x.matrix_exp().shape == x.pinverse().shape == (2, 2)
    assert x.cholesky().tolist() == linalg.cholesky(x).tolist()
    assert linalg.inv.__name__ == "inv"
    for name in ("solve", "eigh", "cholesky_ex", "svd"):
        assert not hasattr(samara, name) or getattr(samara, name) is not getattr(linalg, name)
    assert not hasattr(samara, "solve")
