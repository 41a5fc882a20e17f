"""The mutants: what is broken where, and which tests must notice.

Snippets are short, and stand exactly once in their file (`tests/test_mutants.py` checks it). A test
is named without the leading `tests/`; one or two that take seconds are enough.
"""

import itertools
import pathlib
from collections.abc import Iterable
from typing import NamedTuple


class Mutant(NamedTuple):
    """One mistake.

    Attributes:
        name: of the mistake, for people.
        path: of the file, from the project's root.
        original: what stands there, exactly once.
        replacement: what stands there instead.
        tests: pytest's names, of which one must fail.
    """

    name: str
    path: str
    original: str
    replacement: str
    tests: tuple[str, ...]


def stale(root: pathlib.Path, mutants: Iterable[Mutant]) -> list[str]:
    """What no longer fits: snippets that do not stand exactly once in their file."""
    problems = []
    for mutant in mutants:
        path = root / mutant.path
        count = path.read_text().count(mutant.original) if path.exists() else 0
        if count != 1:
            problems.append(
                f"{mutant.name}: {mutant.original!r} stands {count} times in {mutant.path}"
            )
    return problems


def _of(path: str, *rows: tuple[str, str, str, *tuple[str, ...]]) -> list[Mutant]:
    """Mutants of one file of the package: rows of (name, original, replacement, *tests)."""
    return [
        Mutant(
            name, f"jaxrl/{path}", original, replacement, tuple(f"tests/{test}" for test in tests)
        )
        for name, original, replacement, *tests in rows
    ]


_RETURNS = "ops/test_returns.py::"
_DISTRIBUTIONS = "test_distributions.py::"
_STATISTICS = "ops/test_statistics.py::"
_ACTION_VALUES = "ops/test_action_values.py::"
_EPISODES = "policy_gradient/test_reinforce_estimate.py::TestByHand"
_ACTOR_CRITICS = "actor_critic/test_actor_critics.py::"
_FRESH = "loops/test_fresh_keys.py::"
_NESTED_TESTS = "test_nested_observations.py::"
_WORLDS = "loops/test_worlds.py::"
_FRESH_Q = "actor_critic/test_fresh_keys.py::"
_FRESH_ENVIRONMENTS = "environments/test_fresh_keys.py::"

_OPERATIONS = [
    _of(
        "ops/returns.py",
        (
            "gae-without-lambda",
            "_trace(terminated, truncated, discount) * gae_lambda)",
            "_trace(terminated, truncated, discount))",
            _RETURNS + "test_gae_known_values",
        ),
        (
            "advantages-flow-back-over-a-time-limit",
            "return jnp.where(jnp.logical_or(terminated, truncated), 0.0, discount)",
            "return jnp.where(terminated, 0.0, discount)",
            _RETURNS + "test_truncation_by_hand",
        ),
        (
            "lambda-and-its-complement-swapped",
            "weighted(bootstrap_discount * (1 - trace), next_value)",
            "weighted(bootstrap_discount * trace, next_value)",
            _RETURNS + "test_lambda_and_n_step_returns_known_values",
        ),
        (
            "returns-flow-back-over-a-time-limit",
            "trace = jnp.where(ends, 0.0, lambda_)",
            "trace = jnp.where(terminated, 0.0, lambda_)",
            _RETURNS + "test_truncation_by_hand",
        ),
        (
            "n-plus-1-steps",
            "fori_loop(0, n - 1, add_reward",
            "fori_loop(0, n, add_reward",
            _RETURNS + "test_lambda_and_n_step_returns_known_values",
        ),
        (
            "importance-ratios-without-a-limit",
            "return jnp.minimum(probability_ratio(log_ratio), clip)",
            "return probability_ratio(log_ratio)",
            _RETURNS + "test_vtrace_known_values",
        ),
        (
            "vtrace-takes-the-error-of-the-same-step-for-the-next-ones",
            "jnp.append(value_error[1:], 0.0)",
            "value_error",
            _RETURNS + "test_all_equal_their_definitions",
        ),
    ),
    _of(
        "ops/value_losses.py",
        (
            "a-termination-is-bootstrapped",
            "jnp.where(terminated, 0.0, next_value))",
            "next_value)",
            "ops/test_value_losses.py::test_td_error_bootstraps_a_truncation_and_not_a_termination",
        ),
        (
            "the-clipped-value-loss-is-optimistic",
            "loss = jnp.maximum(",
            "loss = jnp.minimum(",
            "ops/test_value_losses.py::test_clipped_value_loss_by_hand",
        ),
        (
            "huber-is-linear-with-slope-1",
            "threshold * (distance - quadratic)",
            "(distance - quadratic)",
            "ops/test_value_losses.py::test_huber_loss_by_hand",
            "ops/test_value_losses.py::test_huber_loss_equals_optax",
        ),
        (
            "the-squared-loss-is-not-halved",
            "return 0.5 * jnp.mean(weight",
            "return jnp.mean(weight",
            "ops/test_value_losses.py::test_squared_loss_by_hand",
        ),
    ),
    _of(
        "ops/policy_losses.py",
        (
            "the-surrogate-takes-the-larger-of-both",
            "jnp.minimum(ratio",
            "jnp.maximum(ratio",
            "ops/test_policy_losses.py::test_clipped_surrogate_known_values",
        ),
        (
            "the-score-goes-downhill",
            "return -jnp.mean(weighted(weight, log_probability))",
            "return jnp.mean(weighted(weight, log_probability))",
            _EPISODES,
        ),
    ),
    _of(
        "ops/action_values.py",
        (
            "q-targets-are-not-discounted",
            "return reward + weighted(discount, next_value)",
            "return reward + next_value",
            _ACTION_VALUES + "test_target_of_a_termination_and_a_truncation_by_hand",
        ),
        (
            "double-q-chooses-by-the-target",
            "jnp.argmax(online, axis=-1)",
            "jnp.argmax(target, axis=-1)",
            _ACTION_VALUES + "test_double_q_by_hand",
        ),
        (
            "smoothing-noise-is-not-clipped",
            "half_width * jnp.clip(noise, -noise_clip, noise_clip)",
            "half_width * noise",
            _ACTION_VALUES + "test_smoothing_clips_the_noise_and_keeps_within_the_bounds",
        ),
        (
            "entropy-costs",
            "return value - temperature * log_probability",
            "return value + temperature * log_probability",
            _ACTION_VALUES + "test_entropy_target_of_twin_critics_by_hand",
        ),
        (
            "the-temperature-falls-where-the-entropy-is-too-low",
            "return -log_temperature * jnp.mean(",
            "return log_temperature * jnp.mean(",
            _ACTION_VALUES + "test_temperature_by_hand",
        ),
    ),
    _of(
        "ops/statistics.py",
        (
            "standardised-numbers-are-divided-by-their-variance",
            "jnp.std(x)",
            "jnp.var(x)",
            _STATISTICS + "test_standardised_numbers_have_mean_0_and_deviation_1",
        ),
        (
            "batches-merge-without-the-distance-of-their-means",
            "spread = (1 - share) * jnp.square(coarse + fine)",
            "spread = 0.0 * jnp.square(coarse + fine)",
            _STATISTICS + "test_batches_merge_to_the_moments_of_all_samples",
        ),
        (
            "what-is-not-finite-enters-the-moments",
            "return jnp.abs(x) <= _LARGEST",
            "return jnp.abs(x) == jnp.abs(x)",
            _STATISTICS + "test_what_is_no_measurement_is_left_out",
        ),
        (
            "the-digits-of-a-large-mean-are-lost",
            "remainder=first_rest + second_rest",
            "remainder=0.0 * first_rest",
            _STATISTICS + "test_a_constant_normalizes_to_exactly_zero",
            _STATISTICS + "test_a_large_offset_that_moves_keeps_the_digits",
        ),
        (
            "normalised-by-the-variance",
            "jnp.sqrt(variance + 1e-8)",
            "(variance + 1e-8)",
            _STATISTICS + "test_normalized_samples_have_moments_zero_and_one",
        ),
        (
            "the-kl-estimate-drops-a-term",
            "jnp.expm1(bounded) - bounded",
            "-bounded",
            _STATISTICS
            + "test_approximate_kl_of_actions_in_their_exact_frequencies_is_the_divergence",
        ),
        (
            "the-unexplained-variance",
            "1 - unexplained / ",
            "unexplained / ",
            _STATISTICS + "test_explained_variance_by_hand",
        ),
    ),
    _of(
        "ops/weighting.py",
        (
            "what-has-no-weight-is-multiplied-by-0",
            "return weight * counted(weight, x)",
            "return weight * x",
            "ops/test_action_values.py",
            "ops/test_returns.py",
        ),
        (
            "ratios-overflow",
            "bounded = jnp.minimum(log_ratio, LARGEST_LOG_RATIO)",
            "bounded = log_ratio",
            "ops/test_policy_losses.py",
        ),
    ),
    _of(
        "ops/baselines.py",
        (
            "leave-one-out-leaves-none-out",
            "keepdims=True) - own",
            "keepdims=True)",
            "ops/test_baselines.py::test_mean_over_the_other_episodes_that_run",
        ),
    ),
    _of(
        "ops/fitness.py",
        (
            "ranks-do-not-reach-one-half",
            "rank / (fitness.shape[0] - 1)",
            "rank / fitness.shape[0]",
            "ops/test_fitness.py::test_ranks_by_hand",
        ),
        (
            "the-worst-are-the-elite",
            "jnp.argsort(-values",
            "jnp.argsort(values",
            "ops/test_fitness.py::test_elites_by_hand",
        ),
    ),
    _of(
        "learning/minibatches.py",
        (
            "the-same-order-in-every-epoch",
            "random_permutation(key_shuffle, size)",
            "random_permutation(key, size)",
            "learning/test_minibatches.py",
        ),
        (
            "minibatches-are-not-shuffled",
            "random_permutation(key_shuffle, size)",
            "jnp.arange(size)",
            "learning/test_minibatches.py",
        ),
    ),
    _of(
        "ops/shuffling.py",
        (
            "permutations-do-not-depend-on-the-increments",
            "x * multipliers[i] + increments[i]",
            "x * multipliers[i]",
            "ops/test_shuffling.py::test_every_index_lands_everywhere_equally_often",
        ),
    ),
    _of(
        "ops/successors.py",
        (
            "limits-in-the-midst-of-a-rollout-are-passed-over",
            "jnp.any(cut_off[:-1])",
            "jnp.any(cut_off[:0])",
            "ops/test_successors.py::test_a_limit_in_the_midst_needs_the_next_observations",
        ),
    ),
    _of(
        "ops/target_updates.py",
        (
            "targets-keep-tau-and-take-the-rest",
            "(1 - tau) * old + tau * new",
            "tau * old + (1 - tau) * new",
            "ops/test_target_updates.py::test_soft_update_by_hand",
        ),
        (
            "targets-follow-one-update-late",
            "% period == 0",
            "% period == 1",
            "ops/test_target_updates.py::test_periodic_copies_are_rlaxs",
        ),
    ),
    _of(
        "ops/trust_region.py",
        (
            "the-step-ends-within-the-region",
            "jnp.sqrt(2 * radius /",
            "jnp.sqrt(radius /",
            "ops/test_trust_region.py::test_step_is_the_closed_form_and_ends_on_the_border",
        ),
        (
            "the-line-search-forgets-the-distance",
            "(new_loss < start_loss) & (new_distance <= max_distance)",
            "(new_loss < start_loss)",
            "ops/test_trust_region.py::test_line_search_by_hand",
        ),
    ),
]

