"""From a sample to the judge's prompt."""
