// MVAU that multiplies by the weights that are not zero, and by no others.
//
// Rows are dealt to Pe walkers so that all of them finish together. A walker goes through the entries of its rows, one
// a cycle: where in the window the element is, and its weight. All walkers are at the same step, so one memory holds
// what all of them do. Two windows are kept: while one is walked the next comes in, Simd elements a cycle. A walker's
// sums wait in a FIFO until it is their row's turn to leave, Lanes rows a beat: row r in lane r % Lanes, from one of
// the walkers l with l % Lanes = r % Lanes. A walk never stands still: it begins when all FIFOs have places for its sums.
//
// The pixels of a beat may be several, each with a window of its own: a step takes the same entry for all of them, and rows
// leave for all of them together.
//
// Mw, Mh:          columns and rows of the matrix.
// Simd:            elements of each pixel of an input beat, divides Mw.
// Pe:              walkers.
// Lanes:           elements of each pixel of an output beat, divides Mh and Pe.
// Pixels:          pixels of a beat; those of one are neighbours in it.
// Steps:           entries of the longest walk; the others are filled up with zeros.
// InputWidth:      bits of an input element.
// InputSigned:     inputs are two's complement.
// WeightWidth:     bits of a weight, two's complement.
// RecodeInput:     recode the input in the multipliers instead of the weight (see product_pair).
// ProductWidth:    bits that hold every product, two's complement.
// AccWidths:       for each walker, in 8 bits, the bits of its sums, two's complement.
// LaneWidth:       bits that hold every sum and every sum with its bias.
// Windows:         windows of which sums are in the FIFOs, or may be on their way there.
// Results:         for each walker, in 16 bits, the sums that its FIFO holds, at least those of Windows windows.
// HasBias:         a bias is added to each sum.
// NumThresholds:   thresholds of a row; 0 puts out the sum itself.
// CompareWidths:   for each lane of each pixel, in 8 bits, the bits of its comparisons (see thresholding).
// OutputWidth:     bits of an output element.
// OutputOffset:    the output for no threshold reached; not used without thresholds.
// RamStyle:        what holds the weights (see weight_memory). With "ultra" no input is taken before they are loaded.
// WalkFile:        a word for each step: walker by walker the weight, the element of the beat, the beat, and whether the
//                  row ends.
// OrderFile:       a word for each output beat: lane by lane the number of the walker among those of the lane.
// BiasFile:        a word for each output beat: Lanes biases of LaneWidth bits.
// ThresholdFiles:  the thresholds (see thresholding).
// Requantizer, RequantizerFile: what computes the same as the thresholds, if not 0 (see activation).
// CheckOverflow:   overflow_o is high for a cycle when an addition has left the width of a sum, or that of a sum with
//                  its bias LaneWidth; 0 otherwise. As in mvau, it may come back where 0 is no input.
`default_nettype none

module sparse_mvau #(
  parameter int unsigned Mw = 4,
  parameter int unsigned Mh = 1,
  parameter int unsigned Simd = 1,
  parameter int unsigned Pe = 1,
  parameter int unsigned Lanes = 1,
  parameter int unsigned Pixels = 1,
  parameter int unsigned Steps = 4,
  parameter int unsigned InputWidth = 4,
  parameter bit InputSigned = 1'b0,
  parameter int unsigned WeightWidth = 4,
  parameter bit RecodeInput = 1'b0,
  parameter int unsigned ProductWidth = 8,
  parameter logic [Pe*8-1:0] AccWidths = {Pe{8'd12}},
  parameter int unsigned LaneWidth = 12,
  parameter int unsigned Windows = 2,
  parameter logic [Pe*16-1:0] Results = {Pe{16'd2}},
  parameter bit HasBias = 1'b0,
  parameter int unsigned NumThresholds = 0,
  parameter logic [Pixels*Lanes*8-1:0] CompareWidths = {(Pixels*Lanes) {8'(LaneWidth)}},
  parameter int unsigned OutputWidth = 12,
  parameter logic [OutputWidth-1:0] OutputOffset = '0,
  parameter RamStyle = "auto",
  parameter WalkFile = "",
  parameter OrderFile = "",
  parameter BiasFile = "",
  parameter ThresholdFiles = "",
  parameter logic [87:0] Requantizer = '0,
  parameter RequantizerFile = "",
  parameter bit CheckOverflow = 1'b0
) (
  input  wire                                 clk_i,
  input  wire                                 rst_ni,

  input  wire                                 in_valid_i,
  output wire                                 in_ready_o,
  input  wire  [Pixels*Simd*InputWidth-1:0]   in_data_i,

  output wire                                 out_valid_o,
  input  wire                                 out_ready_i,
  output wire  [Pixels*Lanes*OutputWidth-1:0] out_data_o,

  // the weight stream, where RamStyle is "ultra": see weight_memory
  input  wire                                 load_valid_i,
  input  wire  [31:0]                         load_data_i,
  output wire                                 load_valid_o,
  output wire  [31:0]                         load_data_o,
  output wire                                 weights_loaded_o,

  output wire                                 overflow_o
);

  if (Mw % Simd != 0 || Mh % Lanes != 0 || Pe % Lanes != 0) begin : gen_check_folding
    $error("%m: Simd must divide Mw, and Lanes must divide Mh and Pe");
  end
  if (Steps < 1 || Windows < 1 || Pixels < 1) begin : gen_check_steps
    $error("%m: Steps, Windows and Pixels must be at least 1");
  end

  localparam int unsigned Words = Mw / Simd;
  localparam int unsigned WordWidth = (Words > 1) ? $clog2(Words) : 1;
  localparam int unsigned ElementWidth = (Simd > 1) ? $clog2(Simd) : 1;
  localparam int unsigned EntryWidth = WeightWidth + ElementWidth + WordWidth + 1;
  localparam int unsigned StepWidth = (Steps > 1) ? $clog2(Steps) : 1;
  localparam int unsigned Beats = Mh / Lanes;
  localparam int unsigned BeatWidth = (Beats > 1) ? $clog2(Beats) : 1;
  localparam int unsigned Outputs = Pixels * Lanes;  // of a beat
  localparam int unsigned Share = Pe / Lanes;  // walkers of a lane
  localparam int unsigned OwnerWidth = (Share > 1) ? $clog2(Share) : 1;

  // cycles of a product, as product_pair checks them
  localparam int unsigned ProductLatency =
      !RecodeInput ? (WeightWidth + 1) / 2 : InputSigned ? (InputWidth + 1) / 2 : InputWidth / 2 + 1;

  // -- windows come in: which half of the memories is written, and how many halves are free

  logic [WordWidth-1:0] load_word_q;
  logic load_half_q;
  logic [1:0] free_q, waiting_q;  // halves that may be written; windows whose walk has not ended
  wire load = in_valid_i && in_ready_o;
  wire loaded = load && load_word_q == WordWidth'(Words - 1);
  wire walked, released;
  assign in_ready_o = weights_loaded_o && free_q != 2'd0;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      load_word_q <= '0;
      load_half_q <= 1'b0;
      free_q <= 2'd2;
      waiting_q <= 2'd0;
    end else begin
      if (load) load_word_q <= loaded ? '0 : load_word_q + 1'b1;
      if (loaded) load_half_q <= !load_half_q;
      free_q <= free_q + 2'(released) - 2'(loaded);
      waiting_q <= waiting_q + 2'(loaded) - 2'(walked);
    end
  end

  // -- the walk: a half is free again when the last element has been read from it

  localparam int unsigned WindowsWidth = $clog2(Windows + 1);
  logic [StepWidth-1:0] step_q;
  logic step_first_q, step_final_q;
  logic [WindowsWidth-1:0] room_q;  // windows of which the FIFOs still take the sums
  logic walk_half_q, entry_valid_q, entry_half_q, entry_final_q, sent_q;
  wire sent;  // the last sums of a window leave the FIFOs
  wire step_valid = waiting_q != 2'd0 && (!step_first_q || room_q != '0);
  assign walked = step_valid && step_final_q;
  assign released = entry_valid_q && entry_final_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      step_q <= '0;
      step_first_q <= 1'b1;
      step_final_q <= Steps == 1;
      walk_half_q <= 1'b0;
      entry_valid_q <= 1'b0;
      room_q <= WindowsWidth'(Windows);
      sent_q <= 1'b0;
    end else begin
      if (step_valid) begin
        step_q <= step_final_q ? '0 : step_q + 1'b1;
        step_first_q <= step_final_q;
        step_final_q <= Steps == 1 || step_q == StepWidth'(Steps - 2);
        if (step_final_q) walk_half_q <= !walk_half_q;
      end
      entry_valid_q <= step_valid;
      sent_q <= sent;
      room_q <= room_q + WindowsWidth'(sent_q) - WindowsWidth'(step_valid && step_first_q);
    end
    entry_half_q <= walk_half_q;
    entry_final_q <= step_final_q;
  end

  wire [Pe*EntryWidth-1:0] entries;
  weight_memory #(
    .Width(Pe * EntryWidth),
    .Depth(Steps),
    .RamStyle(RamStyle),
    .File(WalkFile)
  ) u_walk (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .load_valid_i(load_valid_i),
    .load_data_i(load_data_i),
    .load_valid_o(load_valid_o),
    .load_data_o(load_data_o),
    .loaded_o(weights_loaded_o),
    .en_i(1'b1),
    .address_i(step_q),
    .data_o(entries)
  );

  // -- walkers

  wire [Pe-1:0] sum_valid, sum_ready;
  wire [Pixels*LaneWidth-1:0] sums[Pe];
  wire [Pe-1:0] overflows;
  for (genvar p = 0; p < Pe; p++) begin : gen_lane
    localparam int unsigned AccWidth = 32'(AccWidths[8*p+:8]);
    wire [Pixels*AccWidth-1:0] sum;
    sparse_mvau_pe #(
      .Words(Words),
      .Simd(Simd),
      .Pixels(Pixels),
      .InputWidth(InputWidth),
      .InputSigned(InputSigned),
      .WeightWidth(WeightWidth),
      .AccWidth(AccWidth),
      .ProductLatency(ProductLatency),
      .RecodeInput(RecodeInput),
      .ProductWidth(ProductWidth),
      .Results(32'(Results[16*p+:16])),
      .CheckOverflow(CheckOverflow)
    ) u_sparse_mvau_pe (
      .clk_i(clk_i),
      .rst_ni(rst_ni),
      .write_i(load),
      .write_half_i(load_half_q),
      .write_word_i(load_word_q),
      .write_data_i(in_data_i),
      .valid_i(entry_valid_q),
      .half_i(entry_half_q),
      .word_i(entries[p*EntryWidth+WeightWidth+ElementWidth+:WordWidth]),
      .element_i(entries[p*EntryWidth+WeightWidth+:ElementWidth]),
      .weight_i(entries[p*EntryWidth+:WeightWidth]),
      .last_i(entries[p*EntryWidth+EntryWidth-1]),
      .out_valid_o(sum_valid[p]),
      .out_ready_i(sum_ready[p]),
      .out_data_o(sum),
      .overflow_o(overflows[p])
    );
    for (genvar x = 0; x < Pixels; x++) begin : gen_pixel
      wire [AccWidth-1:0] of_pixel = sum[x*AccWidth+:AccWidth];
      assign sums[p][x*LaneWidth+:LaneWidth] = {{(LaneWidth-AccWidth){of_pixel[AccWidth-1]}}, of_pixel};
    end
  end

  // -- sums leave in the order of the rows

  wire out_en;
  logic [BeatWidth-1:0] beat_q;
  wire [Lanes-1:0] lane_valid;
  wire take = out_en && &lane_valid;
  wire beat_last = beat_q == BeatWidth'(Beats - 1);
  wire [BeatWidth-1:0] next_beat = !take ? beat_q : beat_last ? '0 : beat_q + 1'b1;
  assign sent = take && beat_last;
  always_ff @(posedge clk_i) beat_q <= rst_ni ? next_beat : '0;

  wire [Lanes*OwnerWidth-1:0] owners;
  rom #(
    .Width(Lanes * OwnerWidth),
    .Depth(Beats),
    .File(OrderFile)
  ) u_order (
    .clk_i(clk_i),
    .rst_ni(1'b1),  // it is read in reset
    .en_i(1'b1),
    .address_i(rst_ni ? next_beat : '0),
    .data_o(owners)
  );

  logic [Outputs*LaneWidth-1:0] chosen_q;
  logic chosen_valid_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) chosen_valid_q <= 1'b0;
    else if (out_en) chosen_valid_q <= take;
  end
  for (genvar l = 0; l < Lanes; l++) begin : gen_choice
    wire [OwnerWidth-1:0] owner = owners[l*OwnerWidth+:OwnerWidth];
    wire [Share-1:0] valid;
    wire [Pixels*LaneWidth-1:0] values[Share];
    wire [Pixels*LaneWidth-1:0] value;
    for (genvar s = 0; s < Share; s++) begin : gen_walker
      assign valid[s] = sum_valid[s*Lanes+l];
      assign values[s] = sums[s*Lanes+l];
      assign sum_ready[s*Lanes+l] = take && (Share == 1 || owner == OwnerWidth'(s));
    end
    if (Share > 1) begin : gen_several
      assign lane_valid[l] = valid[owner];
      assign value = values[owner];
    end else begin : gen_one
      assign lane_valid[l] = valid[0];
      assign value = values[0];
      wire unused_owner = &{1'b0, owner};
    end
    for (genvar x = 0; x < Pixels; x++) begin : gen_pixel
      always_ff @(posedge clk_i) begin
        if (out_en) chosen_q[(x*Lanes+l)*LaneWidth+:LaneWidth] <= value[x*LaneWidth+:LaneWidth];
      end
    end
  end

  wire biased_valid, biased_overflow;
  wire [Outputs*LaneWidth-1:0] biased;
  if (HasBias) begin : gen_bias
    wire [Lanes*LaneWidth-1:0] biases;
    logic [Outputs*LaneWidth-1:0] biased_q;
    logic biased_valid_q;
    rom #(
      .Width(Lanes * LaneWidth),
      .Depth(Beats),
      .File(BiasFile)
    ) u_biases (
      .clk_i(clk_i),
      .rst_ni(rst_ni),
      .en_i(out_en),
      .address_i(beat_q),
      .data_o(biases)
    );
    always_ff @(posedge clk_i) begin
      if (!rst_ni) biased_valid_q <= 1'b0;
      else if (out_en) biased_valid_q <= chosen_valid_q;
    end
    for (genvar o = 0; o < Outputs; o++) begin : gen_sum
      wire [LaneWidth-1:0] bias = biases[o%Lanes*LaneWidth+:LaneWidth];
      always_ff @(posedge clk_i) if (out_en) biased_q[o*LaneWidth+:LaneWidth] <= chosen_q[o*LaneWidth+:LaneWidth] + bias;
    end
    assign biased_valid = biased_valid_q;
    assign biased = biased_q;
    if (CheckOverflow) begin : gen_check
      // two of a sign do not add up to the other one
      wire [Outputs-1:0] wraps;
      for (genvar o = 0; o < Outputs; o++) begin : gen_lane_check
        localparam int unsigned Sign = o * LaneWidth + LaneWidth - 1;
        logic same_q, sign_q;
        always_ff @(posedge clk_i) begin
          if (out_en) begin
            same_q <= chosen_q[Sign] == biases[o%Lanes*LaneWidth+LaneWidth-1];
            sign_q <= chosen_q[Sign];
          end
        end
        assign wraps[o] = same_q && sign_q != biased_q[Sign];
      end
      // a beat may wait: what it shows is said once
      logic fresh_q;
      always_ff @(posedge clk_i) fresh_q <= rst_ni && out_en && chosen_valid_q;
      assign biased_overflow = fresh_q && |wraps;
    end else begin : gen_no_check
      assign biased_overflow = 1'b0;
    end
  end else begin : gen_no_bias
    assign biased_valid = chosen_valid_q;
    assign biased = chosen_q;
    assign biased_overflow = 1'b0;
  end

  if (CheckOverflow) begin : gen_check
    assign overflow_o = |overflows || biased_overflow;
  end else begin : gen_no_check
    assign overflow_o = 1'b0;
    wire unused_overflows = &{1'b0, overflows, biased_overflow};
  end

  thresholding #(
    .Pe(Outputs),
    .Folds(Beats),
    .InputWidth(LaneWidth),
    .ValueWidths({Outputs{8'(LaneWidth)}}),
    .InputSigned(1'b1),
    .NumThresholds(NumThresholds),
    .CompareWidths(CompareWidths),
    .OutputWidth(OutputWidth),
    .OutputOffset(OutputOffset),
    .ThresholdFiles(ThresholdFiles),
    .Requantizer(Requantizer),
    .RequantizerFile(RequantizerFile)
  ) u_thresholding (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .in_valid_i(biased_valid),
    .in_ready_o(out_en),
    .in_data_i(biased),
    .out_valid_o(out_valid_o),
    .out_ready_i(out_ready_i),
    .out_data_o(out_data_o)
  );

endmodule

`default_nettype wire
