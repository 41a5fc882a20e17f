"""The examples in the docstrings run and are right."""

import doctest

import pytest

from jaxrl import reports
from jaxrl.environments import finance


@pytest.mark.parametrize(
    "function",
    [
        finance.commission_factor,
        finance.constant_weights,
        finance.markowitz_weights,
        finance.merton_weights,
        finance.walk_forward,
        reports.expected_shortfall,
        reports.maximum_drawdown,
        reports.plot_policy_map,
        reports.sharpe_ratio,
        reports.sortino_ratio,
        reports.value_at_risk,
    ],
    ids=lambda function: function.__name__,
)
def test_examples(function):
    room = {name: getattr(module, name) for module in (finance, reports) for name in module.__all__}
    (found,) = doctest.DocTestFinder(recurse=False).find(function, function.__name__, globs=room)
    results = doctest.DocTestRunner().run(found)
    assert results.attempted >= 1
    assert results.failed == 0
