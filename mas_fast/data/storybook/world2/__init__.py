"""The second world: richer figures, places and captions, for pictures of 256 pixels."""
