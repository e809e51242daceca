"""Measurements of the reader, with their committed results in results/."""