_ROOT_MODULES = [
    _of(
        "distributions.py",
        (
            "a-gaussians-density-lacks-its-constant",
            "+ log_std + 0.5 * math.log(2 * math.pi)",
            "+ log_std",
            _DISTRIBUTIONS + "test_gaussian_equals_scipy",
        ),
        (
            "no-correction-for-the-tanh",
            "information = _information(x, self.mean, self.log_std) + log_slope",
            "information = _information(x, self.mean, self.log_std)",
            _DISTRIBUTIONS + "test_tanh_gaussian_density_integrates_to_one",
        ),
        (
            "no-correction-for-the-width-of-the-bounds",
            "+ log_slope + log_half_range",
            "+ log_slope",
            _DISTRIBUTIONS + "test_tanh_gaussian_density_integrates_to_one",
        ),
        (
            "entropy-with-the-wrong-sign",
            "return -jnp.sum(probability * information, axis=-1)",
            "return jnp.sum(probability * information, axis=-1)",
            _DISTRIBUTIONS + "test_categorical_equals_scipy",
        ),
        (
            "forbidden-actions-are-allowed",
            "return jnp.where(mask, logits, jnp.finfo(logits.dtype).min)",
            "return logits",
            _DISTRIBUTIONS + "test_masked_actions_have_probability_zero",
        ),
        (
            "all-rows-of-a-gaussian-draw-alike",
            "jax.random.normal(key, self.mean.shape, self.mean.dtype)",
            "jax.random.normal(key, self.mean.shape[-1:], self.mean.dtype)",
            "test_fresh_draws.py",
        ),
        (
            "one-key-for-all-factors-of-an-action",
            "factor.sample(keys[i])",
            "factor.sample(keys[0])",
            _DISTRIBUTIONS + "test_the_factors_of_an_action_are_drawn_apart",
        ),
    ),
    _of(
        "learning/normalization.py",
        (
            "statistics-change-before-the-agent-has-learnt",
            "        seen = transitions._replace(\n            observation=scaled(",
            "        state = state._replace(statistics=update_statistics(\n"
            "            state.statistics, _seen(transitions.observation)))\n"
            "        seen = transitions._replace(\n            observation=scaled(",
            "learning/test_normalization.py::TestObservations::test_learner_sees_what_the_actor_saw",
        ),
        (
            "a-final-observation-is-not-normalised",
            "next_observation=scaled(state, transitions.next_observation)",
            "next_observation=transitions.next_observation",
            "learning/test_normalization.py::TestObservations::"
            "test_successors_are_scaled_with_the_same_statistics",
        ),
        (
            "a-replayed-successor-is-not-normalised",
            "next_observation=_standardized(statistics, batch.next_observation, clip)",
            "next_observation=batch.next_observation",
            "learning/test_normalization.py::TestReplayedObservations::"
            "test_what_is_replayed_and_its_successor_are_seen_alike",
        ),
        (
            "off-policy-statistics-of-the-successors",
            "observation = _seen(transitions.observation)\n"
            "        statistics = update_observed(state.statistics, observation)\n        seen",
            "observation = _seen(transitions.next_observation)\n"
            "        statistics = update_observed(state.statistics, observation)\n        seen",
            "learning/test_normalization.py::TestReplayedObservations::"
            "test_statistics_are_those_of_what_actions_were_chosen_from",
        ),
        (
            "the-policy-sees-raw-observations",
            "inner.act(key, carry, _standardized(statistics, observation, clip))",
            "inner.act(key, carry, observation)",
            "learning/test_normalization.py::TestObservations::"
            "test_statistics_are_those_of_all_observations",
        ),
        (
            "the-return-that-scales-rewards-is-not-discounted",
            "running = reward + discount * running",
            "running = reward + running",
            "learning/test_normalization.py::TestRewards::test_by_hand",
        ),
        (
            "the-return-that-scales-rewards-runs-over-an-episodes-end",
            "return jnp.where(ended, 0.0, running), running",
            "return running, running",
            "learning/test_normalization.py::TestRewards::test_by_hand",
        ),
    ),
    _of(
        "learning/optimizers.py",
        (
            "up-the-gradient",
            "p - (learning_rate * c)",
            "p + (learning_rate * c)",
            "q_learning/test_pqn.py::test_one_update_by_hand",
        ),
        (
            "the-actors-gradient-is-clipped-too",
            "if clip and config.max_gradient_norm is not None:",
            "if config.max_gradient_norm is not None:",
            _ACTOR_CRITICS + "test_the_critics_gradient_is_clipped_and_the_actors_is_not",
        ),
        (
            "an-optimizer-of-ones-own-has-no-parameters",
            "optimizer.update(gradient, optimizer_state, params)",
            "optimizer.update(gradient, optimizer_state)",
            "learning/test_optimizers.py::"
            "test_an_optimizer_of_ones_own_sees_the_parameters_and_their_shapes",
        ),
        (
            "an-optimizer-that-steps-down-is-taken-for-a-direction",
            "if along < 0:",
            "if False:",
            "learning/test_optimizers.py::test_wrong_optimizers_are_named",
        ),
        (
            "a-functions-steps-are-taken-for-a-direction",
            "optax.chain(made, optax.scale(-1.0))",
            "optax.chain(made, optax.scale(1.0))",
            "learning/test_optimizers.py::test_steps_are_taken_as_they_are_at_a_rate_of_one",
        ),
        (
            "a-linear-schedule-goes-on-below-zero",
            "jnp.clip(1.0 - jnp.float32(update) / num_updates, 0.0, 1.0)",
            "(1.0 - jnp.float32(update) / num_updates)",
            "learning/test_optimizers.py::test_linear_schedules_end_at_zero_and_stay_there",
        ),
        (
            "a-schedules-function-counts-updates",
            "update // updates_per_iteration",
            "update",
            "learning/test_optimizers.py::"
            "test_a_function_counts_iterations_and_never_turns_a_setting_negative",
        ),
        (
            "rmsprop-forgets-faster",
            "_RMSPROP_DECAY = 0.99",
            "_RMSPROP_DECAY = 0.9",
            _ACTOR_CRITICS + "test_the_actor_has_a_step_size_of_its_own",
        ),
    ),
    _of(
        "settings.py",
        (
            "an-open-limit-is-closed",
            "(values <= minimum).any()",
            "(values < minimum).any()",
            "test_settings.py::test_wrong_settings_are_named",
        ),
        (
            "an-unmet-need-is-no-matter",
            "if not need.is_met(config, surroundings):",
            "if False:",
            "test_settings_needs.py::test_messages_name_both_settings",
        ),
        (
            "a-default-must-meet-its-needs-too",
            "if isinstance(value, Tracer) or not _differs(value, field.default):",
            "if isinstance(value, Tracer):",
            "test_settings_needs.py::test_settings_are_changed_together",
        ),
        (
            "a-traced-number-meets-no-need",
            "if any(isinstance(x, Tracer) for x in around.values()):",
            "if False:",
            "test_settings_needs.py::test_traced_values_pass_on_either_side",
        ),
        (
            "a-field-that-takes-anothers-place-needs-nothing",
            "metadata[key] = inherited[key]",
            "metadata[key] = None",
            "test_settings_needs.py::test_a_field_that_takes_anothers_place_needs_the_same",
        ),
        (
            "one-network-of-ones-own-is-enough-to-refuse",
            "return any(networks[x] is None for",
            "return all(networks[x] is None for",
            "test_settings_needs.py::test_one_default_network_of_two_uses_the_settings",
        ),
        (
            "nan-is-a-number",
            "if np.isnan(values).any():",
            "if False:",
            "test_settings.py::test_wrong_settings_are_named",
        ),
        (
            "true-is-a-whole-number",
            "isinstance(value, int | np.integer) and not isinstance(value, bool)",
            "isinstance(value, int | np.integer)",
            "test_settings.py::test_wrong_settings_are_named",
        ),
    ),
    _of(
        "training.py",
        (
            "the-same-key-for-every-iteration",
            "step(jax.random.fold_in(key, progress.iteration), state)",
            "step(key, state)",
            _FRESH + "test_rollouts",
        ),
        (
            "the-same-key-for-every-step-of-an-evaluation",
            "jax.random.split(jax.random.fold_in(key_loop, time))",
            "jax.random.split(key_loop)",
            _FRESH + "test_evaluation",
        ),
        (
            "the-same-key-for-every-evaluation",
            "jax.random.split(key_evaluation, num_evaluations)",
            "jnp.broadcast_to(key_evaluation, (num_evaluations,))",
            _FRESH + "test_rollouts",
        ),
        (
            "an-evaluation-acts-and-steps-with-one-key",
            "key_act, key_env = jax.random.split(jax.random.fold_in(key_loop, time))",
            "key_act = key_env = jax.random.fold_in(key_loop, time)",
            _FRESH + "test_evaluation",
        ),
        (
            "one-iteration-more-than-the-budget",
            "wanted = has_row & (progress.steps < until_steps)",
            "wanted = has_row & (progress.steps <= until_steps)",
            "test_training.py::TestAdvance::test_it_stops_where_it_is_told_to",
        ),
        (
            "an-evaluation-goes-on-after-an-episodes-end",
            "ends = (transition.terminated | transition.truncated) & ~finished",
            "ends = transition.terminated | transition.truncated",
            "test_training.py::TestEvaluate::test_episodes_of_different_length_each_count_once",
        ),
    ),
]

