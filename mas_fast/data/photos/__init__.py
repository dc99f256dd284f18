"""Photos of any kind to upright sRGB pixels."""
