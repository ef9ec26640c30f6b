"""Which episodes belong together, what may have caused them, and how to say so. No I/O, no clock."""
