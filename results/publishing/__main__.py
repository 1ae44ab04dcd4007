"""``python -m splitbench.results.publishing``."""

from splitbench.results.publishing.publish import publish_main

publish_main()
