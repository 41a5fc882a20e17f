"""Deep deterministic policy gradients and their kin: actors that go up a learnt critic."""
