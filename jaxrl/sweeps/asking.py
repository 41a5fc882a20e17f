"""Trials asked of an Optuna study in batches, and told what they came to.

Imported where a sweep has an adaptive sampler only: it needs `pip install "jaxrl[sweeps]"`.
"""

import contextlib
import json
import math
import time
import warnings
import zlib
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage, journal
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from jaxrl.runs import ExperimentError
from jaxrl.runs.specification import to_json as run_to_json
from jaxrl.sweeps import spaces
from jaxrl.sweeps.optuna_distributions import distribution_of, suggest, value_of
from jaxrl.sweeps.sampling import Trial
from jaxrl.sweeps.specification import Sweep
from jaxrl.sweeps.studies import OWN_JOURNAL, Study, is_ordered

# A trial's and a study's attributes in the storage.
_WORKER = "jaxrl_worker"
_PROBLEM = "jaxrl_problem"
# What must be equal for the returns of two sweeps to be comparable.
_SHARED = ("algorithm", "environment", "settings", "environment_parameters", "evaluation_episodes")

_SECONDS_FOR_A_LOCK = 100
_MOST_ATTEMPTS = 5
_UNREACHABLE = (
    optuna.exceptions.StorageInternalError,
    ImportError,
    OSError,
    RuntimeError,
)


class Asked(NamedTuple):
    """A trial that a study gave.

    Attributes:
        number: its own in the study.
        values: by the name of what is searched.
    """

    number: int
    values: Trial


class Answer(NamedTuple):
    """What a trial came to.

    Attributes:
        number: its own in the study.
        status: "complete", "stopped", "diverged" or "failed".
        scores: the mean return at the end of each rung, by the steps of a member.
    """

    number: int
    status: str
    scores: Mapping[int, float]


