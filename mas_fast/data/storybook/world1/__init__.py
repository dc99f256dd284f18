"""The first world: simple figures, for pictures of 128 pixels."""
