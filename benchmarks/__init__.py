"""The benchmark suite: every case of ours beside its named peers, in one run. See README.md."""
