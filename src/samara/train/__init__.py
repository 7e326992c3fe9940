"""Training: `fit`, what it returns, and models of tables that save, load and predict."""

from __future__ import annotations

from samara.train.check_learns import LearnsReport, check_learns
from samara.train.files import load, load_model, save_model
from samara.train.fit import batches, fit
from samara.train.history import Baseline, History, sparkline
from samara.train.tabular import TabularModel, TabularNet, fit_table

__all__ = [
    "Baseline",
    "History",
    "LearnsReport",
    "TabularModel",
    "TabularNet",
    "batches",
    "check_learns",
    "fit",
    "fit_table",
    "load",
    "load_model",
    "save_model",
    "sparkline",
]
