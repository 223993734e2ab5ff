"""Know what a source holds before anything of it is sent."""
