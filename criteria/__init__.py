"""What decides a split: criteria, partitioners, edge rules and zero-cost proxies."""

if __name__ != "splitbench.criteria":
    raise ImportError(
        "import splitbench.criteria: under the name " + repr(__name__) + " this would be a second copy of it"
    )
