// The index of the largest element of a frame, each multiplied by and added to a constant of its own first; the lowest
// index of equal ones.
//
// One element a cycle. The pipeline stands still while the output register is full.
//
// Labels:           elements of a frame, at least 1.
// InputWidth:       bits of an element.
// InputSigned:      elements are two's complement.
// MultiplierWidth:  bits of the multipliers, unsigned; 0 multiplies by nothing.
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

  localparam int unsigned IndexWidth = (Labels > 1) ? $clog2(Labels) : 1;

  wire en;
  assign in_ready_o = en;

  // the element, and the constants of its label
  logic [IndexWidth-1:0] label_q;
  logic signed [ScoreWidth-1:0] value_q;
  wire [ScoreWidth-1:0] value_d;
  if (InputSigned) begin : gen_signed
    assign value_d = ScoreWidth'($signed(in_data_i));
  end else begin : gen_unsigned
    assign value_d = ScoreWidth'(in_data_i);
  end
  always_ff @(posedge clk_i) begin
    if (!rst_ni) label_q <= '0;
    else if (en && in_valid_i) label_q <= (label_q == IndexWidth'(Labels - 1)) ? '0 : label_q + 1'b1;
    if (en) value_q <= value_d;
  end

  wire signed [ScoreWidth-1:0] product;
  if (MultiplierWidth > 0) begin : gen_multiply
    wire [MultiplierWidth-1:0] multiplier;
    rom #(
      .Width(MultiplierWidth),
      .Depth(Labels),
      .File(MultiplierFile)
    ) u_multipliers (
      .clk_i(clk_i),
      .en_i(en),
      .address_i(label_q),
      .data_o(multiplier)
    );
    logic signed [ScoreWidth-1:0] product_q;
    always_ff @(posedge clk_i) if (en) product_q <= value_q * $signed(ScoreWidth'(multiplier));
    assign product = product_q;
  end else begin : gen_no_multiply
    assign product = value_q;
  end

  wire signed [ScoreWidth-1:0] score;
  if (OffsetWidth > 0) begin : gen_add
    wire signed [OffsetWidth-1:0] offset;
    rom #(
      .Width(OffsetWidth),
      .Depth(Labels),
      .File(OffsetFile)
    ) u_offsets (
      .clk_i(clk_i),
      .en_i(en),
      .address_i(label_q),
      .data_o(offset)
    );
    wire signed [OffsetWidth-1:0] aligned;
    if (MultiplierWidth > 0) begin : gen_align
      logic signed [OffsetWidth-1:0] offset_q;
      always_ff @(posedge clk_i) if (en) offset_q <= offset;
      assign aligned = offset_q;
    end else begin : gen_aligned
      assign aligned = offset;
    end
    logic signed [ScoreWidth-1:0] score_q;
    always_ff @(posedge clk_i) if (en) score_q <= product + ScoreWidth'(aligned);
    assign score = score_q;
  end else begin : gen_no_add
    assign score = product;
  end

  localparam int unsigned Stages = 1 + ((MultiplierWidth > 0) ? 1 : 0) + ((OffsetWidth > 0) ? 1 : 0);
  logic [Stages-1:0] valid_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else if (en) valid_q <= Stages'({valid_q, in_valid_i});
  end
  wire score_valid = valid_q[Stages-1];

  // the best so far
  logic [IndexWidth-1:0] index_q, best_index_q;
  logic signed [ScoreWidth-1:0] best_q;
  wire better = index_q == '0 || score > best_q;
  wire last = index_q == IndexWidth'(Labels - 1);
  wire [IndexWidth-1:0] best_index = better ? index_q : best_index_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) index_q <= '0;
    else if (en && score_valid) index_q <= last ? '0 : index_q + 1'b1;
    if (en && score_valid) begin
      best_index_q <= best_index;
      if (better) best_q <= score;
    end
  end

  spill_register #(
    .Width(OutputWidth)
  ) u_spill_register (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .in_valid_i(score_valid && last),
    .in_ready_o(en),
    .in_data_i(OutputWidth'(best_index)),
    .out_valid_o(out_valid_o),
    .out_ready_i(out_ready_i),
    .out_data_o(out_data_o)
  );

endmodule

`default_nettype wire
