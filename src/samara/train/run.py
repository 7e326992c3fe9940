"""One training run: the loop itself and what watches over it."""

from __future__ import annotations

import copy
import math
import time
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samara.errors import ArgumentError, GradientError, NumericsError
from samara.train import core
from samara.train.history import History, spans_magnitudes
from samara.train.inputs import Data
from samara.train.losses import Loss, check_labels
from samara.train.metrics import Metric, baseline_for
from samara.train.optimizers import make_optimizer, make_schedule
from samara.train.progress import Progress, duration, open_progress
from samara.train.verdict import GradientWatch, judge, short

__all__ = ["Run", "Settings"]


@dataclass(frozen=True)
class Settings:
    """The options of `fit` that shape the loop."""

    epochs: int
    lr: float | None
    optimizer: Any
    early_stopping: int | None
    schedule: Any
    clip_norm: float | None
    verbose: int
    device: Any
    callbacks: tuple[Callable[[History], Any], ...]


@dataclass
class Evaluation:
    """One pass over the validation rows: the mean loss, the scores and the targets."""

    loss: float
    scores: dict[str, float] = field(default_factory=dict)
    target: NDArray[Any] | None = None


class Run:
    """The state of one `fit`; `go` runs it to the end."""

    def __init__(
        self, model: Any, data: Data, loss: Loss, metrics: list[Metric], settings: Settings
    ) -> None:
        if not core.is_module(model):
            raise ArgumentError(
                f"fit: the model is a {type(model).__name__}. Expected an nn.Module. "
                "Fix: samara.nn.Sequential(samara.nn.Linear(3, 1))."
            )
        self.model = model
        self.data = data
        self.loss = loss
        self.metrics = metrics
        self.settings = settings
        self.device = core.resolve_device(settings.device)
        self.history = History(loss_name=loss.name, notes=list(data.notes))
        self.step_losses: array[float] = array("d")
        self._notes_shown = 0
        self._labels_checked = not loss.is_classification
        self._steps_per_epoch = 1
        self._best: tuple[float, int, Mapping[str, Any]] | None = None
        self._evaluation: Evaluation | None = None
        self._epoch_start: Mapping[str, Any] = {}
        self._started = time.perf_counter()

    def go(self) -> History:
        """Train to the end (or an early stop) and judge."""
        self._prepare()
        progress = open_progress(self.settings.verbose, self.settings.epochs, self.data.train.steps)
        try:
            with progress:
                self._show_notes(progress)
                self._epochs(progress)
            self._restore_best()
        except NumericsError as error:
            self._close(progress)
            error.history = self.history
            raise
        finally:
            if self._optimizer is not None:
                self._optimizer.zero_grad()
            self.model.eval()
        self._close(progress)
        return self.history

    # ---- before the first step

    def _prepare(self) -> None:
        self._materialise()
        self.model.to(self.device)
        named = dict(self.model.named_parameters())
        if not named:
            raise ArgumentError(
                f"fit: {type(self.model).__name__} has no parameters. Expected at least one. "
                "Fix: assign layers as attributes (self.layer = nn.Linear(3, 1))."
            )
        self._trainable = {name: p for name, p in named.items() if p.requires_grad}
        self._all_frozen = 0 if self._trainable else len(named)
        self._watch = GradientWatch(self._trainable)
        self._optimizer: Any = None
        self._schedule: Any = None
        if self._all_frozen:
            return
        frozen = [name for name, p in named.items() if not p.requires_grad]
        if frozen:
            self.history.notes.append(f"frozen (requires_grad=False): {short(frozen)}")
        self._optimizer = make_optimizer(self.settings.optimizer, self._trainable, self.settings.lr)
        per_epoch = self.data.train.steps
        total = None if per_epoch is None else per_epoch * self.settings.epochs
        self._schedule = make_schedule(self.settings.schedule, self._optimizer, total)

    def _materialise(self) -> None:
        """Give layers without an input size their parameters, by one look at the first batch."""
        if not core.has_lazy_parameters(self.model):
            return
        inputs, _ = self.data.train.peek()
        self.model.eval()
        with core.no_grad():
            self.model(*(core.tensor(part) for part in inputs))

    # ---- the loop

    def _epochs(self, progress: Progress) -> None:
        for epoch in range(self.settings.epochs):
            began = time.perf_counter()
            self._train_epoch(epoch, progress)
            self._validate()
            self.history.epoch_seconds.append(time.perf_counter() - began)
            progress.epoch(*self._epoch_line())
            if self._schedule is not None:
                self._schedule.after_epoch((self.history.validation_loss or self.history.loss)[-1])
            stop = [callback(self.history) is True for callback in self.settings.callbacks]
            if any(stop) or self._all_frozen or self._stalled():
                return

    def _train_epoch(self, epoch: int, progress: Progress) -> None:
        self.model.train()
        self._epoch_start = self._state_copy()
        total, rows, steps = 0.0, 0, 0
        for inputs, target in self.data.train.epoch(epoch):
            value = self._step(inputs, target)
            n = _rows(inputs)
            total, rows, steps = total + value * n, rows + n, steps + 1
            progress.step(value)
        self._watch.look_again()
        self._steps_per_epoch = max(1, steps)
        self.history.loss.append(total / rows if rows else math.nan)
        self.history.steps = len(self.step_losses)
        if self._optimizer is not None:
            self.history.learning_rate.append(self._lr())

    def _step(self, inputs: tuple[Any, ...], target: Any) -> float:
        """The explicit loop's body: forward, backward, step; the rest only looks."""
        output = self.model(*(core.tensor(part, self.device) for part in inputs))
        self._check_labels(output, target)
        loss = self.loss(output, core.tensor(target, self.device))
        value = float(loss.item())
        step = len(self.step_losses)
        self.step_losses.append(value)
        if not math.isfinite(value):
            raise self._not_finite(step, value, output)
        if self._optimizer is None:
            return value
        if step == 0:
            self._check_reach(loss)
        self._optimizer.zero_grad()
        loss.backward()
        self._watch.after_backward()
        if self.settings.clip_norm is not None:
            core.clip_norm(self._trainable.values(), self.settings.clip_norm)
        if self._schedule is not None:
            self._schedule.before_step(step)
        try:
            self._optimizer.step()
        except NumericsError as error:
            raise NumericsError(f"fit: at step {step} (loss {value:.4g}): {error}") from error
        return value

    def _validate(self) -> None:
        self._evaluation = self._evaluate()
        if self._evaluation is None:
            return
        self.history.validation_loss.append(self._evaluation.loss)
        for name, score in self._evaluation.scores.items():
            self.history.metrics.setdefault(name, []).append(score)

    def _evaluate(self) -> Evaluation | None:
        """Loss and metrics over the validation source, without gradients, in eval mode."""
        if self.data.validation is None:
            return None
        self.model.eval()
        total, rows = 0.0, 0
        outputs: list[NDArray[Any]] = []
        targets: list[NDArray[Any]] = []
        with core.no_grad():
            for inputs, target in self.data.validation.epoch(0):
                t = core.tensor(target, self.device)
                output = self.model(*(core.tensor(part, self.device) for part in inputs))
                n = _rows(inputs)
                total, rows = total + float(self.loss(output, t).item()) * n, rows + n
                if self.metrics and core.is_tensor(output):
                    outputs.append(core.to_numpy(output))
                    targets.append(core.to_numpy(t))
        if not outputs:
            return Evaluation(total / rows)
        output_all, target_all = np.concatenate(outputs), np.concatenate(targets)
        scores = {metric.name: metric(output_all, target_all) for metric in self.metrics}
        return Evaluation(total / rows, scores, target_all)

    def _stalled(self) -> bool:
        """Keep the best parameters; True when `early_stopping` epochs brought nothing better."""
        patience = self.settings.early_stopping
        if patience is None:
            return False
        curve = self.history.validation_loss or self.history.loss
        epoch = len(curve)
        if self._best is None or curve[-1] < self._best[0]:
            self._best = (curve[-1], epoch, self._state_copy())
        if epoch - self._best[1] < patience:
            return False
        self.history.notes.append(
            f"stopped early after epoch {epoch}: no better loss for {patience} epochs"
        )
        return True

    def _state_copy(self) -> dict[str, Any]:
        return {
            name: value.detach().clone() if core.is_tensor(value) else copy.deepcopy(value)
            for name, value in self.model.state_dict().items()
        }

    def _restore_best(self) -> None:
        if self._best is None or self._best[1] == len(self.history.loss):
            return
        self.model.load_state_dict(self._best[2])
        self.history.notes.append(f"parameters restored from the best epoch, {self._best[1]}")
        self._evaluation = self._evaluate()

    # ---- checks and words

    def _check_labels(self, output: Any, target: Any) -> None:
        """Compare all labels with the number of outputs, at the first batch that shows it."""
        if self._labels_checked or not core.is_tensor(output) or output.ndim < 2:
            return
        classes = int(output.shape[1])
        train, validation = self.data.train, self.data.validation
        known: list[tuple[NDArray[Any] | None, str, NDArray[Any] | None]]
        if train.target is None:
            # A loader shows its labels batch by batch, so every batch is looked at.
            labels = target if isinstance(target, np.ndarray) else None
            known = [(labels, "a batch's target", None)]
        else:
            self._labels_checked = True
            known = [(train.target, "y", train.origin)]
            if validation is not None:
                name = "y" if validation.origin is not None else "validation y"
                known.append((validation.target, name, validation.origin))
        for labels, name, rows in known:
            if labels is not None and labels.dtype.kind in "iu":
                check_labels(labels, classes, name, rows)

    def _check_reach(self, loss: Any) -> None:
        """At the first step: every parameter the loss uses is listed, and the reverse."""
        if not loss.requires_grad:
            raise GradientError(
                f"fit: loss {self.loss.name!r} does not depend on any trainable parameter. "
                "Expected a graph from the loss to the parameters. Fix: leave out detach(), "
                "no_grad() and .numpy() between the model's layers and the loss."
            )
        untrained = core.check_reach(self.model, loss)
        if untrained:
            self.history.notes.append(
                f"never trained: the loss does not depend on {short(untrained)}"
            )

    def _not_finite(self, step: int, value: float, output: Any) -> NumericsError:
        where = "the model's output already holds non-finite values"
        if core.is_tensor(output) and _all_finite(output):
            where = f"the model's output is finite, so it arises in loss {self.loss.name!r}"
        kept = "The parameters keep their values from before this step."
        if not all(_all_finite(p) for p in self._trainable.values()):
            # A finite gradient times a huge rate overflows in the step before.
            self.model.load_state_dict(self._epoch_start)
            kept = "The step before had made parameters non-finite; they are back at the values "
            kept += "from the start of this epoch."
        fix = "scale the inputs"
        if self._optimizer is not None:
            fix = f"lower lr (now {self._lr():g}), pass clip_norm=1.0, or scale the inputs"
        return NumericsError(
            f"fit: the loss became {value} at step {step} (epoch {len(self.history.loss) + 1}); "
            f"{where}. Expected a finite loss. {kept} Fix: {fix}."
        )

    def _lr(self) -> float:
        return core.learning_rate(self._optimizer)

    def _epoch_line(self) -> tuple[str, float]:
        """What an epoch came to, and the seconds that are left."""
        h = self.history
        width = len(str(self.settings.epochs))
        parts = [f"epoch {h.epochs:>{width}}/{self.settings.epochs}", f"loss {h.loss[-1]:<9.4g}"]
        if h.validation_loss:
            parts.append(f"val_loss {h.validation_loss[-1]:<9.4g}")
        parts += [f"{name} {curve[-1]:<8.4g}" for name, curve in h.metrics.items()]
        left = sum(h.epoch_seconds) / h.epochs * (self.settings.epochs - h.epochs)
        parts.append(f"{duration(h.epoch_seconds[-1]):>6}")
        return "  ".join(parts), left

    def _close(self, progress: Progress) -> None:
        """Judge the run and print what it came to."""
        h = self.history
        h.steps = len(self.step_losses)
        h.seconds = time.perf_counter() - self._started
        if self._evaluation is not None:
            h.baseline = baseline_for(
                self.loss.name,
                self.data.train.target,
                self._evaluation.target,
                self.metrics,
                self._evaluation.scores.get,
            )
        h.verdict = judge(
            h,
            self.step_losses,
            watch=self._watch,
            steps_per_epoch=self._steps_per_epoch,
            all_frozen=self._all_frozen,
            constant_target=self._constant_target(),
        )
        if h.loss:
            scale = " (log scale)" if spans_magnitudes(h.loss) else ""
            progress.line(
                f"loss{scale} {h.sparkline(40)} {h.loss[0]:.4g} -> {h.loss[-1]:.4g} in "
                f"{_count(h.epochs, 'epoch')}, {_count(h.steps, 'step')}, {duration(h.seconds)}"
            )
        if h.baseline is not None:
            progress.line(str(h.baseline))
        progress.line(f"verdict: {h.verdict}")
        self._show_notes(progress)

    def _show_notes(self, progress: Progress) -> None:
        for note in self.history.notes[self._notes_shown :]:
            progress.line(f"note: {note}")
        self._notes_shown = len(self.history.notes)

    def _constant_target(self) -> str | None:
        target = self.data.train.target
        if target is None or len(target) < 2 or not bool((target == target[:1]).all()):
            return None
        return f"every target is {target.reshape(-1)[0]:g}"


def _all_finite(value: Any) -> bool:
    return bool(np.isfinite(core.to_numpy(value)).all())


def _rows(inputs: tuple[Any, ...]) -> int:
    shape = getattr(inputs[0], "shape", None)
    return int(shape[0]) if shape else len(inputs[0])


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