class OpenStudy:
    """The study of a sweep, found or made in its storage."""

    def __init__(self, sweep: Sweep, study: Study, folder: Path) -> None:
        """Opens the storage, and makes the study where it has none of that name.

        Args:
            sweep: the search.
            study: its study.
            folder: of the sweep.

        Raises:
            ExperimentError: the storage cannot be used, or the study is one of another search.
        """
        self._study = study
        self._where = study.storage or str(folder / OWN_JOURNAL)
        self._sampler = _Seeded(_maker(sweep, study), sweep.sampler_seed)
        self._space = sweep.space
        self._distributions = {name: distribution_of(x) for name, x in sweep.space.items()}
        # A damaged journal shows while it is read.
        with self._reaching(KeyError, ValueError):
            self._storage = _open_storage(self._where, is_own=study.storage is None)
            self._check(_problem(sweep))
            own = {trial.number for trial in self._own(self._load())}
        if not own.issuperset(study.numbers):
            raise ExperimentError(
                f"{self._where} does not have the trials of {folder} in its study {study.name!r}"
            )

    def count(self) -> int:
        """Returns how many trials of the study have ended, whoever trained them."""
        with self._reaching():
            return sum(trial.state.is_finished() for trial in self._load().get_trials(False))

    def ask(self, count: int, known: Iterable[int]) -> list[Asked]:
        """Asks for trials.

        A trial that this sweep asked for and knows nothing of comes first: the process was killed
        before it had written down the batch.

        Args:
            count: how many.
            known: the numbers of the sweep's trials so far.
        """
        known = frozenset(known)
        with self._reaching():
            # It keeps what it has read of ended trials: the whole batch is drawn from the same.
            study = self._load()
            lost = [
                trial.number
                for trial in self._own(study)
                if trial.state == TrialState.RUNNING and trial.number not in known
            ]
            places = [self._place(number) for number in sorted(lost)[:count]]
            asked: list[Asked] = []
            for index in range(count):
                place = places[index] if index < len(places) else self._new_trial()
                # The study's cache of its storage must hear of the trial first.
                study.get_trials(deepcopy=False)
                asked.append(self._draw(optuna.Trial(study, place)))
        return asked

    def tell(self, answers: Sequence[Answer]) -> None:
        """Tells what trials came to; those that were told before are left as they are.

        A trial that was trained to the end is complete, with its mean return. One that was stopped
        early is pruned, with the score of its last rung; one that diverged, or has no return, is
        pruned without any, which Optuna takes for worse than every score. One that could not be
        trained has failed.
        """
        with self._reaching():
            ended = {trial.number for trial in self._own(self._load()) if trial.state.is_finished()}
            waiting = [answer for answer in answers if answer.number not in ended]
            for answer in waiting:
                for steps, score in answer.scores.items():
                    self._storage.set_trial_intermediate_value(
                        self._place(answer.number), steps, score
                    )
            study = self._load()
            for answer in waiting:
                if answer.status == "complete" and answer.scores:
                    value = answer.scores[max(answer.scores)]
                    study.tell(answer.number, value, skip_if_finished=True)
                    continue
                failed = answer.status == "failed"
                state = TrialState.FAIL if failed else TrialState.PRUNED
                study.tell(answer.number, state=state, skip_if_finished=True)

    def abandon(self) -> None:
        """Tells that the sweep's trials that have not ended have failed."""
        with self._reaching():
            study = self._load()
            for trial in self._own(study):
                if not trial.state.is_finished():
                    study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)

    def _draw(self, trial: optuna.Trial) -> Asked:
        values = {
            name: value_of(own, suggest(trial, name, self._distributions[name]))
            for name, own in self._space.items()
        }
        return Asked(trial.number, values)

    def _new_trial(self) -> int:
        """Makes a trial that bears the sweep's mark from the first: none can be lost."""
        mark = optuna.trial.create_trial(
            state=TrialState.RUNNING, user_attrs={_WORKER: self._study.worker}
        )
        number = self._storage.get_study_id_from_name(self._study.name)
        return self._storage.create_new_trial(number, mark)

    def _place(self, number: int) -> int:
        """The place of a trial in the storage."""
        study = self._storage.get_study_id_from_name(self._study.name)
        return self._storage.get_trial_id_from_study_id_trial_number(study, number)

    def _own(self, study: optuna.Study) -> list[FrozenTrial]:
        trials = study.get_trials(deepcopy=False)
        return [x for x in trials if x.user_attrs.get(_WORKER) == self._study.worker]

    def _load(self) -> optuna.Study:
        return optuna.load_study(
            study_name=self._study.name, storage=self._storage, sampler=self._sampler
        )

    def _check(self, problem: dict[str, Any]) -> None:
        """Makes the study, or checks that it is one of the same search."""
        study = optuna.create_study(
            study_name=self._study.name,
            storage=self._storage,
            sampler=self._sampler,
            direction="maximize",
            load_if_exists=True,
        )
        name = f"study {self._study.name!r} in {self._where}"
        if study.directions != [StudyDirection.MAXIMIZE]:
            raise ExperimentError(f"{name} does not maximize one number: name another study")
        found = study.user_attrs.get(_PROBLEM)
        if found is None:
            if study.get_trials(deepcopy=False):
                raise ExperimentError(f"{name} was made by something else: name another study")
            study.set_user_attr(_PROBLEM, problem)
            found = problem
        differing = [key for key in problem if not _same(found, problem, key)]
        if differing:
            raise ExperimentError(
                f"{name} is of another search, with other {', '.join(differing)}: name another "
                "study"
            )

    @contextlib.contextmanager
    def _reaching(self, *more: type[Exception]) -> Generator[None]:
        """Keeps Optuna quiet, and turns what goes wrong with the storage into one line."""
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                yield
        except ExperimentError:
            raise
        except Exception as error:
            if not isinstance(error, (*_UNREACHABLE, *more)) and not _is_of_database(error):
                raise
            cause = getattr(error.__cause__, "orig", None) or getattr(error, "orig", None) or error
            words = " ".join(str(cause).split())
            raise ExperimentError(f"the study in {self._where} cannot be used: {words}") from error
        finally:
            optuna.logging.set_verbosity(verbosity)


