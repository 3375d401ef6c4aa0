// A bank of a memory of threshold_search: the word at address_i, from look-up tables, combinational.
//
// It is a module so that synthesis with the hierarchy kept reads a bit of the word by one look-up table. Together with the
// choice among banks and the register behind it, it found fewer look-up tables for some contents, of up to four levels.
//
// Width:           bits of a word.
// Depth:           words, at least 2; up to 64 are one level of look-up tables.
// ThresholdFiles:  what the name of the file begins with, see threshold_search.
// Lane, Step, Bank: which bank it is, in the name of the file.
`default_nettype none

module threshold_bank #(
  parameter int unsigned Width = 8,
  parameter int unsigned Depth = 64,
  parameter ThresholdFiles = "",
  parameter int unsigned Lane = 0,
  parameter int unsigned Step = 0,
  parameter int unsigned Bank = 0,
  localparam int unsigned AddressWidth = $clog2(Depth)
) (
  input  wire  [AddressWidth-1:0] address_i,
  output wire  [Width-1:0]        data_o
);

  if (Width < 1 || Depth < 2) begin : gen_check
    $error("%m: Width must be at least 1 and Depth at least 2");
  end

`ifdef YOSYS
  (* rom_style = "logic" *)  // its word for look-up tables with constants
`else
  (* rom_style = "distributed" *)
`endif
  logic [Width-1:0] words[Depth];
  initial $readmemh($sformatf("%s_%0d_%0d_%0d.mem", ThresholdFiles, Lane, Step, Bank), words);
  assign data_o = words[address_i];

endmodule

`default_nettype wire
