"""Files that are whole or absent, and what is kept of finished work."""
