"""Mathematics on arrays: no networks, no environments, no settings objects."""
