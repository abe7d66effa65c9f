"""verl's configuration: what a release makes of it, and what it passes over in silence."""
