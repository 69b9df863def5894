"""Publishing a finished study: its description, the reference, and checks against it."""
