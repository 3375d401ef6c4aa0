// Counts from 0 to Size - 1 and begins again, a step in each cycle with en_i, and says which counts lie in an interval.
//
// Both outputs are flip-flops.
//
// Size:   numbers that it counts through, at least 1.
// First:  the first number of the interval.
// Count:  numbers of the interval, at least 1.
`default_nettype none

module interval_counter #(
  parameter int unsigned Size = 4,
  parameter int unsigned First = 0,
  parameter int unsigned Count = 2
) (
  input  wire clk_i,
  input  wire rst_ni,
  input  wire en_i,
  output wire last_o,   // the count is Size - 1
  output wire inside_o  // it is of the interval
);

  if (Count < 1 || First + Count > Size) begin : gen_check
    $error("%m: Count must be at least 1, and First + Count at most Size");
  end

  localparam int unsigned CountWidth = (Size > 1) ? $clog2(Size) : 1;
  localparam int unsigned End = First + Count;

  logic [CountWidth-1:0] count_q;
  logic last_q, inside_q;
  assign last_o = last_q;
  assign inside_o = inside_q;

  // the number before the first one of the interval, and its last
  wire enters = First > 0 && count_q == CountWidth'(First - 1);
  wire leaves = count_q == CountWidth'(End - 1);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      count_q <= '0;
      last_q <= Size == 1;
      inside_q <= First == 0;
    end else if (en_i) begin
      count_q <= last_q ? '0 : count_q + 1'b1;
      last_q <= Size == 1 || count_q == CountWidth'(Size - 2);
      inside_q <= last_q ? First == 0 : enters || (inside_q && !leaves);
    end
  end

endmodule

`default_nettype wire
