// The maximum, or the sum shifted right, of each channel over the elements of a window.
//
// A window is Window elements of Folds beats. It takes a beat in every cycle; results leave while the last element
// comes in, each three cycles after its beat. What has been gathered of a window is in a memory of Folds words, which is
// read when a beat is taken and written in the cycle after. It stands still while the output register is full.
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

  wire en;
  assign in_ready_o = en;

  logic [FoldWidth-1:0] fold_q;
  logic [ElementWidth-1:0] element_q;
  wire last_fold = fold_q == FoldWidth'(Folds - 1);
  wire last_element = element_q == ElementWidth'(Window - 1);

  // a beat, and where it belongs
  logic [Pe*InputWidth-1:0] beat_q;
  logic [FoldWidth-1:0] beat_fold_q;
  logic beat_valid_q, beat_first_q, beat_last_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      fold_q <= '0;
      element_q <= '0;
      beat_valid_q <= 1'b0;
    end else if (en) begin
      if (in_valid_i) fold_q <= last_fold ? '0 : fold_q + 1'b1;
      if (in_valid_i && last_fold) element_q <= last_element ? '0 : element_q + 1'b1;
      beat_valid_q <= in_valid_i;
    end
    if (en) begin
      beat_q <= in_data_i;
      beat_fold_q <= fold_q;
      beat_first_q <= element_q == '0;
      beat_last_q <= last_element;
    end
  end

  wire gather = en && beat_valid_q;
  wire [Pe*AccWidth-1:0] gathered_d;
  logic [Pe*AccWidth-1:0] gathered_q;
  if (Folds > 1) begin : gen_memory
    logic [Pe*AccWidth-1:0] words[Folds];
    always_ff @(posedge clk_i) begin
      if (gather) words[beat_fold_q] <= gathered_d;
      if (en) gathered_q <= words[fold_q];
    end
  end else begin : gen_register
    always_ff @(posedge clk_i) if (gather) gathered_q <= gathered_d;
    wire unused_fold = &{1'b0, beat_fold_q};
  end

  wire [Pe*OutputWidth-1:0] results;
  for (genvar i = 0; i < Pe; i++) begin : gen_lane
    wire [InputWidth-1:0] x = beat_q[i*InputWidth+:InputWidth];
    wire [AccWidth-1:0] so_far = gathered_q[i*AccWidth+:AccWidth];
    wire [AccWidth-1:0] value = {{(AccWidth-InputWidth){InputSigned && x[InputWidth-1]}}, x};
    wire [AccWidth-1:0] merged;
    if (Sum) begin : gen_sum
      assign merged = so_far + value;
    end else begin : gen_max
      // with its sign bit inverted a two's-complement number compares like an unsigned one
      localparam bit [AccWidth-1:0] Sign = AccWidth'(InputSigned) << (AccWidth - 1);
      assign merged = ((value ^ Sign) > (so_far ^ Sign)) ? value : so_far;
    end
    wire [AccWidth-1:0] result = beat_first_q ? value : merged;
    assign gathered_d[i*AccWidth+:AccWidth] = result;
    wire [Shift+AccWidth-1:0] extended = {{Shift{InputSigned && result[AccWidth-1]}}, result};
    assign results[i*OutputWidth+:OutputWidth] = extended[Shift+:OutputWidth];
    wire unused_extended = &{1'b0, extended};  // what the shift leaves out
  end

  logic [Pe*OutputWidth-1:0] results_q;
  logic results_valid_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) results_valid_q <= 1'b0;
    else if (en) results_valid_q <= beat_valid_q && beat_last_q;
    if (en) results_q <= results;
  end

  spill_register #(
    .Width(Pe * OutputWidth)
  ) u_spill_register (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .in_valid_i(results_valid_q),
    .in_ready_o(en),
    .in_data_i(results_q),
    .out_valid_o(out_valid_o),
    .out_ready_i(out_ready_i),
    .out_data_o(out_data_o)
  );

endmodule

`default_nettype wire