_EXPLORATION = [
    _of(
        "exploration/epsilon_greedy.py",
        (
            "epsilon-does-not-fall",
            "start + progress * (end - start)",
            "start + 0.0 * progress * (end - start)",
            "test_action_exploration.py::test_epsilon_falls_in_a_straight_line",
        ),
        (
            "epsilon-is-the-probability-of-the-best-action",
            "explores = draw[0] < epsilon",
            "explores = draw[0] > epsilon",
            "test_action_exploration.py::test_frequencies_are_rlaxs",
        ),
    ),
    _of(
        "exploration/action_noise.py",
        (
            "noise-that-does-not-revert",
            "noise = carry - reversion * time_step * carry +",
            "noise = carry +",
            "test_action_exploration.py::test_ornstein_uhlenbeck_is_its_recursion",
        ),
        (
            "noise-in-the-unit-of-the-action",
            "action + 0.5 * (high - low) * noise",
            "action + noise",
            "test_action_exploration.py::test_gaussian_noise_has_its_scale_and_no_memory",
        ),
    ),
    _of(
        "exploration/state_dependent.py",
        (
            "a-noise-matrix-is-kept-one-step-too-long",
            "old = carry.age >= interval",
            "old = carry.age > interval",
            "test_exploration.py::test_noise_is_kept_for_the_interval",
            "policy_gradient/test_fresh_noise.py",
        ),
        (
            "the-variance-has-a-gradient-in-the-features",
            "jnp.square(jax.lax.stop_gradient(self.features))",
            "jnp.square(self.features)",
            "test_exploration.py::test_no_gradient_reaches_the_features_through_the_variance",
        ),
    ),
]

_NETWORKS = [
    _of(
        "networks/layers.py",
        (
            "a-memory-outlives-its-episode",
            "jnp.concatenate((jnp.ones_like(ended[:1]), ~ended[:-1]))",
            "jnp.concatenate((jnp.ones_like(ended[:1]), ended[:-1] | True))",
            "networks/test_recurrent.py::test_an_end_hides_everything_before_it",
        ),
    ),
    _of(
        "networks/lstm.py",
        (
            "a-cell-outlives-its-episode",
            "LSTMMemory(*(jnp.where(kept > 0, x, 0.0) for x in memory))",
            "memory",
            "networks/test_recurrent.py::test_an_end_hides_everything_before_it",
        ),
        (
            "the-cells-own-gradient-is-forgotten",
            "total_cell = gradient.cell + after.cell + total_output",
            "total_cell = gradient.cell + total_output",
            "networks/test_recurrent.py::test_sequences_are_steps_one_after_another",
        ),
    ),
    _of(
        "networks/convolutions.py",
        (
            "residual-blocks-forget-their-input",
            "x = x + self._convolve(",
            "x = self._convolve(",
            "networks/test_convolutions.py::test_residual_blocks_by_hand",
        ),
    ),
    _of(
        "networks/action_values.py",
        (
            "dueling-advantages-keep-their-mean",
            "state_value + values - jnp.mean(values, axis=-1, keepdims=True)",
            "state_value + values",
            "networks/test_action_values.py::test_dueling_advantages_have_no_mean",
        ),
    ),
]

