"""Training: settings from YAML, one trainer, and the things that it trains."""
