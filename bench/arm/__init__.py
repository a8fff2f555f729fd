"""The engine on a 32-bit ARM board that stands in for the iPad 2. See README.md."""
