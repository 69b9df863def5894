"""The paper's numbers, tables and flow charts, and the making of its PDF."""
