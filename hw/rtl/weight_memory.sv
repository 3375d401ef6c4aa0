// The weights of a layer, in the memory that RamStyle names: a rom, or a loaded_uram with its place in the weight stream.
// data_o is, from the next clock edge with en_i on, the word at address_i.
//
// Width:     bits of a word.
// Depth:     words, at least 1.
// RamStyle:  "distributed" is look-up tables, "block" block RAM, "auto" what synthesis finds cheapest of these; "ultra"
//            is UltraRAM, which is loaded after each reset. Nothing may be read before loaded_o is high.
// File:      the content, hexadecimal, one word a line; not used in UltraRAM.
`default_nettype none

module weight_memory #(
  parameter int unsigned Width = 8,
  parameter int unsigned Depth = 1,
  parameter RamStyle = "auto",
  parameter File = "",
  localparam int unsigned AddressWidth = (Depth > 1) ? $clog2(Depth) : 1
) (
  input  wire                     clk_i,
  input  wire                     rst_ni,

  // the weight stream: not used, and 0, where the content is constant
  input  wire                     load_valid_i,
  input  wire  [31:0]             load_data_i,
  output wire                     load_valid_o,
  output wire  [31:0]             load_data_o,
  output wire                     loaded_o,

  input  wire                     en_i,
  input  wire  [AddressWidth-1:0] address_i,
  output wire  [Width-1:0]        data_o
);

  localparam Style = {88'd0, RamStyle};  // see rom
  if (Style == "ultra") begin : gen_loaded
    loaded_uram #(
      .Width(Width),
      .Depth(Depth)
    ) u_memory (
      .clk_i(clk_i),
      .rst_ni(rst_ni),
      .load_valid_i(load_valid_i),
      .load_data_i(load_data_i),
      .load_valid_o(load_valid_o),
      .load_data_o(load_data_o),
      .loaded_o(loaded_o),
      .en_i(en_i),
      .address_i(address_i),
      .data_o(data_o)
    );
  end else begin : gen_constant
    rom #(
      .Width(Width),
      .Depth(Depth),
      .RamStyle(RamStyle),
      .File(File)
    ) u_memory (
      .clk_i(clk_i),
      .rst_ni(rst_ni),
      .en_i(en_i),
      .address_i(address_i),
      .data_o(data_o)
    );
    assign load_valid_o = 1'b0;
    assign load_data_o = '0;
    assign loaded_o = 1'b1;
    wire unused_load = &{1'b0, rst_ni, load_valid_i, load_data_i};
  end

endmodule

`default_nettype wire
