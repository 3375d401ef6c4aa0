"""What layers will take of an FPGA, estimated before anything is synthesized."""
