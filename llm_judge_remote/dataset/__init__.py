"""Data preparation: from a data set to rows that a trainer reads, and to pairs that measure membership inference.

It needs the extra `data` (pandas and pyarrow), so nothing that a trainer imports imports it.
"""
