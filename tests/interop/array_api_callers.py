"""SciPy and scikit-learn on tensors. Run as a script: SciPy reads SCIPY_ARRAY_API at its import.

python array_api_callers.py scipy      prints {name: [expected, received, type]} as JSON
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import samara

RNG = np.random.default_rng(7)
TABLE = RNG.normal(size=(60, 5))
CLASSES = (TABLE[:, 0] + 0.3 * RNG.normal(size=60) > 0).astype(np.int64)
TARGETS = TABLE @ np.arange(5.0) + 0.1 * RNG.normal(size=60)
MATRIX = RNG.normal(size=(6, 4))
VECTOR = RNG.normal(size=24)
SHARES = RNG.uniform(0.05, 0.95, size=24)

Case = tuple[Callable[..., Any], tuple[Any, ...]]


def scipy_cases() -> dict[str, Case]:
    import scipy.cluster.vq as vq
    from scipy import differentiate, fft, integrate, ndimage, optimize, signal, special, stats
    from scipy.spatial.transform import Rotation

    cases: dict[str, Case] = {
        f"special.{name}": (getattr(special, name), (SHARES,))
        for name in [
            "erf",
            "erfc",
            "i0",
            "i1e",
            "gammaln",
            "expit",
            "logit",
            "ndtr",
            "ndtri",
            "log_ndtr",
            "entr",
        ]
    }
    cases |= {
        f"special.{name}": (getattr(special, name), (SHARES,) * count)
        for name, count in {"gammainc": 2, "xlogy": 2, "rel_entr": 2, "betainc": 3}.items()
    }
    cases |= {
        f"special.{name}": (partial(getattr(special, name), axis=1), (MATRIX,))
        for name in ("logsumexp", "softmax", "log_softmax")
    }
    cases |= {
        f"fft.{name}": (getattr(fft, name), (MATRIX,))
        for name in ["fft", "ifft", "rfft", "fftn", "dct", "fftshift"]
    }
    cases |= {
        f"stats.{name}": (getattr(stats, name), (MATRIX,))
        for name in ["zscore", "skew", "kurtosis", "moment", "variation", "sem", "describe"]
    }
    cases |= {
        f"stats.{name}": (getattr(stats, name), (SHARES,))
        for name in [
            "gmean",
            "hmean",
            "entropy",
            "circmean",
            "iqr",
            "rankdata",
            "jarque_bera",
            "chisquare",
        ]
    }
    cases |= {
        f"stats.{name}": (getattr(stats, name), (VECTOR, SHARES))
        for name in ["ttest_ind", "pearsonr", "mannwhitneyu", "bartlett", "f_oneway"]
    }
    cases |= {
        "signal.detrend": (signal.detrend, (VECTOR,)),
        "signal.fftconvolve": (signal.fftconvolve, (VECTOR, SHARES)),
        "signal.hilbert": (signal.hilbert, (VECTOR,)),
        "signal.savgol_filter": (lambda x: signal.savgol_filter(x, 5, 2), (VECTOR,)),
        "ndimage.gaussian_filter": (lambda x: ndimage.gaussian_filter(x, 1.0), (MATRIX,)),
        "cluster.vq.kmeans": (vq.kmeans, (MATRIX, MATRIX[:2])),
        "cluster.vq.vq": (vq.vq, (MATRIX, MATRIX[:2])),
        "integrate.trapezoid": (integrate.trapezoid, (VECTOR,)),
        "integrate.cumulative_simpson": (integrate.cumulative_simpson, (VECTOR,)),
        "integrate.tanhsinh": (
            lambda a: integrate.tanhsinh(lambda t: t * t, a, a + 1.0).integral,
            (VECTOR,),
        ),
        "optimize.rosen_der": (optimize.rosen_der, (VECTOR,)),
        "differentiate.derivative": (
            lambda x: differentiate.derivative(lambda t: t**3, x).df,
            (VECTOR,),
        ),
        "spatial.Rotation": (lambda q: Rotation.from_quat(q).as_matrix(), (MATRIX,)),
    }
    return cases


def sklearn_cases() -> dict[str, Case]:
    from sklearn import metrics, preprocessing
    from sklearn.decomposition import PCA
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
    from sklearn.model_selection import cross_val_score, train_test_split
    from sklearn.naive_bayes import GaussianNB
    from sklearn.pipeline import make_pipeline

    def transform(name: str) -> Case:
        kind = getattr(preprocessing, name)
        return lambda x: kind().fit(x).transform(x), (TABLE,)

    def predict(make: Callable[[], Any], method: str = "predict", y: Any = TARGETS) -> Case:
        return lambda x, t: getattr(make().fit(x, t), method)(x), (TABLE, y)

    cases: dict[str, Case] = {
        name: transform(name)
        for name in [
            "StandardScaler",
            "MinMaxScaler",
            "MaxAbsScaler",
            "Normalizer",
            "Binarizer",
            "PolynomialFeatures",
        ]
    }
    cases |= {
        "LabelEncoder": (lambda y: preprocessing.LabelEncoder().fit(y).transform(y), (CLASSES,)),
        "PCA": (
            lambda x: PCA(2, svd_solver="full").fit(x).explained_variance_,
            (TABLE,),
        ),
        "Ridge": predict(lambda: Ridge(solver="svd")),
        "RidgeCV": predict(RidgeCV),
        "LogisticRegression": predict(LogisticRegression, "predict_proba", CLASSES),
        "LinearDiscriminantAnalysis": predict(LinearDiscriminantAnalysis, y=CLASSES),
        "GaussianNB": predict(GaussianNB, "predict_proba", CLASSES),
        "pipeline": predict(
            lambda: make_pipeline(preprocessing.StandardScaler(), Ridge(solver="svd"))
        ),
        "train_test_split": (
            lambda x, y: tuple(train_test_split(x, y, random_state=0)),
            (TABLE, CLASSES),
        ),
        "cross_val_score": (
            lambda x, y: cross_val_score(Ridge(solver="svd"), x, y),
            (TABLE, TARGETS),
        ),
    }
    guesses = (TABLE[:, 0] > 0).astype(np.int64)
    cases |= {
        name: (getattr(metrics, name), (CLASSES, guesses))
        for name in [
            "accuracy_score",
            "f1_score",
            "precision_score",
            "recall_score",
            "confusion_matrix",
            "roc_auc_score",
            "zero_one_loss",
            "jaccard_score",
        ]
    }
    cases |= {
        name: (getattr(metrics, name), (TARGETS**2, TARGETS**2 + RNG.random(60)))
        for name in [
            "r2_score",
            "mean_squared_error",
            "mean_absolute_error",
            "median_absolute_error",
            "explained_variance_score",
            "max_error",
            "mean_squared_log_error",
        ]
    }
    cases |= {
        name: (getattr(metrics.pairwise, name), (TABLE, TABLE[:7]))
        for name in ["euclidean_distances", "rbf_kernel", "cosine_similarity", "linear_kernel"]
    }
    return cases


def parts(result: Any) -> list[Any]:
    """The arrays and numbers of a result: named fields, sequences, or the one that it is."""
    if hasattr(result, "_fields"):
        return [getattr(result, name) for name in result._fields]
    if hasattr(result, "statistic"):
        return [result.statistic, result.pvalue]
    return list(result) if isinstance(result, (tuple, list)) else [result]


def plain(part: Any) -> Any:
    values = part.numpy() if isinstance(part, samara.Tensor) else np.asarray(part)
    if values.dtype.kind == "c":
        values = np.stack([values.real, values.imag])
    return values.astype(float).tolist()


def run(function: Callable[..., Any], arguments: tuple[Any, ...]) -> list[Any]:
    expected = parts(function(*arguments))
    tensors = tuple(samara.asarray(argument.copy()) for argument in arguments)
    try:
        received = parts(function(*tensors))
    except Exception as error:  # one that fails leaves the others their results
        return [[], [], f"{type(error).__name__}: {error}"]
    kinds = sorted({type(part).__name__ for part in received})
    return [[plain(part) for part in expected], [plain(part) for part in received], kinds]


def main() -> None:
    warnings.simplefilter("ignore")
    found: dict[str, Any] = {}
    if sys.argv[1] == "scipy":
        for name, case in scipy_cases().items():
            found[name] = run(*case)
    else:
        from sklearn import config_context

        with config_context(array_api_dispatch=True):
            for name, case in sklearn_cases().items():
                found[name] = run(*case)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
