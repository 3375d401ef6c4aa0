// Counts from 0 to Modulus - 1 and begins again, a step in each cycle with en_i.
//
// A modulus that is no power of two is a number times one: the low bits come round by themselves, and only the high ones
// are compared with their last.
//
// Modulus:  numbers that it counts through; even.
`default_nettype none

module cyclic_counter #(
  parameter int unsigned Modulus = 2,
  localparam int unsigned Width = $clog2(Modulus)
) (
  input  wire              clk_i,
  input  wire              rst_ni,
  input  wire              en_i,
  output wire  [Width-1:0] count_o
);

  if (Modulus < 2 || Modulus % 2 != 0) begin : gen_check
    $error("%m: Modulus must be even");
  end

  // bits that come round by themselves: the zeros at the end of the modulus
  function automatic int unsigned zeros(input int unsigned number);
    int unsigned count = 0;
    for (int unsigned i = 0; i < 31; i++) if (number % (2 << i) == 0) count = i + 1;
    return count;
  endfunction
  localparam int unsigned LowWidth = (zeros(Modulus) > 0) ? zeros(Modulus) : 1;

  logic [LowWidth-1:0] low_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) low_q <= '0;
    else if (en_i) low_q <= low_q + 1'b1;
  end
  if (LowWidth == Width) begin : gen_low
    assign count_o = low_q;
  end else begin : gen_high
    localparam int unsigned HighWidth = Width - LowWidth;
    localparam bit [HighWidth-1:0] Last = HighWidth'((Modulus >> LowWidth) - 1);
    logic [HighWidth-1:0] high_q;
    logic low_last_q;  // known a step before: synthesis looks for it behind the carry chain otherwise
    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        high_q <= '0;
        low_last_q <= 1'b0;
      end else if (en_i) begin
        low_last_q <= low_q == ~LowWidth'(1);
        if (low_last_q) high_q <= (high_q == Last) ? '0 : high_q + 1'b1;
      end
    end
    assign count_o = {high_q, low_q};
  end

endmodule

`default_nettype wire
