"""Search spaces: topology, supernet, ground truth; and the datasets they are trained on."""

if __name__ != "splitbench.spaces":
    raise ImportError(
        "import splitbench.spaces: under the name " + repr(__name__) + " this would be a second copy of it"
    )
