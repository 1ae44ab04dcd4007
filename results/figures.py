"""The picture that is published beside a leaderboard: :func:`results.plots.ranking.ranking_svg`."""

from results.plots.ranking import ranking_svg

__all__ = ["ranking_svg"]
