"""Finance: optimal liquidation, market making and portfolios, beside their closed forms."""

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
from jaxrl.environments.finance.quote_tables import (
    QuoteResults,
    avellaneda_stoikov_quotes,
    continuous_optimum_quotes,
    optimal_quotes,
    quote_policy,
    quote_results,
    symmetric_quotes,
)

__all__ = [
    "AdversaryState",
    "MarketMakingOptimum",
    "MarketMakingState",
    "QuoteResults",
    "adverse_drift_policy",
    "avellaneda_stoikov_depths",
    "avellaneda_stoikov_quotes",
    "average_spread",
    "continuous_optimum_quotes",
    "market_making",
    "market_making_adversary",
    "market_making_optimum",
    "optimal_quotes",
    "optimal_spread",
    "quote_policy",
    "quote_results",
    "reservation_price",
    "stationary_depths",
    "symmetric_quotes",
]
