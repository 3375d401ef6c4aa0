// Looks in every cycle whether a port of a netlist has the value that it has in the SystemVerilog, and says at the end of a
// simulation where it first had not: in which cycle after a reset, and both values.
//
// Width:  bits of the port.
`default_nettype none

module gate_compare #(
  parameter int unsigned Width = 1
) (
  input wire             clk_i,
  input wire             rst_ni,
  input wire             meant_i,  // the port means something: data that is not offered does not
  input wire [Width-1:0] rtl_i,
  input wire [Width-1:0] gates_i
);

  int unsigned cycle_q, compared_q, at_q;
  logic differs_q;
  logic [Width-1:0] rtl_q, gates_q;
  initial begin
    compared_q = 0;
    differs_q = 1'b0;
  end

  always_ff @(posedge clk_i) begin
    cycle_q <= rst_ni ? cycle_q + 1 : 0;
    if (rst_ni && meant_i) compared_q <= compared_q + 1;
    if (rst_ni && meant_i && rtl_i != gates_i && !differs_q) begin
      differs_q <= 1'b1;
      at_q <= cycle_q;
      rtl_q <= rtl_i;
      gates_q <= gates_i;
    end
  end

  final begin
    $display("stat %m compared %0d", compared_q);
    if (differs_q) $display("stat %m difference %0d %0d %0d", at_q, rtl_q, gates_q);
  end

endmodule

`default_nettype wire
