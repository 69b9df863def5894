"""The paper: numbers, tables and flow charts in LaTeX, and the PDF."""
