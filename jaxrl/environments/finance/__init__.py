"""Finance: optimal liquidation, market making and portfolios, beside their closed forms."""

__all__: list[str] = []
