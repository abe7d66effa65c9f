"""What is looked at before an engine is started."""
