"""Learning from one step at a time, whose advantage is not standardised away."""

import jax
import pytest
from probe_environments import action_matches_observation
from tiers import named

import jaxrl

ONE_STEP = {"num_envs": 1, "num_steps": 1, "learning_rate_schedule": "constant"}
CASES = {
    "ppo": (jaxrl.ppo, jaxrl.PPOConfig(num_minibatches=1, **ONE_STEP)),
    "ppo in minibatches of one": (
        jaxrl.ppo,
        jaxrl.PPOConfig(**(ONE_STEP | {"num_envs": 2}), num_minibatches=2),
    ),
    "a2c": (jaxrl.a2c, jaxrl.A2CConfig(normalize_advantages=True, **ONE_STEP)),
    "a3c": (jaxrl.a3c, jaxrl.A3CConfig(normalize_advantages=True, num_workers=1, **ONE_STEP)),
    "impala": (jaxrl.impala, jaxrl.IMPALAConfig(normalize_advantages=True, **ONE_STEP)),
    "trpo": (jaxrl.trpo, jaxrl.TRPOConfig(num_minibatches=1, **ONE_STEP)),
    "reinforce": (
        jaxrl.reinforce,
        jaxrl.ReinforceConfig(normalize_returns=True, num_episodes=1, baseline="value"),
    ),
}


@pytest.mark.parametrize("case", named(CASES, "ppo", "a3c", "reinforce"))
def test_one_step_at_a_time_changes_the_policy(case):
    """An entropy bonus would move it too, so there is none; the policy loss is not 0."""
    build, config = CASES[case]
    changes = {"entropy_coefficient": 0.0} if hasattr(config, "entropy_coefficient") else {}
    config = type(config)(**{**_values(config), **changes, "hidden_sizes": (4,)})
    algorithm = build(action_matches_observation(), config)

    @jax.jit
    def run(key):
        return algorithm.step(key, algorithm.init(key))[1]["policy_loss"]

    assert abs(float(run(jax.random.key(0)))) > 1e-3


def _values(config):
    return {name: getattr(config, name) for name in config.__dataclass_fields__}
