"""How good it is: metrics, tokenizers on data, and what the storybook's model paints."""
