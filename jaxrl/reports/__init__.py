"""Pictures and statistics: learning curves of runs with intervals, comparisons, episodes as GIFs.

What is drawn is written where the caller says.

    intervals.py    a mean or interquartile mean over seeds, with its interval
    scores.py       scores over tasks and seeds: aggregates, profiles, improvement
    comparison.py   from run folders to a comparison over tasks and seeds
    comparison_picture.py   its intervals and performance profiles
    curves.py       curves with their bands, as a picture
    run_curves.py   from run folders to curves
    lineage.py      settings of population-based training over time, as a picture
    performance.py  ratios, drawdowns and tails of investments, and wealth as a picture
    trading.py      the efficient frontier, inventory over time, a policy as a map
    rendering/      one episode as an animated GIF
"""

from jaxrl.reports.comparison import Comparison, compare_runs, read_references
from jaxrl.reports.comparison_picture import plot_comparison
from jaxrl.reports.curves import Curve, Panel, plot_curves, plot_panels, resample
from jaxrl.reports.intervals import Interval, mean_interval, seed_interval
from jaxrl.reports.lineage import plot_lineage
from jaxrl.reports.performance import (
    Performance,
    PlayedEpisodes,
    annual_growth,
    annual_turnover,
    calmar_ratio,
    drawdowns,
    expected_shortfall,
    maximum_drawdown,
    performance_of,
    play_episodes,
    plot_equity,
    sharpe_ratio,
    sortino_ratio,
    value_at_risk,
    wealth_curve,
)
from jaxrl.reports.rendering import record_episode, render_episode, render_run
from jaxrl.reports.run_curves import plot_runs
from jaxrl.reports.scores import (
    Aggregates,
    aggregate_scores,
    performance_profile,
    probability_of_improvement,
)
from jaxrl.reports.sweep_pictures import plot_sweep
from jaxrl.reports.trading import plot_frontier, plot_inventory, plot_policy_map

__all__ = [
    "Aggregates",
    "Comparison",
    "Curve",
    "Panel",
    "Interval",
    "Performance",
    "PlayedEpisodes",
    "aggregate_scores",
    "annual_growth",
    "annual_turnover",
    "calmar_ratio",
    "compare_runs",
    "drawdowns",
    "expected_shortfall",
    "maximum_drawdown",
    "mean_interval",
    "performance_of",
    "performance_profile",
    "play_episodes",
    "plot_comparison",
    "plot_curves",
    "plot_panels",
    "plot_equity",
    "plot_frontier",
    "plot_inventory",
    "plot_lineage",
    "plot_policy_map",
    "plot_runs",
    "plot_sweep",
    "probability_of_improvement",
    "read_references",
    "record_episode",
    "render_episode",
    "render_run",
    "resample",
    "seed_interval",
    "sharpe_ratio",
    "sortino_ratio",
    "value_at_risk",
    "wealth_curve",
]
