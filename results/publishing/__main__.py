"""``python -m splitbench.results.publishing``."""

from splitbench.results.publishing.publish import main

main()
