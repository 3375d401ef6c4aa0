// The lanes of an MVAU in DSPs, with their weights: several rows share the words of a chain of DSPs (see dsp_chain), each
// in a lane of its own, as wide as its final sum needs. pipeline/dataflow/dsp_packing.py proves that lanes never mix.
//
// A word holds the lanes from one that Heads marks up to the next one, the first in the least significant bits. Lanes are
// written into the words as fields with their signs repeated, which is wiring. Sums start at half of what a lane holds, so
// that at the end every lane holds its sum but for the highest bit, which is inverted.
//
// step_i says the weights of a step; its inputs come at inputs_i in the next cycle. The sum of the step is formed Simd + 2
// cycles later, where valid_i, first_i, last_i and starts_i belong to it. The result of a row is at accs_o in the cycle after
// its last_i. Nothing in here stops. Each column has a memory of its own, as columns take a step one after the other.
//
// Simd:          columns, products of a lane and cycle; at most 9999.
// Pe:            lanes.
// Steps:         words of weights of a column.
// InputWidth:    bits of an input.
// InputSigned:   inputs are two's complement.
// AccWidths:     for each lane, in 8 bits, its bits.
// FieldWidths:   for each lane, in 8 bits, the bits of its fields, two's complement.
// Heads:         lanes that begin a word; the first one does.
// LaneWidth:     bits of a lane at accs_o, at least those of every lane.
// OffsetBinary:  lanes are at accs_o as they are in the words: 2^(bits - 1) more than the sum; else the sums, two's complement.
// HasBias:       sums start from a bias, else from 0.
// BiasWidth:     bits of a start, of which the low StartWidth are what the lane is loaded with, unsigned, and the others
//                the bias, two's complement, which is there for CheckOverflow alone.
// StartWidth:    at least the bits of every lane.
// RamStyle:      what holds the weights (see weight_memory).
// WeightFiles:   what the names of the memory files begin with. _<column>.mem, in four digits, ends that of a column's words:
//                a field for each lane, the first in the least significant bits.
// CheckOverflow: overflow_o is high for the cycle in which a result that its lane does not hold is at accs_o; 0 otherwise.
//                A chain for each lane adds up what is compared.
`default_nettype none

module dsp_lanes #(
  parameter int unsigned Simd = 1,
  parameter int unsigned Pe = 1,
  parameter int unsigned Steps = 1,
  parameter int unsigned InputWidth = 4,
  parameter bit InputSigned = 1'b0,
  parameter logic [Pe*8-1:0] AccWidths = {Pe{8'd11}},
  parameter logic [Pe*8-1:0] FieldWidths = {Pe{8'd4}},
  parameter logic [Pe-1:0] Heads = '1,
  parameter int unsigned LaneWidth = 11,
  parameter bit OffsetBinary = 1'b0,
  parameter bit HasBias = 1'b0,
  parameter int unsigned BiasWidth = 1,
  parameter int unsigned StartWidth = 1,
  parameter RamStyle = "auto",
  parameter WeightFiles = "",
  parameter bit CheckOverflow = 1'b0,
  localparam int unsigned StepWidth = (Steps > 1) ? $clog2(Steps) : 1
) (
  input  wire                        clk_i,
  input  wire                        rst_ni,

  // the weight stream: see weight_memory
  input  wire                        load_valid_i,
  input  wire  [31:0]                load_data_i,
  output wire                        load_valid_o,
  output wire  [31:0]                load_data_o,
  output wire                        weights_loaded_o,

  input  wire  [StepWidth-1:0]       step_i,
  input  wire  [Simd*InputWidth-1:0] inputs_i,

  input  wire                        valid_i,
  input  wire                        first_i,
  input  wire                        last_i,
  input  wire  [Pe*BiasWidth-1:0]    starts_i,
  output wire  [Pe*LaneWidth-1:0]    accs_o,
  output wire                        overflow_o
);

  // the sum of `count` of `widths` from that of lane `first` on
  function automatic int unsigned total(
    input logic [Pe*8-1:0] widths, input int unsigned first, input int unsigned count
  );
    int unsigned sum = 0;
    for (int unsigned l = 0; l < Pe; l++) if (l >= first && l < first + count) sum = sum + 32'(widths[8*l+:8]);
    return sum;
  endfunction

  // lanes of the word that begins with lane `first`
  function automatic int unsigned lanes_of(input int unsigned first);
    int unsigned count = 1;
    for (int unsigned l = 1; l < Pe; l++) if (l == first + count && !Heads[l]) count = count + 1;
    return count;
  endfunction

  localparam int unsigned FieldsWidth = total(FieldWidths, 0, Pe);
  localparam int unsigned BWidth = InputWidth + (InputSigned ? 0 : 1);

  // -- operands: those of column c > 1 are c - 1 cycles behind those of the first, see dsp_chain

  wire [Simd*FieldsWidth-1:0] fields;
  wire [Simd*BWidth-1:0] factors;
  wire [Simd:0] loads, loaded;
  wire [31:0] load_data[Simd+1];
  assign loads[0] = load_valid_i;
  assign load_data[0] = load_data_i;
  assign loaded[0] = 1'b1;
  assign load_valid_o = loads[Simd];
  assign load_data_o = load_data[Simd];
  assign weights_loaded_o = loaded[Simd];

  wire [StepWidth-1:0] steps[Simd];
  for (genvar c = 0; c < Simd; c++) begin : gen_column
    if (c < 2) begin : gen_first
      assign steps[c] = step_i;
    end else begin : gen_next
      logic [StepWidth-1:0] step_q;
      always_ff @(posedge clk_i) step_q <= steps[c-1];
      assign steps[c] = step_q;
    end

    localparam logic [31:0] Digits = {
      8'(48 + c / 1000 % 10), 8'(48 + c / 100 % 10), 8'(48 + c / 10 % 10), 8'(48 + c % 10)
    };
    weight_memory #(
      .Width(FieldsWidth),
      .Depth(Steps),
      .RamStyle(RamStyle),
      .File({WeightFiles, "_", Digits, ".mem"})
    ) u_weights (
      .clk_i(clk_i),
      .rst_ni(rst_ni),
      .load_valid_i(loads[c]),
      .load_data_i(load_data[c]),
      .load_valid_o(loads[c+1]),
      .load_data_o(load_data[c+1]),
      .loaded_o(loaded[c+1]),
      .en_i(1'b1),
      .address_i(steps[c]),
      .data_o(fields[c*FieldsWidth+:FieldsWidth])
    );

    wire [InputWidth-1:0] delayed;
    if (c < 2) begin : gen_no_delay
      assign delayed = inputs_i[c*InputWidth+:InputWidth];
    end else begin : gen_delay
      logic [InputWidth-1:0] inputs_q[c-1];
      always_ff @(posedge clk_i) begin
        inputs_q[0] <= inputs_i[c*InputWidth+:InputWidth];
        for (int unsigned d = 1; d < c - 1; d++) inputs_q[d] <= inputs_q[d-1];
      end
      assign delayed = inputs_q[c-2];
    end
    if (InputSigned) begin : gen_signed
      assign factors[c*BWidth+:BWidth] = delayed;
    end else begin : gen_unsigned
      assign factors[c*BWidth+:BWidth] = {1'b0, delayed};
    end
  end

  // -- words

  logic done_q;
  always_ff @(posedge clk_i) done_q <= rst_ni && valid_i && last_i;

  wire [Pe-1:0] overflows;
  for (genvar w = 0; w < Pe; w++) begin : gen_word
    if (Heads[w]) begin : gen_head
      localparam int unsigned Lanes = lanes_of(w);
      localparam int unsigned AWidth = total(AccWidths, w, Lanes - 1) + total(FieldWidths, w + Lanes - 1, 1);
      localparam int unsigned SumWidth = total(AccWidths, w, Lanes);
      if (SumWidth > 48) begin : gen_check
        $error("%m: the lanes of a word must be at most 48 bits together");
      end

      wire [Simd*AWidth-1:0] words;
      wire [47:0] start;
      wire [47:0] sum;
      for (genvar l = w; l < w + Lanes; l++) begin : gen_lane
        localparam int unsigned Offset = total(AccWidths, w, l - w);
        localparam int unsigned AccWidth = total(AccWidths, l, 1);
        localparam logic [AccWidth-1:0] Half = {1'b1, {(AccWidth - 1) {1'b0}}};
        localparam int unsigned FieldWidth = total(FieldWidths, l, 1);
        localparam int unsigned Place = total(FieldWidths, 0, l);
        localparam int unsigned Extent = (l == w + Lanes - 1) ? FieldWidth : AccWidth;
        if (FieldWidth > Extent) begin : gen_check
          $error("%m: FieldWidths must be at most AccWidths but in the last lane of a word");
        end
        for (genvar c = 0; c < Simd; c++) begin : gen_field
          wire [FieldWidth-1:0] field = fields[c*FieldsWidth+Place+:FieldWidth];
          assign words[c*AWidth+Offset+:Extent] = {{(Extent-FieldWidth){field[FieldWidth-1]}}, field};
        end
        if (HasBias) begin : gen_bias
          assign start[Offset+:AccWidth] = starts_i[l*BiasWidth+:AccWidth];
        end else begin : gen_no_bias
          assign start[Offset+:AccWidth] = Half;
        end
        wire [AccWidth-1:0] lane = sum[Offset+:AccWidth];
        wire [AccWidth-1:0] acc = lane ^ Half;
        if (OffsetBinary) begin : gen_offset
          assign accs_o[l*LaneWidth+:LaneWidth] = {{(LaneWidth-AccWidth){1'b0}}, lane};
          wire unused_acc = &{1'b0, acc};
        end else begin : gen_sum
          assign accs_o[l*LaneWidth+:LaneWidth] = {{(LaneWidth-AccWidth){acc[AccWidth-1]}}, acc};
        end
`ifdef A2Q_STATS
        range_monitor #(
          .Width(AccWidth)
        ) u_range_monitor (
          .clk_i(clk_i),
          .rst_ni(rst_ni),
          .valid_i(done_q),
          .value_i(acc)
        );
