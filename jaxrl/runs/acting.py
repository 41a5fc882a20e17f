"""A trained policy that acts outside of any program: in a Gymnasium loop, a service, a notebook."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxrl.runs import checkpoints
from jaxrl.runs.construction import build_task
from jaxrl.runs.folder import CONFIG, ExperimentError, locked
from jaxrl.runs.runner import load
from jaxrl.training import Progress
from jaxrl.types import Algorithm, Box, Environment, State, zero_element


class TrainedPolicy:
    """The non-exploring policy of a trained agent, called with observations.

    It takes NumPy or JAX arrays, one observation or a batch of them, and returns NumPy's actions of
    the task's own shape, clipped to its bounds. It keeps the memory of a recurrent policy from one
    call to the next; `reset` begins a new episode. It is compiled on the first call.

    Attributes:
        algorithm: that the agent was trained with.
        state: of the agent.

    Example:
        policy = jaxrl.load("runs/demo")
        observation, _ = env.reset()
        action = policy(observation)
    """

    def __init__(
        self,
        algorithm: Algorithm,
        state: State,
        *,
        environment: Environment | None = None,
        name: str = "",
        seed: int = 0,
    ) -> None:
        """Makes the policy of a state.

        Args:
            algorithm: whose State it is.
            state: of one agent.
            environment: the task as the algorithm was given it, whose actions may have another
                shape than vectors; None: as the algorithm has it.
            name: of what acts, for people.
            seed: of the draws of a policy that has some.
        """
        self.algorithm = algorithm
        self.state = state
        self._environment = algorithm.environment if environment is None else environment
        self._name = name or f"a policy on {self._environment.name}"
        self._policy = algorithm.policy(state)
        self._act = jax.jit(jax.vmap(self._policy.act))
        self._start = jax.jit(jax.vmap(self._policy.start))
        self._key = jax.random.key(seed)
        self._calls = 0
        self._carry: Any = None
        self._count: int | None = None

    def __call__(self, observation: Any) -> Any:
        """Chooses an action.

        Args:
            observation: an element of the task's observation space, or a batch with a leading axis.

        Returns:
            The action as NumPy has it, a whole number of a `Discrete` task; with a leading axis for
            a batch.

        Raises:
            ValueError: the observation is of another shape than the task's, or there are more or
                fewer than the policy keeps memories of.
        """
        batch, is_single = self._as_batch(observation)
        count = len(jax.tree.leaves(batch)[0])
        if self._count is None:
            self._begin(count)
        elif self._count != count:
            if jax.tree.leaves(self._carry):
                raise ValueError(
                    f"{count} observations, and the policy keeps the memory of {self._count}: call "
                    "reset() first"
                )
            self._begin(count)
        self._carry, actions = self._act(self._keys(count), self._carry, batch)
        actions = self._as_actions(actions, count)
        return actions[0] if is_single else actions

    def reset(self, ended: Any = None) -> None:
        """Begins new episodes: what the policy remembers of the old ones is forgotten.

        Args:
            ended: bool [n], which of a batch have ended; None: all.

        Raises:
            ValueError: it is of another length than the last batch.
        """
        if ended is None or self._count is None:
            self._count = None
            return
        mask = np.asarray(ended, bool)
        if mask.shape != (self._count,):
            raise ValueError(
                f"ended has shape {mask.shape}, and the last batch had {self._count} observations"
            )
        fresh = self._start(self._keys(self._count))

        def chosen(new: Any, old: Any) -> Any:
            return jax.numpy.where(mask.reshape(-1, *[1] * (new.ndim - 1)), new, old)

        self._carry = jax.tree.map(chosen, fresh, self._carry)

    def __repr__(self) -> str:
        """Says whose policy it is."""
        return f"<{self._name}>"

    def _begin(self, count: int) -> None:
        self._count = count
        self._carry = self._start(self._keys(count))

    def _keys(self, count: int) -> Any:
        self._calls += 1
        return jax.random.split(jax.random.fold_in(self._key, self._calls), count)

    def _as_batch(self, observation: Any) -> tuple[Any, bool]:
        """The observation with a leading axis, and whether it had none."""
        environment = self._environment
        example = zero_element(environment.observation_space)
        structure = jax.tree.structure(example)
        try:
            parts = structure.flatten_up_to(observation)
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f"the observation is not built as those of {environment.name}: {error}"
            ) from None
        shapes = [leaf.shape for leaf in jax.tree.leaves(example)]
        dtypes = [leaf.dtype for leaf in jax.tree.leaves(example)]
        arrays = [np.asarray(part) for part in parts]
        for axes, is_single in ((0, True), (1, False)):
            pairs = zip(arrays, shapes, strict=True)
            counts = {x.shape[:axes] for x in arrays if x.ndim >= axes}
            if len(counts) == 1 and all(x.shape[axes:] == shape for x, shape in pairs):
                if is_single:
                    arrays = [x[None] for x in arrays]
                converted = [x.astype(d) for x, d in zip(arrays, dtypes, strict=True)]
                if not len(converted[0]):
                    raise ValueError("the batch has no observations")
                return structure.unflatten(converted), is_single
        given, wanted = [x.shape for x in arrays], list(shapes)
        if len(given) == 1:
            given, wanted = given[0], wanted[0]
        raise ValueError(
            f"the observation has shape {given}, and one of {environment.name} has {wanted}, or "
            "that behind one more axis for a batch"
        )

    def _as_actions(self, actions: Any, count: int) -> np.ndarray:
        space = self._environment.action_space
        actions = np.asarray(actions).reshape(count, *space.shape)
        if isinstance(space, Box):
            actions = np.clip(actions, *map(np.asarray, space.bounds())).astype(space.dtype)
        return actions


def load_policy(
    path: str | Path,
    member: int = 0,
    *,
    checkpoint: str = "newest",
    algorithm: Algorithm | None = None,
    seed: int = 0,
) -> TrainedPolicy:
    """Reads a trained policy: of a run folder, or of what `save_state` wrote.

    Args:
        path: the folder.
        member: which agent of a run.
        checkpoint: of a run, "newest" or "best", as for `runs.load`.
        algorithm: whose State it is, where `save_state` wrote it; a run knows its own.
        seed: of the draws of a policy that has some.

    Raises:
        ExperimentError: there is nothing that can be used.
        ValueError: there is no such member, or `algorithm` is missing or not needed.

    Example:
        policy = jaxrl.load("runs/demo", member=3)
        action = policy(observation)
    """
    path = Path(path)
    if (path / CONFIG).exists():
        if algorithm is not None:
            raise ValueError(f"{path} is a run, which knows its algorithm: leave it out")
        run = load(path, checkpoint=checkpoint)
        count = len(run.specification.members)
        given: Any = member
        if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given < count:
            raise ValueError(f"member={member!r}: {path} has the agents 0 to {count - 1}")
        steps = int(np.broadcast_to(run.progress.steps, (count,))[member])
        specification = run.specification
        name = (
            f"{specification.algorithm} on {specification.environment}, agent {member} of {count}, "
            f"{steps:,} steps"
        )
        return TrainedPolicy(
            run.algorithm_of(member),
            run.state_of(member),
            environment=build_task(specification, member),
            name=name,
            seed=seed,
        )
    if algorithm is None:
        if (path / checkpoints.CHECKPOINTS).exists():
            raise ValueError(f"{path} holds a State alone: give the algorithm that it is of")
        raise ExperimentError(f"{path} holds no run: it has no {CONFIG}")
    saved = checkpoints.load_newest(path, jax.eval_shape(algorithm.init, jax.random.key(0)))
    if saved is None:
        raise ExperimentError(f"{path} holds no State")
    return TrainedPolicy(algorithm, saved.state, seed=seed)


def save_state(path: str | Path, algorithm: Algorithm, state: State) -> None:
    """Writes the State of one agent to a folder, for `load_policy`; one that is there is replaced.

    Args:
        path: the folder; new, empty, or written by this function.
        algorithm: whose State it is.
        state: such as `train(key, algorithm).state`, of one agent.

    Raises:
        ExperimentError: the folder cannot be written, or holds a run.
        ValueError: the State is of another algorithm, or of several agents.

    Example:
        result = jaxrl.train(jax.random.key(0), algorithm)
        jaxrl.save("policies/demo", algorithm, result.state)
        policy = jaxrl.load("policies/demo", algorithm=algorithm)
    """
    path = Path(path)
    own = jax.eval_shape(algorithm.init, jax.random.key(0))
    described = [[(x.shape, x.dtype) for x in jax.tree.leaves(tree)] for tree in (own, state)]
    if jax.tree.structure(own) != jax.tree.structure(state) or described[0] != described[1]:
        raise ValueError(
            "the State is not one of this algorithm; of several agents, take one: "
            "jax.tree.map(lambda leaf: leaf[0], state)"
        )
    present = {x.name for x in path.iterdir()} if path.is_dir() else set()
    if (present and checkpoints.CHECKPOINTS not in present) or CONFIG in present:
        raise ExperimentError(f"{path} holds something else: choose another folder")
    with locked(path):
        nothing = Progress(iteration=np.int32(0), steps=np.int64(0))
        checkpoint = checkpoints.Checkpoint(state=state, progress=nothing, file_sizes={})
        checkpoints.save(path, checkpoint, total_steps=0, keep=1)
