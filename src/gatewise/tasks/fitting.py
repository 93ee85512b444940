"""`fit` of every task: build the network, train it into one file that can be resumed, measure it, save it."""

from __future__ import annotations

import hashlib
import math
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, cast

import torch

from .. import bundle
from ..errors import ModelFileError, OptionError
from ..files import TemporaryFolder, only_run
from ..lifeline import follow_up
from ..native.library import _native
from ..randomness import built
from ..ranks import Ranks, current, joined, same_of_all
from ..training import Before, Budget, Outcome, Plan, Silent, TrainingStopped, train
from ..training.history import by_name, read
from ..training.pace import Pace
from ..training.race import is_worth, steps_each
from ..watch.advice import advice
from ..watch.look import Look
from .announcement import announcement, counted, listed, settings
from .budgeting import begun_as, ending, fitted, needed, rehearsed, used
from .options import IN_BFLOAT16, PRECISIONS, names
from .prepared import Fittable as Fittable
from .prepared import Prepared as Prepared
from .prepared import restoring

if TYPE_CHECKING:
    from ..training import ProgressFor
    from .options import CommonOptions

# Options, and sizes that follow from the data, that put more into a training loss than a validation loss has.
_REGULARISERS = (
    *("dropout", "input_dropout", "word_dropout", "recurrent_dropout", "zoneout", "weight_dropout", "label_smoothing"),
    *(
        "activation_penalty",
        "temporal_activation_penalty",
        "scheduled_sampling",
        "augmentation",
        "time_mask",
        "time_warp",
    ),
    *("frequency_mask", "class_weight"),
)
_NEW_THREADS = Lock()  # while it is found out, or set, what they begin with
_RECOVERIES = 3  # of a training whose loss becomes no number, or shoots up
# Options that may change when a run is resumed. What "auto" precision is depends on the processor: the plan says; of
# vectors, the digest counts and not the file's name.
_NOT_IDENTITY = ("preset", "threads", "precision", "vectors")


