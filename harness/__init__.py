"""The machine that runs studies: registry, stages, trainers, engines, sweeps, and the command."""

if __name__ != "splitbench.harness":
    raise ImportError(
        "import splitbench.harness: under the name " + repr(__name__) + " this would be a second copy of it"
    )
