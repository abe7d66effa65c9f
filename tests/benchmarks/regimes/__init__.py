"""One file for each regime: `run(bench)` returns its tables."""
