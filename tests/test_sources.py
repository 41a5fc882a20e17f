"""Defaults that are said to be somebody else's: the source's values, and where ours differ.

The tables were read off the files that are named. What the settings' docstrings call an exception
is one here, and everything else is equal.
"""

import dataclasses

import pytest

import jaxrl

# vwxyzjn/cleanrl, cleanrl/dqn.py: the target is copied every 500 steps, an update is every 10.
CLEANRL_DQN = {
    "total_steps": 500_000,
    "learning_rate": 2.5e-4,
    "learning_rate_schedule": "constant",
    "optimizer": "adam",
    "optimizer_epsilon": 1e-8,
    "max_gradient_norm": None,
    "num_envs": 1,
    "num_steps": 10,
    "num_updates": 1,
    "buffer_size": 10_000,
    "discount": 0.99,
    "tau": 1.0,
    "target_period": 50,
    "batch_size": 128,
    "epsilon_start": 1.0,
    "epsilon_end": 0.05,
    "epsilon_fraction": 0.5,
    "random_steps": 10_000,
    "hidden_sizes": (120, 84),
    "activation": "relu",
    "double": False,
    "dueling": False,
    "prioritized": False,
    "n_step": 1,
    "loss": "squared",
}

# vwxyzjn/cleanrl, cleanrl/ppo.py.
CLEANRL_PPO = {
    "total_steps": 500_000,
    "learning_rate": 2.5e-4,
    "learning_rate_schedule": "linear",
    "optimizer": "adam",
    "optimizer_epsilon": 1e-5,
    "num_envs": 4,
    "num_steps": 128,
    "discount": 0.99,
    "gae_lambda": 0.95,
    "num_minibatches": 4,
    "num_epochs": 4,
    "normalize_advantages": True,
    "clip_epsilon": 0.2,
    "clip_schedule": "constant",
    "value_clip_epsilon": 0.2,
    "entropy_coefficient": 0.01,
    "value_coefficient": 0.5,
    "max_gradient_norm": 0.5,
    "target_kl": None,
    "hidden_sizes": (64, 64),
    "activation": "tanh",
    "shared_torso": False,
    "core": "none",
    "normalize_observations": False,
    "normalize_rewards": False,
}

# DLR-RM/stable-baselines3, stable_baselines3/a2c/a2c.py; torch's RMSprop decays by .99.
STABLE_BASELINES3_A2C = {
    "learning_rate": 7e-4,
    "learning_rate_schedule": "constant",
    "num_steps": 5,
    "discount": 0.99,
    "gae_lambda": 1.0,
    "entropy_coefficient": 0.0,
    "value_coefficient": 0.5,
    "max_gradient_norm": 0.5,
    "optimizer": "rmsprop",
    "optimizer_epsilon": 1e-5,
    "normalize_advantages": False,
    "hidden_sizes": (64, 64),
    "activation": "tanh",
    "shared_torso": False,
    "initial_log_std": 0.0,
}

# Mnih et al. (2016): 16 actors, 5 steps, discount .99, entropy .01, rates annealed to zero.
MNIH_2016 = {
    "num_workers": 16,
    "num_envs": 1,
    "num_steps": 5,
    "discount": 0.99,
    "optimizer": "rmsprop",
    "entropy_coefficient": 0.01,
    "learning_rate_schedule": "linear",
}

# Espeholt et al. (2018): rollouts of 20 steps, both limits 1.
ESPEHOLT_2018 = {"num_steps": 20, "clip_rho": 1.0, "clip_c": 1.0}

# Lillicrap et al. (2016), section 7.
LILLICRAP_2016 = {
    "learning_rate": 1e-3,
    "actor_learning_rate": 1e-4,
    "discount": 0.99,
    "tau": 0.001,
    "hidden_sizes": (400, 300),
    "activation": "relu",
    "action_layer": 1,
    "batch_size": 64,
    "buffer_size": 1_000_000,
    "noise": "ornstein-uhlenbeck",
    "noise_reversion": 0.15,
    "noise_scale": 0.2,
    "optimizer": "adam",
    "policy_delay": 1,
}

