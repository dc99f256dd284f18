"""Tokenizers as ONNX files: what is in them, how they are made and proved, and how they are run."""
