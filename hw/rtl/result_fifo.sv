// A FIFO that is never asked whether it is full: who writes to it keeps count, as result_buffer does. A result is visible
// two cycles after it came.
//
// Width: bits of a result, at least 1.
// Depth: results that it holds at least, at least 1: there are as many words as addresses, and a register behind them.
`default_nettype none

module result_fifo #(
  parameter int unsigned Width = 8,
  parameter int unsigned Depth = 4
) (
  input  wire              clk_i,
  input  wire              rst_ni,

  input  wire              in_valid_i,
  input  wire  [Width-1:0] in_data_i,

  output wire              out_valid_o,
  input  wire              out_ready_i,
  output wire  [Width-1:0] out_data_o
);

  if (Width < 1 || Depth < 1) begin : gen_check
    $error("%m: Width and Depth must be at least 1");
  end

  localparam int unsigned AddressWidth = (Depth > 2) ? $clog2(Depth) : 1;
  logic [Width-1:0] words[1 << AddressWidth];
  logic [Width-1:0] out_q;
  logic [AddressWidth-1:0] write_address_q, read_address_q, next_address_q;  // the next one to be read
  logic any_q, out_valid_q;  // any: there are words that have not been read
  wire out_free = !out_valid_q || out_ready_i;
  wire read = out_free && any_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      write_address_q <= '0;
      read_address_q <= '0;
      next_address_q <= AddressWidth'(1);
      any_q <= 1'b0;
      out_valid_q <= 1'b0;
    end else begin
      if (in_valid_i) write_address_q <= write_address_q + 1'b1;
      if (read) begin
        read_address_q <= next_address_q;
        next_address_q <= next_address_q + 1'b1;
      end
      any_q <= in_valid_i || (read ? next_address_q != write_address_q : any_q);
      if (out_free) out_valid_q <= any_q;
    end
    if (in_valid_i) words[write_address_q] <= in_data_i;
    if (out_free) out_q <= words[read_address_q];
  end

  assign out_valid_o = out_valid_q;
  assign out_data_o = out_q;

endmodule

`default_nettype wire
