"""The service: a thin shell over `DigitReader`, with its limits, its metrics and a page. Needs the extra `serve`."""
