"""Distributions against scipy, against frequencies and quadrature, and at their edges."""

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from jax import Array

from jaxrl.distributions import (
    Categorical,
    DiagonalGaussian,
    MultiCategorical,
    TanhGaussian,
    mask_logits,
)

LARGEST_UNIFORM = 1 - 2.0**-23
LOGITS = jnp.array([[0.5, -1.0, 2.0, 0.0], [3.0, 3.0, -4.0, 1.0]])


@functools.partial(jax.jit, static_argnums=1)
def sample_many(distribution: Any, num_samples: int) -> Array:
    """Samples [num_samples, *batch, ...] with a key each."""
    return jax.vmap(distribution.sample)(jax.random.split(jax.random.key(0), num_samples))


def assert_frequencies(actions: np.ndarray, probabilities: np.ndarray) -> None:
    """A chi-squared test; what has no probability must not occur at all."""
    probabilities = np.asarray(probabilities, np.float64)
    counts = np.bincount(actions, minlength=len(probabilities))
    possible = probabilities > 0
    assert not counts[~possible].any()
    if possible.sum() == 1:
        return
    expected = probabilities[possible] / probabilities[possible].sum() * len(actions)
    assert scipy.stats.chisquare(counts[possible], expected).pvalue > 1e-4


def test_categorical_equals_scipy() -> None:
    distribution, other = Categorical(LOGITS), Categorical(LOGITS[::-1])
    probabilities = np.asarray(jax.nn.softmax(LOGITS), np.float64)
    for action in range(4):
        np.testing.assert_allclose(
            distribution.log_probability(jnp.full(2, action)),
            np.log(probabilities[:, action]),
            rtol=1e-5,
        )
    expected = scipy.stats.entropy(probabilities, axis=1)
    np.testing.assert_allclose(distribution.entropy(), expected, rtol=1e-5)
    expected = scipy.stats.entropy(probabilities, probabilities[::-1], axis=1)
    np.testing.assert_allclose(distribution.kl_divergence(other), expected, rtol=1e-5)
    np.testing.assert_array_equal(distribution.mode(), [2, 0])


def test_categorical_samples_have_the_right_frequencies() -> None:
    actions = np.asarray(sample_many(Categorical(LOGITS), 40_000))
    assert actions.dtype == np.int32
    probabilities = np.asarray(jax.nn.softmax(LOGITS))
    for row in range(2):
        assert_frequencies(actions[:, row], probabilities[row])
    # The rows draw independently.
    joint = scipy.stats.contingency.crosstab(actions[:, 0], actions[:, 1]).count
    assert scipy.stats.chi2_contingency(joint).pvalue > 1e-4


def test_one_key_draws_each_row_of_a_large_batch_independently() -> None:
    actions = Categorical(jnp.zeros((3000, 4, 3))).sample(jax.random.key(1))
    assert actions.shape == (3000, 4)
    assert_frequencies(np.asarray(actions).ravel(), np.full(3, 1 / 3))


@pytest.mark.parametrize(
    "allowed", [(0, 0, 0, 1), (1, 0, 0, 0), (0, 1, 0, 1), (1, 0, 1, 0), (0, 1, 1, 0)]
)
def test_masked_actions_have_probability_zero(allowed: tuple[int, ...]) -> None:
    mask = jnp.array(allowed, bool)
    distribution = Categorical(mask_logits(LOGITS[0], mask))
    probabilities = np.where(allowed, np.asarray(jax.nn.softmax(LOGITS[0])), 0.0)
    probabilities /= probabilities.sum()
    every_action = jax.vmap(distribution.log_probability)(jnp.arange(4))
    np.testing.assert_allclose(np.exp(every_action), probabilities, rtol=1e-5)
    assert not np.exp(every_action)[~np.asarray(mask)].any()
    assert np.isfinite(every_action).all()
    np.testing.assert_allclose(
        distribution.entropy(), scipy.stats.entropy(probabilities), rtol=1e-5, atol=1e-7
    )
    assert_frequencies(np.asarray(sample_many(distribution, 5000)), probabilities)
    assert allowed[int(distribution.mode())]


def test_a_masked_action_is_never_drawn_from_many() -> None:
    """Many categories make the sums round, and the first and last ones lie at the edges."""
    mask = (jnp.arange(500) % 3 == 1).at[499].set(False)
    distribution = Categorical(mask_logits(jnp.sin(jnp.arange(500.0)), mask))
    actions = np.asarray(sample_many(distribution, 20_000))
    assert np.asarray(mask)[actions].all()
    assert len(np.unique(actions)) == mask.sum()


