"""A bundle made ready, from captions to files: by PyTorch, or without it."""
