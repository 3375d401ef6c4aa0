// cyclic_counter: a step further, or from the last number to 0, in each cycle with en_i, and in no other.
`default_nettype none

module cyclic_counter_properties #(
  parameter int unsigned Modulus = 6
) (
  input wire clk_i,
  input wire rst_ni,
  input wire en_i
);

  wire [$clog2(Modulus)-1:0] count;

  cyclic_counter #(
    .Modulus(Modulus)
  ) u_cell (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .en_i(en_i),
    .count_o(count)
  );

  logic checked_q = 1'b0;
  logic [31:0] expected_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) checked_q <= 1'b1;
    if (!rst_ni) expected_q <= 32'd0;
    else if (en_i) expected_q <= (expected_q == Modulus - 1) ? 32'd0 : expected_q + 32'd1;
  end

  always_comb begin
    if (checked_q && rst_ni) begin
      counts : assert (32'(count) == expected_q);
      is_below_the_modulus : assert (expected_q < Modulus);
    end
  end

  // what the register is
  if (Modulus != 1 << $clog2(Modulus)) begin : gen_high
    always_comb begin
      if (checked_q && rst_ni) last_is_known : assert (u_cell.gen_high.low_last_q == &u_cell.low_q);
    end
  end

endmodule

`default_nettype wire
