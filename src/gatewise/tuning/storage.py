"""Where a study is kept: its trials in Optuna's storage, their files in a folder, and what all of them are of.

A folder holds `tune.json`, which says what the study is of, `journal.log` with the trials, and the files of trial N in
`trials/N/`. Of a study in PostgreSQL the journal is missing; where two machines do not share the folder, a trial that
changes machines starts again. Any number of workers on any number of machines may open a study at the same time.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..document import differences
from ..errors import OptionError, extras_named
from ..files import atomic
from . import journal
from .leases import BEAT, GRACE, FolderLeases, Leases
from .locks import Lock

if TYPE_CHECKING:
    import optuna
    from optuna.storages import BaseStorage

_ABOUT = "tune.json"
_JOURNAL = "journal.log"
_TRIALS = "trials"
_OURS = (_ABOUT, f".{_ABOUT}", _JOURNAL, _TRIALS)  # how names in the folder begin
_FORMAT = 1
_PARTS = {"format": int, "study": str, "document": dict}
_KEY = "gatewise"  # the attribute of a study in which Optuna's storage keeps the same


@dataclass(frozen=True)
class Storage:
    """A study, and the folder of its trials' files.

    Attributes:
        study: Optuna's study, to be minimised.
        folder: The files of trial N are in `folder/trials/N/`.
        document: What the study is of.
        command: That it was begun with, up to its options, as words; () if it was begun in Python.
    """

    study: optuna.Study
    folder: Path
    document: dict[str, Any]
    command: tuple[str, ...]
    _leases: Leases
    _begun: bool  # by this opening

    def lease(self, number: int) -> AbstractContextManager[None]:
        """Say inside the block that this process runs a trial that it asked for or took.

        Tell its result inside the block as well: afterwards a trial that still runs is abandoned.

        Raises:
            OptionError: Another process runs it.
        """
        return self._leases.held(number)

    def holds(self, number: int) -> bool:
        """Whether inside `lease` the trial is still this process's: a machine that slept may have lost it meanwhile."""
        return self._leases.holds(number)

    def abandoned(self) -> list[int]:
        """The trials that run, but whose worker is dead or was silent for longer than the grace."""
        return self._leases.abandoned(self._running())

    def take(self, number: int) -> bool:
        """Go on with an abandoned trial. Of several processes that try, one is told True."""
        return self._leases.take(number) and number in self._running()  # it may have been finished since it was found

    def failures_told(self) -> AbstractContextManager[None]:
        """Inside the block a database that is lost is a `TrainingError` in one line; a full disk stays an OSError."""
        return self._leases.failures_told()

    def forget(self) -> None:
        """Remove the study if this opening has begun it, no trial of it has ended, and nobody runs one."""
        import optuna
        from optuna.trial import TrialState

        ended = any(trial.state != TrialState.RUNNING for trial in self.study.get_trials(deepcopy=False))
        if not self._begun or ended or {*self._running()} != {*self.abandoned()}:
            return
        with _quietly():
            optuna.delete_study(study_name=self.study.study_name, storage=self.study._storage)
        for name in os.listdir(self.folder):
            if name.startswith(_OURS):
                path = self.folder / name
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        with suppress(OSError):  # there is something else in it
            self.folder.rmdir()

    def _running(self) -> list[int]:
        from optuna.trial import TrialState

        return [trial.number for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))]


def opened(
    where: str | Path | None,
    document: dict[str, Any] | None,
    name: str = "study",
    *,
    command: Sequence[str] = (),
    beat: float = BEAT,
    grace: float = GRACE,
) -> Storage:
    """The study that is kept somewhere, or a new one.

    Args:
        where: A folder, or `postgresql://...`; None: the folder NAME.tune.
        document: What it is of, as plain JSON values: data, options, version. None: whatever it is of, of a study
            that exists.
        name: The study's name in a database; the files of its trials are then in the folder NAME.tune.
        command: To be kept in a new study, see `Storage`.
        beat: Seconds between two signs of life of a worker.
        grace: Seconds of silence after which a worker's trial is abandoned. The same for all workers.

    Raises:
        OptionError: The study is of something else, or is damaged; there is none, or none can be there.
        MissingExtra: Optuna or psycopg is not installed.
    """
    url = where if isinstance(where, str) and "://" in where else None
    folder = Path(f"{name}.tune") if url or where is None else Path(where)
    said = None if document is None else json.loads(json.dumps(document))
    with extras_named():
        import optuna  # noqa: F401 - whoever lacks it should learn so before anything is written

        if url is None:
            _check(folder, said)
            folder.mkdir(parents=True, exist_ok=True)
            storage = journal.opened(folder / _JOURNAL)
            study, about, begun = _joined(storage, "study", said, folder, f"'{folder}'", command)
            leases: Leases = FolderLeases(folder / _TRIALS, beat, grace)
            return Storage(study, folder, about["document"], tuple(about.get("command", ())), leases, begun)

        from .database import Database

        database = Database(url)
        if said is not None:
            _check(folder, said)
        with database.opening() as storage:
            study, about, begun = _joined(storage, name, said, folder, f"'{name}' in {database.name}", command)
        leases = database.leases(about["study"], beat, grace)
        return Storage(study, folder, about["document"], tuple(about.get("command", ())), leases, begun)