_REPLAY = [
    _of(
        "replay/ring.py",
        (
            "rewards-of-n-steps-are-not-discounted",
            "worth = discount**steps",
            "worth = jnp.ones(steps.shape)",
            "replay/test_ring.py::test_n_steps_by_hand",
        ),
        (
            "the-successors-value-is-discounted-once-too-little",
            "discount ** (last + 1)",
            "discount**last",
            "replay/test_ring.py::test_n_steps_by_hand",
        ),
        (
            "what-was-overwritten-is-still-remembered",
            "oldest = jnp.maximum(ring.oldest, ring.time - num_slots)",
            "oldest = ring.oldest",
            "replay/test_uniform.py::test_every_possible_step_is_as_likely",
        ),
        (
            "steps-whose-final-observation-is-lost-are-remembered",
            "oldest=jnp.maximum(ring.oldest, lost + 1)",
            "oldest=ring.oldest",
            "replay/test_ring.py::test_frequent_cuts_do_not_outgrow_the_finals",
        ),
        (
            "a-terminated-step-goes-on",
            "jnp.where(transitions.terminated, _TERMINATED, jnp.where(cut, row, _GOES_ON))",
            "jnp.where(cut, row, _GOES_ON)",
            "replay/test_ring.py::test_n_steps_by_hand",
        ),
        (
            "the-last-n-less-1-steps-can-be-sampled",
            "length=ring.time - oldest - (n_step - 1)",
            "length=ring.time - oldest",
            "replay/test_uniform.py::test_it_can_sample_once_n_steps_are_known",
        ),
    ),
    _of(
        "replay/finals.py",
        (
            "final-observations-take-each-others-rows",
            "+ jnp.cumsum(cut,",
            "+ 0 * jnp.cumsum(cut,",
            "replay/test_ring.py::test_frequent_cuts_do_not_outgrow_the_finals",
            "replay/test_ring.py::test_every_entry_is_the_streams",
        ),
    ),
    _of(
        "replay/sum_tree.py",
        (
            "a-mass-is-not-taken-off-on-the-way-down",
            "mass = jnp.maximum(mass - before, 0.0)",
            "mass = jnp.maximum(mass, 0.0)",
            "replay/test_sum_tree.py::test_masses_at_the_edges_by_hand",
            "replay/test_sum_tree.py::test_shares_are_laid_end_to_end",
        ),
        (
            "a-node-has-its-largest-childs-weight",
            "sums = jnp.sum(levels[depth + 1][node], axis=-1)",
            "sums = jnp.max(levels[depth + 1][node], axis=-1)",
            "replay/test_sum_tree.py::test_sums_after_many_changes",
        ),
    ),
    _of(
        "replay/prioritized.py",
        (
            "the-same-place-in-every-share",
            "jax.random.uniform(key, (batch_size,), jnp.float32)",
            "jax.random.uniform(key, (), jnp.float32)",
            "replay/test_prioritized.py::test_in_each_share_another_place_is_drawn",
        ),
        (
            "importance-weights-upside-down",
            "jnp.where(total > 0, ratio**beta, 0.0)",
            "jnp.where(total > 0, ratio**-beta, 0.0)",
            "replay/test_prioritized.py::test_probabilities_and_weights_by_hand",
        ),
        (
            "importance-weights-exceed-1",
            "ratio = jnp.min(leaf_weight) / ",
            "ratio = jnp.max(leaf_weight) / ",
            "replay/test_prioritized.py::test_probabilities_and_weights_by_hand",
        ),
        (
            "beta-stays",
            "beta = importance_exponent + (1.0 - importance_exponent) * done",
            "beta = importance_exponent + 0.0 * done",
            "replay/test_prioritized.py::test_beta_rises_to_1",
        ),
        (
            "the-highest-priority-is-not-kept",
            "highest = jnp.maximum(state.highest, jnp.max(priority))",
            "highest = state.highest",
            "loops/test_off_policy.py::test_errors_become_priorities",
        ),
    ),
    _of(
        "replay/uniform.py",
        (
            "a-batch-is-one-step-many-times",
            "jax.random.bits(key, (batch_size,))",
            "jnp.broadcast_to(jax.random.bits(key), (batch_size,))",
            "replay/test_uniform.py::test_every_possible_step_is_as_likely",
        ),
        (
            "the-older-half-is-replayed",
            "window.oldest + index // storage.num_envs",
            "window.oldest + index // (2 * storage.num_envs)",
            "replay/test_uniform.py::test_every_possible_step_is_as_likely",
        ),
    ),
]

_NESTED = [
    _of(
        "types/spaces.py",
        (
            "parts-of-an-element-are-drawn-with-one-key",
            "keys = jax.random.split(key, len(leaves)) if is_nested(space) else [key]",
            "keys = [key] * len(leaves)",
            "test_types.py::test_parts_that_are_alike_are_drawn_apart",
        ),
        (
            "one-part-within-its-space-is-enough",
            "jnp.all(jnp.stack(inside))",
            "jnp.any(jnp.stack(inside))",
            "test_types.py::test_an_element_lies_in_a_space_with_all_of_its_parts",
        ),
    ),
    _of(
        "networks/torsos.py",
        (
            "parts-lie-behind-one-another-in-another-order",
            "[_encoded_vector(part, leaf) for part, leaf in pairs]",
            "[_encoded_vector(part, leaf) for part, leaf in pairs][::-1]",
            _NESTED_TESTS + "TestNetworksGetOneVector::test_by_hand",
        ),
    ),
    _of(
        "learning/observation_statistics.py",
        (
            "bytes-and-categories-are-standardised",
            "isinstance(space, Box) and bool(jnp.issubdtype(space.dtype, jnp.floating))",
            "True",
            _NESTED_TESTS + "TestMoments::test_only_floats_have_moments",
        ),
    ),
    _of(
        "replay/encoding.py",
        (
            "parts-come-out-of-a-replay-as-they-are-kept",
            "part.decode(value) for part, value in values",
            "value for part, value in values",
            _NESTED_TESTS + "test_a_replay_keeps_each_part_in_its_narrowest_type",
        ),
    ),
    _of(
        "environments/promises.py",
        (
            "parts-of-observations-are-not-checked",
            '        _check_part(part, leaf, f"{what} at {path}", name)',
            "        pass",
            _NESTED_TESTS + "TestWhatDoesNotFitIsNamed::test_a_declaration",
        ),
    ),
]

_ENVIRONMENTS = [
    _of(
        "environments/wrappers/time_limits.py",
        (
            "a-limit-one-step-late",
            "truncated = time_step.truncated | (elapsed_steps >= max_steps)",
            "truncated = time_step.truncated | (elapsed_steps > max_steps)",
            "environments/wrappers/test_time_limits.py::test_a_limit_truncates",
        ),
    ),
    _of(
        "environments/wrappers/actions.py",
        (
            "an-episodes-first-action-is-a-repetition",
            " & ~state.is_start",
            "",
            "environments/wrappers/test_actions.py::test_sticky_extremes",
            "environments/wrappers/test_actions.py::test_sticky_actions_repeat_what_was_done",
        ),
        (
            "a-repetition-shares-the-steps-key",
            "key_repeat, key_step = jax.random.split(key)",
            "key_repeat, key_step = key, key",
            _FRESH_ENVIRONMENTS + "test_whether_an_action_is_repeated_is_drawn_apart_from_the_step",
        ),
        (
            "rescaled-to-twice-the-width",
            "low + 0.5 * (a + 1.0) * (high - low)",
            "low + (a + 1.0) * (high - low)",
            "environments/wrappers/test_actions.py::test_rescaling",
        ),
        (
            "actions-are-not-clipped",
            "jnp.clip(action, low, high).astype(action.dtype)",
            "action",
            "environments/wrappers/test_actions.py::test_clipping",
        ),
    ),
    _of(
        "environments/wrappers/frames.py",
        (
            "frames-move-by-one-entry",
            "state.frames[..., size:]",
            "state.frames[..., 1:]",
            "environments/wrappers/test_frames.py::test_vectors_are_behind_one_another_and_begin_with_the_first",
        ),
        (
            "the-oldest-frame-stays",
            "jnp.concatenate((state.frames[..., size:], newest), axis=-1)",
            "jnp.concatenate((state.frames[..., :-size], newest), axis=-1)",
            "environments/wrappers/test_frames.py::test_images_are_behind_one_another_along_the_channels",
        ),
    ),
    _of(
        "environments/wrappers/statistics.py",
        (
            "reported-returns-are-of-scaled-rewards",
            'time_step.info.get("task_reward", time_step.reward)',
            "time_step.reward",
            "test_training.py::TestEvaluate::test_scaled_and_clipped_rewards_are_not_reported",
        ),
        (
            "an-episodes-length-is-one-short",
            "episode_length=state.episode_length + 1",
            "episode_length=state.episode_length",
            "environments/wrappers/test_statistics.py::test_by_hand",
        ),
    ),
    _of(
        "environments/wrappers/action_masks.py",
        (
            "the-first-mask-is-not-asked-for",
            "mask = jnp.ones(size, bool) if function is None else function(observation)",
            "mask = jnp.ones(size, bool)",
            "environments/wrappers/test_action_masks.py::test_the_first_mask_can_be_given",
            "environments/wrappers/test_action_masks.py::test_masks_of_a_function",
        ),
    ),
    _of(
        "environments/builder.py",
        (
            "the-state-keeps-the-types-of-the-reset",
            "settled = _strong(later)",
            "settled = _strong(first)",
            "environments/test_builder.py::test_a_state_has_the_type_of_the_step",
        ),
    ),
]

