// For each lane the number of thresholds that a value reaches (value >= threshold), by binary search, one step a cycle.
//
// Beats go through Folds sets of thresholds in turn, from set 0 after reset. Latency is ceil(log2(NumThresholds + 1))
// enabled cycles.
//
// Step s of a lane chooses among Folds << s thresholds. Up to DirectDepth of them are constants among which look-up tables
// choose in the cycle of the comparison. More, and those of the first step of more than FewFolds sets, are a memory of
// their own, which is read into a register a cycle before, while the step before still compares: a word holds what is to be
// compared with after either outcome. Such a memory is block RAM if it has BlockDepth words or more, else look-up tables, in
// banks of as many words as one of them holds.
// SearchTable in pipeline/kernels/threshold_search.py writes the files, with the same depths and banks.
//
// Lanes:           values a beat.
// Folds:           sets of thresholds, at least 1.
// LaneWidth:       bits between values in values_i.
// ValueWidths:     for each lane, in 8 bits, the bits of its values, at most LaneWidth.
// CompareWidths:   for each lane, in 8 bits, the bits of the comparison and of a threshold, at least those of the value.
// Signed:          values and thresholds are two's complement.
// NumThresholds:   thresholds of a set, at least 1.
// ThresholdFiles:  what the names of the memory files begin with. _<lane>.mem ends that of a lane's constants, a single
//                  word, and _<lane>_<step>_<bank>.mem that of a bank of a memory; block RAM is bank 0. Hexadecimal.
`default_nettype none

module threshold_search #(
  parameter int unsigned Lanes = 1,
  parameter int unsigned Folds = 1,
  parameter int unsigned LaneWidth = 8,
  parameter logic [Lanes*8-1:0] ValueWidths = {Lanes{8'd8}},
  parameter logic [Lanes*8-1:0] CompareWidths = {Lanes{8'd8}},
  parameter bit Signed = 1'b1,
  parameter int unsigned NumThresholds = 1,
  parameter ThresholdFiles = "",
  localparam int unsigned Stages = $clog2(NumThresholds + 1)
) (
  input  wire                        clk_i,
  input  wire                        rst_ni,
  input  wire                        en_i,

  input  wire                        valid_i,
  input  wire  [Lanes*LaneWidth-1:0] values_i,

  output wire                        valid_o,
  output wire  [Lanes*Stages-1:0]    counts_o
);

  if (Lanes < 1 || Folds < 1 || NumThresholds < 1) begin : gen_check
    $error("%m: Lanes, Folds and NumThresholds must be at least 1");
  end

  localparam int unsigned FewDepth = 8;  // up to it, comparing without a chain took fewer LUTs
  localparam int unsigned FewFolds = 4;  // choosing among more and comparing in one cycle took too long for 300 MHz
  localparam int unsigned LookupBits = 6;  // inputs of a look-up table
  localparam int unsigned DirectDepth = 1 << LookupBits;
  localparam int unsigned BlockDepth = 512;  // of a block of 18 Kb where it is widest
  localparam int unsigned DirectLimit = $clog2(DirectDepth / ((Folds > 0) ? Folds : 1) + 1);
  localparam int unsigned DirectSteps = (DirectLimit < Stages) ? DirectLimit : Stages;
  localparam int unsigned DirectFirst = (Folds > FewFolds) ? 1 : 0;  // steps from here up to DirectSteps
  localparam int unsigned FoldWidth = (Folds > 1) ? $clog2(Folds) : 1;

  // the fold of the beat in each step
  wire [FoldWidth-1:0] folds[Stages];
  wire [FoldWidth-1:0] next_fold;
  if (Folds > 1) begin : gen_folds
    logic [FoldWidth-1:0] fold_q, next_fold_q;  // the next one is counted: few loads, where the other has many
    wire [FoldWidth-1:0] above;  // next_fold_q + 1, without a carry chain: a look-up table holds a bit of most
    for (genvar b = 0; b < FoldWidth; b++) begin : gen_bit
      if (b == 0) begin : gen_lowest
        assign above[b] = !next_fold_q[b];
      end else begin : gen_other
        assign above[b] = next_fold_q[b] ^ &next_fold_q[b-1:0];
      end
    end
    assign next_fold = next_fold_q;
    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        fold_q <= '0;
        next_fold_q <= FoldWidth'(1);
      end else if (en_i && valid_i) begin
        fold_q <= next_fold_q;
        next_fold_q <= (next_fold_q == FoldWidth'(Folds - 1)) ? '0 : above;
      end
    end
    assign folds[0] = fold_q;
    for (genvar s = 1; s < Stages; s++) begin : gen_step
      logic [FoldWidth-1:0] step_q;
      always_ff @(posedge clk_i) if (en_i) step_q <= folds[s-1];
      assign folds[s] = step_q;
    end
  end else begin : gen_single
    assign next_fold = '0;
    for (genvar s = 0; s < Stages; s++) begin : gen_step
      assign folds[s] = '0;
    end
  end

  wire unused_next = &{1'b0, next_fold};

  logic [Stages-1:0] valid_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else if (en_i) valid_q <= Stages'({valid_q, valid_i});
  end
  assign valid_o = valid_q[Stages-1];

  for (genvar l = 0; l < Lanes; l++) begin : gen_lane
    localparam int unsigned ValueWidth = 32'(ValueWidths[8*l+:8]);
    localparam int unsigned CompareWidth = 32'(CompareWidths[8*l+:8]);

    if (ValueWidth < 1 || ValueWidth > LaneWidth) begin : gen_check_value
      $error("%m: ValueWidths must be in 1 to LaneWidth");
    end
    if (CompareWidth < ValueWidth) begin : gen_check_compare
      $error("%m: CompareWidths must be at least those of the values");
    end

    if (LaneWidth > ValueWidth) begin : gen_unused
      wire unused_value = &{1'b0, values_i[l*LaneWidth+ValueWidth+:LaneWidth-ValueWidth]};
    end

    // two's complement is compared like unsigned numbers once the signs are inverted
    localparam logic [CompareWidth-1:0] Signs = {Signed, {(CompareWidth - 1) {1'b0}}};
    wire [CompareWidth-1:0] input_value;
    assign input_value[ValueWidth-1:0] = values_i[l*LaneWidth+:ValueWidth];
    if (CompareWidth > ValueWidth) begin : gen_extension
      assign input_value[CompareWidth-1:ValueWidth] = {(CompareWidth - ValueWidth) {Signed && input_value[ValueWidth-1]}};
    end

    // of all steps that choose among constants, fold by fold: a memory of one word
    localparam int unsigned Constants =
        (DirectSteps > DirectFirst) ? Folds * ((1 << DirectSteps) - (1 << DirectFirst)) : 1;
    logic [Constants*CompareWidth-1:0] constants[1];
    if (DirectSteps > DirectFirst) begin : gen_constants
      initial $readmemh($sformatf("%s_%0d.mem", ThresholdFiles, l), constants);
    end else begin : gen_no_constants
      assign constants[0] = '0;
    end

    for (genvar s = 0; s < Stages; s++) begin : gen_step
      localparam int unsigned Depth = Folds << s;
      localparam int unsigned IndexWidth = (s > 0) ? s : 1;
      localparam bit Direct = s >= DirectFirst && s < DirectSteps;
      wire [CompareWidth-1:0] value;
      wire [IndexWidth-1:0] index;
      wire reached;
      logic [s:0] index_q;

      // among the thresholds of this step
      localparam int unsigned PositionWidth = (Depth > 1) ? $clog2(Depth) : 1;
      wire [PositionWidth-1:0] position;
      if (Folds == 1) begin : gen_index
        assign position = index;
      end else if (s == 0) begin : gen_fold
        assign position = folds[s];
      end else begin : gen_both
        assign position = {folds[s], index};
      end
      wire unused_position = &{1'b0, folds[s], index, position};

      wire [CompareWidth-1:0] threshold;
      if (Direct) begin : gen_direct
        localparam int unsigned First = Folds * ((1 << s) - (1 << DirectFirst));
        wire [CompareWidth-1:0] thresholds[Depth];
        for (genvar i = 0; i < Depth; i++) begin : gen_threshold
          assign thresholds[i] = constants[0][(First+i)*CompareWidth+:CompareWidth];
        end
        if (Depth == 1) begin : gen_only
          assign threshold = thresholds[0];
        end else begin : gen_choice
          assign threshold = thresholds[position];
        end
      end else begin : gen_memory
        localparam bit Paired = s > 0;
        localparam int unsigned Words = Paired ? Depth / 2 : Depth;
        localparam int unsigned WordWidth = Paired ? 2 * CompareWidth : CompareWidth;
        localparam int unsigned AddressWidth = $clog2(Words);
        wire [AddressWidth-1:0] address;
        wire read;
        logic [WordWidth-1:0] word_q;
        if (Words >= BlockDepth) begin : gen_block
          (* rom_style = "block" *) logic [WordWidth-1:0] words[Words];
          initial $readmemh($sformatf("%s_%0d_%0d_0.mem", ThresholdFiles, l, s), words);
          always_ff @(posedge clk_i) if (read) word_q <= words[address];
        end else begin : gen_lookup
          // the lowest bits of the address, which come from the step before, choose among banks
          localparam int unsigned BankBits = (AddressWidth > LookupBits) ? AddressWidth - LookupBits : 0;
          localparam int unsigned Banks = 1 << BankBits;
          wire [WordWidth-1:0] banks[Banks];
          for (genvar b = 0; b < Banks; b++) begin : gen_bank
            threshold_bank #(
              .Width(WordWidth),
              .Depth((Words + Banks - 1) / Banks),
              .ThresholdFiles(ThresholdFiles),
              .Lane(l),
              .Step(s),
              .Bank(b)
            ) u_bank (
              .address_i(address[AddressWidth-1:BankBits]),
              .data_o(banks[b])
            );
          end
          if (Banks > 1) begin : gen_choice
            always_ff @(posedge clk_i) if (read) word_q <= banks[address[BankBits-1:0]];
          end else begin : gen_only
            always_ff @(posedge clk_i) if (read) word_q <= banks[0];
          end
        end
        if (Paired) begin : gen_paired
          assign address = gen_step[s-1].position;
          assign read = en_i;
          assign threshold = index[0] ? word_q[CompareWidth+:CompareWidth] : word_q[0+:CompareWidth];
        end else begin : gen_single
          assign address = rst_ni ? next_fold : '0;
          assign read = !rst_ni || (en_i && valid_i);
          assign threshold = word_q;
        end
      end

      // few constants become part of the comparison; else it is a chain of carries whose last one is the result: the bit
      // in front stays where nothing is borrowed from it
      if (Depth <= FewDepth && Direct) begin : gen_few
        assign reached = value >= (threshold ^ Signs);
      end else begin : gen_many
        wire [CompareWidth:0] difference = {1'b1, value} - {1'b0, threshold ^ Signs};
        assign reached = difference[CompareWidth];
      end

      if (s == 0) begin : gen_first
        assign index = '0;
        assign value = input_value ^ Signs;
        always_ff @(posedge clk_i) if (en_i) index_q <= reached;
      end else begin : gen_later
        assign index = gen_step[s-1].index_q;
        logic [CompareWidth-1:0] value_q;
        always_ff @(posedge clk_i) begin
          if (en_i) begin
            value_q <= gen_step[s-1].value;
            index_q <= {index, reached};
          end
        end
        assign value = value_q;
      end
      if (s == Stages - 1) begin : gen_last
        assign counts_o[l*Stages+:Stages] = index_q;
      end
    end
  end

endmodule

`default_nettype wire
