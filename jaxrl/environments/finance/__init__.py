"""Finance: optimal liquidation, market making and portfolios, beside their closed forms."""

from jaxrl.environments.finance._commission import commission_factor
from jaxrl.environments.finance.avellaneda_stoikov import (
    MarketMakingOptimum,
    avellaneda_stoikov_depths,
    average_spread,
    market_making_optimum,
    optimal_spread,
    reservation_price,
    stationary_depths,
)
from jaxrl.environments.finance.market_making import MarketMakingState, market_making
from jaxrl.environments.finance.market_making_adversary import (
    AdversaryState,
    adverse_drift_policy,
    market_making_adversary,
)
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
from jaxrl.environments.finance.quote_tables import (
    QuoteResults,
    avellaneda_stoikov_quotes,
    continuous_optimum_quotes,
    optimal_quotes,
    quote_policy,
    quote_results,
    symmetric_quotes,
)
from jaxrl.environments.finance.walk_forward import walk_forward

__all__ = [
    "AdversaryState",
    "MarketMakingOptimum",
    "MarketMakingState",
    "QuoteResults",
    "adverse_drift_policy",
    "avellaneda_stoikov_depths",
    "avellaneda_stoikov_quotes",
    "average_spread",
    "buy_and_hold",
    "check_prices",
    "commission_factor",
    "constant_weights",
    "continuous_optimum_quotes",
    "covariance_of",
    "differential_sharpe",
    "equal_weights",
    "estimated_moments",
    "market_making",
    "market_making_adversary",
    "market_making_optimum",
    "markowitz",
    "markowitz_weights",
    "merton",
    "merton_log_growth",
    "merton_weights",
    "optimal_quotes",
    "optimal_spread",
    "portfolio",
    "quote_policy",
    "quote_results",
    "read_prices",
    "reservation_price",
    "stationary_depths",
    "symmetric_quotes",
    "walk_forward",
]
