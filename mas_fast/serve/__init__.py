"""A server of pictures: OpenAI's image API and a page to paint on, over any Painter. No torch."""
