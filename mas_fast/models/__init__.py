"""The networks: the GPT, the tokenizers (VQ-VAEs), what judges pictures in training; and codecs,
which turn pictures and scenes into codes and back."""
