"""The judge inside other people's training loops, one file per trainer."""
