// MVAU: an integer matrix times the vectors of a stream, plus bias, then thresholds.
//
// A vector is MW / SIMD beats. It is taken once, while the first MH / PE rows are computed from it, and replayed from a
// buffer for the others. A beat of PE results leaves every MW / SIMD cycles; vectors follow each other without a gap.
// The pipeline never stands still: a step is taken only while there is a place for its results at the output, where they
// wait for the reader (see result_buffer).
//
// It is also the VVAU, whose vectors are the pixels of some channels, of which a row sees one (see vvau). There a beat has
// Simd elements of each of the channels, the channels fastest, and none is needed twice: every step takes one.
//
// The pixels of a beat may be several, each a vector of its own with lanes of its own: the steps are those of one, and so
// are the weights and biases.
//
// And it is the MVAU in DSPs, where chains of DSPs stand in the place of lanes of look-up tables (see dsp_mvau).
//
// With Taps it is a convolution along the rows of an image, in such DSPs (see dsp_lanes): a vector is what a column of the
// kernel sees, RowBeats of vectors side by side are a row, and all Mh / Pixels rows of the matrix are computed at once. Beside
// a row are zeros: behind its last vectors a step of zeros completes the sums that reach beyond it, and leaves none for the
// next row. Without a pause a row takes RowBeats * Mw / Simd + 1 cycles, or, if that step has a result and lanes have Turns,
// Turns instead of 1.
//
// Mw, Mh:          columns and rows of the matrix.
// Simd:            elements of an input beat, divides Mw.
// Pe:              elements of an output beat, divides Mh. Row r is computed by lane r % Pe.
// Channels:        channels of an input beat, divides Pe: as many neighbouring lanes see the same. 1 for a whole matrix.
// Pixels:          vectors side by side: Mh and Pe count the rows of all, divide by it, and are as many of each; in a beat
//                  the elements of a vector are neighbours.
// Replays:         vectors are replayed, else every step takes a beat.
// InputWidth:      bits of an input element.
// InputSigned:     inputs are two's complement.
// WeightWidth:     bits of a weight, two's complement.
// RecodeInput:     recode the input in the multipliers instead of the weight (see product_pair).
// ProductWidth:    bits that hold every product, two's complement.
// AccWidths:       for each lane, in 8 bits, the bits of its accumulator, two's complement.
// HasBias:         accumulators start from a bias, else from 0.
// BiasWidth:       bits of a bias, two's complement.
// NumThresholds:   thresholds of a row; 0 puts out the accumulator itself.
// Turns:           in so many turns the lanes share the thresholds, at most Mw / Simd; divides Pe / Pixels. The first rows of
//                  all vectors have the first turn (see lane_turns).
// CompareWidths:   for each lane of a turn, the vectors of a row one after the other, in 8 bits, the bits of its comparisons
//                  (see activation).
// OutputWidth:     bits of an output element.
// OutputOffset:    the output for no threshold reached; not used without thresholds.
// RamStyle:        what holds the weights (see weight_memory). With "ultra" no input is taken before they are loaded.
// WeightFile:      a word for each beat of a vector, for each beat of its results: Pe / Pixels times Simd weights.
// BiasFile:        a word for each beat of results: Pe / Pixels biases.
// Dsp:             lanes are in DSPs (see dsp_lanes). Then Channels is 1, and WeightWidth, RecodeInput, ProductWidth and
//                  WeightFile are not used, but what stands below is, and biases are as there.
// Taps:            columns of the kernel, 1 for a matrix alone. Else Mw counts those of a column of the kernel, LaneWidths,
//                  Offsets, Strides, FieldWidths and Heads are for each of Taps fields of a row, and Mh is Pe.
// RowBeats, FirstBeat, LastEmits, Held: with Taps, vectors side by side in a row; those at its begin without a result; the
//                  zeros behind a row complete one; and pixels of a result that the vectors before complete (see dsp_lanes).
// WordPixels, LaneWidths, Offsets, Strides, FieldWidths, Heads, StartWidth, Chains, SegmentFolds, WeightFiles: see dsp_lanes.
// SegmentTurns:    1 or Turns, see there.
// ThresholdFiles:  the thresholds (see activation); with Dsp 2^(bits of the accumulator - 1) more.
// Requantizer, RequantizerFile: what computes the same as the thresholds, if not 0 (see activation).
// CheckOverflow:   overflow_o is high for a cycle when an addition has left the width of an accumulator; 0 otherwise.
//                  Where 0 is no input, sums may also leave a width that holds the last of them, and come back.
`default_nettype none

module mvau #(
  parameter int unsigned Mw = 1,
  parameter int unsigned Mh = 1,
  parameter int unsigned Simd = 1,
  parameter int unsigned Pe = 1,
  parameter int unsigned Channels = 1,
  parameter int unsigned Pixels = 1,
  parameter bit Replays = 1'b1,
  parameter int unsigned InputWidth = 4,
  parameter bit InputSigned = 1'b0,
  parameter int unsigned WeightWidth = 4,
  parameter bit RecodeInput = 1'b0,
  parameter int unsigned ProductWidth = 8,
  parameter logic [Pe*8-1:0] AccWidths = {Pe{8'd14}},
  parameter bit HasBias = 1'b0,
  parameter int unsigned BiasWidth = 1,
  parameter int unsigned NumThresholds = 0,
  parameter int unsigned OutputWidth = 14,
  parameter logic [OutputWidth-1:0] OutputOffset = '0,
  parameter RamStyle = "auto",
  parameter WeightFile = "",
  parameter BiasFile = "",
  parameter bit Dsp = 1'b0,
  parameter int unsigned WordPixels = 1,
  parameter int unsigned Taps = 1,
  parameter int unsigned RowBeats = 1,
  parameter int unsigned FirstBeat = 0,
  parameter bit LastEmits = 1'b0,
  parameter int unsigned Held = 0,
  parameter logic [Pe/Pixels*Taps*8-1:0] LaneWidths = {(Pe/Pixels*Taps) {8'd11}},
  parameter logic [Pe/Pixels*Taps*8-1:0] Offsets = '0,
  parameter logic [Pe/Pixels*Taps*8-1:0] Strides = {(Pe/Pixels*Taps) {8'd11}},
  parameter logic [Pe/Pixels*Taps*8-1:0] FieldWidths = {(Pe/Pixels*Taps) {8'd4}},
  parameter logic [Pe/Pixels*Taps-1:0] Heads = '1,
  parameter int unsigned StartWidth = 1,
  parameter int unsigned Chains = 1,
  parameter int unsigned SegmentFolds = 0,
  parameter int unsigned SegmentTurns = 1,
  parameter WeightFiles = "",
  parameter int unsigned Turns = 1,
  parameter logic [Pe/Turns*8-1:0] CompareWidths = {(Pe/Turns) {8'd14}},
  parameter ThresholdFiles = "",
  parameter logic [87:0] Requantizer = '0,
  parameter RequantizerFile = "",
  parameter bit CheckOverflow = 1'b0
) (
  input  wire                                 clk_i,
  input  wire                                 rst_ni,

  input  wire                                 in_valid_i,
  output wire                                 in_ready_o,
  input  wire  [Pixels*Simd*Channels*InputWidth-1:0] in_data_i,

  output wire                                 out_valid_o,
  input  wire                                 out_ready_i,
  output wire  [Pe*OutputWidth-1:0]           out_data_o,

  // the weight stream, where RamStyle is "ultra": see weight_memory
  input  wire                                 load_valid_i,
  input  wire  [31:0]                         load_data_i,
  output wire                                 load_valid_o,
  output wire  [31:0]                         load_data_o,
  output wire                                 weights_loaded_o,

  output wire                                 overflow_o
);

  if (Mw % Simd != 0 || Mh % Pe != 0) begin : gen_check_folding
    $error("%m: Simd must divide Mw and Pe must divide Mh");
  end
  if (Pe % (Channels * Pixels) != 0 || Mh % Pixels != 0 || (Dsp && Channels != 1)) begin : gen_check_channels
    $error("%m: Channels times Pixels must divide Pe, Channels be 1 with Dsp, and Pixels divide Mh");
  end
  localparam int unsigned Rows = Pe / Pixels;  // of each vector at a time

  if (Taps > 1 && (!Dsp || Mh != Pe || RowBeats < 1 || FirstBeat >= RowBeats + 1)) begin : gen_check_taps
    $error("%m: with Taps, Dsp is wanted, Pe must be Mh, and FirstBeat at most RowBeats, which is at least 1");
  end

  if (SegmentTurns != 1 && SegmentTurns != Turns) begin : gen_check_segment_turns
    $error("%m: SegmentTurns must be 1 or Turns");
  end

  if (Turns < 1 || Pe / Pixels % Turns != 0 || Turns > Mw / Simd || (Turns > 1 && NumThresholds == 0)) begin : gen_check_turns
    $error("%m: Turns must divide the rows of a vector, be at most Mw / Simd, and 1 without thresholds");
  end

  function automatic int unsigned widest(input logic [Pe*8-1:0] widths);
    int unsigned found = 0;
    for (int unsigned l = 0; l < Pe; l++) if (32'(widths[8*l+:8]) > found) found = 32'(widths[8*l+:8]);
    return found;
  endfunction

  localparam int unsigned LaneWidth = widest(AccWidths);
  localparam int unsigned SynapseFolds = Mw / Simd;
  localparam int unsigned NeuronFolds = Mh / Pe;
  localparam int unsigned Steps = SynapseFolds * NeuronFolds;
  localparam int unsigned SynapseWidth = (SynapseFolds > 1) ? $clog2(SynapseFolds) : 1;
  localparam int unsigned NeuronWidth = (NeuronFolds > 1) ? $clog2(NeuronFolds) : 1;
  localparam int unsigned StepWidth = (Steps > 1) ? $clog2(Steps) : 1;

  // cycles from the operands to their sum: product_pair, then adder_tree; both check theirs; or dsp_chain
  localparam int unsigned ProductLatency =
      !RecodeInput ? (WeightWidth + 1) / 2 : InputSigned ? (InputWidth + 1) / 2 : InputWidth / 2 + 1;
  localparam int unsigned TreeLatency = $clog2(Simd) / 2;
  localparam int unsigned ChainLength = (Simd + Chains - 1) / Chains;
  localparam bit Segments = Dsp && (Chains > 1 || SegmentFolds != 0);
  localparam bit DspAccumulates = Segments ? SegmentFolds > 1 : (SynapseFolds > 1 || HasBias || Taps > 1);
  localparam int unsigned DspLatency = ChainLength + (DspAccumulates ? 2 : 1);
  localparam int unsigned DotLatency = Dsp ? DspLatency : ProductLatency + TreeLatency;
  // from the lanes of DSPs to sums, see segment_adder
  localparam bit AddsSegments = Segments && (SegmentFolds < SynapseFolds || HasBias);
  localparam int unsigned SegmentLatency = !Segments ? 0 :
      ($clog2(Chains) + 1) / 2 + ((SegmentTurns > 1) ? SegmentTurns : 0) + (AddsSegments ? 1 : 0);

  // cycles from a step to its result at the output, and places for those on the way: see result_buffer
  localparam int unsigned SearchLatency =
      (Requantizer[87:80] != '0) ? 32'(Requantizer[87:80]) + 4 :
      (Requantizer != '0) ? 32'(Requantizer[39:32]) / 2 + 3 : $clog2(NumThresholds + 1);
  localparam bit Stores = Replays && NeuronFolds > 1;
  localparam int unsigned ReplayLatency = Stores ? 1 : 0;
  localparam int unsigned TurnLatency = (Turns > 1 && SegmentTurns == 1) ? Turns : 0;
  localparam int unsigned Latency =
      ReplayLatency + 1 + DotLatency + 1 + SegmentLatency + TurnLatency + SearchLatency + 2;
  localparam int unsigned More = (Taps > 1 && LastEmits) ? 1 : 0;  // a result sooner after another one
  localparam int unsigned Late = (SynapseFolds > 2) ? More : (SynapseFolds == 2) ? 1 + More : 2;
  localparam int unsigned Places = 1 + Late + (Latency + SynapseFolds - 1) / SynapseFolds + More;

  wire room;

  // which beat of the vector, for which rows; that it is the last one is known a cycle before
  wire [SynapseWidth-1:0] synapse;
  wire synapse_last;
  logic [StepWidth-1:0] step_q;
  logic step_last_q;
  logic take_q;  // the first rows: beats come from the stream

  wire zeros;  // the next step is that behind a row
  wire zeros_wait;  // and not yet
  wire emits;  // the next step, if it is the last one of a vector, has a result
  wire step_valid = room && (zeros ? !zeros_wait : !take_q || (in_valid_i && weights_loaded_o));
  assign in_ready_o = room && take_q && weights_loaded_o && !zeros;
  wire begins_result = step_valid && (zeros || synapse_last) && emits;
  wire vector_step = step_valid && !zeros;

  if (Taps > 1) begin : gen_row
    localparam int unsigned BeatWidth = (RowBeats > 1) ? $clog2(RowBeats) : 1;
    localparam int unsigned Wait = LastEmits ? Turns - 1 : 0;  // cycles before the step of zeros
    localparam int unsigned WaitWidth = (Wait > 0) ? $clog2(Wait + 1) : 1;
    logic [BeatWidth-1:0] beat_q;
    logic beat_last_q, emits_beat_q, zeros_q;
    logic [WaitWidth-1:0] wait_q;
    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        beat_q <= '0;
        beat_last_q <= RowBeats == 1;
        emits_beat_q <= FirstBeat == 0;
        zeros_q <= 1'b0;
        wait_q <= WaitWidth'(Wait);
      end else begin
        if (vector_step && synapse_last) begin
          beat_q <= beat_last_q ? '0 : beat_q + 1'b1;
          beat_last_q <= RowBeats == 1 || (!beat_last_q && 32'(beat_q) == RowBeats - 2);
          emits_beat_q <= FirstBeat == 0 || (!beat_last_q && 32'(beat_q) >= FirstBeat - 1);
        end
        if (vector_step && synapse_last && beat_last_q) zeros_q <= 1'b1;
        else if (step_valid) zeros_q <= 1'b0;
        if (zeros_q && wait_q != '0) wait_q <= wait_q - 1'b1;
        else if (!zeros_q) wait_q <= WaitWidth'(Wait);
      end
    end
    assign zeros = zeros_q;
    assign zeros_wait = wait_q != '0;
    assign emits = zeros_q ? LastEmits : emits_beat_q;
  end else begin : gen_no_row
    assign zeros = 1'b0;
    assign zeros_wait = 1'b0;
    assign emits = 1'b1;
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      step_q <= '0;
      step_last_q <= Steps == 1;
      take_q <= 1'b1;
    end else if (vector_step) begin
      step_q <= step_last_q ? '0 : step_q + 1'b1;
      step_last_q <= Steps == 1 || step_q == StepWidth'(Steps - 2);
      if (synapse_last) take_q <= !Stores || step_last_q;
    end
  end
  if (NeuronFolds > 1) begin : gen_synapse
    logic [SynapseWidth-1:0] synapse_q;
    logic synapse_last_q;
    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        synapse_q <= '0;
        synapse_last_q <= SynapseFolds == 1;
      end else if (vector_step) begin
        synapse_q <= synapse_last_q ? '0 : synapse_q + 1'b1;
        synapse_last_q <= SynapseFolds == 1 || synapse_q == SynapseWidth'(SynapseFolds - 2);
      end
    end
    assign synapse = synapse_q;
    assign synapse_last = synapse_last_q;
  end else begin : gen_step
    assign synapse = step_q;
    assign synapse_last = step_last_q;
  end

  // operands; a vector that is replayed is always read from the buffer, which saves a multiplexer and costs a cycle
  logic [Pixels*Simd*Channels*InputWidth-1:0] inputs_q;
  wire [StepWidth-1:0] operand_step;
  wire operand_valid, operand_last;
  if (Stores) begin : gen_replay
    logic [Pixels*Simd*Channels*InputWidth-1:0] vector_q[SynapseFolds];
    logic [SynapseWidth-1:0] read_synapse_q;
    logic [StepWidth-1:0] read_step_q;
    logic read_valid_q, read_last_q;
    always_ff @(posedge clk_i) begin
      if (in_valid_i && in_ready_o) vector_q[synapse] <= in_data_i;
      read_synapse_q <= synapse;
      read_step_q <= step_q;
      read_last_q <= synapse_last;
      inputs_q <= vector_q[read_synapse_q];
      read_valid_q <= rst_ni && step_valid;
    end
    assign operand_step = read_step_q;
    assign operand_valid = read_valid_q;
    assign operand_last = read_last_q;
  end else begin : gen_once
    always_ff @(posedge clk_i) begin
      if (Taps > 1 && (!rst_ni || zeros)) inputs_q <= '0;
      else inputs_q <= in_data_i;
    end
    assign operand_step = step_q;
    assign operand_valid = step_valid;
    assign operand_last = synapse_last || zeros;
    wire unused_synapse = &{1'b0, synapse};
  end

  // Bit 0 belongs to the operands, bit DotLatency to their sum. With Taps a step of zeros comes before the first row.
  logic [DotLatency:0] valid_q, last_q, emits_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= (DotLatency + 1)'(Taps > 1);
    else valid_q <= {valid_q[DotLatency-1:0], operand_valid};
    last_q <= {last_q[DotLatency-1:0], operand_last || (Taps > 1 && !rst_ni)};
    emits_q <= {emits_q[DotLatency-1:0], emits && (Taps == 1 || rst_ni)};
  end
  wire unused_emits = &{1'b0, emits_q, zeros, begins_result};

  // accumulators
  wire sum_valid = valid_q[DotLatency];
  wire sum_last = last_q[DotLatency];
  logic first_q, acc_valid_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      first_q <= 1'b1;
      acc_valid_q <= 1'b0;
    end else begin
      if (sum_valid) first_q <= sum_last;
      acc_valid_q <= sum_valid && sum_last;
    end
  end

  wire [Rows*BiasWidth-1:0] starts;
  if (HasBias && !Segments) begin : gen_bias
    // one cycle ahead of the accumulators, to make up for that of the memory
    logic [NeuronWidth-1:0] neuron_q;
    always_ff @(posedge clk_i) begin
      if (!rst_ni) neuron_q <= '0;
      else if (valid_q[DotLatency-1] && last_q[DotLatency-1])
        neuron_q <= (neuron_q == NeuronWidth'(NeuronFolds - 1)) ? '0 : neuron_q + 1'b1;
    end
    rom #(
      .Width(Rows * BiasWidth),
      .Depth(NeuronFolds),
      .File(BiasFile)
    ) u_biases (
      .clk_i(clk_i),
      .rst_ni(rst_ni),
      .en_i(1'b1),
      .address_i(neuron_q),
      .data_o(starts)
    );
  end else begin : gen_no_bias
    assign starts = '0;
  end

  // in the lanes of DSPs sums are unsigned, with an offset that is in the thresholds
  localparam bit OffsetBinary = Dsp && NumThresholds > 0 && Requantizer == '0;

  // from here on lane Pixels r + p is of row r of vector p
  localparam int unsigned Units = Pe / Turns;  // lanes that have their turn
  localparam int unsigned SummedLanes = Pe / SegmentTurns;

  wire accs_valid;
  wire [SummedLanes*LaneWidth-1:0] accs;
  if (Dsp) begin : gen_dsps
    dsp_lanes #(
      .Simd(Simd),
      .Pe(Rows * Taps),
      .Pixels(Pixels),
      .WordPixels(WordPixels),
      .Taps(Taps),
      .Held(Held),
      .Steps(Steps),
      .Folds(NeuronFolds),
      .InputWidth(InputWidth),
      .InputSigned(InputSigned),
      .LaneWidths(LaneWidths),
      .Offsets(Offsets),
      .Strides(Strides),
      .FieldWidths(FieldWidths),
      .Heads(Heads),
      .SumWidth(LaneWidth),
      .OffsetBinary(OffsetBinary),
      .HasBias(HasBias),
      .BiasWidth(BiasWidth),
      .StartWidth(StartWidth),
      .Chains(Chains),
      .SegmentFolds(SegmentFolds),
      .SegmentTurns(SegmentTurns),
      .RamStyle(RamStyle),
      .WeightFiles(WeightFiles),
      .BiasFile(BiasFile),
      .CheckOverflow(CheckOverflow)
    ) u_lanes (
      .clk_i(clk_i),
      .rst_ni(rst_ni),
      .load_valid_i(load_valid_i),
      .load_data_i(load_data_i),
      .load_valid_o(load_valid_o),
      .load_data_o(load_data_o),
      .weights_loaded_o(weights_loaded_o),
      .step_i(operand_step),
      .inputs_i(inputs_q),
      .valid_i(sum_valid),
      .first_i(first_q),
      .last_i(sum_last),
      .emits_i(emits_q[DotLatency]),
      .starts_i(starts),
      .valid_o(accs_valid),
      .sums_o(accs),
      .overflow_o(overflow_o)
    );
    wire unused_acc_valid = &{1'b0, acc_valid_q};
  end else begin : gen_luts
    assign accs_valid = acc_valid_q;
    wire [Rows*Simd*WeightWidth-1:0] weights;
    weight_memory #(
      .Width(Rows * Simd * WeightWidth),
      .Depth(Steps),
      .RamStyle(RamStyle),
      .File(WeightFile)
    ) u_weights (
      .clk_i(clk_i),
      .rst_ni(rst_ni),
      .load_valid_i(load_valid_i),
      .load_data_i(load_data_i),
      .load_valid_o(load_valid_o),
      .load_data_o(load_data_o),
      .loaded_o(weights_loaded_o),
      .en_i(1'b1),
      .address_i(operand_step),
      .data_o(weights)
    );

    wire [Pe-1:0] overflows;
    for (genvar l = 0; l < Pe; l++) begin : gen_lane
      localparam int unsigned AccWidth = 32'(AccWidths[8*l+:8]);
      localparam int unsigned Row = l % Rows;
      localparam int unsigned Place = l / Rows * Simd * Channels + Row / (Rows / Channels);  // of its first element
      wire [Simd*InputWidth-1:0] inputs;
      for (genvar s = 0; s < Simd; s++) begin : gen_element
        assign inputs[s*InputWidth+:InputWidth] = inputs_q[(s*Channels+Place)*InputWidth+:InputWidth];
      end
      wire [AccWidth-1:0] acc;
      mvau_pe #(
        .Simd(Simd),
        .InputWidth(InputWidth),
        .InputSigned(InputSigned),
        .WeightWidth(WeightWidth),
        .RecodeInput(RecodeInput),
        .ProductWidth(ProductWidth),
        .AccWidth(AccWidth),
        .HasBias(HasBias),
        .StartWidth(BiasWidth),
        .ProductLatency(ProductLatency),
        .TreeLatency(TreeLatency),
        .CheckOverflow(CheckOverflow)
      ) u_mvau_pe (
        .clk_i(clk_i),
        .rst_ni(rst_ni),
        .inputs_i(inputs),
        .weights_i(weights[Row*Simd*WeightWidth+:Simd*WeightWidth]),
        .valid_i(sum_valid),
        .first_i(first_q),
        .last_i(sum_last),
        .start_i(starts[Row*BiasWidth+:BiasWidth]),
        .acc_o(acc),
        .overflow_o(overflows[l])
      );
      assign accs[(Row*Pixels+l/Rows)*LaneWidth+:LaneWidth] = {{(LaneWidth-AccWidth){acc[AccWidth-1]}}, acc};
    end

    if (CheckOverflow) begin : gen_check
      assign overflow_o = |overflows;
    end else begin : gen_no_check
      assign overflow_o = 1'b0;
      wire unused_overflows = &{1'b0, overflows};
    end
  end

  function automatic logic [Units*8-1:0] of_units(input logic [Pe*8-1:0] widths);
    logic [Units*8-1:0] found = '0;
    for (int unsigned l = 0; l < Pe; l++) begin
      if (widths[8*(l/Pixels)+:8] > found[8*(l%Units)+:8]) found[8*(l%Units)+:8] = widths[8*(l/Pixels)+:8];
    end
    return found;
  endfunction

  wire turn_valid;
  wire [Units*LaneWidth-1:0] turn_accs;
  if (Turns > 1 && SegmentTurns == 1) begin : gen_turns
    lane_turns #(
      .Lanes(Pe),
      .Turns(Turns),
      .Width(LaneWidth)
    ) u_lane_turns (
      .clk_i(clk_i),
      .rst_ni(rst_ni),
      .valid_i(accs_valid),
      .data_i(accs),
      .valid_o(turn_valid),
      .data_o(turn_accs)
    );
  end else begin : gen_no_turns
    assign turn_valid = accs_valid;
    assign turn_accs = accs;
  end

  wire result_valid;
  wire [Units*OutputWidth-1:0] result;
  activation #(
    .Pe(Units),
    .Folds(NeuronFolds * Turns),
    .InputWidth(LaneWidth),
    .ValueWidths(of_units(AccWidths)),
    .InputSigned(!OffsetBinary),
    .NumThresholds(NumThresholds),
    .CompareWidths(CompareWidths),
    .OutputWidth(OutputWidth),
    .OutputOffset(OutputOffset),
    .ThresholdFiles(ThresholdFiles),
    .Requantizer(Requantizer),
    .RequantizerFile(RequantizerFile)
  ) u_activation (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .en_i(1'b1),
    .valid_i(turn_valid),
    .data_i(turn_accs),
    .valid_o(result_valid),
    .data_o(result)
  );

  wire [Pe*OutputWidth-1:0] out_lanes;
  result_buffer #(
    .Width(Pe * OutputWidth),
    .Depth(Places),
    .Words(Turns),
    .Late(Late)
  ) u_result_buffer (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .room_o(room),
    .start_i(begins_result),
    .in_valid_i(result_valid),
    .in_data_i(result),
    .out_valid_o(out_valid_o),
    .out_ready_i(out_ready_i),
    .out_data_o(out_lanes)
  );
  for (genvar l = 0; l < Pe; l++) begin : gen_out
    assign out_data_o[(l%Pixels*Rows+l/Pixels)*OutputWidth+:OutputWidth] = out_lanes[l*OutputWidth+:OutputWidth];
  end

endmodule

`default_nettype wire