_LOOPS = [
    _of(
        "loops/worlds.py",
        (
            "acting-and-the-environment-share-a-key",
            "share_keys(keys[1])",
            "share_keys(keys[0])",
            _FRESH + "test_rollouts",
        ),
        (
            "a-memory-is-not-started-with-the-episode",
            "where_ended)(ended, jax.vmap(start)(keys[2]), playing.carry)",
            "where_ended)(ended & False, jax.vmap(start)(keys[2]), playing.carry)",
            "loops/test_on_policy.py::test_rollout_by_hand",
        ),
        (
            "all-environments-start-alike",
            "keys = jax.random.split(key_reset, num_envs)",
            "keys = jnp.broadcast_to(key_reset, (num_envs,))",
            _FRESH + "test_rollouts",
        ),
        (
            "a-step-and-the-reset-after-it-share-a-key",
            'resets.way == "cached" or not reads_key(environment)',
            "True",
            _WORLDS + "test_a_reset_draws_apart_from_the_step_before_it",
            _WORLDS + "test_a_reset_has_the_whole_key_where_the_step_draws_none",
        ),
        (
            "an-episode-goes-on-after-its-end",
            "jnp.where(ended, first, running)",
            "running",
            _WORLDS + "test_the_next_episode_starts_where_one_ends",
        ),
        (
            "an-episode-that-goes-on-is-reset",
            "jnp.where(ended, first, running)",
            "jnp.where(ended | True, first, running)",
            _WORLDS + "test_the_next_episode_starts_where_one_ends",
        ),
        (
            "the-successor-of-an-end-is-the-next-start",
            "return playing, (transition, finished)",
            "return playing, (transition._replace(next_observation=playing.observation), finished)",
            _WORLDS + "test_the_next_episode_starts_where_one_ends",
        ),
        (
            "a-pool-is-as-large-as-the-batch",
            "size = ended.shape[0] // resets.ratio",
            "size = ended.shape[0]",
            _WORLDS + "test_more_ends_than_starts_in_a_pool_share_them",
        ),
        (
            "the-starts-of-a-pool-go-by-place",
            "chosen = (jnp.cumsum(ended) - 1) % size",
            "chosen = jnp.arange(ended.shape[0]) // resets.ratio % size",
            _WORLDS + "test_more_ends_than_starts_in_a_pool_share_them",
            _WORLDS + "test_those_that_end_have_starts_of_their_own_where_the_pool_has_enough",
        ),
        (
            "all-that-end-in-a-step-share-a-start",
            "chosen = (jnp.cumsum(ended) - 1) % size",
            "chosen = jnp.zeros(ended.shape, jnp.int32)",
            _WORLDS + "test_those_that_end_have_starts_of_their_own_where_the_pool_has_enough",
        ),
        (
            "cached-starts-are-those-of-the-latest-rollout",
            "return after._replace(starts=starts), rollout, finished",
            "return after._replace(starts=starts and (after.env_state, after.observation)), "
            "rollout, finished",
            _WORLDS + "test_a_cache_is_part_of_the_worlds",
        ),
        (
            "a-pool-need-not-be-shared-out-evenly",
            "if config.num_envs % config.reset_ratio:",
            "if False:",
            "loops/test_resets.py::test_a_pool_that_cannot_be_shared_out_is_refused",
        ),
        (
            "reset_ratio-is-ignored",
            'return Resets("pooled", config.reset_ratio)',
            'return Resets("pooled", 1)',
            "loops/test_resets.py::test_one_start_for_all_of_a_worker",
        ),
    ),
    _of(
        "loops/rollouts.py",
        (
            "resets-are-ignored-on-policy",
            "        resets=resets_of(config),\n",
            "",
            "loops/test_resets.py::test_the_setting_reaches_the_loop[ppo-cached]",
        ),
    ),
    _of(
        "loops/replays.py",
        (
            "resets-are-ignored-off-policy",
            "        resets=resets_of(config),\n",
            "",
            "loops/test_resets.py::test_the_setting_reaches_the_loop[dqn-cached]",
        ),
    ),
    _of(
        "policy_gradient/a3c.py",
        (
            "resets-are-ignored-by-workers",
            "        resets=resets_of(config),\n",
            "",
            "loops/test_resets.py::test_the_setting_reaches_the_loop[a3c-cached]",
        ),
    ),
    _of(
        "loops/finished_episodes.py",
        (
            "unfinished-episodes-are-reported",
            "jnp.sum(jnp.where(finished.ended, values.astype(jnp.float32), 0.0))",
            "jnp.sum(values.astype(jnp.float32))",
            "loops/test_on_policy.py::test_episode_metrics_count_finished_episodes_only",
        ),
    ),
    _of(
        "loops/on_policy.py",
        (
            "acting-and-learning-share-a-key",
            "key_rollout, key_update = jax.random.split(key)",
            "key_rollout, key_update = key, key",
            _FRESH + "test_rollouts",
        ),
    ),
    _of(
        "loops/asynchronous.py",
        (
            "all-workers-share-a-key",
            "jax.random.split(key, num_workers)",
            "jnp.broadcast_to(key, (num_workers,))",
            _FRESH + "test_workers",
        ),
        (
            "a-worker-acts-and-learns-with-one-key",
            "key_rollout, key_gradient = jax.random.split(key)",
            "key_rollout, key_gradient = key, key",
            _FRESH + "test_workers",
        ),
        (
            "gradients-are-applied-in-the-workers-order",
            "jax.random.permutation(key_order, num_workers)",
            "jnp.arange(num_workers)",
            "policy_gradient/test_a3c.py::test_order_is_random",
        ),
        (
            "workers-pull-what-stood-before-the-tick",
            "pulled = (agent.params(agent_state), applied)",
            "pulled = (agent.params(state.agent), applied)",
            "policy_gradient/test_a3c.py::test_workers_are_stale_and_pull_after_their_own_gradient",
        ),
    ),
    _of(
        "loops/off_policy.py",
        (
            "all-updates-of-an-iteration-draw-the-same-batch",
            "keys = jax.random.split(key, num_updates)",
            "keys = jnp.broadcast_to(key, (num_updates,))",
            _FRESH + "test_replays",
        ),
        (
            "sampling-and-learning-share-a-key",
            "key_sample, key_update = jax.random.split(key)",
            "key_sample, key_update = key, key",
            _FRESH + "test_replays",
        ),
        (
            "random-steps-are-the-same-in-every-addition",
            "jax.random.split(key, num_iterations))[0]",
            "jnp.broadcast_to(key, (num_iterations,)))[0]",
            _FRESH + "test_replays",
        ),
        (
            "collecting-and-observing-share-a-key",
            "key_rollout, key_observe = jax.random.split(key)",
            "key_rollout, key_observe = key, key",
            _FRESH + "test_replays",
        ),
        (
            "random-actions-ignore-the-masks",
            "if not isinstance(observation, MaskedObservation):",
            "if True:",
            "loops/test_off_policy.py::test_random_actions_are_allowed_ones",
        ),
    ),
    _of(
        "loops/whole_episodes.py",
        (
            "the-same-key-in-every-chunk-of-whole-episodes",
            "jax.random.fold_in(key_play, play.num_chunks)",
            "key_play",
            _FRESH + "test_whole_episodes",
        ),
        (
            "a-second-episode-is-counted",
            "finished._replace(ended=finished.ended & mask)",
            "finished._replace(ended=finished.ended)",
            "loops/test_whole_episodes.py::test_every_episode_is_whole",
        ),
    ),
    _of(
        "loops/episodes.py",
        (
            "the-same-key-at-every-step-of-a-population",
            "jax.random.split(jax.random.fold_in(key_loop, time), (2, *key_shape))",
            "jax.random.split(key_loop, (2, *key_shape))",
            _FRESH + "test_populations",
        ),
        (
            "a-population-acts-and-steps-with-one-key",
            "interaction.step(keys[0], keys[1], interaction.params, worlds)",
            "interaction.step(keys[1], keys[1], interaction.params, worlds)",
            _FRESH + "test_populations",
        ),
        (
            "all-episodes-of-a-population-start-alike",
            "reset_all(jax.random.split(key_reset, key_shape))",
            "reset_all(jnp.broadcast_to(key_reset, key_shape))",
            _FRESH + "test_populations",
        ),
    ),
    _of(
        "loops/episode_counts.py",
        (
            "rewards-after-an-episodes-end-count",
            "fitness=played.fitness + jnp.where(running, transition.reward, 0.0)",
            "fitness=played.fitness + transition.reward",
            "loops/test_population.py::test_each_candidate_plays_whole_episodes_and_no_step_more",
        ),
    ),
    _of(
        "loops/population.py",
        (
            "asking-and-playing-share-a-key",
            "key_ask, key_play, key_tell = jax.random.split(key, 3)",
            "key_ask = key_play = key_tell = key",
            _FRESH + "test_populations",
        ),
    ),
]