@dataclass(frozen=True, kw_only=True)
class Run:
    """Where the model goes, what shows progress and the training, and when it all started by `time.monotonic`: as `fit`
    of every task has them."""

    output: str | os.PathLike[str] | None
    resume: bool
    progress: ProgressFor | None
    watch: str | os.PathLike[str] | None = None
    started: float = field(default_factory=time.monotonic)

    def check(self, writes: bool) -> None:
        """OptionError, ModelFileError.

        Args:
            writes: Whether this process writes files: the folders of others may be on machines that have them not.
        """
        if self.resume and self.output is None:
            raise OptionError("resume goes on from the checkpoint beside the output: name that file, output='...'")
        if self.output is not None:
            bundle.check_name(self.output)
        if self.watch is not None and writes:
            bundle.writable(self.watch, force=True)
        if self.resume and writes and self._is_compressed():
            raise OptionError(
                f"'{self.output}' is compressed, and training does not go on from rounded weights. "
                "Resume the model that it was made from"
            )

    def _is_compressed(self) -> bool:
        """Whether a compressed model is where the model goes."""
        try:
            return bundle.read_header(str(self.output)).document.get("compressed") is not None
        except ModelFileError:  # of a run that wrote no model yet
            return False


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One fit of many that are compared by their validation; nothing is measured, and no test part is read.

    Attributes:
        path: As of the model; checkpoint and history stand beside it, and stay. A trial of the estimator's own seed
            leaves what a resumed `fit` goes on from.
        seed: Of initial weights and draws, instead of the estimator's, which decides how data are split all the same.
        resume: Whether to go on from its checkpoint.
        halts: See `training.train`.
        checks: Called with what was prepared and the digest of the model that is gone on from, if any is, before
            anything is trained.
        measured: Called at the end, if given, with the seconds that measuring such a model takes. It is measured once
            for that, with the test part, and its figures are thrown away.
    """

    path: Path
    seed: int
    resume: bool
    halts: Callable[[float, float], bool]
    checks: Callable[[Prepared, str | None], None]
    measured: Callable[[float], None] | None = None


def fit(estimator: Fittable, prepare: Callable[[], Callable[[], Prepared]], run: Run) -> bool:
    """Fit an estimator whose task says how its data are prepared.

    Args:
        prepare: Reads the data, once. What it gives prepares them with the sizes of the preset that counts then.

    Returns:
        Whether this process is the one that talks to the user.

    Raises:
        TrainingStopped: The loss became NaN, or the disk is full; the model so far was saved.
        Whatever `prepare` raises; nothing is written then.
    """
    with joined() as ranks:
        _fit(estimator, prepare, run, ranks)
        return ranks.first


def _fit(estimator: Fittable, prepare: Callable[[], Callable[[], Prepared]], run: Run, ranks: Ranks) -> None:
    estimator.check()
    run.check(ranks.first)
    # Before anything is told: those who were given other options do not tell the same things in the same order.
    same_of_all(ranks, {"task": estimator.task, **estimator.plain_options(), "resume": run.resume})
    if ranks.line is not None and run.output is not None:
        ranks.line.afterwards = partial(follow_up, bundle.checkpoint_of(run.output))
    if not ranks.first:  # which has no files, and nobody to tell anything
        run = replace(run, output=None, progress=None, watch=None)
    estimator.choose_preset(None)
    if estimator.only == "plain" and run.watch is not None:
        raise OptionError('only="plain" trains no network, so there is nothing to watch. Leave out watch')
    with ExitStack() as stack:
        stack.enter_context(own_threads(estimator))
        folder = stack.enter_context(TemporaryFolder("run")) if run.output is None else ""
        path = Path(folder, "model" if run.output is None else run.output)
        with ranks.agreeing():
            stack.enter_context(only_run(path))
        run = replace(run, resume=ranks.goes_on(bundle.checkpoint_of(path)) or run.resume)
        budget = pace = None
        if estimator.minutes is not None and run.resume:
            with ranks.agreeing():
                begun = begun_as(bundle.checkpoint_of(path)) if ranks.first else None
            preset, pace = cast(tuple[str, Pace | None], ranks.of_first(begun))
            estimator.choose_preset(preset)
        with ExitStack() as refused:  # an error leaves what an earlier fit has learned as it was
            refused.callback(restoring(estimator))
            with ranks.agreeing():
                sized = beginning(estimator, prepare)
                prepared = sized()
            # Before anything is divided: those who read other data do not divide the same things.
            same_of_all(ranks, {"data": prepared.data["fingerprint"]})
            if estimator.minutes is not None:
                prepared, budget = fitted(estimator, prepared, sized, ranks.of_first(run.started), pace)
            refused.pop_all()
        if estimator.only == "plain":
            _keep_plain(estimator, prepared, run)
            return
        estimator.model_ = built(int(estimator.seed), prepared.build)
        _train(estimator, prepared, run, path, budget)


def beginning(estimator: Fittable, prepare: Callable[[], Callable[[], Prepared]]) -> Callable[[], Prepared]:
    """Read the data; what is then prepared builds networks that begin as the model that is gone on from, if any is."""
    sized = prepare()

    def ready() -> Prepared:
        prepared = sized()
        if estimator._start is None:
            return prepared
        return replace(prepared, build=lambda: estimator.begun(prepared.build()))

    return ready


@dataclass(frozen=True)
class Looked:
    """How an estimator understands its data and is sized.

    Attributes:
        threads: That it would train with.
        seconds: That training would take, roughly; None if that was not asked, or nothing is held out.
        start: Digest of the model that it goes on from, if it does.
        settled: Options whose value that model decides.
    """

    prepared: Prepared
    threads: int
    seconds: float | None
    start: str | None
    settled: frozenset[str]


def look(estimator: Fittable, prepare: Callable[[], Callable[[], Prepared]], timed: bool) -> Looked:
    """Prepare a fit, and train at most for the few steps that are timed."""
    estimator.check()
    estimator.choose_preset(None)
    with own_threads(estimator):
        prepared = beginning(estimator, prepare)()
        seconds = needed(estimator, prepared) if timed and prepared.held_out else None
        settled = frozenset(estimator._settled)
        return Looked(prepared, torch.get_num_threads(), seconds, _digest_of_start(estimator), settled)


def _digest_of_start(estimator: Fittable) -> str | None:
    return None if estimator._start is None else estimator._start.digest


def attempt(estimator: Fittable, prepare: Callable[[], Callable[[], Prepared]], trial: Trial) -> Outcome:
    """Fit an estimator as one trial.

    Raises:
        TrainingStopped: The loss became NaN, or the disk is full.
        Whatever `prepare` raises.
    """
    estimator.check()
    estimator.choose_preset(None)
    with own_threads(estimator):
        prepared = beginning(estimator, prepare)()
        trial.checks(prepared, _digest_of_start(estimator))
        estimator.model_ = built(trial.seed, prepared.build)
        identity = _identity(estimator, prepared)
        if trial.seed != estimator.seed:
            identity["trial_seed"] = trial.seed
        outcome = train(
            estimator.model_,
            prepared.training,
            prepared.validation,
            replace(prepared.plan, seed=trial.seed),
            checkpoint=bundle.checkpoint_of(trial.path),
            history=bundle.metrics_of(trial.path),
            identity=identity,
            resume=trial.resume,
            halts=trial.halts,
            held_out=prepared.held_out,
        )
        if trial.measured is not None and outcome.reason in ("finished", "early stop"):
            again = prepared.again * outcome.seconds  # what measuring trains anew, of which a few steps are rehearsed
            trial.measured(rehearsed(estimator, prepared, outcome.step) + again)
        return outcome


@contextmanager
def own_threads(estimator: Fittable) -> Iterator[None]:
    """Inside the block, as many threads as the estimator asks for."""
    with ExitStack() as stack:
        if estimator.threads is not None:
            stack.callback(_use_threads, torch.get_num_threads())
            _use_threads(int(estimator.threads))
        yield


def _keep_plain(estimator: Fittable, prepared: Prepared, run: Run) -> None:
    """Fit the plain methods alone, measure and save them."""
    started = time.time()
    progress = run.progress(prepared.unit, prepared.per_step) if run.progress else Silent()
    counts = [counted(n, what) for what, n in prepared.data.items() if type(n) is int]
    told = {"data": f"{prepared.data['name']}: {', '.join(counts)}", **prepared.understood, "network": "none"}
    progress.note(announcement(told))
    estimator.model_, estimator.history_, estimator.advice_ = None, {}, []
    prepared.settle()
    estimator.metrics_ = prepared.measure(True, progress.note)
    estimator.outcome_ = Outcome("finished", 0, 0, None, time.time() - started)
    estimator.provenance_ = provenance_of(estimator, prepared, started, False)
    if run.output is not None:
        estimator.save(run.output)


def _use_threads(count: int) -> None:
    """`torch.set_num_threads`, for this thread alone.

    PyTorch also keeps the number for threads that do not compute yet, and a fit that begins in one of them must not get
    what another one asked for.
    """
    with _NEW_THREADS, ThreadPoolExecutor(1) as new, ThreadPoolExecutor(1) as another:
        usual = new.submit(torch.get_num_threads).result()
        torch.get_num_threads()  # or the first time that this thread asks, it would get the usual number
        torch.set_num_threads(count)
        another.submit(torch.set_num_threads, usual).result()


def plan_of(
    options: CommonOptions, steps: int, learning_rate: float, evaluate_every: int | None = None, warmup: int = 20
) -> Plan:
    """How long and how fast to train, as the options say.

    Args:
        evaluate_every: Steps between validations; a twentieth of all, if omitted.
        learning_rate: What was given or chosen; with `learning_rate="auto"`, what the race begins with.
        warmup: The warm-up is one part in so many.
    """
    return Plan(
        steps=steps,
        evaluate_every=evaluate_every or math.ceil(steps / 20),
        learning_rate=learning_rate,
        warmup=min(steps // 2, max(1, steps // warmup)),
        final_rate=0.01,
        weight_decay=float(options.weight_decay),
        clip=None if options.clip is None else float(options.clip),
        patience=None if options.patience is None else int(options.patience),
        seed=int(options.seed),
        precision=PRECISIONS[_precision_of(options)],
        schedule=options.schedule,
        race=bool(options.learning_rate == "auto") and is_worth(steps),
        recoveries=_RECOVERIES,
    )


def _precision_of(options: CommonOptions) -> str:
    """The precision that was asked for; with "auto" bfloat16 for tasks that gain by it, where the CPU multiplies in it
    and is what trains."""
    if options.precision != "auto":
        return options.precision
    gains = getattr(options, "task", None) in IN_BFLOAT16 and _native.rounds() and not torch.cuda.is_available()
    return "bfloat16" if gains else "float32"


def _train(estimator: Fittable, prepared: Prepared, run: Run, path: Path, budget: Budget | None) -> None:
    """Train, measure and save; what is left of a training that was stopped can be used.

    Args:
        path: Of the model; checkpoint and metrics stand beside it.
        budget: The time that there is, if it is limited.
    """
    checkpoint = bundle.checkpoint_of(path)
    identity = _identity(estimator, prepared)
    same_of_all(current(), identity)
    if budget is not None:
        identity["sized"] = estimator.sized_as
    stopped: TrainingStopped | None = None
    started = time.time()
    progress = run.progress(prepared.unit, prepared.per_step) if run.progress else Silent()
    before = None if estimator._start is None else Before.of(estimator.model_, prepared.validation)
    look = None if run.watch is None else Look(run.watch, f"{estimator.task}: {prepared.data['name']}")
    try:
        estimator.outcome_ = train(
            estimator.model_,
            prepared.training,
            prepared.validation,
            prepared.plan,
            checkpoint=checkpoint,
            history=bundle.metrics_of(path),
            identity=identity,
            resume=run.resume,
            progress=progress,
            on_evaluation=prepared.on_evaluation,
            watch=look,
            regularised=bool(_regularisers(identity)),
            held_out=prepared.held_out,
            announcement=announcement(_entries(estimator, prepared, identity, budget, run.resume)),
            budget=budget,
        )
    except TrainingStopped as error:
        stopped, estimator.outcome_ = error, error.outcome
        if error.outcome.step == 0 and not error.outcome.race:  # nothing was learned, so there is nothing to keep
            raise
    if before is not None:
        estimator.outcome_ = before.unless_better(estimator.model_, estimator.outcome_, progress.note)
    ranks = current()
    estimator.history_ = ranks.of_first(by_name(bundle.metrics_of(path)) if ranks.first else {})
    estimator.advice_ = []
    if look is not None and estimator.history_["step"]:
        estimator.advice_ = advice(read(bundle.metrics_of(path)))
        with suppress(OSError):  # of a full disk, which stopped training: the page of the last look is there
            look.show(bundle.metrics_of(path))
    trained = time.monotonic()
    finished = stopped is None and estimator.outcome_.reason != "interrupted"
    estimator.metrics_ = {}

    def keep() -> None:
        estimator.provenance_ = provenance_of(estimator, prepared, started, bool(_regularisers(identity)))
        if budget is not None:
            minutes = {"asked": estimator.minutes, "used": round(used(estimator.outcome_, trained), 2)}
            estimator.provenance_["minutes"] = minutes
        if run.output is not None:
            _save(estimator, run.output, checkpoint, stopped)

    try:
        prepared.settle()
    finally:  # before it is measured: that takes a while, and a model that nobody waits to see measured is one to keep
        keep()
    if finished and run.output is not None:
        progress.note(f"{os.fspath(run.output)} is saved. Measuring it beside plain baselines.")
    estimator.metrics_ = prepared.measure(finished, progress.note)
    keep()
    if finished and budget is not None:
        for line in ending(estimator, prepared.plan, used(estimator.outcome_, trained)):
            progress.note(line)
    if finished:
        checkpoint.unlink(missing_ok=True)
    if stopped is not None:
        kept = f" The best weights so far are in {os.fspath(run.output)}." if run.output is not None else ""
        raise TrainingStopped(f"{stopped}{kept}", stopped.outcome) from stopped


def _regularisers(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Those in use, by name."""
    values = {name: chosen.get(name) for name in _REGULARISERS}
    return {name: value for name, value in values.items() if (any(value) if isinstance(value, list) else value)}


