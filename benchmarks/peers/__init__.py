"""The libraries that we are measured against, each driven inside a worker of its own."""
