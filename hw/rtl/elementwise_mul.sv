// The product of two streams, element by element.
//
// Both operands of a beat are taken in the same cycle, so the ready of one input depends on the valid of the other. With
// Gated, input 1 has one pixel for all of a frame: its beats are taken first, into a memory of Folds words, and then only
// beats of input 0. Operands are registered before they are multiplied: the memory of a FIFO gives them late. The product
// is that of product_pair, which never stands still, so results wait for their reader (see result_buffer).
//
// Pe:           elements of a beat.
// Width0:       bits of an element of input 0.
// Signed0:      it is two's complement.
// Width1, Signed1: the same for input 1.
// RecodeFirst:  recode input 0 in the multipliers instead of input 1 (see product_pair).
// OutputWidth:  bits of a product; wide enough for every product, two's complement if one of them can be negative.
// Gated:        input 1 has one pixel a frame.
// Folds:        beats of a pixel, where Gated.
// Pixels:       pixels of a frame of input 0, where Gated.
`default_nettype none

module elementwise_mul #(
  parameter int unsigned Pe = 1,
  parameter int unsigned Width0 = 4,
  parameter bit Signed0 = 1'b0,
  parameter int unsigned Width1 = 4,
  parameter bit Signed1 = 1'b0,
  parameter bit RecodeFirst = 1'b0,
  parameter int unsigned OutputWidth = 8,
  parameter bit Gated = 1'b0,
  parameter int unsigned Folds = 1,
  parameter int unsigned Pixels = 1
) (
  input  wire                       clk_i,
  input  wire                       rst_ni,

  input  wire                       in0_valid_i,
  output wire                       in0_ready_o,
  input  wire  [Pe*Width0-1:0]      in0_data_i,

  input  wire                       in1_valid_i,
  output wire                       in1_ready_o,
  input  wire  [Pe*Width1-1:0]      in1_data_i,

  output wire                       out_valid_o,
  input  wire                       out_ready_i,
  output wire  [Pe*OutputWidth-1:0] out_data_o
);

  if (Pe < 1 || Width0 < 1 || Width1 < 1 || OutputWidth < 1 || Folds < 1 || Pixels < 1) begin : gen_check
    $error("%m: Pe, Folds, Pixels and the widths must be at least 1");
  end

  // the factor that is recoded, and the other
  localparam int unsigned RecodedWidth = RecodeFirst ? Width0 : Width1;
  localparam bit RecodedSigned = RecodeFirst ? Signed0 : Signed1;
  localparam int unsigned FactorWidth = RecodeFirst ? Width1 : Width0;
  localparam bit FactorSigned = RecodeFirst ? Signed1 : Signed0;
  localparam int unsigned ProductLatency = RecodedSigned ? (RecodedWidth + 1) / 2 : RecodedWidth / 2 + 1;
  localparam int unsigned Latency = 1 + ProductLatency + 2;  // see result_buffer

  wire room;
  wire valid;  // a pair is taken
  logic [Pe*Width0-1:0] operands0_q;
  logic [Pe*Width1-1:0] operands1_q;
  always_ff @(posedge clk_i) operands0_q <= in0_data_i;

  if (Gated) begin : gen_gate
    localparam int unsigned FoldWidth = (Folds > 1) ? $clog2(Folds) : 1;
    localparam int unsigned PixelWidth = (Pixels > 1) ? $clog2(Pixels) : 1;
    logic gate_q;  // the pixel of input 1 is there
    logic [FoldWidth-1:0] fold_q;
    logic [PixelWidth-1:0] pixel_q;
    wire last_fold = fold_q == FoldWidth'(Folds - 1);
    wire last_pixel = pixel_q == PixelWidth'(Pixels - 1);
    wire store = in1_valid_i && in1_ready_o;

    assign in0_ready_o = room && gate_q;
    assign in1_ready_o = !gate_q;
    assign valid = in0_valid_i && in0_ready_o;

    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        gate_q <= 1'b0;
        fold_q <= '0;
        pixel_q <= '0;
      end else if (valid || store) begin
        fold_q <= last_fold ? '0 : fold_q + 1'b1;
        if (last_fold && (store || last_pixel)) gate_q <= store;
        if (last_fold && valid) pixel_q <= last_pixel ? '0 : pixel_q + 1'b1;
      end
    end

    if (Folds > 1) begin : gen_memory
      logic [Pe*Width1-1:0] words[Folds];
      always_ff @(posedge clk_i) begin
        if (store) words[fold_q] <= in1_data_i;
        operands1_q <= words[fold_q];
      end
    end else begin : gen_register
      logic [Pe*Width1-1:0] word_q;
      always_ff @(posedge clk_i) begin
        if (store) word_q <= in1_data_i;
        operands1_q <= word_q;
      end
    end
  end else begin : gen_pairs
    assign in0_ready_o = room && in1_valid_i;
    assign in1_ready_o = room && in0_valid_i;
    assign valid = room && in0_valid_i && in1_valid_i;
    always_ff @(posedge clk_i) operands1_q <= in1_data_i;
  end

  logic [ProductLatency:0] valid_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else valid_q <= {valid_q[ProductLatency-1:0], valid};
  end

  wire [Pe*OutputWidth-1:0] products;
  for (genvar i = 0; i < Pe; i++) begin : gen_lane
    wire [Width0-1:0] x0 = operands0_q[i*Width0+:Width0];
    wire [Width1-1:0] x1 = operands1_q[i*Width1+:Width1];
    wire [RecodedWidth-1:0] recoded;
    wire [FactorWidth-1:0] factor;
    if (RecodeFirst) begin : gen_first
      assign recoded = x0;
      assign factor = x1;
    end else begin : gen_second
      assign recoded = x1;
      assign factor = x0;
    end
    product_pair #(
      .Terms(1),
      .FactorWidth(FactorWidth),
      .FactorSigned(FactorSigned),
      .RecodedWidth(RecodedWidth),
      .RecodedSigned(RecodedSigned),
      .SumWidth(OutputWidth),
      .Latency(ProductLatency)
    ) u_product (
      .clk_i(clk_i),
      .factor_i(factor),
      .recoded_i(recoded),
      .sum_o(products[i*OutputWidth+:OutputWidth])
    );
  end

  result_buffer #(
    .Width(Pe * OutputWidth),
    .Depth(3 + Latency)
  ) u_result_buffer (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .room_o(room),
    .start_i(valid),
    .in_valid_i(valid_q[ProductLatency]),
    .in_data_i(products),
    .out_valid_o(out_valid_o),
    .out_ready_i(out_ready_i),
    .out_data_o(out_data_o)
  );

endmodule

`default_nettype wire