_POLICY_GRADIENTS = [
    _of(
        "policy_gradient/ppo.py",
        (
            "value_clip_epsilon-is-ignored",
            "clip_epsilon=config.value_clip_epsilon",
            "clip_epsilon=None",
            "policy_gradient/test_ppo.py::TestSettings::test_value_clip_by_hand",
        ),
        (
            "the-kl-stop-is-at-three-times-the-target",
            "1.5 * config.target_kl",
            "3.0 * config.target_kl",
            "policy_gradient/test_ppo.py::TestSettings::test_kl_stop_at_one_and_a_half_times_the_target",
        ),
        (
            "advantages-of-a-minibatch-are-not-standardised",
            "standardize(batch.advantage) if config.normalize_advantages",
            "batch.advantage if config.normalize_advantages",
            "policy_gradient/test_ppo.py::test_first_minibatch_has_ratio_one[CartPole-v1-settings0]",
        ),
    ),
    _of(
        "policy_gradient/a2c.py",
        (
            "entropy-is-avoided",
            "loss = loss - config.entropy_coefficient * entropy",
            "loss = loss + config.entropy_coefficient * entropy",
            "policy_gradient/test_a2c.py::test_gradient_of_one_update_by_hand",
        ),
        (
            "value_coefficient-is-ignored",
            "config.value_coefficient * value_loss",
            "value_loss",
            "policy_gradient/test_a2c.py::test_gradient_of_one_update_by_hand",
        ),
    ),
    _of(
        "policy_gradient/_experience.py",
        (
            "an-observations-value-stands-for-its-successors",
            "next_value=values[:, num_envs:]",
            "next_value=values[:, :num_envs]",
            "policy_gradient/test_a2c.py::test_values_are_discounted",
        ),
        (
            "sequences-begin-with-a-memory-of-another-time",
            "last = slice(length - 1, num_steps - 1, length)",
            "last = slice(0, num_steps - length, length)",
            "policy_gradient/test_memory.py::test_sequences_begin_with_what_the_actor_remembered",
        ),
    ),
    _of(
        "policy_gradient/reinforce.py",
        (
            "time-is-not-discounted",
            "jnp.power(jnp.float32(config.discount), jnp.arange(len(mask)))",
            "jnp.ones(len(mask))",
            _EPISODES + "::test_discounts_by_hand",
        ),
        (
            "the-whole-return-is-a-reward-to-go",
            "return jnp.broadcast_to(returns[0], returns.shape)",
            "return returns",
            _EPISODES,
        ),
        (
            "steps-after-an-episodes-end-have-a-weight",
            "weight = jnp.where(mask, weight, 0.0)",
            "weight = jnp.where(mask | True, weight, 0.0)",
            "policy_gradient/test_reinforce_estimate.py",
        ),
    ),
    _of(
        "policy_gradient/impala.py",
        (
            "actors-are-not-behind",
            "jax.tree.map(lambda x: x[0], state.queue) if lag else newest",
            "newest",
            "policy_gradient/test_impala.py::test_actors_are_exactly_lag_updates_behind",
        ),
        (
            "clip_c-is-ignored",
            "clip_c=clip_c,",
            "clip_c=1.0,",
            "test_settings_in_numbers.py::test_numbers_of_every_algorithm[impala-clip_c]",
        ),
    ),
    _of(
        "policy_gradient/trpo.py",
        (
            "damping-is-ignored",
            " + config.damping * vector",
            "",
            "test_settings_in_numbers.py::test_numbers_of_every_algorithm[trpo-damping]",
        ),
    ),
]

