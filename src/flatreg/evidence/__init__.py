"""Evidence for and against the original's claims: tables computed from the result tables."""
