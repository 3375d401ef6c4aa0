// The maximum, or the sum shifted right, of each channel over the elements of a window.
//
// A window is Window elements of Folds beats. It takes a beat in every cycle; results leave while the last element
// comes in, each in the cycle after its beat. What has been gathered of a window is in a memory of Folds words that
// is read and written in the same cycle, in look-up tables.
//
// Pe:           channels of a beat.
// Folds:        beats of an element.
// Window:       elements of a window.
// InputWidth:   bits of an element.
// InputSigned:  elements are two's complement.
// Sum:          sums instead of maxima.
// AccWidth:     bits that hold every result before the shift, signed like the input; InputWidth for maxima.
// Shift:        bits by which results are shifted right, rounding toward minus infinity.
// OutputWidth:  bits that hold every result.
`default_nettype none

module pool #(
  parameter int unsigned Pe = 1,
  parameter int unsigned Folds = 4,
  parameter int unsigned Window = 4,
  parameter int unsigned InputWidth = 4,
  parameter bit InputSigned = 1'b0,
  parameter bit Sum = 1'b0,
  parameter int unsigned AccWidth = 4,
  parameter int unsigned Shift = 0,
  parameter int unsigned OutputWidth = 4
) (
  input  wire                       clk_i,
  input  wire                       rst_ni,

  input  wire                       in_valid_i,
  output wire                       in_ready_o,
  input  wire  [Pe*InputWidth-1:0]  in_data_i,

  output wire                       out_valid_o,
  input  wire                       out_ready_i,
  output wire  [Pe*OutputWidth-1:0] out_data_o
);

  if (Pe < 1 || Folds < 1 || Window < 1 || OutputWidth < 1) begin : gen_check_sizes
    $error("%m: Pe, Folds, Window and OutputWidth must be at least 1");
  end
  if (AccWidth < InputWidth || OutputWidth > AccWidth) begin : gen_check_widths
    $error("%m: AccWidth must be at least InputWidth and OutputWidth");
  end

  localparam int unsigned FoldWidth = (Folds > 1) ? $clog2(Folds) : 1;
  localparam int unsigned ElementWidth = (Window > 1) ? $clog2(Window) : 1;

  logic [FoldWidth-1:0] fold_q;
  logic [ElementWidth-1:0] element_q;
  wire last_fold = fold_q == FoldWidth'(Folds - 1);
  wire first_element = element_q == '0;
  wire last_element = element_q == ElementWidth'(Window - 1);

  wire result_ready;
  wire take = in_valid_i && in_ready_o;
  assign in_ready_o = !last_element || result_ready;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      fold_q <= '0;
      element_q <= '0;
    end else if (take) begin
      fold_q <= last_fold ? '0 : fold_q + 1'b1;
      if (last_fold) element_q <= last_element ? '0 : element_q + 1'b1;
    end
  end

  wire [Pe*AccWidth-1:0] gathered_d, gathered;
  if (Folds > 1) begin : gen_memory
    logic [Pe*AccWidth-1:0] gathered_q[Folds];
    always_ff @(posedge clk_i) if (take) gathered_q[fold_q] <= gathered_d;
    assign gathered = gathered_q[fold_q];
  end else begin : gen_register
    logic [Pe*AccWidth-1:0] gathered_q;
    always_ff @(posedge clk_i) if (take) gathered_q <= gathered_d;
    assign gathered = gathered_q;
  end

  wire [Pe*OutputWidth-1:0] results;
  for (genvar i = 0; i < Pe; i++) begin : gen_lane
    wire [InputWidth-1:0] x = in_data_i[i*InputWidth+:InputWidth];
    wire [AccWidth-1:0] so_far = gathered[i*AccWidth+:AccWidth];
    wire [AccWidth-1:0] value = {{(AccWidth-InputWidth){InputSigned && x[InputWidth-1]}}, x};
    wire [AccWidth-1:0] merged;
    if (Sum) begin : gen_sum
      assign merged = so_far + value;
    end else begin : gen_max
      // with its sign bit inverted a two's-complement number compares like an unsigned one
      localparam bit [AccWidth-1:0] Sign = AccWidth'(InputSigned) << (AccWidth - 1);
      assign merged = ((value ^ Sign) > (so_far ^ Sign)) ? value : so_far;
    end
    wire [AccWidth-1:0] result = first_element ? value : merged;
    assign gathered_d[i*AccWidth+:AccWidth] = result;
    wire [Shift+AccWidth-1:0] extended = {{Shift{InputSigned && result[AccWidth-1]}}, result};
    assign results[i*OutputWidth+:OutputWidth] = extended[Shift+:OutputWidth];
    wire unused_extended = &{1'b0, extended};  // what the shift leaves out
  end

  spill_register #(
    .Width(Pe * OutputWidth)
  ) u_spill_register (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .in_valid_i(in_valid_i && last_element),
    .in_ready_o(result_ready),
    .in_data_i(results),
    .out_valid_o(out_valid_o),
    .out_ready_i(out_ready_i),
    .out_data_o(out_data_o)
  );

endmodule

`default_nettype wire
