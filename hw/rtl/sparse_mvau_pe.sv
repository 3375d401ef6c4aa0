// One walker of a sparse MVAU: its copy of the window, the product of an element and a weight, and the sums of rows.
//
// An entry is an address in the window and a weight. Entries of a row follow each other; the last one of a row is
// marked, and its sum goes into a FIFO, which must have a place for it. Of several pixels, each of which has a window, the
// same elements are multiplied by the same weight, and their sums are one word of the FIFO, those of the first one lowest.
// overflow_o is high for the cycle after one in which an addition left the width of a sum, where CheckOverflow asks.
//
// Words:           beats of a window; the memory holds two windows.
// Simd:            elements of each pixel of a beat.
// Pixels:          pixels of a beat; those of one are neighbours in it.
// InputWidth:      bits of an element.
// InputSigned:     elements are two's complement.
// WeightWidth:     bits of a weight, two's complement.
// AccWidth:        bits of a sum, two's complement.
// ProductLatency:  cycles that a product takes (see product_pair).
// RecodeInput:     recode the element in the multiplier instead of the weight.
// ProductWidth:    bits that hold every product, two's complement.
// Results:         sums that the FIFO holds, at least all of a window's.
// CheckOverflow:   drive overflow_o, which is 0 otherwise.
`default_nettype none

module sparse_mvau_pe #(
  parameter int unsigned Words = 4,
  parameter int unsigned Simd = 1,
  parameter int unsigned Pixels = 1,
  parameter int unsigned InputWidth = 4,
  parameter bit InputSigned = 1'b0,
  parameter int unsigned WeightWidth = 4,
  parameter int unsigned AccWidth = 12,
  parameter int unsigned ProductLatency = 2,
  parameter bit RecodeInput = 1'b0,
  parameter int unsigned ProductWidth = 8,
  parameter int unsigned Results = 2,
  parameter bit CheckOverflow = 1'b0,
  localparam int unsigned WordWidth = (Words > 1) ? $clog2(Words) : 1,
  localparam int unsigned ElementWidth = (Simd > 1) ? $clog2(Simd) : 1
) (
  input  wire                               clk_i,
  input  wire                               rst_ni,

  input  wire                               write_i,
  input  wire                               write_half_i,
  input  wire  [WordWidth-1:0]              write_word_i,
  input  wire  [Pixels*Simd*InputWidth-1:0] write_data_i,

  input  wire                               valid_i,
  input  wire                               half_i,
  input  wire  [WordWidth-1:0]              word_i,
  input  wire  [ElementWidth-1:0]           element_i,
  input  wire  [WeightWidth-1:0]            weight_i,
  input  wire                               last_i,

  output wire                               out_valid_o,
  input  wire                               out_ready_i,
  output wire  [Pixels*AccWidth-1:0]        out_data_o,

  output wire                               overflow_o
);

  // -- the windows

  localparam int unsigned Depth = (1 << WordWidth) + Words;
  wire [Pixels*Simd*InputWidth-1:0] word;
  simple_dual_port_ram #(
    .Width(Pixels * Simd * InputWidth),
    .Depth(Depth)
  ) u_window (
    .clk_i(clk_i),
    .write_i(write_i),
    .write_address_i({write_half_i, write_word_i}),
    .data_i(write_data_i),
    .read_i(1'b1),
    .read_address_i({half_i, word_i}),
    .data_o(word)
  );

  // -- what all pixels share: the weight, and where its element is; each stage has its own copy of what goes along

  localparam int unsigned Stages = 2 + ProductLatency;
  logic [Stages-1:0] valid_q, last_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else valid_q <= {valid_q[Stages-2:0], valid_i};
    last_q <= {last_q[Stages-2:0], last_i};
  end

  logic [WeightWidth-1:0] read_weight_q, weight_q;
  logic [ElementWidth-1:0] read_element_q;
  always_ff @(posedge clk_i) begin
    read_weight_q <= weight_i;
    weight_q <= read_weight_q;
    read_element_q <= element_i;
  end

  wire entry_valid = valid_q[Stages-1];
  wire entry_last = last_q[Stages-1];
  logic result_valid_q;
  always_ff @(posedge clk_i) result_valid_q <= rst_ni && entry_valid && entry_last;

  // -- of each pixel the element, its product, and the sum

  wire [Pixels*AccWidth-1:0] results;
  wire [Pixels-1:0] overflows;
  for (genvar x = 0; x < Pixels; x++) begin : gen_pixel
    logic [InputWidth-1:0] element_q;
    if (Simd > 1) begin : gen_select
      wire [InputWidth-1:0] elements[Simd];
      for (genvar i = 0; i < Simd; i++) begin : gen_element
        assign elements[i] = word[(x*Simd+i)*InputWidth+:InputWidth];
      end
      always_ff @(posedge clk_i) element_q <= elements[read_element_q];
    end else begin : gen_only
      always_ff @(posedge clk_i) element_q <= word[x*InputWidth+:InputWidth];
      wire unused_element = &{1'b0, read_element_q};
    end

    wire [ProductWidth-1:0] product;
    if (RecodeInput) begin : gen_recode_input
      product_pair #(
        .Terms(1),
        .FactorWidth(WeightWidth),
        .FactorSigned(1'b1),
        .RecodedWidth(InputWidth),
        .RecodedSigned(InputSigned),
        .SumWidth(ProductWidth),
        .Latency(ProductLatency)
      ) u_product (
        .clk_i(clk_i),
        .factor_i(weight_q),
        .recoded_i(element_q),
        .sum_o(product)
      );
    end else begin : gen_recode_weight
      product_pair #(
        .Terms(1),
        .FactorWidth(InputWidth),
        .FactorSigned(InputSigned),
        .RecodedWidth(WeightWidth),
        .RecodedSigned(1'b1),
        .SumWidth(ProductWidth),
        .Latency(ProductLatency)
      ) u_product (
        .clk_i(clk_i),
        .factor_i(element_q),
        .recoded_i(weight_q),
        .sum_o(product)
      );
    end

    // the sum, cleared by the flip-flops' reset, so that the adder needs no multiplexer before it
    logic [AccWidth-1:0] acc_q, result_q;
    localparam int unsigned ProductBits = (ProductWidth < AccWidth) ? ProductWidth : AccWidth;
    wire [AccWidth-1:0] addend = {{(AccWidth-ProductBits){product[ProductWidth-1]}}, product[ProductBits-1:0]};
    wire [AccWidth-1:0] acc_d = acc_q + addend;
    always_ff @(posedge clk_i) begin
      if (!rst_ni || (entry_valid && entry_last)) acc_q <= '0;
      else if (entry_valid) acc_q <= acc_d;
      result_q <= acc_d;
    end
    assign results[x*AccWidth+:AccWidth] = result_q;

    if (CheckOverflow) begin : gen_check
      // the same addition, in as many bits as it takes
      localparam int unsigned ExactWidth = ((ProductWidth > AccWidth) ? ProductWidth : AccWidth) + 1;
      wire [ExactWidth-1:0] exact_acc = {{(ExactWidth-AccWidth){acc_q[AccWidth-1]}}, acc_q};
      wire [ExactWidth-1:0] exact_product = {{(ExactWidth-ProductWidth){product[ProductWidth-1]}}, product};
      wire [ExactWidth-1:0] exact = exact_acc + exact_product;
      wire fits = exact[ExactWidth-1:AccWidth-1] == {(ExactWidth-AccWidth+1){exact[AccWidth-1]}};
      logic overflow_q;
      always_ff @(posedge clk_i) overflow_q <= rst_ni && entry_valid && !fits;
      assign overflows[x] = overflow_q;
    end else begin : gen_no_check
      assign overflows[x] = 1'b0;
    end

`ifdef A2Q_STATS
    range_monitor #(
      .Width(AccWidth)
    ) u_range_monitor (
      .clk_i(clk_i),
      .rst_ni(rst_ni),
      .valid_i(entry_valid && entry_last),
      .value_i(acc_d)
    );
`endif
  end
  assign overflow_o = |overflows;

  result_fifo #(
    .Width(Pixels * AccWidth),
    .Depth(Results)
  ) u_results (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .in_valid_i(result_valid_q),
    .in_data_i(results),
    .out_valid_o(out_valid_o),
    .out_ready_i(out_ready_i),
    .out_data_o(out_data_o)
  );

endmodule

`default_nettype wire
