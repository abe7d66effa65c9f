"""Everything between a trainer's settings and its judge's answer, looked at piece by piece."""
