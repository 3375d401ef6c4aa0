// MVAU of which the weights are the circuit: around a generated graph of adders, what turns it into a layer.
//
// A beat in is a whole vector, a beat out all of its results. The vector goes through the graph in Digits parts, one in
// a cycle, the most significant first: digits of DigitWidth bits of every element. The accumulators shift what they have
// by a digit and add what the graph makes of the next. With more than one digit the vector waits in a register, so that
// the next one can be made meanwhile, and the digit is chosen a cycle before the graph takes it. The pipeline never
// stands still: a vector is taken only while there is a place for its results at the output, where they wait for the
// reader (see result_buffer).
//
// The matrix may be several side by side, each for a part of the vector, as where the pixels of a beat are vectors of their
// own; then so is the graph.
//
// Elements that are two's complement and come in several digits are taken as unsigned ones, the sign bit inverted:
// larger by 2^(InputWidth − 1), which the start values make up for.
//
// Layers of this kind may make one pipeline. One that Pushes has no place for its results: whoever reads them takes them in
// the cycle in which they come, and its ready, which comes from the last layer's buffer, goes to the first of them. What is
// behind one that pushes has Ahead, the cycles from the first layer's input to its own, and takes what comes.
//
// With CheckOverflow, overflow_o is high for a cycle when a vector's sum has not fitted its accumulator. On the way
// there, digit by digit, an accumulator may wrap and come back, so its additions are not watched but a second sum, wide
// enough for all. Nodes of the graph are not watched: each is as wide as its own interval.
//
// Mw, Mh:          columns and rows of the matrix.
// InputWidth:      bits of an input element.
// InputSigned:     inputs are two's complement.
// Digits:          cycles a vector; 1 gives the graph whole elements, as they are.
// DigitWidth:      bits of a digit, InputWidth / Digits rounded up.
// GraphLatency:    cycles from graph_inputs_o to graph_results_i.
// ResultWidth:     bits of a result of the graph, two's complement.
// AccWidths:       for each row, in 8 bits, the bits of its accumulator, two's complement.
// LaneWidth:       the largest of them.
// StartWidth:      bits of a start value, two's complement.
// Starts:          for each row what its accumulator starts from.
// HasStart:        whether any of them is not zero.
// NumThresholds:   thresholds of a row; 0 puts out the accumulator itself.
// CompareWidths:   for each row, in 8 bits, the bits of its comparisons (see activation).
// OutputWidth:     bits of an output element.
// OutputOffset:    the output for no threshold reached; not used without thresholds.
// ThresholdFiles:  the thresholds (see activation).
// Requantizer, RequantizerFile: what computes the same as the thresholds, if not 0 (see activation).
// AddersPerStage:  adders of the requantizer between two registers (see requantize); with more than 1 results go out in the
//                  cycle in which they come (see result_buffer).
// Pushes:          the reader takes every result as it comes, whatever out_ready_i says; Digits must be 1.
// Ahead:           cycles of the layers before it that push, so that in_valid_i is not held for in_ready_o; 0: none push.
// CheckOverflow:   drive overflow_o, which is 0 otherwise.
`default_nettype none

module unrolled_mvau #(
  parameter int unsigned Mw = 1,
  parameter int unsigned Mh = 1,
  parameter int unsigned InputWidth = 4,
  parameter bit InputSigned = 1'b0,
  parameter int unsigned Digits = 1,
  parameter int unsigned DigitWidth = InputWidth,
  parameter int unsigned GraphLatency = 1,
  parameter int unsigned ResultWidth = 8,
  parameter logic [Mh*8-1:0] AccWidths = {Mh{8'd8}},
  parameter int unsigned LaneWidth = 8,
  parameter bit HasStart = 1'b0,
  parameter int unsigned StartWidth = 1,
  parameter logic [Mh*StartWidth-1:0] Starts = '0,
  parameter int unsigned NumThresholds = 0,
  parameter logic [Mh*8-1:0] CompareWidths = AccWidths,
  parameter int unsigned OutputWidth = 8,
  parameter logic [OutputWidth-1:0] OutputOffset = '0,
  parameter ThresholdFiles = "",
  parameter logic [87:0] Requantizer = '0,
  parameter RequantizerFile = "",
  parameter int unsigned AddersPerStage = 1,
  parameter bit Pushes = 1'b0,
  parameter int unsigned Ahead = 0,
  parameter bit CheckOverflow = 1'b0
) (
  input  wire                       clk_i,
  input  wire                       rst_ni,

  input  wire                       in_valid_i,
  output wire                       in_ready_o,
  input  wire  [Mw*InputWidth-1:0]  in_data_i,

  output wire                       out_valid_o,
  input  wire                       out_ready_i,
  output wire  [Mh*OutputWidth-1:0] out_data_o,

  output wire                       overflow_o,

  output wire  [Mw*DigitWidth-1:0]  graph_inputs_o,
  input  wire  [Mh*ResultWidth-1:0] graph_results_i
);

  if (Digits < 1 || Digits > InputWidth || DigitWidth != (InputWidth + Digits - 1) / Digits) begin : gen_check_digits
    $error("%m: Digits must be in 1 to InputWidth and DigitWidth InputWidth / Digits, rounded up");
  end
  if (GraphLatency < 1) begin : gen_check_latency
    $error("%m: GraphLatency must be at least 1");
  end
  if ((Pushes || Ahead > 0) && Digits > 1) begin : gen_check_pushes
    $error("%m: Digits must be 1 in a layer that pushes or is behind one");
  end

  localparam int unsigned DigitCountWidth = (Digits > 1) ? $clog2(Digits) : 1;

  // a graph of whole elements that start from zero needs no accumulators
  localparam bit Accumulates = Digits > 1 || HasStart;

  // cycles from a vector to its results at the output, and places for those on the way: see result_buffer
  localparam bit FallThrough = AddersPerStage > 1;
  localparam int unsigned ClipLatency = (AddersPerStage > 1) ? 1 : 2;
  localparam int unsigned SearchLatency =
      (Requantizer[87:80] != '0) ? 32'(Requantizer[87:80]) + 2 + ClipLatency :
      (Requantizer != '0) ? (32'(Requantizer[39:32]) / 2 + 1) / AddersPerStage + ClipLatency : $clog2(NumThresholds + 1);
  localparam int unsigned VectorLatency = (Digits > 1) ? Digits + 1 : 0;
  localparam int unsigned Latency = VectorLatency + GraphLatency + (Accumulates ? 1 : 0) + SearchLatency + (FallThrough ? 0 : 2);
  localparam int unsigned Places = 3 + (Latency + Digits - 1) / Digits + 2 * Ahead;

  wire room;
  wire take = in_valid_i && (Ahead > 0 || in_ready_o);

  // -- the digits of the vector

  wire digit_valid;
  if (Digits > 1) begin : gen_digits
    localparam int unsigned Padded = Digits * DigitWidth;
    logic [Mw*InputWidth-1:0] vector_q;
    logic [Mw*DigitWidth-1:0] digits_q;
    logic [DigitCountWidth-1:0] digit_q;  // counts down
    logic vector_valid_q, vector_free_q, digit_valid_q;  // free: there is none, or this is its last digit
    logic ready_q;  // free, and there was room a cycle ago: no two vectors come in two cycles, so that is soon enough
    wire vector_free = vector_free_q ? !take : digit_q == DigitCountWidth'(1);  // in the next cycle
    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        vector_valid_q <= 1'b0;
        vector_free_q <= 1'b1;
        ready_q <= 1'b1;
        digit_q <= DigitCountWidth'(Digits - 1);
      end else begin
        if (vector_free_q) vector_valid_q <= take;
        vector_free_q <= vector_free;
        ready_q <= vector_free && room;
        if (vector_valid_q) digit_q <= vector_free_q ? DigitCountWidth'(Digits - 1) : digit_q - 1'b1;
      end
      if (vector_free_q) vector_q <= in_data_i;
      digit_valid_q <= rst_ni && vector_valid_q;
    end
    assign digit_valid = digit_valid_q;
    assign in_ready_o = ready_q;
    for (genvar c = 0; c < Mw; c++) begin : gen_element
      localparam bit [InputWidth-1:0] Sign = InputWidth'(InputSigned) << (InputWidth - 1);
      wire [Padded-1:0] element = Padded'(vector_q[c*InputWidth+:InputWidth] ^ Sign);
      always_ff @(posedge clk_i) digits_q[c*DigitWidth+:DigitWidth] <= element[32'(digit_q)*DigitWidth+:DigitWidth];
    end
    assign graph_inputs_o = digits_q;
  end else begin : gen_whole
    assign digit_valid = take;
    assign in_ready_o = room;
    assign graph_inputs_o = in_data_i;
  end

  logic [GraphLatency-1:0] valid_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else valid_q <= GraphLatency'({valid_q, digit_valid});
  end
  wire result_valid = valid_q[GraphLatency-1];

  // -- accumulators; the digits of a vector follow each other without a gap

  wire sums_valid;
  wire [DigitCountWidth-1:0] result_digit;
  if (Accumulates) begin : gen_control
    logic sums_valid_q;
    logic [DigitCountWidth-1:0] result_digit_q;
    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        sums_valid_q <= 1'b0;
        result_digit_q <= DigitCountWidth'(Digits - 1);
      end else begin
        sums_valid_q <= result_valid && result_digit == '0;
        if (result_valid)
          result_digit_q <= (result_digit == '0) ? DigitCountWidth'(Digits - 1) : result_digit - 1'b1;
      end
    end
    assign result_digit = result_digit_q;
    assign sums_valid = sums_valid_q;
  end else begin : gen_no_control
    assign result_digit = '0;
    assign sums_valid = result_valid;
    wire unused_digit = &{1'b0, result_digit};
  end

  wire [Mh*LaneWidth-1:0] sums;
  wire [Mh-1:0] overflows;
  for (genvar r = 0; r < Mh; r++) begin : gen_row
    localparam int unsigned AccWidth = 32'(AccWidths[8*r+:8]);
    if (AccWidth < 1 || AccWidth > LaneWidth) begin : gen_check_width
      $error("%m: AccWidths must be in 1 to LaneWidth");
    end
    localparam logic [StartWidth-1:0] ExactStart = Starts[r*StartWidth+:StartWidth];
    localparam int unsigned StartBits = (StartWidth < LaneWidth) ? StartWidth : LaneWidth;
    localparam logic [LaneWidth-1:0] LaneStart =
        {{(LaneWidth-StartBits){ExactStart[StartWidth-1]}}, ExactStart[StartBits-1:0]};
    wire [ResultWidth-1:0] result = graph_results_i[r*ResultWidth+:ResultWidth];
    localparam int unsigned ResultBits = (ResultWidth < AccWidth) ? ResultWidth : AccWidth;
    wire [AccWidth-1:0] addend = {{(AccWidth-ResultBits){result[ResultWidth-1]}}, result[ResultBits-1:0]};
    wire [AccWidth-1:0] sum;
    if (AccWidth < ResultWidth) begin : gen_unused
      wire unused_result = &{1'b0, result[ResultWidth-1:AccWidth]};
    end
    if (Accumulates) begin : gen_accumulator
      // what a shift by a digit leaves empty is the next digit of the start value
      localparam int unsigned ShiftedWidth = (Digits - 1) * DigitWidth + AccWidth;
      localparam int unsigned LaneBits = (LaneWidth < ShiftedWidth) ? LaneWidth : ShiftedWidth;
      localparam logic [ShiftedWidth-1:0] Start =
          {{(ShiftedWidth-LaneBits){LaneStart[LaneWidth-1]}}, LaneStart[LaneBits-1:0]};
      logic [AccWidth-1:0] sum_q;
      logic [AccWidth-1:0] so_far;
      always_comb begin
        so_far = Start[ShiftedWidth-AccWidth+:AccWidth];
        if (result_digit != DigitCountWidth'(Digits - 1)) begin
          so_far = sum_q << DigitWidth;
          for (int unsigned i = 0; i < DigitWidth && i < AccWidth; i++)
            so_far[i] = Start[32'(result_digit)*DigitWidth+i];
        end
      end
      always_ff @(posedge clk_i) sum_q <= so_far + addend;
      assign sum = sum_q;
    end else begin : gen_sum
      assign sum = addend;
    end
    assign sums[r*LaneWidth+:LaneWidth] = {{(LaneWidth-AccWidth){sum[AccWidth-1]}}, sum};

    if (CheckOverflow) begin : gen_check
      // the results of all digits, and the start
      localparam int unsigned TermWidth = ResultWidth + (Digits - 1) * DigitWidth + 1;
      localparam int unsigned WidestWidth = (TermWidth > StartWidth) ? TermWidth : StartWidth;
      localparam int unsigned ExactWidth = ((WidestWidth > AccWidth) ? WidestWidth : AccWidth) + 1;
      logic [ExactWidth-1:0] digits_q;  // without the start
      logic overflow_q;
      wire first = result_digit == DigitCountWidth'(Digits - 1);
      wire [ExactWidth-1:0] exact_result = {{(ExactWidth-ResultWidth){result[ResultWidth-1]}}, result};
      wire [ExactWidth-1:0] exact_start = {{(ExactWidth-StartWidth){ExactStart[StartWidth-1]}}, ExactStart};
      wire [ExactWidth-1:0] digits_d = (first ? '0 : digits_q << DigitWidth) + exact_result;
      wire [ExactWidth-1:0] exact = digits_d + exact_start;
      wire fits = exact[ExactWidth-1:AccWidth-1] == {(ExactWidth-AccWidth+1){exact[AccWidth-1]}};
      always_ff @(posedge clk_i) begin
        digits_q <= digits_d;
        overflow_q <= rst_ni && result_valid && result_digit == '0 && !fits;
      end
      assign overflows[r] = overflow_q;
    end

`ifdef A2Q_STATS
    range_monitor #(
      .Width(AccWidth)
    ) u_range_monitor (
      .clk_i(clk_i),
      .rst_ni(rst_ni),
      .valid_i(sums_valid),
      .value_i(sum)
    );
