"""What the penalty costs beside its peers; ratios only, measured side by side."""
