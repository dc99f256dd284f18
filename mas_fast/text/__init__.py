"""Captions, and the tokens that they become."""
