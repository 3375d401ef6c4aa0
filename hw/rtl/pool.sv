// The maximum, or the sum shifted right, of each channel over the elements of a window.
//
// A window is Window elements of Folds beats. It takes a beat in every cycle; results leave while the last element
// comes in, each three cycles after its beat. What has been gathered of a window is in a memory of Folds words, which is
// read when a beat is taken and written in the cycle after. It stands still while the output register is full.
//
// An average that does not count its padding divides by another number at the edges. There each sum is multiplied by the
// factor of its place, of rows and columns in kinds, before the shift: then nothing stands still, and results wait in a
// result_buffer; they leave after the cycles of product_pair and two more.
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
// FactorWidth:  bits of a factor, unsigned; 0 for results without factors.
// ScaledWidth:  bits that hold every sum times its factor, signed like the input.
// Rows, Columns:  windows below and beside each other, of a frame.
// KindWidth:    bits that tell kinds of rows apart, and kinds of columns.
// RowKinds, ColumnKinds:  the kind of each.
// Factors:      by the kind of the row, then that of the column, the factor.
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
  parameter int unsigned OutputWidth = 4,
  parameter int unsigned FactorWidth = 0,
  parameter int unsigned ScaledWidth = AccWidth,
  parameter int unsigned Rows = 1,
  parameter int unsigned Columns = 1,
  parameter int unsigned KindWidth = 1,
  parameter bit [Rows*KindWidth-1:0] RowKinds = '0,
  parameter bit [Columns*KindWidth-1:0] ColumnKinds = '0,
  parameter bit [(FactorWidth<<(2*KindWidth)):0] Factors = '0
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
  if (AccWidth < InputWidth || ScaledWidth < AccWidth || OutputWidth > ScaledWidth) begin : gen_check_widths
    $error("%m: AccWidth must be at least InputWidth, and ScaledWidth at least AccWidth and OutputWidth");
  end
  if (FactorWidth > 0 && (!Sum || Window < 2)) begin : gen_check_factors
    $error("%m: only sums of two elements or more have factors");
  end

  localparam int unsigned FoldWidth = (Folds > 1) ? $clog2(Folds) : 1;
  localparam int unsigned ElementWidth = (Window > 1) ? $clog2(Window) : 1;

  localparam bit Scaled = FactorWidth > 0;

  wire en;
  wire room;
  assign in_ready_o = Scaled ? room : en;
  wire valid = in_valid_i && (room || !Scaled);

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
      if (valid) fold_q <= last_fold ? '0 : fold_q + 1'b1;
      if (valid && last_fold) element_q <= last_element ? '0 : element_q + 1'b1;
      beat_valid_q <= valid;
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

  localparam int unsigned ResultWidth = Scaled ? AccWidth : OutputWidth;
  wire [Pe*ResultWidth-1:0] results;
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
    if (Scaled) begin : gen_sum_alone
      assign results[i*ResultWidth+:ResultWidth] = result;
    end else begin : gen_shift
      wire [Shift+AccWidth-1:0] extended = {{Shift{InputSigned && result[AccWidth-1]}}, result};
      assign results[i*ResultWidth+:ResultWidth] = extended[Shift+:ResultWidth];
      wire unused_extended = &{1'b0, extended};  // what the shift leaves out
    end
  end

  logic [Pe*ResultWidth-1:0] results_q;
  logic results_valid_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) results_valid_q <= 1'b0;
    else if (en) results_valid_q <= beat_valid_q && beat_last_q;
    if (en) results_q <= results;
  end

  if (Scaled) begin : gen_factors
    localparam int unsigned RowWidth = (Rows > 1) ? $clog2(Rows) : 1;
    localparam int unsigned ColumnWidth = (Columns > 1) ? $clog2(Columns) : 1;
    localparam int unsigned ProductLatency = FactorWidth / 2 + 1;
    localparam int unsigned Latency = 2 + ProductLatency + 2;  // see result_buffer
    assign en = 1'b1;

    // the place of the window whose beats are taken, a cycle late; its factor is there with its results, as there is
    // a beat at least from the end of a window to the next results
    logic window_q;  // the last beat of a window was taken
    logic [RowWidth-1:0] row_q;
    logic [ColumnWidth-1:0] column_q;
    logic [2*KindWidth-1:0] kinds_q;
    logic [FactorWidth-1:0] factor_q;
    logic [ProductLatency-1:0] valid_q;
    wire last_column = column_q == ColumnWidth'(Columns - 1);

    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        row_q <= '0;
        column_q <= '0;
        window_q <= 1'b0;
        valid_q <= '0;
      end else begin
        window_q <= valid && last_fold && last_element;
        if (window_q) begin
          column_q <= last_column ? '0 : column_q + 1'b1;
          if (last_column) row_q <= (row_q == RowWidth'(Rows - 1)) ? '0 : row_q + 1'b1;
        end
        valid_q <= ProductLatency'({valid_q, results_valid_q});
      end
      kinds_q <= {RowKinds[row_q*KindWidth+:KindWidth], ColumnKinds[column_q*KindWidth+:KindWidth]};
      factor_q <= Factors[kinds_q*FactorWidth+:FactorWidth];
    end

    wire [Pe*OutputWidth-1:0] shifted;
    for (genvar i = 0; i < Pe; i++) begin : gen_product
      wire [ScaledWidth-1:0] scaled;
      product_pair #(
        .Terms(1),
        .FactorWidth(AccWidth),
        .FactorSigned(InputSigned),
        .RecodedWidth(FactorWidth),
        .RecodedSigned(1'b0),
        .SumWidth(ScaledWidth),
        .Latency(ProductLatency)
      ) u_product (
        .clk_i(clk_i),
        .factor_i(results_q[i*AccWidth+:AccWidth]),
        .recoded_i(factor_q),
        .sum_o(scaled)
      );
      wire [Shift+ScaledWidth-1:0] extended = {{Shift{InputSigned && scaled[ScaledWidth-1]}}, scaled};
      assign shifted[i*OutputWidth+:OutputWidth] = extended[Shift+:OutputWidth];
      wire unused_extended = &{1'b0, extended};  // what the shift leaves out
    end

    result_buffer #(
      .Width(Pe * OutputWidth),
      .Depth(3 + Latency)
    ) u_result_buffer (
      .clk_i(clk_i),
      .rst_ni(rst_ni),
      .room_o(room),
      .start_i(valid && last_element),
      .in_valid_i(valid_q[ProductLatency-1]),
      .in_data_i(shifted),
      .out_valid_o(out_valid_o),
      .out_ready_i(out_ready_i),
      .out_data_o(out_data_o)
    );
  end else begin : gen_register_results
    assign room = 1'b1;
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
    wire unused_kinds = &{1'b0, RowKinds, ColumnKinds, Factors};
  end

endmodule

`default_nettype wire
