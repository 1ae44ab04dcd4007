"""Records, metrics, statistics and leaderboards: everything after the training, and nothing that needs torch."""