`endif
      end
      if (SumWidth < 48) begin : gen_rest
        assign start[47:SumWidth] = '0;
        wire unused_rest = &{1'b0, sum[47:SumWidth]};
      end

      dsp_chain #(
        .Columns(Simd),
        .AWidth(AWidth),
        .BWidth(BWidth)
      ) u_chain (
        .clk_i(clk_i),
        .a_i(words),
        .b_i(factors),
        .valid_i(valid_i),
        .first_i(first_i),
        .start_i(start),
        .sum_o(sum)
      );
    end
  end

  // -- the same sums, each in a chain of its own

  if (CheckOverflow) begin : gen_check
    for (genvar l = 0; l < Pe; l++) begin : gen_lane
      localparam int unsigned AccWidth = total(AccWidths, l, 1);
      localparam int unsigned FieldWidth = total(FieldWidths, l, 1);
      localparam int unsigned Place = total(FieldWidths, 0, l);
      wire [Simd*(FieldWidth+1)-1:0] weights;
      for (genvar c = 0; c < Simd; c++) begin : gen_weight
        // a weight is its field and what the field below has borrowed
        wire [FieldWidth-1:0] field = fields[c*FieldsWidth+Place+:FieldWidth];
        wire borrowed = (Heads[l] || Place == 0) ? 1'b0 : fields[c*FieldsWidth+((Place==0)?0:Place-1)];
        assign weights[c*(FieldWidth+1)+:FieldWidth+1] = {field[FieldWidth-1], field} + (FieldWidth + 1)'(borrowed);
      end
      wire [47:0] start, exact;
      if (HasBias) begin : gen_bias
        wire [BiasWidth-StartWidth-1:0] bias = starts_i[l*BiasWidth+StartWidth+:BiasWidth-StartWidth];
        assign start = {{(48-(BiasWidth-StartWidth)){bias[BiasWidth-StartWidth-1]}}, bias};
      end else begin : gen_no_bias
        assign start = '0;
      end
      dsp_chain #(
        .Columns(Simd),
        .AWidth(FieldWidth + 1),
        .BWidth(BWidth)
      ) u_chain (
        .clk_i(clk_i),
        .a_i(weights),
        .b_i(factors),
        .valid_i(valid_i),
        .first_i(first_i),
        .start_i(start),
        .sum_o(exact)
      );
      assign overflows[l] = exact[47:AccWidth-1] != {(48-AccWidth+1){exact[AccWidth-1]}};
    end
    assign overflow_o = done_q && (|overflows);
  end else begin : gen_no_check
    assign overflows = '0;
    assign overflow_o = 1'b0;
  end
  wire unused_control = &{1'b0, done_q, overflows, starts_i};

endmodule

`default_nettype wire
