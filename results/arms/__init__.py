"""What the runs of one arm say: means over seeds, costs, findings, grounds, controls, terms."""
