"""Loops join a learning rule to an environment and give an `Algorithm`."""
