"""The pictures of the documentation: one module per kind, functions that return a figure of matplotlib's."""
