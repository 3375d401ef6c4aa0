// For each lane the level of a value v, where levels are evenly spaced: (v · m + b) shifted right by Shift, clipped.
//
// The multiplier m and the addend b are those of the value's channel; beats go through Folds sets of them in turn, from
// set 0 after reset. The shift rounds down. With HalfEven an odd quotient that leaves no remainder becomes one less: with
// half of 2^Shift in the addend, halves round to even.
//
// With Dsps = 0, m is recoded in digits of radix 4, and a register follows every adder, which starts from b:
// MultiplierWidth / 2 + 1 enabled cycles. Else each lane has one DSP or two, which add b, too (see dsp_scale): Dsps + 2
// cycles. Then come one to see where to clip and one to clip. With AddersPerStage > 1 a register follows that many adders,
// levels are clipped in a single cycle, and what the last register leaves of the adders is part of it.
//
// Words of m and b are read into a register a cycle ahead. Where there is one set, or one multiplier for all channels, it
// is a constant of the adders, so that a digit that is 0 takes none.
// Activation in pipeline/kernels/activation.py writes the file.
//
// Lanes:            values a beat.
// Folds:            sets of multipliers and addends, at least 1.
// LaneWidth:        bits between values in values_i.
// ValueWidths:      for each lane, in 8 bits, the bits of its values, at most LaneWidth.
// SumWidths:        for each lane, in 8 bits, bits that hold every v · m + b, two's complement; more than Shift.
// Signed:           values are two's complement.
// MultiplierWidth:  bits of a multiplier, unsigned, at most 32.
// Multiplier:       the multiplier of all channels; 0 where each has its own.
// Dsps:             DSPs of a lane that multiply (see dsp_scale), 0 to 2; with any, SumWidths are at most 48.
// AddendWidth:      bits of an addend, two's complement, without the zeros at its end.
// AddendZeros:      the zeros at the end of every addend.
// Shift:            bits that are shifted out; at least 1 with HalfEven.
// AddersPerStage:   adders between two registers, at least 1.
// HalfEven:         round as above, else down.
// OutputWidth:      bits of a level.
// OutputSigned:     levels are two's complement.
// Lowest, Highest:  where levels are clipped, as bits of the output.
// File:             a word for each set: lane by lane the multiplier, if each has its own, and above it the addend.
`default_nettype none

module requantize #(
  parameter int unsigned Lanes = 1,
  parameter int unsigned Folds = 1,
  parameter int unsigned LaneWidth = 8,
  parameter logic [Lanes*8-1:0] ValueWidths = {Lanes{8'(LaneWidth)}},
  parameter logic [Lanes*8-1:0] SumWidths = {Lanes{8'd16}},
  parameter bit Signed = 1'b1,
  parameter int unsigned MultiplierWidth = 1,
  parameter logic [31:0] Multiplier = 32'd1,
  parameter int unsigned Dsps = 0,
  parameter int unsigned AddendWidth = 8,
  parameter int unsigned AddendZeros = 0,
  parameter int unsigned Shift = 0,
  parameter bit HalfEven = 1'b0,
  parameter int unsigned AddersPerStage = 1,
  parameter int unsigned OutputWidth = 8,
  parameter bit OutputSigned = 1'b0,
  parameter logic [OutputWidth-1:0] Lowest = '0,
  parameter logic [OutputWidth-1:0] Highest = '1,
  parameter File = ""
) (
  input  wire                         clk_i,
  input  wire                         rst_ni,
  input  wire                         en_i,

  input  wire                         valid_i,
  input  wire  [Lanes*LaneWidth-1:0]  values_i,

  output wire                         valid_o,
  output wire  [Lanes*OutputWidth-1:0] levels_o
);

  if (Lanes < 1 || Folds < 1 || AddendWidth < 1 || OutputWidth < 1) begin : gen_check
    $error("%m: Lanes, Folds, AddendWidth and OutputWidth must be at least 1");
  end
  if (MultiplierWidth < 1 || MultiplierWidth > 32) begin : gen_check_multiplier
    $error("%m: MultiplierWidth must be in 1 to 32");
  end
  if (Dsps > 2) begin : gen_check_dsps
    $error("%m: Dsps must be in 0 to 2");
  end
  if (AddendZeros > Shift || (HalfEven && Shift < 1)) begin : gen_check_shift
    $error("%m: Shift must be at least AddendZeros, and 1 with HalfEven");
  end

  localparam int unsigned Digits = MultiplierWidth / 2 + 1;
  localparam bit Common = Multiplier != 32'd0;
  localparam int unsigned StoredWidth = Common ? 0 : MultiplierWidth;
  localparam int unsigned ChannelWidth = StoredWidth + AddendWidth;

  if (AddersPerStage < 1) begin : gen_check_stage
    $error("%m: AddersPerStage must be at least 1");
  end

  localparam int unsigned Latency =
      ((Dsps > 0) ? Dsps + 2 : Digits / ((AddersPerStage > 0) ? AddersPerStage : 1)) + ((AddersPerStage > 1) ? 1 : 2);
  logic [Latency-1:0] valid_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else if (en_i) valid_q <= Latency'({valid_q, valid_i});
  end
  assign valid_o = valid_q[Latency-1];

  // the multipliers and addends of the beat at values_i
  wire [Lanes*ChannelWidth-1:0] channels;
  if (Folds > 1) begin : gen_folds
    localparam int unsigned FoldWidth = $clog2(Folds);
    logic [FoldWidth-1:0] next_q;  // the set of the beat after it
    logic next_last_q;
    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        next_q <= FoldWidth'(1);
        next_last_q <= Folds == 2;
      end else if (en_i && valid_i) begin
        next_q <= next_last_q ? '0 : next_q + 1'b1;
        next_last_q <= next_q == FoldWidth'(Folds - 2);
      end
    end
    rom #(
      .Width(Lanes * ChannelWidth),
      .Depth(Folds),
      .File(File)
    ) u_channels (
      .clk_i(clk_i),
      .rst_ni(1'b1),  // it is read in reset
      .en_i(!rst_ni || (en_i && valid_i)),
      .address_i(rst_ni ? next_q : '0),
      .data_o(channels)
    );
  end else begin : gen_constants
    logic [Lanes*ChannelWidth-1:0] words[1];
    initial $readmemh(File, words);
    assign channels = words[0];
  end

  for (genvar l = 0; l < Lanes; l++) begin : gen_lane
    localparam int unsigned ValueWidth = 32'(ValueWidths[8*l+:8]);
    localparam int unsigned SumWidth = 32'(SumWidths[8*l+:8]);

    if (ValueWidth < 1 || ValueWidth > LaneWidth) begin : gen_check_value
      $error("%m: ValueWidths must be in 1 to LaneWidth");
    end
    if (SumWidth <= Shift) begin : gen_check_sum
      $error("%m: SumWidths must be more than Shift");
    end
    if (LaneWidth > ValueWidth) begin : gen_unused
      wire unused_value = &{1'b0, values_i[l*LaneWidth+ValueWidth+:LaneWidth-ValueWidth]};
    end

    // -- v · m + b, modulo 2^SumWidth

    wire [AddendWidth-1:0] addend = channels[l*ChannelWidth+StoredWidth+:AddendWidth];
    wire [AddendWidth+AddendZeros+SumWidth-1:0] start = {
      {SumWidth{addend[AddendWidth-1]}}, addend, {AddendZeros{1'b0}}
    };
    wire unused_start = &{1'b0, start};
    wire [MultiplierWidth-1:0] multiplier;
    if (Common) begin : gen_common
      assign multiplier = Multiplier[MultiplierWidth-1:0];
    end else begin : gen_stored
      assign multiplier = channels[l*ChannelWidth+:MultiplierWidth];
    end

    for (genvar d = 0; d < ((Dsps == 0) ? Digits : 0); d++) begin : gen_digit
      localparam int unsigned Low = (2 * d < SumWidth) ? 2 * d : SumWidth;  // bits below the digit
      wire [ValueWidth-1:0] value;
      wire [MultiplierWidth-1:0] factor;
      wire [SumWidth-1:0] partial, total;
      wire [SumWidth-1:0] sum;
      if (d == 0) begin : gen_first
        assign value = values_i[l*LaneWidth+:ValueWidth];
        assign factor = multiplier;
        assign partial = start[SumWidth-1:0];
      end else begin : gen_later
        if (d % AddersPerStage == 0) begin : gen_registered
          logic [ValueWidth-1:0] value_q;
          always_ff @(posedge clk_i) if (en_i) value_q <= gen_digit[d-1].value;
          assign value = value_q;
        end else begin : gen_same_stage
          assign value = gen_digit[d-1].value;
        end
        if (Folds == 1 || Common) begin : gen_constant
          assign factor = multiplier;
        end else if (d % AddersPerStage == 0) begin : gen_variable
          logic [MultiplierWidth-1:0] factor_q;
          always_ff @(posedge clk_i) if (en_i) factor_q <= gen_digit[d-1].factor;
          assign factor = factor_q;
        end else begin : gen_variable_same_stage
          assign factor = gen_digit[d-1].factor;
        end
        assign partial = gen_digit[d-1].sum;
      end

      // a digit looks at three bits from the one below its own on
      wire [MultiplierWidth+2:0] windows = {2'b00, factor, 1'b0};
      wire [2:0] window = windows[2*d+:3];
      wire unused_windows = &{1'b0, windows};
      if (Low == SumWidth) begin : gen_beyond
        assign total = partial;
        wire unused_digit = &{1'b0, value, window};
      end else if (Folds == 1 || Common) begin : gen_inline
        // the same adder as below, within this module, where synthesis sees that the digit is a constant
        localparam int unsigned Width = SumWidth - Low;
        wire one = window[1] ^ window[0];
        wire two = window == 3'b011 || window == 3'b100;
        wire [Width+ValueWidth-1:0] extended = {{Width{Signed & value[ValueWidth-1]}}, value};
        wire unused_extended = &{1'b0, extended};
        wire [Width-1:0] once = extended[Width-1:0];
        wire [Width-1:0] row = two ? once << 1 : one ? once : '0;
        assign total[SumWidth-1:Low] =
            partial[SumWidth-1:Low] + (row ^ {Width{window[2]}}) + Width'(window[2]);
        if (Low > 0) begin : gen_below
          assign total[Low-1:0] = partial[Low-1:0];
        end
      end else begin : gen_add
        digit_adder #(
          .Width(SumWidth - Low),
          .FactorWidth(ValueWidth),
          .FactorSigned(Signed)
        ) u_digit_adder (
          .partial_i(partial[SumWidth-1:Low]),
          .digit_i(window),
          .factor_i(value),
          .sum_o(total[SumWidth-1:Low])
        );
        if (Low > 0) begin : gen_below
          assign total[Low-1:0] = partial[Low-1:0];
        end
      end
      if ((d + 1) % AddersPerStage == 0) begin : gen_sum_register
        logic [SumWidth-1:0] sum_q;
        always_ff @(posedge clk_i) if (en_i) sum_q <= total;
        assign sum = sum_q;
      end else begin : gen_sum
        assign sum = total;
      end
    end

    wire [SumWidth-1:0] sum;
    if (Dsps == 0) begin : gen_digits
      assign sum = gen_digit[Digits-1].sum;
    end else begin : gen_dsps
      if (SumWidth > 48) begin : gen_check_dsp_sum
        $error("%m: SumWidths must be at most 48 with DSPs");
      end
      // the addend is needed a cycle after the multiplier
      wire [AddendWidth-1:0] waiting;
      if (Folds == 1) begin : gen_constant
        assign waiting = addend;
      end else begin : gen_waiting
        logic [AddendWidth-1:0] addend_q;
        always_ff @(posedge clk_i) if (en_i) addend_q <= addend;
        assign waiting = addend_q;
      end
      wire [AddendWidth+AddendZeros+SumWidth-1:0] waiting_start = {
        {SumWidth{waiting[AddendWidth-1]}}, waiting, {AddendZeros{1'b0}}
      };
      wire unused_waiting = &{1'b0, waiting_start};
      dsp_scale #(
        .Dsps(Dsps),
        .ValueWidth(ValueWidth),
        .Signed(Signed),
        .MultiplierWidth(MultiplierWidth),
        .SumWidth(SumWidth),
        .Unread(HalfEven ? 0 : Shift)
      ) u_dsp_scale (
        .clk_i(clk_i),
        .en_i(en_i),
        .value_i(values_i[l*LaneWidth+:ValueWidth]),
        .multiplier_i(multiplier),
        .addend_i(waiting_start[SumWidth-1:0]),
        .sum_o(sum)
      );
    end

    // -- the quotient, and where to clip it; below its sign, levels are compared as unsigned numbers

    localparam int unsigned QuotientWidth = SumWidth - Shift;
    // and one more than the highest level, which may take a bit more than a level
    localparam int unsigned LevelWidth = ((QuotientWidth > OutputWidth + 1) ? QuotientWidth : OutputWidth + 1) + 1;
    localparam int unsigned Sign = LevelWidth - 1;
    // an odd lowest level, which could become one less, is clipped to itself, too
    localparam logic [LevelWidth-1:0] First =
        {{(LevelWidth - OutputWidth) {OutputSigned & Lowest[OutputWidth-1]}}, Lowest} +
        LevelWidth'(HalfEven & Lowest[0]);
    localparam logic [LevelWidth-1:0] Beyond =
        {{(LevelWidth - OutputWidth) {OutputSigned & Highest[OutputWidth-1]}}, Highest} + LevelWidth'(1);

    wire [LevelWidth-1:0] level = {{(LevelWidth - QuotientWidth) {sum[SumWidth-1]}}, sum[SumWidth-1:Shift]};
    wire below, above;
    if (First[Sign]) begin : gen_negative_first
      // inverted, so that most lowest levels compare with a power of two
      assign below = level[Sign] && ~level[Sign-1:0] >= ~First[Sign-1:0] + Sign'(1);
    end else if (First[Sign-1:0] == '0) begin : gen_zero_first
      assign below = level[Sign];
    end else begin : gen_positive_first
      assign below = level[Sign] || level[Sign-1:0] < First[Sign-1:0];
    end
    if (Beyond[Sign]) begin : gen_negative_beyond
      assign above = !level[Sign] || level[Sign-1:0] >= Beyond[Sign-1:0];
    end else begin : gen_positive_beyond
      assign above = !level[Sign] && level[Sign-1:0] >= Beyond[Sign-1:0];
    end

    logic [OutputWidth-1:0] output_q;
    wire [OutputWidth-1:0] clipped;
    wire exact;  // whether nothing is left of an odd level, which is one less then
    if (HalfEven) begin : gen_half_even
      assign exact = sum[Shift-1:0] == '0;
    end else begin : gen_floor
      assign exact = 1'b0;
      if (Shift > 0) begin : gen_remainder
        wire unused_remainder = &{1'b0, sum[Shift-1:0]};
      end
    end
    if (AddersPerStage > 1) begin : gen_at_once
      assign clipped = below ? Lowest : above ? Highest : level[OutputWidth-1:0] ^ OutputWidth'(level[0] & exact);
    end else begin : gen_seen_before
      logic [OutputWidth-1:0] level_q;
      logic below_q, above_q, exact_q;
      always_ff @(posedge clk_i) begin
        if (en_i) begin
          level_q <= level[OutputWidth-1:0];
          below_q <= below;
          above_q <= above;
          exact_q <= exact;
        end
      end
      assign clipped = below_q ? Lowest : above_q ? Highest : level_q ^ OutputWidth'(level_q[0] & exact_q);
    end
    always_ff @(posedge clk_i) if (en_i) output_q <= clipped;
    assign levels_o[l*OutputWidth+:OutputWidth] = output_q;
  end

endmodule

`default_nettype wire
