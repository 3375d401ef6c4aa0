// Adds up the segments of the sums of DSPs: those that several chains have at the same time, and those that come one after the
// other. Lanes are in offset binary, 2^(bits - 1) more than their numbers in two's complement, and so are the sums.
//
// A beat is a segment of every lane. The lanes take turns with the adders that accumulate. Sums leave in as many turns, one
// after the other, the first lanes first. Nothing in here stops: a beat comes Turns cycles or more after the one before.
// Latency is that of lane_tree if there are several chains, then the Turns if there are several, then a cycle if something
// is accumulated or there is a bias.
//
// Lanes:        lanes of a chain.
// Chains:       chains whose lanes are segments of the same sums; lane l of chain c is number c Lanes + l at lanes_i.
// Turns:        divides Lanes; 1 with several chains.
// LaneWidth:    bits of a lane.
// SumWidth:     bits of a sum: all that is there at the end fits them, two's complement.
// Accumulates:  there are several beats to a sum.
// HasBias:      sums start from a bias, else from 0.
// BiasWidth:    bits of a bias, two's complement.
// Folds:        sets of sums after which the biases repeat.
// BiasFile:     a word for each turn of each set: as many biases as lanes have their turn.
// CheckOverflow: overflow_o is high in the cycle of sums that do not fit SumWidth bits; 0 otherwise.
`default_nettype none

module segment_adder #(
  parameter int unsigned Lanes = 1,
  parameter int unsigned Chains = 1,
  parameter int unsigned Turns = 1,
  parameter int unsigned LaneWidth = 11,
  parameter int unsigned SumWidth = 14,
  parameter bit Accumulates = 1'b1,
  parameter bit HasBias = 1'b0,
  parameter int unsigned BiasWidth = 1,
  parameter int unsigned Folds = 1,
  parameter BiasFile = "",
  parameter bit CheckOverflow = 1'b0,
  localparam int unsigned Units = Lanes / Turns
) (
  input  wire                              clk_i,
  input  wire                              rst_ni,

  input  wire                              valid_i,
  input  wire                              first_i,  // of the segments of the sums
  input  wire                              last_i,
  input  wire [Chains*Lanes*LaneWidth-1:0] lanes_i,

  output wire                              valid_o,
  output wire [Units*SumWidth-1:0]         sums_o,
  output wire                              overflow_o
);

  if (Turns < 1 || Lanes % Turns != 0 || (Turns > 1 && Chains > 1)) begin : gen_check
    $error("%m: Turns must divide Lanes, and be 1 with several Chains");
  end

  localparam int unsigned Levels = (Chains > 1) ? $clog2(Chains) : 0;
  localparam int unsigned TreeLatency = (Levels + 1) / 2;
  localparam int unsigned PartWidth = LaneWidth + Levels;

  // -- chains

  wire parts_valid, parts_first, parts_last;
  wire [Lanes*PartWidth-1:0] parts;
  if (Chains > 1) begin : gen_tree
    logic [TreeLatency-1:0] valid_q, first_q, last_q;
    always_ff @(posedge clk_i) begin
      valid_q <= rst_ni ? TreeLatency'({valid_q, valid_i}) : '0;
      first_q <= TreeLatency'({first_q, first_i});
      last_q <= TreeLatency'({last_q, last_i});
    end
    assign parts_valid = valid_q[TreeLatency-1];
    assign parts_first = first_q[TreeLatency-1];
    assign parts_last = last_q[TreeLatency-1];
    for (genvar l = 0; l < Lanes; l++) begin : gen_lane
      wire [Chains*LaneWidth-1:0] lanes;
      for (genvar c = 0; c < Chains; c++) begin : gen_chain
        assign lanes[c*LaneWidth+:LaneWidth] = lanes_i[(c*Lanes+l)*LaneWidth+:LaneWidth];
      end
      lane_tree #(
        .Inputs(Chains),
        .Width(LaneWidth),
        .Latency(TreeLatency)
      ) u_lane_tree (
        .clk_i(clk_i),
        .lanes_i(lanes),
        .sum_o(parts[l*PartWidth+:PartWidth])
      );
    end
  end else begin : gen_chain
    assign parts_valid = valid_i;
    assign parts_first = first_i;
    assign parts_last = last_i;
    assign parts = lanes_i;
  end

  // -- turns

  wire turn_valid, turn_first, turn_last;
  wire [Units*PartWidth-1:0] turn_parts;
  if (Turns > 1) begin : gen_turns
    logic first_q, last_q;
    always_ff @(posedge clk_i) begin
      if (parts_valid) begin
        first_q <= parts_first;
        last_q <= parts_last;
      end
    end
    assign turn_first = first_q;
    assign turn_last = last_q;
    lane_turns #(
      .Lanes(Lanes),
      .Turns(Turns),
      .Width(PartWidth)
    ) u_lane_turns (
      .clk_i(clk_i),
      .rst_ni(rst_ni),
      .valid_i(parts_valid),
      .data_i(parts),
      .valid_o(turn_valid),
      .data_o(turn_parts)
    );
  end else begin : gen_no_turns
    assign turn_valid = parts_valid;
    assign turn_first = parts_first;
    assign turn_last = parts_last;
    assign turn_parts = parts;
  end

  // -- sums

  wire [Units-1:0] overflows;
  if (Accumulates || HasBias) begin : gen_sums
    wire [Units*BiasWidth-1:0] biases;
    if (HasBias) begin : gen_bias
      localparam int unsigned Sets = Folds * Turns;
      localparam int unsigned SetWidth = (Sets > 1) ? $clog2(Sets) : 1;
      logic [SetWidth-1:0] next_q;  // the set after the one that is read
      wire [SetWidth-1:0] after = (next_q == SetWidth'(Sets - 1)) ? '0 : next_q + 1'b1;
      wire next = turn_valid && turn_first;
      always_ff @(posedge clk_i) begin
        if (!rst_ni) next_q <= SetWidth'(Sets > 1 ? 1 : 0);
        else if (next) next_q <= after;
      end
      rom #(
        .Width(Units * BiasWidth),
        .Depth(Sets),
        .File(BiasFile)
      ) u_biases (
        .clk_i(clk_i),
        .rst_ni(1'b1),  // it is read in reset
        .en_i(!rst_ni || next),
        .address_i(rst_ni ? next_q : '0),
        .data_o(biases)
      );
    end else begin : gen_no_bias
      assign biases = '0;
    end

    logic valid_q;
    always_ff @(posedge clk_i) valid_q <= rst_ni && turn_valid && turn_last;
    assign valid_o = valid_q;

    for (genvar u = 0; u < Units; u++) begin : gen_unit
      localparam logic [SumWidth-1:0] Half = {1'b1, {(SumWidth - 1) {1'b0}}};
      wire [PartWidth-1:0] part = turn_parts[u*PartWidth+:PartWidth];
      wire [SumWidth+PartWidth-1:0] value = {
        {(SumWidth + 1) {!part[PartWidth-1]}}, part[PartWidth-2:0]
      };
      wire [BiasWidth-1:0] bias = biases[u*BiasWidth+:BiasWidth];
      wire [SumWidth+BiasWidth-1:0] start = {{SumWidth{bias[BiasWidth-1]}}, bias};
      wire unused_bits = &{1'b0, value, start};
      // the sums so far of the lanes that take turns, that of the last turn first
      logic [SumWidth-1:0] sums_q[Turns];
      wire [SumWidth-1:0] so_far = turn_first ? start[SumWidth-1:0] ^ Half : sums_q[Turns-1];
      always_ff @(posedge clk_i) begin
        if (turn_valid) begin
          sums_q[0] <= so_far + value[SumWidth-1:0];
          for (int unsigned t = 1; t < Turns; t++) sums_q[t] <= sums_q[t-1];
        end
      end
      assign sums_o[u*SumWidth+:SumWidth] = sums_q[0];

      if (CheckOverflow) begin : gen_check
        localparam int unsigned Wide = 64;
        logic [Wide-1:0] exact_q[Turns];
        wire [Wide-1:0] exact = {{(Wide - PartWidth + 1) {!part[PartWidth-1]}}, part[PartWidth-2:0]} +
            (turn_first ? {{(Wide - BiasWidth) {bias[BiasWidth-1]}}, bias} : exact_q[Turns-1]);
        always_ff @(posedge clk_i) begin
          if (turn_valid) begin
            exact_q[0] <= exact;
            for (int unsigned t = 1; t < Turns; t++) exact_q[t] <= exact_q[t-1];
          end
        end
        assign overflows[u] = exact_q[0][Wide-1:SumWidth-1] != {(Wide-SumWidth+1){exact_q[0][SumWidth-1]}};
      end else begin : gen_no_check
        assign overflows[u] = 1'b0;
      end
    end
  end else begin : gen_parts
    assign valid_o = turn_valid && turn_last;
    for (genvar u = 0; u < Units; u++) begin : gen_unit
      wire [PartWidth-1:0] part = turn_parts[u*PartWidth+:PartWidth];
      wire [SumWidth+PartWidth-1:0] value = {{(SumWidth + 1) {!part[PartWidth-1]}}, part[PartWidth-2:0]};
      wire unused_value = &{1'b0, value};
      assign sums_o[u*SumWidth+:SumWidth] = {!value[SumWidth-1], value[SumWidth-2:0]};
      assign overflows[u] = CheckOverflow &&
          value[SumWidth+PartWidth-1:SumWidth-1] != {(PartWidth + 1) {value[SumWidth-1]}};
    end
    wire unused_first = &{1'b0, turn_first, rst_ni};
  end
  assign overflow_o = valid_o && (|overflows);

endmodule

`default_nettype wire
