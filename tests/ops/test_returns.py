"""Returns against hand-computed values, against rlax, and against their definitions."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
import rlax
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import Array

from jaxrl.ops.returns import discounted_returns, gae, lambda_returns, n_step_returns, vtrace

DISCOUNT, LAMBDA, N = 0.9, 0.7, 3
CLIP_RHO, CLIP_C, CLIP_POLICY_GRADIENT_RHO = 1.3, 0.8, 1.1

jitted_gae = jax.jit(gae)
jitted_lambda_returns = jax.jit(lambda_returns)


def flags(*values: int) -> Array:
    return jnp.array(values, dtype=bool)


def never(length: int) -> Array:
    return jnp.zeros(length, dtype=bool)


def trajectory(seed: int, length: int) -> dict[str, Array]:
    names = ("log_ratio", "reward", "value", "next_value")
    arrays = jax.random.normal(jax.random.key(seed), (len(names), length))
    return dict(zip(names, arrays, strict=True))


@jax.jit
def estimate_all(
    log_ratio: Array,
    reward: Array,
    value: Array,
    next_value: Array,
    terminated: Array,
    truncated: Array,
) -> dict[str, Array]:
    """All estimates by name, each [T]."""
    ends = (terminated, truncated)
    corrected = vtrace(
        log_ratio, reward, value, next_value, *ends,
        discount=DISCOUNT, lambda_=LAMBDA, clip_rho=CLIP_RHO, clip_c=CLIP_C,
        clip_policy_gradient_rho=CLIP_POLICY_GRADIENT_RHO,
    )  # fmt: skip
    return {
        "discounted": discounted_returns(reward, next_value, *ends, discount=DISCOUNT),
        "n_step": n_step_returns(reward, next_value, *ends, discount=DISCOUNT, n=N),
        "lambda": lambda_returns(reward, next_value, *ends, discount=DISCOUNT, lambda_=LAMBDA),
        "gae": gae(reward, value, next_value, *ends, discount=DISCOUNT, gae_lambda=LAMBDA),
        **corrected._asdict(),
    }


def define_all(
    log_ratio: np.ndarray,
    reward: np.ndarray,
    value: np.ndarray,
    next_value: np.ndarray,
    terminated: np.ndarray,
    truncated: np.ndarray,
) -> dict[str, np.ndarray]:
    """The same by the textbook sums over each step's own episode."""
    ratio = np.exp(log_ratio.astype(np.float64))
    future = np.where(terminated, 0.0, next_value).astype(np.float64)
    delta = reward + DISCOUNT * future - value
    length = len(reward)
    results = {name: np.zeros(length) for name in ("discounted", "n_step", "lambda", "gae")}
    error = np.zeros(length + 1)
    for t in range(length):
        last = t
        while last < length - 1 and not (terminated[last] or truncated[last]):
            last += 1
        count = last - t + 1

        def n_step(n: int, t: int = t) -> float:
            rewards = sum(DISCOUNT**k * reward[t + k] for k in range(n))
            return rewards + DISCOUNT**n * future[t + n - 1]

        results["discounted"][t] = n_step(count)
        results["n_step"][t] = n_step(min(N, count))
        mixture = sum((1 - LAMBDA) * LAMBDA ** (n - 1) * n_step(n) for n in range(1, count))
        results["lambda"][t] = mixture + LAMBDA ** (count - 1) * n_step(count)
        results["gae"][t] = sum((DISCOUNT * LAMBDA) ** k * delta[t + k] for k in range(count))
        error[t] = sum(
            np.prod(DISCOUNT * LAMBDA * np.minimum(CLIP_C, ratio[t:k]))
            * np.minimum(CLIP_RHO, ratio[k])
            * delta[k]
            for k in range(t, last + 1)
        )
    ends = terminated | truncated
    next_error = np.where(ends, 0.0, error[1:])
    results["value_error"] = error[:-1]
    results["value_target"] = value + error[:-1]
    results["advantage"] = np.minimum(CLIP_POLICY_GRADIENT_RHO, ratio) * (
        delta + DISCOUNT * LAMBDA * next_error
    )
    return results