class _Seeded(BaseSampler):
    """A sampler that draws each trial with a seed of the trial's own.

    What it draws depends on the study and on the number of the trial, not on what the process has
    drawn before, so that a batch that was cut short goes on as it would have.
    """

    def __init__(self, make: Callable[[int], BaseSampler], seed: int) -> None:
        self._make = make
        self._seed = seed

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._of(trial, "").infer_relative_search_space(study, trial)

    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        return self._of(trial, "").sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        own = self._of(trial, param_name)
        return own.sample_independent(study, trial, param_name, param_distribution)

    def _of(self, trial: FrozenTrial, name: str) -> BaseSampler:
        words = (self._seed, trial.number, zlib.crc32(name.encode()))
        return self._make(int(np.random.SeedSequence(words).generate_state(1)[0]))


def _maker(sweep: Sweep, study: Study) -> Callable[[int], BaseSampler]:
    """A function from a seed to the sampler of a sweep."""
    if sweep.sampler == "tpe":
        # The liar keeps the trials of a batch apart, none of which has a score yet.
        return lambda seed: optuna.samplers.TPESampler(
            seed=seed, multivariate=True, constant_liar=True
        )
    dimensions = sum(map(is_ordered, sweep.space.values()))
    # The default of CMA-ES. A wider batch is a generation, and a narrower one a part of it.
    usual = 4 + math.floor(3 * math.log(dimensions))
    return lambda seed: optuna.samplers.CmaEsSampler(
        seed=seed, popsize=max(usual, study.batch), warn_independent_sampling=False
    )


def _open_storage(where: str, *, is_own: bool) -> BaseStorage:
    if is_own:
        _mend_journal(Path(where))
    if where.startswith("redis"):
        return optuna.storages.JournalStorage(journal.JournalRedisBackend(where))
    if "://" not in where:
        return optuna.storages.JournalStorage(journal.JournalFileBackend(where))
    patience = {"connect_args": {"timeout": _SECONDS_FOR_A_LOCK}}
    for attempt in range(_MOST_ATTEMPTS):
        try:
            return optuna.storages.RDBStorage(
                where, engine_kwargs=patience if where.startswith("sqlite") else None
            )
        except Exception as error:
            # Two workers that begin at once may both make the tables.
            is_race = type(error).__name__ in ("OperationalError", "IntegrityError")
            if attempt == _MOST_ATTEMPTS - 1 or not is_race or not _exists(where):
                raise
            time.sleep(0.2 * (attempt + 1))
    raise AssertionError


def _mend_journal(path: Path) -> None:
    """Removes what a killed process leaves in a journal that only this process may write.

    It is a lock that nobody else will release, and after a loss of power a line without its end.
    """
    path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
    if not path.exists():
        return
    content = path.read_bytes()
    if not content.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)


def _is_of_database(error: Exception) -> bool:
    """Whether SQLAlchemy raised it, which is slow to import and need not be there."""
    return type(error).__module__.startswith("sqlalchemy.")


def _exists(where: str) -> bool:
    """Whether a database may be there: a file that cannot be made will not be there later."""
    path = where.removeprefix("sqlite:///")
    return path == where or Path(path).exists()


def _problem(sweep: Sweep) -> dict[str, Any]:
    """What makes the returns of two sweeps comparable, as plain data."""
    base = run_to_json(sweep.base)
    found = {name: base[name] for name in _SHARED}
    found["seeds"] = sweep.seeds
    found["space"] = {name: spaces.to_json(values) for name, values in sweep.space.items()}
    return json.loads(json.dumps(found))


def _same(found: Any, problem: dict[str, Any], key: str) -> bool:
    return isinstance(found, dict) and found.get(key) == problem[key]
