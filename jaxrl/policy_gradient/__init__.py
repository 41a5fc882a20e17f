"""Policy-gradient algorithms, one per file, and the parts of which they and new ones are made."""

from jaxrl.learning.optimizers import LearnerState, gradient_step, scheduled
from jaxrl.policy_gradient._actor import Actor, ActorCriticNetwork, make_actor
from jaxrl.policy_gradient._algorithm import on_policy_algorithm, prepare_task
from jaxrl.policy_gradient._experience import (
    EvaluatedRollout,
    Experience,
    as_sequences,
    evaluate_rollout,
    evaluate_steps,
)
from jaxrl.policy_gradient._settings import (
    NetworkSettings,
    OnPolicySettings,
    PolicyGradientSettings,
    SharedNetworkSettings,
)
from jaxrl.policy_gradient.a2c import A2CConfig, a2c
from jaxrl.policy_gradient.a3c import A3CConfig, a3c
from jaxrl.policy_gradient.impala import IMPALAConfig, impala
from jaxrl.policy_gradient.ppo import PPOConfig, ppo
from jaxrl.policy_gradient.reinforce import ReinforceConfig, reinforce
from jaxrl.policy_gradient.trpo import TRPOConfig, trpo

__all__ = [
    "A2CConfig",
    "A3CConfig",
    "Actor",
    "ActorCriticNetwork",
    "EvaluatedRollout",
    "Experience",
    "IMPALAConfig",
    "LearnerState",
    "NetworkSettings",
    "OnPolicySettings",
    "PPOConfig",
    "PolicyGradientSettings",
    "ReinforceConfig",
    "SharedNetworkSettings",
    "TRPOConfig",
    "a2c",
    "a3c",
    "as_sequences",
    "evaluate_rollout",
    "evaluate_steps",
    "gradient_step",
    "impala",
    "make_actor",
    "on_policy_algorithm",
    "ppo",
    "prepare_task",
    "reinforce",
    "scheduled",
    "trpo",
]
