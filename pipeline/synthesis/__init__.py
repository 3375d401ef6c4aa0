"""What the hardware takes of an FPGA and how fast it is, by tools that synthesize, place and route."""
