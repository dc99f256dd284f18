"""Data: where samples come from, and what becomes of them."""
