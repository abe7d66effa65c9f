"""From texts to scores: reading the judge's verdict, and similarity where there is none."""
