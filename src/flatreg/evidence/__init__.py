"""What the runs say of the original's claims, and how sure that is: tables from result tables."""
