"""Drives a `Run` with Lightning's Trainer. Imported by `train` alone, because importing Lightning takes seconds.

One "epoch" of Lightning's is what lies between two validations here, so that validation is its ordinary validation
loop. Everything needed to resume is in our own `Run`; Lightning's loop state starts from zero each time.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import lightning.pytorch as lightning
import torch
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor

from .run import Run
from .schedule_free import ScheduleFree


class _Adapter(lightning.LightningModule):
    """Lightning's hooks on the left, what they mean to a run on the right."""

    def __init__(self, run: Run):
        super().__init__()
        self.model = run.module  # registered as a submodule, so that Lightning moves it to the device
        self.run = run

    def configure_optimizers(self) -> torch.optim.Optimizer:
        plan = self.run.course.plan
        groups = self.run.module.parameter_groups(plan.weight_decay)
        if plan.schedule == "schedule-free":
            return ScheduleFree(groups, lr=plan.learning_rate, betas=plan.betas, warmup=plan.warmup)
        return torch.optim.AdamW(groups, lr=plan.learning_rate, betas=plan.betas, fused=True)

    def on_fit_start(self) -> None:
        self.run.open(self.trainer.optimizers[0], self.device)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:
        if self.run.moved:
            return -1  # Lightning drops the rest, and asks for batches again
        self.run.before_step()
        return None

    def training_step(self, batch: Any) -> Tensor:
        return self.run.training_loss(batch)

    def configure_gradient_clipping(self, *_: Any, **__: Any) -> None:
        # Not Lightning's own clipping: it throws away the norm, and computing it twice would cost a pass more.
        self.run.gradient_ready()

    def on_train_batch_end(self, *_: Any) -> None:
        self.run.after_step()

    def on_validation_start(self) -> None:
        self.run.begin_validation()

    def validation_step(self, batch: Any) -> None:
        self.run.validate(batch)

    def on_validation_end(self) -> None:
        self.run.end_validation()
        if self.run.course.end_reason:
            self.trainer.should_stop = True


class _TrainingData:
    """The training data for Lightning: each iteration yields the batches until the next validation.

    It has no length, because the first one after a resume may be shorter than the others.
    """

    def __init__(self, run: Run):
        self._run = run

    def __iter__(self) -> Iterator[Any]:
        return self._run.until_validation()


class _ValidationData:
    """The validation batches for Lightning."""

    def __init__(self, run: Run):
        self._run = run

    def __len__(self) -> int:
        return len(self._run.validation)

    def __iter__(self) -> Iterator[Any]:
        return self._run.validation_batches()


def drive(run: Run, accelerator: str) -> None:
    """Train until the run is over.

    Args:
        run: Fresh, or restored from a checkpoint.
        accelerator: "cpu", "gpu", or "auto" for a CUDA GPU if there is one.

    Raises:
        StopTraining, TrainingFailed: See `Run`.
    """
    if accelerator == "auto":
        accelerator = "gpu" if torch.cuda.is_available() else "cpu"
    with _silence:
        trainer = lightning.Trainer(
            accelerator=accelerator,
            # Several processes are so many trainers, which divide the work in `division.py`: Lightning's own way takes
            # means of gradients where batches are uneven, and a rank without a row would end the training.
            devices=1 if accelerator == "cpu" else [torch.cuda.current_device()],
            precision=run.course.plan.precision,
            max_epochs=-1,
            # A validation that was still due when the last session ended is the check over all batches that
            # Lightning can make before the first step.
            num_sanity_val_steps=-1 if run.course.validation_due else 0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_autolog_hparams=False,
            # Names the plain environment, or a SLURM job would get Lightning's own signal handlers and pickles.
            plugins=[LightningEnvironment()],
        )
        adapter = _Adapter(run)
        adapter.train()
        try:
            trainer.fit(adapter, _TrainingData(run), _ValidationData(run))
        except SIGTERMException:
            # Lightning watches SIGTERM too, and may notice it first; it looks only between batches, as we do.
            run.stop_if_requested()
            raise


# Warnings about Lightning's own code, or advice that does not apply here.
_LIGHTNINGS_OWN = (
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # Lightning 2.6 has not followed torch 2.13 yet
    r"Found \d+ module\(s\) in eval mode",  # a module may keep frozen parts that way
)


class _Silence:
    """Hides Lightning's advertisements, device listing and advice; errors still show.

    Levels and filters belong to the process: the first of several runs sets them, the last one puts them back.
    """

    def __init__(self) -> None:
        self._lock, self._runs, self._put_back = threading.Lock(), 0, ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            self._runs += 1
            if self._runs > 1:
                return
            for logger in (logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")):
                self._put_back.callback(logger.setLevel, logger.level)
                logger.setLevel(logging.ERROR)
            self._put_back.enter_context(warnings.catch_warnings())
            for message in _LIGHTNINGS_OWN:
                warnings.filterwarnings("ignore", message=message)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._runs -= 1
            if self._runs == 0:
                self._put_back.close()


_silence = _Silence()
