"""The hardware through tools that synthesize, place and route: its resources, its timing, its bitstream."""
