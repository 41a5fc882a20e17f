"""Q-learning: the values of discrete actions are learnt, and the best action is taken.

For an algorithm of one's own there are the settings of a Q-network and of epsilon-greedy behaviour,
and the learning rules of both algorithms without their loops.
"""

from jaxrl.q_learning._settings import ActionValueSettings, EpsilonSettings, epsilon_after
from jaxrl.q_learning.dqn import DQNConfig, DQNState, dqn, dqn_agent, dqn_loss, dqn_target
from jaxrl.q_learning.pqn import PQNConfig, pqn, pqn_agent, q_lambda_returns

__all__ = [
    "ActionValueSettings",
    "DQNConfig",
    "DQNState",
    "EpsilonSettings",
    "PQNConfig",
    "dqn",
    "dqn_agent",
    "dqn_loss",
    "dqn_target",
    "epsilon_after",
    "pqn",
    "pqn_agent",
    "q_lambda_returns",
]
