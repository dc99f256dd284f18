"""The networks: the GPT, the image tokenizers (VQ-VAEs), and what judges pictures in training; and
the codecs, which turn pictures and scenes into codes and back.
"""
