"""rejax's PPO, through its own `train`.

Its evaluation callback does nothing here, and there is one evaluation per run: rejax otherwise
plays 128 episodes at every evaluation, which ours is not asked to do either. rejax's
`max_grad_norm` clips each gradient element (ours clips the norm); the setting is the same number.
"""

from typing import Any

import jax
from compiled import compiled_program
from protocol import Program, serve
from rejax import PPO


def prepare(settings: dict[str, Any]) -> Program:
    """PPO with rejax's names for the same settings."""
    algorithm = PPO.create(
        env=settings["environment"],
        agent_kwargs={
            "hidden_layer_sizes": tuple(settings["hidden_sizes"]),
            "activation": "tanh",
        },
        total_timesteps=settings["total_steps"],
        eval_freq=settings["total_steps"],
        skip_initial_evaluation=True,
        num_envs=settings["num_envs"],
        num_steps=settings["num_steps"],
        num_epochs=settings["num_epochs"],
        num_minibatches=settings["num_minibatches"],
        learning_rate=settings["learning_rate"],
        gamma=settings["discount"],
        gae_lambda=settings["gae_lambda"],
        clip_eps=settings["clip_epsilon"],
        vf_coef=settings["value_coefficient"],
        ent_coef=settings["entropy_coefficient"],
        max_grad_norm=settings["max_gradient_norm"],
    )
    algorithm = algorithm.replace(eval_callback=lambda algorithm, state, key: ())

    def train(key: jax.Array) -> Any:
        # The state has the environments and optimisers in it; all of it is computed either way.
        state, _ = algorithm.train(key)
        return state

    steps = settings["total_steps"] * settings["num_seeds"]
    return compiled_program(train, num_seeds=settings["num_seeds"], steps=steps)


if __name__ == "__main__":
    serve(prepare, ("rejax", "jax", "gymnax", "flax", "optax"))