`endif
  end

  if (CheckOverflow) begin : gen_check
    assign overflow_o = |overflows;
  end else begin : gen_no_check
    assign overflow_o = 1'b0;
    assign overflows = '0;
    wire unused_overflows = &{1'b0, overflows};
  end

  wire activated_valid;
  wire [Mh*OutputWidth-1:0] activated;
  activation #(
    .Pe(Mh),
    .Folds(1),
    .InputWidth(LaneWidth),
    .ValueWidths(AccWidths),
    .InputSigned(1'b1),
    .NumThresholds(NumThresholds),
    .CompareWidths(CompareWidths),
    .OutputWidth(OutputWidth),
    .OutputOffset(OutputOffset),
    .ThresholdFiles(ThresholdFiles),
    .Requantizer(Requantizer),
    .RequantizerFile(RequantizerFile),
    .AddersPerStage(AddersPerStage)
  ) u_activation (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .en_i(1'b1),
    .valid_i(sums_valid),
    .data_i(sums),
    .valid_o(activated_valid),
    .data_o(activated)
  );

  if (Pushes) begin : gen_pushes
    assign room = out_ready_i;
    assign out_valid_o = activated_valid;
    assign out_data_o = activated;
  end else begin : gen_buffer
    result_buffer #(
      .Width(Mh * OutputWidth),
      .Depth(Places),
      .FallThrough(FallThrough),
      .Late(2 + Ahead)
    ) u_result_buffer (
      .clk_i(clk_i),
      .rst_ni(rst_ni),
      .room_o(room),
      .start_i(take),
      .in_valid_i(activated_valid),
      .in_data_i(activated),
      .out_valid_o(out_valid_o),
      .out_ready_i(out_ready_i),
      .out_data_o(out_data_o)
    );
  end

endmodule

`default_nettype wire
