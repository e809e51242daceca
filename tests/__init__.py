"""Behavioural tests."""
