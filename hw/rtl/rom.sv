// A read-only memory with a registered output: data_o is, from the next clock edge with en_i on, the word at address_i.
//
// Width:     bits of a word.
// Depth:     words, at least 1. One word is a constant.
// RamStyle:  what it is made of: "distributed" is look-up tables, "block" block RAM, "auto" what synthesis finds cheapest.
// File:      the content, hexadecimal, one word a line.
`default_nettype none

module rom #(
  parameter int unsigned Width = 8,
  parameter int unsigned Depth = 1,
  parameter RamStyle = "auto",
  parameter File = "",
  localparam int unsigned AddressWidth = (Depth > 1) ? $clog2(Depth) : 1
) (
  input  wire                     clk_i,
  input  wire                     en_i,
  input  wire  [AddressWidth-1:0] address_i,
  output wire  [Width-1:0]        data_o
);

  // vendors' tools have no type string: a name is as many bits as it is long; this is wider than any of them
  localparam Style = {88'd0, RamStyle};
  if (Style != "auto" && Style != "distributed" && Style != "block") begin : gen_check_style
    $error("%m: RamStyle must be auto, distributed or block");
  end

  logic [Width-1:0] data_q;
  if (Depth == 1) begin : gen_constant
    logic [Width-1:0] words[Depth];
    initial $readmemh(File, words);
    always_ff @(posedge clk_i) if (en_i) data_q <= words[0];
    wire unused_address = &{1'b0, address_i};
  end else if (Style == "distributed") begin : gen_distributed
`ifdef YOSYS
    (* rom_style = "logic" *)  // its word for look-up tables with constants
`else
    (* rom_style = "distributed" *)
`endif
    logic [Width-1:0] words[Depth];
    initial $readmemh(File, words);
    always_ff @(posedge clk_i) if (en_i) data_q <= words[address_i];
  end else if (Style == "block") begin : gen_block
    (* rom_style = "block" *) logic [Width-1:0] words[Depth];
    initial $readmemh(File, words);
    always_ff @(posedge clk_i) if (en_i) data_q <= words[address_i];
  end else begin : gen_addressed
    logic [Width-1:0] words[Depth];
    initial $readmemh(File, words);
    always_ff @(posedge clk_i) if (en_i) data_q <= words[address_i];
  end
  assign data_o = data_q;

endmodule

`default_nettype wire
