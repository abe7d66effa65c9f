"""Running an inference server as a child of this process."""