@pytest.mark.parametrize(
    ("gae_lambda", "expected"),
    [
        (1.0, [-1.45118, -4.4557, 2.5396, 0.5249, -0.49]),
        (0.7, [-0.676979, -5.248167, 2.4846, 0.6704, -0.49]),
        (0.4, [0.56731, -6.042, 2.3431, 0.815, -0.49]),
    ],
)
def test_gae_known_values(gae_lambda: float, expected: list[float]) -> None:
    reward = jnp.array([0.0, 0.0, 1.0, 0.0, -0.5])
    value = jnp.array([1.0, 4.0, -3.0, -2.0, -1.0, -1.0])
    advantage = jitted_gae(
        reward, value[:-1], value[1:], never(5), never(5), discount=0.99, gae_lambda=gae_lambda
    )
    np.testing.assert_allclose(advantage, expected, atol=1e-3)  # published to 3 digits


@pytest.mark.parametrize(
    ("gae_lambda", "expected"),
    [(1.0, [3.0, 2.0, 1.0, 0.0, -4.9]), (0.7, [2.2899, 1.73, 1.0, 0.0, -4.9])],
)
def test_gae_known_values_with_a_termination(gae_lambda: float, expected: list[float]) -> None:
    reward = jnp.array([0.0, 0.0, 0.0, 0.0, 1.0])
    value = jnp.array([-3.0, -2.0, -1.0, 0.0, 5.0, -1.0])
    advantage = jitted_gae(
        reward, value[:-1], value[1:], flags(0, 0, 0, 1, 0), never(5),
        discount=0.9, gae_lambda=gae_lambda,
    )  # fmt: skip
    np.testing.assert_allclose(advantage, expected, atol=1e-3)  # published to 3 digits


def test_lambda_and_n_step_returns_known_values() -> None:
    reward = jnp.array([1.0, 0.0, -1.0, 0.0, 1.0])
    discount = jnp.array([0.5, 0.9, 1.0, 0.5, 0.8])
    next_value = jnp.array([3.0, 1.0, 5.0, -5.0, 3.0])
    inputs = (reward, next_value, never(5), never(5))
    np.testing.assert_allclose(
        jitted_lambda_returns(*inputs, discount=discount, lambda_=0.75),
        [1.6460547, 0.72281253, 0.7375, 0.65, 3.4],
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        n_step_returns(*inputs, discount=discount, n=3), [2.8, -3.15, 0.7, 1.7, 3.4], rtol=1e-5
    )


def test_vtrace_known_values() -> None:
    behaviour = jax.nn.log_softmax(jnp.array([[8.9, 0.7], [5.0, 1.0], [0.6, 0.1], [-0.9, -0.1]]))
    target = jax.nn.log_softmax(jnp.array([[0.4, 0.5], [9.2, 8.8], [0.7, 4.4], [7.9, 1.4]]))
    taken = jnp.arange(4), jnp.array([0, 1, 0, 0])
    value = jnp.array([2.1, 1.1, -3.1, 0.0])
    estimate = vtrace(
        target[taken] - behaviour[taken],
        jnp.array([-1.3, -1.3, 2.3, 42.0]),
        value,
        jnp.append(value[1:], 8.4),
        never(4),
        never(4),
        discount=jnp.array([0.0, 0.89, 0.85, 0.99]),
    )
    errors = [-1.6155143, -3.4973226, 1.8670533, 50.316002]
    np.testing.assert_allclose(estimate.value_error, errors, rtol=1e-5)
    np.testing.assert_allclose(estimate.value_target, value + jnp.array(errors), rtol=1e-5)


def test_rewards_to_go_of_the_three_games() -> None:
    for reward, expected in [((1, 0, 1), (2, 1, 1)), ((0, 0, 1), (1, 1, 1))]:
        returns = discounted_returns(
            jnp.array(reward, float), jnp.zeros(3), flags(0, 0, 1), never(3), discount=1.0
        )
        np.testing.assert_array_equal(returns, expected)


def test_truncation_by_hand() -> None:
    """Three steps, the second truncated: its successor is worth 10, the next episode's start 100.

    With discount 1/2 and lambda 1: delta = (1 + 2 - 4, 1 + 5 - 4, 1 + 3 - 100) = (-1, 2, -96), and
    the first step's advantage is -1 + 2/2 = 0; nothing of the -96 flows back.
    """
    reward = jnp.ones(3)
    value = jnp.array([4.0, 4.0, 100.0])
    next_value = jnp.array([4.0, 10.0, 6.0])
    ends = (never(3), flags(0, 1, 0))
    advantage = gae(reward, value, next_value, *ends, discount=0.5, gae_lambda=1.0)
    np.testing.assert_allclose(advantage, [0.0, 2.0, -96.0])
    returns = discounted_returns(reward, next_value, *ends, discount=0.5)
    np.testing.assert_allclose(returns, [4.0, 6.0, 4.0])
    two_step = n_step_returns(reward, next_value, *ends, discount=0.5, n=2)
    np.testing.assert_allclose(two_step, [4.0, 6.0, 4.0])


