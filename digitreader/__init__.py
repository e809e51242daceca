"""Recognise handwritten digits and know when not to be sure."""
