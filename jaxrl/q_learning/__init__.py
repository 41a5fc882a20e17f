"""What the agents that learn the values of actions share."""
