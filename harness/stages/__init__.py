"""The stages of a study, one module for each kind: its inputs, its version, its work and its output."""
