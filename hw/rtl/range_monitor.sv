// Reports the smallest and the largest value that was seen, with $display at the end of a simulation with A2Q_STATS.
// Instances stand under A2Q_STATS, too: synthesis sees none.
//
// Width:  bits of a value, two's complement.
`default_nettype none

module range_monitor #(
  parameter int unsigned Width = 8
) (
  input wire             clk_i,
  input wire             rst_ni,
  input wire             valid_i,
  input wire [Width-1:0] value_i
);

`ifdef A2Q_STATS
  longint value, acc_min, acc_max;
  bit seen;
  assign value = longint'($signed(value_i));
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      seen <= 1'b0;
    end else if (valid_i) begin
      if (!seen || value < acc_min) acc_min <= value;
      if (!seen || value > acc_max) acc_max <= value;
      seen <= 1'b1;
    end
  end
  final begin
    if (seen) begin
      $display("stat %m acc_min %0d", acc_min);
      $display("stat %m acc_max %0d", acc_max);
    end
  end
`else
  wire unused = &{1'b0, clk_i, rst_ni, valid_i, value_i};
`endif

endmodule

`default_nettype wire
