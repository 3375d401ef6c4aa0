// A read-only memory with a registered output: data_o is, from the next clock edge with en_i on, the word at address_i.
//
// Where look-up tables hold it, a reset sets all bits of data_o. Words that are 0 at many addresses would else become a
// reset of the register, by decoders of the address in a row that are slower than the word itself.
//
// Width:     bits of a word.
// Depth:     words, at least 1. One word is a constant.
// RamStyle:  what it is made of: "distributed" is look-up tables, "block" block RAM, "auto" what synthesis finds cheapest;
//            up to AutoDepth words that is look-up tables.
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
  input  wire                     rst_ni,
  input  wire                     en_i,
  input  wire  [AddressWidth-1:0] address_i,
  output wire  [Width-1:0]        data_o
);

  // vendors' tools have no type string: a name is as many bits as it is long; this is wider than any of them
  localparam Style = {88'd0, RamStyle};
  if (Style != "auto" && Style != "distributed" && Style != "block") begin : gen_check_style
    $error("%m: RamStyle must be auto, distributed or block");
  end

  localparam int unsigned AutoDepth = 192;  // three look-up tables a bit are cheaper than block RAM of any width

  logic [Width-1:0] data_q;
  if (Depth == 1) begin : gen_constant
    logic [Width-1:0] words[Depth];
    initial $readmemh(File, words);
    always_ff @(posedge clk_i) if (en_i) data_q <= words[0];
    wire unused_control = &{1'b0, rst_ni, address_i};
  end else if (Style == "distributed" || (Style == "auto" && Depth <= AutoDepth)) begin : gen_distributed
`ifdef YOSYS
    (* rom_style = "logic" *)  // its word for look-up tables with constants
`else
    (* rom_style = "distributed" *)
`endif
    logic [Width-1:0] words[Depth];
    initial $readmemh(File, words);
    always_ff @(posedge clk_i) begin
      if (!rst_ni) data_q <= '1;
      else if (en_i) data_q <= words[address_i];
    end
  end else if (Style == "block") begin : gen_block
    (* rom_style = "block" *) logic [Width-1:0] words[Depth];
    initial $readmemh(File, words);
    always_ff @(posedge clk_i) if (en_i) data_q <= words[address_i];
    wire unused_reset = &{1'b0, rst_ni};
  end else begin : gen_addressed
    logic [Width-1:0] words[Depth];
    initial $readmemh(File, words);
    always_ff @(posedge clk_i) if (en_i) data_q <= words[address_i];
    wire unused_reset = &{1'b0, rst_ni};
  end
  assign data_o = data_q;

endmodule

`default_nettype wire
