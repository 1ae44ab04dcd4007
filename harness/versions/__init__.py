"""Holds declared versions to the code behind them: ``python -m splitbench.harness.versions check`` and ``lock``."""
