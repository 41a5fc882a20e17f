"""rejax, through its own `train`.

Its evaluation callback does nothing here, and there is one evaluation per run: rejax otherwise
plays 128 episodes at every evaluation, which ours is not asked to do either. rejax's
`max_grad_norm` clips each gradient element (ours clips the norm); the setting is the same number.
"""

from typing import Any

import jax
from compiled import compiled_program
from protocol import Program, serve
from rejax import DQN, PPO, SAC, TD3


def prepare(settings: dict[str, Any]) -> Program:
    """An algorithm with rejax's names for the same settings."""
    build, arguments = ALGORITHMS[settings["algorithm"]](settings)
    algorithm = build.create(
        env=settings["environment"],
        total_timesteps=settings["total_steps"],
        eval_freq=settings["total_steps"],
        skip_initial_evaluation=True,
        num_envs=settings["num_envs"],
        learning_rate=settings["learning_rate"],
        gamma=settings["discount"],
        **arguments,
    )
    algorithm = algorithm.replace(eval_callback=lambda algorithm, state, key: ())

    def train(key: jax.Array) -> Any:
        # The state has the environments and optimisers in it; all of it is computed either way.
        state, _ = algorithm.train(key)
        return state

    steps = settings["total_steps"] * settings["num_seeds"]
    return compiled_program(train, num_seeds=settings["num_seeds"], steps=steps)


def ppo(settings: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """PPO's own arguments."""
    return PPO, {
        "agent_kwargs": {
            "hidden_layer_sizes": tuple(settings["hidden_sizes"]),
            "activation": "tanh",
        },
        "num_steps": settings["num_steps"],
        "num_epochs": settings["num_epochs"],
        "num_minibatches": settings["num_minibatches"],
        "gae_lambda": settings["gae_lambda"],
        "clip_eps": settings["clip_epsilon"],
        "vf_coef": settings["value_coefficient"],
        "ent_coef": settings["entropy_coefficient"],
        "max_grad_norm": settings["max_gradient_norm"],
    }


def sac(settings: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """SAC's own arguments."""
    sizes = tuple(settings["hidden_sizes"])
    return SAC, replay(settings) | {"hidden_layer_sizes": sizes}


def td3(settings: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """TD3's own arguments; its noise is in the action's unit, where 2 is Pendulum's bound."""
    require_default_sizes(settings)
    return TD3, replay(settings) | {
        "actor_kwargs": {"activation": "relu"},
        "critic_kwargs": {"activation": "relu"},
        "exploration_noise": 2 * settings["noise"],
        "target_noise": 2 * settings["target_noise"],
        "target_noise_clip": 2 * settings["target_noise_clip"],
    }


def dqn(settings: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """DQN's own arguments; double is its default, as it is ours."""
    require_default_sizes(settings)
    return DQN, replay(settings) | {
        "agent_kwargs": {"activation": "relu"},
        "eps_start": settings["epsilon"],
        "eps_end": settings["epsilon"],
    }


def replay(settings: dict[str, Any]) -> dict[str, Any]:
    """What the algorithms with a replay have in common."""
    return {
        "buffer_size": settings["buffer_size"],
        "batch_size": settings["batch_size"],
        "fill_buffer": settings["random_steps"],
        "polyak": 1 - settings["tau"],
    }


def require_default_sizes(settings: dict[str, Any]) -> None:
    """The networks of TD3 and DQN have one size in rejax."""
    if settings["hidden_sizes"] != [64, 64]:
        raise ValueError("rejax's TD3 and DQN have hidden layers of 64 and 64 only")


ALGORITHMS = {"ppo": ppo, "sac": sac, "td3": td3, "dqn": dqn}


if __name__ == "__main__":
    serve(prepare, ("rejax", "jax", "gymnax", "flax", "optax"))
