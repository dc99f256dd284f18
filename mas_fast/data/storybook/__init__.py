"""Illustrated scenes with exact annotations, drawn by rule: the embedded data set."""
