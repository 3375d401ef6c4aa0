// A memory with a write port and a read port of one clock. data_o is, from the next clock edge with read_i on, the
// word at read_address_i; a word that is written in the same cycle is read as it was before.
//
// Synthesis takes look-up tables or block RAM for it, as the size suggests.
//
// Width: bits of a word, at least 1.
// Depth: words, at least 2.
`default_nettype none

module simple_dual_port_ram #(
  parameter int unsigned Width = 8,
  parameter int unsigned Depth = 16,
  localparam int unsigned AddressWidth = $clog2(Depth)
) (
  input  wire                     clk_i,

  input  wire                     write_i,
  input  wire  [AddressWidth-1:0] write_address_i,
  input  wire  [Width-1:0]        data_i,

  input  wire                     read_i,
  input  wire  [AddressWidth-1:0] read_address_i,
  output wire  [Width-1:0]        data_o
);

  if (Width < 1 || Depth < 2) begin : gen_check
    $error("%m: Width must be at least 1 and Depth at least 2");
  end

  logic [Width-1:0] words[Depth];
  logic [Width-1:0] data_q;

  always_ff @(posedge clk_i) begin
    if (write_i) words[write_address_i] <= data_i;
    if (read_i) data_q <= words[read_address_i];
  end

  assign data_o = data_q;

endmodule

`default_nettype wire
