"""What is decided about a row without asking anybody."""