# sfujim/TD3, main.py, TD3.py and utils.py.
FUJIMOTO_TD3 = {
    "random_steps": 25_000,
    "total_steps": 1_000_000,
    "buffer_size": 1_000_000,
    "noise": "gaussian",
    "noise_scale": 0.1,
    "batch_size": 256,
    "discount": 0.99,
    "tau": 0.005,
    "target_noise": 0.2,
    "target_noise_clip": 0.5,
    "policy_delay": 2,
    "num_critics": 2,
    "learning_rate": 3e-4,
    "actor_learning_rate": None,
    "hidden_sizes": (256, 256),
    "activation": "relu",
    "optimizer": "adam",
    "optimizer_epsilon": 1e-8,
    "num_updates": 1,
}

# Haarnoja et al. (2018, arXiv:1812.05905), table 1; alpha starts at 1 in softlearning's sac.py.
HAARNOJA_2018 = {
    "optimizer": "adam",
    "learning_rate": 3e-4,
    "actor_learning_rate": None,
    "discount": 0.99,
    "buffer_size": 1_000_000,
    "hidden_sizes": (256, 256),
    "batch_size": 256,
    "activation": "relu",
    "tau": 0.005,
    "policy_delay": 1,
    "num_updates": 1,
    "initial_temperature": 1.0,
    "learn_temperature": True,
    "target_entropy": None,
}

# mttga/purejaxql, config/alg/pqn_minatar.yaml and pqn_minatar.py.
GALLICI_PQN = {
    "total_steps": 10_000_000,
    "num_envs": 128,
    "num_steps": 32,
    "epsilon_start": 1.0,
    "epsilon_end": 0.05,
    "epsilon_fraction": 0.1,
    "num_minibatches": 32,
    "num_epochs": 2,
    "layer_norm": True,
    "learning_rate": 5e-4,
    "learning_rate_schedule": "linear",
    "max_gradient_norm": 10.0,
    "optimizer": "radam",
    "optimizer_epsilon": 1e-8,
    "discount": 0.99,
    "trace_decay": 0.65,
    "hidden_sizes": (128,),
    "activation": "relu",
}

# Udacity's deep-reinforcement-learning, hill-climbing/Hill_Climbing.ipynb.
UDACITY_HILL_CLIMBING = {
    "noise_scale": 1e-2,
    "noise_shrink": 0.5,
    "noise_growth": 2.0,
    "min_noise_scale": 1e-3,
    "max_noise_scale": 2.0,
    "use_bias": False,
}

CLAIMS = {
    "dqn": (
        jaxrl.DQNConfig,
        CLEANRL_DQN,
        {"total_steps": 100_000, "buffer_size": 100_000, "double": True},
    ),
    "ppo": (jaxrl.PPOConfig, CLEANRL_PPO, {"value_clip_epsilon": None}),
    "a2c": (jaxrl.A2CConfig, STABLE_BASELINES3_A2C, {}),
    "a3c": (
        jaxrl.A3CConfig,
        MNIH_2016,
        {"entropy_coefficient": 0.0, "learning_rate_schedule": "constant"},
    ),
    "a3c as a2c": (jaxrl.A3CConfig, STABLE_BASELINES3_A2C, {}),
    "impala": (jaxrl.IMPALAConfig, ESPEHOLT_2018, {}),
    "impala as a2c": (jaxrl.IMPALAConfig, STABLE_BASELINES3_A2C, {"num_steps": 20}),
    "ddpg": (jaxrl.DDPGConfig, LILLICRAP_2016, {"buffer_size": 100_000}),
    "td3": (
        jaxrl.TD3Config,
        FUJIMOTO_TD3,
        {"total_steps": 100_000, "random_steps": 1_000, "buffer_size": 100_000},
    ),
    "sac": (jaxrl.SACConfig, HAARNOJA_2018, {"buffer_size": 100_000}),
    "pqn": (jaxrl.PQNConfig, GALLICI_PQN, {"total_steps": 500_000}),
    "hill_climbing": (jaxrl.HillClimbingConfig, UDACITY_HILL_CLIMBING, {}),
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_defaults_are_those_of_the_source_but_for_what_is_said(claim):
    settings, source, exceptions = CLAIMS[claim]
    ours = {field.name: field.default for field in dataclasses.fields(settings)}
    assert {name: ours[name] for name in source} == source | exceptions
    assert all(source[name] != value for name, value in exceptions.items())


def test_bounds_of_the_deviation_are_those_of_cleanrl():
    from jaxrl.networks import bounded_policies

    # vwxyzjn/cleanrl, cleanrl/sac_continuous_action.py.
    assert bounded_policies.LOG_STD_RANGE == (-5.0, 2.0)