def _check(folder: Path, said: dict[str, Any] | None) -> None:
    """OptionError if a folder holds something else than the study. Nothing is written yet."""
    if folder.exists() and not folder.is_dir():
        raise OptionError(f"'{folder}' is a file; a study is kept in a folder. Name another one")
    about = _about(folder)
    if about is not None:
        _require_same(about, said, f"'{folder}'")
    elif said is None:
        raise OptionError(f"there is no study in '{folder}'")
    elif folder.exists() and any(not name.startswith(_OURS) for name in os.listdir(folder)):
        raise OptionError(f"'{folder}' holds no study but other files. Name a new folder")


def _joined(
    storage: BaseStorage, name: str, said: dict[str, Any] | None, folder: Path, where: str, command: Sequence[str]
) -> tuple[optuna.Study, dict[str, Any], bool]:
    """The study, made if it is not there, what it is of, and whether it was made. Its folder is made to say the same.

    Args:
        where: The study in messages.
    """
    import optuna

    if said is None and name not in optuna.get_all_study_names(storage):
        raise OptionError(f"there is no study {where}")
    with _only_here(folder), _quietly():
        of_files = _about(folder)
        if of_files is not None and name not in optuna.get_all_study_names(storage):
            raise OptionError(_other_files(folder, where))
        study = optuna.create_study(study_name=name, storage=storage, direction="minimize", load_if_exists=True)
        about = study.user_attrs.get(_KEY)
        begun = about is None
        if about is None:
            if said is None or study.get_trials(deepcopy=False):
                raise OptionError(f"the study {where} was not made by Gatewise. Name another one")
            about = {"format": _FORMAT, "study": secrets.token_hex(8), "document": said, "command": list(command)}
            study.set_user_attr(_KEY, about)
        _require_same(about, said, where)
        if of_files is None:
            with atomic(folder / _ABOUT) as temporary:
                temporary.write_text(json.dumps(about, indent=1), encoding="utf-8")
        elif of_files["study"] != about["study"]:
            raise OptionError(_other_files(folder, where))
    return study, about, begun


def _other_files(folder: Path, where: str) -> str:
    return f"'{folder}' holds files of another study than {where}. Move it away, or name another study"


def _about(folder: Path) -> dict[str, Any] | None:
    """What the folder's own file says; None if there is none."""
    path = folder / _ABOUT
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, RecursionError):
        about = None
    if not isinstance(about, dict) or {key: type(about.get(key)) for key in _PARTS} != _PARTS:
        raise OptionError(f"'{path}' is damaged. Restore it from a copy, or begin a new study in another folder")
    return about


def _require_same(about: dict[str, Any], said: dict[str, Any] | None, where: str) -> None:
    """OptionError if a study is of something else."""
    if about["format"] > _FORMAT:
        raise OptionError(f"the study {where} was made by a newer Gatewise. Upgrade it: pip install -U gatewise")
    if said is not None and (found := differences(about["document"], said)):
        raise OptionError(
            f"the study {where} was begun differently: {'; '.join(found)}. Give it the same again, or name another one"
        )


@contextmanager
def _only_here(folder: Path) -> Iterator[None]:
    """Inside the block no other process opens a study in this folder, which is made if it is not there."""
    (folder / _TRIALS).mkdir(parents=True, exist_ok=True)
    with Lock(folder / f"{_ABOUT}.lock"):
        yield


@contextmanager
def _quietly() -> Iterator[None]:
    """Inside the block Optuna does not report what it does."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
