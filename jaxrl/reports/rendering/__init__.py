"""Pictures of a policy at work: one episode as an animated GIF, for every environment."""

from jaxrl.reports.rendering.animation import render_episode, render_run
from jaxrl.reports.rendering.episode import Episode, record_episode

__all__ = ["Episode", "record_episode", "render_episode", "render_run"]