def fix_uniform(monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    monkeypatch.setattr(
        jax.random, "uniform", lambda key, shape, dtype: jnp.full(shape, value, dtype)
    )


def test_uniform_draws_at_their_extremes_stay_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = jnp.array([False, True, True, False, False])
    distribution = Categorical(mask_logits(jnp.arange(5.0), mask))
    for extreme, expected in [(0.0, 1), (LARGEST_UNIFORM, 2)]:
        fix_uniform(monkeypatch, extreme)
        assert distribution.sample(jax.random.key(0)) == expected


def test_probabilities_that_sum_to_less_than_the_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums of many probabilities round, and the largest draw must still find an allowed action."""
    fix_uniform(monkeypatch, LARGEST_UNIFORM)
    logits = jax.random.normal(jax.random.key(0), (200, 500))
    mask = jnp.broadcast_to(jnp.arange(500) % 499 > 0, logits.shape)
    distribution = Categorical(mask_logits(logits, mask))
    sums = jnp.cumsum(jax.nn.softmax(distribution.logits), axis=-1)[:, -1]
    assert (sums <= LARGEST_UNIFORM).any()
    actions = distribution.sample(jax.random.key(0))
    assert ((actions > 0) & (actions < 499)).all()


@pytest.mark.parametrize("uniform", [0.5 + 2.0**-24, LARGEST_UNIFORM])
def test_sums_that_round_differently_across_a_masked_action(
    monkeypatch: pytest.MonkeyPatch, uniform: float
) -> None:
    """As a parallel sum may: the masked second and last actions seem to have some probability."""
    rounded = jnp.array([0.5, 0.5 + 2.0**-22, 1.0, 1.0 + 2.0**-22])
    monkeypatch.setattr(jnp, "cumsum", lambda x, axis: rounded)
    fix_uniform(monkeypatch, uniform)
    mask = jnp.array([True, False, True, False])
    distribution = Categorical(mask_logits(jnp.zeros(4), mask))
    assert distribution.sample(jax.random.key(0)) == 2


@pytest.mark.parametrize("allowed", [(1, 0, 1, 0), (0, 0, 1, 0), (0, 0, 0, 0)])
def test_masks_give_finite_gradients_that_spare_masked_logits(allowed: tuple[int, ...]) -> None:
    mask = jnp.array(allowed, bool)

    def total(logits: Array) -> Array:
        distribution = Categorical(mask_logits(logits, mask))
        other = Categorical(mask_logits(-logits, mask))
        log_probability = distribution.log_probability(jnp.int32(2))
        return log_probability + distribution.entropy() + distribution.kl_divergence(other)

    value, gradient = jax.value_and_grad(total)(LOGITS[0])
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(np.asarray(gradient)[~np.asarray(mask)], 0.0)
    assert np.any(gradient != 0) == (sum(allowed) > 1)


def test_masking_does_not_depend_on_how_low_the_allowed_logits_are() -> None:
    mask = jnp.array([True, False, True, False])
    near, far = (Categorical(mask_logits(LOGITS[0] + shift, mask)) for shift in (0.0, -5000.0))
    np.testing.assert_allclose(far.entropy(), near.entropy(), rtol=1e-3)
    assert far.mode() == 2


def test_infinite_logits_are_masks_too() -> None:
    logits = jnp.array([0.0, -jnp.inf, 1.0])
    distribution = Categorical(logits)
    expected = scipy.stats.entropy(np.exp([0.0, 1.0]))
    np.testing.assert_allclose(distribution.entropy(), expected, rtol=1e-5)
    np.testing.assert_allclose(distribution.kl_divergence(distribution), 0.0)
    assert np.isfinite(jax.grad(lambda x: Categorical(x).entropy())(logits)).all()


def test_a_row_with_everything_masked_is_uniform() -> None:
    distribution = Categorical(mask_logits(LOGITS[0], jnp.zeros(4, bool)))
    np.testing.assert_allclose(distribution.entropy(), np.log(4), rtol=1e-5)


def test_half_precision_logits_are_sampled_as_well_as_full_ones() -> None:
    logits = jnp.zeros(300, jnp.bfloat16)
    actions = np.asarray(sample_many(Categorical(logits), 30_000))
    assert_frequencies(actions, np.full(300, 1 / 300))


@pytest.mark.parametrize("action", [4, -1, 100])
def test_an_action_that_does_not_exist_has_no_log_probability(action: int) -> None:
    """And no gradient; of a product, one factor is enough."""

    def score(logits: Array) -> Array:
        return Categorical(logits).log_probability(jnp.int32(action))

    value, gradient = jax.jit(jax.value_and_grad(score))(LOGITS[0])
    assert np.isnan(value)
    np.testing.assert_array_equal(gradient, 0.0)
    product = MultiCategorical(LOGITS[0], (1, 3))
    assert np.isnan(product.log_probability(jnp.array([0, action])))
    assert np.isfinite(product.log_probability(jnp.array([0, 2])))


def test_actions_that_exist_do_not_trip_the_checker_of_nan() -> None:
    logits = mask_logits(LOGITS[0], jnp.array([True, False, True, True]))
    with jax.debug_nans(True):
        for action in range(4):
            assert np.isfinite(Categorical(logits).log_probability(jnp.int32(action)))


def test_multi_categorical_is_the_product_of_its_factors() -> None:
    """Against the categorical over all 2 * 3 joint actions."""
    logits = jnp.array([0.3, -0.2, 1.0, 0.0, -1.0])
    other_logits = -logits
    sizes = (2, 3)
    distribution, other = (MultiCategorical(x, sizes) for x in (logits, other_logits))

    def joint(x: Array) -> np.ndarray:
        first, second = (np.asarray(jax.nn.softmax(part), np.float64) for part in (x[:2], x[2:]))
        return np.outer(first, second).ravel()

    p, q = joint(logits), joint(other_logits)
    actions = jnp.array(list(itertools.product(range(2), range(3))))
    log_probabilities = jax.vmap(distribution.log_probability)(actions)
    np.testing.assert_allclose(log_probabilities, np.log(p), rtol=1e-5)
    np.testing.assert_allclose(distribution.entropy(), scipy.stats.entropy(p), rtol=1e-5)
    np.testing.assert_allclose(
        distribution.kl_divergence(other), scipy.stats.entropy(p, q), rtol=1e-5
    )
    np.testing.assert_array_equal(distribution.mode(), [0, 0])
    drawn = np.asarray(sample_many(distribution, 30_000))
    assert_frequencies(drawn[:, 0] * 3 + drawn[:, 1], p)


def test_the_factors_of_an_action_are_drawn_apart():
    """Of two factors of 8 categories, an eighth of the draws agree."""
    distribution = MultiCategorical(jnp.zeros((1000, 16)), (8, 8))
    action = distribution.sample(jax.random.key(0))
    assert 0.08 < np.mean(action[:, 0] == action[:, 1]) < 0.18


def test_multi_categorical_over_a_batch() -> None:
    distribution = MultiCategorical(jnp.zeros((4, 5, 6)), (2, 3, 1))
    action = distribution.sample(jax.random.key(0))
    assert action.shape == (4, 5, 3)
    np.testing.assert_allclose(distribution.log_probability(action), -np.log(6), rtol=1e-5)
    np.testing.assert_allclose(distribution.entropy(), np.full((4, 5), np.log(6)), rtol=1e-5)
    with pytest.raises(AssertionError):
        MultiCategorical(jnp.zeros(7), (2, 3, 1)).entropy()


def test_gaussian_equals_scipy() -> None:
    mean, action = np.array([[0.5, -1.0, 3.0], [0.0, 2.0, 1.0]]), np.array([[0.7, -1.5, 2.0]] * 2)
    log_std = np.array([-1.0, 0.0, 0.5])
    distribution = DiagonalGaussian(jnp.array(mean), jnp.array(log_std))
    law = scipy.stats.norm(mean, np.exp(log_std))
    np.testing.assert_allclose(
        distribution.log_probability(jnp.array(action)), law.logpdf(action).sum(1), rtol=1e-5
    )
    np.testing.assert_allclose(distribution.entropy(), law.entropy().sum(1), rtol=1e-5)
    np.testing.assert_array_equal(distribution.mode(), mean.astype(np.float32))


def test_gaussian_divergence_equals_quadrature() -> None:
    p = DiagonalGaussian(jnp.array([0.5]), jnp.array([-0.5]))
    q = DiagonalGaussian(jnp.array([-0.3]), jnp.array([0.2]))
    law_p, law_q = (scipy.stats.norm(float(d.mean[0]), np.exp(float(d.log_std[0]))) for d in (p, q))
    expected, _ = scipy.integrate.quad(
        lambda x: law_p.pdf(x) * (law_p.logpdf(x) - law_q.logpdf(x)), -10, 10
    )
    np.testing.assert_allclose(p.kl_divergence(q), expected, rtol=1e-5)
    np.testing.assert_allclose(p.kl_divergence(p), 0.0)


def test_gaussian_divergence_of_close_policies_keeps_its_digits() -> None:
    """For a shift of log std by h the divergence is h^2 to first order, here 1e-8."""
    p, q = (DiagonalGaussian(jnp.zeros(1), jnp.array([h])) for h in (0.0, 1e-4))
    np.testing.assert_allclose(p.kl_divergence(q), 1e-8, rtol=1e-2)


def test_gaussian_samples_have_the_right_law() -> None:
    distribution = DiagonalGaussian(jnp.array([1.0, -2.0]), jnp.array([0.5, -1.0]))
    drawn = np.asarray(sample_many(distribution, 20_000))
    for i in range(2):
        law = scipy.stats.norm(distribution.mean[i], np.exp(distribution.log_std[i]))
        assert scipy.stats.kstest(drawn[:, i], law.cdf).pvalue > 1e-4
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 4 / np.sqrt(20_000)


def bounded(mean: float = 0.4, log_std: float = -0.3) -> TanhGaussian:
    return TanhGaussian(
        jnp.array([mean]), jnp.array([log_std]), low=jnp.array([-1.0]), high=jnp.array([3.0])
    )


@pytest.mark.parametrize(("mean", "log_std"), [(0.0, 0.0), (0.4, -1.0), (-1.0, 0.5)])
def test_tanh_gaussian_density_integrates_to_one(mean: float, log_std: float) -> None:
    distribution = bounded(mean, log_std)
    # The substitution action = 1 + 2 tanh(x) resolves the density at the bounds.
    x = np.linspace(-7, 7, 20_001)
    action = jnp.array(1 + 2 * np.tanh(x), jnp.float32)[:, None]
    density = np.exp(jax.jit(jax.vmap(distribution.log_probability))(action))
    integral = scipy.integrate.simpson(density * 2 / np.cosh(x) ** 2, x=x)
    np.testing.assert_allclose(integral, 1, rtol=2e-3)


def test_tanh_gaussian_sample_and_log_probability_agree_with_the_inverse() -> None:
    distribution = TanhGaussian(
        jnp.array([[0.1, -0.5]]),
        jnp.array([-0.5, 0.1]),
        jnp.array([-1.0, 0.0]),
        jnp.array([3.0, 9]),
    )
    action, log_probability = distribution.sample_and_log_probability(jax.random.key(2))
    np.testing.assert_allclose(distribution.log_probability(action), log_probability, rtol=1e-4)
    np.testing.assert_array_equal(action, distribution.sample(jax.random.key(2)))


def test_tanh_gaussian_samples_have_the_density_they_report() -> None:
    distribution = bounded()
    drawn = np.asarray(sample_many(distribution, 20_000))[:, 0]
    law = scipy.stats.norm(0.4, np.exp(-0.3))
    assert scipy.stats.kstest(np.arctanh((drawn - 1) / 2), law.cdf).pvalue > 1e-4
    np.testing.assert_allclose(distribution.mode(), [1 + 2 * np.tanh(0.4)], rtol=1e-6)
    np.testing.assert_allclose(np.median(drawn), distribution.mode()[0], atol=0.03)


def test_tanh_gaussian_divergence_ignores_the_shared_squashing() -> None:
    p, q = bounded(0.4, -0.3), bounded(-0.2, 0.1)
    keys = jax.random.split(jax.random.key(0), 20_000)
    actions = jax.vmap(p.sample)(keys)
    log_ratio = jax.vmap(p.log_probability)(actions) - jax.vmap(q.log_probability)(actions)
    np.testing.assert_allclose(p.kl_divergence(q), log_ratio.mean(), atol=0.02)


@pytest.mark.parametrize("mean", [-30.0, -9.0, 9.0, 30.0])
def test_tanh_gaussian_stays_finite_and_inside_at_the_bounds(mean: float) -> None:
    distribution = bounded(mean, 0.0)

    def total(distribution: TanhGaussian) -> Array:
        action, log_probability = distribution.sample_and_log_probability(jax.random.key(0))
        return jnp.sum(action) + log_probability

    value, gradient = jax.value_and_grad(total)(distribution)
    assert np.isfinite(value)
    assert np.isfinite(gradient.mean).all()
    assert np.isfinite(gradient.log_std).all()
    action = distribution.sample(jax.random.key(0))
    assert -1.0 <= action[0] <= 3.0

    for bound in (-1.0, 3.0):
        scored, gradient = jax.value_and_grad(TanhGaussian.log_probability)(
            distribution, jnp.array([bound])
        )
        assert np.isfinite(scored)
        assert np.isfinite(gradient.mean).all()


def test_tanh_gaussian_never_steps_over_a_bound_by_rounding() -> None:
    key_low, key_scale, key_high = jax.random.split(jax.random.key(0), 3)
    scale = 10.0 ** jax.random.randint(key_scale, (200,), -3, 3)
    low = -scale * jax.random.uniform(key_low, (200,))
    high = jax.random.uniform(key_high, (200,))
    assert (low + (high - low) > high).any()
    for mean in (-20.0, 20.0):
        action = TanhGaussian(jnp.full(200, mean), jnp.zeros(200), low, high).mode()
        assert (low <= action).all()
        assert (action <= high).all()


def test_tanh_gaussian_leaves_out_what_is_constant() -> None:
    """A second dimension with equal bounds: densities, divergences and gradients of the first."""
    one, other = (
        TanhGaussian(
            jnp.array([mean, 3.0]), jnp.array([-0.3, spread]), jnp.array([-1.0, 7.0]), high
        )
        for mean, spread, high in (
            (0.4, 0.2, jnp.array([3.0, 7.0])),
            (-0.2, 0.9, jnp.array([3.0, 7.0])),
        )
    )
    first, second = bounded(0.4, -0.3), bounded(-0.2, -0.3)
    action = one.sample(jax.random.key(0))
    assert action[1] == one.mode()[1] == 7
    expected = first.log_probability(action[:1])
    np.testing.assert_allclose(one.log_probability(action), expected, rtol=1e-6)
    np.testing.assert_allclose(one.kl_divergence(other), first.kl_divergence(second), rtol=1e-6)

    def score(distribution: TanhGaussian) -> Array:
        drawn, log_probability = distribution.sample_and_log_probability(jax.random.key(0))
        return log_probability + jnp.sum(drawn) + distribution.log_probability(action)

    value, gradient = jax.value_and_grad(score)(one)
    assert np.isfinite(value)
    assert gradient.mean[0] != 0
    assert gradient.mean[1] == gradient.log_std[1] == 0


def test_tanh_gaussian_accepts_plain_numbers_as_bounds() -> None:
    arrays = bounded()
    plain = TanhGaussian(arrays.mean, arrays.log_std, -1.0, 3.0)
    action = jnp.array([0.5])
    assert plain.log_probability(action) == arrays.log_probability(action)


def test_distributions_pass_through_jax() -> None:
    """As results and arguments of jit, vmap, grad and eval_shape."""
    distributions = [
        Categorical(LOGITS),
        MultiCategorical(LOGITS, (1, 3)),
        DiagonalGaussian(LOGITS, jnp.zeros((2, 4))),
        TanhGaussian(LOGITS, jnp.zeros((2, 4)), jnp.full((2, 4), -1.0), jnp.ones((2, 4))),
    ]
    for distribution in distributions:
        same = jax.jit(jax.vmap(lambda d: d))(distribution)
        jax.tree.map(np.testing.assert_array_equal, same, distribution)
        shapes = jax.eval_shape(lambda d: d, distribution)
        assert type(shapes) is type(distribution)
        keys = jax.random.split(jax.random.key(0), 2)
        action = jax.vmap(lambda key, d: d.sample(key))(keys, distribution)
        together = distribution.log_probability(action)
        alone = jax.vmap(lambda d, a: d.log_probability(a))(distribution, action)
        np.testing.assert_allclose(together, alone, rtol=1e-5)


@pytest.mark.parametrize(
    "distribution", [Categorical(LOGITS), DiagonalGaussian(LOGITS, jnp.zeros(4))]
)
def test_actions_that_would_broadcast_are_refused(
    distribution: Categorical | DiagonalGaussian,
) -> None:
    action = distribution.mode()
    with pytest.raises(AssertionError):
        distribution.log_probability(jnp.stack([action, action, action]))
