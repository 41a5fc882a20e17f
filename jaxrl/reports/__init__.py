"""Learning curves of one or several runs, with bootstrap intervals over seeds."""

from jaxrl.reports.curves import Curve, plot_curves, resample
from jaxrl.reports.intervals import Interval, seed_interval
from jaxrl.reports.run_curves import plot_runs

__all__ = ["Curve", "Interval", "plot_curves", "plot_runs", "resample", "seed_interval"]
