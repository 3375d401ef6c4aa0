// What the block RAMs RAMB18 and RAMB36 of 7-series and UltraScale do, as far as Yosys uses them (UG473, UG573): both ports
// with widths of their own, byte enables, the three write modes, the reset of the output latch; no output register, no
// cascade, no error correction.
//
// A word that one port writes while the other reads it comes out as it was where the writer is READ_FIRST; else it is not
// known (UG573, "Conflict Avoidance"), and comes out inverted here, so that a design that relies on it shows.
//
// Bytes:                   of data: 2048 or 4096. Each has a bit of parity.
// ReadWidth*, WriteWidth*: bits of a word with its parity: 1, 2, 4, 9, 18, 36 or 72; 0 where the port does not.
// WriteMode*:              READ_FIRST, WRITE_FIRST or NO_CHANGE.
// Init, InitP:             data and parity at the start, the lowest address in the lowest bits.
// Start*, Reset*:          output at the start and after a reset: parity above data.
`default_nettype none

module block_ram #(
  parameter int unsigned Bytes = 2048,
  parameter int unsigned ReadWidthA = 0,
  parameter int unsigned ReadWidthB = 0,
  parameter int unsigned WriteWidthA = 0,
  parameter int unsigned WriteWidthB = 0,
  parameter WriteModeA = "WRITE_FIRST",
  parameter WriteModeB = "WRITE_FIRST",
  parameter bit [71:0] StartA = '0,
  parameter bit [71:0] StartB = '0,
  parameter bit [71:0] ResetA = '0,
  parameter bit [71:0] ResetB = '0,
  parameter bit [Bytes*8-1:0] Init = '0,
  parameter bit [Bytes-1:0] InitP = '0
) (
  input  wire        a_clk_i,
  input  wire        a_en_i,
  input  wire        a_rst_i,
  input  wire [14:0] a_address_i,
  input  wire [7:0]  a_write_i,
  input  wire [63:0] a_data_i,
  input  wire [7:0]  a_parity_i,
  output wire [63:0] a_data_o,
  output wire [7:0]  a_parity_o,

  input  wire        b_clk_i,
  input  wire        b_en_i,
  input  wire        b_rst_i,
  input  wire [14:0] b_address_i,
  input  wire [7:0]  b_write_i,
  input  wire [63:0] b_data_i,
  input  wire [7:0]  b_parity_i,
  output wire [63:0] b_data_o,
  output wire [7:0]  b_parity_o
);

  localparam int unsigned AddressMask = Bytes * 8 - 1;  // addresses count bits of data

  function automatic int unsigned data_bits(int unsigned width);
    data_bits = (width < 9) ? width : width / 9 * 8;
  endfunction

  function automatic int unsigned data_bytes(int unsigned width);
    data_bytes = (width < 9) ? 1 : width / 9;
  endfunction

  // {parity, data} of a value of that width
  function automatic logic [71:0] spread(logic [71:0] value, int unsigned width);
    spread = '0;
    for (int unsigned i = 0; i < 64; i++) if (i < data_bits(width)) spread[i] = value[i];
    for (int unsigned i = 0; i < 8; i++) if (width >= 9 && i < width / 9) spread[64+i] = value[data_bits(width)+i];
  endfunction

  logic [7:0] data_q[Bytes];
  logic parity_q[Bytes];
  initial begin
    for (int unsigned i = 0; i < Bytes; i++) begin
      data_q[i] = Init[i*8+:8];
      parity_q[i] = InitP[i];
    end
  end

  function automatic logic [71:0] word_at(logic [14:0] address, int unsigned width);
    int unsigned first = (32'(address) & AddressMask) / 8;
    word_at = '0;
    if (width < 9) begin
      for (int unsigned i = 0; i < 4; i++) begin
        if (i < width) word_at[i] = data_q[first][(32'(address)%8)/width*width+i];
      end
    end else begin
      first = first / data_bytes(width) * data_bytes(width);
      for (int unsigned i = 0; i < 8; i++) begin
        if (i < data_bytes(width)) begin
          word_at[i*8+:8] = data_q[first+i];
          word_at[64+i] = parity_q[first+i];
        end
      end
    end
  endfunction

  // whether two words share a bit
  function automatic logic overlap(logic [14:0] one, int unsigned one_width, logic [14:0] other, int unsigned other_width);
    int unsigned bits = (data_bits(one_width) > data_bits(other_width)) ? data_bits(one_width) : data_bits(other_width);
    overlap = (32'(one) & AddressMask) / bits == (32'(other) & AddressMask) / bits;
  endfunction

  wire a_writes = a_en_i && WriteWidthA != 0 && a_write_i != '0;
  wire b_writes = b_en_i && WriteWidthB != 0 && b_write_i != '0;

  // -- port A

  logic [71:0] a_q;
  initial a_q = spread(StartA, ReadWidthA);
  assign a_data_o = a_q[63:0];
  assign a_parity_o = a_q[71:64];

  always @(posedge a_clk_i) begin
    if (a_writes) begin
      if (WriteWidthA < 9) begin
        for (int unsigned i = 0; i < 4; i++) begin
          if (i < WriteWidthA) begin
            data_q[(32'(a_address_i)&AddressMask)/8][(32'(a_address_i)%8)/WriteWidthA*WriteWidthA+i] <= a_data_i[i];
          end
        end
      end else begin
        for (int unsigned i = 0; i < 8; i++) begin
          if (i < data_bytes(WriteWidthA) && a_write_i[i]) begin
            data_q[(32'(a_address_i)&AddressMask)/8/data_bytes(WriteWidthA)*data_bytes(WriteWidthA)+i] <= a_data_i[i*8+:8];
            parity_q[(32'(a_address_i)&AddressMask)/8/data_bytes(WriteWidthA)*data_bytes(WriteWidthA)+i] <= a_parity_i[i];
          end
        end
      end
    end
    if (a_en_i && ReadWidthA != 0) begin
      if (a_rst_i) a_q <= spread(ResetA, ReadWidthA);
      else if (!a_writes || WriteModeA == "READ_FIRST") begin
        if (b_writes && WriteModeB != "READ_FIRST" &&
            overlap(a_address_i, ReadWidthA, b_address_i, WriteWidthB)) begin
          a_q <= ~word_at(a_address_i, ReadWidthA);
        end else begin
          a_q <= word_at(a_address_i, ReadWidthA);
        end
      end else if (WriteModeA == "WRITE_FIRST") begin
        a_q <= word_at(a_address_i, ReadWidthA);
        for (int unsigned i = 0; i < 8; i++) begin
          if (a_write_i[i] || WriteWidthA < 9) begin
            a_q[i*8+:8] <= a_data_i[i*8+:8];
            a_q[64+i] <= a_parity_i[i];
          end
        end
      end
    end
  end
  if (WriteModeA == "WRITE_FIRST" && ReadWidthA != 0 && WriteWidthA != 0 && ReadWidthA != WriteWidthA) begin : gen_check_a
    $error("%m: a port that is WRITE_FIRST is modelled with equal widths only");
  end

  // -- port B

  logic [71:0] b_q;
  initial b_q = spread(StartB, ReadWidthB);
  assign b_data_o = b_q[63:0];
  assign b_parity_o = b_q[71:64];

  always @(posedge b_clk_i) begin
    if (b_writes) begin
      if (WriteWidthB < 9) begin
        for (int unsigned i = 0; i < 4; i++) begin
          if (i < WriteWidthB) begin
            data_q[(32'(b_address_i)&AddressMask)/8][(32'(b_address_i)%8)/WriteWidthB*WriteWidthB+i] <= b_data_i[i];
          end
        end
      end else begin
        for (int unsigned i = 0; i < 8; i++) begin
          if (i < data_bytes(WriteWidthB) && b_write_i[i]) begin
            data_q[(32'(b_address_i)&AddressMask)/8/data_bytes(WriteWidthB)*data_bytes(WriteWidthB)+i] <= b_data_i[i*8+:8];
            parity_q[(32'(b_address_i)&AddressMask)/8/data_bytes(WriteWidthB)*data_bytes(WriteWidthB)+i] <= b_parity_i[i];
          end
        end
      end
    end
    if (b_en_i && ReadWidthB != 0) begin
      if (b_rst_i) b_q <= spread(ResetB, ReadWidthB);
      else if (!b_writes || WriteModeB == "READ_FIRST") begin
        if (a_writes && WriteModeA != "READ_FIRST" &&
            overlap(b_address_i, ReadWidthB, a_address_i, WriteWidthA)) begin
          b_q <= ~word_at(b_address_i, ReadWidthB);
        end else begin
          b_q <= word_at(b_address_i, ReadWidthB);
        end
      end else if (WriteModeB == "WRITE_FIRST") begin
        b_q <= word_at(b_address_i, ReadWidthB);
        for (int unsigned i = 0; i < 8; i++) begin
          if (b_write_i[i] || WriteWidthB < 9) begin
            b_q[i*8+:8] <= b_data_i[i*8+:8];
            b_q[64+i] <= b_parity_i[i];
          end
        end
      end
    end
  end
  if (WriteModeB == "WRITE_FIRST" && ReadWidthB != 0 && WriteWidthB != 0 && ReadWidthB != WriteWidthB) begin : gen_check_b
    $error("%m: a port that is WRITE_FIRST is modelled with equal widths only");
  end

endmodule

`default_nettype wire
