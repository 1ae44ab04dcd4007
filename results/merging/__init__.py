"""Folders of a study's parts, joined and checked."""
