"""The service, over a real socket."""
