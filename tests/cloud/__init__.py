"""Tests of the comparison with clouds."""