def test_terminated_wins_over_truncated() -> None:
    data = trajectory(0, 6)
    end = flags(0, 0, 1, 0, 0, 0)
    both = estimate_all(**data, terminated=end, truncated=end)
    only_terminated = estimate_all(**data, terminated=end, truncated=never(6))
    only_truncated = estimate_all(**data, terminated=never(6), truncated=end)
    for name, expected in only_terminated.items():
        np.testing.assert_array_equal(both[name], expected, err_msg=name)
        assert not np.allclose(only_truncated[name], expected), name


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1000),
    terminated=st.lists(st.booleans(), min_size=7, max_size=7),
    truncated=st.lists(st.booleans(), min_size=7, max_size=7),
)
def test_all_equal_their_definitions(
    seed: int, terminated: list[bool], truncated: list[bool]
) -> None:
    ends = {"terminated": np.array(terminated), "truncated": np.array(truncated)}
    data = trajectory(seed, 7)
    actual = estimate_all(**data, **{k: jnp.array(v) for k, v in ends.items()})
    expected = define_all(**{k: np.asarray(v) for k, v in data.items()}, **ends)
    assert actual.keys() == expected.keys()
    for name in expected:
        np.testing.assert_allclose(actual[name], expected[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_a_trajectory_equals_its_episodes_alone() -> None:
    data = trajectory(3, 7)
    whole = estimate_all(
        **data, terminated=flags(0, 0, 0, 0, 1, 0, 0), truncated=flags(0, 0, 1, 0, 0, 0, 0)
    )
    for start, end in [(0, 3), (3, 5), (5, 7)]:
        terminated = jnp.zeros(end - start, bool).at[-1].set(end == 5)
        piece = {name: array[start:end] for name, array in data.items()}
        alone = estimate_all(**piece, terminated=terminated, truncated=never(end - start))
        for name in whole:
            np.testing.assert_allclose(whole[name][start:end], alone[name], rtol=1e-5, atol=1e-6)


@jax.jit
def rlax_estimates(
    ratio: Array, reward: Array, value: Array, next_value: Array, discount: Array
) -> dict[str, Array]:
    corrected = rlax.vtrace_td_error_and_advantage(
        value, next_value, reward, discount, ratio,
        lambda_=LAMBDA, clip_rho_threshold=CLIP_RHO,
        clip_pg_rho_threshold=CLIP_POLICY_GRADIENT_RHO,
    )  # fmt: skip
    return {
        "discounted": rlax.discounted_returns(reward, discount, next_value),
        "n_step": rlax.n_step_bootstrapped_returns(reward, discount, next_value, N),
        "lambda": rlax.lambda_returns(reward, discount, next_value, LAMBDA),
        "gae": rlax.truncated_generalized_advantage_estimation(
            reward, discount, LAMBDA, jnp.append(value, next_value[-1])
        ),
        "value_error": corrected.errors,
        "advantage": corrected.pg_advantage,
    }


@pytest.mark.parametrize("seed", range(3))
def test_all_equal_rlax_with_terminations_inside(seed: int) -> None:
    length = 20
    data = trajectory(seed, length)
    # rlax fixes c's clip at 1 and knows one value per step, so the successor's is the next step's.
    value, log_ratio = data["value"], data["log_ratio"]
    next_value = jnp.append(value[1:], data["next_value"][-1])
    terminated = jax.random.bernoulli(jax.random.key(seed + 50), 0.2, (length,))
    discount = jnp.where(terminated, 0.0, DISCOUNT)
    expected = rlax_estimates(jnp.exp(log_ratio), data["reward"], value, next_value, discount)

    ends = (terminated, never(length))
    actual = estimate_all(log_ratio, data["reward"], value, next_value, *ends)
    corrected = vtrace(
        log_ratio, data["reward"], value, next_value, *ends,
        discount=DISCOUNT, lambda_=LAMBDA, clip_rho=CLIP_RHO,
        clip_policy_gradient_rho=CLIP_POLICY_GRADIENT_RHO,
    )  # fmt: skip
    actual |= {"value_error": corrected.value_error, "advantage": corrected.advantage}
    for name in expected:
        np.testing.assert_allclose(actual[name], expected[name], rtol=2e-4, atol=1e-5, err_msg=name)


def test_values_of_a_constant_reward_with_only_truncations_are_a_fixed_point() -> None:
    length = 12
    value = jnp.full(length, 1 / (1 - DISCOUNT))
    truncated = jnp.arange(length) % 5 == 4
    estimates = estimate_all(
        jnp.zeros(length), jnp.ones(length), value, value, never(length), truncated
    )
    for name in ("discounted", "n_step", "lambda", "value_target"):
        np.testing.assert_allclose(estimates[name], value, rtol=1e-5, err_msg=name)
    for name in ("gae", "value_error", "advantage"):
        np.testing.assert_allclose(estimates[name], 0.0, atol=1e-5, err_msg=name)


def test_on_policy_vtrace_is_the_lambda_return_and_gae() -> None:
    data = trajectory(8, 9)
    ends = (flags(0, 0, 0, 1, 0, 0, 0, 0, 0), flags(0, 0, 0, 0, 0, 0, 1, 0, 0))
    arrays = (data["reward"], data["value"], data["next_value"], *ends)
    estimate = vtrace(jnp.zeros(9), *arrays, discount=DISCOUNT, lambda_=LAMBDA)
    advantage = gae(*arrays, discount=DISCOUNT, gae_lambda=LAMBDA)
    np.testing.assert_allclose(estimate.value_error, advantage, rtol=1e-5)
    np.testing.assert_allclose(estimate.advantage, advantage, rtol=1e-5)


def test_gae_plus_value_is_the_lambda_return_where_the_values_agree() -> None:
    data = trajectory(9, 9)
    next_value = jnp.append(data["value"][1:], 0.3)
    ends = (flags(0, 0, 0, 0, 1, 0, 0, 0, 0), never(9))
    advantage = jitted_gae(
        data["reward"], data["value"], next_value, *ends, discount=DISCOUNT, gae_lambda=LAMBDA
    )
    returns = jitted_lambda_returns(
        data["reward"], next_value, *ends, discount=DISCOUNT, lambda_=LAMBDA
    )
    np.testing.assert_allclose(advantage + data["value"], returns, rtol=1e-5, atol=1e-6)


def test_vmapped_over_environments_and_discounts_equals_one_by_one() -> None:
    batch = {name: jnp.stack([trajectory(s, 6)[name] for s in range(3)], 1) for name in
             ("reward", "value", "next_value")}  # fmt: skip
    terminated = jax.random.bernoulli(jax.random.key(1), 0.3, (6, 3))
    truncated = jax.random.bernoulli(jax.random.key(2), 0.3, (6, 3))
    arrays = (*batch.values(), terminated, truncated)
    discounts = jnp.array([0.5, 0.99])

    def one(discount: Array, *arrays: Array) -> Array:
        return gae(*arrays, discount=discount, gae_lambda=LAMBDA)

    over_environments: Callable[..., Array] = jax.vmap(
        one, in_axes=(None, *[1] * len(arrays)), out_axes=1
    )
    together = jax.vmap(over_environments, in_axes=(0, *[None] * len(arrays)))(discounts, *arrays)
    assert together.shape == (2, 6, 3)
    for i, discount in enumerate(discounts):
        for j in range(3):
            alone = jax.jit(one)(discount, *[array[:, j] for array in arrays])
            np.testing.assert_allclose(together[i, :, j], alone, rtol=1e-5, atol=1e-6)


def test_vtrace_stays_finite_for_extreme_ratios() -> None:
    data = trajectory(4, 4)
    arrays = (data["reward"], data["value"], data["next_value"], never(4), never(4))

    def total(log_ratio: Array) -> Array:
        estimate = vtrace(log_ratio, *arrays, discount=DISCOUNT)
        return sum(jnp.sum(leaf) for leaf in estimate)

    value, gradient = jax.value_and_grad(total)(jnp.array([200.0, -200.0, 0.5, -0.5]))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_a_wrong_number_of_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="n=0 must be at least 1"):
        n_step_returns(jnp.ones(4), jnp.ones(4), never(4), never(4), discount=0.9, n=0)


def test_shapes_that_would_broadcast_are_refused() -> None:
    # The users' programs run without the annotations' checks, so they must not do the refusing.
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        for reward in (jnp.ones((4, 1)), jnp.ones(1)):
            with pytest.raises(AssertionError):
                lambda_returns(reward, jnp.ones(4), never(4), never(4), discount=0.9, lambda_=0.9)
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.parametrize("unread", [jnp.nan, jnp.inf, -jnp.inf])
def test_what_follows_an_end_is_not_read(unread: float) -> None:
    """A value where the episode terminated, and whatever the next episode holds."""
    reward, terminated, truncated = jnp.ones(2), flags(1, 0), flags(0, 0)
    next_value = jnp.array([unread, 3.0])
    ends, discount = (terminated, truncated), 0.9
    whole = discounted_returns(reward, next_value, *ends, discount=discount)
    np.testing.assert_allclose(whole, [1.0, 3.7], rtol=1e-6)
    mixed = lambda_returns(reward, next_value, *ends, discount=discount, lambda_=0.5)
    np.testing.assert_allclose(mixed, [1.0, 3.7], rtol=1e-6)
    for n in (1, 2, 5):
        some = n_step_returns(reward, next_value, *ends, discount=discount, n=n)
        np.testing.assert_allclose(some, [1.0, 3.7], rtol=1e-6)

    # The second episode is spoilt from its first step on; the first one is none the worse for it.
    spoilt = jnp.array([1.0, 2.0, unread, unread])
    value, next_value = jnp.array([1.0, 1.0, unread, unread]), jnp.array([1.0, 5.0, unread, unread])
    at_end = flags(0, 1, 0, 0)
    for ends, worth in (((at_end, never(4)), 0.0), ((never(4), at_end), 4.5)):
        expected = [1 + 0.9 * (2 + worth), 2 + worth]
        arguments = (spoilt, next_value, *ends)
        np.testing.assert_allclose(
            discounted_returns(*arguments, discount=0.9)[:2], expected, rtol=1e-6
        )
        np.testing.assert_allclose(
            n_step_returns(*arguments, discount=0.9, n=4)[:2], expected, rtol=1e-6
        )
        np.testing.assert_allclose(
            lambda_returns(*arguments, discount=0.9, lambda_=1.0)[:2], expected, rtol=1e-6
        )
        advantage = gae(spoilt, value, next_value, *ends, discount=0.9, gae_lambda=1.0)
        np.testing.assert_allclose(advantage[:2], np.array(expected) - 1, rtol=1e-6)
        corrected = vtrace(jnp.zeros(4), spoilt, value, next_value, *ends, discount=0.9)
        np.testing.assert_allclose(corrected.value_target[:2], expected, rtol=1e-6)
        np.testing.assert_allclose(corrected.advantage[:2], np.array(expected) - 1, rtol=1e-6)


def test_weights_of_zero_read_nothing() -> None:
    """With lambda 1 values within an episode have no weight, with discount 0 no future has."""
    reward, ends = jnp.array([1.0, 2.0, 4.0]), (never(3), never(3))
    next_value = jnp.array([jnp.nan, jnp.nan, 10.0])
    returns = lambda_returns(reward, next_value, *ends, discount=0.5, lambda_=1.0)
    np.testing.assert_allclose(returns, [1 + 1 + 1 + 1.25, 2 + 2 + 2.5, 4 + 5], rtol=1e-6)
    nothing = jnp.full(3, jnp.nan)
    for lambda_ in (0.0, 0.5, 1.0):
        only = lambda_returns(reward, nothing, *ends, discount=0.0, lambda_=lambda_)
        np.testing.assert_array_equal(only, reward)
        advantage = gae(reward, jnp.zeros(3), nothing, *ends, discount=0.0, gae_lambda=lambda_)
        np.testing.assert_array_equal(advantage, reward)


def test_unlimited_vtrace_stays_finite() -> None:
    """exp(100) is no float32, and 0 times it none either."""
    log_ratio = jnp.array([100.0, -jnp.inf, 0.0])
    reward, zeros = jnp.array([0.0, 1.0, 1.0]), jnp.zeros(3)
    corrected = vtrace(
        log_ratio, reward, zeros, zeros, never(3), never(3),
        discount=0.9, clip_rho=jnp.inf, clip_c=jnp.inf, clip_policy_gradient_rho=jnp.inf,
    )  # fmt: skip
    assert all(np.isfinite(leaf).all() for leaf in corrected)
    np.testing.assert_allclose(corrected.value_error, [0.0, 0.0, 1.0], atol=1e-6)
