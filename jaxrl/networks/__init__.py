"""Networks: any library's module as two functions, and the modules that agents use by default.

A network for an actor-critic maps one observation to (distribution, value); everything an agent
needs to know of the action space is in the distribution, so a network of your own can use any
module and any distribution.
"""

from jaxrl.networks.action_values import ActionValues, Critic, action_values, critic
from jaxrl.networks.actor_critic import ActorCritic, PolicyHead, actor_critic
from jaxrl.networks.bounded_policies import (
    CategoricalHead,
    DeterministicHead,
    PolicyModule,
    SquashedGaussianHead,
    policy_of_head,
)
from jaxrl.networks.gru import GRU
from jaxrl.networks.initialization import from_one_draw, orthogonal
from jaxrl.networks.layers import Dense, matmul
from jaxrl.networks.masking import masking_actions, refuse_masks, require_masks, without_masks
from jaxrl.networks.memory import start_again, step_by_step, without_memory
from jaxrl.networks.policy import PolicyNetwork, policy_network
from jaxrl.networks.recurrent import RecurrentActorCritic, recurrent_actor_critic
from jaxrl.networks.seam import (
    from_flax,
    over_batch,
    require_array,
    require_distribution,
    require_network,
)
from jaxrl.networks.settings import TorsoSettings
from jaxrl.networks.torsos import ACTIVATIONS, MLP, MinAtarCNN, encode_observation, make_torso

__all__ = [
    "ACTIVATIONS",
    "GRU",
    "MLP",
    "ActionValues",
    "ActorCritic",
    "CategoricalHead",
    "Critic",
    "Dense",
    "DeterministicHead",
    "MinAtarCNN",
    "PolicyHead",
    "PolicyModule",
    "PolicyNetwork",
    "RecurrentActorCritic",
    "SquashedGaussianHead",
    "TorsoSettings",
    "action_values",
    "actor_critic",
    "critic",
    "encode_observation",
    "from_flax",
    "from_one_draw",
    "make_torso",
    "masking_actions",
    "matmul",
    "orthogonal",
    "over_batch",
    "policy_network",
    "policy_of_head",
    "recurrent_actor_critic",
    "refuse_masks",
    "require_array",
    "require_distribution",
    "require_masks",
    "require_network",
    "start_again",
    "step_by_step",
    "without_masks",
    "without_memory",
]
