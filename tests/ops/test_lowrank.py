"""Randomised decompositions: fewer terms than there are."""

from __future__ import annotations

import numpy as np
import pytest

import samara


@pytest.mark.parametrize("shape", [(40, 25), (25, 40)])
def test_the_leading_terms_of_a_matrix_of_low_rank(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(shape[0], 4)) @ rng.normal(size=(4, shape[1]))
    U, S, V = samara.svd_lowrank(samara.tensor(x), 6)
    np.testing.assert_allclose((U * S @ V.T).numpy(), x, atol=1e-10)
    expected = np.linalg.svd(x, compute_uv=False)
    np.testing.assert_allclose(S.numpy()[:4], expected[:4])
    for vectors in (U, V):
        np.testing.assert_allclose((vectors.T @ vectors).numpy(), np.eye(6), atol=1e-10)


def test_values_that_fall_slowly_need_iterations() -> None:
    rng = np.random.default_rng(0)
    x = np.linalg.qr(rng.normal(size=(60, 60)))[0] * np.linspace(3, 1, 60)
    expected = np.linalg.svd(x, compute_uv=False)[:3]
    errors = []
    for niter in (0, 4, 30):
        found = samara.svd_lowrank(samara.tensor(x), 8, niter).S.numpy()[:3]
        errors.append(np.abs(found - expected).max())
    assert errors[0] > errors[1] > errors[2] and errors[2] < 1e-2


def test_components_are_those_of_centred_rows() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 5)) * [5.0, 3.0, 1.0, 0.1, 0.1] + 7.0
    U, S, V = samara.pca_lowrank(samara.tensor(x), 2, niter=20)
    values, vectors = np.linalg.eigh(np.cov(x.T))
    np.testing.assert_allclose((S**2 / 199).numpy(), values[::-1][:2], rtol=1e-6)
    overlap = np.abs(np.sum(V.numpy() * vectors[:, ::-1][:, :2], axis=0))
    np.testing.assert_allclose(overlap, 1.0, rtol=1e-6)
    assert U.shape == (200, 2)


def test_a_seed_repeats_the_projection() -> None:
    x = samara.randn(20, 20)
    g = samara.Generator().manual_seed(3)
    first = samara.svd_lowrank(x, 3, 0, generator=g).S
    assert (first != samara.svd_lowrank(x, 3, 0, generator=g).S).any()
    assert (first == samara.svd_lowrank(x, 3, 0, generator=g.manual_seed(3)).S).all()


def test_generalised_eigenvalues_satisfy_their_equation() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 6, 6))
    a, b = a + a.T, b @ b.T + np.eye(6)
    A, B = samara.tensor(a), samara.tensor(b)
    for largest in (True, False):
        values, x = samara.lobpcg(A, X=samara.ones(6, 3), B=B, largest=largest)
        np.testing.assert_allclose((A @ x).numpy(), (B @ x * values).numpy(), atol=1e-10)
        np.testing.assert_allclose((x.T @ B @ x).numpy(), np.eye(3), atol=1e-10)
        order = np.argsort(values.numpy())
        assert list(order) == ([2, 1, 0] if largest else [0, 1, 2])
