"""One black-box policy-search method per file, each of them a pair of ask and tell."""
