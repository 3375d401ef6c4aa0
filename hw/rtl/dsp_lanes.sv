// The lanes of an MVAU in DSPs, with their weights: several rows share the words of a chain of DSPs (see dsp_chain), each
// in a lane of its own, or in one for each of several pixels. pipeline/dataflow/dsp_packing.py proves that lanes never mix.
//
// A word holds the rows from one that Heads marks up to the next one. What is stored of their weights is written into the
// word as fields with their signs repeated, which is wiring; so are the pixels of the other factor, but for the borrows of
// signed ones. Sums start at half of what a lane holds, so that at the end every lane holds its sum but for the highest bit,
// which is inverted: offset binary.
//
// A lane holds the sum of a row, or of a segment of it: of the columns of SegmentFolds steps, if these are not all, and, with
// several Chains, of the columns of a chain. Then adders outside the DSPs add the segments up (see segment_adder).
//
// With Taps the pixels of a word are neighbours in a row of an image, and the fields of a word are the weights of the columns
// of a kernel, the last one first. Then a word is a piece of a convolution along the row: Taps + Pixels - 1 lanes, each for
// the sum of a pixel, of which the lowest Pixels are complete and the others go on in the next word. So a sum does not start
// anew: it starts from the lanes of the one before, Pixels lanes lower, and only those above them start from a bias or 0.
//
// step_i says the weights of a step; its inputs come at inputs_i in the next cycle. The sum of the step is formed
// ceil(Simd / Chains) + 2 cycles later, or + 1 if every step is a sum of its own without a bias, and valid_i, first_i, last_i
// and starts_i belong to it then. The result of the rows is at sums_o in the cycle after their last_i, or, of segments, later.
// Nothing in here stops. Each column has a memory of its own, as columns of a chain take a step one after the other.
//
// Simd:          columns, products of a row and cycle; at most 9999.
// Pe:            rows; with Taps, Taps fields of each.
// Pixels:        pixels of a beat, whose elements follow those of the pixel before. Lane p + Pixels r is of row r and pixel p.
// Taps:          columns of the kernel in a word, at most Pixels + 1; 1 for words without. Else a word is a row, whose fields have
//                the same lanes, one after the other, WordPixels is Pixels, a sum is whole, and there is one set of rows.
// Held:          pixels of a result, the first ones, that the word before has completed, in its last lanes: less than Pixels.
// WordPixels:    pixels of a word, divides Pixels.
// Steps:         words of weights of a column.
// Folds:         sets of rows.
// InputWidth:    bits of an input.
// InputSigned:   inputs are two's complement.
// LaneWidths:    for each row, in 8 bits, the bits of its lanes.
// Offsets:       for each row, in 8 bits, where its first lane begins in its word.
// Strides:       for each row, in 8 bits, the bits from a pixel to the next one in its word.
// FieldWidths:   for each row, in 8 bits, the bits of its fields, two's complement.
// Heads:         rows that begin a word; the first one does.
// SumWidth:      bits of a sum at sums_o, at least those of every lane; of segments, what holds every sum of a row.
// OffsetBinary:  sums are in offset binary, of the bits of their lane or, of segments, of SumWidth; else two's complement.
// HasBias:       sums start from a bias, else from 0.
// BiasWidth:     bits of a start, of which the low StartWidth are what the lane is loaded with, unsigned, and the others
//                the bias, two's complement, which is there for CheckOverflow alone. Of segments, the bits of a bias.
// StartWidth:    at least the bits of every lane.
// Chains:        chains of a word, of neighbouring columns.
// SegmentFolds:  steps of a segment, 0 for all; 1 with several Chains.
// SegmentTurns:  turns in which segments are added up and sums leave, see segment_adder; 1 if there are none.
// RamStyle:      what holds the weights (see weight_memory).
// WeightFiles:   what the names of the memory files begin with. _<column>.mem, in four digits, ends that of a column's words:
//                a field for each row, the first in the least significant bits.
// BiasFile:      of segments, see segment_adder.
// CheckOverflow: overflow_o is high for a cycle for what a lane or a sum does not hold; 0 otherwise. A chain for each lane adds
//                up what is compared.
`default_nettype none

module dsp_lanes #(
  parameter int unsigned Simd = 1,
  parameter int unsigned Pe = 1,
  parameter int unsigned Pixels = 1,
  parameter int unsigned WordPixels = 1,
  parameter int unsigned Taps = 1,
  parameter int unsigned Held = 0,
  parameter int unsigned Steps = 1,
  parameter int unsigned Folds = 1,
  parameter int unsigned InputWidth = 4,
  parameter bit InputSigned = 1'b0,
  parameter logic [Pe*8-1:0] LaneWidths = {Pe{8'd11}},
  parameter logic [Pe*8-1:0] Offsets = '0,
  parameter logic [Pe*8-1:0] Strides = {Pe{8'd11}},
  parameter logic [Pe*8-1:0] FieldWidths = {Pe{8'd4}},
  parameter logic [Pe-1:0] Heads = '1,
  parameter int unsigned SumWidth = 11,
  parameter bit OffsetBinary = 1'b0,
  parameter bit HasBias = 1'b0,
  parameter int unsigned BiasWidth = 1,
  parameter int unsigned StartWidth = 1,
  parameter int unsigned Chains = 1,
  parameter int unsigned SegmentFolds = 0,
  parameter int unsigned SegmentTurns = 1,
  parameter RamStyle = "auto",
  parameter WeightFiles = "",
  parameter BiasFile = "",
  parameter bit CheckOverflow = 1'b0,
  localparam int unsigned StepWidth = (Steps > 1) ? $clog2(Steps) : 1,
  localparam int unsigned Rows = Pe / Taps,
  localparam int unsigned Lanes = Rows * Pixels,
  localparam int unsigned Units = Lanes / SegmentTurns
) (
  input  wire                               clk_i,
  input  wire                               rst_ni,

  // the weight stream: see weight_memory
  input  wire                               load_valid_i,
  input  wire  [31:0]                       load_data_i,
  output wire                               load_valid_o,
  output wire  [31:0]                       load_data_o,
  output wire                               weights_loaded_o,

  input  wire  [StepWidth-1:0]              step_i,
  input  wire  [Pixels*Simd*InputWidth-1:0] inputs_i,

  input  wire                               valid_i,
  input  wire                               first_i,
  input  wire                               last_i,
  input  wire                               emits_i,  // with last_i: its result is wanted
  input  wire  [Rows*BiasWidth-1:0]         starts_i,
  output wire                               valid_o,
  output wire  [Units*SumWidth-1:0]         sums_o,
  output wire                               overflow_o
);

  // the sum of the first `count` of `widths`
  function automatic int unsigned total(input logic [Pe*8-1:0] widths, input int unsigned count);
    int unsigned sum = 0;
    for (int unsigned r = 0; r < count; r++) sum = sum + 32'(widths[8*r+:8]);
    return sum;
  endfunction

  // rows of the word that begins with row `first`
  function automatic int unsigned rows_of(input int unsigned first);
    int unsigned count = 1;
    for (int unsigned r = 1; r < Pe; r++) if (r == first + count && !Heads[r]) count = count + 1;
    return count;
  endfunction

  function automatic int unsigned widest(input logic [Pe*8-1:0] widths);
    int unsigned found = 0;
    for (int unsigned r = 0; r < Pe; r++) if (32'(widths[8*r+:8]) > found) found = 32'(widths[8*r+:8]);
    return found;
  endfunction

  localparam int unsigned Length = (Simd + Chains - 1) / Chains;  // columns of a chain; the last one may have fewer
  localparam bit Segments = Chains > 1 || SegmentFolds != 0;
  // a DSP that accumulates, and starts from biases
  localparam bit Accumulates = Segments ? SegmentFolds > 1 : (Steps > Folds || HasBias || Taps > 1);
  localparam int unsigned LaneWidth = widest(LaneWidths);
  localparam int unsigned FieldsWidth = total(FieldWidths, Pe);
  localparam int unsigned FactorWidth = InputWidth + ((InputSigned && WordPixels == 1) ? 0 : 1);

  if (Pixels % WordPixels != 0 || Lanes % SegmentTurns != 0) begin : gen_check_lanes
    $error("%m: WordPixels must divide Pixels, and SegmentTurns the lanes");
  end
  if ((Chains - 1) * Length >= Simd || (Chains > 1 && SegmentFolds != 1)) begin : gen_check_chains
    $error("%m: Chains must have columns, and with several of them SegmentFolds must be 1");
  end

  if (Taps < 1 || Taps > Pixels + 1 || Pe % Taps != 0 || (Taps > 1 && (Segments || Folds != 1 || WordPixels != Pixels))) begin : gen_check_taps
    $error("%m: Taps must be in 1 to Pixels + 1 and divide Pe; with several there is one set of rows and no segment, and WordPixels is Pixels");
  end
  if (Held >= Pixels || (Held > 0 && Taps == 1)) begin : gen_check_held
    $error("%m: Held must be less than Pixels, and 0 without Taps");
  end

  // -- operands: those of a chain's column c > 1 are c - 1 cycles behind those of its first, see dsp_chain

  // cycles that the operands of column `column` are late; a chain with fewer columns is ready together with the others
  function automatic int unsigned delay_of(input int unsigned column);
    int unsigned place = column % Length;
    int unsigned first = column - place;
    int unsigned missing = (Simd - first < Length) ? Length - (Simd - first) : 0;
    return missing + ((place > 1) ? place - 1 : 0);
  endfunction

  wire [Simd*FieldsWidth-1:0] fields;
  wire [Pixels*Simd*FactorWidth-1:0] factors;
  wire [Simd:0] loads, loaded;
  wire [31:0] load_data[Simd+1];
  assign loads[0] = load_valid_i;
  assign load_data[0] = load_data_i;
  assign loaded[0] = 1'b1;
  assign load_valid_o = loads[Simd];
  assign load_data_o = load_data[Simd];
  assign weights_loaded_o = loaded[Simd];

  wire [StepWidth-1:0] steps[Length];  // of so many cycles ago
  for (genvar d = 0; d < Length; d++) begin : gen_step
    if (d == 0) begin : gen_now
      assign steps[d] = step_i;
    end else begin : gen_late
      logic [StepWidth-1:0] step_q;
      always_ff @(posedge clk_i) step_q <= steps[d-1];
      assign steps[d] = step_q;
    end
  end

  for (genvar c = 0; c < Simd; c++) begin : gen_column
    localparam int unsigned Delay = delay_of(c);
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
      .address_i(steps[Delay]),
      .data_o(fields[c*FieldsWidth+:FieldsWidth])
    );

    wire [Pixels*InputWidth-1:0] inputs, delayed;
    for (genvar p = 0; p < Pixels; p++) begin : gen_input
      assign inputs[p*InputWidth+:InputWidth] = inputs_i[(p*Simd+c)*InputWidth+:InputWidth];
    end
    if (Delay == 0) begin : gen_no_delay
      assign delayed = inputs;
    end else begin : gen_delay
      logic [Pixels*InputWidth-1:0] inputs_q[Delay];
      always_ff @(posedge clk_i) begin
        inputs_q[0] <= inputs;
        for (int unsigned d = 1; d < Delay; d++) inputs_q[d] <= inputs_q[d-1];
      end
      assign delayed = inputs_q[Delay-1];
    end
    for (genvar p = 0; p < Pixels; p++) begin : gen_factor
      wire [InputWidth-1:0] value = delayed[p*InputWidth+:InputWidth];
      wire [FactorWidth:0] extended = {{(FactorWidth-InputWidth+1){InputSigned && value[InputWidth-1]}}, value};
      wire unused_extended = &{1'b0, extended};
      wire [FactorWidth-1:0] factor;
      if (!InputSigned || p % WordPixels == 0) begin : gen_lowest
        assign factor = extended[FactorWidth-1:0];
      end else begin : gen_borrowed
        // an input less what the one below it has borrowed
        assign factor = extended[FactorWidth-1:0] - FactorWidth'(gen_factor[p-1].factor[FactorWidth-1]);
      end
      assign factors[(p*Simd+c)*FactorWidth+:FactorWidth] = factor;
    end
  end

  // -- words

  logic [1:0] segment_q;  // there is one at the lanes, the first of its rows
  logic segment_last_q;
  wire segment_begins, segment_ends, segment_first;

  wire [Chains*Lanes*LaneWidth-1:0] lanes;  // in offset binary
  wire [Pe-1:0] overflows;
  for (genvar w = 0; w < Pe; w++) begin : gen_word
    if (Heads[w]) begin : gen_head
      localparam int unsigned WordRows = rows_of(w);
      localparam int unsigned Top = 32'(Offsets[8*(w+WordRows-1)+:8]);
      localparam int unsigned Stride = 32'(Strides[8*w+:8]);
      localparam int unsigned AWidth = Top + 32'(FieldWidths[8*(w+WordRows-1)+:8]);
      localparam int unsigned BWidth = (WordPixels - 1) * Stride + FactorWidth;
      localparam int unsigned WordWidth = Top + (WordPixels - 1) * Stride + 32'(LaneWidths[8*(w+WordRows-1)+:8]);
      if (WordWidth > 48) begin : gen_check
        $error("%m: the lanes of a word must be at most 48 bits together");
      end

      wire [Simd*AWidth-1:0] words;
      wire [47:0] start;
      for (genvar r = w; r < w + WordRows; r++) begin : gen_row
        localparam int unsigned Offset = 32'(Offsets[8*r+:8]);
        localparam int unsigned LaneBits = 32'(LaneWidths[8*r+:8]);
        localparam int unsigned FieldWidth = 32'(FieldWidths[8*r+:8]);
        localparam int unsigned Place = total(FieldWidths, r);
        localparam int unsigned Next = (r == w + WordRows - 1) ? Offset + FieldWidth : 32'(Offsets[8*((r==Pe-1)?r:r+1)+:8]);
        localparam int unsigned Extent = Next - Offset;
        if (FieldWidth > Extent) begin : gen_check
          $error("%m: FieldWidths must reach at most to the next row but in the last one of a word");
        end
        for (genvar c = 0; c < Simd; c++) begin : gen_field
          wire [FieldWidth-1:0] field = fields[c*FieldsWidth+Place+:FieldWidth];
          assign words[c*AWidth+Offset+:Extent] = {{(Extent-FieldWidth){field[FieldWidth-1]}}, field};
        end
        for (genvar p = 0; p < ((Taps > 1) ? 0 : WordPixels); p++) begin : gen_pixel
          localparam int unsigned First = Offset + p * Stride;
          localparam int unsigned Beyond = (p < WordPixels - 1) ? First + Stride :
              (r == w + WordRows - 1) ? 48 : 32'(Offsets[8*((r==Pe-1)?r:r+1)+:8]);
          if (HasBias && !Segments) begin : gen_bias
            assign start[First+:LaneBits] = starts_i[r*BiasWidth+:LaneBits];
          end else begin : gen_no_bias
            assign start[First+:LaneBits] = {1'b1, {(LaneBits - 1) {1'b0}}};
          end
          if (First + LaneBits < Beyond) begin : gen_rest
            assign start[Beyond-1:First+LaneBits] = '0;
          end
        end
      end

      for (genvar s = 0; s < Pixels / WordPixels; s++) begin : gen_set
        wire [Simd*BWidth-1:0] pixels;
        for (genvar c = 0; c < Simd; c++) begin : gen_column
          for (genvar p = 0; p < WordPixels; p++) begin : gen_pixel
            localparam int unsigned Extent = (p == WordPixels - 1) ? FactorWidth : Stride;
            wire [FactorWidth-1:0] factor = factors[((s*WordPixels+p)*Simd+c)*FactorWidth+:FactorWidth];
            if (Extent < FactorWidth) begin : gen_check
              $error("%m: Strides must hold an input");
            end
            assign pixels[c*BWidth+p*Stride+:Extent] = {{(Extent-FactorWidth){factor[FactorWidth-1]}}, factor};
          end
        end
        for (genvar g = 0; g < Chains; g++) begin : gen_chain
          localparam int unsigned Columns = (Simd - g * Length < Length) ? Simd - g * Length : Length;
          wire [47:0] sum;
          dsp_chain #(
            .Columns(Columns),
            .AWidth(AWidth),
            .BWidth(BWidth),
            .Accumulates(Accumulates)
          ) u_chain (
            .clk_i(clk_i),
            .a_i(words[g*Length*AWidth+:Columns*AWidth]),
            .b_i(pixels[g*Length*BWidth+:Columns*BWidth]),
            .valid_i(valid_i),
            .first_i(segment_begins),
            .start_i(start),
            .sum_o(sum)
          );
          wire unused_sum = &{1'b0, sum};
          if (Taps > 1) begin : gen_taps
            // the lanes that go on, those that begin, and what is above them
            localparam int unsigned Begun = (Taps - 1) * Stride, Used = (Taps + Pixels - 1) * Stride;
            if (Stride != LaneWidth || Top != Begun) begin : gen_check_offsets
              $error("%m: with Taps, Offsets and Strides must be those of lanes of the same width side by side");
            end
            assign start[Begun-1:0] = sum[Used-1:Used-Begun];
            for (genvar l = Taps - 1; l < Taps + Pixels - 1; l++) begin : gen_start
              if (HasBias) begin : gen_bias
                assign start[l*Stride+:Stride] = starts_i[w/Taps*BiasWidth+:Stride];
              end else begin : gen_no_bias
                assign start[l*Stride+:Stride] = {1'b1, {(Stride - 1) {1'b0}}};
              end
            end
            if (Used < 48) begin : gen_rest
              assign start[47:Used] = '0;
            end
            for (genvar p = Held; p < Pixels; p++) begin : gen_pixel
              assign lanes[(w/Taps*Pixels+p)*LaneWidth+:LaneWidth] = sum[(p-Held)*Stride+:LaneWidth];
            end
            if (Held > 0) begin : gen_held
              logic [Held*LaneWidth-1:0] held_q;
              always_ff @(posedge clk_i) if (segment_q[0]) held_q <= sum[Pixels*Stride-1:(Pixels-Held)*Stride];
              assign lanes[w/Taps*Pixels*LaneWidth+:Held*LaneWidth] = held_q;
            end
          end else begin : gen_rows
            for (genvar r = w; r < w + WordRows; r++) begin : gen_row
              localparam int unsigned LaneBits = 32'(LaneWidths[8*r+:8]);
              for (genvar p = 0; p < WordPixels; p++) begin : gen_pixel
                assign lanes[((g*Pe+r)*Pixels+s*WordPixels+p)*LaneWidth+:LaneWidth] =
                    {{(LaneWidth-LaneBits){1'b0}}, sum[32'(Offsets[8*r+:8])+p*Stride+:LaneBits]};
              end
            end
          end
        end
      end
    end
  end

  // -- segments

  always_ff @(posedge clk_i) begin
    segment_q[0] <= rst_ni && valid_i && segment_ends;
    if (valid_i) begin
      segment_q[1] <= segment_first;
      segment_last_q <= last_i;
    end
  end
  logic emits_q;
  always_ff @(posedge clk_i) emits_q <= emits_i;
  wire done = segment_q[0] && (Taps == 1 || emits_q);
  if (Segments && SegmentFolds > 1) begin : gen_segments
    localparam int unsigned CountWidth = $clog2(SegmentFolds);
    logic [CountWidth-1:0] count_q;  // steps of the segment so far
    logic begins_q, first_q;
    wire ends = count_q == CountWidth'(SegmentFolds - 1);
    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        count_q <= '0;
        begins_q <= 1'b1;
        first_q <= 1'b1;
      end else if (valid_i) begin
        count_q <= ends ? '0 : count_q + 1'b1;
        begins_q <= ends;
        if (ends) first_q <= last_i;
      end
    end
    assign segment_begins = begins_q;
    assign segment_ends = ends;
    assign segment_first = first_q;
    wire unused_first = &{1'b0, first_i};
  end else begin : gen_rows
    assign segment_begins = first_i;
    assign segment_ends = Segments || last_i;
    assign segment_first = first_i;
  end

  wire sums_valid, sums_overflow;
  if (Segments) begin : gen_sums
    wire [Units*SumWidth-1:0] sums;
    segment_adder #(
      .Lanes(Lanes),
      .Chains(Chains),
      .Turns(SegmentTurns),
      .LaneWidth(LaneWidth),
      .SumWidth(SumWidth),
      .Accumulates(SegmentFolds * Folds < Steps),
      .HasBias(HasBias),
      .BiasWidth(BiasWidth),
      .Folds(Folds),
      .BiasFile(BiasFile),
      .CheckOverflow(CheckOverflow)
    ) u_segments (
      .clk_i(clk_i),
      .rst_ni(rst_ni),
      .valid_i(done),
      .first_i(segment_q[1]),
      .last_i(segment_last_q),
      .lanes_i(lanes),
      .valid_o(sums_valid),
      .sums_o(sums),
      .overflow_o(sums_overflow)
    );
    for (genvar u = 0; u < Units; u++) begin : gen_lane
      wire [SumWidth-1:0] acc = sums[u*SumWidth+:SumWidth] ^ {1'b1, {(SumWidth - 1) {1'b0}}};
      assign sums_o[u*SumWidth+:SumWidth] = OffsetBinary ? sums[u*SumWidth+:SumWidth] : acc;
`ifdef A2Q_STATS
      range_monitor #(
        .Width(SumWidth)
      ) u_range_monitor (
        .clk_i(clk_i),
        .rst_ni(rst_ni),
        .valid_i(sums_valid),
        .value_i(acc)
      );
