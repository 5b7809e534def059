"""Models as files that run without this code: see docs/export.md."""
