"""The stages of a study, one module a kind: what it is a function of, its version, its work, and what it gives."""