_ACTION_VALUE_AGENTS = [
    _of(
        "q_learning/dqn.py",
        (
            "loss-is-ignored",
            'loss_of = squared_loss if loss == "squared" else huber_loss',
            "loss_of = squared_loss",
            "q_learning/test_dqn.py::test_the_loss_is_that_of_the_settings",
            "test_settings_in_programs.py::test_some_settings_of_dqn[loss]",
        ),
        (
            "importance-weights-are-ignored",
            "target, weight=batch.weight), q_value",
            "target, weight=jnp.ones_like(batch.weight)), q_value",
            "q_learning/test_dqn.py::test_an_update_by_hand",
        ),
        (
            "double-is-ignored",
            "    if double:",
            "    if False:",
            "q_learning/test_dqn.py::test_an_update_by_hand",
            "test_settings_in_programs.py::test_some_settings_of_dqn[double]",
        ),
        (
            "dqns-target-does-not-lag",
            "state.target_params, batch.next_observation",
            "state.params, batch.next_observation",
            "q_learning/test_dqn.py::test_an_update_by_hand",
        ),
    ),
    _of(
        "q_learning/_settings.py",
        (
            "epsilon-counts-rollouts-and-not-steps",
            "jnp.float32(rollouts) * (config.num_envs * config.num_steps)",
            "jnp.float32(rollouts)",
            "q_learning/test_dqn.py::test_epsilon_falls_with_the_steps_that_are_observed",
            "q_learning/test_pqn.py::test_epsilon_falls_in_a_straight_line",
        ),
    ),
    _of(
        "q_learning/pqn.py",
        (
            "trace_decay-is-ignored",
            "lambda_=trace_decay",
            "lambda_=1.0",
            "q_learning/test_pqn.py::test_returns_by_hand",
        ),
    ),
    _of(
        "loops/replays.py",
        (
            "num_updates-lacks-its-factor",
            "return config.num_updates * -(-(",
            "return -(-(",
            "loops/test_replays.py",
        ),
    ),
    _of(
        "actor_critic/_learner.py",
        (
            "actor_learning_rate-is-ignored",
            "start = config.actor_learning_rate",
            "start = config.learning_rate",
            _ACTOR_CRITICS + "test_the_actor_has_a_step_size_of_its_own",
        ),
        (
            "the-critics-max_gradient_norm-is-ignored",
            "    return make_optimizer(config)\n",
            "    return make_optimizer(config, clip=False)\n",
            _ACTOR_CRITICS + "test_the_critics_gradient_is_clipped_and_the_actors_is_not",
        ),
        (
            "the-actor-does-not-wait",
            "due = state.updates % config.policy_delay == 0",
            "due = state.updates > 0",
            _ACTOR_CRITICS + "test_the_actor_and_the_targets_wait_for_the_critics",
        ),
        (
            "all-critics-start-alike",
            "for k in jax.random.split(key, num_critics)",
            "for k in [key] * num_critics",
            _FRESH_Q + "test_sac_draws_for_the_target_its_entropies_and_the_actor_apart",
        ),
        (
            "the-greatest-of-the-critics-counts",
            "functools.reduce(jnp.minimum, values)",
            "functools.reduce(jnp.maximum, values)",
            _ACTOR_CRITICS + "test_the_critics_target_by_hand",
        ),
        (
            "targets-without-an-actor-follow-it",
            "learnt = state.networks if has_actor else state.networks._replace(actor=None)",
            "learnt = state.networks",
            _ACTOR_CRITICS + "test_discrete_sac_looks_before_it_acts_and_finds_its_entropy",
        ),
    ),
    _of(
        "actor_critic/ddpg.py",
        (
            "ddpgs-target-critic-does-not-lag",
            "ddpg_target(state.targets, batch,",
            "ddpg_target(state.networks, batch,",
            _ACTOR_CRITICS + "test_ddpgs_target_by_hand",
        ),
        (
            "ddpgs-target-values-the-action-that-was-taken",
            "targets.critics[0], batch.next_observation, action)",
            "targets.critics[0], batch.next_observation, batch.action)",
            _ACTOR_CRITICS + "test_ddpgs_target_by_hand",
        ),
    ),
    _of(
        "actor_critic/td3.py",
        (
            "all-targets-are-smoothed-alike",
            "jax.random.normal(key, action.shape, jnp.float32)",
            "jax.random.normal(key, action.shape[1:], jnp.float32)",
            "test_fresh_draws.py",
        ),
        (
            "the-critics-targets-do-not-lag",
            "state.targets,",
            "state.networks,",
            _ACTOR_CRITICS + "test_the_critics_target_by_hand",
        ),
    ),
    _of(
        "actor_critic/_parameter_noise.py",
        (
            "learning-and-perturbing-share-a-key",
            "key_update, key_noise = jax.random.split(key)",
            "key_update, key_noise = key, key",
            _FRESH_Q + "test_each_update_has_noise_of_its_own",
        ),
        (
            "starting-and-perturbing-share-a-key",
            "key_inner, key_noise = jax.random.split(key)",
            "key_inner, key_noise = key, key",
            _FRESH_Q + "test_each_environment_has_noise_of_its_own",
        ),
        (
            "the-scale-of-the-noise-runs-away",
            "distance < deviation",
            "distance > deviation",
            _ACTOR_CRITICS + "test_parameter_noise_is_an_episodes_and_its_scale_adapts",
        ),
    ),
    _of(
        "actor_critic/sac.py",
        (
            "targets-and-the-actor-draw-the-same",
            "key_target, key_actor = jax.random.split(key)",
            "key_target, key_actor = key, key",
            _FRESH_Q + "test_sac_draws_for_the_target_its_entropies_and_the_actor_apart",
        ),
        (
            "targets-and-the-entropy-before-them-draw-the-same",
            "jax.random.split(key) if batch.between is not None else (key, key)",
            "(key, key)",
            _FRESH_Q + "test_sac_draws_for_the_target_its_entropies_and_the_actor_apart",
        ),
        (
            "soft-targets-do-not-lag",
            "state.targets.critics, critic",
            "state.networks.critics, critic",
            _ACTOR_CRITICS + "test_sac_is_paid_for_entropy_by_hand",
        ),
        (
            "the-temperature-is-not-learnt",
            "    if config.learn_temperature:\n        loss +=",
            "    if False:\n        loss +=",
            _ACTOR_CRITICS + "test_sac_is_paid_for_entropy_by_hand",
        ),
        (
            "the-actor-learns-the-temperature-down-its-own-loss",
            "alpha = jax.lax.stop_gradient(jnp.exp(actor.log_temperature))",
            "alpha = jnp.exp(actor.log_temperature)",
            _ACTOR_CRITICS + "test_sac_is_paid_for_entropy_by_hand",
        ),
        (
            "the-entropies-between-do-not-count",
            "worth = -jnp.exp(actor.log_temperature) * _log_probability",
            "worth = -0.0 * _log_probability",
            "actor_critic/test_sac_entropy.py::test_the_target_over_several_steps_by_hand",
        ),
        (
            "a-target-entropy-of-all-actions-whatever-the-mask",
            "allowed = jnp.sum(mask, axis=-1, dtype=jnp.int32)",
            "allowed = 0 * jnp.sum(mask, axis=-1, dtype=jnp.int32) + space.num_categories",
            "actor_critic/test_sac_entropy.py::test_the_target_is_that_of_each_states_allowed_actions",
        ),
        (
            "values-of-discrete-actions-are-not-weighed",
            "value = distribution.probabilities() * least_value(",
            "value = least_value(",
            _ACTOR_CRITICS + "test_sac_is_paid_for_entropy_by_hand",
        ),
    ),
]

_SEARCH = [
    _of(
        "search/cem.py",
        (
            "deviations-have-no-floor",
            "deviation=jnp.maximum(deviation, config.min_noise_scale)",
            "deviation=deviation",
            "search/test_cem.py::test_an_iteration_by_hand",
            "test_settings_in_numbers.py::test_some_numbers_of_a_search[min_noise_scale]",
        ),
        (
            "recommend_best-is-ignored",
            "state.best if config.recommend_best else state.mean",
            "state.mean",
            "search/test_cem.py::test_what_is_recommended",
        ),
    ),
    _of(
        "search/ars.py",
        (
            "ars-is-not-scaled-by-the-deviation-of-the-returns",
            "return direction / jnp.maximum(deviation, 1e-8)",
            "return direction",
            "search/test_ars.py::test_an_iteration_by_hand",
        ),
        (
            "the-top-directions-are-those-whose-first-half-is-best",
            "elite_weights(jnp.maximum(positive, negative)",
            "elite_weights(positive",
            "search/test_ars.py::test_an_iteration_by_hand",
        ),
    ),
    _of(
        "search/openes.py",
        (
            "the-gradient-is-not-divided-by-sigma",
            "(config.population_size * config.noise_scale)",
            "config.population_size",
            "search/test_openes.py::test_an_iteration_by_hand",
        ),
        (
            "weights-grow-instead-of-decaying",
            "gradient - config.weight_decay * mean",
            "gradient + config.weight_decay * mean",
            "search/test_openes.py::test_an_iteration_by_hand",
        ),
    ),
    _of(
        "search/_mirrored.py",
        (
            "candidates-are-not-mirrored",
            "jnp.concatenate([noise, -noise])",
            "jnp.concatenate([noise, noise])",
            "search/test_ars.py::test_candidates_are_mirrored_pairs",
        ),
        (
            "the-learning-rate-does-not-decay",
            "config.learning_rate_decay**count",
            "1.0 + 0 * count",
            "search/test_ars.py::test_the_learning_rate_decays_with_every_iteration",
        ),
    ),
    _of(
        "search/simulated_annealing.py",
        (
            "a-hot-search-accepts-less",
            "jnp.exp(gain / state.temperature)",
            "jnp.exp(gain * state.temperature)",
            "search/test_simulated_annealing.py::"
            "test_a_loss_is_accepted_with_its_probability_and_the_best_is_kept",
        ),
        (
            "the-temperature-has-no-floor",
            "temperature=jnp.maximum(temperature, config.min_temperature)",
            "temperature=temperature",
            "search/test_simulated_annealing.py::test_an_iteration_by_hand",
        ),
    ),
    _of(
        "search/hill_climbing.py",
        (
            "an-equal-is-a-success",
            "success = fitness[winner] > state.best_fitness",
            "success = fitness[winner] >= state.best_fitness",
            "search/test_hill_climbing.py::test_equal_fitness_is_no_success",
        ),
    ),
    _of(
        "search/_noise_scaling.py",
        (
            "the-noise-grows-on-success",
            "jnp.where(success, smaller, larger)",
            "jnp.where(success, larger, smaller)",
            "search/test_hill_climbing.py::test_noise_halves_on_success_and_doubles_on_failure",
        ),
    ),
    _of(
        "search/_incumbent.py",
        (
            "the-best-is-worth-its-last-evaluation",
            "mean + (fitness - mean) / count",
            "fitness + 0 * count",
            "search/test_hill_climbing.py::test_a_lucky_evaluation_is_found_out",
        ),
    ),
]

