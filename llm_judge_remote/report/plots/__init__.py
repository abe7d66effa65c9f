"""Figures as values, and two ways to draw them: SVG for the page, matplotlib for files."""
