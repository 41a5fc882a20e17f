"""What `throughput.py` measures: the same settings for every contender."""

from typing import Any, NamedTuple


class Suite(NamedTuple):
    """How one algorithm is measured.

    Attributes:
        settings: of every configuration.
        configurations: measured by default.
        peers: who have the algorithm.
        program_steps: environment steps of a timed run of a compiled program, one seed, by the
            nearest number of environments: about a second each on two cores.
        loop_steps: the same of a Python loop, which takes as long per step however long it runs.
    """

    settings: dict[str, Any]
    configurations: tuple[str, ...]
    peers: tuple[str, ...]
    program_steps: dict[int, int]
    loop_steps: dict[int, int]


OFF_POLICY: dict[str, Any] = {
    "hidden_sizes": [64, 64],
    "batch_size": 256,
    "buffer_size": 50_000,
    "random_steps": 100,
    "discount": 0.99,
    "tau": 0.005,
    "learning_rate": 3e-4,
}
SAC = OFF_POLICY | {"algorithm": "sac", "environment": "Pendulum-v1"}
TD3 = SAC | {"algorithm": "td3", "noise": 0.1, "target_noise": 0.2, "target_noise_clip": 0.5}
DQN = OFF_POLICY | {"algorithm": "dqn", "environment": "CartPole-v1", "epsilon": 0.1}
# One update of the networks for each step of one environment.
SINGLE = ("1x1x1",)

SUITES = {
    "ppo": Suite(
        settings={
            "algorithm": "ppo",
            "environment": "CartPole-v1",
            "hidden_sizes": [64, 64],
            "num_epochs": 4,
            "num_minibatches": 4,
            "learning_rate": 2.5e-4,
            "discount": 0.99,
            "gae_lambda": 0.95,
            "clip_epsilon": 0.2,
            "value_coefficient": 0.5,
            "entropy_coefficient": 0.01,
            "max_gradient_norm": 0.5,
        },
        configurations=("4x128x1", "64x128x1", "1024x32x1", "4x128x16", "64x128x8"),
        peers=("plain", "rejax", "stable_baselines3", "sbx"),
        program_steps={4: 256 * 4 * 128, 64: 96 * 64 * 128, 1024: 24 * 1024 * 32},
        loop_steps={4: 16 * 4 * 128, 64: 3 * 64 * 128, 1024: 1024 * 32},
    ),
    "a2c": Suite(
        settings={
            "algorithm": "a2c",
            "environment": "CartPole-v1",
            "hidden_sizes": [64, 64],
            "learning_rate": 7e-4,
            "discount": 0.99,
            "gae_lambda": 1.0,
            "value_coefficient": 0.5,
            "entropy_coefficient": 0.0,
            "max_gradient_norm": 0.5,
            "rmsprop_epsilon": 1e-5,
        },
        configurations=("16x5x1",),
        peers=("stable_baselines3",),
        program_steps={16: 5_000 * 16 * 5},
        loop_steps={16: 150 * 16 * 5},
    ),
    "sac": Suite(SAC, SINGLE, ("rejax", "stable_baselines3", "sbx"), {1: 10_000}, {1: 1_500}),
    "sac-256": Suite(
        SAC | {"hidden_sizes": [256, 256]},
        SINGLE,
        ("products", "rejax", "stable_baselines3", "sbx"),
        {1: 3_000},
        {1: 1_000},
    ),
    "td3": Suite(TD3, SINGLE, ("rejax", "stable_baselines3", "sbx"), {1: 10_000}, {1: 1_500}),
    "dqn-5k": Suite(DQN | {"buffer_size": 5_000}, SINGLE, ("rejax",), {1: 10_000}, {}),
    "dqn": Suite(DQN, SINGLE, ("rejax", "stable_baselines3", "sbx"), {1: 10_000}, {1: 3_000}),
    "dqn-500k": Suite(DQN | {"buffer_size": 500_000}, SINGLE, ("rejax",), {1: 10_000}, {}),
    # Nobody else's: for `against.py`. A number of environments is one of candidates here.
    "cem": Suite(
        {"algorithm": "cem", "environment": "CartPole-v1", "hidden_sizes": [64, 64]},
        ("64x1x1",),
        (),
        {64: 2_000_000},
        {},
    ),
}
