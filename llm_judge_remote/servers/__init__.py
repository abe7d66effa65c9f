"""Which servers there are, which are well, and which one a request goes to."""