def _save(
    estimator: Fittable, output: str | os.PathLike[str], checkpoint: Path, stopped: TrainingStopped | None
) -> None:
    try:
        estimator.save(output)
    except ModelFileError as error:
        if stopped is not None:  # a full disk stopped training, and is full still
            raise stopped from error
        hint = f"What was learned is kept in {checkpoint}. Make room, then resume."
        raise ModelFileError(f"{error} {hint}") from error


def _identity(estimator: Fittable, prepared: Prepared) -> dict[str, Any]:
    """What must be the same for a run to be resumed."""
    options = {name: value for name, value in estimator.plain_options().items() if name not in _NOT_IDENTITY}
    digest = hashlib.sha256(estimator.find_cell().equations.encode()).hexdigest()  # one's own may have been edited
    own = {"equations": digest[:12], "threads": torch.get_num_threads(), "data": prepared.data["fingerprint"]}
    if prepared.pretrained is not None:
        own["vectors"] = prepared.pretrained.vectors.digest
    if estimator._start is not None:
        own["from"] = estimator._start.digest
    return {**options, **prepared.identity, **own}


def _entries(
    estimator: Fittable, prepared: Prepared, identity: Mapping[str, Any], budget: Budget | None, resuming: bool
) -> dict[str, str]:
    """What is told before the first step."""
    data, options = prepared.data, estimator.plain_options()
    plan = prepared.plan if budget is None else budget.plan(prepared.plan)
    counts = [counted(n, what) for what, n in data.items() if type(n) is int]
    left_open = {
        name: value
        for name, value in identity.items()
        if name != "threads" and name in options and options[name] is None and isinstance(value, int | float) and value
    }
    if prepared.pretrained is not None:
        left_open.pop("embedding_size", None)  # which follows from the vectors
    rate = _rate_text(plan, options, "learning_rate" not in left_open)
    patience = "" if plan.patience is None else f"; it ends early after {plan.patience} without a better one"
    regularisers = settings(_regularisers(identity))
    validated = f"; validation: {prepared.validated}" if prepared.validated else ""
    if regularisers and not validated:
        validated = "; validation: without these"
    step = f"of about {round(prepared.per_step):,} {prepared.unit}"
    steps = (
        f"{'about ' * (budget is not None)}{counted(plan.steps, 'steps')} {step}, epochs "
        f"{plan.steps / len(prepared.training):.3g}{rate}; a validation after each "
        f"{counted(plan.evaluate_every, 'steps')}{patience}"
    )
    if budget is not None and resuming:  # how much of the time is left stands in the checkpoint
        steps = f"steps {step}, as many as what is left of the time allows{rate}{patience}"
    weights = sum(weight.numel() for weight in estimator.model_.parameters())
    given = {name: options[name] for name in ("hidden_size", "num_layers") if options.get(name) is not None}
    return {
        "data": f"{data['name']}: {', '.join(counts)}",
        **_start_text(estimator),
        **prepared.understood,
        **({} if prepared.pretrained is None else {"vectors": prepared.pretrained.entry}),
        "network": ", ".join(filter(None, [estimator.find_cell().name, settings(given), counted(weights, "weights")])),
        "chosen": f"{settings(left_open)}. Each follows from the amount of data, and is an option" if left_open else "",
        "minutes": (
            f"{estimator.minutes:g}, about {budget.after:.3g} s of which measuring takes, and a step "
            f"{budget.step:.2g} s; sizes of the preset {estimator.sized_as}"
            if budget is not None
            else ""
        ),
        "training": steps,
        "loss": prepared.loss + (f", with {regularisers}" if regularisers else "") + validated,
    }


