"""Annotators: pictures in, layers out, one file for each."""
