"""What this machine is, and what on it is in the way of a study."""
