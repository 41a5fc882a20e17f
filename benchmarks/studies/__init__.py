"""One ablation per file: what is measured, and how it is drawn."""
