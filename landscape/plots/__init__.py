"""Figures of results: Plotly, notebooks, HTML pages."""
