"""Data preparation: from a data set to rows that a trainer reads, and to pairs that measure membership inference.

It needs the extra `data` (pandas and pyarrow). Nothing outside this folder and the command line imports it.
"""
