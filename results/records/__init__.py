"""Records on disk: what a run leaves behind, and how a folder of them is read."""