def _start_text(estimator: Fittable) -> dict[str, str]:
    """What is kept of the model that is gone on from, as an entry."""
    if estimator._start is None:
        return {}
    frozen = f"; frozen: {listed(names(estimator.freeze))}" if estimator.freeze else ""
    return {"goes on from": f"{estimator._start.name}: {estimator._kept}{frozen}"}


def _rate_text(plan: Plan, options: Mapping[str, Any], with_rate: bool) -> str:
    """ ", learning rate 0.003, schedule-free, in bfloat16", what is usual left out."""
    found = ""
    if plan.race:
        found = f" and others, which race over {steps_each(plan)} steps each"
    elif options["learning_rate"] == "auto":
        found = ", as so few steps leave none for a race"
    rate = [f"learning rate {plan.learning_rate:.4g}{found}"] if with_rate else []
    others = [plan.schedule] * (plan.schedule != "cosine") + ["in bfloat16"] * (plan.precision == "bf16-mixed")
    return "".join(f", {text}" for text in [*rate, *others])


def provenance_of(estimator: Fittable, prepared: Prepared, started: float, regularised: bool) -> dict[str, Any]:
    """How a model came about, for its file."""
    outcome: Outcome = estimator.outcome_
    validation = prepared.validated or prepared.loss
    start, kept = estimator._start, estimator._kept
    return {
        "data": prepared.data,
        **({} if prepared.pretrained is None else {"vectors": prepared.pretrained.provenance}),
        **({} if start is None or kept is None else {"from": start.document(kept)}),
        "loss": {"training": prepared.loss, "validation": validation, "regularised": regularised},
        "history": estimator.history_,
        "seed": estimator.seed,
        "ended": outcome.reason,
        "steps": outcome.step,
        "best_step": outcome.best_step,
        "learning_rate": outcome.learning_rate,
        "race": [list(result) for result in outcome.race],
        "recoveries": outcome.recoveries,
        "schedule": prepared.plan.schedule,
        "precision": prepared.plan.precision,
        "seconds": round(outcome.seconds, 1),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "threads": torch.get_num_threads(),
        "versions": {
            "gatewise": version("gatewise"),
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        "metrics": estimator.metrics_,
    }
