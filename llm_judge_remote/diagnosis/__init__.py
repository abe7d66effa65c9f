"""What is wrong with a judge server, or with the set-up that leads to it: looked at, said, and with a way out."""
