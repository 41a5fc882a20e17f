"""Finance: optimal liquidation, market making and portfolios, beside their closed forms."""

from jaxrl.environments.finance._commission import commission_factor
from jaxrl.environments.finance.portfolio import differential_sharpe, portfolio
from jaxrl.environments.finance.portfolio_policies import (
    buy_and_hold,
    constant_weights,
    equal_weights,
    markowitz,
    merton,
)
from jaxrl.environments.finance.portfolio_weights import (
    covariance_of,
    estimated_moments,
    markowitz_weights,
    merton_log_growth,
    merton_weights,
)
from jaxrl.environments.finance.prices import check_prices, read_prices
from jaxrl.environments.finance.walk_forward import walk_forward

__all__ = [
    "buy_and_hold",
    "check_prices",
    "commission_factor",
    "constant_weights",
    "covariance_of",
    "differential_sharpe",
    "equal_weights",
    "estimated_moments",
    "markowitz",
    "markowitz_weights",
    "merton",
    "merton_log_growth",
    "merton_weights",
    "portfolio",
    "read_prices",
    "walk_forward",
]
