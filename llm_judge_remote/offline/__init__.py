"""A file of candidates is judged: every row once, whatever happens on the way."""
