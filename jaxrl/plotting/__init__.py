"""Learning curves of one or several runs, with bootstrap intervals over seeds."""

from jaxrl.plotting.curves import Curve, plot_curves, resample
from jaxrl.plotting.intervals import Interval, seed_interval
from jaxrl.plotting.runs import plot_runs

__all__ = ["Curve", "Interval", "plot_curves", "plot_runs", "resample", "seed_interval"]
