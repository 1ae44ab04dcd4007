"""``python -m splitbench``: the command, where its script is not on the path."""

from splitbench.harness.cli.app import main

if __name__ == "__main__":
    main()
