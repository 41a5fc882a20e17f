"""Networks: any library's module as two functions, and the modules that agents use by default.

A network for an actor-critic maps one observation to (distribution, value); everything an agent
needs to know of the action space is in the distribution, so a network of your own can use any
module and any distribution.
"""

from jaxrl.networks.action_values import Critic, QNetwork, critic, q_network
from jaxrl.networks.actor_critic import ActorCritic, PolicyHead, actor_critic
from jaxrl.networks.applying import (
    apply_to_batch,
    init_network,
    output_shapes,
    policy_of,
    seen_space,
)
from jaxrl.networks.bounded_policies import (
    CategoricalHead,
    DeterministicHead,
    PolicyModule,
    SquashedGaussianHead,
    policy_of_head,
)
from jaxrl.networks.convolutions import ImpalaCNN, MinAtarCNN, NatureCNN
from jaxrl.networks.gru import GRU
from jaxrl.networks.initialization import from_one_draw, orthogonal
from jaxrl.networks.layers import Dense, matmul
from jaxrl.networks.lstm import LSTM, LSTMMemory
from jaxrl.networks.masked_values import (
    greedy_policy,
    make_q_network,
    policy_with_masks,
    seen_and_mask,
)
from jaxrl.networks.masking import masking_actions, refuse_masks, require_masks, without_masks
from jaxrl.networks.memory import start_again, step_by_step, without_memory
from jaxrl.networks.mlp import MLP
from jaxrl.networks.policy import PolicyNetwork, policy_network
from jaxrl.networks.protocol import (
    from_flax,
    over_batch,
    require_array,
    require_distribution,
    require_network,
)
from jaxrl.networks.recurrent import RecurrentActorCritic, recurrent_actor_critic
from jaxrl.networks.registry import available_networks, named_network, register_network
from jaxrl.networks.settings import TorsoSettings, ValueNetworkSettings, torso_attributes
from jaxrl.networks.torsos import ACTIVATIONS, TORSOS, encode_observation, make_torso

__all__ = [
    "ACTIVATIONS",
    "GRU",
    "LSTM",
    "MLP",
    "TORSOS",
    "ActorCritic",
    "CategoricalHead",
    "Critic",
    "Dense",
    "DeterministicHead",
    "ImpalaCNN",
    "LSTMMemory",
    "MinAtarCNN",
    "NatureCNN",
    "PolicyHead",
    "PolicyModule",
    "PolicyNetwork",
    "QNetwork",
    "RecurrentActorCritic",
    "SquashedGaussianHead",
    "TorsoSettings",
    "ValueNetworkSettings",
    "actor_critic",
    "apply_to_batch",
    "available_networks",
    "critic",
    "encode_observation",
    "from_flax",
    "from_one_draw",
    "greedy_policy",
    "init_network",
    "make_q_network",
    "make_torso",
    "masking_actions",
    "matmul",
    "named_network",
    "orthogonal",
    "output_shapes",
    "over_batch",
    "policy_network",
    "policy_of",
    "policy_of_head",
    "policy_with_masks",
    "q_network",
    "recurrent_actor_critic",
    "refuse_masks",
    "register_network",
    "require_array",
    "require_distribution",
    "require_masks",
    "require_network",
    "seen_and_mask",
    "seen_space",
    "start_again",
    "step_by_step",
    "torso_attributes",
    "without_masks",
    "without_memory",
]