`endif
    end
  end else begin : gen_sum
    assign sums_valid = done;
    assign sums_overflow = 1'b0;
    for (genvar l = 0; l < Lanes; l++) begin : gen_lane
      localparam int unsigned LaneBits = 32'(LaneWidths[8*(l/Pixels*Taps)+:8]);
      wire [LaneBits-1:0] lane = lanes[l*LaneWidth+:LaneBits];
      wire [LaneBits-1:0] acc = lane ^ {1'b1, {(LaneBits - 1) {1'b0}}};
      if (OffsetBinary) begin : gen_offset
        assign sums_o[l*SumWidth+:SumWidth] = {{(SumWidth-LaneBits){1'b0}}, lane};
        wire unused_acc = &{1'b0, acc};
      end else begin : gen_two_s_complement
        assign sums_o[l*SumWidth+:SumWidth] = {{(SumWidth-LaneBits){acc[LaneBits-1]}}, acc};
      end
`ifdef A2Q_STATS
      range_monitor #(
        .Width(LaneBits)
      ) u_range_monitor (
        .clk_i(clk_i),
        .rst_ni(rst_ni),
        .valid_i(done),
        .value_i(acc)
      );
`endif
    end
    wire unused_segment = &{1'b0, segment_q[1], segment_last_q, lanes};
  end
  assign valid_o = sums_valid;

  // -- the same lanes, each in a chain of its own

  if (CheckOverflow) begin : gen_check
    wire [Pe*Pixels*48-1:0] exacts;  // of each field and pixel, in a single chain
    for (genvar r = 0; r < Pe; r++) begin : gen_row
      localparam int unsigned LaneBits = 32'(LaneWidths[8*r+:8]);
      localparam int unsigned FieldWidth = 32'(FieldWidths[8*r+:8]);
      localparam int unsigned Place = total(FieldWidths, r);
      wire [Simd*(FieldWidth+1)-1:0] weights;
      for (genvar c = 0; c < Simd; c++) begin : gen_weight
        // a weight is its field and what the field below has borrowed
        wire [FieldWidth-1:0] field = fields[c*FieldsWidth+Place+:FieldWidth];
        wire borrowed = (Heads[r] || Place == 0) ? 1'b0 : fields[c*FieldsWidth+((Place==0)?0:Place-1)];
        assign weights[c*(FieldWidth+1)+:FieldWidth+1] = {field[FieldWidth-1], field} + (FieldWidth + 1)'(borrowed);
      end
      wire [47:0] start;
      if (HasBias && !Segments && Taps == 1) begin : gen_bias
        localparam int unsigned OwnWidth = BiasWidth - StartWidth;
        wire [OwnWidth-1:0] bias = starts_i[r*BiasWidth+StartWidth+:OwnWidth];
        assign start = {{(48-OwnWidth){bias[OwnWidth-1]}}, bias};
      end else begin : gen_no_bias
        assign start = '0;
      end
      wire [Pixels*Chains-1:0] left;
      for (genvar p = 0; p < Pixels; p++) begin : gen_pixel
        wire [Simd*(FactorWidth+1)-1:0] values;
        for (genvar c = 0; c < Simd; c++) begin : gen_value
          wire [FactorWidth-1:0] factor = factors[(p*Simd+c)*FactorWidth+:FactorWidth];
          wire borrowed = (!InputSigned || p % WordPixels == 0) ? 1'b0 :
              factors[(((p==0)?0:p-1)*Simd+c)*FactorWidth+FactorWidth-1];
          assign values[c*(FactorWidth+1)+:FactorWidth+1] =
              {factor[FactorWidth-1], factor} + (FactorWidth + 1)'(borrowed);
        end
        for (genvar g = 0; g < Chains; g++) begin : gen_chain
          localparam int unsigned Columns = (Simd - g * Length < Length) ? Simd - g * Length : Length;
          wire [47:0] exact;
          dsp_chain #(
            .Columns(Columns),
            .AWidth(FieldWidth + 1),
            .BWidth(FactorWidth + 1),
            .Accumulates(Accumulates)
          ) u_chain (
            .clk_i(clk_i),
            .a_i(weights[g*Length*(FieldWidth+1)+:Columns*(FieldWidth+1)]),
            .b_i(values[g*Length*(FactorWidth+1)+:Columns*(FactorWidth+1)]),
            .valid_i(valid_i),
            .first_i(segment_begins),
            .start_i(start),
            .sum_o(exact)
          );
          if (g == 0) begin : gen_exact
            assign exacts[(r*Pixels+p)*48+:48] = exact;
          end
          assign left[p*Chains+g] = exact[47:LaneBits-1] != {(48-LaneBits+1){exact[LaneBits-1]}};
        end
      end
      assign overflows[r] = Taps == 1 && (|left);
    end
    if (Taps > 1) begin : gen_taps
      // the lanes of each row, each with as many bits as there are
      localparam int unsigned WordLanes = Taps + Pixels - 1;
      wire [Rows*WordLanes-1:0] outside;
      for (genvar r = 0; r < Rows; r++) begin : gen_row
        wire [47:0] start;
        if (HasBias) begin : gen_bias
          localparam int unsigned OwnWidth = BiasWidth - StartWidth;
          wire [OwnWidth-1:0] bias = starts_i[r*BiasWidth+StartWidth+:OwnWidth];
          assign start = {{(48-OwnWidth){bias[OwnWidth-1]}}, bias};
        end else begin : gen_no_bias
          assign start = '0;
        end
        logic [WordLanes*48-1:0] totals_q;
        for (genvar l = 0; l < WordLanes; l++) begin : gen_lane
          logic [47:0] added;
          always_comb begin
            added = '0;
            for (int unsigned k = 0; k < Taps; k++) begin
              for (int unsigned p = 0; p < Pixels; p++) begin
                if (k + p == l) added = added + exacts[((r*Taps+k)*Pixels+p)*48+:48];
              end
            end
          end
          wire [47:0] so_far;
          if (l < Taps - 1) begin : gen_goes_on
            assign so_far = totals_q[(l+Pixels)*48+:48];
          end else begin : gen_begins
            assign so_far = start;
          end
          wire [47:0] whole = so_far + added;
          always_ff @(posedge clk_i) begin
            if (!rst_ni) totals_q[l*48+:48] <= '0;
            else if (segment_q[0]) totals_q[l*48+:48] <= whole;
          end
          assign outside[r*WordLanes+l] = whole[47:LaneWidth-1] != {(48-LaneWidth+1){whole[LaneWidth-1]}};
        end
      end
      assign overflow_o = segment_q[0] && (|outside);
    end else begin : gen_no_taps
      assign overflow_o = (done && (|overflows)) || sums_overflow;
    end
    wire unused_exacts = &{1'b0, exacts};
  end else begin : gen_no_check
    assign overflows = '0;
    assign overflow_o = 1'b0;
  end
  wire unused_control = &{1'b0, overflows, starts_i, emits_q, sums_overflow};

endmodule

`default_nettype wire
