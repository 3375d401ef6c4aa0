// The index of the largest element of a frame, each multiplied by and added to a constant of its own first; the lowest
// index of equal ones.
//
// One element a cycle, with a multiplier of look-up tables (see product_pair) or of DSPs (see dsp_scale). The pipeline
// never stands still: elements are taken only while there is a place for an index at the output (see result_buffer).
//
// Labels:           elements of a frame, at least 1.
// InputWidth:       bits of an element.
// InputSigned:      elements are two's complement.
// MultiplierWidth:  bits of the multipliers, unsigned; 0 multiplies by nothing.
// Dsps:             DSPs that multiply and add, 0 to 2; with any there are multipliers, and ScoreWidth is at most 48.
// RecodeInput:      recode the element in the multiplier instead of the constant (see product_pair).
// OffsetWidth:      bits of the offsets, two's complement; 0 adds nothing.
// ScoreWidth:       bits that hold every product and every score, two's complement.
// OutputWidth:      bits of the index.
// MultiplierFile:   the multipliers, hexadecimal, one a line.
// OffsetFile:       the offsets, hexadecimal, one a line.
`default_nettype none

module label_select #(
  parameter int unsigned Labels = 10,
  parameter int unsigned InputWidth = 8,
  parameter bit InputSigned = 1'b1,
  parameter int unsigned MultiplierWidth = 0,
  parameter int unsigned Dsps = 0,
  parameter bit RecodeInput = 1'b0,
  parameter int unsigned OffsetWidth = 0,
  parameter int unsigned ScoreWidth = 8,
  parameter int unsigned OutputWidth = 4,
  parameter MultiplierFile = "",
  parameter OffsetFile = ""
) (
  input  wire                    clk_i,
  input  wire                    rst_ni,

  input  wire                    in_valid_i,
  output wire                    in_ready_o,
  input  wire  [InputWidth-1:0]  in_data_i,

  output wire                    out_valid_o,
  input  wire                    out_ready_i,
  output wire  [OutputWidth-1:0] out_data_o
);

  if (Labels < 1 || InputWidth < 1 || OutputWidth < 1) begin : gen_check_sizes
    $error("%m: Labels, InputWidth and OutputWidth must be at least 1");
  end
  if ($clog2(Labels) > OutputWidth) begin : gen_check_labels
    $error("%m: OutputWidth must hold the index of every label");
  end
  if (ScoreWidth < InputWidth + (InputSigned ? 0 : 1)) begin : gen_check_score
    $error("%m: ScoreWidth must hold every input, signed");
  end
  // an offset is a score less a product, so it may have a bit more than they
  if (MultiplierWidth > ScoreWidth || OffsetWidth > ScoreWidth + 1) begin : gen_check_constants
    $error("%m: ScoreWidth does not hold every product and every score");
  end

  if (Dsps > 2 || (Dsps > 0 && (MultiplierWidth < 1 || ScoreWidth > 48))) begin : gen_check_dsps
    $error("%m: Dsps must be in 0 to 2, and 0 without multipliers and where ScoreWidth is more than 48");
  end

  localparam int unsigned IndexWidth = (Labels > 1) ? $clog2(Labels) : 1;

  // cycles of the product, which product_pair checks; in DSPs those of the sum with the offset
  localparam int unsigned Digits =
      !RecodeInput ? MultiplierWidth / 2 + 1 : InputSigned ? (InputWidth + 1) / 2 : InputWidth / 2 + 1;
  localparam int unsigned ProductLatency = (Dsps > 0) ? Dsps + 2 : (MultiplierWidth > 0) ? Digits : 0;
  localparam bit Registers = OffsetWidth > 0 || Dsps > 0;  // the score
  localparam int unsigned FactorWidth = RecodeInput ? MultiplierWidth : InputWidth;
  localparam int unsigned RecodedWidth = RecodeInput ? InputWidth : MultiplierWidth;

  // an element's stages: the input register, those of the product, and the register of the score
  localparam int unsigned Stages = 1 + ProductLatency + (Registers ? 1 : 0);
  logic [Stages-1:0] valid_q;
  wire take = in_valid_i && in_ready_o;
  wire [Stages:0] valid = {valid_q, take};
  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else valid_q <= valid[Stages-1:0];
  end
  wire score_valid = valid[Stages];

  logic [InputWidth-1:0] value_q;
  logic [IndexWidth-1:0] label_q;
  wire label_last = label_q == IndexWidth'(Labels - 1);
  always_ff @(posedge clk_i) begin
    value_q <= in_data_i;
    if (!rst_ni) label_q <= '0;
    else if (take) label_q <= label_last ? '0 : label_q + 1'b1;
  end

  wire [ScoreWidth-1:0] addend;
  wire signed [ScoreWidth-1:0] product;
  if (MultiplierWidth > 0) begin : gen_multiply
    wire [MultiplierWidth-1:0] multiplier;
    rom #(
      .Width(MultiplierWidth),
      .Depth(Labels),
      .File(MultiplierFile)
    ) u_multipliers (
      .clk_i(clk_i),
      .rst_ni(rst_ni),
      .en_i(1'b1),
      .address_i(label_q),
      .data_o(multiplier)
    );
    if (Dsps > 0) begin : gen_dsps
      dsp_scale #(
        .Dsps(Dsps),
        .ValueWidth(InputWidth),
        .Signed(InputSigned),
        .MultiplierWidth(MultiplierWidth),
        .SumWidth(ScoreWidth)
      ) u_dsp_scale (
        .clk_i(clk_i),
        .en_i(1'b1),
        .value_i(value_q),
        .multiplier_i(multiplier),
        .addend_i(addend),
        .sum_o(product)
      );
    end else begin : gen_luts
      wire [FactorWidth-1:0] factor;
      wire [RecodedWidth-1:0] recoded;
      if (RecodeInput) begin : gen_recode_input
        assign factor = multiplier;
        assign recoded = value_q;
      end else begin : gen_recode_multiplier
        assign factor = value_q;
        assign recoded = multiplier;
      end
      product_pair #(
        .Terms(1),
        .FactorWidth(FactorWidth),
        .FactorSigned(RecodeInput ? 1'b0 : InputSigned),
        .RecodedWidth(RecodedWidth),
        .RecodedSigned(RecodeInput ? InputSigned : 1'b0),
        .SumWidth(ScoreWidth),
        .Latency(ProductLatency)
      ) u_product_pair (
        .clk_i(clk_i),
        .factor_i(factor),
        .recoded_i(recoded),
        .sum_o(product)
      );
    end
  end else if (InputSigned) begin : gen_signed
    assign product = {{(ScoreWidth-InputWidth){value_q[InputWidth-1]}}, value_q};
  end else begin : gen_unsigned
    assign product = ScoreWidth'(value_q);
  end

  localparam logic signed [ScoreWidth-1:0] Least = {1'b1, {(ScoreWidth - 1) {1'b0}}};
  wire signed [ScoreWidth-1:0] score;
  if (OffsetWidth > 0) begin : gen_offsets
    // of the element that is a stage before its product, or before the second stage in DSPs
    logic [IndexWidth-1:0] offset_label_q;
    always_ff @(posedge clk_i) begin
      if (!rst_ni) offset_label_q <= '0;
      else if (valid[(Dsps > 0) ? 1 : ProductLatency])
        offset_label_q <= (offset_label_q == IndexWidth'(Labels - 1)) ? '0 : offset_label_q + 1'b1;
    end
    localparam int unsigned OffsetBits = (OffsetWidth < ScoreWidth) ? OffsetWidth : ScoreWidth;
    wire [OffsetWidth-1:0] offset;
    assign addend = {{(ScoreWidth-OffsetBits){offset[OffsetWidth-1]}}, offset[OffsetBits-1:0]};
    rom #(
      .Width(OffsetWidth),
      .Depth(Labels),
      .File(OffsetFile)
    ) u_offsets (
      .clk_i(clk_i),
      .rst_ni(rst_ni),
      .en_i(1'b1),
      .address_i(offset_label_q),
      .data_o(offset)
    );
  end else begin : gen_no_offsets
    assign addend = '0;
    wire unused_addend = &{1'b0, addend};
  end
  if (Registers) begin : gen_add
    logic signed [ScoreWidth-1:0] score_q;
    always_ff @(posedge clk_i) begin
      if (!valid[Stages-1]) score_q <= Least;
      else score_q <= (Dsps > 0) ? product : product + addend;
    end
    assign score = score_q;
  end else begin : gen_no_add
    assign score = product;
  end

  // The best so far: a frame begins with its first index and the least score, that no score is below. Where there is a
  // register for the score, it is the least while it is not valid.
  logic [IndexWidth-1:0] index_q, best_index_q;
  logic signed [ScoreWidth-1:0] best_q;
  logic result_valid_q;
  wire better = score > best_q && (Registers || score_valid);
  wire last = index_q == IndexWidth'(Labels - 1);
  always_ff @(posedge clk_i) begin
    if (!rst_ni || (score_valid && last)) index_q <= '0;
    else if (score_valid) index_q <= index_q + 1'b1;
    if (!rst_ni || (score_valid && last)) best_q <= Least;
    else if (better) best_q <= score;
    if (!rst_ni || (score_valid && index_q == '0)) best_index_q <= '0;
    else if (better) best_index_q <= index_q;
    result_valid_q <= rst_ni && score_valid && last;
  end

  // from an element to the index at the output, and places for those on the way: see result_buffer
  localparam int unsigned Latency = Stages + 3;
  localparam int unsigned Places = 3 + ((Labels > 0) ? (Latency + Labels - 1) / Labels : 0);  // none is refused above
  result_buffer #(
    .Width(OutputWidth),
    .Depth(Places)
  ) u_result_buffer (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .room_o(in_ready_o),
    .start_i(take && label_last),
    .in_valid_i(result_valid_q),
    .in_data_i(OutputWidth'(best_index_q)),
    .out_valid_o(out_valid_o),
    .out_ready_i(out_ready_i),
    .out_data_o(out_data_o)
  );

endmodule

`default_nettype wire
