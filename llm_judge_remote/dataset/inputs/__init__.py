"""The inputs: how each kind of file, and a hub's data set, becomes items."""