_EXPERIMENTS = [
    _of(
        "transfer.py",
        (
            "normalisers-are-left-behind",
            '    "statistics",\n',
            "",
            "test_transfer.py::test_normalisers_go_over_and_the_optimiser_does_not",
        ),
    ),
    _of(
        "runs/best.py",
        (
            "the-newest-is-the-best",
            "is_better = returns > best.returns",
            "is_better = returns > -np.inf",
            "test_best.py::test_each_member_is_as_it_was_at_its_best",
        ),
        (
            "a-plateau-is-one-evaluation-too-long",
            "since >= stop_on_plateau",
            "since > stop_on_plateau",
            "test_best.py::test_when_to_end",
        ),
    ),
    _of(
        "runs/checkpoints.py",
        (
            "any-edited-budget-is-gone-on-to",
            'present[name].startswith(f"{written[name]},")',
            "present[name]",
            "runs/test_more_steps.py::test_an_edited_budget_is_found",
        ),
    ),
    _of(
        "loops/finished_episodes.py",
        (
            "what-is-reported-is-of-all-steps",
            "jnp.where(finished.ended, values.astype(jnp.float32), 0.0)",
            "values.astype(jnp.float32)",
            "test_reported_metrics.py::test_every_algorithm_reports_them",
        ),
    ),
    _of(
        "runs/rows.py",
        (
            "rows-that-were-not-used-count",
            "row[name] = jnp.sum(jnp.where(used, values, 0))",
            "row[name] = jnp.sum(values)",
            "runs/test_rows.py::test_aggregate_by_hand",
        ),
        (
            "iterations-weigh-alike-whatever-their-episodes",
            "weights = episodes.astype(jnp.float32)",
            "weights = used.astype(jnp.float32)",
            "runs/test_rows.py::test_aggregate_by_hand",
        ),
    ),
    _of(
        "runs/plan.py",
        (
            "a-chunk-ends-where-it-begins",
            "(slowest_steps(algorithm, progress) // chunks.interval + 1)",
            "(slowest_steps(algorithm, progress) // chunks.interval)",
            "runs/test_plan.py::test_counting_where_the_cost_varies",
        ),
    ),
    _of(
        "runs/batched.py",
        (
            "all-seeds-are-the-same",
            "jax.random.split(jax.random.key(seed), 3)",
            "jax.random.split(jax.random.key(0 * seed), 3)",
            "runs/test_programs.py::test_keys_depend_on_the_number_of_the_seed_only",
        ),
    ),
    _of(
        "reports/intervals.py",
        (
            "the-interquartile-mean-cuts-less-off",
            "stats.trim_mean(drawn[0], 0.25",
            "stats.trim_mean(drawn[0], 0.1",
            "reports/test_intervals.py",
        ),
        (
            "one-seed-has-an-interval",
            "            return _without_ends(centre)\n        parts = ",
            "            pass\n        parts = ",
            "reports/test_intervals.py",
        ),
    ),
    _of(
        "sweeps/spaces.py",
        (
            "a-logarithmic-range-is-uniform",
            "value = math.exp(math.log(low) + quantile * (math.log(high) - math.log(low)))",
            "value = low + quantile * (high - low)",
            "sweeps/test_spaces.py",
        ),
    ),
    _of(
        "sweeps/execution.py",
        (
            "the-first-members-go-on-after-a-rung",
            "np.arange(i * count, (i + 1) * count)",
            "np.arange(count)",
            "sweeps/test_execution.py::test_halving_keeps_the_best_and_their_state",
        ),
        (
            "what-failed-goes-on-after-a-rung",
            "if math.isfinite(score)}",
            "}",
            "sweeps/test_execution.py::"
            "test_what_failed_does_not_go_on_after_a_rung_and_is_not_tried_again",
        ),
    ),
    _of(
        "sweeps/execution.py",
        (
            "the-median-itself-ends",
            "if score >= middle",
            "if score > middle",
            "sweeps/test_adaptive.py::test_trials_below_the_median_end",
        ),
    ),
    _of(
        "sweeps/asking.py",
        (
            "a-trial-that-was-not-written-down-is-lost",
            "if trial.state == TrialState.RUNNING and trial.number not in known",
            "if trial.number < 0",
            "sweeps/test_asking.py::test_a_batch_that_was_cut_short_is_asked_for_again",
        ),
        (
            "workers-with-equal-seeds-try-the-same",
            "(self._seed, trial.number, zlib.crc32(name.encode()))",
            "(self._seed, trial.number % 3, zlib.crc32(name.encode()))",
            "sweeps/test_asking.py::test_two_workers_share_a_study_and_no_trial",
        ),
        (
            "what-diverged-has-failed",
            'failed = answer.status == "failed"',
            'failed = answer.status != "stopped"',
            "sweeps/test_asking.py::test_what_a_trial_came_to_is_told_once",
        ),
    ),
    _of(
        "sweeps/results.py",
        (
            "a-member-with-fewer-rows-diverged",
            "last = np.maximum(known.sum(axis=1) - 1, 0)",
            "last = np.full(num_members, -1)",
            "sweeps/test_execution.py::test_members_with_fewer_rows_have_not_diverged",
        ),
    ),
    _of(
        "sweeps/processes.py",
        (
            "groups-of-one-trial-all-go-to-the-first-process",
            "items[(self.index - turn) % self.count :: self.count]",
            "items[self.index :: self.count]",
            "sweeps/test_processes.py::test_shares_are_a_partition",
        ),
        (
            "a-process-that-is-gone-is-not-missed",
            "if not is_locked(_lock_of(self._folder, i))",
            "if False",
            "sweeps/test_processes.py::test_who_is_lost",
        ),
    ),
    _of(
        "sweeps/dealing.py",
        (
            "trials-that-are-in-blocks-are-dealt-out-again",
            "left = [trial for trial in left if trial not in trials]",
            "pass",
            "sweeps/test_processes.py::test_parts_of_several_starts_never_overlap",
        ),
    ),
    _of(
        "sharding.py",
        (
            "nothing-is-shared-over-devices",
            "return jax.lax.with_sharding_constraint(x, placed)",
            "return x",
            "runs/test_devices.py::test_an_axis_over_devices",
        ),
    ),
    _of(
        "runs/lots.py",
        (
            "every-lot-is-put-in-the-place-of-the-first",
            "return _replaced(kept, after, start), results",
            "return _replaced(kept, after, 0), results",
            "runs/test_lots.py::test_lots_come_to_what_the_function_does",
        ),
        (
            "what-is-left-over-of-lots-is-forgotten",
            "return _replaced(kept, after, whole), joined",
            "return kept, joined",
            "runs/test_lots.py::test_lots_come_to_what_the_function_does",
        ),
    ),
]

MUTANTS: list[Mutant] = list(
    itertools.chain.from_iterable(
        itertools.chain.from_iterable(
            (
                _OPERATIONS,
                _ROOT_MODULES,
                _EXPLORATION,
                _NETWORKS,
                _REPLAY,
                _NESTED,
                _ENVIRONMENTS,
                _LOOPS,
                _POLICY_GRADIENTS,
                _ACTION_VALUE_AGENTS,
                _SEARCH,
                _EXPERIMENTS,
            )
        )
    )
)
