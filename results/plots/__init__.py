"""Pictures of a results folder, a module a kind. Each draws records or a sweep, and nothing else: no torch, no stages.

``splitbench.results.plots.catalogue.drawings`` makes all that a folder can give; ``splitbench plot`` writes them.
"""

KINDS = {
    "ranking": "each arm's metric: seeds, mean, interval",
    "pareto": "the metric against cost, and the Pareto front",
    "anytime": "the metric against budget, a line a criterion",
    "critical_difference": "mean ranks, and which arms they cannot tell apart",
    "affinity": "dissimilarities of operations on each edge, with standard errors",
    "waterfall": "what each part of a split cost and brought",
    "tree": "which operations went where",
    "scatter": "estimate against ground truth, leaf by leaf",
    "stability": "how often seeds choose the same edge and groups",
    "tuning": "a sweep's best after n trials, and after n runs",
    "slices": "a sweep's trials against each parameter",
    "importance": "how much each parameter of a sweep matters",
}
