"""The means of all learners: optimisers, schedules, minibatches, normalisation, regression."""
