"""Files that are whole or absent, their checksums and locks, and the outputs of finished runs."""
